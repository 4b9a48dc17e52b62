//! `meta.json`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Filter, ImagesError, Result, regular};

/// What a store says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreMeta {
    /// The number of images, at least 1.
    pub n_images: u64,
    /// 1 or 3.
    pub channels: usize,
    /// Rows of every image.
    pub height: usize,
    /// Columns of every image.
    pub width: usize,
    /// The names of the classes, in the order of their labels, where they are known.
    pub class_names: Option<Vec<String>>,
    /// What the images came from, in words.
    pub source: String,
    /// How they were brought to this size, as [`crate::Resize`] writes it.
    pub resize: String,
    /// The filter they were scaled with, where they were scaled.
    pub filter: Option<Filter>,
    /// How many images could not be used; they are listed in `bad.csv`.
    pub n_bad: u64,
}

impl StoreMeta {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let meta = Self::read_of_part(path)?;
        let n_values = [meta.channels, meta.height, meta.width]
            .iter()
            .try_fold(meta.n_images as usize, |product, &side| product.checked_mul(side));
        if !matches!(meta.channels, 1 | 3) || n_values.is_none_or(|n| n == 0) {
            return Err(ImagesError::layout(
                path,
                "n_images, height and width of at least 1 and 1 or 3 channels",
                format!("{} × {} × {} × {}", meta.n_images, meta.channels, meta.height, meta.width),
            ));
        }
        Ok(meta)
    }

    /// The same of a part of a set, which may be without an image.
    pub(crate) fn read_of_part(path: &Path) -> Result<Self> {
        let text = regular::read_to_string(path)?;
        serde_json::from_str(&text).map_err(|source| ImagesError::Json { path: path.to_path_buf(), source })
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self)
            .map_err(|source| ImagesError::Json { path: path.to_path_buf(), source })?;
        text.push('\n');
        Ok(fs_err::write(path, text)?)
    }
}
