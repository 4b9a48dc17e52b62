//! What a hashing did.

use serde::{Deserialize, Serialize};

/// What a hashing did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HashSummary {
    /// Images with a code.
    pub n_images: u64,
    /// Images that could not be hashed; `bad.csv` lists them.
    pub n_bad: u64,
    /// Images that an earlier, interrupted run had done.
    pub n_resumed: u64,
    /// Share of set bits: mean over images and bits.
    pub bits_set: f64,
    /// The same of the bit that is set least often.
    pub least_set: f64,
    /// The same of the bit that is set most often.
    pub most_set: f64,
}
