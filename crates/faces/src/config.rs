//! The settings of a run over photos.

use dcgan_images::{Damaged, DecodeConfig, Shard};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::check;
use crate::{CropConfig, DetectorConfig, Result};

/// Settings of [`crop_faces`](crate::crop_faces).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CollectConfig {
    /// What counts as a face.
    pub detector: DetectorConfig,
    /// What part of a photo becomes a picture.
    pub crop: CropConfig,
    /// Whether the faces are also written as single files.
    pub files: Files,
    /// A photo of more pixels than this is bad, and is not decoded.
    pub max_pixels: u64,
    /// What becomes of a JPEG of which a part is lost.
    pub damaged: Damaged,
    /// Stop after this many photos, bad ones included.
    pub limit: Option<usize>,
    /// Only one of several parts of the photos.
    pub shard: Option<Shard>,
}

/// Single files of the faces, in `pictures/`, numbered as in the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Files {
    /// None.
    #[default]
    None,
    /// PNG, without loss.
    Png,
    /// JPEG of quality 95.
    Jpeg,
}

impl Default for CollectConfig {
    fn default() -> Self {
        let DecodeConfig { max_pixels, damaged } = DecodeConfig::default();
        Self {
            detector: DetectorConfig::default(),
            crop: CropConfig::default(),
            files: Files::None,
            max_pixels,
            damaged,
            limit: None,
            shard: None,
        }
    }
}

impl CollectConfig {
    /// Checks the ranges of its own settings; `detector` and `crop` have their own `validate`.
    ///
    /// # Errors
    /// [`FacesError::Setting`](crate::FacesError::Setting).
    pub fn validate(&self) -> Result<()> {
        check("max_pixels", (1..=1 << 32).contains(&self.max_pixels), "1 to 2³²", self.max_pixels)?;
        let shard = self.shard.map_or(String::new(), |shard| shard.to_string());
        let is_one = self.limit.is_none() || self.shard.is_none();
        check("shard", is_one, "no `limit` beside it, which counts through the whole set", shard)?;
        check("limit", self.limit != Some(0), "at least 1", 0)
    }
}
