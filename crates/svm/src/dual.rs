//! Solutions that live on the rows of a Gram matrix.

use std::ops::ControlFlow;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use ndarray::{Array1, Array2, ArrayView2, s};
use rayon::prelude::*;

use crate::cholesky::Factor;
use crate::gram::SharedGram;
use crate::labels::{OneVsRest, argmax};
use crate::newton::{Point, Problem};
use crate::params::LinearSvcValidParams;
use crate::params::is_valid_c;
use crate::{Certificate, LinearSvc, Result, SvmError, features};

/// Columns of weights that one task computes.
const PANEL: usize = 256;

/// An L2-SVM as a combination of training rows: w = Σᵢ βᵢ (xᵢ, 1) for each class, with βᵢ = αᵢyᵢ at the optimum.
///
/// Decision values of any row of the [`SharedGram`] follow from it without reading the features.
#[derive(Clone, Debug)]
pub struct DualSvc {
    coefficients: Array2<f64>,
    rows: Vec<usize>,
    classes: Vec<usize>,
    c: f64,
    certificates: Vec<Certificate>,
}

impl DualSvc {
    /// β, (n_classes, n_training_rows).
    pub fn coefficients(&self) -> ArrayView2<'_, f64> {
        self.coefficients.view()
    }

    /// The rows of the Gram matrix that were trained on, in the order of the coefficients.
    pub fn rows(&self) -> &[usize] {
        &self.rows
    }

    /// The labels, ascending; one row of coefficients each.
    pub fn classes(&self) -> &[usize] {
        &self.classes
    }

    /// The C it was fitted with.
    pub fn c(&self) -> f64 {
        self.c
    }

    /// How near each class is to its optimum.
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// Decision values of some rows of the matrix that the model was fitted on, (rows.len(), n_classes).
    ///
    /// # Errors
    /// [`SvmError::RowOutOfRange`].
    pub fn decision_values(&self, gram: &SharedGram, rows: &[usize]) -> Result<Array2<f64>> {
        gram.check_rows(rows)?;
        gram.check_rows(&self.rows)?;
        let n_classes = self.classes.len();
        let mut values = Array2::zeros((rows.len(), n_classes));
        let mut out: Vec<_> = values.outer_iter_mut().collect();
        out.par_iter_mut().zip(rows).for_each(|(out, &row)| {
            let kernel = gram.row(row);
            for (out, coefficients) in out.iter_mut().zip(self.coefficients.outer_iter()) {
                *out = coefficients.iter().zip(&self.rows).map(|(beta, &row)| beta * kernel[row]).sum();
            }
        });
        drop(out);
        Ok(values)
    }

    /// Labels predicted for some rows of the matrix.
    ///
    /// # Errors
    /// [`SvmError::RowOutOfRange`].
    pub fn predict(&self, gram: &SharedGram, rows: &[usize]) -> Result<Array1<usize>> {
        let values = self.decision_values(gram, rows)?;
        Ok(values.outer_iter().map(|row| self.classes[argmax(row.iter().copied())]).collect())
    }

    /// The weights of several solutions over the same Gram matrix, in one pass over its features.
    ///
    /// # Errors
    /// [`SvmError::RowCount`] where `features` has fewer rows than a solution names.
    pub fn into_linear(models: Vec<Self>, features: ArrayView2<'_, f32>) -> Result<Vec<LinearSvc>> {
        let n_rows = features.nrows();
        if let Some(&row) = models.iter().flat_map(|model| &model.rows).find(|&&row| row >= n_rows) {
            return Err(SvmError::RowCount { expected: row + 1, found: n_rows });
        }
        let mut stacked = Vec::new();
        for coefficients in
            models.iter().flat_map(|model| model.coefficients.outer_iter().zip(std::iter::repeat(model)))
        {
            let (coefficients, model) = coefficients;
            let mut scattered = vec![0.0; n_rows];
            for (beta, &row) in coefficients.iter().zip(&model.rows) {
                scattered[row] += beta;
            }
            stacked.extend(scattered);
        }
        let weights = combine(&stacked, features);
        let mut top = 0;
        let linear = models.into_iter().map(|model| {
            let bottom = top + model.classes.len();
            let own = weights.slice(s![top..bottom, ..]).to_owned();
            top = bottom;
            let bias = model.coefficients.outer_iter().map(|beta| beta.sum() as f32).collect();
            LinearSvc::from_parts(own, bias, model.classes, model.c, model.certificates)
        });
        Ok(linear.collect())
    }
}

/// B·X rounded to f32, for B row-major with one column for each row of X; summed in f64.
pub(crate) fn combine(coefficients: &[f64], features: ArrayView2<'_, f32>) -> Array2<f32> {
    let (n_rows, n_columns) = features.dim();
    let n_out = coefficients.len() / n_rows.max(1);
    let lhs = MatRef::from_row_major_slice(coefficients, n_out, n_rows);
    let starts: Vec<usize> = (0..n_columns).step_by(PANEL).collect();
    let parts: Vec<Vec<f64>> = starts
        .par_iter()
        .map(|&start| {
            let width = PANEL.min(n_columns - start);
            let mut panel = vec![0.0; n_rows * width];
            features::widen(features, start, width, &mut panel);
            let mut out = vec![0.0; n_out * width];
            let rhs = MatRef::from_row_major_slice(&panel, n_rows, width);
            let product = MatMut::from_row_major_slice_mut(&mut out, n_out, width);
            matmul(product, Accum::Replace, lhs, rhs, 1.0, Par::Seq);
            out
        })
        .collect();
    let mut weights = Array2::zeros((n_out, n_columns));
    for (start, part) in starts.into_iter().zip(parts) {
        let width = PANEL.min(n_columns - start);
        for (row, part) in part.chunks_exact(width).enumerate() {
            for (out, value) in weights.slice_mut(s![row, start..start + width]).iter_mut().zip(part) {
                *out = *value as f32;
            }
        }
    }
    weights
}

impl SharedGram {
    /// Fits all classes on the rows named, for every C, without the features.
    ///
    /// `labels` has one label for each row of the matrix, not only for those named. The classes are those present in
    /// `rows`. Results stand in the order of `cs`; inside, C ascends and each solution starts where the one before ended.
    ///
    /// # Errors
    /// [`SvmError::RowOutOfRange`], [`SvmError::LabelCount`], [`SvmError::SingleClass`], [`SvmError::InvalidC`],
    /// [`SvmError::InvalidRelativeGap`], and [`SvmError::NotConverged`] where f64 cannot reach the gap asked for.
    pub fn solve(
        &self,
        rows: &[usize],
        labels: &[usize],
        cs: &[f64],
        relative_gap: f64,
    ) -> Result<Vec<DualSvc>> {
        let params = LinearSvcValidParams { relative_gap, ..LinearSvcValidParams::default() };
        self.solve_with(rows, labels, cs, &params, &mut |_, _| ControlFlow::Continue(()))
    }

    pub(crate) fn solve_with(
        &self,
        rows: &[usize],
        labels: &[usize],
        cs: &[f64],
        params: &LinearSvcValidParams,
        observe: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<Vec<DualSvc>> {
        params.check_values()?;
        let order = ascending(cs)?;
        self.check_rows(rows)?;
        if labels.len() != self.n_rows() {
            return Err(SvmError::LabelCount { n_rows: self.n_rows(), n_labels: labels.len() });
        }
        let own: Vec<usize> = rows.iter().map(|&row| labels[row]).collect();
        let targets = OneVsRest::new(&own, rows.len())?;
        let all = rows.iter().copied().eq(0..self.n_rows());
        let part = if all { None } else { Some(self.subset(rows)?) };
        let gram = part.as_ref().unwrap_or(self);

        let n_classes = targets.classes.len();
        let mut starts = first_step(gram, &targets, cs[order[0]]);
        let mut models: Vec<Option<DualSvc>> = vec![None; cs.len()];
        for (n_done, &position) in order.iter().enumerate() {
            if observe(n_done as u64, cs.len() as u64).is_break() {
                return Err(SvmError::Interrupted);
            }
            let points = solve_classes(gram, &targets, cs[position], params, &starts)?;
            let mut coefficients = Array2::zeros((n_classes, rows.len()));
            for (mut out, point) in coefficients.outer_iter_mut().zip(&points) {
                out.iter_mut().zip(&point.coefficients).for_each(|(out, beta)| *out = *beta);
            }
            let certificates = points.iter().map(|point| point.certificate).collect();
            models[position] = Some(DualSvc {
                coefficients,
                rows: rows.to_vec(),
                classes: targets.classes.clone(),
                c: cs[position],
                certificates,
            });
            starts = points.into_iter().map(|point| point.coefficients).collect();
        }
        Ok(models.into_iter().flatten().collect())
    }

    /// Fits all classes for every C on all rows; `features` are those of the matrix, read once for the weights.
    ///
    /// # Errors
    /// As [`SharedGram::solve`], and [`SvmError::RowCount`].
    pub fn fit(
        &self,
        features: ArrayView2<'_, f32>,
        labels: &[usize],
        cs: &[f64],
        relative_gap: f64,
    ) -> Result<Vec<LinearSvc>> {
        if features.nrows() != self.n_rows() {
            return Err(SvmError::RowCount { expected: self.n_rows(), found: features.nrows() });
        }
        let rows: Vec<usize> = (0..self.n_rows()).collect();
        DualSvc::into_linear(self.solve(&rows, labels, cs, relative_gap)?, features)
    }
}

/// The first Newton step from zero, where every row is inside the margin, so that one factor serves all classes.
fn first_step(gram: &SharedGram, targets: &OneVsRest, c: f64) -> Vec<Vec<f64>> {
    let rows: Vec<usize> = (0..gram.n_rows()).collect();
    let mut steps: Vec<f64> =
        (0..targets.classes.len()).flat_map(|class_idx| targets.targets(class_idx)).collect();
    Factor::new(gram, &rows, 0.5 / c).solve(&mut steps);
    steps.chunks_exact(gram.n_rows()).map(<[f64]>::to_vec).collect()
}

/// All classes at one C, in parallel.
fn solve_classes(
    gram: &SharedGram,
    targets: &OneVsRest,
    c: f64,
    params: &LinearSvcValidParams,
    starts: &[Vec<f64>],
) -> Result<Vec<Point>> {
    (0..starts.len())
        .into_par_iter()
        .map(|class_idx| {
            let targets_of_class = targets.targets(class_idx);
            let (relative_gap, max_steps) = (params.relative_gap, params.max_steps);
            let problem = Problem { gram, targets: &targets_of_class, c, relative_gap, max_steps };
            let point = problem.solve(&starts[class_idx]);
            point.certificate.require(targets.classes[class_idx], c, relative_gap)?;
            Ok(point)
        })
        .collect()
}

/// Positions of the values of C from the smallest to the largest; every one is checked.
pub(crate) fn ascending(cs: &[f64]) -> Result<Vec<usize>> {
    if cs.is_empty() {
        return Err(SvmError::NoC);
    }
    if let Some(&found) = cs.iter().find(|c| !is_valid_c(**c)) {
        return Err(SvmError::InvalidC { found });
    }
    let mut order: Vec<usize> = (0..cs.len()).collect();
    order.sort_by(|&a, &b| cs[a].total_cmp(&cs[b]));
    Ok(order)
}
