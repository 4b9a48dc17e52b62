//! The settings of the K-means baseline.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Result, setting};

/// The most numbers of a patch: time to decompose their covariance grows with the third power, for so many to minutes.
const MOST_NUMBERS: usize = 4096;

/// Settings of one layer of K-means; the defaults are those behind Table 1's row (Coates, Lee and Ng, 2011, with 4800 maps).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KMeansConfig {
    /// Centroids, each of which gives a feature map.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub maps: usize,
    /// Side of a patch, in pixels.
    #[schemars(range(min = 2, max = 64))]
    pub patch: usize,
    /// Pixels from one patch of a picture to the next, when it is turned into features.
    #[schemars(range(min = 1, max = 4096))]
    pub stride: usize,
    /// Maps are summed over the cells of a grid of so many rows and columns.
    #[schemars(range(min = 1, max = 4096))]
    pub pooling: usize,
    /// Random patches that centroids are learned from.
    #[schemars(range(min = 2, max = 100_000_000))]
    pub patches: usize,
    /// Passes of K-means over them.
    #[schemars(range(min = 1))]
    pub passes: usize,
    /// Added to the variance of a patch's pixels, which are in 0..=255, before it is divided by the root.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub contrast_epsilon: f64,
    /// Added to the eigenvalues of the patches' covariance before whitening divides by their roots.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub whitening_epsilon: f64,
    /// Seed of the patches, of the first centroids and of those drawn anew.
    pub seed: u64,
}

impl Default for KMeansConfig {
    fn default() -> Self {
        Self {
            maps: 4800,
            patch: 6,
            stride: 1,
            pooling: 2,
            patches: 400_000,
            passes: 50,
            contrast_epsilon: 10.0,
            whitening_epsilon: 0.1,
            seed: 0,
        }
    }
}

impl KMeansConfig {
    /// Checks the settings against their ranges.
    ///
    /// # Errors
    /// [`BaselinesError::Setting`](crate::BaselinesError::Setting), naming the setting.
    pub fn validate(&self) -> Result<()> {
        let counts = [
            ("maps", self.maps, 1..=1_000_000),
            ("patch", self.patch, 2..=64),
            ("stride", self.stride, 1..=4096),
            ("pooling", self.pooling, 1..=4096),
            ("patches", self.patches, 2..=100_000_000),
            ("passes", self.passes, 1..=usize::MAX),
        ];
        for (key, found, range) in counts {
            if !range.contains(&found) {
                let expected = match *range.end() {
                    usize::MAX => format!("at least {}", range.start()),
                    end => format!("{} to {end}", range.start()),
                };
                return Err(setting(key, expected, found));
            }
        }
        for (key, found) in
            [("contrast_epsilon", self.contrast_epsilon), ("whitening_epsilon", self.whitening_epsilon)]
        {
            if !(found > 0.0 && found.is_finite()) {
                return Err(setting(key, "a number above 0", found));
            }
        }
        if self.patches < self.maps {
            let expected = format!("at least as many as `maps`, {}", self.maps);
            return Err(setting("patches", expected, self.patches));
        }
        Ok(())
    }

    /// Refuses a patch of more numbers than can be whitened.
    ///
    /// # Errors
    /// [`BaselinesError::Setting`](crate::BaselinesError::Setting).
    pub fn check_channels(&self, channels: usize) -> Result<()> {
        let n_numbers = channels * self.patch * self.patch;
        if n_numbers <= MOST_NUMBERS {
            return Ok(());
        }
        let most = (MOST_NUMBERS / channels.max(1)).isqrt();
        let expected = format!(
            "at most {most} for pictures of {channels} channel(s), whose patches are of {MOST_NUMBERS} numbers at most: \
             whitening decomposes their covariance"
        );
        Err(setting("patch", expected, format!("{}, of {n_numbers} numbers", self.patch)))
    }

    /// Features of a picture: a sum for each map and each cell of the pooling grid, 19,200 by default.
    pub fn n_features(&self) -> usize {
        self.maps * self.pooling * self.pooling
    }
}
