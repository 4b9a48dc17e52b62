//! ZCA whitening: y = (x − m)·P with P = V·diag(1/√(λ + ε))·Vᵀ, where λ and V are the eigenvalues and eigenvectors of the rows'
//! covariance, which divides by one less than their number (Coates, Lee and Ng, 2011, and their code).

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::{Mat, MatRef, Par, Spec};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::error::{BaselinesError, Result};
use crate::product::{BLOCK, Blocks, PANEL, Panels, tile};

/// Rows whose products are summed by one thread; sums do not depend on the number of threads.
const STRIPE: usize = 4096;

/// A mean and a symmetric matrix.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Whitening {
    /// m, of as many numbers as a row has.
    pub(super) mean: Vec<f32>,
    /// P, row by row.
    pub(super) matrix: Vec<f32>,
}

impl Whitening {
    /// Of rows of `n_columns` numbers, at least two of them.
    pub(super) fn of(rows: &[f32], n_columns: usize, epsilon: f64) -> Result<Self> {
        let n_rows = rows.len() / n_columns;
        let mean = mean(rows, n_columns);
        let products = rows.par_chunks(STRIPE * n_columns).map(|rows| products(rows, &mean));
        let products: Vec<Vec<f64>> = products.collect();
        let mut covariance = vec![0.0; n_columns * n_columns];
        for of_stripe in &products {
            covariance.iter_mut().zip(of_stripe).for_each(|(sum, product)| *sum += product);
        }
        covariance.iter_mut().for_each(|sum| *sum /= (n_rows - 1) as f64);
        let matrix = inverse_root(&covariance, n_columns, epsilon)?;
        Ok(Self { mean: mean.iter().map(|value| *value as f32).collect(), matrix })
    }

    /// The matrix as [`whiten`] takes it.
    pub(super) fn panels(&self) -> Panels {
        Panels::new(&self.matrix, self.mean.len())
    }

    /// Whitens rows in place.
    pub(super) fn apply(&self, rows: &mut [f32]) {
        let panels = self.panels();
        rows.par_chunks_mut(STRIPE * self.mean.len()).for_each_init(
            || Blocks::empty(self.mean.len()),
            |blocks, rows| Arch::new().dispatch(Apply { whitening: self, panels: &panels, blocks, rows }),
        );
    }
}

struct Apply<'a> {
    whitening: &'a Whitening,
    panels: &'a Panels,
    blocks: &'a mut Blocks,
    rows: &'a mut [f32],
}

impl WithSimd for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        whiten(simd, &self.whitening.mean, self.panels, self.blocks, self.rows);
    }
}

/// Whitens rows in place; `blocks` is room for them.
#[inline(always)]
pub(super) fn whiten<S: Simd>(simd: S, mean: &[f32], matrix: &Panels, blocks: &mut Blocks, rows: &mut [f32]) {
    let n_columns = mean.len();
    for row in rows.chunks_exact_mut(n_columns) {
        row.iter_mut().zip(mean).for_each(|(value, mean)| *value -= mean);
    }
    blocks.fill(rows);
    let mut sums = [[0.0; PANEL]; BLOCK];
    for (block, rows) in blocks.iter().zip(rows.chunks_mut(BLOCK * n_columns)) {
        for panel_idx in 0..matrix.len() {
            tile(simd, block, matrix.panel(panel_idx), &mut sums);
            for (row, sums) in rows.chunks_exact_mut(n_columns).zip(&sums) {
                let columns = row.iter_mut().skip(panel_idx * PANEL);
                columns.zip(sums).for_each(|(value, sum)| *value = *sum);
            }
        }
    }
}

fn mean(rows: &[f32], n_columns: usize) -> Vec<f64> {
    let mut mean = vec![0.0_f64; n_columns];
    for row in rows.chunks_exact(n_columns) {
        mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    mean.iter_mut().for_each(|sum| *sum /= (rows.len() / n_columns) as f64);
    mean
}

/// Sums of the products of each two columns less their means.
fn products(rows: &[f32], mean: &[f64]) -> Vec<f64> {
    Arch::new().dispatch(|| {
        let n_columns = mean.len();
        let mut sums = vec![0.0; n_columns * n_columns];
        let mut centred = vec![0.0; n_columns];
        for row in rows.chunks_exact(n_columns) {
            let values = row.iter().zip(mean).map(|(value, mean)| f64::from(*value) - mean);
            centred.iter_mut().zip(values).for_each(|(to, value)| *to = value);
            for (sums, left) in sums.chunks_exact_mut(n_columns).zip(&centred) {
                sums.iter_mut().zip(&centred).for_each(|(sum, right)| *sum += left * right);
            }
        }
        sums
    })
}

/// V·diag(1/√(λ + ε))·Vᵀ of a symmetric matrix.
fn inverse_root(matrix: &[f64], size: usize, epsilon: f64) -> Result<Vec<f32>> {
    let (mut values, mut vectors) = (Diag::<f64>::zeros(size), Mat::<f64>::zeros(size, size));
    let request = self_adjoint_evd_scratch::<f64>(size, ComputeEigenvectors::Yes, Par::Seq, Spec::default());
    let mut memory = MemBuffer::new(request);
    self_adjoint_evd(
        MatRef::from_row_major_slice(matrix, size, size),
        values.as_mut(),
        Some(vectors.as_mut()),
        Par::Seq,
        MemStack::new(&mut memory),
        Spec::default(),
    )
    .map_err(|_| BaselinesError::Eigenvalues)?;
    // Rounding may leave the smallest eigenvalues below 0.
    let roots: Vec<f64> = (0..size).map(|k| (values[k].max(0.0) + epsilon).sqrt().recip()).collect();
    let entry =
        |i: usize, j: usize| (0..size).map(|k| vectors[(i, k)] * roots[k] * vectors[(j, k)]).sum::<f64>();
    Ok((0..size * size).map(|at| entry(at / size, at % size) as f32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ```python
    /// x = np.array([[1., 2, 0], [0, -1, 3], [2, 2, 1], [-1, 0, 4], [3, 1, -2]])
    /// l, v = np.linalg.eigh(np.cov(x.T)); p = v @ np.diag(1 / np.sqrt(l + 0.1)) @ v.T
    /// (x - x.mean(0)) @ p
    /// ```
    #[test]
    fn rows_are_whitened_as_numpy_does() {
        let mut rows = [1.0, 2.0, 0.0, 0.0, -1.0, 3.0, 2.0, 2.0, 1.0, -1.0, 0.0, 4.0, 3.0, 1.0, -2.0];
        let whitening = Whitening::of(&rows, 3, 0.1).unwrap();
        whitening.apply(&mut rows);
        let expected: [f32; 15] = [
            -0.8246989, 0.9076538, -0.7362851, -0.0731597, -1.2592768, 0.5193825, 1.0705543, 0.9684666,
            0.6253478, -0.9005264, -0.0746612, 0.8739417, 0.7278307, -0.5421824, -1.2823868,
        ];
        for (found, expected) in rows.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-5, "{rows:?}");
        }
    }

    #[test]
    fn the_number_of_threads_does_not_matter() {
        let rows: Vec<f32> = (0..10_000 * 12).map(|i| ((i * 7919) % 1009) as f32 / 100.0).collect();
        let on = |n_threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
            pool.install(|| Whitening::of(&rows, 12, 0.1).unwrap())
        };
        assert_eq!(on(1), on(3));
    }
}
