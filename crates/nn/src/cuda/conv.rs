//! Convolutions of tensors: cuDNN's products, and what turns kernels into its order and back.

use candle_core::{DType, Result, Shape, Tensor, bail};

use super::{
    Argument, Context,
    cudnn::{Direction, Operands},
    int, lock, pointer, type_name,
};
use crate::{
    geometry::Geometry,
    kernels::{Product, Sum},
};

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
pub(super) fn krsc(context: &Context, kernel: &Tensor, dtype: DType) -> Result<Tensor> {
    if in_krsc(kernel)?.is_contiguous() && kernel.dtype() == dtype {
        return Ok(kernel.clone());
    }
    let (kh, kw, c, o) = kernel.dims4()?;
    if kernel.dtype() != DType::F32 {
        bail!("convolution: a kernel of {:?} for maps of {dtype:?}", kernel.dtype())
    }
    let out = context.empty((o, kh, kw, c), dtype)?;
    turn(context, pointer(kernel)?, (kh * kw * c, o), pointer(&out)?, dtype)?;
    out.permute((1, 2, 3, 0))
}

fn in_krsc(kernel: &Tensor) -> Result<Tensor> {
    kernel.permute((3, 0, 1, 2))
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
pub(super) fn convolve(
    context: &Context,
    product: Product,
    g: &Geometry,
    input: &Tensor,
    kernel: &Tensor,
) -> Result<Tensor> {
    check_sizes(g)?;
    let dtype = input.dtype();
    let kernel = in_krsc(&krsc(context, kernel, dtype)?)?;
    let (direction, shape) = match product {
        Product::Forward => (Direction::Forward, Shape::from((g.n, g.oh, g.ow, g.o))),
        Product::Data => (Direction::Data, Shape::from((g.n, g.h, g.w, g.c))),
    };
    let output = context.empty(shape, dtype)?;
    let (images, maps) = match product {
        Product::Forward => (input, &output),
        Product::Data => (&output, input),
    };
    let at = Operands { images: pointer(images)?, kernel: pointer(&kernel)?, maps: pointer(maps)? };
    run(context, direction, g, dtype, at)?;
    Ok(output)
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
pub(super) fn kernel_gradient(
    context: &Context,
    g: &Geometry,
    images: &Tensor,
    maps: &Tensor,
    to: Sum<'_>,
) -> Result<()> {
    check_sizes(g)?;
    let dtype = images.dtype();
    if to.tensor.dtype() != DType::F32 || maps.dtype() != dtype {
        bail!("convolution: a gradient of {:?} from {dtype:?} and {:?}", to.tensor.dtype(), maps.dtype())
    }
    let own = context.empty(g.patch() * g.o, dtype)?;
    let at = Operands { images: pointer(images)?, kernel: pointer(&own)?, maps: pointer(maps)? };
    run(context, Direction::Filter, g, dtype, at)?;
    let (rows, columns) = (g.o, g.patch());
    let arguments = [
        Argument::Pointer(pointer(&own)?),
        Argument::Pointer(pointer(to.tensor)?),
        Argument::Int(int(rows)?),
        Argument::Int(int(columns)?),
        Argument::Int(i32::from(to.adds)),
    ];
    context.launch(&format!("gradient_out_{}", type_name(dtype)?), tiles(rows, columns), (32, 8), &arguments)
}
