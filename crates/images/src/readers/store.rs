//! An image store as a data set.

use std::collections::HashMap;
use std::path::Path;

use super::{Records, name_of};
use crate::store::INDEX;
use crate::{ImageStore, ImagesError, Payload, Picture, Record, Result, key};

/// All images in the store's order, with their keys and labels.
pub(crate) fn records(path: &Path) -> Result<Records> {
    let store = ImageStore::open(path)?;
    let (labels, keys, source) = (store.labels()?, store.keys()?, name_of(path));
    check_keys(&path.join(INDEX), &keys)?;
    let records = keys.into_iter().zip(labels).enumerate().map(move |(image_idx, (key, label))| {
        let pixels = store.image(image_idx).to_vec();
        let picture =
            Picture { channels: store.channels(), height: store.height(), width: store.width(), pixels };
        Ok(Record { key, label, source: source.clone(), payload: Payload::Pixels(picture) })
    });
    Ok(Box::new(records))
}

/// Refuses keys by which images could be taken for each other: two equal ones, an empty one, and one of several lines.
fn check_keys(index: &Path, keys: &[String]) -> Result<()> {
    let mut seen = HashMap::new();
    for (row, key) in keys.iter().enumerate() {
        if key.is_empty() || !key::is_one_line(key) {
            return Err(ImagesError::layout(index, "keys of one line", format!("{key:?} in row {row}")));
        }
        if let Some(first) = seen.insert(key.as_str(), row) {
            let found = format!("{key} in row {first} and in row {row}");
            return Err(ImagesError::layout(index, "each key once", found));
        }
    }
    Ok(())
}

pub(crate) fn n_images(path: &Path) -> Result<u64> {
    Ok(ImageStore::open(path)?.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{StoreDescription, StoreWriter};

    #[test]
    fn equal_keys_and_keys_of_no_or_two_lines_are_errors() {
        for (second, expected) in [
            ("a", "index.parquet: expected each key once, found a in row 0 and in row 2"),
            ("b\nc", "index.parquet: expected keys of one line, found \"b\\nc\" in row 2"),
            ("", "index.parquet: expected keys of one line, found \"\" in row 2"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let mut writer = StoreWriter::create(folder.path()).unwrap();
            let picture = Picture { channels: 1, height: 1, width: 1, pixels: vec![0] };
            for key in ["a", "b", second] {
                writer.append(key, None, "", &picture).unwrap();
            }
            writer.finish(StoreDescription::default()).unwrap();
            let message = records(folder.path()).err().unwrap().to_string();
            assert!(message.ends_with(expected), "{message}");
        }
    }
}
