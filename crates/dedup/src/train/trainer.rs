//! The autoencoder with its optimiser, one minibatch at a time.

use std::path::Path;

use candle_core::Device;
use dcgan_nn::{
    adam::AdamConfig,
    checkpoint::Checkpoint,
    rng::{self, Purpose},
};
use rand::Rng;
use serde::Serialize;

use super::config::TrainConfig;
use super::copies::Batch;
use super::network::{Network, Weights};
use crate::code::CODE_BITS;
use crate::model::PARAMETERS;
use crate::preprocess::Preprocessing;
use crate::{Autoencoder, DedupError, Result};

/// What a step saw.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Losses {
    /// Mean square difference of the clean pictures and the reconstructions from corrupted copies.
    pub reconstruction: f64,
    /// Mean square difference of two copies' units before the ReLU, in units of their variance.
    pub together: f64,
    /// Mean square of the units' means before the ReLU, in the same units.
    pub balance: f64,
}

pub(super) struct Trainer {
    config: TrainConfig,
    network: Network,
    pub(super) step: u64,
}

impl Trainer {
    pub(super) fn new(config: &TrainConfig) -> Result<Self> {
        let preprocessing = Preprocessing { standardise: config.standardise };
        Self::with_model(config, &Autoencoder::random(preprocessing, config.seed)?)
    }

    fn with_model(config: &TrainConfig, model: &Autoencoder) -> Result<Self> {
        let adam =
            AdamConfig { learning_rate: config.learning_rate, beta1: 0.9, l2: 0.0, ..AdamConfig::default() };
        Ok(Self { config: config.clone(), network: Network::new(model.values()?, adam), step: 0 })
    }

    /// Goes on from `checkpoint` if there is such a file.
    pub(super) fn resume_or_new(config: &TrainConfig, path: &Path) -> Result<Self> {
        if !path.exists() {
            return Self::new(config);
        }
        let checkpoint = Checkpoint::load(path, &Device::Cpu)?;
        let (expected, found) = (trajectory(config)?, checkpoint.metadata("settings").unwrap_or_default());
        if found != expected {
            return Err(DedupError::file(path, expected, found));
        }
        let mut trainer = Self::with_model(config, &Autoencoder::from_checkpoint(&checkpoint, path)?)?;
        trainer.network.load_moments(&PARAMETERS, &checkpoint, path)?;
        trainer.step = trainer.network.n_steps;
        Ok(trainer)
    }

    pub(super) fn save(&self, path: &Path) -> Result<()> {
        let mut checkpoint = Checkpoint::default();
        self.model()?.store(&mut checkpoint)?;
        self.network.store_moments(&PARAMETERS, &mut checkpoint)?;
        checkpoint.describe("settings", trajectory(&self.config)?);
        Ok(checkpoint.save(path)?)
    }

    /// The autoencoder as it is, its thresholds 0.
    pub(super) fn model(&self) -> Result<Autoencoder> {
        let preprocessing = Preprocessing { standardise: self.config.standardise };
        Autoencoder::from_values(self.network.values(), preprocessing)
    }

    /// One update; the learning rate has fallen by the share `done` of the whole training.
    pub(super) fn minibatch(&mut self, batch: &Batch, done: f64) -> Result<Losses> {
        let TrainConfig { together, balance, learning_rate, .. } = self.config;
        let weights = Weights { together: together as f32, balance: balance as f32 };
        let mask = self.dropout_mask(batch.n_images());
        let terms = self.network.step(batch, &mask, weights, learning_rate * (1.0 - done));
        let losses = Losses { reconstruction: terms[0], together: terms[1], balance: terms[2] };
        let loss = losses.reconstruction + together * losses.together + balance * losses.balance;
        if !loss.is_finite() {
            return Err(DedupError::Diverged { step: self.step, loss });
        }
        self.step += 1;
        Ok(losses)
    }

    /// 0 for what is dropped, 1/(1 − dropout) for what is kept: n × 128.
    fn dropout_mask(&self, n: usize) -> Vec<f32> {
        let mut draws = rng::stream(self.config.seed, Purpose::Dropout, self.step);
        let dropout = self.config.dropout as f32;
        let draw = |_| if draws.random::<f32>() < dropout { 0.0 } else { 1.0 / (1.0 - dropout) };
        (0..n * CODE_BITS).map(draw).collect()
    }
}

/// The settings that decide the weights, as text.
fn trajectory(config: &TrainConfig) -> Result<String> {
    let settings = TrainConfig { checkpoint_minutes: 1.0, ..config.clone() };
    Ok(serde_json::to_string(&settings).map_err(std::io::Error::from)?)
}
