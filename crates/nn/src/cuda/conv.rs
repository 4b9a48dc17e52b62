//! Convolutions of tensors: cuDNN's products, and what turns kernels into its order and back.

use candle_core::{CudaStorage, DType, Layout, Result, Shape, Tensor, backend::BackendStorage, bail};

use super::{
    Argument, Context,
    cudnn::{Direction, Operands},
    int, lock, pointer, pointer_in, type_name,
};
use crate::conv::Geometry;

/// Values of the larger operands of a convolution: cuDNN counts them in 32 bits.
fn check_sizes(g: &Geometry) -> Result<()> {
    for n in [g.n * g.image_len(), g.n * g.map_len(), g.patch() * g.o] {
        int(n)?;
    }
    Ok(())
}

fn tiles(rows: usize, columns: usize) -> (u32, u32) {
    (rows.div_ceil(32) as u32, columns.div_ceil(32) as u32)
}

/// A kernel (kh, kw, c, o) in the memory order (o, kh, kw, c) and of type `dtype`, for convolutions to take as it is. The
/// tensor has the shape of the kernel all the same.
pub(crate) fn krsc(kernel: &Tensor, dtype: DType) -> Result<Tensor> {
    let kernel = kernel.detach();
    if is_krsc(kernel.layout())? && kernel.dtype() == dtype {
        return Ok(kernel);
    }
    let context = Context::of_tensor(&kernel)?;
    let (kh, kw, c, o) = kernel.dims4()?;
    if kernel.dtype() != DType::F32 {
        bail!("convolution: expected a kernel of f32, found {:?}", kernel.dtype())
    }
    let out = context.empty((o, kh, kw, c), dtype)?;
    turn(&context, pointer(&kernel)?, (kh * kw * c, o), pointer(&out)?, dtype)?;
    out.permute((1, 2, 3, 0))
}

fn is_krsc(kernel: &Layout) -> Result<bool> {
    Ok(kernel.permute(&[3, 0, 1, 2])?.is_contiguous())
}

/// f32 (rows, columns) to (columns, rows) of type `dtype`.
fn turn(context: &Context, from: u64, (rows, columns): (usize, usize), to: u64, dtype: DType) -> Result<()> {
    let arguments = [
        Argument::Pointer(from),
        Argument::Pointer(to),
        Argument::Int(int(rows)?),
        Argument::Int(int(columns)?),
    ];
    context.launch(&format!("kernel_in_{}", type_name(dtype)?), tiles(rows, columns), (32, 8), &arguments)
}

/// Images (forward) or maps (data), contiguous, and kernel (kh, kw, c, o), to the other of the two, of the input's type. The
/// kernel is contiguous and f32, or as [`krsc`] made it for the input's type.
pub(crate) fn convolve(
    direction: Direction,
    g: &Geometry,
    (input, input_layout): (&CudaStorage, &Layout),
    (kernel, kernel_layout): (&CudaStorage, &Layout),
) -> Result<(CudaStorage, Shape)> {
    check_sizes(g)?;
    let context = Context::of(&input.device)?;
    let dtype = input.dtype();
    let input = pointer_in(input, input_layout, &context.stream)?;
    let turned;
    let kernel = if is_krsc(kernel_layout)? && kernel.dtype() == dtype {
        pointer_in(kernel, &kernel_layout.permute(&[3, 0, 1, 2])?, &context.stream)?
    } else if kernel.dtype() == DType::F32 {
        turned = context.empty(g.patch() * g.o, dtype)?;
        let from = pointer_in(kernel, kernel_layout, &context.stream)?;
        turn(&context, from, (g.patch(), g.o), pointer(&turned)?, dtype)?;
        pointer(&turned)?
    } else {
        bail!("convolution: a kernel of {:?} over {dtype:?}", kernel.dtype())
    };
    let shape = match direction {
        Direction::Forward => Shape::from((g.n, g.oh, g.ow, g.o)),
        _ => Shape::from((g.n, g.h, g.w, g.c)),
    };
    let output = context.empty_storage(&shape, dtype)?;
    let written = pointer_in(&output, &Layout::contiguous(&shape), &context.stream)?;
    let (images, maps) = if direction == Direction::Forward { (input, written) } else { (written, input) };
    run(&context, direction, g, dtype, Operands { images, kernel, maps })?;
    Ok((output, shape))
}

/// Runs a product in `dtype`; where cuDNN has no way to do it in bf16, in f32.
fn run(context: &Context, direction: Direction, g: &Geometry, dtype: DType, at: Operands) -> Result<()> {
    if lock(&context.cudnn).run(direction, g, dtype, context.math, at)? {
        return Ok(());
    }
    let sizes = [g.n * g.image_len(), g.patch() * g.o, g.n * g.map_len()];
    let wide = sizes.map(|n| context.empty(n, DType::F32));
    let wide = wide.into_iter().collect::<Result<Vec<Tensor>>>()?;
    let [images, kernel, maps] = [pointer(&wide[0])?, pointer(&wide[1])?, pointer(&wide[2])?];
    let (from, to) = ([at.images, at.kernel, at.maps], [images, kernel, maps]);
    let result = match direction {
        Direction::Data => 0,
        Direction::Filter => 1,
        Direction::Forward => 2,
    };
    for i in (0..3).filter(|i| *i != result) {
        let arguments = [
            Argument::Pointer(to[i]),
            Argument::Pointer(from[i]),
            Argument::Long(sizes[i] as i64),
            Argument::Int(0),
        ];
        context.launch_flat("accumulate_bf16_1", sizes[i], 1, &arguments)?;
    }
    lock(&context.cudnn).run(direction, g, DType::F32, context.math, Operands { images, kernel, maps })?;
    let arguments = [
        Argument::Pointer(to[result]),
        Argument::Pointer(from[result]),
        Argument::Long(sizes[result] as i64),
    ];
    context.launch_flat("cast_bf16_1", sizes[result], 1, &arguments)
}

/// Writes the gradient of a kernel, f32 (kh, kw, c, o), or adds it; all are contiguous.
pub(crate) fn kernel_gradient(
    g: &Geometry,
    (gradient, gradient_layout): (&CudaStorage, &Layout),
    (images, images_layout): (&CudaStorage, &Layout),
    (maps, maps_layout): (&CudaStorage, &Layout),
    adds: bool,
) -> Result<()> {
    check_sizes(g)?;
    let context = Context::of(&images.device)?;
    let dtype = images.dtype();
    if gradient.dtype() != DType::F32 || maps.dtype() != dtype {
        bail!("convolution: a gradient of {:?} from {dtype:?} and {:?}", gradient.dtype(), maps.dtype())
    }
    let own = context.empty(g.patch() * g.o, dtype)?;
    let images = pointer_in(images, images_layout, &context.stream)?;
    let maps = pointer_in(maps, maps_layout, &context.stream)?;
    let at = Operands { images, kernel: pointer(&own)?, maps };
    run(&context, Direction::Filter, g, dtype, at)?;
    let (rows, columns) = (g.o, g.patch());
    let arguments = [
        Argument::Pointer(pointer(&own)?),
        Argument::Pointer(pointer_in(gradient, gradient_layout, &context.stream)?),
        Argument::Int(int(rows)?),
        Argument::Int(int(columns)?),
        Argument::Int(i32::from(adds)),
    ];
    context.launch(&format!("gradient_out_{}", type_name(dtype)?), tiles(rows, columns), (32, 8), &arguments)
}
