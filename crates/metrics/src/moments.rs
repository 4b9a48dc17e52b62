//! Mean and covariance of features, in f64.

use faer::linalg::matmul::triangular::{BlockStructure, matmul};
use faer::{Accum, Mat, MatRef, get_global_parallelism};

use crate::error::{MetricsError, Result};
use crate::features::Features;

/// Rows whose products are summed at a time.
const BLOCK: usize = 1024;

/// Mean and covariance of the features of a set of pictures, which is all that a Fréchet distance looks at.
#[derive(Debug, Clone)]
pub struct Statistics {
    /// The mean of each feature, D numbers.
    pub mean: Vec<f64>,
    /// The unbiased covariance (over N − 1), (D, D), symmetric.
    pub covariance: Mat<f64>,
    /// Pictures; none where a file does not tell.
    pub n_rows: Option<u64>,
}

impl Statistics {
    /// Those of a set, at least two rows, summed in blocks of 1024 rows: the same bits whatever the number of threads.
    ///
    /// # Errors
    /// [`MetricsError::Rows`] for fewer than two rows.
    pub fn of(features: &Features<'_>) -> Result<Self> {
        let mut moments = Moments::new(features.n_columns());
        features.values().chunks(BLOCK * features.n_columns()).for_each(|rows| moments.add(rows));
        moments.statistics()
    }

    /// Number of features.
    pub fn n_columns(&self) -> usize {
        self.mean.len()
    }

    /// The sum of the variances.
    pub fn trace(&self) -> f64 {
        (0..self.mean.len()).map(|i| self.covariance[(i, i)]).sum()
    }
}

/// Mean and scatter Σ(x − x̄)(x − x̄)ᵀ of rows that come block by block. Blocks are joined by their means (Chan, Golub and LeVeque,
/// 1979), so that large means do not cancel digits.
#[derive(Debug, Clone)]
pub struct Moments {
    n_rows: u64,
    mean: Vec<f64>,
    /// The lower triangle.
    scatter: Mat<f64>,
}

impl Moments {
    /// Of no rows yet, of `n_columns` numbers each.
    pub fn new(n_columns: usize) -> Self {
        Self { n_rows: 0, mean: vec![0.0; n_columns], scatter: Mat::zeros(n_columns, n_columns) }
    }

    /// Adds rows, one after another; a few hundred at a time are best.
    ///
    /// # Panics
    /// Where they are not whole rows.
    pub fn add(&mut self, rows: &[f32]) {
        let d = self.mean.len();
        assert!(rows.len().is_multiple_of(d), "whole rows");
        let n = rows.len() / d;
        if n == 0 {
            return;
        }
        let mut mean = vec![0.0; d];
        for row in rows.chunks_exact(d) {
            mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        mean.iter_mut().for_each(|sum| *sum /= n as f64);
        let centred: Vec<f64> = rows
            .chunks_exact(d)
            .flat_map(|row| row.iter().zip(&mean).map(|(value, mean)| f64::from(*value) - mean))
            .collect();
        let centred = MatRef::from_row_major_slice(&centred, n, d);
        add_product(&mut self.scatter, centred.transpose(), centred);
        self.join(n as u64, &mean);
    }

    /// Adds the rows of others.
    ///
    /// # Panics
    /// Where their rows have another length.
    pub fn merge(&mut self, other: &Self) {
        assert_eq!(self.mean.len(), other.mean.len(), "rows of one length");
        self.scatter += &other.scatter;
        self.join(other.n_rows, &other.mean);
    }

    /// Joins the mean of `n` rows whose scatter is added already.
    fn join(&mut self, n: u64, mean: &[f64]) {
        let total = self.n_rows + n;
        if self.n_rows > 0 && n > 0 {
            let factor = (self.n_rows as f64 * n as f64 / total as f64).sqrt();
            let step = Mat::from_fn(mean.len(), 1, |i, _| factor * (mean[i] - self.mean[i]));
            add_product(&mut self.scatter, step.as_ref(), step.transpose());
        }
        if n > 0 {
            let share = n as f64 / total as f64;
            self.mean.iter_mut().zip(mean).for_each(|(ours, theirs)| *ours += share * (theirs - *ours));
        }
        self.n_rows = total;
    }

    /// Mean and covariance.
    ///
    /// # Errors
    /// [`MetricsError::Rows`] for fewer than two rows.
    pub fn statistics(self) -> Result<Statistics> {
        if self.n_rows < 2 {
            let (expected, found) = ("at least 2 rows for a covariance".to_owned(), self.n_rows.to_string());
            return Err(MetricsError::Rows { side: "a set's", expected, found });
        }
        let (mut covariance, d) = (self.scatter, self.mean.len());
        let factor = 1.0 / (self.n_rows - 1) as f64;
        for column in 0..d {
            for row in column..d {
                let value = factor * covariance[(row, column)];
                covariance[(row, column)] = value;
                covariance[(column, row)] = value;
            }
        }
        Ok(Statistics { mean: self.mean, covariance, n_rows: Some(self.n_rows) })
    }
}

/// Adds the lower triangle of a symmetric product.
fn add_product(to: &mut Mat<f64>, left: MatRef<'_, f64>, right: MatRef<'_, f64>) {
    matmul(
        to.as_mut(),
        BlockStructure::TriangularLower,
        Accum::Add,
        left,
        BlockStructure::Rectangular,
        right,
        BlockStructure::Rectangular,
        1.0,
        get_global_parallelism(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(n: usize, d: usize, offset: f32) -> Vec<f32> {
        (0..n * d).map(|i| offset + ((i * 7919 + i * i % 31) % 101) as f32 / 50.0).collect()
    }

    // import numpy as np
    // i = np.arange(7 * 3)
    // x = (np.float32(1000) + ((i * 7919 + i * i % 31) % 101).astype('f4') / np.float32(50)).reshape(7, 3)
    // print(x.mean(0, 'f8'), np.cov(x.astype('f8'), rowvar=False))
    #[test]
    fn mean_and_covariance_are_numpys() {
        let values = rows(7, 3, 1000.0);
        let found = Statistics::of(&Features::new("real", &values, 3).unwrap()).unwrap();
        let expected = [
            1000.6685791015625,
            1000.9371512276786,
            1000.9571358816964,
            0.34184622888763744,
            -0.1261684267471234,
            -0.01863854502638182,
            -0.1261684267471234,
            0.4267361868350279,
            -0.12306374275968188,
            -0.01863854502638182,
            -0.12306374275968188,
            0.42285725935584023,
        ];
        let all = found.mean.iter().copied().chain((0..9).map(|i| found.covariance[(i / 3, i % 3)]));
        for (found, expected) in all.zip(expected) {
            assert!((found - expected).abs() < 1e-9 * expected.abs().max(1.0), "{found} {expected}");
        }
    }

    #[test]
    fn blocks_may_be_merged_and_threads_do_not_matter() {
        let values = rows(3000, 40, 100.0);
        let whole = Statistics::of(&Features::new("real", &values, 40).unwrap()).unwrap();
        let (mut a, mut b) = (Moments::new(40), Moments::new(40));
        a.add(&values[..40 * 700]);
        b.add(&values[40 * 700..]);
        a.merge(&b);
        let merged = a.statistics().unwrap();
        let off = (&merged.covariance - &whole.covariance).norm_max();
        assert!(off < 1e-12 && merged.n_rows == Some(3000), "{off}");
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let alone = pool.install(|| Statistics::of(&Features::new("real", &values, 40).unwrap()).unwrap());
        assert_eq!((alone.mean, alone.covariance), (whole.mean, whole.covariance));
        let one = Statistics::of(&Features::new("real", &[1.0, 2.0], 2).unwrap()).unwrap_err();
        assert!(one.to_string().contains("at least 2 rows for a covariance, found 1"));
    }
}
