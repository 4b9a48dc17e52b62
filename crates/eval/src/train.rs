//! Training machines: on draws of rows, or on all rows.

use std::ops::ControlFlow;

use dcgan_svm::{Certificate, LinearSvc, SharedGram};
use linfa::ParamGuard;

use crate::draws::Draws;
use crate::error::Result;
use crate::features::FeatureSet;
use crate::progress::Progress;
use crate::training_set::TrainingSet;

/// Up to this many rows one Gram matrix (8 bytes an entry, 512 MB here) serves all draws or folds.
pub(crate) const GRAM_ROWS: usize = 8000;

/// Trains machines on draws of rows.
pub(crate) struct Trainer<'a> {
    train: &'a TrainingSet<'a>,
    relative_gap: f64,
    /// All rows that can be drawn, ascending, and their inner products.
    shared: Option<(Vec<u32>, SharedGram)>,
}

impl<'a> Trainer<'a> {
    /// Makes ready for `n_draws` of `draws`.
    ///
    /// Where the rows that can be drawn are few, their inner products are computed once for all draws; where they are
    /// many, fits of their own are less work.
    pub(crate) fn new(
        train: &'a TrainingSet<'a>,
        draws: &Draws,
        n_draws: u64,
        relative_gap: f64,
        progress: &mut Progress<'_>,
    ) -> Result<Self> {
        let rows = draws.drawable();
        let n_labels = draws.n_labels() as u64;
        let pays = (rows.len() as u64).pow(2) < n_draws * n_labels.pow(2);
        let shared = if pays && rows.len() <= GRAM_ROWS {
            let features = train.gather(&rows)?;
            let gram = SharedGram::new_observed(features.view(), &mut |_, _| progress.ask())?;
            Some((rows, gram))
        } else {
            None
        };
        Ok(Self { train, relative_gap, shared })
    }

    /// The set that the rows are of.
    pub(crate) fn train(&self) -> &'a FeatureSet {
        self.train.set()
    }

    /// One machine a C, trained on `rows` of one draw.
    pub(crate) fn fit(&self, rows: &[u32], cs: &[f64]) -> Result<Vec<LinearSvc>> {
        let features = self.train.gather(rows)?;
        let labels = self.train().gather_labels(rows);
        let Some((drawable, gram)) = &self.shared else {
            let params = LinearSvc::params().relative_gap(self.relative_gap).check()?;
            return Ok(params.fit_path(features.view(), &labels, cs, &mut |_| ControlFlow::Continue(()))?);
        };
        let positions: Vec<usize> =
            rows.iter().map(|row| drawable.partition_point(|other| other < row)).collect();
        Ok(gram.subset(&positions)?.fit(features.view(), &labels, cs, self.relative_gap)?)
    }
}

/// The largest relative duality gap over a machine's classes.
pub(crate) fn largest_gap(certificates: &[Certificate]) -> f64 {
    certificates.iter().map(|certificate| certificate.relative_gap).fold(0.0, f64::max)
}

/// One machine a C, trained on all rows.
pub(crate) fn fit_all(
    train: &TrainingSet<'_>,
    cs: &[f64],
    relative_gap: f64,
    progress: &mut Progress<'_>,
) -> Result<Vec<LinearSvc>> {
    let params = LinearSvc::params().relative_gap(relative_gap).check()?;
    train.fit(&params, cs, &mut |fit| progress.ask_within(1, fit))
}
