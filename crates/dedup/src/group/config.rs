//! Settings of grouping.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::error::check;

/// What makes two images near-duplicates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Equal codes: the paper's (section 3.1).
    #[default]
    Exact,
    /// Codes within a radius, and pictures that a second look finds alike.
    Near,
}

/// Which image of a group stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// The one with the most pixels; of several such the one with the lowest key.
    #[default]
    Largest,
    /// The one with the lowest key.
    LowestKey,
}

/// Settings of [`group_images`](super::group_images).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GroupConfig {
    /// The rule whose groups are written; the counts of both are reported.
    pub rule: Rule,
    /// Largest Hamming distance of two codes that are looked at, for [`Rule::Near`].
    pub radius: u32,
    /// Largest [`pixel_distance`](super::pixel_distance) of two near-duplicates, for [`Rule::Near`].
    pub pixel_distance: f64,
    /// Images of a bucket that each is compared with, at most.
    pub bucket_cap: usize,
    /// Which image of a group stays.
    pub keep: Keep,
}

impl Default for GroupConfig {
    fn default() -> Self {
        Self { rule: Rule::Exact, radius: 8, pixel_distance: 0.35, bucket_cap: 4096, keep: Keep::Largest }
    }
}

impl GroupConfig {
    /// Checks every range.
    ///
    /// # Errors
    /// [`crate::DedupError::Setting`].
    pub fn validate(&self) -> Result<()> {
        check("radius", self.radius <= 24, "0 to 24", self.radius)?;
        let distance = self.pixel_distance;
        check("pixel_distance", (0.0..=2.0).contains(&distance), "a number from 0 to 2", distance)?;
        check("bucket_cap", self.bucket_cap > 0, "at least 1", self.bucket_cap)
    }
}
