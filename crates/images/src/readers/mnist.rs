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

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::PathBuf;

    use super::*;

    fn images(n: u32) -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, 3];
        for dim in [n, 2, 3] {
            bytes.extend(dim.to_be_bytes());
        }
        bytes.extend((0..n).flat_map(|i| [i as u8; 6]));
        bytes
    }

    fn labels(labels: &[u8]) -> Vec<u8> {
        [&[0, 0, 8, 1][..], &(labels.len() as u32).to_be_bytes(), labels].concat()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read(images: &[u8], labels: &[u8]) -> Result<Vec<Record>> {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| -> PathBuf {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        records(&write("images", images), Some(&write("labels", labels)))?.collect()
    }

    #[test]
    fn plain_and_packed_files_are_read_alike() {
        let plain = read(&images(3), &labels(&[9, 0, 4])).unwrap();
        assert_eq!(plain.len(), 3);
        assert_eq!((plain[2].key.as_str(), plain[2].label), ("images#00002", Some(4)));
        let picture = Picture { channels: 1, height: 2, width: 3, pixels: vec![2; 6] };
        assert_eq!(plain[2].payload, Payload::Pixels(picture));
        assert_eq!(read(&gzip(&images(3)), &gzip(&labels(&[9, 0, 4]))).unwrap(), plain);
    }

    #[test]
    fn a_header_in_the_wrong_byte_order_is_refused() {
        let turned = |bytes: &[u8], n_header: usize| {
            let (header, values) = bytes.split_at(n_header);
            [header.chunks(4).flat_map(|word| word.iter().rev().copied()).collect(), values.to_vec()].concat()
        };
        let (good, good_labels) = (images(3), labels(&[9, 0, 4]));
        // All of it, or the dimensions alone.
        let whole = turned(&good, 16);
        let dims = [&good[..4], &whole[4..]].concat();
        let turned_labels = [&good_labels[..4], &turned(&good_labels, 8)[4..]].concat();
        let magic = "at byte 0: expected the magic number 0x00000803, found 0x03080000: the header is in the wrong byte order";
        let count = "at byte 4: expected dimensions for a file of at most 34 bytes, found [50331648, 33554432, 50331648]: \
                     the header is in the wrong byte order (little-endian), in which they are [3, 2, 3]";
        let of_labels =
            "found [50331648]: the header is in the wrong byte order (little-endian), in which they are [3]";
        for (images, labels, expected) in [
            (&whole, &good_labels, magic),
            (&dims, &good_labels, count),
            (&gzip(&dims), &good_labels, "the header is in the wrong byte order"),
            (&good, &turned_labels, of_labels),
        ] {
            let complaint = read(images, labels).unwrap_err().to_string();
            assert!(complaint.contains(expected), "{complaint}\n{expected}");
        }
    }

    #[test]
    fn damage_is_named_with_its_place() {
        let (good, good_labels) = (images(3), labels(&[9, 0, 4]));
        let long = [good.as_slice(), &[0]].concat();
        let packed = gzip(&good);
        let mut corrupt = packed.clone();
        *corrupt.last_mut().unwrap() ^= 1;
        let cases: [(&[u8], &[u8], &str); 10] = [
            (
                &good[..30],
                &good_labels,
                "at byte 30: expected 4 more bytes of image 2, found the end of the file",
            ),
            (
                &good[..10],
                &good_labels,
                "at byte 10: expected 2 more bytes of a dimension, found the end of the file",
            ),
            (&long, &good_labels, "at byte 34: expected the end of the file, found more bytes"),
            (&good_labels, &good_labels, "at byte 0: expected the magic number 0x00000803, found 0x00000801"),
            (
                b"P5",
                &good_labels,
                "at byte 2: expected 2 more bytes of the magic number, found the end of the file",
            ),
            (&packed[..packed.len() - 9], &good_labels, "expected the end of the gzip data, found"),
            (&corrupt, &good_labels, "expected the end of the gzip data, found"),
            (&good, &labels(&[9, 10, 4]), "at byte 9: expected a label from 0 to 9, found 10"),
            (&good, &labels(&[9, 1]), "at byte 4: expected 3 labels, one an image, found 2"),
            (
                &good,
                &good_labels[..10],
                "at byte 10: expected 1 more bytes of labels, found the end of the file",
            ),
        ];
        for (images, labels, expected) in cases {
            let complaint = read(images, labels).unwrap_err().to_string();
            assert!(complaint.contains(expected), "{complaint}\n{expected}");
        }
        assert!(read(&images(0), &labels(&[])).is_err());
    }
}
