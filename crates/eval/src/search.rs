//! Choosing C on training rows alone: by cross-validation, or by draws and a validation set.

use dcgan_svm::{FitProgress, LinearSvc};
use linfa::ParamGuard;
use ndarray::Axis;

use crate::draws::{Draws, stratified_folds};
use crate::error::Result;
use crate::progress::Progress;
use crate::scorer::{ModelBank, Rows};
use crate::selection::{Chosen, SearchPoint};
use crate::train::{GRAM_ROWS, Trainer, largest_gap};
use crate::training_set::TrainingSet;

/// The relative gap to which machines over more than [`GRAM_ROWS`] rows are solved, unless less is asked of all machines.
///
/// They only have to rank the values of C. On 50,000 rows of 12,288 features it moves error rates by up to 0.0012, and by
/// 0.0006 at the lowest, where √(error·(1 − error)/n_rows) is 0.0019; the C chosen stays.
const SEARCH_GAP: f64 = 1e-2;

/// Chooses C by cross-validation.
pub(crate) struct FoldSearch<'a> {
    pub(crate) cs: &'a [f64],
    pub(crate) n_folds: usize,
    pub(crate) patience: usize,
    pub(crate) relative_gap: f64,
    pub(crate) seed: u64,
}

impl FoldSearch<'_> {
    /// Chooses C on `rows` of `train`, which ascend: stratified folds, each predicted by machines trained on the others.
    ///
    /// Returns it with the largest relative gap left. Each fold counts as a unit of progress.
    pub(crate) fn choose(
        &self,
        train: &TrainingSet<'_>,
        rows: &[u32],
        progress: &mut Progress<'_>,
    ) -> Result<(Chosen, f64)> {
        let labels = train.set().gather_labels(rows);
        let folds = stratified_folds(&labels, train.set().n_classes(), self.n_folds, self.seed);
        // Over a Gram matrix a small gap costs next to nothing.
        let is_large = rows.len() > GRAM_ROWS;
        let relative_gap = if is_large { self.relative_gap.max(SEARCH_GAP) } else { self.relative_gap };
        let params = LinearSvc::params().relative_gap(relative_gap).max_gram_rows(GRAM_ROWS).check()?;
        let n_folds = self.n_folds as u64;
        let mut observe = |fit: &FitProgress| progress.ask_within(n_folds, fit);
        let rows = (rows, labels.as_slice(), folds.as_slice());
        let found = train.cross_validate(&params, rows, self.cs, self.patience, &mut observe)?;
        progress.advance(n_folds)?;
        let points = found.cs.iter().zip(found.error_rates.axis_iter(Axis(1)));
        let points = points.map(|(&c, errors)| SearchPoint::new(c, errors.to_vec())).collect();
        Ok((Chosen::lowest(points)?, found.largest_gap))
    }
}

/// Chooses C by draws of training rows, each measured on the held-out rows of `draws`.
pub(crate) struct DrawSearch<'a> {
    pub(crate) cs: &'a [f64],
    pub(crate) n_draws: u32,
}

impl DrawSearch<'_> {
    /// Returns C with the largest relative gap left. Each draw counts as a unit of progress.
    pub(crate) fn choose(
        &self,
        trainer: &Trainer<'_>,
        draws: &Draws,
        progress: &mut Progress<'_>,
    ) -> Result<(Chosen, f64)> {
        let (train, validation) = (trainer.train(), Rows::Only(draws.validation()));
        let mut errors = vec![Vec::new(); self.cs.len()];
        let mut worst_gap = 0.0;
        let mut bank = ModelBank::default();
        for draw_idx in 0..self.n_draws {
            for model in trainer.fit(&draws.search(draw_idx), self.cs)? {
                worst_gap = largest_gap(model.certificates()).max(worst_gap);
                bank.push(model);
            }
            if bank.is_full() || draw_idx + 1 == self.n_draws {
                let confusions = bank.drain(train, validation, train.n_classes(), progress)?;
                for (model_idx, confusion) in confusions.iter().enumerate() {
                    errors[model_idx % self.cs.len()].push(confusion.error_rate());
                }
            }
            progress.advance(1)?;
        }
        let points = self.cs.iter().zip(errors).map(|(&c, errors)| SearchPoint::new(c, errors)).collect();
        Ok((Chosen::lowest(points)?, worst_gap))
    }
}
