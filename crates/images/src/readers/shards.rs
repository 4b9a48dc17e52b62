//! Shards of a data set: one file, or those in a folder.

use std::path::{Path, PathBuf};

use crate::{ImagesError, Result};

/// The file itself, or the files in a folder that have an ending and whose names begin with `start`, by name; hidden ones are left out.
pub(crate) fn shards(path: &Path, ending: &str, start: &str) -> Result<Vec<PathBuf>> {
    if !fs_err::metadata(path)?.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut shards = Vec::new();
    for entry in fs_err::read_dir(path)? {
        let file = entry?.path();
        let name = file.file_name().unwrap_or_default().as_encoded_bytes();
        let is_wanted = !name.starts_with(b".") && name.starts_with(start.as_bytes());
        if is_wanted && file.extension().is_some_and(|found| found.eq_ignore_ascii_case(ending)) {
            shards.push(file);
        }
    }
    if shards.is_empty() {
        let beginning = if start.is_empty() { String::new() } else { format!(" that begin with {start}") };
        let expected = format!("files *.{ending}{beginning}");
        return Err(ImagesError::NoImages { path: path.to_path_buf(), expected });
    }
    shards.sort();
    Ok(shards)
}
