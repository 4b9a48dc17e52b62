//! MNIST and its kin: an IDX file of grey images and one of labels 0 to 9.

use std::path::Path;

use super::idx::IdxReader;
use super::{Records, name_of};
use crate::{ImagesError, Payload, Picture, Record, Result};

const N_CLASSES: u8 = 10;

/// The number of images in the file's header.
pub(crate) fn n_images(images: &Path) -> Result<u64> {
    Ok(IdxReader::open(images, 3)?.dims[0])
}

/// The digits are their own names.
pub(crate) fn class_names() -> Vec<String> {
    (0..N_CLASSES).map(|digit| digit.to_string()).collect()
}

/// All images in their order. The labels are read and checked first.
pub(crate) fn records(images: &Path, labels: Option<&Path>) -> Result<Records> {
    let reader = IdxReader::open(images, 3)?;
    let (n_images, height, width) = (reader.dims[0], reader.dims[1], reader.dims[2]);
    if n_images == 0 || !(1..=4096).contains(&height) || !(1..=4096).contains(&width) {
        return Err(ImagesError::malformed(
            images,
            4,
            "at least one image of 1×1 to 4096×4096 pixels",
            format!("{n_images} of {height}×{width}"),
        ));
    }
    let labels = labels.map(|path| read_labels(path, n_images)).transpose()?;
    Ok(Box::new(Digits {
        name: name_of(images),
        height: height as usize,
        width: width as usize,
        reader,
        labels,
        image_idx: 0,
        n_images,
    }))
}

fn read_labels(path: &Path, n_images: u64) -> Result<Vec<u8>> {
    let mut reader = IdxReader::open(path, 1)?;
    if reader.dims[0] != n_images {
        let (expected, found) = (format!("{n_images} labels, one an image"), reader.dims[0].to_string());
        return Err(ImagesError::malformed(path, 4, expected, found));
    }
    let start = reader.offset();
    let mut labels = Vec::new();
    // Piece by piece: a wrong count must not take memory for labels that are not there.
    while (labels.len() as u64) < n_images {
        let piece_start = labels.len();
        let n = (n_images - piece_start as u64).min(1 << 20) as usize;
        labels.resize(piece_start + n, 0);
        reader.fill(&mut labels[piece_start..], "labels")?;
    }
    reader.expect_end()?;
    if let Some(i) = labels.iter().position(|&label| label >= N_CLASSES) {
        let found = labels[i].to_string();
        return Err(ImagesError::malformed(path, start + i as u64, "a label from 0 to 9", found));
    }
    Ok(labels)
}

struct Digits {
    name: String,
    reader: IdxReader,
    labels: Option<Vec<u8>>,
    height: usize,
    width: usize,
    image_idx: u64,
    n_images: u64,
}

impl Digits {
    fn read(&mut self) -> Result<Record> {
        let mut pixels = vec![0; self.height * self.width];
        self.reader.fill(&mut pixels, &format!("image {}", self.image_idx))?;
        let label = self.labels.as_ref().map(|labels| u32::from(labels[self.image_idx as usize]));
        Ok(Record {
            key: format!("{}#{:05}", self.name, self.image_idx),
            label,
            source: self.name.clone(),
            payload: Payload::Pixels(Picture { channels: 1, height: self.height, width: self.width, pixels }),
        })
    }
}

impl Iterator for Digits {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.image_idx > self.n_images {
            return None;
        }
        let item = if self.image_idx == self.n_images {
            self.reader.expect_end().err().map(Err)
        } else {
            Some(self.read())
        };
        // One step past the end, also after an error: there is nothing more to be had.
        self.image_idx = if matches!(item, Some(Ok(_))) { self.image_idx + 1 } else { self.n_images + 1 };
        item
    }
}
