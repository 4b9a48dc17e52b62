//! Convolution and transposed convolution with fast gradients.
//!
//! Both are made of the same three kernels over one geometry: a convolution maps *images* `(n, h, w, c)` to *maps*
//! `(n, oh, ow, o)`; a transposed convolution is its input gradient and maps the other way. The gradient of each is
//! the other two kernels, computed only for the operands that need one (images and detached weights do not).

mod columns;
mod correlation;
mod geometry;
mod kernels;
mod micro;
mod op;

use candle_core::Tensor;

use self::geometry::Geometry;
use crate::{NnError, Result};

/// 2-d convolution (cross-correlation, as in PyTorch; Theano flips its kernels).
///
/// `x`: (n, h, w, c), `kernel`: (kh, kw, c, o) → (n, oh, ow, o) with oh = ⌊(h + 2·padding − kh) / stride⌋ + 1.
///
/// # Errors
/// Where the shapes do not fit each other or the kernel is larger than the padded input.
pub fn conv2d(x: &Tensor, kernel: &Tensor, stride: usize, padding: usize) -> Result<Tensor> {
    let (n, h, w, c) = x.dims4()?;
    let (kh, kw, kernel_c, o) = kernel.dims4()?;
    if kernel_c != c {
        return Err(channels_differ("conv2d", kernel_c, c));
    }
    let geometry = Geometry::of_convolution([n, h, w, c], o, [kh, kw], stride, padding)?;
    Ok(x.contiguous()?.apply_op2(&kernel.contiguous()?, op::Conv2d(geometry))?)
}

/// 2-d transposed convolution.
///
/// `x`: (n, h, w, c), `kernel`: (kh, kw, o, c) → (n, oh, ow, o) with
/// oh = (h − 1)·stride − 2·padding + kh + `output_padding`.
///
/// # Errors
/// Where the shapes do not fit each other, or `output_padding` is not below `stride`.
pub fn conv_transpose2d(
    x: &Tensor,
    kernel: &Tensor,
    stride: usize,
    padding: usize,
    output_padding: usize,
) -> Result<Tensor> {
    let (n, h, w, c) = x.dims4()?;
    let (kh, kw, o, kernel_c) = kernel.dims4()?;
    if kernel_c != c {
        return Err(channels_differ("conv_transpose2d", kernel_c, c));
    }
    let geometry = Geometry::of_transposed([n, h, w, c], o, [kh, kw], stride, padding, output_padding)?;
    Ok(x.contiguous()?.apply_op2(&kernel.contiguous()?, op::ConvTranspose2d(geometry))?)
}

/// A kernel as PyTorch has it, (o, c, kh, kw) of a convolution or (c, o, kh, kw) of a transposed one, in the order of
/// [`conv2d`] and [`conv_transpose2d`].
pub fn from_pytorch(kernel: &Tensor) -> Result<Tensor> {
    Ok(kernel.permute((2, 3, 1, 0))?.contiguous()?)
}

fn channels_differ(op: &str, kernel: usize, input: usize) -> NnError {
    candle_core::Error::Msg(format!("{op}: the kernel takes {kernel} channels, the input has {input}")).into()
}

#[cfg(test)]
mod tests;
