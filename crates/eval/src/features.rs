//! Features on disk: `features.npy`, f32 (N, D), and, where pictures have them, `labels.npy` beside it; `classes.json`, where the
//! classes have names.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use half::bf16;
use ndarray::{Array2, ArrayView2, aview2};
use rayon::prelude::*;

use crate::classes::{self, CLASSES_FILE};
use crate::error::{EvalError, Result};
use crate::npy::{self, Matrix};

/// Name of the features' file within its folder.
pub const FEATURES_FILE: &str = "features.npy";
/// Name of the labels' file within its folder.
pub const LABELS_FILE: &str = "labels.npy";

/// A labelled feature matrix, f32 (N, D), mapped into memory from its file.
///
/// Made by [`FeatureWriter`](crate::FeatureWriter) or by NumPy:
/// `numpy.save("features.npy", x.astype("f4")); numpy.save("labels.npy", y)`.
pub struct FeatureSet {
    matrix: Arc<Matrix>,
    labels: Vec<usize>,
    n_classes: usize,
    class_names: Option<Vec<String>>,
    path: PathBuf,
}

impl fmt::Debug for FeatureSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FeatureSet")
            .field("path", &self.path)
            .field("n_rows", &self.n_rows())
            .field("n_columns", &self.n_columns())
            .field("n_classes", &self.n_classes)
            .finish()
    }
}

impl FeatureSet {
    /// Opens `features.npy` and `labels.npy` in the folder `dir`, and `classes.json` where it is there.
    ///
    /// Features are f32 in C order and stay on disk; f64 is converted into memory. Anything else is refused.
    /// Labels are of any integer type. The files must not be changed while the set is in use. Whether the numbers are
    /// finite is checked by [`check_finite`](Self::check_finite), which the protocols call.
    ///
    /// # Errors
    /// [`EvalError::Npy`] for another type, shape or order and for a truncated file, [`EvalError::NoLabels`] where there are no
    /// labels, [`EvalError::RowMismatch`] where the two files differ in their number of rows, [`EvalError::Label`] for one that
    /// is negative or too large, [`EvalError::Classes`] for names that are not the labels'.
    pub fn open(dir: &Path) -> Result<Self> {
        let path = dir.join(LABELS_FILE);
        match path.exists() || !dir.join(FEATURES_FILE).exists() {
            true => Self::open_labelled_or_not(dir),
            false => Err(EvalError::NoLabels { path }),
        }
    }

    /// [`Self::open`] for those who need no labels: where `labels.npy` is not there, [`Self::labels`] is empty.
    ///
    /// # Errors
    /// As [`Self::open`], but for missing labels.
    pub fn open_labelled_or_not(dir: &Path) -> Result<Self> {
        let features = dir.join(FEATURES_FILE);
        let matrix = Matrix::open(&features)?;
        let labels_path = dir.join(LABELS_FILE);
        let is_labelled = labels_path.exists();
        let labels = if is_labelled { npy::read_labels(&labels_path)? } else { Vec::new() };
        if matrix.n_columns == 0 || matrix.n_rows == 0 {
            return Err(EvalError::Npy {
                path: features,
                expected: "at least one row and one column".into(),
                found: format!("shape ({}, {})", matrix.n_rows, matrix.n_columns),
            });
        }
        if !is_labelled {
            let (matrix, path) = (Arc::new(matrix), features);
            return Ok(Self { matrix, labels, n_classes: 0, class_names: None, path });
        }
        let set = Self::new(matrix, labels, features, labels_path)?;
        let path = dir.join(CLASSES_FILE);
        let class_names = classes::read(&path)?;
        class_names.as_ref().map_or(Ok(()), |names| classes::check(names, set.n_classes, &path))?;
        Ok(Self { class_names, ..set })
    }

    /// A set in memory, without files.
    ///
    /// # Errors
    /// [`EvalError::RowMismatch`] where `labels` is not as long as `features` has rows; [`EvalError::Label`] for one too large.
    pub fn from_arrays(features: &Array2<f32>, labels: Vec<usize>) -> Result<Self> {
        let (n_rows, n_columns) = features.dim();
        let matrix = Matrix::held(features.iter().copied().collect(), n_rows, n_columns);
        Self::new(matrix, labels, "features in memory".into(), "labels in memory".into())
    }

    /// A set that has labels alone, read from `path`, and no columns.
    pub(crate) fn without_columns(labels: Vec<usize>, path: &Path) -> Result<Self> {
        let matrix = Matrix::held(Vec::new(), labels.len(), 0);
        Self::new(matrix, labels, path.into(), path.into())
    }

    fn new(matrix: Matrix, labels: Vec<usize>, path: PathBuf, labels_path: PathBuf) -> Result<Self> {
        if labels.len() != matrix.n_rows {
            return Err(EvalError::RowMismatch {
                path: labels_path,
                expected: matrix.n_rows,
                found: labels.len(),
            });
        }
        labels
            .iter()
            .enumerate()
            .try_for_each(|(row, &label)| classes::label(&labels_path, row, label as i128).map(|_| ()))?;
        let n_classes = labels.iter().max().map_or(0, |largest| largest + 1);
        Ok(Self { matrix: Arc::new(matrix), labels, n_classes, class_names: None, path })
    }

    /// The set with names for its classes, in the order of the labels.
    ///
    /// # Errors
    /// [`EvalError::Classes`] where a name is there twice or a label has none.
    pub fn named(self, class_names: Vec<String>) -> Result<Self> {
        classes::check(&class_names, self.n_classes, &self.path)?;
        Ok(Self { class_names: Some(class_names), ..self })
    }

    /// The same rows with other labels, of the classes of `other`.
    pub(crate) fn relabelled(&self, labels: Vec<usize>, other: &Self) -> Self {
        Self {
            matrix: self.matrix.clone(),
            labels,
            n_classes: other.n_classes,
            class_names: other.class_names.clone(),
            path: self.path.clone(),
        }
    }

    /// The features, (N, D).
    pub fn features(&self) -> ArrayView2<'_, f32> {
        // The matrix holds N·D numbers by construction, so the fallback is never met.
        ArrayView2::from_shape((self.n_rows(), self.n_columns()), self.values())
            .unwrap_or_else(|_| aview2::<f32, 0>(&[]))
    }

    /// The features as one slice, row by row.
    pub fn values(&self) -> &[f32] {
        self.matrix.values()
    }

    /// The features of row `row_idx`, D numbers.
    ///
    /// # Panics
    /// Where `row_idx` is not below [`n_rows`](Self::n_rows).
    pub fn row(&self, row_idx: usize) -> &[f32] {
        let n_columns = self.n_columns();
        &self.values()[row_idx * n_columns..(row_idx + 1) * n_columns]
    }

    /// Number of rows, N.
    pub fn n_rows(&self) -> usize {
        self.matrix.n_rows
    }

    /// Number of features a row, D.
    pub fn n_columns(&self) -> usize {
        self.matrix.n_columns
    }

    /// The class of each row; of a set without labels, nothing.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// One more than the largest label.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// The names of the classes 0..`n_classes`, and maybe of more, where they are known.
    pub fn class_names(&self) -> Option<&[String]> {
        self.class_names.as_deref()
    }

    /// Number of rows of each class 0..`n_classes`.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.n_classes];
        self.labels.iter().for_each(|&label| counts[label] += 1);
        counts
    }

    /// The features' file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What to say where numbers of f64 were rounded to f32.
    pub fn rounded(&self) -> Option<String> {
        let (n, n_all) = (self.matrix.n_rounded, self.n_rows() * self.n_columns());
        let path = self.path.display();
        (n > 0).then(|| format!("{path}: {n} of its {n_all} numbers of f64 are rounded to f32"))
    }

    /// Reads through all features and fails at the first row that holds NaN or an infinity.
    ///
    /// # Errors
    /// [`EvalError::NotFinite`], naming row and column.
    pub fn check_finite(&self) -> Result<()> {
        let bad = self
            .values()
            .par_chunks(self.n_columns())
            .enumerate()
            .find_first(|(_, values)| values.iter().any(|value| !value.is_finite()));
        let Some((row, values)) = bad else { return Ok(()) };
        let column = values.iter().position(|value| !value.is_finite()).unwrap_or(0);
        Err(EvalError::NotFinite { path: self.path.clone(), row, column, found: values[column] })
    }

    /// The features rounded to bf16, (N, D), in memory: half the size of the file.
    ///
    /// # Errors
    /// Where the file cannot be read again.
    pub fn to_bf16(&self) -> Result<Array2<bf16>> {
        let rounded = self.matrix.to_bf16(&self.path)?;
        Ok(Array2::from_shape_vec((self.n_rows(), self.n_columns()), rounded)?)
    }

    /// Copies rows into a matrix, (`rows.len()`, D).
    pub(crate) fn gather(&self, rows: &[u32]) -> Result<Array2<f32>> {
        let mut values = self.room(rows.len())?;
        rows.iter().for_each(|&row| values.extend_from_slice(self.row(row as usize)));
        Ok(Array2::from_shape_vec((rows.len(), self.n_columns()), values)?)
    }

    /// Room for the values of so many rows.
    pub(crate) fn room(&self, n_rows: usize) -> Result<Vec<f32>> {
        npy::room(&self.path, n_rows * self.n_columns())
    }

    /// The classes of `rows`.
    pub(crate) fn gather_labels(&self, rows: &[u32]) -> Vec<usize> {
        rows.iter().map(|&row| self.labels[row as usize]).collect()
    }
}
