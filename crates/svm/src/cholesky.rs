//! Solving (K_ss + λI) x = b for a subset s of the rows of a Gram matrix.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::{factor, solve};
use faer::{Conj, MatMut, Par};

use crate::gram::SharedGram;

/// The Cholesky factor of K_ss + λI; column-major, lower triangle.
pub(crate) struct Factor {
    values: Vec<f64>,
    size: usize,
}

impl Factor {
    /// Factorises on the calling thread, so that the bits do not depend on the number of threads.
    ///
    /// Where rounding makes the matrix look indefinite (λ below 1e-16 of the largest eigenvalue), λ is raised until it is
    /// not: what is solved then is a damped Newton step, which still leads downhill.
    pub(crate) fn new(gram: &SharedGram, support: &[usize], ridge: f64) -> Self {
        let size = support.len();
        let mut values = vec![0.0; size * size];
        let trace: f64 = support.iter().map(|&row| gram.row(row)[row]).sum();
        let mut damping = 0.0;
        loop {
            for (column, (out, &row)) in values.chunks_exact_mut(size.max(1)).zip(support).enumerate() {
                let row = gram.row(row);
                for (out, &other) in out[column..].iter_mut().zip(&support[column..]) {
                    *out = row[other];
                }
                out[column] += ridge + damping;
            }
            if factorise(&mut values, size) {
                return Self { values, size };
            }
            damping = if damping == 0.0 { 1e-14 * trace } else { 10.0 * damping };
        }
    }

    /// Replaces each column of the column-major `rhs` (size values a column) by the solution.
    pub(crate) fn solve(&self, rhs: &mut [f64]) {
        if self.size == 0 {
            return;
        }
        let n_columns = rhs.len() / self.size;
        let lower = faer::MatRef::from_column_major_slice(&self.values, self.size, self.size);
        let rhs = MatMut::from_column_major_slice_mut(rhs, self.size, n_columns);
        let mut memory = MemBuffer::new(solve::solve_in_place_scratch::<f64>(self.size, n_columns, Par::Seq));
        solve::solve_in_place_with_conj(lower, Conj::No, rhs, Par::Seq, MemStack::new(&mut memory));
    }
}

/// Whether the matrix was positive definite.
fn factorise(values: &mut [f64], size: usize) -> bool {
    let parameters = faer::Spec::default();
    let mut memory = MemBuffer::new(factor::cholesky_in_place_scratch::<f64>(size, Par::Seq, parameters));
    let matrix = MatMut::from_column_major_slice_mut(values, size, size);
    let stack = MemStack::new(&mut memory);
    factor::cholesky_in_place(matrix, factor::LltRegularization::default(), Par::Seq, stack, parameters)
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    #[test]
    fn the_solution_solves() {
        let features = Array2::from_shape_fn((90, 40), |(i, j)| ((i * 13 + j * 7) % 19) as f32 - 9.0);
        let gram = SharedGram::new(features.view()).unwrap();
        let support: Vec<usize> = (0..90).filter(|row| row % 3 != 0).collect();
        let rhs: Vec<f64> = (0..60).map(|idx| f64::from(idx) - 20.0).collect();
        let mut solution = rhs.clone();
        Factor::new(&gram, &support, 0.5).solve(&mut solution);
        for (&row, expected) in support.iter().zip(&rhs).step_by(7) {
            let product: f64 =
                support.iter().zip(&solution).map(|(&other, x)| gram.row(row)[other] * x).sum();
            let position = support.iter().position(|&other| other == row).unwrap();
            assert!((product + 0.5 * solution[position] - expected).abs() < 1e-8);
        }
    }
}
