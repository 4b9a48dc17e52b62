//! What a network needs of a GPU, one launch or two each.

use candle_core::{DType, Result, Storage, Tensor, bail, cuda::cudarc::driver::DevicePtr, op::BackpropOp};

use super::{Argument, Context, conv, int, pointer, type_name, upload::upload, values};
use crate::{
    activation::Activation,
    batch_norm::{EPS, Statistics},
    geometry::Geometry,
    kernels::{AdamStep, Kernels, Math, Norm, Product, Sum},
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

/// Where the statistics (2, c), mean and 1/√(variance + eps), gain and bias are.
fn norm_pointers(norm: Norm<'_>, c: usize) -> Result<[u64; 3]> {
    let sizes = [norm.statistics.elem_count(), norm.gain.elem_count(), norm.bias.elem_count()];
    if sizes != [2 * c, c, c] {
        bail!("batch_norm: {c} channels, but {sizes:?} statistics, gains and biases")
    }
    Ok([pointer(norm.statistics)?, pointer(norm.gain)?, pointer(norm.bias)?])
}

/// The slope, and whether it is tanh (1) or the sigmoid (2), as the kernels take an activation.
fn activation(activation: Activation) -> [Argument; 2] {
    match activation {
        Activation::Leaky(slope) => [Float(slope), Int(0)],
        Activation::Tanh => [Float(0.0), Int(1)],
        Activation::Sigmoid => [Float(0.0), Int(2)],
    }
}

impl Context {
    /// The type of a network's maps.
    fn dtype(&self) -> DType {
        if self.math == Math::Bf16 { DType::BF16 } else { DType::F32 }
    }
}

impl Kernels for Context {
    fn network_input(&self, x: &Tensor) -> Result<Tensor> {
        self.cast(&x.contiguous()?, self.dtype())
    }

    fn matmul(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        a.matmul(b)
    }

    fn accumulate_product(&self, to: Sum<'_>, a: &Tensor, b: &Tensor) -> Result<()> {
        self.accumulate(to, &a.matmul(b)?)
    }

    fn join(&self, x: &Tensor, labels: &Tensor) -> Result<Tensor> {
        values::join(self, x, labels)
    }

    fn front(&self, kernel: &Tensor, dim: usize, n: usize) -> Result<Tensor> {
        values::front(self, kernel, dim, n)
    }

    fn blend(&self, to: &Tensor, factor: f32, x: Option<&Tensor>, weight: f32) -> Result<()> {
        values::blend(self, to, factor, x, weight)
    }

    fn multiply(&self, x: &Tensor, by: &Tensor) -> Result<Tensor> {
        values::multiply(self, x, by)
    }

    fn prepared(&self, kernel: &Tensor) -> Result<Tensor> {
        conv::krsc(self, kernel, self.dtype())
    }

    fn convolve(&self, product: Product, g: &Geometry, input: &Tensor, kernel: &Tensor) -> Result<Tensor> {
        conv::convolve(self, product, g, input, kernel)
    }

    fn kernel_gradient(&self, g: &Geometry, images: &Tensor, maps: &Tensor, to: Sum<'_>) -> Result<()> {
        conv::kernel_gradient(self, g, images, maps, to)
    }

    /// f32 (2, c): means and 1/√(variance + eps).
    fn statistics(&self, x: &Tensor) -> Result<Tensor> {
        let (at, name) = (pointer(x)?, type_name(x.dtype())?);
        let cut = Cut::new(x, &[at])?;
        let partial = cut.partial(self)?;
        let mut arguments = vec![Pointer(at), Pointer(pointer(&partial)?)];
        arguments.extend(cut.sizes()?);
        self.launch(&format!("moments_{name}_{}", cut.width), cut.grid, cut.block, &arguments)?;
        let out = self.empty((2, cut.c), DType::F32)?;
        let arguments = [
            Pointer(at),
            Pointer(pointer(&partial)?),
            Pointer(pointer(&out)?),
            Int(cut.grid.1 as i32),
            Int(int(cut.rows)?),
            Int(int(cut.c)?),
            Float(EPS as f32),
        ];
        self.launch(&format!("statistics_{name}"), cut.channel_blocks(), (32, 8), &arguments)?;
        Ok(out)
    }

    fn statistics_from(&self, given: &Statistics) -> Result<Tensor> {
        let mean = given.mean.iter().map(|&mean| mean as f32);
        let values: Vec<f32> = mean
            .chain(given.variance.iter().map(|variance| (1.0 / (variance + EPS).sqrt()) as f32))
            .collect();
        self.tensor(values, &[2, given.mean.len()])
    }

    fn statistics_to_host(&self, statistics: &Tensor) -> Result<Statistics> {
        let rows = statistics.to_vec2::<f32>()?;
        Ok(Statistics {
            mean: rows[0].iter().map(|&mean| f64::from(mean)).collect(),
            variance: rows[1].iter().map(|&inverse| (f64::from(inverse).powi(-2) - EPS).max(0.0)).collect(),
        })
    }

    fn normalise(&self, x: &Tensor, norm: Norm<'_>, in_place: bool) -> Result<Tensor> {
        let out = if in_place { x.clone() } else { self.empty(x.shape(), x.dtype())? };
        let (from, to) = (pointer(x)?, pointer(&out)?);
        let cut = Cut::new(x, &[from, to])?;
        let [statistics, gain, bias] = norm_pointers(norm, cut.c)?;
        let mut arguments =
            vec![Pointer(from), Pointer(to), Pointer(statistics), Pointer(gain), Pointer(bias)];
        arguments.extend(cut.sizes()?);
        arguments.push(Float(norm.slope));
        let name = format!("normalise_{}_{}", type_name(x.dtype())?, cut.width);
        self.launch(&name, cut.grid, cut.block, &arguments)?;
        Ok(out)
    }

    fn normalise_backward(
        &self,
        [x, _, dy]: [&Tensor; 3],
        norm: Norm<'_>,
        sums: Option<[Sum<'_>; 2]>,
    ) -> Result<()> {
        let (xs, dys, dtype) = (pointer(x)?, pointer(dy)?, type_name(x.dtype())?);
        if dy.dtype() != x.dtype() || dy.elem_count() != x.elem_count() {
            bail!("batch_norm: a gradient {:?} {:?} of {:?} {:?}", dy.dtype(), dy.dims(), x.dtype(), x.dims())
        }
        let cut = Cut::new(x, &[xs, dys])?;
        let at = norm_pointers(norm, cut.c)?;
        let [statistics, gain, bias] = at.map(Pointer);
        let partial = cut.partial(self)?;
        let partial_at = Pointer(pointer(&partial)?);
        let mut arguments = vec![Pointer(xs), Pointer(dys), statistics, gain, bias, partial_at];
        arguments.extend(cut.sizes()?);
        arguments.push(Float(norm.slope));
        self.launch(&format!("gradient_sums_{dtype}_{}", cut.width), cut.grid, cut.block, &arguments)?;
        let (dgain, dbias, mode) = match sums {
            Some([gain, bias]) => {
                (pointer(gain.tensor)?, pointer(bias.tensor)?, if gain.adds { 2 } else { 1 })
            }
            None => (0, 0, 0),
        };
        let terms = self.empty((2, cut.c), DType::F32)?;
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
        self.launch("gradient_terms", cut.channel_blocks(), (32, 8), &arguments)?;
        let terms = match norm.across {
            Some(mean) => values::means(self, &terms, mean)?,
            None => terms,
        };
        let terms_at = Pointer(pointer(&terms)?);
        let mut arguments = vec![Pointer(xs), Pointer(dys), statistics, gain, bias, terms_at];
        arguments.extend(cut.sizes()?);
        arguments.push(Float(norm.slope));
        self.launch(&format!("normalise_backward_{dtype}_{}", cut.width), cut.grid, cut.block, &arguments)
    }

    fn activate(&self, x: &Tensor, of: Activation) -> Result<()> {
        if of == Activation::Leaky(1.0) {
            return Ok(());
        }
        let (at, n) = (pointer(x)?, x.elem_count());
        let width = width(n, &[at]);
        let [slope, curve] = activation(of);
        let name = format!("activate_{}_{width}", type_name(x.dtype())?);
        self.launch_flat(&name, n, width, &[Pointer(at), Long(n as i64), slope, curve])
    }

    fn activate_backward(&self, y: &Tensor, dy: &Tensor, of: Activation) -> Result<()> {
        if of == Activation::Leaky(1.0) {
            return Ok(());
        }
        let (ys, dys, n) = (pointer(y)?, pointer(dy)?, y.elem_count());
        if dy.dtype() != y.dtype() || dy.elem_count() != n {
            bail!("activation: a gradient {:?} {:?} of {:?} {:?}", dy.dtype(), dy.dims(), y.dtype(), y.dims())
        }
        let width = width(n, &[ys, dys]);
        let [slope, curve] = activation(of);
        let name = format!("activate_backward_{}_{width}", type_name(y.dtype())?);
        self.launch_flat(&name, n, width, &[Pointer(ys), Pointer(dys), Long(n as i64), slope, curve])
    }

    fn accumulate(&self, Sum { tensor: sum, adds }: Sum<'_>, term: &Tensor) -> Result<()> {
        let (to, from, n) = (pointer(sum)?, pointer(term)?, sum.elem_count());
        if sum.dtype() != DType::F32 || term.elem_count() != n {
            bail!("accumulate: {:?} {:?} to {:?} {:?}", term.dtype(), term.dims(), sum.dtype(), sum.dims())
        }
        let width = width(n, &[to, from]);
        let name = format!("accumulate_{}_{width}", type_name(term.dtype())?);
        self.launch_flat(&name, n, width, &[Pointer(to), Pointer(from), Long(n as i64), Int(i32::from(adds))])
    }

    fn cast(&self, x: &Tensor, dtype: DType) -> Result<Tensor> {
        if x.dtype() == dtype {
            return Ok(x.clone());
        }
        if x.dtype() != DType::F32 {
            bail!("cast: {:?} to {dtype:?}", x.dtype())
        }
        let out = self.empty(x.shape(), dtype)?;
        let (from, to, n) = (pointer(x)?, pointer(&out)?, x.elem_count());
        let width = width(n, &[from, to]);
        let name = format!("cast_{}_{width}", type_name(dtype)?);
        self.launch_flat(&name, n, width, &[Pointer(from), Pointer(to), Long(n as i64)])?;
        Ok(out)
    }

    fn tensor(&self, values: Vec<f32>, shape: &[usize]) -> Result<Tensor> {
        if values.len() != shape.iter().product::<usize>() {
            bail!("{} values where {shape:?} were expected", values.len())
        }
        let slice = upload(self, &values)?;
        let storage = candle_core::CudaStorage::wrap_cuda_slice(slice, self.device.clone());
        Ok(Tensor::from_storage(Storage::Cuda(storage), shape, BackpropOp::none(), false))
    }

    fn activations(&self, pixels: &[u8], [n, c, h, w]: [usize; 4]) -> Result<Tensor> {
        let dtype = self.dtype();
        let uploaded = upload(self, pixels)?;
        let out = self.empty((n, h, w, c), dtype)?;
        let arguments = [
            Pointer(uploaded.device_ptr(&self.stream).0),
            Pointer(pointer(&out)?),
            Long(pixels.len() as i64),
            Int(int(c)?),
            Int(int(h * w)?),
        ];
        self.launch_flat(&format!("scale_pixels_{}", type_name(dtype)?), pixels.len(), 1, &arguments)?;
        Ok(out)
    }

    fn max_pool(&self, maps: &[Tensor], grid: usize) -> Result<Tensor> {
        let n = maps.first().map_or(Ok(0), |maps| maps.dim(0))?;
        let mut sizes = Vec::with_capacity(maps.len());
        for maps in maps {
            let (_, h, w, c) = maps.dims4()?;
            if grid == 0 || h % grid != 0 || w % grid != 0 || h * w == 0 {
                bail!("cannot pool {h}x{w} maps to {grid}x{grid}")
            }
            sizes.push((h, w, c));
        }
        let row_len: usize = sizes.iter().map(|(.., c)| c * grid * grid).sum();
        let out = self.empty((n, row_len), DType::F32)?;
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
            self.launch_flat(&format!("max_pool_{}", type_name(maps.dtype())?), values, 1, &arguments)?;
            offset += c * grid * grid;
        }
        Ok(out)
    }

    fn bce(&self, logits: &Tensor, target: f32) -> Result<(Tensor, Tensor)> {
        let (out, gradient) = (self.empty((), DType::F32)?, self.empty(logits.shape(), logits.dtype())?);
        let arguments = [
            Pointer(pointer(logits)?),
            Pointer(pointer(&gradient)?),
            Pointer(pointer(&out)?),
            Int(int(logits.elem_count())?),
            Float(target),
        ];
        self.launch(&format!("bce_{}", type_name(logits.dtype())?), (1, 1), (256, 1), &arguments)?;
        Ok((out, gradient))
    }

    fn sum_of_squares(&self, tensors: &[&Tensor]) -> Result<f64> {
        let blocks = |x: &Tensor| x.elem_count().div_ceil(THREADS).clamp(1, BLOCKS);
        let out = self.empty(tensors.iter().map(|x| blocks(x)).sum::<usize>(), DType::F64)?;
        let mut to = pointer(&out)?;
        for x in tensors {
            if x.dtype() != DType::F32 {
                bail!("norm: expected f32, found {:?}", x.dtype())
            }
            let arguments = [Pointer(pointer(x)?), Pointer(to), Long(x.elem_count() as i64)];
            self.launch("squares", (blocks(x) as u32, 1), (THREADS as u32, 1), &arguments)?;
            to += (blocks(x) * size_of::<f64>()) as u64;
        }
        Ok(out.to_vec1::<f64>()?.iter().sum())
    }

    fn adam(
        &self,
        parameter: &Tensor,
        gradient: &Tensor,
        [mean, square]: &[Tensor; 2],
        step: AdamStep,
    ) -> Result<()> {
        let n = parameter.elem_count();
        let tensors = [parameter, gradient, mean, square];
        if tensors.iter().any(|tensor| tensor.dtype() != DType::F32 || tensor.elem_count() != n) {
            bail!("adam: expected f32 of {:?}, found {tensors:?}", parameter.dims())
        }
        let at = [pointer(parameter)?, pointer(gradient)?, pointer(mean)?, pointer(square)?];
        let width = width(n, &at);
        let AdamStep { rate, beta1, beta2, square_scale, eps, l2 } = step;
        let [p, g, m, v] = at.map(Pointer);
        let [rate, beta1, beta2, square_scale, eps, l2] =
            [rate, beta1, beta2, square_scale, eps, l2].map(Float);
        let arguments = [p, g, m, v, Long(n as i64), rate, beta1, beta2, square_scale, eps, l2];
        self.launch_flat(&format!("adam_{width}"), n, width, &arguments)
    }
}
