//! Settings of a training.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Architecture, ArchitectureName, GanError, Result};

/// Which network a minibatch updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// G on one minibatch, D on the next: the released code's.
    #[default]
    Alternate,
    /// D, then G, on every minibatch: that of many re-implementations.
    Both,
}

impl Schedule {
    /// True if minibatch `step` updates D, and so needs real pictures. The released code begins with G.
    pub fn updates_discriminator(self, step: u64) -> bool {
        self == Self::Both || !step.is_multiple_of(2)
    }

    /// True if minibatch `step` updates G.
    pub fn updates_generator(self, step: u64) -> bool {
        self == Self::Both || step.is_multiple_of(2)
    }
}

/// Whose statistics batch norm takes in a training on several devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StatisticsOver {
    /// Those of each device's part of the minibatch.
    #[default]
    Part,
    /// Those of the whole minibatch, as on one device: all devices wait for each other at every batch norm.
    Minibatch,
}

impl StatisticsOver {
    fn is_part(&self) -> bool {
        *self == Self::Part
    }
}

/// Settings that decide how long a training goes on and what is written beside it, but not the weights after a given
/// minibatch: a checkpoint serves whatever they are.
pub const FREE_SETTINGS: [&str; 11] = [
    "epochs",
    "max_steps",
    "max_minutes",
    "log_every",
    "sample_every_epochs",
    "sample_every_steps",
    "histograms_every_steps",
    "score_every_steps",
    "checkpoint_minutes",
    "checkpoint_steps",
    "keep_checkpoints",
];

/// Settings as a manifest gives them: what is left out is what the released code trains the architecture with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// One of the authors' networks: svhn32 (Table 2), imagenet32 (Table 1), faces64 (faces and LSUN) or mnist28 (Table 3,
    /// conditional on the digits' labels); or a table such as { size = 128, channels = 1 }, for a network of that size after the
    /// paper's guidelines.
    pub architecture: ArchitectureName,
    /// Scale of every channel count; 1 is the paper's.
    #[serde(default = "full")]
    #[schemars(extend("exclusiveMinimum" = 0.0, "maximum" = 8.0))]
    pub width: f64,
    /// alternate: G on one minibatch, D on the next, as in the authors' code. both: each minibatch updates both.
    #[serde(default)]
    pub schedule: Schedule,
    /// Pictures in a minibatch; the authors' for the architecture.
    #[serde(default)]
    pub batch_size: Option<usize>,
    /// Adam's; the authors' for the architecture.
    #[serde(default)]
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub learning_rate: Option<f64>,
    /// Adam's; 0.5, as in the paper.
    #[serde(default)]
    #[schemars(extend("minimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub beta1: Option<f64>,
    /// Coupled l2 on every parameter; the authors' 1e-5, for mnist28 2.5e-5.
    #[serde(default)]
    #[schemars(extend("minimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub l2: Option<f64>,
    /// Whose statistics batch norm takes where `--device` names several. part: those of each device's part of the minibatch. minibatch: those
    /// of all, as on one device, which takes longer. The paper has one device.
    #[serde(default)]
    pub statistics_over: StatisticsOver,
    /// Passes over the pictures; the authors' for the architecture.
    #[serde(default)]
    pub epochs: Option<u64>,
    /// In the last so many of these passes the learning rate falls to 0, by the same amount after each; the authors' half of them for
    /// mnist28, 0 for the others.
    #[serde(default)]
    pub decay_epochs: Option<u64>,
    /// Ends training after so many minibatches, if the epochs have not.
    #[serde(default)]
    pub max_steps: Option<u64>,
    /// Ends training after so many minutes of it, earlier runs' included; the weights then depend on the machine's speed.
    #[serde(default)]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub max_minutes: Option<f64>,
    /// Keeps an average of the generator's weights with this decay an update, such as 0.999, and writes it as
    /// generator_ema.safetensors, its grids into samples_ema/. Not in the paper.
    #[serde(default)]
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub ema_decay: Option<f64>,
    /// Minibatches between two lines of metrics.jsonl.
    #[serde(default = "ten")]
    pub log_every: u64,
    /// Epochs between two sample grids.
    #[serde(default = "one")]
    pub sample_every_epochs: u64,
    /// Minibatches between two further sample grids.
    #[serde(default)]
    pub sample_every_steps: Option<u64>,
    /// Minibatches between two histograms of the weights of both networks, for TensorBoard; none where it is left out.
    #[serde(default)]
    pub histograms_every_steps: Option<u64>,
    /// Minibatches between two scores.
    #[serde(default = "thousand")]
    pub score_every_steps: u64,
    /// Minutes between two checkpoints.
    #[serde(default = "five")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub checkpoint_minutes: f64,
    /// Minibatches between two further checkpoints.
    #[serde(default)]
    pub checkpoint_steps: Option<u64>,
    /// Newest checkpoints that are kept.
    #[serde(default = "two")]
    pub keep_checkpoints: u64,
    /// Seed of the weights, the order of pictures and every z.
    #[serde(default)]
    pub seed: u64,
}

fn is_zero(&n: &u64) -> bool {
    n == 0
}

fn full() -> f64 {
    1.0
}

fn one() -> u64 {
    1
}

fn two() -> u64 {
    2
}

fn ten() -> u64 {
    10
}

fn thousand() -> u64 {
    1000
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
    /// Whose statistics batch norm takes on several devices.
    #[serde(default, skip_serializing_if = "StatisticsOver::is_part")]
    pub statistics_over: StatisticsOver,
    /// Passes over the training set.
    pub epochs: u64,
    /// The last so many of them, in which the learning rate falls to 0.
    #[serde(skip_serializing_if = "is_zero")]
    #[serde(default)]
    pub decay_epochs: u64,
    /// Ends training after this many minibatches, if the epochs have not.
    pub max_steps: Option<u64>,
    /// Ends training after so many minutes of it, those of interrupted runs included.
    pub max_minutes: Option<f64>,
    /// Decay a G update of an average of G's weights that is kept beside them.
    pub ema_decay: Option<f64>,
    /// Minibatches between two lines of `metrics.jsonl`.
    pub log_every: u64,
    /// Epochs between two sample grids.
    pub sample_every_epochs: u64,
    /// Minibatches between two further sample grids.
    pub sample_every_steps: Option<u64>,
    /// Minibatches between two histograms of the weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub histograms_every_steps: Option<u64>,
    /// Minibatches between two scores.
    pub score_every_steps: u64,
    /// Minutes between two checkpoints.
    pub checkpoint_minutes: f64,
    /// Minibatches between two further checkpoints.
    pub checkpoint_steps: Option<u64>,
    /// Newest checkpoints that are kept.
    pub keep_checkpoints: u64,
    /// Seed of every draw.
    pub seed: u64,
}

impl TrainConfig {
    /// The released code's training of one of the paper's networks.
    pub fn paper(architecture: ArchitectureName) -> Self {
        Self {
            architecture,
            width: full(),
            schedule: Schedule::Alternate,
            batch_size: None,
            statistics_over: StatisticsOver::Part,
            learning_rate: None,
            beta1: None,
            l2: None,
            epochs: None,
            decay_epochs: None,
            max_steps: None,
            max_minutes: None,
            ema_decay: None,
            log_every: ten(),
            sample_every_epochs: one(),
            sample_every_steps: None,
            histograms_every_steps: None,
            score_every_steps: thousand(),
            checkpoint_minutes: five(),
            checkpoint_steps: None,
            keep_checkpoints: two(),
            seed: 0,
        }
    }

    /// The settings that may change without another training: [`FREE_SETTINGS`], but for the epochs where the learning rate goes by
    /// them.
    ///
    /// # Errors
    /// As [`Self::resolve`].
    pub fn free_settings(&self) -> Result<Vec<&'static str>> {
        Ok(self.resolve()?.free_settings())
    }

    /// Fills in the defaults and checks every range.
    ///
    /// # Errors
    /// [`GanError::Setting`] naming the first setting out of its range.
    pub fn resolve(&self) -> Result<TrainSettings> {
        let defaults = self.architecture.training_defaults();
        let epochs = self.epochs.unwrap_or(defaults.epochs);
        let decay_epochs = if defaults.decays { epochs / 2 } else { 0 };
        let settings = TrainSettings {
            architecture: Architecture { name: self.architecture, width: self.width },
            schedule: self.schedule,
            batch_size: self.batch_size.unwrap_or(defaults.batch_size),
            statistics_over: self.statistics_over,
            learning_rate: self.learning_rate.unwrap_or(defaults.learning_rate),
            beta1: self.beta1.unwrap_or(defaults.beta1),
            l2: self.l2.unwrap_or(defaults.l2),
            epochs,
            decay_epochs: self.decay_epochs.unwrap_or(decay_epochs),
            max_steps: self.max_steps,
            max_minutes: self.max_minutes,
            ema_decay: self.ema_decay,
            log_every: self.log_every,
            sample_every_epochs: self.sample_every_epochs,
            sample_every_steps: self.sample_every_steps,
            histograms_every_steps: self.histograms_every_steps,
            score_every_steps: self.score_every_steps,
            checkpoint_minutes: self.checkpoint_minutes,
            checkpoint_steps: self.checkpoint_steps,
            keep_checkpoints: self.keep_checkpoints,
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
        let decay = self.ema_decay.unwrap_or(0.5);
        check("ema_decay", decay > 0.0 && decay < 1.0, "a number between 0 and 1", decay.to_string())?;
        let (decay, epochs) = (self.decay_epochs, self.epochs);
        check("decay_epochs", decay <= epochs, &format!("at most `epochs`, {epochs}"), decay.to_string())?;
        let counts = [
            ("epochs", Some(self.epochs)),
            ("max_steps", self.max_steps),
            ("log_every", Some(self.log_every)),
            ("sample_every_epochs", Some(self.sample_every_epochs)),
            ("sample_every_steps", self.sample_every_steps),
            ("histograms_every_steps", self.histograms_every_steps),
            ("score_every_steps", Some(self.score_every_steps)),
            ("checkpoint_steps", self.checkpoint_steps),
            ("keep_checkpoints", Some(self.keep_checkpoints)),
        ];
        for (key, count) in counts {
            check(key, count != Some(0), "at least 1", "0".into())?;
        }
        let minutes =
            [("max_minutes", self.max_minutes), ("checkpoint_minutes", Some(self.checkpoint_minutes))];
        for (key, minutes) in minutes {
            let minutes = minutes.unwrap_or(1.0);
            check(key, minutes > 0.0 && minutes.is_finite(), "a number above 0", minutes.to_string())?;
        }
        Ok(())
    }

    fn free_settings(&self) -> Vec<&'static str> {
        FREE_SETTINGS.into_iter().filter(|&key| key != "epochs" || self.decay_epochs == 0).collect()
    }

    /// The learning rate in an epoch, counted from 0: the authors' code takes learning_rate / decay_epochs from it after each of the
    /// last decay_epochs.
    pub fn learning_rate_in(&self, epoch: u64) -> f64 {
        let n_fallen = epoch.saturating_sub(self.epochs - self.decay_epochs).min(self.decay_epochs);
        match self.decay_epochs {
            0 => self.learning_rate,
            n => self.learning_rate * (1.0 - n_fallen as f64 / n as f64),
        }
    }

    /// The settings that decide the weights: all but the free ones.
    pub(super) fn trajectory(&self) -> Result<serde_json::Value> {
        let mut settings = serde_json::to_value(self).map_err(|e| GanError::Io(e.into()))?;
        if let Some(settings) = settings.as_object_mut() {
            self.free_settings().iter().for_each(|key| drop(settings.remove(*key)));
        }
        Ok(settings)
    }

    /// True if a sample grid is due after minibatch `done`.
    pub(super) fn samples_at(&self, done: u64, steps_per_epoch: u64) -> bool {
        done.is_multiple_of(self.sample_every_epochs * steps_per_epoch)
            || self.sample_every_steps.is_some_and(|every| done.is_multiple_of(every))
    }
}
