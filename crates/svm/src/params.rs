//! Settings of a fit, and its progress.

use std::ops::ControlFlow;

use linfa::ParamGuard;

use crate::{Result, SvmError};

/// What a margin violation ξ = max(0, 1 − y f(x)) costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Loss {
    /// ξ²: the L2-SVM of the paper, with the bias as a regularised constant feature, as in LIBLINEAR.
    #[default]
    SquaredHinge,
    /// ξ: `linfa-svm`'s C-SVC with an unregularised bias, for few rows.
    Hinge,
}

/// How far a fit has come.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FitProgress {
    /// Units of work done; over the rows, an estimate from the gaps.
    pub n_done: u64,
    /// Units of work in all.
    pub n_total: u64,
    /// Passes over the features that were begun before.
    pub n_passes: u64,
    /// Over the rows: the widest relative gap of a class that is not done, and the C it is at.
    pub widest: Option<(f64, f64)>,
}

/// What a fit reports to; [`ControlFlow::Break`] asks it to stop.
pub type ObserveFit<'a> = &'a mut dyn FnMut(&FitProgress) -> ControlFlow<()>;

/// Settings not yet checked; `fit` checks them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LinearSvcParams(LinearSvcValidParams);

impl LinearSvcParams {
    /// The weight C > 0 of the loss against ½‖w‖²; 1 unless set.
    pub fn c(mut self, c: f64) -> Self {
        self.0.c = c;
        self
    }

    /// The loss; the squared hinge unless set.
    pub fn loss(mut self, loss: Loss) -> Self {
        self.0.loss = loss;
        self
    }

    /// The duality gap, relative to the objective, at which a class is done; 1e-4 unless set.
    pub fn relative_gap(mut self, relative_gap: f64) -> Self {
        self.0.relative_gap = relative_gap;
        self
    }

    /// The steps at one C after which a class that is not done is an error: Newton's over a Gram matrix, conjugate gradients'
    /// over the rows; 2,000 unless set.
    pub fn max_steps(mut self, max_steps: usize) -> Self {
        self.0.max_steps = max_steps;
        self
    }

    /// Up to this many rows the fit goes over an n×n Gram matrix of f64 (and takes about three times its memory), beyond it
    /// over the rows; 2,000 unless set (32 MB for the matrix).
    ///
    /// The Gram matrix costs more at first (n²·n_columns, then n³ for each class), but a further or a larger C hardly
    /// adds to it, and it reaches any gap. Over the rows, passes multiply with C: on 10,000 rows of 12,288 columns, ten
    /// classes and a gap of 1e-4, 125 passes at C = 1e-3.
    pub fn max_gram_rows(mut self, max_gram_rows: usize) -> Self {
        self.0.max_gram_rows = max_gram_rows;
        self
    }
}

/// Settings that have been checked.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearSvcValidParams {
    pub(crate) c: f64,
    pub(crate) loss: Loss,
    pub(crate) relative_gap: f64,
    pub(crate) max_steps: usize,
    pub(crate) max_gram_rows: usize,
}

impl Default for LinearSvcValidParams {
    fn default() -> Self {
        Self { c: 1.0, loss: Loss::SquaredHinge, relative_gap: 1e-4, max_steps: 2_000, max_gram_rows: 2_000 }
    }
}

impl ParamGuard for LinearSvcParams {
    type Checked = LinearSvcValidParams;
    type Error = SvmError;

    fn check_ref(&self) -> Result<&Self::Checked> {
        self.0.check_values()?;
        Ok(&self.0)
    }

    fn check(self) -> Result<Self::Checked> {
        self.check_ref()?;
        Ok(self.0)
    }
}

/// Whether C can be used: beyond these limits, f32 features and f64 sums leave nothing of the loss or of ½‖w‖².
pub(crate) fn is_valid_c(c: f64) -> bool {
    (1e-30..=1e30).contains(&c)
}

impl LinearSvcValidParams {
    pub(crate) fn check_values(&self) -> Result<()> {
        if !is_valid_c(self.c) {
            return Err(SvmError::InvalidC { found: self.c });
        }
        if !(self.relative_gap > 0.0 && self.relative_gap < 1.0) {
            return Err(SvmError::InvalidRelativeGap { found: self.relative_gap });
        }
        if self.max_steps == 0 {
            return Err(SvmError::InvalidMaxSteps);
        }
        Ok(())
    }
}
