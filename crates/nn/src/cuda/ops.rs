//! The own kernels, one function each.

use candle_core::{DType, Result, Tensor, bail, cuda::cudarc::driver::DevicePtr};

use super::{Argument, Context, int, pointer, type_name, upload};
use crate::{
    adam::AdamConfig,
    batch_norm::{EPS, Statistics},
    device::Math,
    layer::Activation,
};
use Argument::{Float, Int, Long, Pointer};

/// Threads of a block that goes through columns.
const THREADS: usize = 256;
/// Blocks that keep every multiprocessor busy.
const BLOCKS: usize = 1024;
/// Most blocks of rows: their sums are added up by few threads.
const MOST_PARTS: usize = 512;

/// How many neighbouring values a thread takes: rows of `row_len` values from these addresses on.
fn width(row_len: usize, pointers: &[u64]) -> usize {
    let aligned = pointers.iter().all(|pointer| pointer.is_multiple_of(16));
    if row_len.is_multiple_of(4) && aligned { 4 } else { 1 }
}

/// How `rows` of `c` channels are cut into blocks.
struct Cut {
    rows: usize,
    c: usize,
    width: usize,
    block: (u32, u32),
    grid: (u32, u32),
    rows_per_block: usize,
}

impl Cut {
    fn new(x: &Tensor, pointers: &[u64]) -> Result<Self> {
        let c = match x.dims().last() {
            Some(&c) if x.elem_count() > 0 => c,
            _ => bail!("batch_norm: empty input {:?}", x.dims()),
        };
        let (rows, width) = (x.elem_count() / c, width(c, pointers));
        let across = c.div_ceil(width).next_power_of_two().min(32);
        let columns = c.div_ceil(width * across);
        let least = THREADS / across;
        let parts = BLOCKS.div_ceil(columns).min(MOST_PARTS).min(rows.div_ceil(least));
        let rows_per_block = rows.div_ceil(parts).next_multiple_of(least);
        Ok(Self {
            rows,
            c,
            width,
            block: (across as u32, least as u32),
            grid: (columns as u32, rows.div_ceil(rows_per_block) as u32),
            rows_per_block,
        })
    }

    /// The last arguments of the kernels that go through columns.
    fn sizes(&self) -> Result<[Argument; 3]> {
        Ok([Int(int(self.rows)?), Int(int(self.c)?), Int(int(self.rows_per_block)?)])
    }

    fn partial(&self, context: &Context) -> Result<Tensor> {
        context.empty((self.grid.1 as usize, 2, self.c), DType::F32)
    }

    /// Blocks of the kernels that add up what the blocks of rows gave.
    fn channel_blocks(&self) -> (u32, u32) {
        (self.c.div_ceil(32) as u32, 1)
    }
}

/// The batch norm of one pass: the statistics (2, c), mean and 1/√(variance + eps), and what is learnt.
#[derive(Clone, Copy)]
pub(crate) struct Norm<'a> {
    pub(crate) statistics: &'a Tensor,
    pub(crate) gain: &'a Tensor,
    pub(crate) bias: &'a Tensor,
    pub(crate) slope: f32,
}

impl Norm<'_> {
    fn pointers(&self, c: usize) -> Result<[u64; 3]> {
        let sizes = [self.statistics.elem_count(), self.gain.elem_count(), self.bias.elem_count()];
        if sizes != [2 * c, c, c] {
            bail!("batch_norm: {c} channels, but {sizes:?} statistics, gains and biases")
        }
        Ok([pointer(self.statistics)?, pointer(self.gain)?, pointer(self.bias)?])
    }
}

/// The statistics (2, c) of `x`: (…, c), as [`Norm`] takes them.
pub(crate) fn statistics(x: &Tensor) -> Result<Tensor> {
    let context = Context::of_tensor(x)?;
    let (at, name) = (pointer(x)?, type_name(x.dtype())?);
    let cut = Cut::new(x, &[at])?;
    let partial = cut.partial(&context)?;
    let mut arguments = vec![Pointer(at), Pointer(pointer(&partial)?)];
    arguments.extend(cut.sizes()?);
    context.launch(&format!("moments_{name}_{}", cut.width), cut.grid, cut.block, &arguments)?;
    let out = context.empty((2, cut.c), DType::F32)?;
    let arguments = [
        Pointer(at),
        Pointer(pointer(&partial)?),
        Pointer(pointer(&out)?),
        Int(cut.grid.1 as i32),
        Int(int(cut.rows)?),
        Int(int(cut.c)?),
        Float(EPS as f32),
    ];
    context.launch(&format!("statistics_{name}"), cut.channel_blocks(), (32, 8), &arguments)?;
    Ok(out)
}

/// Statistics of the host as [`Norm`] takes them.
pub(crate) fn statistics_from(given: &Statistics, like: &Tensor) -> Result<Tensor> {
    let context = Context::of_tensor(like)?;
    let mean = given.mean.iter().map(|&mean| mean as f32);
    let values: Vec<f32> =
        mean.chain(given.variance.iter().map(|variance| (1.0 / (variance + EPS).sqrt()) as f32)).collect();
    from_vec(&context, &values, &[2, given.mean.len()])
}

/// And back; waits for the device.
pub(crate) fn statistics_to_host(statistics: &Tensor) -> Result<Statistics> {
    let rows = statistics.to_vec2::<f32>()?;
    Ok(Statistics {
        mean: rows[0].iter().map(|&mean| f64::from(mean)).collect(),
        variance: rows[1].iter().map(|&inverse| (f64::from(inverse).powi(-2) - EPS).max(0.0)).collect(),
    })
}

/// a(gain·(x − mean)·inverse + bias), written to a new tensor, or over x.
pub(crate) fn normalise(x: &Tensor, norm: Norm<'_>, in_place: bool) -> Result<Tensor> {
    let context = Context::of_tensor(x)?;
    let out = if in_place { x.clone() } else { context.empty(x.shape(), x.dtype())? };
    let (from, to) = (pointer(x)?, pointer(&out)?);
    let cut = Cut::new(x, &[from, to])?;
    let [statistics, gain, bias] = norm.pointers(cut.c)?;
    let mut arguments = vec![Pointer(from), Pointer(to), Pointer(statistics), Pointer(gain), Pointer(bias)];
    arguments.extend(cut.sizes()?);
    arguments.push(Float(norm.slope));
    let name = format!("normalise_{}_{}", type_name(x.dtype())?, cut.width);
    context.launch(&name, cut.grid, cut.block, &arguments)?;
    Ok(out)
}

/// Turns dy into dx in place, and writes the gradients of gain and bias or adds them, where there is room for them.
pub(crate) fn normalise_backward(
    x: &Tensor,
    dy: &Tensor,
    norm: Norm<'_>,
    gradients: Option<(&Tensor, &Tensor, bool)>,
) -> Result<()> {
    let context = Context::of_tensor(x)?;
    let (xs, dys, dtype) = (pointer(x)?, pointer(dy)?, type_name(x.dtype())?);
    if dy.dtype() != x.dtype() || dy.elem_count() != x.elem_count() {
        bail!("batch_norm: a gradient {:?} {:?} of {:?} {:?}", dy.dtype(), dy.dims(), x.dtype(), x.dims())
    }
    let cut = Cut::new(x, &[xs, dys])?;
    let at = norm.pointers(cut.c)?;
    let [statistics, gain, bias] = at.map(Pointer);
    let partial = cut.partial(&context)?;
    let partial_at = Pointer(pointer(&partial)?);
    let mut arguments = vec![Pointer(xs), Pointer(dys), statistics, gain, bias, partial_at];
    arguments.extend(cut.sizes()?);
    arguments.push(Float(norm.slope));
    context.launch(&format!("gradient_sums_{dtype}_{}", cut.width), cut.grid, cut.block, &arguments)?;
    let (dgain, dbias, mode) = match gradients {
        Some((dgain, dbias, adds)) => (pointer(dgain)?, pointer(dbias)?, if adds { 2 } else { 1 }),
        None => (0, 0, 0),
    };
    let terms = context.empty((2, cut.c), DType::F32)?;
    let terms_at = Pointer(pointer(&terms)?);
    let arguments = [
        partial_at,
        statistics,
        Pointer(dgain),
        Pointer(dbias),
        terms_at,
        Int(cut.grid.1 as i32),
        Int(int(cut.rows)?),
        Int(int(cut.c)?),
        Int(mode),
    ];
    context.launch("gradient_terms", cut.channel_blocks(), (32, 8), &arguments)?;
    let mut arguments = vec![Pointer(xs), Pointer(dys), statistics, gain, bias, terms_at];
    arguments.extend(cut.sizes()?);
    arguments.push(Float(norm.slope));
    context.launch(&format!("normalise_backward_{dtype}_{}", cut.width), cut.grid, cut.block, &arguments)
}

/// The slope, and whether it is tanh, as the kernels take an activation.
fn activation(activation: Activation) -> [Argument; 2] {
    match activation {
        Activation::Leaky(slope) => [Float(slope), Int(0)],
        Activation::Tanh => [Float(0.0), Int(1)],
    }
}

/// The activation, in place.
pub(crate) fn activate(x: &Tensor, of: Activation) -> Result<()> {
    if of == Activation::Leaky(1.0) {
        return Ok(());
    }
    let context = Context::of_tensor(x)?;
    let (at, n) = (pointer(x)?, x.elem_count());
    let width = width(n, &[at]);
    let [slope, is_tanh] = activation(of);
    let name = format!("activate_{}_{width}", type_name(x.dtype())?);
    context.launch_flat(&name, n, width, &[Pointer(at), Long(n as i64), slope, is_tanh])
}

/// Turns dy into dx in place, from the activation's output.
pub(crate) fn activate_backward(y: &Tensor, dy: &Tensor, of: Activation) -> Result<()> {
    if of == Activation::Leaky(1.0) {
        return Ok(());
    }
    let context = Context::of_tensor(y)?;
    let (ys, dys, n) = (pointer(y)?, pointer(dy)?, y.elem_count());
    if dy.dtype() != y.dtype() || dy.elem_count() != n {
        bail!("activation: a gradient {:?} {:?} of {:?} {:?}", dy.dtype(), dy.dims(), y.dtype(), y.dims())
    }
    let width = width(n, &[ys, dys]);
    let [slope, is_tanh] = activation(of);
    let name = format!("activate_backward_{}_{width}", type_name(y.dtype())?);
    context.launch_flat(&name, n, width, &[Pointer(ys), Pointer(dys), Long(n as i64), slope, is_tanh])
}

/// Writes `term` over `sum` (f32, of as many values), or adds it.
pub(crate) fn accumulate(sum: &Tensor, term: &Tensor, adds: bool) -> Result<()> {
    let context = Context::of_tensor(sum)?;
    let (to, from, n) = (pointer(sum)?, pointer(term)?, sum.elem_count());
    if sum.dtype() != DType::F32 || term.elem_count() != n {
        bail!("accumulate: {:?} {:?} to {:?} {:?}", term.dtype(), term.dims(), sum.dtype(), sum.dims())
    }
    let width = width(n, &[to, from]);
    let name = format!("accumulate_{}_{width}", type_name(term.dtype())?);
    context.launch_flat(&name, n, width, &[Pointer(to), Pointer(from), Long(n as i64), Int(i32::from(adds))])
}

/// A contiguous tensor as one of `dtype`: itself, or f32 rounded to bf16.
pub(crate) fn cast(x: &Tensor, dtype: DType) -> Result<Tensor> {
    if x.dtype() == dtype {
        return Ok(x.clone());
    }
    if x.dtype() != DType::F32 {
        bail!("cast: {:?} to {dtype:?}", x.dtype())
    }
    let context = Context::of_tensor(x)?;
    let out = context.empty(x.shape(), dtype)?;
    let (from, to, n) = (pointer(x)?, pointer(&out)?, x.elem_count());
    let width = width(n, &[from, to]);
    let name = format!("cast_{}_{width}", type_name(dtype)?);
    context.launch_flat(&name, n, width, &[Pointer(from), Pointer(to), Long(n as i64)])?;
    Ok(out)
}

/// f32 values of the host as a tensor, without waiting.
pub(crate) fn from_vec(context: &Context, values: &[f32], shape: &[usize]) -> Result<Tensor> {
    let slice = upload(context, values)?;
    let storage = candle_core::CudaStorage::wrap_cuda_slice(slice, context.device.clone());
    let none = candle_core::op::BackpropOp::none();
    Ok(Tensor::from_storage(candle_core::Storage::Cuda(storage), shape, none, false))
}

/// uint8 pixels (n, c, h, w) of the host to activations (n, h, w, c) in [-1, 1], as networks take them.
pub(crate) fn to_activations(context: &Context, pixels: &[u8], [n, c, h, w]: [usize; 4]) -> Result<Tensor> {
    let dtype = if context.math == Math::Bf16 { DType::BF16 } else { DType::F32 };
    let uploaded = upload(context, pixels)?;
    let out = context.empty((n, h, w, c), dtype)?;
    let arguments = [
        Pointer(uploaded.device_ptr(&context.stream).0),
        Pointer(pointer(&out)?),
        Long(pixels.len() as i64),
        Int(int(c)?),
        Int(int(h * w)?),
    ];
    context.launch_flat(&format!("scale_pixels_{}", type_name(dtype)?), pixels.len(), 1, &arguments)?;
    Ok(out)
}

/// Max-pools each of `maps` to `grid`×`grid` and joins them: (n, Σ c·grid²), each in NCHW order.
pub(crate) fn max_pool(maps: &[Tensor], grid: usize) -> Result<Tensor> {
    let Some(first) = maps.first() else { bail!("max_pool: no maps") };
    let context = Context::of_tensor(first)?;
    let n = first.dim(0)?;
    let mut sizes = Vec::with_capacity(maps.len());
    for maps in maps {
        let (_, h, w, c) = maps.dims4()?;
        if grid == 0 || h % grid != 0 || w % grid != 0 || h * w == 0 {
            bail!("cannot pool {h}x{w} maps to {grid}x{grid}")
        }
        sizes.push((h, w, c));
    }
    let row_len: usize = sizes.iter().map(|(.., c)| c * grid * grid).sum();
    let out = context.empty((n, row_len), DType::F32)?;
    let mut offset = 0;
    for (maps, (h, w, c)) in maps.iter().zip(sizes) {
        let values = n * c * grid * grid;
        let arguments = [
            Pointer(pointer(maps)?),
            Pointer(pointer(&out)?),
            Long(values as i64),
            Int(int(h)?),
            Int(int(w)?),
            Int(int(c)?),
            Int(int(grid)?),
            Long(row_len as i64),
            Long(offset as i64),
        ];
        context.launch_flat(&format!("max_pool_{}", type_name(maps.dtype())?), values, 1, &arguments)?;
        offset += c * grid * grid;
    }
    Ok(out)
}

/// The loss, a scalar, and its gradient.
pub(crate) fn bce(logits: &Tensor, target: f32) -> Result<(Tensor, Tensor)> {
    let context = Context::of_tensor(logits)?;
    let (out, gradient) = (context.empty((), DType::F32)?, context.empty(logits.shape(), logits.dtype())?);
    let arguments = [
        Pointer(pointer(logits)?),
        Pointer(pointer(&gradient)?),
        Pointer(pointer(&out)?),
        Int(int(logits.elem_count())?),
        Float(target),
    ];
    context.launch(&format!("bce_{}", type_name(logits.dtype())?), (1, 1), (256, 1), &arguments)?;
    Ok((out, gradient))
}

/// The sum of the squares of all of f32 `tensors`; waits for the device, once.
pub(crate) fn sum_of_squares(tensors: &[&Tensor]) -> Result<f64> {
    let Some(first) = tensors.first() else { return Ok(0.0) };
    let context = Context::of_tensor(first)?;
    let blocks = |x: &Tensor| x.elem_count().div_ceil(THREADS).clamp(1, BLOCKS);
    let out = context.empty(tensors.iter().map(|x| blocks(x)).sum::<usize>(), DType::F64)?;
    let mut to = pointer(&out)?;
    for x in tensors {
        if x.dtype() != DType::F32 {
            bail!("norm: expected f32, found {:?}", x.dtype())
        }
        let arguments = [Pointer(pointer(x)?), Pointer(to), Long(x.elem_count() as i64)];
        context.launch("squares", (blocks(x) as u32, 1), (THREADS as u32, 1), &arguments)?;
        to += (blocks(x) * size_of::<f64>()) as u64;
    }
    Ok(out.to_vec1::<f64>()?.iter().sum())
}

/// Adam's update number `t` of a parameter and its moments, in place; all f32.
pub(crate) fn adam(
    [parameter, gradient, mean, square]: [&Tensor; 4],
    config: AdamConfig,
    t: u64,
) -> Result<()> {
    let context = Context::of_tensor(parameter)?;
    let n = parameter.elem_count();
    let tensors = [parameter, gradient, mean, square];
    if tensors.iter().any(|tensor| tensor.dtype() != DType::F32 || tensor.elem_count() != n) {
        bail!("adam: expected f32 of {:?}, found {tensors:?}", parameter.dims())
    }
    let at = [pointer(parameter)?, pointer(gradient)?, pointer(mean)?, pointer(square)?];
    let width = width(n, &at);
    let AdamConfig { learning_rate, beta1, beta2, eps, l2 } = config;
    let [p, g, m, v] = at.map(Pointer);
    let floats = [
        learning_rate / (1.0 - beta1.powf(t as f64)),
        beta1,
        beta2,
        1.0 / (1.0 - beta2.powf(t as f64)),
        eps,
        l2,
    ];
    let [rate, beta1, beta2, square_scale, eps, l2] = floats.map(|value| Float(value as f32));
    let arguments = [p, g, m, v, Long(n as i64), rate, beta1, beta2, square_scale, eps, l2];
    context.launch_flat(&format!("adam_{width}"), n, width, &arguments)
}
