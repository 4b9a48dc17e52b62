//! The size of gradients and weights.

use candle_core::Tensor;

use crate::{Result, device};

/// The Euclidean norm of f32 tensors taken together, √Σx². It is NaN or infinite if one of the values is. Sums are of f64
/// and in a fixed order: the same values give the same bits. Waits for a GPU.
pub fn norm<'a>(tensors: impl IntoIterator<Item = &'a Tensor>) -> Result<f64> {
    let tensors: Vec<&Tensor> = tensors.into_iter().collect();
    match tensors.first() {
        Some(first) => Ok(device::kernels(first.device())?.sum_of_squares(&tensors)?.sqrt()),
        None => Ok(0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::tensor;

    #[test]
    fn is_that_of_candles_own_operations() {
        let (a, b) = (tensor(&[37, 1001]), tensor(&[7]));
        let square = |t: &Tensor| t.to_dtype(candle_core::DType::F64)?.sqr()?.sum_all()?.to_scalar::<f64>();
        let expected = (square(&a).unwrap() + square(&b).unwrap()).sqrt();
        let ours = norm([&a, &b]).unwrap();
        assert!((ours / expected - 1.0).abs() < 1e-12, "{ours} {expected}");
        assert_eq!(norm([]).unwrap(), 0.0);
    }

    #[test]
    fn one_bad_value_shows() {
        let device = candle_core::Device::Cpu;
        for bad in [f32::NAN, f32::INFINITY] {
            let values = Tensor::new(&[1.0, bad, 2.0], &device).unwrap();
            assert!(!norm([&values]).unwrap().is_finite());
        }
        // Squares of f32 would overflow.
        assert!(norm([&Tensor::new(&[1e30f32], &device).unwrap()]).unwrap().is_finite());
    }
}
