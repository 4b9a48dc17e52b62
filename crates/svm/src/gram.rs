//! The matrix of all inner products, from which every class and every C is solved.

use std::ops::ControlFlow;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use ndarray::ArrayView2;
use rayon::prelude::*;

use crate::{Result, SvmError, features};

/// Columns of features turned to f64 at a time: 16 KiB a row.
const PANEL: usize = 2048;
/// Rows of the matrix that one task computes.
const BAND: usize = 128;
/// Side of the squares in which the lower triangle is mirrored.
const TILE: usize = 64;

/// K = XXᵀ + 1 of n rows of features, in f64: the inner products with the bias as a constant feature of 1.
///
/// With few rows and many columns everything about the L2-SVM follows from K: the optimum for each class and each C,
/// for any subset of the rows, and the decision values of the rows left out. The features are read once. The matrix
/// takes 8n² bytes, and the same bits come out whatever the number of threads.
#[derive(Clone, Debug)]
pub struct SharedGram {
    n_rows: usize,
    values: Vec<f64>,
}

/// A square matrix of one value.
fn square(n_rows: usize, value: f64) -> Result<Vec<f64>> {
    let n_values = n_rows.saturating_mul(n_rows);
    let mut values = Vec::new();
    values
        .try_reserve_exact(n_values)
        .map_err(|_| SvmError::Memory { n_bytes: n_values.saturating_mul(8) })?;
    values.resize(n_values, value);
    Ok(values)
}

impl SharedGram {
    /// Computes the matrix of `features` (n_rows, n_columns), in n²·n_columns multiplications shared by all threads.
    ///
    /// # Errors
    /// [`SvmError::Empty`] without rows or columns; [`SvmError::NonFinite`] naming the first value that is NaN or infinite.
    pub fn new(features: ArrayView2<'_, f32>) -> Result<Self> {
        Self::new_observed(features, &mut |_, _| ControlFlow::Continue(()))
    }

    /// As [`SharedGram::new`], telling `observe` how many of the columns are done.
    ///
    /// # Errors
    /// As [`SharedGram::new`], and [`SvmError::Interrupted`] when `observe` breaks.
    pub fn new_observed(
        features: ArrayView2<'_, f32>,
        observe: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<Self> {
        features::check(features)?;
        let (n_rows, n_columns) = features.dim();
        let mut values = square(n_rows, 1.0)?;
        let mut panel = vec![0.0; n_rows * PANEL.min(n_columns)];
        for start in (0..n_columns).step_by(PANEL) {
            if observe(start as u64, n_columns as u64).is_break() {
                return Err(SvmError::Interrupted);
            }
            let width = PANEL.min(n_columns - start);
            let panel = &mut panel[..n_rows * width];
            features::widen(features, start, width, panel);
            add_products(MatRef::from_row_major_slice(panel, n_rows, width), &mut values);
        }
        mirror(&mut values, n_rows);
        Ok(Self { n_rows, values })
    }

    /// Number of rows of features behind the matrix.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// The rows of the matrix, n_rows slices of n_rows values; the matrix is symmetric.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        self.values.chunks_exact(self.n_rows)
    }

    /// The matrix of some of the rows, in the order given (a row may be named twice).
    ///
    /// # Errors
    /// [`SvmError::RowOutOfRange`]; [`SvmError::Empty`] where no row is named.
    pub fn subset(&self, rows: &[usize]) -> Result<Self> {
        self.check_rows(rows)?;
        if rows.is_empty() {
            return Err(SvmError::Empty { n_rows: 0, n_columns: 0 });
        }
        let n_rows = rows.len();
        let mut values = square(n_rows, 0.0)?;
        values.par_chunks_mut(n_rows).zip(rows).for_each(|(out, &row)| {
            let row = self.row(row);
            for (out, &column) in out.iter_mut().zip(rows) {
                *out = row[column];
            }
        });
        Ok(Self { n_rows, values })
    }

    /// One row of the matrix; the caller vouches for the index.
    pub(crate) fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.n_rows..(row + 1) * self.n_rows]
    }

    pub(crate) fn check_rows(&self, rows: &[usize]) -> Result<()> {
        match rows.iter().find(|&&row| row >= self.n_rows) {
            Some(&row) => Err(SvmError::RowOutOfRange { row, n_rows: self.n_rows }),
            None => Ok(()),
        }
    }

    /// K·v for a vector that is zero outside `support`, whose indices ascend.
    ///
    /// As K is symmetric, this adds up contiguous rows, four at a time.
    pub(crate) fn times(&self, vector: &[f64], support: &[usize]) -> Vec<f64> {
        let mut out = vec![0.0; self.n_rows];
        let (fours, rest) = support.as_chunks::<4>();
        for &[a, b, c, d] in fours {
            let rows = self.row(a).iter().zip(self.row(b)).zip(self.row(c)).zip(self.row(d));
            let (va, vb, vc, vd) = (vector[a], vector[b], vector[c], vector[d]);
            for (out, (((a, b), c), d)) in out.iter_mut().zip(rows) {
                *out += (va * a + vb * b) + (vc * c + vd * d);
            }
        }
        for &a in rest {
            for (out, value) in out.iter_mut().zip(self.row(a)) {
                *out += vector[a] * value;
            }
        }
        out
    }
}

/// Adds P·Pᵀ to the lower triangle of `values`: a band of rows is one task and one single-threaded product.
fn add_products(panel: MatRef<'_, f64>, values: &mut [f64]) {
    let n_rows = panel.nrows();
    values.par_chunks_mut(BAND * n_rows).enumerate().for_each(|(band, out)| {
        let height = out.len() / n_rows;
        let start = band * BAND;
        let columns = start + height;
        let out = MatMut::from_row_major_slice_mut(out, height, n_rows).subcols_mut(0, columns);
        let lhs = panel.subrows(start, height);
        matmul(out, Accum::Add, lhs, panel.subrows(0, columns).transpose(), 1.0, Par::Seq);
    });
}

/// Copies the lower triangle to the upper one, square by square lest each value cost a cache line.
fn mirror(values: &mut [f64], n_rows: usize) {
    for top in (0..n_rows).step_by(TILE) {
        for left in (top..n_rows).step_by(TILE) {
            for row in top..(top + TILE).min(n_rows) {
                for column in left.max(row + 1)..(left + TILE).min(n_rows) {
                    values[row * n_rows + column] = values[column * n_rows + row];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    fn features(n_rows: usize, n_columns: usize) -> Array2<f32> {
        Array2::from_shape_fn((n_rows, n_columns), |(i, j)| ((i * 31 + j * 17) % 23) as f32 / 7.0 - 1.5)
    }

    #[test]
    fn memory_that_cannot_be_had_is_an_error() {
        assert!(matches!(square(1 << 31, 0.0), Err(SvmError::Memory { .. })));
    }

    #[test]
    fn every_entry_is_the_inner_product_plus_one() {
        let features = features(150, 2100);
        let gram = SharedGram::new(features.view()).unwrap();
        let wide = features.mapv(f64::from);
        let expected = wide.dot(&wide.t()) + 1.0;
        for (found, expected) in gram.rows().flatten().zip(&expected) {
            assert!((found - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{found} {expected}");
        }
        assert_eq!(gram.row(149)[3], gram.row(3)[149]);
    }

    #[test]
    fn views_with_strides_are_read_right() {
        let features = features(40, 60);
        let transposed = SharedGram::new(features.t()).unwrap();
        let copied = SharedGram::new(features.t().as_standard_layout().view()).unwrap();
        assert_eq!(transposed.values, copied.values);
    }

    #[test]
    fn the_bits_do_not_depend_on_the_threads() {
        let features = features(300, 500);
        let compute = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| SharedGram::new(features.view()).unwrap().values)
        };
        assert_eq!(compute(1), compute(3));
    }

    #[test]
    fn subsets_pick_rows_and_columns() {
        let gram = SharedGram::new(features(30, 8).view()).unwrap();
        let part = gram.subset(&[4, 29, 4]).unwrap();
        assert_eq!(part.row(0)[1], gram.row(4)[29]);
        assert_eq!(part.row(2)[0], gram.row(4)[4]);
        assert!(matches!(gram.subset(&[30]), Err(SvmError::RowOutOfRange { row: 30, n_rows: 30 })));
    }

    #[test]
    fn the_observer_can_stop_it() {
        let stopped = SharedGram::new_observed(features(5, 5).view(), &mut |_, _| ControlFlow::Break(()));
        assert!(matches!(stopped, Err(SvmError::Interrupted)));
    }
}
