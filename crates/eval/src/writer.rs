//! Writes features row by row, so that they never have to be held whole.

use std::path::{Path, PathBuf};

use ndarray::ArrayView1;
use ndarray_npy::WriteNpyExt;

use crate::classes::{self, CLASSES_FILE};
use crate::error::{EvalError, Result};
use crate::features::{FEATURES_FILE, LABELS_FILE};
use crate::npy::{self, Change, RowWriter};

/// Streams `features.npy` (f32, (N, D)) and `labels.npy` (u32, (N,)) into a folder, with `classes.json` where the classes have names;
/// without labels `features.npy` alone.
///
/// The files appear whole at [`finish`](Self::finish), or not at all: until then they carry other names, and are
/// removed where the writer is dropped unfinished.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// use dcgan_eval::{FeatureSet, FeatureWriter};
///
/// let mut writer = FeatureWriter::create(folder.path(), 2)?;
/// writer.append(&[0.5, 1.0, 1.5, 2.0], &[0, 1])?;
/// assert_eq!(writer.finish()?, 2);
/// assert_eq!(FeatureSet::open(folder.path())?.row(1), [1.5, 2.0]);
/// # Ok(())
/// # }
/// ```
pub struct FeatureWriter {
    dir: PathBuf,
    rows: Option<RowWriter>,
    partial_features: PathBuf,
    partial_labels: PathBuf,
    partial_classes: PathBuf,
    labels: Vec<u32>,
    /// Of rows without a label.
    n_unlabelled: usize,
    class_names: Option<Vec<String>>,
    n_columns: usize,
}

impl FeatureWriter {
    /// Starts writing rows of `n_columns` features into the folder `dir`, which is created where it is missing.
    ///
    /// # Errors
    /// [`EvalError::Io`]; [`EvalError::Rows`] for 0 columns.
    pub fn create(dir: &Path, n_columns: usize) -> Result<Self> {
        if n_columns == 0 {
            return Err(rows_error(dir, "at least one column", "0"));
        }
        fs_err::create_dir_all(dir)?;
        let partial_features = dir.join(format!("{FEATURES_FILE}.partial"));
        let partial_labels = dir.join(format!("{LABELS_FILE}.partial"));
        let rows = Some(RowWriter::create(&partial_features)?);
        Ok(Self {
            dir: dir.into(),
            rows,
            partial_features,
            partial_labels,
            partial_classes: dir.join(format!("{CLASSES_FILE}.partial")),
            labels: Vec::new(),
            n_unlabelled: 0,
            class_names: None,
            n_columns,
        })
    }

    /// Has `classes.json` written too: the names of the classes, in the order of the labels.
    pub fn named(mut self, class_names: Option<Vec<String>>) -> Self {
        self.class_names = class_names;
        self
    }

    /// Appends `labels.len()` rows; `values` holds their features row by row.
    ///
    /// # Errors
    /// [`EvalError::Rows`] where `values` does not hold `n_columns` numbers a label, [`EvalError::NotFinite`] where one
    /// is NaN or infinite, [`EvalError::Label`] for one too large, [`EvalError::Io`].
    pub fn append(&mut self, values: &[f32], labels: &[u32]) -> Result<()> {
        let n_expected = labels.len() * self.n_columns;
        if values.len() != n_expected {
            let expected =
                format!("{n_expected} numbers for {} rows of {} columns", labels.len(), self.n_columns);
            return Err(rows_error(&self.dir, &expected, &values.len().to_string()));
        }
        let path = self.dir.join(LABELS_FILE);
        for (row, &label) in (self.labels.len()..).zip(labels) {
            classes::label(&path, row, i128::from(label))?;
        }
        self.append_values(values)?;
        self.labels.extend_from_slice(labels);
        Ok(())
    }

    /// Appends rows without labels; all of them must be so.
    ///
    /// # Errors
    /// As [`Self::append`]; whether all rows are alike is seen in the end.
    pub fn append_unlabelled(&mut self, values: &[f32]) -> Result<()> {
        if !values.len().is_multiple_of(self.n_columns) {
            let expected = format!("whole rows of {} numbers", self.n_columns);
            return Err(rows_error(&self.dir, &expected, &values.len().to_string()));
        }
        self.append_values(values)?;
        self.n_unlabelled += values.len() / self.n_columns;
        Ok(())
    }

    fn append_values(&mut self, values: &[f32]) -> Result<()> {
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            return Err(EvalError::NotFinite {
                path: self.dir.join(FEATURES_FILE),
                row: self.labels.len() + self.n_unlabelled + at / self.n_columns,
                column: at % self.n_columns,
                found: values[at],
            });
        }
        if let Some(rows) = &mut self.rows {
            rows.append(values)?;
        }
        Ok(())
    }

    /// Completes the files and returns the number of rows.
    ///
    /// # Errors
    /// [`EvalError::Rows`] where nothing was appended, [`EvalError::Classes`] where a label has no name among those given,
    /// [`EvalError::Io`].
    pub fn finish(self) -> Result<usize> {
        self.complete(None)
    }

    /// [`Self::finish`], after the features were gone over once more: `change` is given all of them, some rows at a time, to
    /// change in place.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub fn finish_changed(self, change: Change<'_>) -> Result<usize> {
        self.complete(Some(change))
    }

    fn complete(mut self, change: Option<Change<'_>>) -> Result<usize> {
        let (n_labelled, n_rows) = (self.labels.len(), self.labels.len() + self.n_unlabelled);
        if n_rows == 0 {
            return Err(rows_error(&self.dir, "at least one row", "none"));
        }
        if n_labelled != 0 && n_labelled != n_rows {
            let expected = format!("a label for each of {n_rows} rows, or for none");
            return Err(rows_error(&self.dir, &expected, &n_labelled.to_string()));
        }
        if n_labelled > 0 {
            let file = fs_err::File::create(&self.partial_labels)?;
            let written = ArrayView1::from(&self.labels).write_npy(file);
            written.map_err(|error| EvalError::Io(std::io::Error::other(error)))?;
        }
        if let Some(rows) = self.rows.take() {
            rows.finish(n_rows, self.n_columns)?;
        }
        if let Some(change) = change {
            npy::change_rows(&self.partial_features, self.n_columns, change)?;
        }
        let classes_path = self.dir.join(CLASSES_FILE);
        if let Some(names) = &self.class_names {
            let n_classes = self.labels.iter().max().map_or(0, |largest| *largest as usize + 1);
            classes::check(names, n_classes, &classes_path)?;
            let text = serde_json::to_vec_pretty(names).map_err(std::io::Error::from)?;
            fs_err::write(&self.partial_classes, text)?;
            fs_err::rename(&self.partial_classes, &classes_path)?;
        } else if classes_path.exists() {
            // It belongs to the features and labels that are replaced.
            fs_err::remove_file(&classes_path)?;
        }
        let labels_path = self.dir.join(LABELS_FILE);
        if n_labelled > 0 {
            fs_err::rename(&self.partial_labels, labels_path)?;
        } else if labels_path.exists() {
            // Likewise.
            fs_err::remove_file(labels_path)?;
        }
        fs_err::rename(&self.partial_features, self.dir.join(FEATURES_FILE))?;
        Ok(n_rows)
    }
}

impl Drop for FeatureWriter {
    fn drop(&mut self) {
        // After `finish` none of them is there; before, there is no caller for the error of one that cannot be removed.
        let _ = fs_err::remove_file(&self.partial_features);
        let _ = fs_err::remove_file(&self.partial_labels);
        let _ = fs_err::remove_file(&self.partial_classes);
    }
}

fn rows_error(dir: &Path, expected: &str, found: &str) -> EvalError {
    EvalError::Rows { path: dir.into(), expected: expected.into(), found: found.into() }
}
