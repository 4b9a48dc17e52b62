//! The directions in which the objective is steep, found on a sample of the rows.

use std::ops::ControlFlow;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use faer::diag::DiagMut;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::{MatMut, MatRef, Par, Spec};
use ndarray::{Array2, ArrayView2, s};
use rand::SeedableRng;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;

use crate::gram::SharedGram;
use crate::storage::Feature;
use crate::{Result, SvmError, dual, features, sweep};

/// A tenth of the rows is sampled, within these limits: more costs time (n³) and spares few steps.
const MIN_SAMPLE: usize = 200;
/// The larger limit.
const MAX_SAMPLE: usize = 2000;
/// One direction is kept for so many rows of the sample: those beyond are the sample's own, not the data's.
const ROWS_PER_DIRECTION: usize = 4;
/// How long a Ctrl-C may wait for the eigenvectors.
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(50);
/// Directions whose eigenvalue is below this share of the largest are rounding.
const NOISE: f64 = 1e-10;

/// An approximate inverse of the Hessians H = I + 2C Σ (xᵢ, 1)(xᵢ, 1)ᵀ over the rows i inside a class's margin.
///
/// Features of pictures vary by orders of magnitude more in a few hundred directions than in the rest, and on these
/// conjugate gradients would spend their steps. They are much the same for all classes and all C, so they are computed once:
/// the leading eigenvectors U, with eigenvalues λ, of the sample's Σ (x, 1)(x, 1)ᵀ. For a class with n rows inside the
/// margin, H is taken to be 1 + 2C(n/n_sample)λ along U, and as steep as the last of them everywhere else
/// (Frangella, Tropp and Udell, "Randomized Nyström preconditioning", 2023).
pub(crate) struct Preconditioner {
    /// One eigenvector a row; the bias's entry stands after the features'.
    directions: Array2<f32>,
    eigenvalues: Vec<f64>,
    n_sample: usize,
}

/// What a class needs preconditioned.
pub(crate) struct Request<'a> {
    /// ∇P, bias last.
    pub(crate) gradient: &'a [f64],
    /// C times the number of rows inside the margin.
    pub(crate) weight: f64,
}

impl Preconditioner {
    /// Samples rows, always the same ones. `ask` is called several times a second and may stop it.
    ///
    /// # Errors
    /// [`SvmError::Interrupted`]; where a sampled value is not finite, [`SvmError::NonFinite`] with the first such value of all.
    pub(crate) fn new<T: Feature>(
        features: ArrayView2<'_, T>,
        ask: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Self> {
        let (n_rows, n_columns) = features.dim();
        let n_sample = (n_rows / 10).clamp(MIN_SAMPLE.min(n_rows), MAX_SAMPLE);
        let mut rows = sample(&mut ChaCha8Rng::seed_from_u64(0), n_rows, n_sample).into_vec();
        rows.sort_unstable();
        let mut sampled = Array2::zeros((n_sample, n_columns));
        for (mut out, &row) in sampled.outer_iter_mut().zip(&rows) {
            out.zip_mut_with(&features.row(row), |out, value| *out = value.wide());
        }
        let gram = match SharedGram::new_observed(sampled.view(), &mut |_, _| ask()) {
            // The first bad row of all is wanted, not the sample's.
            Err(error @ SvmError::NonFinite { .. }) => {
                return Err(features::check(features).err().unwrap_or(error));
            }
            other => other?,
        };
        let (eigenvalues, coefficients) =
            leading_eigenvectors(&gram, n_sample.div_ceil(ROWS_PER_DIRECTION), ask)?;
        let mut directions = Array2::zeros((eigenvalues.len(), n_columns + 1));
        directions.slice_mut(s![.., ..n_columns]).assign(&dual::combine(&coefficients, sampled.view()));
        for (mut direction, coefficients) in
            directions.outer_iter_mut().zip(coefficients.chunks_exact(n_sample))
        {
            direction[n_columns] = coefficients.iter().sum::<f64>() as f32;
        }
        Ok(Self { directions, eigenvalues, n_sample })
    }

    /// The approximate inverse times the gradient of each class.
    pub(crate) fn apply(&self, requests: &[Request<'_>]) -> Vec<Vec<f64>> {
        let n_out = requests.len();
        let vectors: Vec<Vec<f64>> =
            requests.iter().map(|request| request.gradient.iter().copied().chain([0.0]).collect()).collect();
        let views: Vec<&[f64]> = vectors.iter().map(Vec::as_slice).collect();
        let mut factors = sweep::values(self.directions.view(), &views);
        let last = self.eigenvalues.last().copied().unwrap_or(0.0);
        for (factors, eigenvalue) in factors.chunks_exact_mut(n_out).zip(&self.eigenvalues) {
            for (factor, request) in factors.iter_mut().zip(requests) {
                let scale = 2.0 * request.weight / self.n_sample as f64;
                *factor *= (1.0 + scale * last) / (1.0 + scale * eigenvalue) - 1.0;
            }
        }
        let mut out = sweep::combinations(self.directions.view(), &factors, &[n_out]);
        for (out, request) in out.iter_mut().zip(requests) {
            out.pop();
            out.iter_mut().zip(request.gradient).for_each(|(out, value)| *out += value);
        }
        out
    }
}

/// The largest eigenvalues of K, descending, and for each the coefficients (one a row of K) that make a unit vector out of
/// the rows of features: its eigenvector over the root of its eigenvalue.
fn leading_eigenvectors(
    gram: &SharedGram,
    n_wanted: usize,
    ask: &mut dyn FnMut() -> ControlFlow<()>,
) -> Result<(Vec<f64>, Vec<f64>)> {
    let size = gram.n_rows();
    let matrix: Vec<f64> = gram.rows().flatten().copied().collect();
    let (mut eigenvalues, mut coefficients) = (Vec::new(), Vec::new());
    // Without eigenvectors the steps are plain conjugate gradients.
    if let Some((values, vectors)) = while_asking(ask, move || eigenvectors(&matrix, size))? {
        let largest = values.last().copied().unwrap_or(0.0);
        for (&value, vector) in values.iter().zip(vectors.chunks_exact(size)).rev().take(n_wanted) {
            if value > NOISE * largest {
                eigenvalues.push(value);
                coefficients.extend(vector.iter().map(|entry| entry / value.sqrt()));
            }
        }
    }
    Ok((eigenvalues, coefficients))
}

/// What `compute`, which cannot be stopped itself, finds on a thread of its own; where `ask` breaks, that thread is left to end alone.
fn while_asking<T: Send + 'static>(
    ask: &mut dyn FnMut() -> ControlFlow<()>,
    compute: impl FnOnce() -> Option<T> + Send + 'static,
) -> Result<Option<T>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(compute()));
    loop {
        match receiver.recv_timeout(BETWEEN_QUESTIONS) {
            Ok(found) => return Ok(found),
            Err(RecvTimeoutError::Timeout) if ask().is_break() => return Err(SvmError::Interrupted),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
        }
    }
}

/// Eigenvalues of a symmetric matrix, ascending, and their eigenvectors.
fn eigenvectors(matrix: &[f64], size: usize) -> Option<(Vec<f64>, Vec<f64>)> {
    let (mut values, mut vectors) = (vec![0.0; size], vec![0.0; size * size]);
    let parameters = Spec::default();
    // On one thread, so that the bits do not depend on the number of threads.
    let compute = ComputeEigenvectors::Yes;
    let mut memory = MemBuffer::new(self_adjoint_evd_scratch::<f64>(size, compute, Par::Seq, parameters));
    let computed = self_adjoint_evd(
        MatRef::from_column_major_slice(matrix, size, size),
        DiagMut::from_slice_mut(&mut values),
        Some(MatMut::from_column_major_slice_mut(&mut vectors, size, size)),
        Par::Seq,
        MemStack::new(&mut memory),
        parameters,
    );
    computed.is_ok().then_some((values, vectors))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Broken off at every question in turn, the first of which come before the eigenvectors.
    #[test]
    fn it_stops_whenever_it_is_asked_to() {
        let features = Array2::from_shape_fn((300, 40), |(i, j)| ((i * 29 + j * 11) % 31) as f32);
        let mut n_questions = 0;
        Preconditioner::new(features.view(), &mut || {
            n_questions += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
        assert!(n_questions > 0);
        let stopped = Preconditioner::new(features.view(), &mut || ControlFlow::Break(()));
        assert!(matches!(stopped, Err(SvmError::Interrupted)));
    }

    #[test]
    fn a_long_computation_is_left() {
        let mut n_questions = 0;
        let mut ask = || {
            n_questions += 1;
            if n_questions < 2 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let start = std::time::Instant::now();
        let long = || {
            std::thread::sleep(Duration::from_secs(20));
            Some(())
        };
        assert!(matches!(while_asking(&mut ask, long), Err(SvmError::Interrupted)));
        assert!(start.elapsed() < Duration::from_secs(10));
        assert_eq!(while_asking(&mut || ControlFlow::Continue(()), || Some(7)).unwrap(), Some(7));
    }
}
