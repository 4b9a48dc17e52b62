//! Noticing that G no longer learns.

use serde::{Deserialize, Serialize};

use super::trainer::{DiscriminatorUpdate, GeneratorUpdate};

/// Minibatches in a row after which it is called a collapse.
pub(super) const PATIENCE: u64 = 500;
/// The share of its mean so far below which G's gradient has vanished.
const VANISHED: f64 = 0.01;

/// Watches for D being always right while G's gradient has vanished: below a hundredth of its mean over all of its updates. It
/// may pass, so that it is only worth a warning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Collapse {
    /// Over all minibatches so far.
    sum_of_norms: f64,
    n_norms: u64,
    /// Minibatches since D was last wrong or G's gradient last alive.
    n_in_a_row: u64,
    /// The first minibatch of the first collapse.
    pub(super) since: Option<u64>,
}

impl Collapse {
    /// After minibatch `done`.
    pub(super) fn observe(&mut self, done: u64, d: &DiscriminatorUpdate, g: &GeneratorUpdate) {
        if g.gradient_norm.is_nan() {
            return;
        }
        self.sum_of_norms += g.gradient_norm;
        self.n_norms += 1;
        let has_vanished = g.gradient_norm < VANISHED * self.sum_of_norms / self.n_norms as f64;
        self.n_in_a_row = if d.accuracy == 1.0 && has_vanished { self.n_in_a_row + 1 } else { 0 };
        if self.n_in_a_row == PATIENCE && self.since.is_none() {
            self.since = Some(done + 1 - PATIENCE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observe(collapse: &mut Collapse, done: u64, accuracy: f64, gradient_norm: f64) {
        let d = DiscriminatorUpdate { loss: 0.1, real: 0.9, fake: 0.1, accuracy, gradient_norm: 1.0 };
        collapse.observe(done, &d, &GeneratorUpdate { loss: 3.0, gradient_norm });
    }

    #[test]
    fn both_signs_must_last() {
        let mut collapse = Collapse::default();
        (1..=1000).for_each(|done| observe(&mut collapse, done, 0.8, 1.0));
        // A D that is always right is no collapse while G's gradient lives, nor is a small gradient alone.
        (1001..=2000).for_each(|done| observe(&mut collapse, done, 1.0, 0.5));
        (2001..=3000).for_each(|done| observe(&mut collapse, done, 0.99, 1e-4));
        assert_eq!(collapse.since, None);
        (3001..3000 + PATIENCE).for_each(|done| observe(&mut collapse, done, 1.0, 1e-4));
        observe(&mut collapse, 3500, 0.5, 1e-4);
        assert_eq!(collapse.since, None);
        (3501..=5000).for_each(|done| observe(&mut collapse, done, 1.0, 1e-4));
        assert_eq!(collapse.since, Some(3501));
    }
}
