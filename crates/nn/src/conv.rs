//! Convolution and transposed convolution with fast gradients.
//!
//! Both are made of the same three products over one geometry: a convolution maps *images* `(n, h, w, c)` to *maps*
//! `(n, oh, ow, o)`; a transposed convolution is its input gradient and maps the other way. The gradient of each is
//! the other two products.

use candle_core::Tensor;

use crate::{
    Result, device,
    geometry::Geometry,
    kernels::{Product, Sum},
};

/// A 2-d convolution (cross-correlation, as in PyTorch; Theano flips its kernels) or a transposed one: forward and gradients
/// apart, for contiguous tensors without a graph.
///
/// Convolution: `x` (n, h, w, c), kernel (kh, kw, c, o) → (n, oh, ow, o) with oh = ⌊(h + 2·padding − kh) / stride⌋ + 1.
/// Transposed: `x` (n, h, w, c), kernel (kh, kw, o, c) → (n, oh, ow, o) with
/// oh = (h − 1)·stride − 2·padding + kh + output padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Convolution {
    /// Stride.
    pub stride: usize,
    /// Padding on every side.
    pub padding: usize,
    /// The output padding of a transposed convolution, none for a plain one.
    pub transposed: Option<usize>,
}

impl Convolution {
    /// The transposed convolution of a single place: a square raster of the kernel's size.
    pub const TO_RASTER: Self = Self { stride: 1, padding: 0, transposed: Some(0) };

    /// The convolution that divides sides by `stride`, for sides that are its multiples and any odd kernel, or an even one of stride 2.
    pub fn reducing(kernel: usize, stride: usize) -> Self {
        Self { stride, padding: kernel.saturating_sub(1) / 2, transposed: None }
    }

    /// The transposed convolution that multiplies sides by `stride`, for any odd kernel, or an even one of stride 2.
    pub fn enlarging(kernel: usize, stride: usize) -> Self {
        let lacking = if kernel.is_multiple_of(2) { 2 } else { 1 };
        Self { transposed: Some(stride.saturating_sub(lacking)), ..Self::reducing(kernel, stride) }
    }

    fn geometry(&self, x: &[usize], kernel: &[usize]) -> Result<Geometry> {
        let (&[n, h, w, c], &[kh, kw, inner, outer]) = (x, kernel) else {
            let message =
                format!("convolution: expected (n, h, w, c) and a 4-d kernel, found {x:?} and {kernel:?}");
            return Err(candle_core::Error::Msg(message).into());
        };
        let (takes, gives) = if self.transposed.is_some() { (outer, inner) } else { (inner, outer) };
        if takes != c {
            let message = format!("convolution: the kernel takes {takes} channels, the input has {c}");
            return Err(candle_core::Error::Msg(message).into());
        }
        Ok(match self.transposed {
            None => Geometry::of_convolution([n, h, w, c], gives, [kh, kw], self.stride, self.padding)?,
            Some(output_padding) => Geometry::of_transposed(
                [n, h, w, c],
                gives,
                [kh, kw],
                self.stride,
                self.padding,
                output_padding,
            )?,
        })
    }

    /// Input (n, h, w, c) → output (n, oh, ow, o).
    ///
    /// # Errors
    /// Where the shapes do not fit each other, the kernel is larger than the padded input, or the output padding is not below
    /// the stride.
    pub fn forward(&self, x: &Tensor, kernel: &Tensor) -> Result<Tensor> {
        let geometry = self.geometry(x.dims(), kernel.dims())?;
        let product = if self.transposed.is_some() { Product::Data } else { Product::Forward };
        Ok(device::kernels(x.device())?.convolve(product, &geometry, x, kernel)?)
    }

    /// The gradient of an input of shape `x`.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn input_gradient(&self, x: &[usize], kernel: &Tensor, dy: &Tensor) -> Result<Tensor> {
        let geometry = self.geometry(x, kernel.dims())?;
        let product = if self.transposed.is_some() { Product::Forward } else { Product::Data };
        Ok(device::kernels(dy.device())?.convolve(product, &geometry, dy, kernel)?)
    }

    /// Writes the gradient of the kernel to `gradient`, or adds it.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn kernel_gradient(&self, x: &Tensor, dy: &Tensor, gradient: &Tensor, adds: bool) -> Result<()> {
        let geometry = self.geometry(x.dims(), gradient.dims())?;
        let (images, maps) = if self.transposed.is_some() { (dy, x) } else { (x, dy) };
        let to = Sum { tensor: gradient, adds };
        Ok(device::kernels(x.device())?.kernel_gradient(&geometry, images, maps, to)?)
    }
}

/// A kernel as PyTorch has it, (o, c, kh, kw) of a convolution or (c, o, kh, kw) of a transposed one, in the order of
/// [`Convolution`].
pub fn from_pytorch(kernel: &Tensor) -> Result<Tensor> {
    Ok(kernel.permute((2, 3, 1, 0))?.contiguous()?)
}

/// The inverse of [`from_pytorch`].
pub fn to_pytorch(kernel: &Tensor) -> Result<Tensor> {
    Ok(kernel.permute((3, 2, 0, 1))?.contiguous()?)
}

#[cfg(test)]
mod sum_tests;
#[cfg(test)]
mod tests;
