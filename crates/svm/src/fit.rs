//! The fit, also as linfa's estimator: by the Gram matrix, over the rows, or by `linfa-svm`, as the settings and the rows want it.

use std::ops::ControlFlow;

use linfa::dataset::{AsSingleTargets, DatasetBase};
use linfa::traits::Fit;
use ndarray::{ArrayBase, ArrayView2, Data, Ix2};

use crate::dual::ascending;
use crate::gram::SharedGram;
use crate::labels::OneVsRest;
use crate::params::{FitProgress, LinearSvcValidParams, Loss, ObserveFit};
use crate::storage::{Feature, widened};
use crate::{DualSvc, LinearSvc, Result, SvmError, hinge, rows};

impl LinearSvcValidParams {
    /// One model for each of `cs`, in their order, all classes and all C sharing what can be shared.
    ///
    /// `features` (n_rows, n_columns), f32 or bf16, may be a view of a memory-mapped file: they are read from start to end, once for the
    /// Gram matrix and once for the weights, or, beyond `max_gram_rows`, once for each pass of the solver over rows.
    /// The setting `c` is not used. `observe` receives the progress and may stop it.
    ///
    /// # Errors
    /// [`SvmError::Empty`], [`SvmError::NonFinite`], [`SvmError::LabelCount`], [`SvmError::SingleClass`],
    /// [`SvmError::InvalidC`], [`SvmError::NoC`], [`SvmError::NotConverged`], [`SvmError::Interrupted`], and for the hinge
    /// loss [`SvmError::TooManyRows`] and [`SvmError::LinfaSvm`].
    pub fn fit_path<T: Feature>(
        &self,
        features: ArrayView2<'_, T>,
        labels: &[usize],
        cs: &[f64],
        observe: ObserveFit<'_>,
    ) -> Result<Vec<LinearSvc>> {
        // Labels are checked before the long work begins.
        OneVsRest::new(labels, features.nrows())?;
        ascending(cs)?;
        if self.loss == Loss::SquaredHinge && features.nrows() > self.max_gram_rows {
            return rows::fit(features, labels, cs, self, observe);
        }
        let wide = widened(features);
        let features = wide.view();
        if self.loss == Loss::Hinge {
            return cs.iter().map(|&c| hinge::fit_hinge(features, labels, c)).collect();
        }
        let mut observe =
            |n_done, n_total| observe(&FitProgress { n_done, n_total, ..FitProgress::default() });
        let gram = SharedGram::new_observed(features, &mut observe)?;
        let rows: Vec<usize> = (0..gram.n_rows()).collect();
        DualSvc::into_linear(gram.solve_with(&rows, labels, cs, self, &mut observe)?, features)
    }
}

impl<D: Data<Elem = f32>, T: AsSingleTargets<Elem = usize>> Fit<ArrayBase<D, Ix2>, T, SvmError>
    for LinearSvcValidParams
{
    type Object = LinearSvc;

    fn fit(&self, dataset: &DatasetBase<ArrayBase<D, Ix2>, T>) -> Result<LinearSvc> {
        let labels = dataset.as_single_targets().to_vec();
        let mut keep_on = |_: &FitProgress| ControlFlow::Continue(());
        let models = self.fit_path(dataset.records().view(), &labels, &[self.c], &mut keep_on)?;
        models.into_iter().next().ok_or(SvmError::NoC)
    }
}
