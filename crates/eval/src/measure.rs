//! Measuring draws of training rows on a test set, with a C that was chosen before.

use dcgan_svm::{Certificate, LinearSvc, SharedGram};

use crate::confusion::Confusion;
use crate::error::Result;
use crate::features::FeatureSet;
use crate::progress::Progress;
use crate::scorer::{ModelBank, Rows};
use crate::selection::Chosen;

/// What draws reached on the test set.
pub(crate) struct Measured {
    /// Test error of each draw, in 0..=1.
    pub(crate) errors: Vec<f64>,
    /// Predictions summed over the draws.
    pub(crate) confusion: Confusion,
    /// Largest relative duality gap left.
    pub(crate) largest_gap: f64,
}

/// Trains one machine a draw and predicts the whole test set with it. Each draw is a unit of progress.
pub(crate) fn measure(
    train: &FeatureSet,
    test: &FeatureSet,
    draws: impl ExactSizeIterator<Item = Vec<u32>>,
    chosen: &Chosen,
    relative_gap: f64,
    progress: &mut Progress<'_>,
) -> Result<Measured> {
    let (n_draws, n_classes) = (draws.len(), train.n_classes());
    let mut measured =
        Measured { errors: Vec::new(), confusion: Confusion::new(n_classes), largest_gap: 0.0 };
    let mut bank = ModelBank::default();
    for (draw_idx, rows) in draws.enumerate() {
        for model in fit_draw(train, &rows, &[chosen.c()], relative_gap)? {
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

/// One machine a C, trained on `rows` from one Gram matrix.
pub(crate) fn fit_draw(
    train: &FeatureSet,
    rows: &[u32],
    cs: &[f64],
    relative_gap: f64,
) -> Result<Vec<LinearSvc>> {
    let features = train.gather(rows)?;
    let gram = SharedGram::new(features.view())?;
    Ok(gram.fit(features.view(), &train.gather_labels(rows), cs, relative_gap)?)
}

/// The largest relative duality gap over a machine's classes.
pub(crate) fn largest_gap(certificates: &[Certificate]) -> f64 {
    certificates.iter().map(|certificate| certificate.relative_gap).fold(0.0, f64::max)
}
