//! Measuring on a test set, with a C that was chosen before.

use crate::confusion::Confusion;
use crate::error::Result;
use crate::features::FeatureSet;
use crate::progress::Progress;
use crate::scorer::{ModelBank, Rows};
use crate::selection::Chosen;
use crate::train::{Trainer, fit_all, largest_gap};
use crate::training_set::TrainingSet;

/// What machines reached on the test set.
pub(crate) struct Measured {
    /// Test error of each machine, in 0..=1.
    pub(crate) errors: Vec<f64>,
    /// Predictions summed over the machines.
    pub(crate) confusion: Confusion,
    /// Largest relative duality gap left.
    pub(crate) largest_gap: f64,
}

/// Trains one machine a draw and predicts the whole test set with it. Each draw is a unit of progress.
pub(crate) fn measure(
    trainer: &Trainer<'_>,
    test: &FeatureSet,
    draws: impl ExactSizeIterator<Item = Vec<u32>>,
    chosen: &Chosen,
    progress: &mut Progress<'_>,
) -> Result<Measured> {
    let (n_draws, n_classes) = (draws.len(), trainer.train().n_classes());
    let mut measured =
        Measured { errors: Vec::new(), confusion: Confusion::new(n_classes), largest_gap: 0.0 };
    let mut bank = ModelBank::default();
    for (draw_idx, rows) in draws.enumerate() {
        for model in trainer.fit(&rows, &[chosen.c()])? {
            measured.largest_gap = largest_gap(model.certificates()).max(measured.largest_gap);
            bank.push(model);
        }
        if bank.is_full() || draw_idx + 1 == n_draws {
            for of_draw in bank.drain(test, Rows::All, n_classes, progress)? {
                measured.errors.push(of_draw.error_rate());
                measured.confusion.merge(&of_draw);
            }
        }
        progress.advance(1)?;
    }
    Ok(measured)
}

/// Trains one machine on all of `train` and predicts the whole test set with it: a unit of progress.
pub(crate) fn measure_all(
    train: &TrainingSet<'_>,
    test: &FeatureSet,
    chosen: &Chosen,
    relative_gap: f64,
    progress: &mut Progress<'_>,
) -> Result<Measured> {
    let n_classes = train.set().n_classes();
    let mut measured =
        Measured { errors: Vec::new(), confusion: Confusion::new(n_classes), largest_gap: 0.0 };
    let mut bank = ModelBank::default();
    for model in fit_all(train, &[chosen.c()], relative_gap, progress)? {
        measured.largest_gap = largest_gap(model.certificates()).max(measured.largest_gap);
        bank.push(model);
    }
    for of_model in bank.drain(test, Rows::All, n_classes, progress)? {
        measured.errors.push(of_model.error_rate());
        measured.confusion.merge(&of_model);
    }
    progress.advance(1)?;
    Ok(measured)
}
