//! ZCA whitening: y = (x − m)·P with P = V·diag(1/√(λ + ε))·Vᵀ, where λ and V are the eigenvalues and eigenvectors of the rows'
//! covariance, which divides by one less than their number (Coates, Lee and Ng, 2011, and their code).

use std::ops::ControlFlow;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::{Mat, MatRef, Par, Spec};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::step::{Observe, Step};
use crate::error::{BaselinesError, Result};
use crate::product::{BLOCK, Blocks, PANEL, Panels, tile};

/// Rows whose products are summed before they are added to the others'; sums do not depend on the number of threads.
const STRIPE: usize = 4096;
/// Rows between two looks at whether to stop, while products are summed, and while rows are whitened.
const POLLED: usize = 256;
const APPLIED: usize = 4096;
/// Rows of the matrix that are summed at a time, for which each eigenvector is read once.
const AT_ONCE: usize = 8;
/// Between two looks at whether to stop, while eigenvectors are computed.
const HEARD_EVERY: Duration = Duration::from_millis(50);

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
    pub(super) fn of(rows: &[f32], n_columns: usize, epsilon: f64, observe: Observe<'_>) -> Result<Self> {
        let mean = mean(rows, n_columns);
        let covariance = covariance(rows, &mean, observe)?;
        let matrix = inverse_root(covariance, n_columns, epsilon, observe)?;
        Ok(Self { mean: mean.iter().map(|value| *value as f32).collect(), matrix })
    }

    /// The matrix as [`whiten`] takes it.
    pub(super) fn panels(&self) -> Panels {
        Panels::new(&self.matrix, self.mean.len())
    }

    /// Whitens rows in place.
    pub(super) fn apply(&self, rows: &mut [f32], observe: Observe<'_>) -> Result<()> {
        let (panels, n_columns) = (self.panels(), self.mean.len());
        let n_rows = (rows.len() / n_columns) as u64;
        for (idx, rows) in rows.chunks_mut(APPLIED * n_columns).enumerate() {
            heard(observe(Step::Whitening, (idx * APPLIED) as u64, n_rows))?;
            rows.par_chunks_mut(APPLIED / 32 * n_columns).for_each_init(
                || Blocks::empty(n_columns),
                |blocks, rows| {
                    dcgan_vectors::arch().dispatch(Apply { whitening: self, panels: &panels, blocks, rows })
                },
            );
        }
        Ok(())
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

/// The covariance of the columns, which divides by one less than the number of rows.
fn covariance(rows: &[f32], mean: &[f64], observe: Observe<'_>) -> Result<Vec<f64>> {
    let n_columns = mean.len();
    let n_rows = rows.len() / n_columns;
    let mut covariance = vec![0.0; n_columns * n_columns];
    let mut sums = covariance.clone();
    let mut n_done = 0;
    for stripe in rows.chunks(STRIPE * n_columns) {
        sums.fill(0.0);
        for rows in stripe.chunks(POLLED * n_columns) {
            heard(observe(Step::Covariance, n_done, n_rows as u64))?;
            add_products(rows, mean, &mut sums);
            n_done += (rows.len() / n_columns) as u64;
        }
        covariance.iter_mut().zip(&sums).for_each(|(sum, product)| *sum += product);
    }
    covariance.iter_mut().for_each(|sum| *sum /= (n_rows - 1) as f64);
    for (i, j) in (0..n_columns).flat_map(|i| (0..i).map(move |j| (i, j))) {
        covariance[i * n_columns + j] = covariance[j * n_columns + i];
    }
    Ok(covariance)
}

/// Adds the products of each two columns less their means: those of the diagonal and above.
fn add_products(rows: &[f32], mean: &[f64], sums: &mut [f64]) {
    let n_columns = mean.len();
    let mut centred = vec![0.0; rows.len()];
    centred.par_chunks_exact_mut(n_columns).zip(rows.par_chunks_exact(n_columns)).for_each(|(to, row)| {
        let values = row.iter().zip(mean).map(|(value, mean)| f64::from(*value) - mean);
        to.iter_mut().zip(values).for_each(|(to, value)| *to = value);
    });
    sums.par_chunks_exact_mut(n_columns).enumerate().for_each(|(column, sums)| {
        dcgan_vectors::arch().dispatch(|| {
            for row in centred.chunks_exact(n_columns) {
                let (left, right) = (row[column], &row[column..]);
                sums[column..].iter_mut().zip(right).for_each(|(sum, right)| *sum += left * right);
            }
        });
    });
}

/// V·diag(1/√(λ + ε))·Vᵀ of a symmetric matrix.
fn inverse_root(matrix: Vec<f64>, size: usize, epsilon: f64, observe: Observe<'_>) -> Result<Vec<f32>> {
    let (values, vectors) = decomposed(matrix, size, observe)?;
    // Rounding may leave the smallest eigenvalues below 0.
    let roots: Vec<f64> = (0..size).map(|k| (values[k].max(0.0) + epsilon).sqrt().recip()).collect();
    let mut product = vec![0.0_f32; size * size];
    for (stretch_idx, stretch) in product.chunks_mut(POLLED * size).enumerate() {
        heard(observe(Step::Eigenvectors, 0, 0))?;
        stretch.par_chunks_mut(AT_ONCE * size).enumerate().for_each(|(part_idx, rows)| {
            let first = stretch_idx * POLLED + part_idx * AT_ONCE;
            let mut sums = vec![-0.0; rows.len()];
            dcgan_vectors::arch().dispatch(|| {
                for (k, root) in roots.iter().enumerate() {
                    let vector = &vectors[k * size..][..size];
                    for (i, sums) in sums.chunks_exact_mut(size).enumerate() {
                        let left = vector[first + i] * root;
                        sums.iter_mut().zip(vector).for_each(|(sum, right)| *sum += left * right);
                    }
                }
            });
            rows.iter_mut().zip(&sums).for_each(|(to, sum)| *to = *sum as f32);
        });
    }
    Ok(product)
}

/// Eigenvalues, and the eigenvectors one after another. They are computed on a thread of their own, since nothing
/// stops them on their way: where the caller asks to stop, it is left behind.
fn decomposed(matrix: Vec<f64>, size: usize, observe: Observe<'_>) -> Result<(Vec<f64>, Vec<f64>)> {
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::Builder::new().name("eigenvectors".to_owned());
    thread.spawn(move || {
        // Nobody listens any more where the caller has stopped.
        let _ = sender.send(eigenvectors(&matrix, size));
    })?;
    loop {
        heard(observe(Step::Eigenvectors, 0, 0))?;
        match receiver.recv_timeout(HEARD_EVERY) {
            Ok(found) => return found,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(BaselinesError::Eigenvalues),
        }
    }
}

fn eigenvectors(matrix: &[f64], size: usize) -> Result<(Vec<f64>, Vec<f64>)> {
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
    let numbers = (0..size).flat_map(|k| (0..size).map(move |i| (i, k)));
    Ok(((0..size).map(|k| values[k]).collect(), numbers.map(|at| vectors[at]).collect()))
}

fn heard(flow: ControlFlow<()>) -> Result<()> {
    match flow {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(BaselinesError::Interrupted),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn go_on(_: Step, _: u64, _: u64) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// ```python
    /// x = np.array([[1., 2, 0], [0, -1, 3], [2, 2, 1], [-1, 0, 4], [3, 1, -2]])
    /// l, v = np.linalg.eigh(np.cov(x.T)); p = v @ np.diag(1 / np.sqrt(l + 0.1)) @ v.T
    /// (x - x.mean(0)) @ p
    /// ```
    #[test]
    fn rows_are_whitened_as_numpy_does() {
        let mut rows = [1.0, 2.0, 0.0, 0.0, -1.0, 3.0, 2.0, 2.0, 1.0, -1.0, 0.0, 4.0, 3.0, 1.0, -2.0];
        let whitening = Whitening::of(&rows, 3, 0.1, &mut go_on).unwrap();
        whitening.apply(&mut rows, &mut go_on).unwrap();
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
            pool.install(|| Whitening::of(&rows, 12, 0.1, &mut go_on).unwrap())
        };
        assert_eq!(on(1), on(3));
    }

    /// What takes long for large patches is left at once.
    #[test]
    fn each_step_can_be_stopped() {
        let rows: Vec<f32> = (0..900 * 800_usize).map(|i| ((i * 7919) % 1009) as f32 / 100.0).collect();
        for step in [Step::Covariance, Step::Eigenvectors] {
            let mut asked = None;
            let found = Whitening::of(&rows, 800, 0.1, &mut |found, _, _| {
                if found != step {
                    return ControlFlow::Continue(());
                }
                asked.get_or_insert_with(Instant::now);
                ControlFlow::Break(())
            });
            assert!(matches!(found, Err(BaselinesError::Interrupted)));
            let waited = asked.unwrap().elapsed();
            assert!(waited < Duration::from_millis(500), "{step:?}: {waited:?}");
        }
        let whitening = Whitening { mean: vec![0.0; 2], matrix: vec![1.0; 4] };
        let stopped = whitening.apply(&mut [1.0; 2], &mut |_, _, _| ControlFlow::Break(()));
        assert!(matches!(stopped, Err(BaselinesError::Interrupted)));
    }
}
