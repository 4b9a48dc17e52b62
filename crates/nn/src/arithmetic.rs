//! Arithmetic of contiguous tensors without a graph, on whatever device they are: candle's own kernels are not there on a GPU.

use candle_core::Tensor;

use crate::{Result, device};

/// to ← factor·to + weight·x, or + weight without x; in place. `x` is of the shape and the type of `to`.
///
/// # Errors
/// Where the two do not fit each other.
pub fn blend(to: &Tensor, factor: f32, x: Option<&Tensor>, weight: f32) -> Result<()> {
    let x = x.map(Tensor::detach);
    Ok(device::kernels(to.device())?.blend(&to.detach(), factor, x.as_ref(), weight)?)
}

/// x times `by`, which is of x's shape or of that of its last dimensions.
///
/// # Errors
/// Where `by` has another shape.
pub fn multiply(x: &Tensor, by: &Tensor) -> Result<Tensor> {
    if by.elem_count() == 0 || !x.dims().ends_with(by.dims()) {
        let message = format!("multiply: {:?} by {:?}", x.dims(), by.dims());
        return Err(candle_core::Error::Msg(message).into());
    }
    let kernels = device::kernels(x.device())?;
    Ok(kernels.multiply(&x.detach().contiguous()?, &kernels.cast(&by.detach().contiguous()?, x.dtype())?)?)
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::testing::{flat, tensor};

    /// Both as candle has them, in f32 and in bf16, to the bit.
    #[test]
    fn blends_and_products_are_candles() {
        for dtype in [DType::F32, DType::BF16] {
            let wide = |t: &Tensor| flat(&t.to_dtype(DType::F32).unwrap());
            let [a, x] = [0, 1].map(|_| tensor(&[3, 4, 5]).to_dtype(dtype).unwrap());
            let by = Tensor::new(&[0.0f32, 1.0, 1.0 / 3.0, -2.0, 0.7], &Device::Cpu).unwrap();
            let expected = x.broadcast_mul(&by.to_dtype(dtype).unwrap()).unwrap();
            assert_eq!(wide(&multiply(&x, &by).unwrap()), wide(&expected));
            let expected = (a.affine(0.75, 0.0).unwrap() + x.affine(0.25, 0.0).unwrap()).unwrap();
            let to = a.copy().unwrap();
            blend(&to, 0.75, Some(&x), 0.25).unwrap();
            assert_eq!(wide(&to), wide(&expected));
            blend(&to, 0.5, None, 0.5).unwrap();
            assert_eq!(wide(&to), wide(&expected.affine(0.5, 0.5).unwrap()));
        }
        let shapes = multiply(&tensor(&[3, 4]), &tensor(&[3])).unwrap_err().to_string();
        assert!(shapes.contains("[3, 4] by [3]"), "{shapes}");
    }
}
