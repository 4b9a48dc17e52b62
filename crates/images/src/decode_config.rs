//! Which pictures are decoded, and to what size.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ImagesError, Result};

/// Which pictures are decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeConfig {
    /// A picture of more pixels than this is bad; it is refused by its header, before memory is taken for it.
    pub max_pixels: u64,
    /// What becomes of a JPEG of which a part is lost.
    pub damaged: Damaged,
}

/// What becomes of a JPEG of which a part is lost. Other formats' decoders refuse such files by themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Damaged {
    /// It is bad.
    #[default]
    Refuse,
    /// It is taken with what the decoder makes of it: grey, mostly, where data is lost.
    Allow,
}

impl Default for DecodeConfig {
    /// 2²⁶, 67 million pixels: above ImageNet's largest, and 0.2 GB a thread while one is decoded.
    fn default() -> Self {
        Self { max_pixels: 1 << 26, damaged: Damaged::default() }
    }
}

impl DecodeConfig {
    /// Refuses a picture of no or too many pixels.
    pub(crate) fn check_size(self, height: usize, width: usize) -> Result<()> {
        let (n_pixels, max_pixels) = (height as u64 * width as u64, self.max_pixels);
        if n_pixels == 0 || n_pixels > max_pixels {
            let found = format!("expected 1 to {max_pixels} pixels, found {width}×{height}");
            return Err(ImagesError::bad(found));
        }
        Ok(())
    }
}

/// The shorter side that a picture of (height, width) must have at least.
pub(crate) type LeastSide<'a> = &'a dyn Fn(usize, usize) -> usize;
