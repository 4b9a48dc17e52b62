//! K-fold cross-validation of several values of C; which rows make a fold, and which C is chosen, is the caller's.

use std::ops::ControlFlow;

use ndarray::{Array2, ArrayView2, Axis, aview1};

use crate::dual::ascending;
use crate::labels::OneVsRest;
use crate::params::{FitProgress, ObserveFit};
use crate::storage::{Feature, widened};
use crate::{LinearSvcValidParams, Result, SharedGram, SvmError, rows};

/// What cross-validation found for each value of C.
#[derive(Clone, Debug, PartialEq)]
pub struct CrossValidation {
    /// The values of C that were tried, in the order given.
    pub cs: Vec<f64>,
    /// Share of held-out rows labelled wrongly, in 0..=1: (n_folds, n_cs).
    pub error_rates: Array2<f64>,
    /// The largest relative duality gap that any machine was left with.
    pub largest_gap: f64,
}

impl SharedGram {
    /// Fits on all folds but one and tests on that one, for each fold and each C, without the features.
    ///
    /// `fold_of_row` has one fold for each row of the matrix, from 0 up to
    /// the largest used.
    ///
    /// # Errors
    /// [`SvmError::FoldCount`] where there are fewer than two folds or one has no row; [`SvmError::RowCount`] where
    /// `fold_of_row` has another length than the matrix; else as [`SharedGram::solve`].
    pub fn cross_validate(
        &self,
        labels: &[usize],
        cs: &[f64],
        fold_of_row: &[usize],
        relative_gap: f64,
    ) -> Result<CrossValidation> {
        let params = LinearSvcValidParams { relative_gap, ..LinearSvcValidParams::default() };
        self.cross_validate_with(labels, cs, fold_of_row, &params, &mut |_| ControlFlow::Continue(()))
    }

    fn cross_validate_with(
        &self,
        labels: &[usize],
        cs: &[f64],
        fold_of_row: &[usize],
        params: &LinearSvcValidParams,
        observe: ObserveFit<'_>,
    ) -> Result<CrossValidation> {
        let n_folds = check_folds(fold_of_row, self.n_rows())?;
        let mut error_rates = Array2::zeros((n_folds, cs.len()));
        let mut largest_gap = 0.0_f64;
        for fold in 0..n_folds {
            let (held_out, train): (Vec<usize>, Vec<usize>) =
                (0..self.n_rows()).partition(|&row| fold_of_row[row] == fold);
            let mut ask = |n_done, n_total| {
                let (n_done, n_total) = (fold as u64 * n_total + n_done, n_folds as u64 * n_total);
                observe(&FitProgress { n_done, n_total, ..FitProgress::default() })
            };
            for (c_idx, model) in self.solve_with(&train, labels, cs, params, &mut ask)?.iter().enumerate() {
                let predicted = model.predict(self, &held_out)?;
                let n_wrong =
                    predicted.iter().zip(&held_out).filter(|(label, row)| **label != labels[**row]).count();
                error_rates[[fold, c_idx]] = n_wrong as f64 / held_out.len() as f64;
                let gaps = model.certificates().iter().map(|certificate| certificate.relative_gap);
                largest_gap = gaps.fold(largest_gap, f64::max);
            }
        }
        Ok(CrossValidation { cs: cs.to_vec(), error_rates, largest_gap })
    }
}

impl LinearSvcValidParams {
    /// Fits on all folds but one and tests on that one, for each fold and each C.
    ///
    /// Up to `max_gram_rows` rows, one Gram matrix serves all folds; beyond, all folds, classes and values of C share
    /// each pass over the features, and what a pass gives for the rows that a fold leaves out is its test. Either way no row
    /// of `features` is copied for a fold. The setting `c` is not used.
    ///
    /// As passes multiply with C, beyond `max_gram_rows` the search goes up through C and ends where the mean error was above
    /// the lowest for `patience` values in a row; larger ones are then not tried.
    ///
    /// # Errors
    /// [`SvmError::FoldCount`], [`SvmError::RowCount`] as [`SharedGram::cross_validate`]; else as
    /// [`fit_path`](Self::fit_path).
    pub fn cross_validate<T: Feature>(
        &self,
        features: ArrayView2<'_, T>,
        labels: &[usize],
        cs: &[f64],
        fold_of_row: &[usize],
        patience: usize,
        observe: ObserveFit<'_>,
    ) -> Result<CrossValidation> {
        let n_rows = features.nrows();
        let n_folds = check_folds(fold_of_row, n_rows)?;
        let targets = OneVsRest::new(labels, n_rows)?;
        if n_rows <= self.max_gram_rows {
            let mut ask = |_, _| observe(&FitProgress::default());
            let gram = SharedGram::new_observed(widened(features).view(), &mut ask)?;
            return gram.cross_validate_with(labels, cs, fold_of_row, self, observe);
        }
        let order = ascending(cs)?;
        let grid: Vec<f64> = order.iter().map(|&position| cs[position]).collect();
        let n_wanted = |error_rates: &[Vec<f64>]| patience.saturating_sub(n_rises(error_rates));
        let with = (self, observe);
        let found = rows::held_out(features, &targets, &grid, fold_of_row, with, &n_wanted)?;
        let mut tried: Vec<usize> = (0..found.error_rates.len()).collect();
        tried.sort_by_key(|&c_idx| order[c_idx]);
        let mut error_rates = Array2::zeros((n_folds, tried.len()));
        for (mut column, &c_idx) in error_rates.axis_iter_mut(Axis(1)).zip(&tried) {
            column.assign(&aview1(&found.error_rates[c_idx]));
        }
        let cs = tried.iter().map(|&c_idx| grid[c_idx]).collect();
        Ok(CrossValidation { cs, error_rates, largest_gap: found.largest_gap })
    }
}

/// The last values of C whose mean error was above the lowest.
fn n_rises(error_rates: &[Vec<f64>]) -> usize {
    let means: Vec<f64> = error_rates.iter().map(|errors| errors.iter().sum()).collect();
    let lowest = means.iter().copied().fold(f64::INFINITY, f64::min);
    means.iter().rev().take_while(|mean| **mean > lowest).count()
}

/// The number of folds, if each has a row.
fn check_folds(fold_of_row: &[usize], n_rows: usize) -> Result<usize> {
    if fold_of_row.len() != n_rows {
        return Err(SvmError::RowCount { expected: n_rows, found: fold_of_row.len() });
    }
    let n_folds = fold_of_row.iter().max().map_or(0, |last| last + 1);
    let mut used = vec![false; n_folds.min(n_rows)];
    fold_of_row.iter().for_each(|&fold| {
        if let Some(used) = used.get_mut(fold) {
            *used = true;
        }
    });
    if n_folds < 2 || n_folds > n_rows || used.contains(&false) {
        return Err(SvmError::FoldCount { n_rows, found: n_folds });
    }
    Ok(n_folds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use linfa::ParamGuard;
    use ndarray::Array1;
    use rand::seq::SliceRandom;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Rows dealt out in an order of chance, so that the folds differ from the classes.
    fn dealt(n_rows: usize, n_folds: usize, seed: u64) -> Vec<usize> {
        let mut folds: Vec<usize> = (0..n_rows).map(|row| row % n_folds).collect();
        folds.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        folds
    }

    fn means(found: &CrossValidation) -> Array1<f64> {
        found.error_rates.mean_axis(Axis(0)).unwrap()
    }

    /// The C of the lowest mean error.
    fn best_c(found: &CrossValidation) -> f64 {
        let means = means(found);
        found.cs[(0..found.cs.len()).min_by(|&a, &b| means[a].total_cmp(&means[b])).unwrap()]
    }

    /// Held-out errors counted by hand: each fold is refitted from the features.
    #[test]
    fn error_rates_are_those_of_held_out_rows() {
        let x = Array2::from_shape_fn((40, 5), |(i, j)| ((i * 7 + j * j * 3 + i * j) % 11) as f32 / 5.0);
        let labels: Vec<usize> = (0..40).map(|i| usize::from((i * 7) % 11 > 5)).collect();
        let folds = dealt(labels.len(), 4, 1);
        let found =
            SharedGram::new(x.view()).unwrap().cross_validate(&labels, &[1.0, 1e-3], &folds, 1e-6).unwrap();
        for fold in 0..4 {
            let (held_out, train): (Vec<usize>, Vec<usize>) = (0..40).partition(|&row| folds[row] == fold);
            let pick = |rows: &[usize]| x.select(Axis(0), rows);
            let own: Vec<usize> = train.iter().map(|&row| labels[row]).collect();
            let part = pick(&train);
            let gram = SharedGram::new(part.view()).unwrap();
            for (c_idx, model) in gram.fit(part.view(), &own, &[1.0, 1e-3], 1e-6).unwrap().iter().enumerate()
            {
                let predicted = model.predict_labels(pick(&held_out).view()).unwrap();
                let n_wrong = predicted.iter().zip(&held_out).filter(|(a, row)| **a != labels[**row]).count();
                assert_eq!(found.error_rates[[fold, c_idx]], n_wrong as f64 / held_out.len() as f64);
            }
        }
    }

    #[test]
    fn rows_and_gram_matrix_agree() {
        let features = Array2::from_shape_fn((90, 20), |(row, column)| {
            let noise = ((row * 31 + column * 17 + row * column) % 23) as f32 / 23.0;
            if column % 3 == row % 3 { noise + 0.2 } else { noise }
        });
        let labels: Vec<usize> = (0..90).map(|row| row % 3).collect();
        let folds = dealt(labels.len(), 4, 3);
        let on = |max_gram_rows| {
            let params = crate::LinearSvc::params().relative_gap(1e-8).max_gram_rows(max_gram_rows).check();
            let cs = [1.0, 1e-2, 1e-1];
            let mut observe = |_: &FitProgress| ControlFlow::Continue(());
            params.unwrap().cross_validate(features.view(), &labels, &cs, &folds, 9, &mut observe).unwrap()
        };
        let (by_gram, by_rows) = (on(100), on(10));
        assert_eq!(by_gram.error_rates, by_rows.error_rates);
        assert!(by_gram.error_rates.iter().any(|&error| error > 0.0 && error < 0.6), "{by_gram:?}");
        assert!(by_gram.largest_gap <= 1e-8 && by_rows.largest_gap <= 1e-8);
    }

    /// Rows of noise with some labels turned, over fewer rows than columns: the larger C, the worse.
    #[test]
    fn the_search_over_rows_ends_where_the_error_has_risen() {
        let features = Array2::from_shape_fn((120, 200), |(row, column)| {
            let noise = ((row * 31 + column * 17 + row * column) % 23) as f32 / 23.0;
            if column < 20 && (row % 2 == 0) == (column % 2 == 0) { noise + 0.3 } else { noise }
        });
        let labels: Vec<usize> =
            (0..120).map(|row| if row % 7 == 0 { 1 - row % 2 } else { row % 2 }).collect();
        let folds = dealt(labels.len(), 4, 3);
        let cs = [10.0, 1e-4, 1.0, 1e-3, 1e-1, 1e-2, 100.0];
        let on = |patience| {
            let params = crate::LinearSvc::params().relative_gap(1e-8).max_gram_rows(10).check().unwrap();
            let mut observe = |_: &FitProgress| ControlFlow::Continue(());
            params.cross_validate(features.view(), &labels, &cs, &folds, patience, &mut observe).unwrap()
        };
        let (whole, ended) = (on(7), on(2));
        assert_eq!(whole.cs, cs);
        // What was tried are the smallest values, in the order given, with the same errors.
        let mut grid = cs.to_vec();
        grid.sort_by(f64::total_cmp);
        let tried = &grid[..ended.cs.len()];
        let positions: Vec<usize> = (0..7).filter(|&position| tried.contains(&cs[position])).collect();
        assert_eq!(ended.cs, positions.iter().map(|&position| cs[position]).collect::<Vec<_>>());
        assert_eq!(ended.error_rates, whole.error_rates.select(Axis(1), &positions));
        let means = means(&whole);
        let mean_at = |c: &f64| means[cs.iter().position(|other| other == c).unwrap()];
        let [.., lowest, first, second] = tried else { panic!("{tried:?}") };
        assert!(tried.len() < 7 && best_c(&ended) == *lowest, "{tried:?} {means}");
        assert!(mean_at(lowest) < mean_at(first) && mean_at(lowest) < mean_at(second));
    }

    /// Ten classes of noise with some labels turned.
    fn noisy() -> (Array2<f32>, Vec<usize>, Vec<usize>) {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let labels: Vec<usize> =
            (0..600).map(|row| if row % 9 == 0 { random.random_range(0..10) } else { row % 10 }).collect();
        let features = Array2::from_shape_fn((600, 150), |(row, column)| {
            let shift = if column % 15 == row % 10 { 0.3 } else { 0.0 };
            random.random::<f32>() + shift
        });
        let folds = dealt(labels.len(), 5, 3);
        (features, labels, folds)
    }

    const GRID: [f64; 5] = [1e-5, 1e-3, 1e-2, 1e-1, 1.0];

    fn search<T: Feature>(features: ArrayView2<'_, T>, relative_gap: f64, n_gram: usize) -> CrossValidation {
        let (_, labels, folds) = noisy();
        let params =
            crate::LinearSvc::params().relative_gap(relative_gap).max_gram_rows(n_gram).check().unwrap();
        let mut observe = |_: &FitProgress| ControlFlow::Continue(());
        params.cross_validate(features, &labels, &GRID, &folds, 9, &mut observe).unwrap()
    }

    /// The optima by Newton's method on the Gram matrix, at each C; at 1e-2 decision values are those followed along the steps.
    #[test]
    fn a_loose_gap_chooses_the_same_c() {
        let (features, ..) = noisy();
        let exact = search(features.view(), 1e-10, 1000);
        for (gap, tolerance) in [(1e-2, 0.02), (1e-8, 1e-9)] {
            let found = search(features.view(), gap, 10);
            assert!(found.largest_gap <= gap && (gap < 1e-3 || found.largest_gap > 1e-4), "{found:?}");
            assert_eq!(best_c(&found), best_c(&exact));
            let difference = &means(&found) - &means(&exact);
            assert!(difference.iter().all(|value| value.abs() <= tolerance), "{difference} {exact:?}");
        }
        assert!(best_c(&exact) > GRID[0] && best_c(&exact) < GRID[4], "{exact:?}");
    }

    #[test]
    fn the_bits_of_a_search_over_rows_do_not_depend_on_threads_or_storage() {
        let features = noisy().0.mapv(half::bf16::from_f32);
        let wide = features.mapv(half::bf16::to_f32);
        let on = |n_threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
            pool.install(|| search(wide.view(), 1e-2, 10))
        };
        assert_eq!(on(1), on(3));
        assert_eq!(on(1), search(features.view(), 1e-2, 10));
    }
}
