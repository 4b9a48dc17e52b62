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
    let mut all = arrays.iter().filter(|array| array.name == name);
    let Some(array) = all.next() else {
        let names: Vec<&str> = arrays.iter().map(|array| array.name.as_str()).collect();
        return Err(ImagesError::layout(path, format!("an array {name}"), format!("the arrays {names:?}")));
    };
    if let Some(second) = all.next() {
        let (expected, found) = (format!("one array {name}"), "a second one");
        return Err(ImagesError::malformed(path, second.offset, expected, found));
    }
    for (flag, found) in [(mat5::LOGICAL, "a logical one"), (mat5::COMPLEX, "a complex one")] {
        if array.flags & flag != 0 {
            let expected = format!("array {name} of real numbers");
            return Err(ImagesError::malformed(path, array.offset, expected, found));
        }
    }
    Ok(array)
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn element(kind: u32, contents: &[u8]) -> Vec<u8> {
        let mut bytes = [kind.to_le_bytes(), (contents.len() as u32).to_le_bytes()].concat();
        bytes.extend(contents);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    /// A matrix element, its one-letter name in the small form, as MATLAB and SciPy write it.
    fn matrix(name: u8, class: u8, dims: &[u32], data_type: u32, data: &[u8]) -> Vec<u8> {
        let mut contents = element(6, &[class, 0, 0, 0, 0, 0, 0, 0]);
        contents.extend(element(5, &dims.iter().flat_map(|dim| dim.to_le_bytes()).collect::<Vec<u8>>()));
        contents.extend([1, 0, 1, 0, name, 0, 0, 0]);
        contents.extend(element(data_type, data));
        element(14, &contents)
    }

    fn compressed(element_bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(element_bytes).unwrap();
        let packed = encoder.finish().unwrap();
        [&15u32.to_le_bytes()[..], &(packed.len() as u32).to_le_bytes(), &packed].concat()
    }

    fn mat(elements: &[Vec<u8>]) -> Vec<u8> {
        let mut file = b"MATLAB 5.0 MAT-file".to_vec();
        file.resize(124, b' ');
        file.extend(b"\x00\x01IM");
        file.extend(elements.concat());
        file
    }

    /// Two images; value (row, column, channel, image) = row + 3 column + 64 channel + 17 image.
    fn pixels() -> Vec<u8> {
        let value = |i: usize| i % 32 + i / 32 % 32 * 3 + i / 1024 % 3 * 64 + i / 3072 * 17;
        (0..2 * 3072).map(|i| value(i) as u8).collect()
    }

    fn x() -> Vec<u8> {
        matrix(b'X', 9, &[32, 32, 3, 2], 2, &pixels())
    }

    fn y(labels: [f64; 2]) -> Vec<u8> {
        matrix(b'y', 6, &[2, 1], 9, &labels.map(f64::to_le_bytes).concat())
    }

    fn read(file: &[u8]) -> Result<Vec<Record>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train_32x32.mat");
        std::fs::write(&path, file).unwrap();
        records(&path)?.collect()
    }

    #[test]
    fn column_major_images_become_rows_and_ten_becomes_zero() {
        let records = read(&mat(&[compressed(&x()), compressed(&y([10.0, 3.0]))])).unwrap();
        assert_eq!(records.iter().map(|record| record.label).collect::<Vec<_>>(), [Some(0), Some(3)]);
        assert_eq!(records[1].key, "train_32x32.mat#000001");
        let Payload::Pixels(picture) = &records[1].payload else { panic!() };
        // channel 2, row 5, column 7
        assert_eq!(picture.pixels[2 * 1024 + 5 * 32 + 7], 5 + 3 * 7 + 64 * 2 + 17);
    }

    #[test]
    fn plain_and_compressed_files_in_either_order_are_read_alike() {
        let expected = read(&mat(&[compressed(&x()), compressed(&y([1.0, 9.0]))])).unwrap();
        assert_eq!(read(&mat(&[x(), y([1.0, 9.0])])).unwrap(), expected);
        assert_eq!(read(&mat(&[compressed(&y([1.0, 9.0])), compressed(&x())])).unwrap(), expected);
        // Labels as bytes, in the small form of a data element.
        let mut y = element(6, &[6, 0, 0, 0, 0, 0, 0, 0]);
        y.extend(element(5, &[2, 0, 0, 0, 1, 0, 0, 0]));
        y.extend([1, 0, 1, 0, b'y', 0, 0, 0]);
        y.extend([2, 0, 2, 0, 1, 9, 0, 0]);
        assert_eq!(read(&mat(&[x(), element(14, &y)])).unwrap(), expected);
        assert_eq!(read(&mat(&[x(), compressed(&element(14, &y))])).unwrap(), expected);
    }

    #[test]
    fn the_independent_reader_agrees() {
        let file = mat(&[compressed(&x()), compressed(&y([1.0, 9.0]))]);
        let independent = matfile::MatFile::parse(file.as_slice()).unwrap();
        let array = independent.find_by_name("X").unwrap();
        assert_eq!(array.size(), &[32, 32, 3, 2]);
        let matfile::NumericData::UInt8 { real, .. } = array.data() else { panic!() };
        for (image_idx, record) in read(&file).unwrap().iter().enumerate() {
            let Payload::Pixels(picture) = &record.payload else { panic!() };
            for (i, &value) in picture.pixels.iter().enumerate() {
                let (channel, row, column) = (i / 1024, i / 32 % 32, i % 32);
                assert_eq!(value, real[row + 32 * (column + 32 * (channel + 3 * image_idx))]);
            }
        }
    }

    #[test]
    fn damage_is_named_with_its_place() {
        let y = || y([1.0, 2.0]);
        let whole = mat(&[compressed(&x()), compressed(&y())]);
        let mut corrupt = whole.clone();
        corrupt[600] ^= 0xff;
        let wrong_end = [&whole[..126], b"MI", &whole[128..]].concat();
        let hdf5 = [&b"MATLAB 7.3 MAT-file"[..], &whole].concat();
        let signed = matrix(b'X', 8, &[32, 32, 3, 2], 1, &pixels());
        let flat = matrix(b'X', 9, &[32, 32, 6], 2, &pixels());
        let flagged = |mut array: Vec<u8>, flag: u8| {
            // Behind the tags of the matrix and of its flags, and the class.
            array[17] = flag;
            array
        };
        let cases: [(&[u8], &str); 14] = [
            (&whole[..whole.len() - 10], "and the end of the file"),
            (&whole[..131], "at byte 128: expected 8 more bytes, found 3 and the end of the file"),
            (&whole[..100], "at byte 100: expected a MAT-file of level 5"),
            (&corrupt, "expected zlib-compressed data, found"),
            (&wrong_end, "at byte 124: expected a MAT-file of level 5"),
            (&hdf5, "found version 7.3, which is HDF5"),
            (&mat(&[signed, y()]), "at byte 136: expected array X, uint8, of 32×32×3×N"),
            (&mat(&[flat, y()]), "found dimensions [32, 32, 6]"),
            (
                &mat(&[flagged(x(), 2), y()]),
                "at byte 136: expected array X of real numbers, found a logical one",
            ),
            (&mat(&[flagged(x(), 8), y()]), "expected array X of real numbers, found a complex one"),
            (&mat(&[x(), flagged(y(), 2)]), "expected array y of real numbers, found a logical one"),
            (&mat(&[y(), x(), x()]), "at byte 6416: expected one array X, found a second one"),
            (&mat(&[y(), x(), y()]), "expected one array y, found a second one"),
            (&mat(&[x()]), "expected an array y, found the arrays [\"X\"]"),
        ];
        for (file, expected) in cases {
            let complaint = read(file).unwrap_err().to_string();
            assert!(complaint.contains(expected), "{complaint}\n{expected}");
        }
    }

    #[test]
    fn labels_out_of_range_or_number_are_errors() {
        for wrong in [0.0, 11.0, 2.5, f64::NAN] {
            let complaint = read(&mat(&[x(), y([1.0, wrong])])).unwrap_err().to_string();
            assert!(complaint.contains("expected a label from 1 to 10 in y(2), found"), "{complaint}");
        }
        let three = matrix(b'y', 6, &[3, 1], 9, &[0; 24]);
        let complaint = read(&mat(&[x(), three])).unwrap_err().to_string();
        assert!(complaint.contains("expected array y of 2 labels, found dimensions [3, 1]"), "{complaint}");
    }
}
