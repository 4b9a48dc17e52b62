//! What is kept of each trial: a file while the search goes on, a row of a table at its end.

use std::{io::Write as _, path::Path};

use dcgan_files::columns::{Column, Writer};
use serde::{Deserialize, Serialize};

use super::fit::{Parameters, Score};
use crate::{GanError, Result};

/// Name of the folder of trials.
pub const FOLDER: &str = "trials";
/// Name of their table.
pub const TABLE: &str = "trials.parquet";

/// A trial that ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// Its number, from 0.
    pub trial: u32,
    /// What it drew.
    pub parameters: Parameters,
    /// What came of it.
    pub outcome: Outcome,
    /// How long it took.
    pub seconds: f64,
}

/// What came of a trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    /// A network.
    Trained(Trained),
    /// A loss that is no finite number; it has no part in the choice.
    Diverged {
        /// Minibatches done before.
        step: u64,
        /// What was not finite.
        what: String,
    },
}

/// Figures of a network.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trained {
    /// How it did on the validation pictures when its error was lowest.
    pub validation: Score,
    /// Mean cross-entropy of the training pictures over the last pass, in nats.
    pub training_cross_entropy: f64,
    /// Passes after which the validation error was lowest.
    pub best_epoch: u64,
    /// Passes made.
    pub n_epochs: u64,
}

impl Trial {
    /// Its figures, unless it diverged.
    pub fn trained(&self) -> Option<&Trained> {
        match &self.outcome {
            Outcome::Trained(trained) => Some(trained),
            Outcome::Diverged { .. } => None,
        }
    }

    fn name(trial: u32) -> String {
        format!("trial_{trial:04}.json")
    }

    /// The trial of that number and parameters, where a whole file of it is in `folder`.
    pub(super) fn read(folder: &Path, trial: u32, parameters: &Parameters) -> Option<Self> {
        let bytes = std::fs::read(folder.join(Self::name(trial))).ok()?;
        let found: Self = serde_json::from_slice(&bytes).ok()?;
        (found.trial == trial && found.parameters == *parameters).then_some(found)
    }

    /// Writes it, whole or not at all.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let name = Self::name(self.trial);
        // Hidden, so that the next run clears away what a kill leaves half written.
        let (partial, path) = (folder.join(format!(".{name}")), folder.join(name));
        let mut file = fs_err::File::create(&partial)?;
        let json = serde_json::to_vec_pretty(self).map_err(|e| GanError::Io(e.into()))?;
        file.write_all(&json)?;
        file.sync_all()?;
        Ok(fs_err::rename(partial, path)?)
    }
}

/// How many trials below `end` are kept in a search's folder.
pub fn n_kept(folder: &Path, end: u64) -> u64 {
    let entries = std::fs::read_dir(folder.join(FOLDER)).into_iter().flatten().flatten();
    let number = |name: &str| name.strip_prefix("trial_")?.strip_suffix(".json")?.parse::<u64>().ok();
    let numbers = entries.filter_map(|entry| number(entry.file_name().to_str()?));
    numbers.filter(|trial| *trial < end).count() as u64
}

/// The columns of the table.
const SCHEMA: &str = "message trials {
    REQUIRED INT32 trial (INTEGER(32, false));
    REQUIRED FLOAT learning_rate;
    REQUIRED FLOAT beta1;
    REQUIRED FLOAT l2;
    REQUIRED FLOAT dropout;
    REQUIRED INT32 batch_size (INTEGER(32, false));
    REQUIRED INT32 seed (INTEGER(32, false));
    OPTIONAL INT32 n_epochs (INTEGER(32, false));
    OPTIONAL INT32 best_epoch (INTEGER(32, false));
    OPTIONAL FLOAT validation_error;
    OPTIONAL FLOAT validation_cross_entropy;
    OPTIONAL FLOAT training_cross_entropy;
    OPTIONAL INT64 diverged_at (INTEGER(64, false));
}";

/// Writes all trials as a Parquet table, in their order; what a diverged one does not have is missing.
///
/// # Errors
/// Where the file cannot be written.
pub fn write_table(trials: &[Trial], path: &Path) -> Result<()> {
    let drawn = |of: fn(&Parameters) -> f64| {
        Column::F32(trials.iter().map(|trial| of(&trial.parameters) as f32).collect())
    };
    let count = |of: fn(&Trial) -> u32| Column::U32(trials.iter().map(of).collect());
    let passes = |of: fn(&Trained) -> u64| {
        Column::MaybeU32(
            trials.iter().map(|trial| trial.trained().map(|trained| of(trained) as u32)).collect(),
        )
    };
    let figure = |of: fn(&Trained) -> f64| {
        Column::MaybeF32(
            trials.iter().map(|trial| trial.trained().map(|trained| of(trained) as f32)).collect(),
        )
    };
    let diverged_at = |trial: &Trial| match trial.outcome {
        Outcome::Diverged { step, .. } => Some(step),
        Outcome::Trained(_) => None,
    };
    let columns = [
        count(|trial| trial.trial),
        drawn(|parameters| parameters.learning_rate),
        drawn(|parameters| parameters.beta1),
        drawn(|parameters| parameters.l2),
        drawn(|parameters| parameters.dropout),
        count(|trial| trial.parameters.batch_size as u32),
        count(|trial| trial.parameters.seed),
        passes(|trained| trained.n_epochs),
        passes(|trained| trained.best_epoch),
        figure(|trained| trained.validation.error_rate),
        figure(|trained| trained.validation.cross_entropy),
        figure(|trained| trained.training_cross_entropy),
        Column::MaybeU64(trials.iter().map(diverged_at).collect()),
    ];
    let mut writer = Writer::create(path, SCHEMA)?;
    writer.write(&columns)?;
    Ok(writer.finish()?)
}
