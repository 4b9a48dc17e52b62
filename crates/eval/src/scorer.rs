//! Predictions of many linear models at once over features that need not fit into memory.

use dcgan_svm::{LinearSvc, decision_functions};
use ndarray::{ArrayView2, s};

use crate::confusion::Confusion;
use crate::error::Result;
use crate::features::FeatureSet;
use crate::progress::Progress;

/// Rows at a time: enough to keep all threads busy, few enough that 28,672-d rows that must be copied stay near 100 MB.
/// Fixed, so that the sums do not depend on the machine.
const BLOCK_ROWS: usize = 1024;

/// Bytes of weights in a bank: beyond it, another pass over the features is cheaper than more memory.
const BANK_BYTES: usize = 256 << 20;

/// The rows of a [`FeatureSet`] to predict.
#[derive(Clone, Copy)]
pub(crate) enum Rows<'a> {
    /// Every row.
    All,
    /// These rows.
    Only(&'a [u32]),
}

impl Rows<'_> {
    fn len(self, set: &FeatureSet) -> usize {
        match self {
            Rows::All => set.n_rows(),
            Rows::Only(rows) => rows.len(),
        }
    }
}

/// One-vs-rest models side by side: a block of features is read once for all of them, so that a set of 100 draws costs
/// one pass over the test set.
#[derive(Default)]
pub(crate) struct ModelBank {
    models: Vec<LinearSvc>,
    n_bytes: usize,
}

impl ModelBank {
    pub(crate) fn push(&mut self, model: LinearSvc) {
        self.n_bytes += model.weights().len() * size_of::<f32>();
        self.models.push(model);
    }

    /// Whether the bank should be scored and emptied before more models are added.
    pub(crate) fn is_full(&self) -> bool {
        self.n_bytes >= BANK_BYTES
    }

    /// Predicts `rows` of `set` with every model, block by block, and empties the bank: one confusion matrix a model.
    ///
    /// `set` must have as many columns as the models, and both their classes must lie in 0..`n_classes`.
    pub(crate) fn drain(
        &mut self,
        set: &FeatureSet,
        rows: Rows<'_>,
        n_classes: usize,
        progress: &mut Progress<'_>,
    ) -> Result<Vec<Confusion>> {
        let mut confusions = vec![Confusion::new(n_classes); self.models.len()];
        let n_rows = rows.len(set);
        for start in (0..n_rows).step_by(BLOCK_ROWS) {
            let end = n_rows.min(start + BLOCK_ROWS);
            match rows {
                Rows::All => {
                    let features = set.features();
                    let block = features.slice(s![start..end, ..]);
                    self.count(block, &set.labels()[start..end], &mut confusions)?;
                }
                Rows::Only(rows) => {
                    let rows = &rows[start..end];
                    self.count(set.gather(rows)?.view(), &set.gather_labels(rows), &mut confusions)?;
                }
            }
            progress.poll()?;
        }
        *self = Self::default();
        Ok(confusions)
    }

    fn count(
        &self,
        features: ArrayView2<'_, f32>,
        labels: &[usize],
        confusions: &mut [Confusion],
    ) -> Result<()> {
        let models: Vec<&LinearSvc> = self.models.iter().collect();
        let decisions = decision_functions(&models, features)?;
        let mut first = 0;
        for (model, confusion) in models.iter().zip(confusions) {
            let end = first + model.classes().len();
            for (row, &truth) in labels.iter().enumerate() {
                confusion.add(truth, model.label_of(decisions.slice(s![row, first..end])));
            }
            first = end;
        }
        Ok(())
    }
}
