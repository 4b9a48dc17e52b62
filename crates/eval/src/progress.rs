//! Progress and cancellation of a protocol.

use std::ops::ControlFlow;

use dcgan_svm::FitProgress;

use crate::error::{EvalError, Result};

/// What long functions report to: units done and their total; [`ControlFlow::Break`] asks them to stop.
pub type Observe<'a> = &'a mut dyn FnMut(u64, u64) -> ControlFlow<()>;

/// Counts the units of a protocol.
pub(crate) struct Progress<'a> {
    observe: Observe<'a>,
    done: u64,
    total: u64,
}

impl<'a> Progress<'a> {
    /// Nothing done yet of `total` units.
    pub(crate) fn new(observe: Observe<'a>, total: u64) -> Self {
        Self { observe, done: 0, total }
    }

    /// Counts `n` units, and fails where the caller asked to stop.
    pub(crate) fn advance(&mut self, n: u64) -> Result<()> {
        self.done += n;
        self.poll()
    }

    /// Fails where the caller asked to stop.
    pub(crate) fn poll(&mut self) -> Result<()> {
        match self.ask() {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(EvalError::Interrupted),
        }
    }

    /// Asks whether to go on, with the next `n` units done as far as a fit says.
    pub(crate) fn ask_within(&mut self, n: u64, fit: &FitProgress) -> ControlFlow<()> {
        (self.observe)(self.done + n * fit.n_done / fit.n_total.max(1), self.total)
    }

    /// Asks whether to go on.
    pub(crate) fn ask(&mut self) -> ControlFlow<()> {
        (self.observe)(self.done, self.total)
    }
}
