//! A number by which one checkpoint is better than another.
//!
//! Neither the losses nor D's accuracy say how good the samples are: they tell how the two networks stand to each other. The
//! score compares samples with real pictures without either of them: the squared maximum mean discrepancy with the kernel
//! (x·y/d + 1)³ (the KID of Bińkowski et al., "Demystifying MMD GANs", 2018) between the features of 512 samples of the
//! grids' z and of 512 pictures of the training set. The features are those of section 5 of the paper from a
//! discriminator of the same architecture with random weights (its convolutions without labels, where it is conditional); random features tell sets of pictures apart without
//! being fitted to either (Naeem et al., "Reliable fidelity and diversity metrics for generative models", 2020). The
//! estimate is unbiased, so that about 0 is the best and a little below is possible; it is the same whenever it is taken
//! of the same weights. It compares checkpoints of one training, not trainings on other pictures or of other widths.

use candle_core::Tensor;
use dcgan_images::{ImageStore, batches};
use dcgan_nn::device::Device;

use super::config::TrainSettings;
use crate::{Discriminator, FeatureExtractor, Generator, Result, features::STATISTICS_BATCH, sample};

/// Samples, and real pictures where there are so many.
const N: usize = 512;
/// The weights of the features and the choice of real pictures do not change with the training's seed.
const SEED: u64 = 0;

/// What ranks the generators of a training in place of the built-in score.
pub trait Judge {
    /// The score of a generator: the lower, the better; the same whenever it is taken of the same weights.
    ///
    /// # Errors
    /// [`GanError::Judge`](crate::GanError::Judge) with the judge's own error.
    fn score(&self, generator: &Generator) -> Result<f64>;
}

/// Real pictures' features, ready to be compared with samples'.
pub(super) struct Scorer {
    extractor: FeatureExtractor,
    real: Tensor,
    /// Mean kernel between two of the real pictures.
    real_kernel: f64,
    z_seed: u64,
}

impl Scorer {
    /// Takes the features of up to 512 pictures of `store`; batch norm's statistics are theirs.
    pub(super) fn new(store: &ImageStore, settings: &TrainSettings, device: &Device) -> Result<Self> {
        let mut indices = batches::shuffled(store.len(), SEED, u64::MAX);
        indices.truncate(N);
        indices.sort_unstable();
        let mut pixels = Vec::new();
        store.gather(&indices, &mut pixels);
        let config = settings.architecture.discriminator().unconditional();
        let discriminator = Discriminator::random(config, SEED, device)?;
        // Over whole batches where there is one, so that the scores of trainings in progress stay comparable.
        let batch = STATISTICS_BATCH * store.image(0).len();
        let whole = if pixels.len() < batch { pixels.len() } else { pixels.len() / batch * batch };
        let extractor = FeatureExtractor::infer_on(&discriminator, &pixels[..whole], device)?;
        let real = features(&extractor, &pixels)?;
        let real_kernel = mean_kernel(&real, &real, true)?;
        Ok(Self { extractor, real, real_kernel, z_seed: settings.seed })
    }

    /// The score of a generator: the lower, the better.
    pub(super) fn score(&self, generator: &Generator) -> Result<f64> {
        let samples = features(&self.extractor, &sample::generate(generator, N, self.z_seed)?)?;
        let across = mean_kernel(&self.real, &samples, false)?;
        Ok(self.real_kernel + mean_kernel(&samples, &samples, true)? - 2.0 * across)
    }
}

/// Features (n, d) on the CPU.
fn features(extractor: &FeatureExtractor, pixels: &[u8]) -> Result<Tensor> {
    let (values, d) = (extractor.extract_all(pixels)?, extractor.n_features());
    let n = values.len() / d;
    Ok(Tensor::from_vec(values, (n, d), &Device::CPU)?)
}

/// The mean of (x·y/d + 1)³ over the rows of both, or over pairs of two different rows where both are the same.
fn mean_kernel(x: &Tensor, y: &Tensor, is_same: bool) -> Result<f64> {
    let (n, d) = x.dims2()?;
    let products = x.matmul(&y.t()?)?.to_vec2::<f32>()?;
    let kernel = |product: f32| (f64::from(product) / d as f64 + 1.0).powi(3);
    let mut sum: f64 = products.iter().flatten().map(|&product| kernel(product)).sum();
    let mut n_pairs = n * y.dim(0)?;
    if is_same {
        sum -= (0..n).map(|i| kernel(products[i][i])).sum::<f64>();
        n_pairs -= n;
    }
    Ok(sum / n_pairs as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    // import numpy as np
    // x, y = np.sin(np.arange(12.)).reshape(4, 3), np.cos(np.arange(9.)).reshape(3, 3)
    // k = lambda a, b: (a @ b.T / 3 + 1) ** 3
    // off = lambda m: (m.sum() - np.trace(m)) / (len(m) * (len(m) - 1))
    // print(off(k(x, x)) + off(k(y, y)) - 2 * k(x, y).mean())
    #[test]
    fn the_discrepancy_is_numpys() {
        let rows = |f: fn(f64) -> f64, n: usize| {
            let values: Vec<f32> = (0..3 * n).map(|i| f(i as f64) as f32).collect();
            Tensor::from_vec(values, (n, 3), &Device::CPU).unwrap()
        };
        let (x, y) = (rows(f64::sin, 4), rows(f64::cos, 3));
        let within = mean_kernel(&x, &x, true).unwrap() + mean_kernel(&y, &y, true).unwrap();
        let discrepancy = within - 2.0 * mean_kernel(&x, &y, false).unwrap();
        assert!((discrepancy - 0.2071002388).abs() < 1e-5, "{discrepancy}");
    }
}
