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
mod winograd;

use candle_core::Tensor;

pub(crate) use self::geometry::Geometry;
use crate::Result;

/// 2-d convolution (cross-correlation, as in PyTorch; Theano flips its kernels).
///
/// `x`: (n, h, w, c), `kernel`: (kh, kw, c, o) → (n, oh, ow, o) with oh = ⌊(h + 2·padding − kh) / stride⌋ + 1.
///
/// # Errors
/// Where the shapes do not fit each other or the kernel is larger than the padded input.
pub fn conv2d(x: &Tensor, kernel: &Tensor, stride: usize, padding: usize) -> Result<Tensor> {
    let convolution = Convolution { stride, padding, transposed: None };
    let geometry = convolution.geometry(x.dims(), kernel.dims())?;
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
    let convolution = Convolution { stride, padding, transposed: Some(output_padding) };
    let geometry = convolution.geometry(x.dims(), kernel.dims())?;
    Ok(x.contiguous()?.apply_op2(&kernel.contiguous()?, op::ConvTranspose2d(geometry))?)
}

/// A convolution or a transposed one as a layer uses it: forward and gradients apart, for contiguous tensors without a
/// graph.
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

    /// Input (n, h, w, c) → output (n, oh, ow, o), both contiguous.
    pub fn forward(&self, x: &Tensor, kernel: &Tensor) -> Result<Tensor> {
        let geometry = self.geometry(x.dims(), kernel.dims())?;
        Ok(match self.transposed {
            None => x.apply_op2_no_bwd(kernel, &op::Conv2d(geometry))?,
            Some(_) => x.apply_op2_no_bwd(kernel, &op::ConvTranspose2d(geometry))?,
        })
    }

    /// The gradient of an input of shape `x`.
    pub fn input_gradient(&self, x: &[usize], kernel: &Tensor, dy: &Tensor) -> Result<Tensor> {
        let geometry = self.geometry(x, kernel.dims())?;
        Ok(match self.transposed {
            None => dy.apply_op2_no_bwd(kernel, &op::ConvTranspose2d(geometry))?,
            Some(_) => dy.apply_op2_no_bwd(kernel, &op::Conv2d(geometry))?,
        })
    }

    /// Writes the gradient of the kernel to `gradient`, or adds it.
    pub fn kernel_gradient(&self, x: &Tensor, dy: &Tensor, gradient: &Tensor, adds: bool) -> Result<()> {
        let op = op::KernelGradient { geometry: self.geometry(x.dims(), gradient.dims())?, adds };
        match self.transposed {
            None => gradient.inplace_op3(x, dy, &op)?,
            Some(_) => gradient.inplace_op3(dy, x, &op)?,
        }
        Ok(())
    }
}

/// A kernel as PyTorch has it, (o, c, kh, kw) of a convolution or (c, o, kh, kw) of a transposed one, in the order of
/// [`conv2d`] and [`conv_transpose2d`].
pub fn from_pytorch(kernel: &Tensor) -> Result<Tensor> {
    Ok(kernel.permute((2, 3, 1, 0))?.contiguous()?)
}

#[cfg(test)]
mod tests;
