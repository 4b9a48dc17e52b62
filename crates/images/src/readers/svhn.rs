//! SVHN's cropped digits, `{train,extra,test}_32x32.mat`: `X`, uint8, 32×32×3×N, and `y`, N×1, 1 to 10 with 10 for the
//! digit 0. `X` is column-major, so that an image is 3072 consecutive bytes, and is streamed image by image.
//!
//! Format: <http://ufldl.stanford.edu/housenumbers/>.

use std::path::{Path, PathBuf};

use super::mat5::{self, Contents, MatArray};
use super::{Records, name_of};
use crate::{ImagesError, Payload, Picture, Record, Result};

const SIDE: usize = 32;
const IMAGE_LEN: usize = 3 * SIDE * SIDE;

/// The digits are their own names.
pub(crate) fn class_names() -> Vec<String> {
    (0..10).map(|digit| digit.to_string()).collect()
}

/// The number of images, from the dimensions of `X`.
pub(crate) fn n_images(path: &Path) -> Result<u64> {
    Ok(find_images(&mat5::arrays(path)?, path)?.1)
}

/// All images in their order.
pub(crate) fn records(path: &Path) -> Result<Records> {
    let arrays = mat5::arrays(path)?;
    let (images, n_images) = find_images(&arrays, path)?;
    let labels = read_labels(find(&arrays, "y", path)?, n_images)?;
    Ok(Box::new(Digits {
        name: name_of(path),
        path: path.to_path_buf(),
        offset: images.offset,
        pixels: images.stream()?,
        labels: labels.into_iter().enumerate(),
    }))
}

fn find<'a>(arrays: &'a [MatArray], name: &str, path: &Path) -> Result<&'a MatArray> {
    arrays.iter().find(|array| array.name == name).ok_or_else(|| {
        let names: Vec<&str> = arrays.iter().map(|array| array.name.as_str()).collect();
        ImagesError::layout(path, format!("an array {name}"), format!("the arrays {names:?}"))
    })
}

/// `X` and its number of images.
fn find_images<'a>(arrays: &'a [MatArray], path: &Path) -> Result<(&'a MatArray, u64)> {
    let images = find(arrays, "X", path)?;
    let n_images = match images.dims[..] {
        [32, 32, 3, n] => Some(n),
        // MATLAB drops a last dimension of 1.
        [32, 32, 3] => Some(1),
        _ => None,
    };
    let is_uint8 = images.class == mat5::UINT8_CLASS && images.data_type == mat5::UINT8_TYPE;
    match n_images {
        Some(n) if n > 0 && is_uint8 && images.n_data_bytes == n * IMAGE_LEN as u64 => Ok((images, n)),
        _ => Err(ImagesError::malformed(
            path,
            images.offset,
            "array X, uint8, of 32×32×3×N",
            format!(
                "dimensions {:?} of class {} in {} bytes of type {}",
                images.dims, images.class, images.n_data_bytes, images.data_type
            ),
        )),
    }
}

/// The digits 0 to 9.
fn read_labels(array: &MatArray, n_images: u64) -> Result<Vec<u32>> {
    let malformed = |expected: String, found: String| {
        Err(ImagesError::malformed(&array.path, array.offset, expected, found))
    };
    if array.dims.iter().product::<u64>() != n_images {
        return malformed(format!("array y of {n_images} labels"), format!("dimensions {:?}", array.dims));
    }
    let mut labels = Vec::with_capacity(n_images as usize);
    for (i, label) in array.numbers(n_images)?.into_iter().enumerate() {
        if !(1.0..=10.0).contains(&label) || label.fract() != 0.0 {
            return malformed(format!("a label from 1 to 10 in y({})", i + 1), label.to_string());
        }
        labels.push(label as u32 % 10);
    }
    Ok(labels)
}

struct Digits {
    path: PathBuf,
    name: String,
    /// Where `X` begins in the file.
    offset: u64,
    pixels: Contents,
    labels: std::iter::Enumerate<std::vec::IntoIter<u32>>,
}

impl Digits {
    fn read(&mut self, image_idx: usize, label: u32) -> Result<Record> {
        let mut columns = vec![0; IMAGE_LEN];
        let n_read = self.pixels.read(&self.path, &mut columns)?;
        if n_read < IMAGE_LEN {
            return Err(ImagesError::malformed(
                &self.path,
                self.offset,
                format!("array X with an image {}", image_idx + 1),
                format!("{} bytes in all", image_idx * IMAGE_LEN + n_read),
            ));
        }
        let mut pixels = vec![0; IMAGE_LEN];
        for (plane, columns) in pixels.chunks_exact_mut(SIDE * SIDE).zip(columns.chunks_exact(SIDE * SIDE)) {
            for (i, value) in plane.iter_mut().enumerate() {
                *value = columns[i % SIDE * SIDE + i / SIDE];
            }
        }
        Ok(Record {
            key: format!("{}#{image_idx:06}", self.name),
            label: Some(label),
            source: self.name.clone(),
            payload: Payload::Pixels(Picture { channels: 3, height: SIDE, width: SIDE, pixels }),
        })
    }
}

impl Iterator for Digits {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        let Some((image_idx, label)) = self.labels.next() else {
            // The checksum stands at the end of the compressed data: it is checked by reading that far.
            return self.pixels.read(&self.path, &mut [0; 8]).err().map(Err);
        };
        let record = self.read(image_idx, label);
        if record.is_err() {
            self.labels = Vec::new().into_iter().enumerate();
        }
        Some(record)
    }
}
