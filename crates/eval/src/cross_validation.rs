//! Choosing C by k-fold cross-validation on training rows alone.

use dcgan_svm::{LinearSvc, SharedGram};
use linfa::ParamGuard;
use ndarray::ArrayView2;

use crate::draws::stratified_folds;
use crate::error::Result;
use crate::features::FeatureSet;
use crate::measure::{GRAM_ROWS, largest_gap};
use crate::progress::Progress;
use crate::scorer::{ModelBank, Rows};
use crate::selection::{Chosen, SearchPoint};

/// What a cross-validation needs to know.
pub(crate) struct CrossValidation<'a> {
    pub(crate) cs: &'a [f64],
    pub(crate) n_folds: usize,
    pub(crate) relative_gap: f64,
    pub(crate) seed: u64,
}

impl CrossValidation<'_> {
    /// Chooses C on `rows` of `train`: stratified folds, each predicted by machines trained on the others.
    ///
    /// Returns it with the largest relative gap left. Each fold is a unit of progress.
    pub(crate) fn choose(
        &self,
        train: &FeatureSet,
        rows: &[u32],
        progress: &mut Progress<'_>,
    ) -> Result<(Chosen, f64)> {
        let labels = train.gather_labels(rows);
        let folds = stratified_folds(&labels, train.n_classes(), self.n_folds, self.seed);
        let gram = if rows.len() <= GRAM_ROWS {
            let features = train.gather(rows)?;
            Some(SharedGram::new_observed(features.view(), &mut |_, _| progress.ask())?)
        } else {
            None
        };
        let mut errors = vec![Vec::new(); self.cs.len()];
        let mut worst_gap = 0.0;
        for fold in 0..self.n_folds {
            let (held_out, rest): (Vec<usize>, Vec<usize>) =
                (0..rows.len()).partition(|&position| folds[position] == fold);
            let (of_fold, gap) = match &gram {
                Some(gram) => self.fold_of_gram(gram, &labels, &rest, &held_out)?,
                None => {
                    let at = |positions: &[usize]| positions.iter().map(|&p| rows[p]).collect::<Vec<u32>>();
                    self.fold_of_rows(train, &at(&rest), &at(&held_out), progress)?
                }
            };
            errors.iter_mut().zip(of_fold).for_each(|(errors, error)| errors.push(error));
            worst_gap = gap.max(worst_gap);
            progress.advance(1)?;
        }
        let points = self.cs.iter().zip(errors).map(|(&c, errors)| SearchPoint::new(c, errors)).collect();
        Ok((Chosen::lowest(points)?, worst_gap))
    }

    /// Error of each C on the held-out positions, from rows of the Gram matrix alone.
    fn fold_of_gram(
        &self,
        gram: &SharedGram,
        labels: &[usize],
        rest: &[usize],
        held_out: &[usize],
    ) -> Result<(Vec<f64>, f64)> {
        let mut errors = Vec::with_capacity(self.cs.len());
        let mut worst_gap = 0.0;
        for model in gram.solve(rest, labels, self.cs, self.relative_gap)? {
            let predictions = model.predict(gram, held_out)?;
            let n_wrong =
                held_out.iter().zip(&predictions).filter(|(position, found)| labels[**position] != **found);
            errors.push(n_wrong.count() as f64 / held_out.len() as f64);
            worst_gap = largest_gap(model.certificates()).max(worst_gap);
        }
        Ok((errors, worst_gap))
    }

    /// Error of each C on the held-out rows, for more rows than a Gram matrix can hold.
    fn fold_of_rows(
        &self,
        train: &FeatureSet,
        rest: &[u32],
        held_out: &[u32],
        progress: &mut Progress<'_>,
    ) -> Result<(Vec<f64>, f64)> {
        let features = train.gather(rest)?;
        let labels = train.gather_labels(rest);
        let models = fit_rows(features.view(), &labels, self.cs, self.relative_gap, progress)?;
        drop(features);
        let worst_gap = models.iter().map(|model| largest_gap(model.certificates())).fold(0.0, f64::max);
        let mut bank = ModelBank::default();
        models.into_iter().for_each(|model| bank.push(model));
        let confusions = bank.drain(train, Rows::Only(held_out), train.n_classes(), progress)?;
        Ok((confusions.iter().map(|confusion| confusion.error_rate()).collect(), worst_gap))
    }
}

/// One machine a C over any number of rows.
pub(crate) fn fit_rows(
    features: ArrayView2<'_, f32>,
    labels: &[usize],
    cs: &[f64],
    relative_gap: f64,
    progress: &mut Progress<'_>,
) -> Result<Vec<LinearSvc>> {
    let params = LinearSvc::params().relative_gap(relative_gap).check()?;
    Ok(params.fit_path(features, labels, cs, &mut |_| progress.ask())?)
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use ndarray::Array2;

    use super::*;

    #[test]
    fn rows_and_gram_matrix_agree() {
        let features = Array2::from_shape_fn((90, 20), |(row, column)| {
            let noise = ((row * 31 + column * 17 + row * column) % 23) as f32 / 23.0;
            if column % 3 == row % 3 { noise + 0.2 } else { noise }
        });
        let train = FeatureSet::from_arrays(&features, (0..90).map(|row| row % 3).collect()).unwrap();
        let search = CrossValidation { cs: &[1.0, 1e-2, 1e-1], n_folds: 3, relative_gap: 1e-10, seed: 0 };
        let (rest, held_out): (Vec<usize>, Vec<usize>) = (0..90).partition(|row| row % 4 != 1);
        let rows = |positions: &[usize]| positions.iter().map(|&row| row as u32).collect::<Vec<u32>>();
        let mut observe = |_, _| ControlFlow::Continue(());
        let mut progress = Progress::new(&mut observe, 0);
        let gram = SharedGram::new(train.features()).unwrap();
        let (by_gram, _) = search.fold_of_gram(&gram, train.labels(), &rest, &held_out).unwrap();
        let (by_rows, gap) =
            search.fold_of_rows(&train, &rows(&rest), &rows(&held_out), &mut progress).unwrap();
        assert_eq!(by_gram, by_rows);
        assert!(by_gram.iter().any(|&error| error > 0.0 && error < 0.6), "{by_gram:?}");
        assert!(gap <= 1e-10);
    }
}
