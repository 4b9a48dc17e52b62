//! The autoencoder with its optimiser, one minibatch at a time.

use std::path::Path;

use candle_core::{Device, Tensor};
use dcgan_nn::{
    adam::{Adam, AdamConfig},
    checkpoint::Checkpoint,
    rng::{self, Purpose},
};
use rand::Rng;
use serde::Serialize;

use super::config::TrainConfig;
use super::copies::Copies;
use crate::code::CODE_BITS;
use crate::model::column_std;
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
    pub(super) model: Autoencoder,
    adam: Adam,
    pub(super) step: u64,
}

impl Trainer {
    pub(super) fn new(config: &TrainConfig) -> Result<Self> {
        let preprocessing = Preprocessing { standardise: config.standardise };
        Ok(Self::with_model(config, Autoencoder::random(preprocessing, config.seed)?))
    }

    fn with_model(config: &TrainConfig, model: Autoencoder) -> Self {
        let settings =
            AdamConfig { learning_rate: config.learning_rate, beta1: 0.9, l2: 0.0, ..AdamConfig::default() };
        Self {
            config: config.clone(),
            adam: Adam::new(model.parameters().to_vec(), settings),
            model,
            step: 0,
        }
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
        let mut trainer = Self::with_model(config, Autoencoder::from_checkpoint(&checkpoint, path)?);
        trainer.adam.load("adam", &checkpoint, path)?;
        trainer.step = trainer.adam.n_steps();
        Ok(trainer)
    }

    pub(super) fn save(&self, path: &Path) -> Result<()> {
        let mut checkpoint = Checkpoint::default();
        self.model.store(&mut checkpoint)?;
        self.adam.save("adam", &mut checkpoint)?;
        checkpoint.describe("settings", trajectory(&self.config)?);
        Ok(checkpoint.save(path)?)
    }

    /// One update on the pictures `indices`; the learning rate has fallen by the share `done` of the whole training.
    pub(super) fn minibatch(&mut self, copies: &Copies<'_>, indices: &[u32], done: f64) -> Result<Losses> {
        let clean = copies.clean(indices)?;
        let [first, second] = [0, 1].map(|copy| {
            let inputs = copies.corrupted(indices, 2 * self.step + copy)?;
            self.model.pre_activations(&inputs)
        });
        let (first, second) = (first?, second?);
        let kept = (first.relu()? * self.dropout_mask(indices.len())?)?;
        let reconstruction = (self.model.decode(&kept)? - clean)?.sqr()?.mean_all()?;
        // Without the units' scale the term would be met by shrinking them.
        let scale = (column_std(&Tensor::cat(&[&first, &second], 0)?)? + 1e-3)?;
        let together = (&first - &second)?.broadcast_div(&scale)?.sqr()?.mean_all()?;
        let balance = (first.mean(0)? / &scale)?.sqr()?.mean_all()?;
        let loss =
            ((&reconstruction + (&together * self.config.together)?)? + (&balance * self.config.balance)?)?;
        self.adam.set_learning_rate(self.config.learning_rate * (1.0 - done));
        self.adam.step(&loss.backward()?)?;
        let total = f64::from(loss.to_scalar::<f32>()?);
        if !total.is_finite() {
            return Err(DedupError::Diverged { step: self.step, loss: total });
        }
        self.step += 1;
        let value = |t: &Tensor| -> Result<f64> { Ok(f64::from(t.to_scalar::<f32>()?)) };
        Ok(Losses {
            reconstruction: value(&reconstruction)?,
            together: value(&together)?,
            balance: value(&balance)?,
        })
    }

    /// 0 for what is dropped, 1/(1 − dropout) for what is kept: (n, 128).
    fn dropout_mask(&self, n: usize) -> Result<Tensor> {
        let mut draws = rng::stream(self.config.seed, Purpose::Dropout, self.step);
        let dropout = self.config.dropout as f32;
        let mask: Vec<f32> = (0..n * CODE_BITS)
            .map(|_| if draws.random::<f32>() < dropout { 0.0 } else { 1.0 / (1.0 - dropout) })
            .collect();
        Ok(Tensor::from_vec(mask, (n, CODE_BITS), &Device::Cpu)?)
    }
}

/// The settings that decide the weights, as text.
fn trajectory(config: &TrainConfig) -> Result<String> {
    let settings = TrainConfig { checkpoint_minutes: 1.0, ..config.clone() };
    Ok(serde_json::to_string(&settings).map_err(std::io::Error::from)?)
}
