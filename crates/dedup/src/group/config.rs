//! Settings of grouping.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::error::check;

/// What makes two images near-duplicates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Equal codes: the paper's (section 4.1.1).
    #[default]
    Exact,
    /// Codes within a radius, and pictures that a second look finds alike.
    Near,
    /// Perceptual hashes (pHash, 64 bits) of the same 32×32 pictures within a radius, and nothing else.
    Phash,
}

impl fmt::Display for Rule {
    /// As in a manifest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exact => "exact",
            Self::Near => "near",
            Self::Phash => "phash",
        })
    }
}

/// What becomes of pictures that are alike when one is mirrored, left to right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mirrored {
    /// They are not looked for.
    #[default]
    Ignore,
    /// They are listed, and both stay.
    Report,
    /// They are near-duplicates.
    Group,
}

/// Which image of a group stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// The one with the most pixels; of several such the one with the lowest key.
    #[default]
    Largest,
    /// The one whose file has the most bytes; of several such the one with the lowest key.
    Bytes,
    /// The one with the lowest key.
    LowestKey,
    /// The one that comes first in the set.
    First,
}

/// Settings of [`group_images`](super::group_images).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GroupConfig {
    /// exact: equal codes, as in the paper. near: codes within the radius whose pictures are alike. phash: plain perceptual hashes.
    pub rule: Rule,
    /// Bits in which two codes may differ, for `near`.
    #[schemars(range(min = 0, max = 24))]
    pub radius: u32,
    /// For `near`: largest root mean square difference of the two 32×32 pictures, standardised and aligned; 1.41 is what
    /// unrelated ones have.
    #[schemars(extend("minimum" = 0.0, "maximum" = 2.0))]
    pub pixel_distance: f64,
    /// For `near`: also look for copies that were cut by 10 % and more, by the codes of parts of each picture; look-ups take six times
    /// as long.
    pub crops: bool,
    /// For `near`: also look for copies that were squeezed into another shape, where there are pictures of several shapes.
    pub squeezed: bool,
    /// For `near`: also look for grey copies, among pictures that are grey.
    pub grey: bool,
    /// For `near`: also look for copies that were blurred by some pixels of 32, as small pictures are.
    pub blurred: bool,
    /// For `near`: also look for copies that were turned by some degrees and cut.
    pub turned: bool,
    /// For `near`: mirrored copies are not looked for, or are listed (mirrored.json) and stay, or are near-duplicates as others are.
    pub mirrored: Mirrored,
    /// For `phash`: bits of 64 in which two hashes may differ.
    #[schemars(range(min = 0, max = 24))]
    pub phash_radius: u32,
    /// For `near`: pictures that agree on a band of bits are each compared with so many others of them at most.
    pub bucket_cap: usize,
    /// Which picture of a group stays: the one with the most pixels, then the lowest key; or the largest file, then the lowest key; or the
    /// lowest key alone; or the first in the set.
    pub keep: Keep,
}

impl Default for GroupConfig {
    /// Radius and threshold are chosen by measurement, on 3,012 bedrooms and on CIFAR-10: radius 8 finds 62 % of 5 % crops,
    /// 12 finds 88 %, 16 finds 97 %, but each step of 4 lets eight times as many unrelated pairs through to the second look
    /// (0.3, 3 and 23 in a million), which for millions of pictures is most of the time. The threshold is the largest of 0.18 to 0.24 at
    /// which false pairs are surely below 0.5 % of those found, on one half of bedrooms, faces and digits; the README has figures of the
    /// other half.
    fn default() -> Self {
        Self {
            rule: Rule::Exact,
            radius: 12,
            pixel_distance: 0.22,
            crops: true,
            squeezed: true,
            grey: true,
            blurred: true,
            turned: true,
            mirrored: Mirrored::Ignore,
            phash_radius: 6,
            bucket_cap: 16384,
            keep: Keep::Largest,
        }
    }
}

impl GroupConfig {
    /// Checks every range.
    ///
    /// # Errors
    /// [`crate::DedupError::Setting`].
    pub fn validate(&self) -> Result<()> {
        check("radius", self.radius <= 24, "0 to 24", self.radius)?;
        check("phash_radius", self.phash_radius <= 24, "0 to 24", self.phash_radius)?;
        let distance = self.pixel_distance;
        check("pixel_distance", (0.0..=2.0).contains(&distance), "a number from 0 to 2", distance)?;
        check("bucket_cap", self.bucket_cap > 0, "at least 1", self.bucket_cap)
    }
}
