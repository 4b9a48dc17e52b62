//! The size of gradients and weights.

use candle_core::Tensor;
use rayon::prelude::*;

use crate::{Result, storage::with_slice, vectorised};

/// Values a task handles.
const CHUNK: usize = 1 << 14;
/// Sums that run side by side.
const LANES: usize = 16;

/// The Euclidean norm of f32 tensors taken together, √Σx². It is NaN or infinite if one of the values is. Sums are of f64
/// and in a fixed order: the same values give the same bits.
pub fn norm<'a>(tensors: impl IntoIterator<Item = &'a Tensor>) -> Result<f64> {
    let tensors: Vec<&Tensor> = tensors.into_iter().collect();
    #[cfg(feature = "cuda")]
    if tensors.first().is_some_and(|tensor| tensor.device().is_cuda()) {
        return Ok(crate::cuda::sum_of_squares(&tensors)?.sqrt());
    }
    let mut sum = 0.0;
    for tensor in tensors {
        sum += match tensor.device().is_cpu() {
            true => with_slice(&tensor.contiguous()?, "norm", |values| {
                let parts: Vec<f64> = values.par_chunks(CHUNK).map(squares).collect();
                Ok(parts.iter().sum::<f64>())
            })?,
            false => f64::from(tensor.detach().sqr()?.sum_all()?.to_scalar::<f32>()?),
        };
    }
    Ok(sum.sqrt())
}

fn squares(values: &[f32]) -> f64 {
    vectorised(|| {
        let mut sums = [0.0; LANES];
        let mut lanes = values.chunks_exact(LANES);
        for values in &mut lanes {
            for (sum, &x) in sums.iter_mut().zip(values) {
                *sum += f64::from(x) * f64::from(x);
            }
        }
        let rest: f64 = lanes.remainder().iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        sums.iter().sum::<f64>() + rest
    })
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
