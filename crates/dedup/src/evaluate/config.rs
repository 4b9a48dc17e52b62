//! Settings of the judging.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Change;
use crate::Result;
use crate::error::check;

/// One half of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Half {
    /// Pictures whose key has an even BLAKE3 hash (by its first byte).
    Even,
    /// The others.
    Odd,
}

impl Half {
    /// Whether the picture of a key is in it.
    pub fn holds(self, key: &str) -> bool {
        let is_odd = blake3::hash(key.as_bytes()).as_bytes()[0] % 2 == 1;
        is_odd == (self == Self::Odd)
    }
}

/// Settings of [`evaluate`](super::evaluate).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EvaluateConfig {
    /// Pictures that are changed, drawn at random.
    pub n_changed: usize,
    /// Draw them from one half of the set, even or odd by the hashes of the keys: what was chosen on one is judged on the other. From all
    /// where it is not given.
    pub half: Option<Half>,
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
            half: None,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_picture_is_in_one_half() {
        // b3sum of "abc" begins with 64, of "a" with 17.
        assert!(Half::Even.holds("abc") && !Half::Odd.holds("abc"));
        assert!(Half::Odd.holds("a") && !Half::Even.holds("a"));
    }
}
