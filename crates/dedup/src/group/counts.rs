//! How many images a rule groups.

use serde::{Deserialize, Serialize};

/// What one rule finds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleCounts {
    /// Groups of two or more images.
    pub n_groups: u64,
    /// Images in them.
    pub n_grouped: u64,
    /// Images that would be removed: all of each group but one.
    pub n_removed: u64,
    /// Images in the largest group.
    pub largest_group: u64,
}

impl RuleCounts {
    /// Counts a group of so many images.
    pub(super) fn add(&mut self, n_images: usize) {
        let n_images = n_images as u64;
        self.n_groups += 1;
        self.n_grouped += n_images;
        self.n_removed += n_images.saturating_sub(1);
        self.largest_group = self.largest_group.max(n_images);
    }
}
