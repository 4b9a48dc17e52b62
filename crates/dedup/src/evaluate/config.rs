//! Settings of the judging.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Change;
use crate::Result;
use crate::error::check;

/// Settings of [`evaluate`](super::evaluate).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EvaluateConfig {
    /// Pictures that are changed, drawn at random.
    pub n_changed: usize,
    /// Pictures among which they are looked for, the first ones.
    pub n_background: usize,
    /// The changes.
    pub changes: Vec<Change>,
    /// Share of false pairs among those found that pHash and dHash are held to.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub false_positive_rate: f64,
    /// Pairs on the contact sheet: so many that were found, and so many nearest to the threshold.
    pub n_on_sheet: usize,
    /// Seed of what is changed and how, and of what is shown.
    pub seed: u64,
}

impl Default for EvaluateConfig {
    fn default() -> Self {
        Self {
            n_changed: 1_000,
            n_background: 20_000,
            changes: Change::ALL.to_vec(),
            false_positive_rate: 0.01,
            n_on_sheet: 50,
            seed: 0,
        }
    }
}

impl EvaluateConfig {
    /// Checks every range.
    ///
    /// # Errors
    /// [`DedupError::Setting`](crate::DedupError::Setting).
    pub fn validate(&self) -> Result<()> {
        check("n_changed", self.n_changed > 0, "at least 1", self.n_changed)?;
        check("n_background", self.n_background > 1, "at least 2", self.n_background)?;
        check("changes", !self.changes.is_empty(), "at least one", "none")?;
        let rate = self.false_positive_rate;
        check("false_positive_rate", rate > 0.0 && rate < 1.0, "a number between 0 and 1", rate)
    }
}
