//! Which rows are labels, which are held out: seeded draws from a training set.
//!
//! Every draw has a ChaCha stream of its own under one seed, so that the draws that choose C and the draws that
//! measure with it are independent, and any draw can be repeated without those before it.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::error::{EvalError, Result};

/// What a random stream is for; each purpose has 2³² streams.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    /// The held-out validation rows.
    Validation = 0,
    /// Draws that choose C.
    Search = 1,
    /// Draws that are measured on the test set.
    Fresh = 2,
    /// Folds of a cross-validation.
    Folds = 3,
    /// A smaller share of the training rows to cross-validate on.
    Share = 4,
}

/// The generator of stream (`purpose`, `idx`) under `seed`.
pub(crate) fn stream(seed: u64, purpose: Purpose, idx: u32) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(((purpose as u64) << 32) | u64::from(idx));
    rng
}

/// Seeded draws of training rows, the same number from each class, beside a held-out validation set.
///
/// The validation set is a plain random draw without replacement from all training rows. (The paper says only that
/// 10,000 rows of the train set are held out; that they are not stratified is a choice.) Draws of labels come from the
/// rows that are left, `n_per_class` of each class without replacement.
#[derive(Debug, Clone)]
pub struct Draws {
    validation: Vec<u32>,
    pools: Vec<Vec<u32>>,
    n_per_class: usize,
    seed: u64,
}

impl Draws {
    /// Holds out `n_validation` rows (0 for none) and makes ready to draw from the rest.
    ///
    /// `labels` are the classes 0..`n_classes` of the training rows.
    ///
    /// # Errors
    /// [`EvalError::Validation`] where too few rows would be left to train on, [`EvalError::TooFewRows`] where a class
    /// has fewer than `n_per_class` rows left.
    pub fn new(
        labels: &[usize],
        n_classes: usize,
        n_validation: usize,
        n_per_class: usize,
        seed: u64,
    ) -> Result<Self> {
        let n_labels = n_classes * n_per_class;
        let limit = labels.len().saturating_sub(n_labels);
        if n_validation > limit {
            return Err(EvalError::Validation { limit, n_rows: labels.len(), n_labels, found: n_validation });
        }
        let validation = validation_rows(labels.len(), n_validation, seed);
        let pools = pools(labels, n_classes, &validation);
        for (class, pool) in pools.iter().enumerate() {
            if pool.len() < n_per_class {
                let held_out = validation.iter().filter(|&&row| labels[row as usize] == class).count();
                return Err(EvalError::TooFewRows {
                    class,
                    name: None,
                    expected: n_per_class,
                    found: pool.len(),
                    held_out,
                });
            }
        }
        Ok(Self { validation, pools, n_per_class, seed })
    }

    /// The held-out rows, ascending.
    pub fn validation(&self) -> &[u32] {
        &self.validation
    }

    /// All rows that can be drawn, ascending: those that are not held out.
    pub fn drawable(&self) -> Vec<u32> {
        let mut rows: Vec<u32> = self.pools.iter().flatten().copied().collect();
        rows.sort_unstable();
        rows
    }

    /// Rows of each draw, `n_classes · n_per_class`.
    pub fn n_labels(&self) -> usize {
        self.pools.len() * self.n_per_class
    }

    /// Rows of the `draw_idx`-th draw that chooses C: `n_classes · n_per_class` of them, ascending.
    pub fn search(&self, draw_idx: u32) -> Vec<u32> {
        self.draw(Purpose::Search, draw_idx)
    }

    /// Rows of the `draw_idx`-th draw that is measured on the test set: `n_classes · n_per_class` of them, ascending.
    pub fn fresh(&self, draw_idx: u32) -> Vec<u32> {
        self.draw(Purpose::Fresh, draw_idx)
    }

    fn draw(&self, purpose: Purpose, draw_idx: u32) -> Vec<u32> {
        let mut rng = stream(self.seed, purpose, draw_idx);
        let mut rows = Vec::with_capacity(self.n_labels());
        for pool in &self.pools {
            let mut pool = pool.clone();
            let (drawn, _) = pool.partial_shuffle(&mut rng, self.n_per_class);
            rows.extend_from_slice(drawn);
        }
        rows.sort_unstable();
        rows
    }
}

/// The rows that [`Draws`] holds out of `n_rows`, ascending: they depend on nothing else, so that whatever is learned before
/// from the same rows can leave them out too.
pub fn validation_rows(n_rows: usize, n_validation: usize, seed: u64) -> Vec<u32> {
    let mut order: Vec<u32> = (0..n_rows as u32).collect();
    let mut rng = stream(seed, Purpose::Validation, 0);
    let (held_out, _) = order.partial_shuffle(&mut rng, n_validation);
    let mut rows = held_out.to_vec();
    rows.sort_unstable();
    rows
}

/// The rows of each class, ascending, without those in `held_out` (ascending).
fn pools(labels: &[usize], n_classes: usize, held_out: &[u32]) -> Vec<Vec<u32>> {
    let mut pools = vec![Vec::new(); n_classes];
    for (row, &label) in labels.iter().enumerate() {
        let row = row as u32;
        if held_out.binary_search(&row).is_err() {
            pools[label].push(row);
        }
    }
    pools
}

/// Deals rows into `n_folds` folds, stratified: each class is shuffled and dealt out in turn.
///
/// `labels` are classes 0..`n_classes`, `n_folds` at least 1. Returns the fold of each row, in 0..`n_folds`. Dealing goes
/// on from class to class where it stopped, so that folds differ by at most one row.
pub fn stratified_folds(labels: &[usize], n_classes: usize, n_folds: usize, seed: u64) -> Vec<usize> {
    let mut rng = stream(seed, Purpose::Folds, 0);
    let mut folds = vec![0; labels.len()];
    let mut next = 0;
    for mut rows in pools(labels, n_classes, &[]) {
        rows.shuffle(&mut rng);
        for row in rows {
            folds[row as usize] = next;
            next = (next + 1) % n_folds;
        }
    }
    folds
}

/// A stratified share of about `n_rows` rows, ascending: of each class the same fraction, rounded up.
pub(crate) fn stratified_share(labels: &[usize], n_classes: usize, n_rows: usize, seed: u64) -> Vec<u32> {
    let mut rng = stream(seed, Purpose::Share, 0);
    let mut share = Vec::with_capacity(n_rows + n_classes);
    for mut rows in pools(labels, n_classes, &[]) {
        let n_of_class = (rows.len() * n_rows).div_ceil(labels.len().max(1)).min(rows.len());
        let (drawn, _) = rows.partial_shuffle(&mut rng, n_of_class);
        share.extend_from_slice(drawn);
    }
    share.sort_unstable();
    share
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn labels(n_rows: usize) -> Vec<usize> {
        (0..n_rows).map(|row| (row * 7 + row / 10) % 10).collect()
    }

    #[test]
    fn draws_are_balanced_and_never_held_out() {
        let labels = labels(1000);
        let draws = Draws::new(&labels, 10, 300, 20, 5).unwrap();
        assert_eq!(draws.validation().len(), 300);
        let held_out: HashSet<u32> = draws.validation().iter().copied().collect();
        assert_eq!(held_out.len(), 300);
        assert_eq!(draws.drawable().len(), 700);
        assert!(draws.drawable().iter().all(|row| !held_out.contains(row)));
        for draw_idx in 0..20 {
            for rows in [draws.search(draw_idx), draws.fresh(draw_idx)] {
                let distinct: HashSet<u32> = rows.iter().copied().collect();
                assert_eq!(distinct.len(), 200);
                assert!(distinct.is_disjoint(&held_out));
                let mut counts = [0; 10];
                rows.iter().for_each(|&row| counts[labels[row as usize]] += 1);
                assert_eq!(counts, [20; 10]);
            }
        }
    }

    #[test]
    fn every_draw_is_another_and_can_be_repeated() {
        let labels = labels(1000);
        let draws = Draws::new(&labels, 10, 300, 20, 5).unwrap();
        let all: HashSet<Vec<u32>> =
            (0..50).map(|idx| draws.search(idx)).chain((0..50).map(|idx| draws.fresh(idx))).collect();
        assert_eq!(all.len(), 100);
        let again = Draws::new(&labels, 10, 300, 20, 5).unwrap();
        assert_eq!(again.validation(), draws.validation());
        assert_eq!(again.validation(), validation_rows(1000, 300, 5));
        assert_eq!(again.fresh(17), draws.fresh(17));
        assert_ne!(Draws::new(&labels, 10, 300, 20, 6).unwrap().fresh(17), draws.fresh(17));
    }

    #[test]
    fn search_and_fresh_draws_overlap_no_more_than_chance() {
        // 20 of 70 rows a class each: two independent draws share 20·20/70 ≈ 5.7 rows a class.
        let labels: Vec<usize> = (0..700).map(|row| row % 10).collect();
        let draws = Draws::new(&labels, 10, 0, 20, 1).unwrap();
        let mut shared = 0;
        for draw_idx in 0..50 {
            let search: HashSet<u32> = draws.search(draw_idx).into_iter().collect();
            shared += draws.fresh(draw_idx).iter().filter(|row| search.contains(row)).count();
        }
        let mean = shared as f64 / 50.0;
        assert!((mean - 57.1).abs() < 3.0, "{mean} shared rows a pair of draws");
    }

    #[test]
    fn too_few_rows_say_what_to_set() {
        let labels = labels(1000);
        let message = Draws::new(&labels, 10, 801, 20, 5).unwrap_err().to_string();
        assert_eq!(
            message,
            "n_validation: expected at most 800 rows (1000 training rows less 200 to train on), found 801; \
             set n_validation lower, and lower still where classes are uneven"
        );
        let message = Draws::new(&labels, 10, 800, 20, 5).unwrap_err().to_string();
        assert!(message.contains("set n_per_class or n_validation lower"), "{message}");
        assert!(matches!(Draws::new(&labels, 11, 0, 20, 5), Err(EvalError::TooFewRows { class: 10, .. })));
    }

    #[test]
    fn folds_are_stratified() {
        let labels = labels(503);
        let folds = stratified_folds(&labels, 10, 5, 9);
        for fold in 0..5 {
            let size = folds.iter().filter(|&&of_row| of_row == fold).count();
            assert!((100..=101).contains(&size));
            for class in 0..10 {
                let count = (0..503).filter(|&row| folds[row] == fold && labels[row] == class).count();
                assert!((9..=12).contains(&count), "fold {fold} has {count} rows of class {class}");
            }
        }
    }

    #[test]
    fn a_share_keeps_the_proportions() {
        let labels: Vec<usize> = (0..900).map(|row| usize::from(row % 3 == 0)).collect();
        let share = stratified_share(&labels, 2, 90, 4);
        assert_eq!(share.len(), 90);
        assert_eq!(share.iter().filter(|&&row| labels[row as usize] == 1).count(), 30);
    }
}
