//! An image store as a data set.

use std::path::Path;

use super::{Records, name_of};
use crate::{ImageStore, Payload, Picture, Record, Result};

/// All images in the store's order, with their keys and labels.
pub(crate) fn records(path: &Path) -> Result<Records> {
    let store = ImageStore::open(path)?;
    let (labels, keys, source) = (store.labels()?, store.keys()?, name_of(path));
    let records = keys.into_iter().zip(labels).enumerate().map(move |(image_idx, (key, label))| {
        let pixels = store.image(image_idx).to_vec();
        let picture =
            Picture { channels: store.channels(), height: store.height(), width: store.width(), pixels };
        Ok(Record { key, label, source: source.clone(), payload: Payload::Pixels(picture) })
    });
    Ok(Box::new(records))
}

pub(crate) fn n_images(path: &Path) -> Result<u64> {
    Ok(ImageStore::open(path)?.len() as u64)
}
