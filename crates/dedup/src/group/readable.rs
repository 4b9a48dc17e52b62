//! `readable.json`: what hashing found out of which pictures can be read, handed on beside the groups.

use std::collections::BTreeMap;
use std::path::Path;

use dcgan_images::read_bad;
use serde::{Deserialize, Serialize};

use crate::hash;
use crate::{DedupError, Result};

/// Its name.
pub const READABLE: &str = "readable.json";

/// The pictures of a set that were hashed, or could not be: its first ones. Of those behind nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readable {
    /// Pictures that were hashed.
    pub n_images: u64,
    /// Those that could not be: their keys, with the reason.
    pub bad: BTreeMap<String, String>,
}

impl Readable {
    /// Of a folder that a set was hashed into; without a `bad.csv` in it nothing is known.
    ///
    /// # Errors
    /// Where `codes.parquet` or `bad.csv` cannot be read.
    pub fn of_hashed(hashed: &Path) -> Result<Self> {
        let bad = hashed.join(hash::files::BAD);
        if !bad.exists() {
            return Ok(Self::default());
        }
        let n_images = hash::n_codes(&hashed.join(hash::files::CODES))?;
        Ok(Self { n_images, bad: read_bad(&bad)?.into_iter().collect() })
    }

    /// Reads the file in a folder of groups; without it, as in one of other making, nothing is known.
    ///
    /// # Errors
    /// Where it is there and cannot be read.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(READABLE);
        match path.exists() {
            false => Ok(Self::default()),
            true => serde_json::from_slice(&fs_err::read(&path)?)
                .map_err(|e| DedupError::file(&path, "keys and reasons of bad pictures", e.to_string())),
        }
    }

    /// Whether the picture of this index in the set was decoded.
    pub(crate) fn covers(&self, image_idx: u64) -> bool {
        image_idx < self.n_images + self.bad.len() as u64
    }
}
