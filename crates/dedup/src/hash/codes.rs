//! `codes.parquet`, read.

use std::path::Path;

use crate::{Code, DedupError, Result};
use dcgan_images::columns::{self, Column};

/// All codes of a set, without their keys: 24 bytes an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Codes {
    /// The codes.
    pub codes: Vec<Code>,
    /// Width and height of each picture.
    pub sizes: Vec<[u32; 2]>,
}

impl Codes {
    /// Reads the file.
    ///
    /// # Errors
    /// Where it cannot be read, a column is missing, or there are 2³² rows or more.
    pub fn read(path: &Path) -> Result<Self> {
        let mut all = Self::default();
        columns::read(path, &["word0", "word1", "width", "height"], |columns| {
            if let [Column::U64(low), Column::U64(high), Column::U32(widths), Column::U32(heights)] =
                &columns[..]
            {
                all.codes.extend(low.iter().zip(high).map(|(&low, &high)| Code([low, high])));
                all.sizes.extend(widths.iter().zip(heights).map(|(&width, &height)| [width, height]));
            }
        })?;
        if all.codes.is_empty() || all.codes.len() > u32::MAX as usize {
            return Err(DedupError::file(path, "1 to 2³² − 1 codes", all.codes.len().to_string()));
        }
        Ok(all)
    }
}

/// The keys of the images for which `is_wanted`, with their indices, in order.
///
/// # Errors
/// Where the file cannot be read.
pub fn read_keys(path: &Path, is_wanted: impl Fn(u32) -> bool) -> Result<Vec<(u32, String)>> {
    let (mut keys, mut image) = (Vec::new(), 0);
    columns::read(path, &["key"], |columns| {
        for column in columns {
            let Column::Strings(strings) = column else { continue };
            for key in strings {
                if is_wanted(image) {
                    keys.push((image, key));
                }
                image += 1;
            }
        }
    })?;
    Ok(keys)
}
