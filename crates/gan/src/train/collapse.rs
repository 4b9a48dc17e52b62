//! Noticing that G no longer learns.

use serde::{Deserialize, Serialize};

use super::updates::{DiscriminatorUpdate, GeneratorUpdate};

/// Minibatches in a row after which it is called a collapse.
pub(super) const PATIENCE: u64 = 500;
/// D's accuracy from which on it counts as always right.
const ALWAYS_RIGHT: f64 = 0.999;
/// The share of its mean while D erred below which a gradient has vanished.
const VANISHED: f64 = 0.01;

/// Watches for D being always right while a gradient has vanished: G's, or, as with the non-saturating loss, D's own, which then
/// has nothing left to learn. Each is compared with its mean over the minibatches in which D erred, so that what is small for
/// long does not become the measure. It may pass, so that it is only worth a warning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Collapse {
    /// Of G's gradient, over the minibatches in which D erred.
    sum_of_norms: f64,
    /// Of D's.
    sum_of_d_norms: f64,
    n_norms: u64,
    /// Minibatches since D last erred or both gradients were last alive.
    n_in_a_row: u64,
    /// The first minibatch of the first collapse.
    pub(super) since: Option<u64>,
}

impl Collapse {
    /// After minibatch `done`.
    pub(super) fn observe(&mut self, done: u64, d: &DiscriminatorUpdate, g: &GeneratorUpdate) {
        if g.gradient_norm.is_nan() || d.gradient_norm.is_nan() {
            return;
        }
        let is_right = d.accuracy >= ALWAYS_RIGHT;
        if !is_right {
            self.sum_of_norms += g.gradient_norm;
            self.sum_of_d_norms += d.gradient_norm;
            self.n_norms += 1;
        }
        let vanished = |norm: f64, sum: f64| norm < VANISHED * sum / self.n_norms as f64;
        let has_vanished =
            vanished(g.gradient_norm, self.sum_of_norms) || vanished(d.gradient_norm, self.sum_of_d_norms);
        self.n_in_a_row = if is_right && has_vanished { self.n_in_a_row + 1 } else { 0 };
        if self.n_in_a_row == PATIENCE && self.since.is_none() {
            self.since = Some(done + 1 - PATIENCE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observe(collapse: &mut Collapse, done: u64, accuracy: f64, gradient_norm: f64) {
        observe_both(collapse, done, accuracy, gradient_norm, 1.0);
    }

    fn observe_both(collapse: &mut Collapse, done: u64, accuracy: f64, gradient_norm: f64, of_d: f64) {
        let d = DiscriminatorUpdate { loss: 0.1, real: 0.9, fake: 0.1, accuracy, gradient_norm: of_d };
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

    #[test]
    fn a_discriminator_with_nothing_left_to_learn_is_one_however_long_it_lasts() {
        let mut collapse = Collapse::default();
        // The first updates may be of one network alone.
        observe_both(&mut collapse, 1, f64::NAN, 1.0, f64::NAN);
        (2..=100).for_each(|done| observe_both(&mut collapse, done, 0.9, 1.0, 2.0));
        // Right, but still learning: no collapse, and no part of the mean.
        (101..=5000).for_each(|done| observe_both(&mut collapse, done, 1.0, 30.0, 0.03));
        assert_eq!(collapse.since, None);
        (5001..5001 + PATIENCE).for_each(|done| observe_both(&mut collapse, done, 0.9995, 30.0, 0.01));
        assert_eq!(collapse.since, Some(5001));
    }
}
