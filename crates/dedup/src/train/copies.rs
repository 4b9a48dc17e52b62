//! Corrupted copies of pictures: what the autoencoder is trained on.

use candle_core::{Device, Tensor};
use dcgan_images::ImageStore;
use dcgan_nn::rng::{self, Purpose};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use super::config::TrainConfig;
use super::window::Window;
use crate::Result;
use crate::preprocess::{N_INPUTS, Preprocessing};

/// From a picture's bytes and the row it gets to that row of inputs.
type Make<'a> = dyn Fn(&[u8], usize, &mut [f32]) + Sync + 'a;

/// Makes minibatches of one training.
pub(super) struct Copies<'a> {
    pub(super) store: &'a ImageStore,
    pub(super) config: &'a TrainConfig,
}

impl Copies<'_> {
    /// The pictures themselves, prepared: (n, 3072).
    pub(super) fn clean(&self, indices: &[u32]) -> Result<Tensor> {
        self.batch(indices, &|pixels, _, inputs| {
            Window::WHOLE.resample(pixels, self.store.width(), inputs);
            self.preprocessing().apply(inputs);
        })
    }

    /// A corrupted copy of each: cut, made brighter or darker, prepared, with noise. `draw` numbers the minibatches and the
    /// copies within one.
    pub(super) fn corrupted(&self, indices: &[u32], draw: u64) -> Result<Tensor> {
        let config = self.config;
        self.batch(indices, &|pixels, row, inputs| {
            let counter = draw * indices.len() as u64 + row as u64;
            let mut draws = rng::stream(config.seed, Purpose::Corruption, counter);
            let cut = draws.random::<f32>() * config.zoom as f32;
            let window = Window {
                left: cut * draws.random::<f32>(),
                top: cut * draws.random::<f32>(),
                side: 1.0 - cut,
            };
            window.resample(pixels, self.store.width(), inputs);
            let gain = 1.0 + config.brightness as f32 * draws.random_range(-1.0..=1.0);
            inputs.iter_mut().for_each(|v| *v = (*v * gain).min(1.0));
            self.preprocessing().apply(inputs);
            let noise = config.noise as f32;
            for (value, normal) in inputs.iter_mut().zip(StandardNormal.sample_iter(&mut draws)) {
                let normal: f32 = normal;
                *value += noise * normal;
            }
        })
    }

    fn preprocessing(&self) -> Preprocessing {
        Preprocessing { standardise: self.config.standardise }
    }

    /// One row of inputs an image, made by `make(pixels, row, inputs)` on all threads.
    fn batch(&self, indices: &[u32], make: &Make<'_>) -> Result<Tensor> {
        let mut inputs = vec![0.0; indices.len() * N_INPUTS];
        inputs.par_chunks_exact_mut(N_INPUTS).enumerate().for_each(|(row, inputs)| {
            make(self.store.image(indices[row] as usize), row, inputs);
        });
        Ok(Tensor::from_vec(inputs, (indices.len(), N_INPUTS), &Device::Cpu)?)
    }
}
