//! Settings of a training.

use serde::{Deserialize, Serialize};

use crate::{Architecture, ArchitectureName, GanError, Result};

/// Which network a minibatch updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// G on one minibatch, D on the next: the released code's.
    #[default]
    Alternate,
    /// D, then G, on every minibatch: that of many re-implementations.
    Both,
}

/// Settings as a manifest gives them: what is left out is what the released code trains the architecture with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Which of the paper's networks.
    pub architecture: ArchitectureName,
    /// Scale of every channel count; 1 is the paper's.
    #[serde(default = "one")]
    pub width: f64,
    /// Which network a minibatch updates.
    #[serde(default)]
    pub schedule: Schedule,
    /// Pictures in a minibatch.
    #[serde(default)]
    pub batch_size: Option<usize>,
    /// Adam's learning rate.
    #[serde(default)]
    pub learning_rate: Option<f64>,
    /// Adam's beta1.
    #[serde(default)]
    pub beta1: Option<f64>,
    /// Coupled l2.
    #[serde(default)]
    pub l2: Option<f64>,
    /// Passes over the training set.
    #[serde(default)]
    pub epochs: Option<u64>,
    /// Ends training after this many minibatches, if the epochs have not.
    #[serde(default)]
    pub max_steps: Option<u64>,
    /// Minibatches between two lines of `metrics.jsonl`.
    #[serde(default = "ten")]
    pub log_every: u64,
    /// Epochs between two sample grids.
    #[serde(default = "one_epoch")]
    pub sample_every_epochs: u64,
    /// Minutes between two checkpoints.
    #[serde(default = "five")]
    pub checkpoint_minutes: f64,
    /// Seed of the initial weights, the order of pictures and every z.
    #[serde(default)]
    pub seed: u64,
}

fn one() -> f64 {
    1.0
}

fn one_epoch() -> u64 {
    1
}

fn ten() -> u64 {
    10
}

fn five() -> f64 {
    5.0
}

/// [`TrainConfig`] with every default filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainSettings {
    /// The networks.
    pub architecture: Architecture,
    /// Which network a minibatch updates.
    pub schedule: Schedule,
    /// Pictures in a minibatch.
    pub batch_size: usize,
    /// Adam's learning rate.
    pub learning_rate: f64,
    /// Adam's beta1.
    pub beta1: f64,
    /// Coupled l2.
    pub l2: f64,
    /// Passes over the training set.
    pub epochs: u64,
    /// Ends training after this many minibatches, if the epochs have not.
    pub max_steps: Option<u64>,
    /// Minibatches between two lines of `metrics.jsonl`.
    pub log_every: u64,
    /// Epochs between two sample grids.
    pub sample_every_epochs: u64,
    /// Minutes between two checkpoints.
    pub checkpoint_minutes: f64,
    /// Seed of every draw.
    pub seed: u64,
}

impl TrainConfig {
    /// The released code's training of one of the paper's networks.
    pub fn paper(architecture: ArchitectureName) -> Self {
        Self {
            architecture,
            width: 1.0,
            schedule: Schedule::Alternate,
            batch_size: None,
            learning_rate: None,
            beta1: None,
            l2: None,
            epochs: None,
            max_steps: None,
            log_every: ten(),
            sample_every_epochs: one_epoch(),
            checkpoint_minutes: five(),
            seed: 0,
        }
    }

    /// Fills in the defaults and checks every range.
    ///
    /// # Errors
    /// [`GanError::Setting`] naming the first setting out of its range.
    pub fn resolve(&self) -> Result<TrainSettings> {
        let defaults = self.architecture.training_defaults();
        let settings = TrainSettings {
            architecture: Architecture { name: self.architecture, width: self.width },
            schedule: self.schedule,
            batch_size: self.batch_size.unwrap_or(defaults.batch_size),
            learning_rate: self.learning_rate.unwrap_or(defaults.learning_rate),
            beta1: self.beta1.unwrap_or(defaults.beta1),
            l2: self.l2.unwrap_or(defaults.l2),
            epochs: self.epochs.unwrap_or(defaults.epochs),
            max_steps: self.max_steps,
            log_every: self.log_every,
            sample_every_epochs: self.sample_every_epochs,
            checkpoint_minutes: self.checkpoint_minutes,
            seed: self.seed,
        };
        settings.validate()?;
        Ok(settings)
    }
}

impl TrainSettings {
    fn validate(&self) -> Result<()> {
        self.architecture.validate()?;
        let check = |key, ok: bool, expected: &str, found: String| match ok {
            true => Ok(()),
            false => Err(GanError::Setting { key, expected: expected.to_string(), found }),
        };
        // Batch norm over one picture's 4x4 maps would still work, over its single units (G's first layer) not.
        check("batch_size", self.batch_size >= 2, "at least 2", self.batch_size.to_string())?;
        let rate = self.learning_rate;
        check("learning_rate", rate > 0.0 && rate < 1.0, "a number between 0 and 1", rate.to_string())?;
        check("beta1", (0.0..1.0).contains(&self.beta1), "a number in [0, 1)", self.beta1.to_string())?;
        check("l2", (0.0..1.0).contains(&self.l2), "a number in [0, 1)", self.l2.to_string())?;
        check("epochs", self.epochs > 0, "at least 1", self.epochs.to_string())?;
        check("max_steps", self.max_steps != Some(0), "at least 1", "0".into())?;
        check("log_every", self.log_every > 0, "at least 1", self.log_every.to_string())?;
        let every = self.sample_every_epochs;
        check("sample_every_epochs", every > 0, "at least 1", every.to_string())?;
        let minutes = self.checkpoint_minutes;
        check("checkpoint_minutes", minutes > 0.0, "a number above 0", minutes.to_string())
    }
}
