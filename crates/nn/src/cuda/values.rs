//! What is done to each value by itself, and what moves values: candle's own kernels for it are not there.

use crate::kernels::{Kernels, Mean};
use candle_core::{Result, Tensor, bail};

use super::{
    Argument::{Float, Int, Long, Pointer},
    Context, int, pointer, type_name,
};

/// The labels of a row behind every one of its c channels.
pub(super) fn join(context: &Context, x: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let ((n, k), mut shape) = (labels.dims2()?, x.dims().to_vec());
    let c = shape[shape.len() - 1];
    *shape.last_mut().unwrap_or(&mut 0) += k;
    let positions = x.elem_count() / (n * c).max(1);
    let (out, values) = (context.empty(shape, x.dtype())?, n * positions * (c + k));
    let arguments = [
        Pointer(pointer(x)?),
        Pointer(pointer(labels)?),
        Pointer(pointer(&out)?),
        Long(values as i64),
        Int(int(c)?),
        Int(int(k)?),
        Int(int(positions)?),
    ];
    context.launch_flat(&format!("join_{}", type_name(x.dtype())?), values, 1, &arguments)?;
    Ok(out)
}

/// The first of a dimension of a kernel, which stays in its order of memory.
pub(super) fn front(context: &Context, kernel: &Tensor, dim: usize, n: usize) -> Result<Tensor> {
    // What is prepared lies in another order of memory.
    if !kernel.is_contiguous() {
        let own_dim = (dim + 1) % 4;
        return front(context, &kernel.permute((3, 0, 1, 2))?, own_dim, n)?.permute((1, 2, 3, 0));
    }
    let mut shape = kernel.dims().to_vec();
    let from = shape[dim..].iter().product::<usize>();
    shape[dim] = n;
    let to = shape[dim..].iter().product::<usize>();
    let (values, out) = (shape.iter().product(), context.empty(shape, kernel.dtype())?);
    let arguments = [
        Pointer(pointer(kernel)?),
        Pointer(pointer(&out)?),
        Long(values as i64),
        Long(from as i64),
        Long(to as i64),
    ];
    context.launch_flat(&format!("front_{}", type_name(kernel.dtype())?), values, 1, &arguments)?;
    Ok(out)
}

/// to ← factor·to + weight·x, or + weight.
pub(super) fn blend(
    context: &Context,
    to: &Tensor,
    factor: f32,
    x: Option<&Tensor>,
    weight: f32,
) -> Result<()> {
    let n = to.elem_count();
    if let Some(x) = x.filter(|x| x.elem_count() != n || x.dtype() != to.dtype()) {
        bail!("blend: {:?} {:?} to {:?} {:?}", x.dtype(), x.dims(), to.dtype(), to.dims())
    }
    let from = x.map_or(Ok(0), pointer)?;
    let arguments = [Pointer(pointer(to)?), Pointer(from), Long(n as i64), Float(factor), Float(weight)];
    context.launch_flat(&format!("blend_{}", type_name(to.dtype())?), n, 1, &arguments)
}

/// x times the values of `by`, again and again.
pub(super) fn multiply(context: &Context, x: &Tensor, by: &Tensor) -> Result<Tensor> {
    let (out, n) = (context.empty(x.shape(), x.dtype())?, x.elem_count());
    let arguments = [
        Pointer(pointer(x)?),
        Pointer(pointer(by)?),
        Pointer(pointer(&out)?),
        Long(n as i64),
        Long(by.elem_count() as i64),
    ];
    context.launch_flat(&format!("multiply_{}", type_name(x.dtype())?), n, 1, &arguments)?;
    Ok(out)
}

/// The means over the parts of a minibatch, of f32 values.
pub(super) fn means(context: &Context, own: &Tensor, mean: Mean<'_>) -> Result<Tensor> {
    let mut values: Vec<f64> = own.flatten_all()?.to_vec1::<f32>()?.into_iter().map(f64::from).collect();
    mean(&mut values)?;
    context.tensor(values.into_iter().map(|value| value as f32).collect(), own.dims())
}
