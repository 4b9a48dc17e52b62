//! Features brought to one scale: each less its mean and over √(variance + ε), both of a training set.

use std::path::Path;

use fs_err::File;
use ndarray::{Array2, ArrayView2, Axis};
use ndarray_npy::{ReadNpyExt, WriteNpyExt};
use rayon::prelude::*;

use crate::error::{EvalError, Result};

/// Columns that one thread sums.
const STRIPE: usize = 1024;

/// The mean of each feature and what it is divided by.
#[derive(Debug, Clone, PartialEq)]
pub struct Standard {
    mean: Vec<f32>,
    scale: Vec<f32>,
}

impl Standard {
    /// Name of the file in which it stands beside the features that were scaled by it: f32 (2, D), means first.
    pub const FILE: &str = "standard.npy";

    /// Reads the file in the folder `dir`.
    ///
    /// # Errors
    /// [`EvalError::Npy`] where it is not one for `n_columns` features; [`EvalError::Io`].
    pub fn read(dir: &Path, n_columns: usize) -> Result<Self> {
        let path = dir.join(Self::FILE);
        let wrong = |found: String| EvalError::Npy {
            path: path.clone(),
            expected: format!("the mean and the scale of {n_columns} features, finite f32, scales above 0"),
            found,
        };
        dcgan_files::regular::open(&path)?;
        let bytes = fs_err::read(&path)?;
        dcgan_files::npy::check_head(&bytes).map_err(|mismatch| wrong(mismatch.found))?;
        let values = Array2::<f32>::read_npy(&bytes[..]).map_err(|error| wrong(error.to_string()))?;
        if values.dim() != (2, n_columns) {
            return Err(wrong(format!("shape {:?}", values.dim())));
        }
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            return Err(wrong(value.to_string()));
        }
        if let Some(scale) = values.index_axis(Axis(0), 1).iter().find(|scale| **scale <= 0.0) {
            return Err(wrong(format!("a scale of {scale}")));
        }
        let row = |idx: usize| values.index_axis(Axis(0), idx).to_vec();
        Ok(Self { mean: row(0), scale: row(1) })
    }

    /// Writes the file into the folder `dir`.
    ///
    /// # Errors
    /// [`EvalError::Io`].
    pub fn write(&self, dir: &Path) -> Result<()> {
        let values = [&self.mean[..], &self.scale].concat();
        let file = File::create(dir.join(Self::FILE))?;
        let written = ArrayView2::from_shape((2, self.mean.len()), &values)?.write_npy(file);
        written.map_err(|error| EvalError::Io(std::io::Error::other(error)))
    }

    /// Scales rows in place.
    pub fn apply(&self, rows: &mut [f32]) {
        rows.par_chunks_mut(self.mean.len()).for_each(|row| {
            for (value, (mean, scale)) in row.iter_mut().zip(self.mean.iter().zip(&self.scale)) {
                *value = (*value - mean) / scale;
            }
        });
    }
}

/// Sums over rows, for their [`Standard`].
#[derive(Debug, Clone)]
pub struct Moments {
    /// Of each column Σx and Σx².
    sums: Vec<[f64; 2]>,
    n_rows: usize,
}

impl Moments {
    /// Of no rows yet, of `n_columns` numbers.
    pub fn new(n_columns: usize) -> Self {
        Self { sums: vec![[0.0; 2]; n_columns], n_rows: 0 }
    }

    /// Adds those of the rows, which lie one after another, that count. Each column is summed in the order of the rows.
    pub fn add(&mut self, rows: &[f32], is_counted: &[bool]) {
        let n_columns = self.sums.len();
        self.n_rows +=
            is_counted.iter().take(rows.len() / n_columns).filter(|is_counted| **is_counted).count();
        self.sums.par_chunks_mut(STRIPE).enumerate().for_each(|(stripe, sums)| {
            for (row, _) in rows.chunks_exact(n_columns).zip(is_counted).filter(|(_, counts)| **counts) {
                for ([sum, squares], value) in sums.iter_mut().zip(&row[stripe * STRIPE..]) {
                    let value = f64::from(*value);
                    *sum += value;
                    *squares += value * value;
                }
            }
        });
    }

    /// The means, and √(variance + `epsilon`), whose variance divides by one less than the number of rows (Coates, Lee and
    /// Ng, 2011, and their code).
    ///
    /// # Errors
    /// [`EvalError::Setting`] for fewer than two rows.
    pub fn standard(&self, epsilon: f64) -> Result<Standard> {
        if self.n_rows < 2 {
            return Err(EvalError::Setting {
                setting: "statistics",
                expected: "at least 2 pictures".into(),
                found: self.n_rows.to_string(),
            });
        }
        let n = self.n_rows as f64;
        let scale = |[sum, squares]: &[f64; 2]| {
            let variance = ((squares - sum * sum / n) / (n - 1.0)).max(0.0);
            (variance + epsilon).sqrt() as f32
        };
        Ok(Standard {
            mean: self.sums.iter().map(|[sum, _]| (sum / n) as f32).collect(),
            scale: self.sums.iter().map(scale).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ```python
    /// x = np.array([[1., 200, 5], [2, 210, 5], [4, 190, 5], [9, 203.5, 5]])
    /// (x - x.mean(0)) / np.sqrt(x.var(0, ddof=1) + 0.01)
    /// ```
    #[test]
    fn rows_are_scaled_as_numpy_does() {
        let mut rows = [1.0, 200.0, 5.0, 2.0, 210.0, 5.0, 4.0, 190.0, 5.0, 9.0, 203.5, 5.0];
        let mut moments = Moments::new(3);
        moments.add(&rows[..6], &[true, false]);
        moments.add(&rows[3..], &[true; 3]);
        let standard = moments.standard(0.01).unwrap();
        standard.apply(&mut rows);
        let expected = [
            -0.8425947, -0.1047779, 0.0, -0.5617298, 1.0926838, 0.0, 0.0, -1.3022396, 0.0, 1.4043245,
            0.3143337, 0.0,
        ];
        for (found, expected) in rows.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-5, "{rows:?}");
        }
        let folder = tempfile::tempdir().unwrap();
        standard.write(folder.path()).unwrap();
        assert_eq!(Standard::read(folder.path(), 3).unwrap(), standard);
        let message = Standard::read(folder.path(), 4).unwrap_err().to_string();
        assert!(
            message.ends_with("of 4 features, finite f32, scales above 0, found shape (2, 3)"),
            "{message}"
        );
        assert!(Moments::new(3).standard(0.01).is_err());
        Standard { scale: vec![1.0, 0.0, 1.0], ..standard }.write(folder.path()).unwrap();
        let message = Standard::read(folder.path(), 3).unwrap_err().to_string();
        assert!(message.ends_with("standard.npy: expected the mean and the scale of 3 features, finite f32, scales above 0, found a scale of 0"), "{message}");
    }
}
