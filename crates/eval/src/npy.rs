//! NumPy's files: feature matrices mapped into memory, labels of any integer type, and a writer that does not know
//! the number of rows until the end.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use dcgan_files::npy::{self, Mismatch, check_head, split_head};
use dcgan_files::regular;
use fs_err::File;
use half::bf16;
use memmap2::Mmap;
use ndarray::{Array1, ArrayView2};
use ndarray_npy::{ReadNpyError, ReadNpyExt, ReadableElement, ViewNpyError, ViewNpyExt};
use rayon::prelude::*;

use crate::classes;
use crate::error::{EvalError, Result};

/// A row-major matrix of f32, mapped from its file or held in memory.
pub(crate) struct Matrix {
    data: Data,
    pub(crate) n_rows: usize,
    pub(crate) n_columns: usize,
    /// Numbers of f64 that f32 does not hold.
    pub(crate) n_rounded: usize,
}

enum Data {
    Mapped { map: Mmap, offset: usize },
    Held(Vec<f32>),
}

impl Matrix {
    /// A matrix in memory; `values` are its `n_rows · n_columns` numbers, row by row.
    pub(crate) fn held(values: Vec<f32>, n_rows: usize, n_columns: usize) -> Self {
        Self { data: Data::Held(values), n_rows, n_columns, n_rounded: 0 }
    }

    /// Maps a `.npy` file of f32 in C order; f64 is converted into memory instead, as it is read.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let map = map(path)?;
        split_head(&map).map_err(|mismatch| head_error(path, mismatch))?;
        match ArrayView2::<f32>::view_npy(&map) {
            Ok(view) => {
                let (n_rows, n_columns) = c_order(path, &view)?;
                let offset = map.len() - n_rows * n_columns * size_of::<f32>();
                Ok(Self { data: Data::Mapped { map, offset }, n_rows, n_columns, n_rounded: 0 })
            }
            Err(ViewNpyError::WrongDescriptor(found)) if found.to_string().contains("<f8") => {
                let view = ArrayView2::<f64>::view_npy(&map).map_err(|error| matrix_error(path, &error))?;
                let (n_rows, n_columns) = c_order(path, &view)?;
                let mut values = room(path, n_rows * n_columns)?;
                values.extend(view.iter().map(|&value| value as f32));
                let is_other = |value: f64, rounded: f32| f64::from(rounded) != value && !value.is_nan();
                let pairs = view.iter().zip(&values);
                let n_rounded = pairs.filter(|(value, rounded)| is_other(**value, **rounded)).count();
                Ok(Self { n_rounded, ..Self::held(values, n_rows, n_columns) })
            }
            Err(error) => Err(matrix_error(path, &error)),
        }
    }

    /// All numbers, row by row.
    pub(crate) fn values(&self) -> &[f32] {
        match &self.data {
            Data::Mapped { map, offset } => bytemuck::cast_slice(&map[*offset..]),
            Data::Held(values) => values,
        }
    }
}

/// Bytes of a file that are read at a time where it is converted.
const CHUNK_BYTES: usize = 64 << 20;
/// Bytes of a file that are changed at a time.
const CHANGED_BYTES: usize = 16 << 20;

impl Matrix {
    /// All numbers rounded to bf16, row by row. `path` is the matrix's file, which is read rather than accessed through the
    /// map, whose pages would count against the memory that this is to spare.
    pub(crate) fn to_bf16(&self, path: &Path) -> Result<Vec<bf16>> {
        let mut rounded = room(path, self.n_rows * self.n_columns)?;
        rounded.resize(self.n_rows * self.n_columns, bf16::ZERO);
        let round = |(out, value): (&mut bf16, &f32)| *out = bf16::from_f32(*value);
        match &self.data {
            Data::Held(values) => rounded.par_iter_mut().zip(values).for_each(round),
            Data::Mapped { offset, .. } => {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(*offset as u64))?;
                let mut values = vec![0.0_f32; CHUNK_BYTES / size_of::<f32>()];
                for out in rounded.chunks_mut(values.len()) {
                    let values = &mut values[..out.len()];
                    regular::read_exact(path, &mut file, bytemuck::cast_slice_mut(values))?;
                    out.par_iter_mut().zip(values.par_iter()).for_each(round);
                }
            }
        }
        Ok(rounded)
    }
}

/// An empty vector with room for what `path` holds.
pub(crate) fn room<T>(path: &Path, n_values: usize) -> Result<Vec<T>> {
    let mut values = Vec::new();
    match values.try_reserve_exact(n_values) {
        Ok(()) => Ok(values),
        Err(_) => {
            Err(EvalError::Memory { path: path.into(), n_bytes: n_values.saturating_mul(size_of::<T>()) })
        }
    }
}

fn map(path: &Path) -> Result<Mmap> {
    let file = regular::open(path)?;
    let unusable = |found: String| EvalError::Npy {
        path: path.into(),
        expected: "a NumPy file with a matrix (N, D) of f32".into(),
        found,
    };
    if file.metadata()?.len() == 0 {
        return Err(unusable("an empty file".into()));
    }
    // SAFETY: the map is read only. That nobody shortens the file while it is read is part of this crate's contract
    // (see `FeatureSet::open`): a writer renames a new file over the old one, which leaves the map on the old one.
    #[allow(unsafe_code)]
    let map = unsafe { Mmap::map(file.file()) };
    map.map_err(|error| unusable(error.to_string()))
}

fn head_error(path: &Path, Mismatch { expected, found }: Mismatch) -> EvalError {
    EvalError::Npy { path: path.into(), expected, found }
}

/// The shape of a matrix whose rows stand one after another.
fn c_order<T>(path: &Path, view: &ArrayView2<'_, T>) -> Result<(usize, usize)> {
    if view.is_standard_layout() {
        return Ok(view.dim());
    }
    Err(EvalError::Npy {
        path: path.into(),
        expected: "rows one after another (C order)".into(),
        found: "Fortran order; save numpy.ascontiguousarray(features)".into(),
    })
}

fn matrix_error(path: &Path, error: &ViewNpyError) -> EvalError {
    let (expected, found) = match error {
        ViewNpyError::WrongDescriptor(found) => ("numbers of type '<f4' or '<f8'".into(), found.to_string()),
        ViewNpyError::NonNativeEndian => (
            "little-endian numbers, '<f4' or '<f8'".into(),
            "big-endian ones; save features.astype('<f4')".into(),
        ),
        ViewNpyError::WrongNdim(_, found) => ("a matrix (N, D)".into(), format!("{found} dimension(s)")),
        ViewNpyError::MissingBytes(n) => (
            "all the data that its header announces".into(),
            format!("{n} bytes fewer: the file is truncated"),
        ),
        ViewNpyError::ExtraBytes(n) => {
            ("no more data than its header announces".into(), format!("{n} bytes more"))
        }
        other => ("a NumPy file with a matrix (N, D) of f32".into(), other.to_string()),
    };
    EvalError::Npy { path: path.into(), expected, found }
}

/// Reads labels of one integer type, or fails for another.
type IntegerReader = fn(&[u8]) -> std::result::Result<Vec<i128>, ReadNpyError>;

/// Reads `labels.npy`: one dimension, any integer type.
pub(crate) fn read_labels(path: &Path) -> Result<Vec<usize>> {
    regular::open(path)?;
    let bytes = fs_err::read(path)?;
    check_head(&bytes).map_err(|mismatch| head_error(path, mismatch))?;
    let readers: [IntegerReader; 8] = [
        integers::<u32>,
        integers::<i64>,
        integers::<i32>,
        integers::<u8>,
        integers::<u64>,
        integers::<u16>,
        integers::<i16>,
        integers::<i8>,
    ];
    let mut descriptor = String::new();
    for read in readers {
        match read(&bytes) {
            Ok(labels) => return checked(path, &labels),
            Err(ReadNpyError::WrongDescriptor(found)) => descriptor = found.to_string(),
            Err(error) => return Err(labels_error(path, &error)),
        }
    }
    Err(EvalError::Npy { path: path.into(), expected: "labels of an integer type".into(), found: descriptor })
}

fn integers<T: ReadableElement + Copy + Into<i128>>(
    bytes: &[u8],
) -> std::result::Result<Vec<i128>, ReadNpyError> {
    Ok(Array1::<T>::read_npy(bytes)?.iter().map(|&label| label.into()).collect())
}

fn checked(path: &Path, labels: &[i128]) -> Result<Vec<usize>> {
    labels.iter().enumerate().map(|(row, &label)| classes::label(path, row, label)).collect()
}

fn labels_error(path: &Path, error: &ReadNpyError) -> EvalError {
    let (expected, found) = match error {
        ReadNpyError::WrongNdim(_, found) => {
            ("labels in one dimension".into(), format!("{found} dimension(s)"))
        }
        ReadNpyError::MissingData => {
            ("all the data that its header announces".into(), "fewer bytes: the file is truncated".into())
        }
        other => ("a NumPy file with labels in one dimension".to_string(), other.to_string()),
    };
    EvalError::Npy { path: path.into(), expected, found }
}

/// Writes a `.npy` matrix of f32 row by row; its header is completed when the number of rows is known.
pub(crate) struct RowWriter {
    file: npy::Writer,
    bytes: Vec<u8>,
}

impl RowWriter {
    /// Creates the file, with room for its header.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        Ok(Self { file: npy::Writer::create(path, "<f4")?, bytes: Vec::new() })
    }

    /// Appends numbers.
    pub(crate) fn append(&mut self, values: &[f32]) -> Result<()> {
        self.bytes.clear();
        self.bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        Ok(self.file.append(&self.bytes)?)
    }

    /// Writes the header of an (`n_rows`, `n_columns`) matrix and everything to disk.
    pub(crate) fn finish(self, n_rows: usize, n_columns: usize) -> Result<()> {
        Ok(self.file.finish(&[n_rows as u64, n_columns as u64])?)
    }
}

/// Given rows of features to change in place.
pub type Change<'a> = &'a mut dyn FnMut(&mut [f32]);

/// Goes over a file that [`RowWriter`] finished and changes its numbers in place, some rows at a time.
pub(crate) fn change_rows(path: &Path, n_columns: usize, change: Change<'_>) -> Result<()> {
    let mut file = fs_err::OpenOptions::new().read(true).write(true).open(path)?;
    let n_values = (file.metadata()?.len() as usize - npy::HEAD_BYTES) / size_of::<f32>();
    let n_at_once = (CHANGED_BYTES / size_of::<f32>() / n_columns).max(1) * n_columns;
    let mut values = vec![0.0_f32; n_at_once.min(n_values)];
    for start in (0..n_values).step_by(n_at_once) {
        let at = SeekFrom::Start((npy::HEAD_BYTES + start * size_of::<f32>()) as u64);
        let values = &mut values[..n_at_once.min(n_values - start)];
        file.seek(at)?;
        file.read_exact(bytemuck::cast_slice_mut(values))?;
        values.iter_mut().for_each(|value| *value = f32::from_bits(u32::from_le(value.to_bits())));
        change(values);
        values.iter_mut().for_each(|value| *value = f32::from_bits(value.to_bits().to_le()));
        file.seek(at)?;
        file.write_all(bytemuck::cast_slice(values))?;
    }
    Ok(file.sync_all()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_cannot_be_had_is_an_error() {
        let message = room::<f32>(Path::new("features.npy"), usize::MAX / 8).unwrap_err().to_string();
        assert!(message.starts_with("features.npy: expected "), "{message}");
        assert!(message.ends_with("bytes of memory to be had, found too little"), "{message}");
    }
}
