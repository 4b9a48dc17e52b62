//! What a search draws its trials from.

use std::ops::ControlFlow;

use dcgan_nn::device::Device;
use dcgan_nn::rng::{self, Purpose};
use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    fit::{Examples, Fitted, Parameters, Stopping, fit},
    network::wrong,
};
use crate::{Architecture, ArchitectureName, Result};

/// The network and what is drawn. The paper states the number of trials alone (section 5.2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchConfig {
    /// Whose discriminator is trained with labels.
    pub architecture: ArchitectureName,
    /// Scale of every channel count; 1 is the paper's.
    #[serde(default = "full")]
    #[schemars(extend("exclusiveMinimum" = 0.0, "maximum" = 8.0))]
    pub width: f64,
    /// Trials; more of them go on with those that are done.
    #[serde(default = "trials")]
    #[schemars(range(min = 1))]
    pub n_trials: u32,
    /// Lowest and highest learning rate of Adam; its logarithm is drawn uniformly.
    #[serde(default = "learning_rate")]
    pub learning_rate: [f64; 2],
    /// Lowest and highest beta1 of Adam, drawn uniformly.
    #[serde(default = "beta1")]
    pub beta1: [f64; 2],
    /// Lowest and highest coupled l2; its logarithm is drawn uniformly. [0, 0] for none.
    #[serde(default = "l2")]
    pub l2: [f64; 2],
    /// Lowest and highest dropout of what goes into the last layer, drawn uniformly.
    #[serde(default = "dropout")]
    pub dropout: [f64; 2],
    /// Pictures in a minibatch, to draw from.
    #[serde(default = "batch_sizes")]
    pub batch_sizes: Vec<usize>,
    /// Passes over the training pictures, at most.
    #[serde(default = "epochs")]
    #[schemars(range(min = 1))]
    pub epochs: u64,
    /// A trial ends after so many passes without a lower validation error.
    #[serde(default = "patience")]
    #[schemars(range(min = 1))]
    pub patience: u64,
    /// Passes between two looks at the validation pictures, all of them.
    #[serde(default = "check_every")]
    #[schemars(range(min = 1))]
    pub check_every: u64,
    /// Seed of the trials.
    #[serde(default)]
    pub seed: u64,
}

fn full() -> f64 {
    1.0
}

fn trials() -> u32 {
    64
}

fn learning_rate() -> [f64; 2] {
    [1e-4, 1e-2]
}

fn beta1() -> [f64; 2] {
    [0.5, 0.9]
}

fn l2() -> [f64; 2] {
    [1e-6, 1e-2]
}

fn dropout() -> [f64; 2] {
    [0.0, 0.7]
}

fn batch_sizes() -> Vec<usize> {
    vec![32, 64, 128]
}

fn epochs() -> u64 {
    40
}

fn patience() -> u64 {
    10
}

fn check_every() -> u64 {
    2
}

impl SearchConfig {
    /// Checks the ranges that do not depend on the pictures.
    ///
    /// # Errors
    /// [`GanError::Setting`](crate::GanError::Setting).
    pub fn validate(&self) -> Result<()> {
        self.architecture().validate()?;
        let discriminator = self.architecture().discriminator();
        if discriminator.classes > 0 || discriminator.hidden > 0 {
            let expected = "a discriminator of convolutions and one linear layer, without labels";
            return Err(wrong("architecture", expected, self.architecture.to_string()));
        }
        let range = |key, [low, high]: [f64; 2], is_in: fn(f64) -> bool, expected: &str| match is_in(low)
            && is_in(high)
            && low <= high
        {
            true => Ok(()),
            false => Err(wrong(key, expected, format!("[{low}, {high}]"))),
        };
        let above_0 = |x: f64| x > 0.0 && x.is_finite();
        range("learning_rate", self.learning_rate, above_0, "[low, high], both above 0")?;
        range("beta1", self.beta1, |x| (0.0..1.0).contains(&x), "[low, high] in [0, 1)")?;
        if self.l2 != [0.0; 2] {
            range("l2", self.l2, |x| x > 0.0 && x < 1.0, "[low, high] between 0 and 1, or [0, 0]")?;
        }
        range("dropout", self.dropout, |x| (0.0..1.0).contains(&x), "[low, high] in [0, 1)")?;
        // Batch norm takes a minibatch's own statistics.
        if self.batch_sizes.is_empty() || self.batch_sizes.iter().any(|n| *n < 2) {
            return Err(wrong(
                "batch_sizes",
                "a list of numbers, each at least 2",
                format!("{:?}", self.batch_sizes),
            ));
        }
        let counts = [
            ("n_trials", u64::from(self.n_trials)),
            ("epochs", self.epochs),
            ("patience", self.patience),
            ("check_every", self.check_every),
        ];
        match counts.iter().find(|(_, n)| *n == 0) {
            Some((key, _)) => Err(wrong(key, "at least 1", "0")),
            None => Ok(()),
        }
    }

    fn architecture(&self) -> Architecture {
        Architecture { name: self.architecture, width: self.width }
    }

    fn stopping(&self) -> Stopping {
        Stopping { epochs: self.epochs, patience: self.patience, check_every: self.check_every }
    }

    /// What a trial draws: by the seed and its number alone, numbers of three digits.
    pub fn parameters(&self, trial: u32) -> Parameters {
        let mut rng = rng::stream(self.seed, Purpose::Trials, u64::from(trial));
        let uniform = |[low, high]: [f64; 2], share: f64| low + (high - low) * share;
        let log = |range: [f64; 2], share| match range {
            [0.0, 0.0] => 0.0,
            [low, high] => uniform([low.ln(), high.ln()], share).exp(),
        };
        Parameters {
            learning_rate: rounded(log(self.learning_rate, rng.random()), self.learning_rate),
            beta1: rounded(uniform(self.beta1, rng.random()), self.beta1),
            l2: rounded(log(self.l2, rng.random()), self.l2),
            dropout: rounded(uniform(self.dropout, rng.random()), self.dropout),
            batch_size: self.batch_sizes[rng.random_range(0..self.batch_sizes.len())],
            seed: rng.random(),
        }
    }

    /// Trains a trial's network again, on all threads.
    ///
    /// # Errors
    /// As [`fit`].
    pub fn train_again(
        &self,
        examples: &Examples<'_>,
        trial: u32,
        device: &Device,
        observe: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Fitted> {
        self.fit(examples, &self.parameters(trial), device, observe)
    }

    pub(super) fn fit(
        &self,
        examples: &Examples<'_>,
        parameters: &Parameters,
        device: &Device,
        observe: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Fitted> {
        let discriminator = self.architecture().discriminator();
        fit(examples, &discriminator, parameters, self.stopping(), device, observe)
    }
}

/// Three significant digits, which are as easily read as written; within the range.
fn rounded(value: f64, [low, high]: [f64; 2]) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value).clamp(low, high)
}

#[cfg(test)]
mod tests;
