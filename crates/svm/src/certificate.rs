//! How far a solution can be from the optimum.

use crate::{Result, SvmError};

/// Proof of the quality of one class's solution, all in f64.
///
/// For any w the slacks ξᵢ = max(0, 1 − yᵢ f(xᵢ)) give a feasible dual point αᵢ = 2Cξᵢ, so that
/// dual ≤ optimum ≤ objective. With it the gap is exactly ½‖∇P(w)‖², which is how it is computed: the
/// difference of two large numbers is never taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Certificate {
    /// The primal objective reached, an upper bound of the optimum.
    pub objective: f64,
    /// The dual objective reached, a lower bound of the optimum.
    pub dual: f64,
    /// (objective − dual) / objective, in 0..=1.
    pub relative_gap: f64,
    /// Newton steps taken; for the hinge loss, 0 (`linfa-svm` does not count them).
    pub n_steps: usize,
}

impl Certificate {
    /// From the primal objective and the absolute gap at the dual point above.
    ///
    /// `sum` is Σα and `quadratic` is αᵀ(Q + I/2C)α: scaling α by Σα / αᵀ(Q + I/2C)α may give a better bound,
    /// which matters far from the optimum only.
    pub(crate) fn new(objective: f64, gap: f64, sum: f64, quadratic: f64, n_steps: usize) -> Self {
        let scaled = if quadratic > 0.0 { 0.5 * sum * sum / quadratic } else { 0.0 };
        let relative_gap = if !(gap.is_finite() && objective.is_finite()) {
            // Numbers have run over: this must not pass for a small gap.
            f64::NAN
        } else if objective > 0.0 {
            gap.min(objective - scaled).max(0.0) / objective
        } else {
            0.0
        };
        let gap = relative_gap * objective;
        Self { objective, dual: objective - gap, relative_gap, n_steps }
    }

    /// Fails unless the gap is as small as asked for.
    pub(crate) fn require(&self, class: usize, c: f64, wanted: f64) -> Result<()> {
        if self.relative_gap <= wanted {
            return Ok(());
        }
        Err(SvmError::NotConverged { class, c, found: self.relative_gap, wanted, n_steps: self.n_steps })
    }
}
