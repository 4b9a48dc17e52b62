//! The fitted classifier.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use linfa::traits::PredictInplace;
use ndarray::{Array1, Array2, ArrayBase, ArrayView1, ArrayView2, Data, Ix2, s};
use rayon::prelude::*;

use crate::labels::argmax;
use crate::params::LinearSvcParams;
use crate::params::is_valid_c;
use crate::{Certificate, Result, SvmError};

/// Rows of features that one task takes.
const BAND: usize = 64;
/// Columns multiplied in f32 before the sums go on in f64.
const PANEL: usize = 1024;

/// A linear one-vs-rest classifier: the class with the largest w·x + b wins.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearSvc {
    weights: Array2<f32>,
    bias: Array1<f32>,
    classes: Vec<usize>,
    c: f64,
    certificates: Vec<Certificate>,
}

impl LinearSvc {
    /// Parameters to fit one with, at their defaults.
    pub fn params() -> LinearSvcParams {
        LinearSvcParams::default()
    }

    pub(crate) fn from_parts(
        weights: Array2<f32>,
        bias: Array1<f32>,
        classes: Vec<usize>,
        c: f64,
        certificates: Vec<Certificate>,
    ) -> Self {
        Self { weights, bias, classes, c, certificates }
    }

    /// w, (n_classes, n_columns).
    pub fn weights(&self) -> ArrayView2<'_, f32> {
        self.weights.view()
    }

    /// b, (n_classes).
    pub fn bias(&self) -> ArrayView1<'_, f32> {
        self.bias.view()
    }

    /// The labels, ascending; the model's row k is for `classes()[k]` against the rest.
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

    /// w·x + b for each row of `x` (n_rows, n_columns) and each class: (n_rows, n_classes).
    ///
    /// # Errors
    /// [`SvmError::ColumnCount`] where `x` has another number of columns than the model.
    pub fn decision_function(&self, x: ArrayView2<'_, f32>) -> Result<Array2<f32>> {
        decision_functions(&[self], x)
    }

    /// The label predicted for each row of `x`.
    ///
    /// # Errors
    /// [`SvmError::ColumnCount`].
    pub fn predict_labels(&self, x: ArrayView2<'_, f32>) -> Result<Array1<usize>> {
        let values = self.decision_function(x)?;
        Ok(values.outer_iter().map(|row| self.label_of(row)).collect())
    }

    /// The label with the largest of `values` (n_classes), the first of equals.
    pub fn label_of(&self, values: ArrayView1<'_, f32>) -> usize {
        self.classes[argmax(values.iter().map(|&value| f64::from(value)))]
    }

    /// LIBLINEAR's objective ½‖w‖² + ½b² + C Σ max(0, 1 − y(w·x + b))² of each class, of the weights as stored
    /// (f32) on the rows given, summed in f64.
    ///
    /// # Errors
    /// [`SvmError::ColumnCount`], [`SvmError::LabelCount`], [`SvmError::UnknownLabel`], [`SvmError::InvalidC`].
    pub fn objective(&self, x: ArrayView2<'_, f32>, labels: &[usize], c: f64) -> Result<Vec<f64>> {
        self.check_columns(x)?;
        if !is_valid_c(c) {
            return Err(SvmError::InvalidC { found: c });
        }
        if labels.len() != x.nrows() {
            return Err(SvmError::LabelCount { n_rows: x.nrows(), n_labels: labels.len() });
        }
        if let Some(row) = labels.iter().position(|label| !self.classes.contains(label)) {
            return Err(SvmError::UnknownLabel { label: labels[row], row });
        }
        let squares = |class_idx: usize| {
            let bias = f64::from(self.bias[class_idx]);
            bias * bias
                + self.weights.row(class_idx).iter().map(|&w| f64::from(w) * f64::from(w)).sum::<f64>()
        };
        let losses = self.squared_slacks(x, labels);
        Ok((0..self.classes.len())
            .map(|class_idx| 0.5 * squares(class_idx) + c * losses[class_idx])
            .collect())
    }

    /// Σ max(0, 1 − y f)² of each class, with products and sums in f64.
    fn squared_slacks(&self, x: ArrayView2<'_, f32>, labels: &[usize]) -> Vec<f64> {
        let wide = self.weights.mapv(f64::from);
        let starts: Vec<usize> = (0..x.nrows()).step_by(BAND).collect();
        let parts: Vec<Vec<f64>> = starts
            .par_iter()
            .map(|&start| {
                let end = (start + BAND).min(x.nrows());
                let values = x.slice(s![start..end, ..]).mapv(f64::from).dot(&wide.t());
                let mut sums = vec![0.0; self.classes.len()];
                for (values, label) in values.outer_iter().zip(&labels[start..end]) {
                    for (class_idx, sum) in sums.iter_mut().enumerate() {
                        let y = if self.classes[class_idx] == *label { 1.0 } else { -1.0 };
                        let slack =
                            (1.0 - y * (values[class_idx] + f64::from(self.bias[class_idx]))).max(0.0);
                        *sum += slack * slack;
                    }
                }
                sums
            })
            .collect();
        (0..self.classes.len()).map(|class_idx| parts.iter().map(|part| part[class_idx]).sum()).collect()
    }

    fn check_columns(&self, x: ArrayView2<'_, f32>) -> Result<()> {
        let (expected, found) = (self.weights.ncols(), x.ncols());
        if expected == found { Ok(()) } else { Err(SvmError::ColumnCount { expected, found }) }
    }
}

/// Decision values of several models side by side, (n_rows, n_classes of the first + n_classes of the second + …),
/// in one pass over `x`.
///
/// Products are f32 over up to 1024 columns at a time and are added up in f64.
///
/// # Errors
/// [`SvmError::ColumnCount`] where `x` has another number of columns than one of the models.
pub fn decision_functions(models: &[&LinearSvc], x: ArrayView2<'_, f32>) -> Result<Array2<f32>> {
    for model in models {
        model.check_columns(x)?;
    }
    let n_columns = x.ncols();
    let n_out: usize = models.iter().map(|model| model.classes.len()).sum();
    let mut weights = Vec::with_capacity(n_out * n_columns);
    for row in models.iter().flat_map(|model| model.weights.outer_iter()) {
        weights.extend(row.iter().copied());
    }
    let weights = MatRef::from_row_major_slice(&weights, n_out, n_columns);
    let bias: Vec<f32> = models.iter().flat_map(|model| model.bias.iter().copied()).collect();
    let mut values = vec![0.0; x.nrows() * n_out];
    if n_out > 0 {
        values.par_chunks_mut(BAND * n_out).enumerate().for_each(|(band, out)| {
            let start = band * BAND;
            let rows = x.slice(s![start..start + out.len() / n_out, ..]);
            multiply_band(rows, weights, &bias, out);
        });
    }
    // The length is right by construction; the error is linfa's own way to say otherwise.
    Array2::from_shape_vec((x.nrows(), n_out), values).map_err(|error| SvmError::Linfa(error.into()))
}

fn multiply_band(rows: ArrayView2<'_, f32>, weights: MatRef<'_, f32>, bias: &[f32], out: &mut [f32]) {
    let contiguous = rows.as_standard_layout();
    let (height, n_columns) = contiguous.dim();
    let Some(slice) = contiguous.as_slice() else { return };
    let lhs = MatRef::from_row_major_slice(slice, height, n_columns);
    let n_out = bias.len();
    let mut sums: Vec<f64> = bias.iter().map(|&bias| f64::from(bias)).cycle().take(height * n_out).collect();
    let mut product = vec![0.0; height * n_out];
    for start in (0..n_columns).step_by(PANEL) {
        let width = PANEL.min(n_columns - start);
        let target = MatMut::from_row_major_slice_mut(&mut product, height, n_out);
        let rhs = weights.subcols(start, width).transpose();
        matmul(target, Accum::Replace, lhs.subcols(start, width), rhs, 1.0, Par::Seq);
        sums.iter_mut().zip(&product).for_each(|(sum, part)| *sum += f64::from(*part));
    }
    out.iter_mut().zip(sums).for_each(|(out, sum)| *out = sum as f32);
}

impl<D: Data<Elem = f32>> PredictInplace<ArrayBase<D, Ix2>, Array1<usize>> for LinearSvc {
    /// Writes the label predicted for each row of `x`.
    ///
    /// # Panics
    /// Where `x` has another number of columns than the model, or `y` another length than `x` has rows, as linfa's
    /// estimators do (the trait has no way to return an error); [`LinearSvc::predict_labels`] does not.
    fn predict_inplace<'a>(&'a self, x: &'a ArrayBase<D, Ix2>, y: &mut Array1<usize>) {
        assert_eq!(x.nrows(), y.len(), "the number of rows must match the number of targets");
        assert_eq!(x.ncols(), self.weights.ncols(), "the number of columns must match the model");
        if let Ok(labels) = self.predict_labels(x.view()) {
            *y = labels;
        }
    }

    fn default_target(&self, x: &ArrayBase<D, Ix2>) -> Array1<usize> {
        Array1::zeros(x.nrows())
    }
}
