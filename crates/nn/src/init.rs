//! Random tensors from a seeded generator.

use candle_core::{Device, Tensor};
use rand::RngCore;
use rand_distr::{Distribution, StandardNormal, Uniform};

use crate::{Result, device};

/// A tensor of independent N(mean, std²) draws.
pub fn normal(
    shape: &[usize],
    mean: f32,
    std: f32,
    rng: &mut dyn RngCore,
    device: &Device,
) -> Result<Tensor> {
    let n = shape.iter().product();
    let values: Vec<f32> =
        StandardNormal.sample_iter(rng).take(n).map(|draw: f32| mean + std * draw).collect();
    device::tensor(values, shape, device)
}

/// A tensor of independent U(-1, 1) draws.
pub fn uniform(shape: &[usize], rng: &mut dyn RngCore, device: &Device) -> Result<Tensor> {
    let n = shape.iter().product();
    // The bounds are constants in order, so the distribution always exists.
    let values: Vec<f32> = match Uniform::new(-1.0f32, 1.0) {
        Ok(distribution) => distribution.sample_iter(rng).take(n).collect(),
        Err(_) => Vec::new(),
    };
    device::tensor(values, shape, device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, stream};

    #[test]
    fn moments() {
        let mut rng = stream(0, Purpose::Weights, 0);
        let weights = normal(&[100, 100], 1.0, 0.02, &mut rng, &Device::Cpu).unwrap();
        let weights = weights.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let mean = weights.iter().map(|&w| f64::from(w)).sum::<f64>() / 1e4;
        let variance = weights.iter().map(|&w| (f64::from(w) - mean).powi(2)).sum::<f64>() / 1e4;
        // Five standard errors of 10,000 draws.
        assert!((mean - 1.0).abs() < 5.0 * 0.02 / 100.0);
        assert!((variance.sqrt() / 0.02 - 1.0).abs() < 5.0 * 0.5f64.sqrt() / 100.0);

        let z = uniform(&[1000], &mut rng, &Device::Cpu).unwrap().to_vec1::<f32>().unwrap();
        assert!(z.iter().all(|z| (-1.0..1.0).contains(z)));
        let second_moment = z.iter().map(|&z| f64::from(z * z)).sum::<f64>() / 1e3;
        assert!((second_moment - 1.0 / 3.0).abs() < 5.0 * (4.0f64 / 45.0 / 1e3).sqrt());
    }
}
