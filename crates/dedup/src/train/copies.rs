//! Corrupted copies of pictures: what the autoencoder is trained on.

use std::sync::LazyLock;

use candle_core::{Device, Tensor};
use dcgan_images::ImageStore;
use dcgan_nn::rng::{self, Purpose};
use rand::{Rng, RngCore};
use rayon::prelude::*;

use super::config::TrainConfig;
use crate::Result;
use crate::preprocess::{N_INPUTS, Preprocessing};
use crate::window::Window;

/// From a picture's bytes and the row it gets to that row of inputs.
type Make<'a> = dyn Fn(&[u8], usize, &mut [f32]) + Sync + 'a;

/// What a step sees: n pictures as they are, n × 3072, and two corrupted copies of each, first all first ones, 2n × 3072.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) clean: Vec<f32>,
    pub(super) copies: Vec<f32>,
}

impl Batch {
    pub(super) fn n_images(&self) -> usize {
        self.clean.len() / N_INPUTS
    }
}

/// Makes minibatches of one training.
pub(super) struct Copies<'a> {
    pub(super) store: &'a ImageStore,
    pub(super) config: &'a TrainConfig,
}

impl Copies<'_> {
    /// The minibatch of step `step`, on all threads.
    pub(super) fn batch(&self, indices: &[u32], step: u64) -> Batch {
        let (first, second) =
            rayon::join(|| self.corrupted(indices, 2 * step), || self.corrupted(indices, 2 * step + 1));
        Batch { clean: self.clean(indices), copies: [first, second].concat() }
    }

    /// The pictures themselves, prepared: n × 3072.
    pub(super) fn clean(&self, indices: &[u32]) -> Vec<f32> {
        self.rows(indices, &|pixels, _, inputs| {
            Window::WHOLE.resample(pixels, self.store.width(), inputs);
            self.preprocessing().apply(inputs);
        })
    }

    /// The same as a tensor (n, 3072); none of no pictures.
    pub(super) fn inputs(&self, indices: &[u32]) -> Result<Option<Tensor>> {
        let tensor = || Tensor::from_vec(self.clean(indices), (indices.len(), N_INPUTS), &Device::Cpu);
        Ok(if indices.is_empty() { None } else { Some(tensor()?) })
    }

    /// A corrupted copy of each: cut, made brighter or darker, prepared, with noise. `draw` numbers the
    /// minibatches and the copies within one.
    fn corrupted(&self, indices: &[u32], draw: u64) -> Vec<f32> {
        let config = self.config;
        self.rows(indices, &|pixels, row, inputs| {
            let counter = draw * indices.len() as u64 + row as u64;
            let mut draws = rng::stream(config.seed, Purpose::Corruption, counter);
            let cut = draws.random::<f32>() * config.zoom as f32;
            let start = [cut * draws.random::<f32>(), cut * draws.random::<f32>()];
            let window = Window { start, size: [1.0 - cut; 2], ..Window::WHOLE };
            window.resample(pixels, self.store.width(), inputs);
            let gain = 1.0 + config.brightness as f32 * draws.random_range(-1.0..=1.0);
            inputs.iter_mut().for_each(|v| *v = (*v * gain).min(1.0));
            self.preprocessing().apply(inputs);
            add_noise(inputs, config.noise as f32, &mut draws);
        })
    }

    fn preprocessing(&self) -> Preprocessing {
        Preprocessing { standardise: self.config.standardise }
    }

    /// One row of inputs an image, made by `make(pixels, row, inputs)` on all threads.
    fn rows(&self, indices: &[u32], make: &Make<'_>) -> Vec<f32> {
        let mut inputs = vec![0.0; indices.len() * N_INPUTS];
        inputs.par_chunks_exact_mut(N_INPUTS).enumerate().for_each(|(row, inputs)| {
            make(self.store.image(indices[row] as usize), row, inputs);
        });
        inputs
    }
}

/// Numbers of the table of the normal distribution.
const N_NORMAL: usize = 1 << 12;

/// The quantiles (i + ½)/4096 of the normal distribution: a draw of 12 bits is a draw from it, and takes a look into a table.
static NORMAL: LazyLock<Vec<f32>> = LazyLock::new(|| {
    const STEPS: i32 = 1 << 11;
    let mut quantiles = Vec::with_capacity(N_NORMAL);
    let mut cumulative = 0.0;
    for step in -5 * STEPS..=5 * STEPS {
        let x = f64::from(step) / f64::from(STEPS);
        cumulative += (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt() / f64::from(STEPS);
        while quantiles.len() < N_NORMAL && cumulative >= (quantiles.len() as f64 + 0.5) / N_NORMAL as f64 {
            quantiles.push(x as f32);
        }
    }
    quantiles.resize(N_NORMAL, 5.0);
    quantiles
});

fn add_noise(inputs: &mut [f32], deviation: f32, draws: &mut impl RngCore) {
    let mut bytes = [0; 2 * N_INPUTS];
    draws.fill_bytes(&mut bytes);
    let normal: &[f32] = &NORMAL;
    for (value, bytes) in inputs.iter_mut().zip(bytes.chunks_exact(2)) {
        let drawn = usize::from(u16::from_le_bytes([bytes[0], bytes[1]])) % N_NORMAL;
        *value += deviation * normal[drawn];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_normal() {
        let mut draws = rng::stream(1, Purpose::Corruption, 0);
        let mut values = vec![0.0f32; N_INPUTS];
        let (mut sum, mut squares, mut beyond, mut n) = (0.0f64, 0.0f64, 0.0, 0.0);
        for _ in 0..200 {
            values.fill(0.0);
            add_noise(&mut values, 2.0, &mut draws);
            for value in &values {
                n += 1.0;
                sum += f64::from(*value);
                squares += f64::from(value * value);
                // Beyond two standard deviations: 2·(1 − Φ(2)) = 0.0455.
                beyond += f64::from(u8::from(value.abs() > 4.0));
            }
        }
        assert!((sum / n).abs() < 0.02, "{}", sum / n);
        assert!((squares / n - 4.0).abs() < 0.05, "{}", squares / n);
        assert!((beyond / n - 0.0455).abs() < 0.003, "{}", beyond / n);
    }
}
