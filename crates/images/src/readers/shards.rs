//! Shards of a data set: one file, or those in a folder.

use std::path::{Path, PathBuf};

use crate::{ImagesError, Result};

/// The file itself, or the files in a folder that have an ending, by name; hidden ones are left out.
pub(crate) fn shards(path: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    if !fs_err::metadata(path)?.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut shards = Vec::new();
    for entry in fs_err::read_dir(path)? {
        let file = entry?.path();
        let is_hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !is_hidden && file.extension().is_some_and(|found| found.eq_ignore_ascii_case(ending)) {
            shards.push(file);
        }
    }
    if shards.is_empty() {
        let expected = format!("files *.{ending}");
        return Err(ImagesError::NoImages { path: path.to_path_buf(), expected });
    }
    shards.sort();
    Ok(shards)
}
