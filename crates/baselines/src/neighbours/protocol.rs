//! Nearest neighbours on labelled features: k chosen on training rows, errors measured on test rows.

use std::ops::ControlFlow;

use dcgan_eval::statistics::{INTERVAL_DEVIATIONS, mean, std_dev};
use dcgan_eval::{Confusion, Draws, FeatureSet, validation_rows};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::distance::Metric;
use super::search::NearestNeighbours;
use crate::error::{BaselinesError, Result, setting};

/// Training rows that are added at a time.
const ROWS: usize = 1024;
/// Bytes of test rows that are compared with all training rows at a time.
const TEST_BYTES: usize = 32 << 20;

/// Settings of the protocol. The defaults are those of Table 2's other row: with the same seed and counts the same rows are held
/// out and drawn as for the L2-SVM.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NeighboursProtocol {
    /// Numbers of neighbours to choose from, by the error on validation rows; of equal ones the smallest.
    pub ks: Vec<usize>,
    /// How near two rows are.
    pub metric: Metric,
    /// Rows held out of the training set, to choose k; draws are of the rest also where there is one k.
    pub n_validation: usize,
    /// Labels a class in each draw.
    #[schemars(range(min = 1))]
    pub n_per_class: usize,
    /// Draws that each k is tried on.
    #[schemars(range(min = 1, max = 100_000))]
    pub n_search_draws: u32,
    /// Fresh draws that are measured; 0: no draws, but all training rows at once, of which k is chosen on those held out.
    #[schemars(range(max = 100_000))]
    pub n_final_draws: u32,
    /// Seed of all draws.
    pub seed: u64,
}

impl Default for NeighboursProtocol {
    fn default() -> Self {
        Self {
            ks: vec![1, 3, 5, 9, 15, 25],
            metric: Metric::Euclidean,
            n_validation: 10_000,
            n_per_class: 100,
            n_search_draws: 10,
            n_final_draws: 100,
            seed: 0,
        }
    }
}

impl NeighboursProtocol {
    /// Checks the settings against their ranges.
    ///
    /// # Errors
    /// [`BaselinesError::Setting`], naming the setting.
    pub fn validate(&self) -> Result<()> {
        let is_twice = |idx: usize| self.ks[..idx].contains(&self.ks[idx]);
        if self.ks.is_empty() || self.ks.contains(&0) || (0..self.ks.len()).any(is_twice) {
            let expected = "one or more different whole numbers from 1 on";
            return Err(setting("ks", expected, format!("{:?}", self.ks)));
        }
        if self.n_validation == 0 && self.ks.len() > 1 {
            return Err(setting("n_validation", "at least 1, to choose among several `ks`", 0));
        }
        let counts = [("n_per_class", self.n_per_class), ("n_search_draws", self.n_search_draws as usize)];
        match counts.into_iter().find(|(_, count)| *count == 0) {
            Some((key, found)) => Err(setting(key, "at least 1", found)),
            None => Ok(()),
        }
    }

    /// The rows that are held out and drawn; none where there are no draws.
    ///
    /// # Errors
    /// As [`Draws::new`].
    pub fn draws(&self, train: &FeatureSet) -> Result<Option<Draws>> {
        let draws =
            || Draws::new(train.labels(), train.n_classes(), self.n_validation, self.n_per_class, self.seed);
        Ok((self.n_final_draws > 0).then(draws).transpose()?)
    }

    fn largest_k(&self) -> usize {
        self.ks.iter().copied().max().unwrap_or(1)
    }
}

/// What one k reached on validation rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KPoint {
    /// Neighbours.
    pub k: usize,
    /// Validation error of each draw, in 0..=1.
    pub errors: Vec<f64>,
    /// Their mean.
    pub mean_error: f64,
}

/// What was measured. Errors are shares in 0..=1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NeighboursResult {
    /// The settings.
    pub protocol: NeighboursProtocol,
    /// The k chosen.
    pub k: usize,
    /// Validation errors of every k; none where there is one.
    pub search: Vec<KPoint>,
    /// Test error of each fresh draw, or the one of all rows.
    pub errors: Vec<f64>,
    /// Mean test error.
    pub mean_error: f64,
    /// 1.96 sample standard deviations of the test errors; none without draws.
    pub deviation: Option<f64>,
    /// Predictions on the test set summed over the draws.
    pub confusion: Confusion,
    /// Rows of the training set.
    pub n_train: usize,
    /// Rows that each test row was compared with.
    pub n_labels: usize,
    /// Rows of the test set.
    pub n_test: usize,
    /// Features a row.
    pub n_features: usize,
}

/// Told training rows done, and all there are to do, each block of test rows anew; [`ControlFlow::Break`] asks to stop.
pub type Observe<'a> = &'a mut dyn FnMut(u64, u64) -> ControlFlow<()>;

/// Chooses k on rows of `train`, then measures on `test`.
///
/// With draws, validation rows are held out, each k is tried on search draws of labels from the rest, and the fresh draws are
/// measured. Without, each k is tried with all rows that are not held out, and then all rows are used. Both sides are read in
/// blocks, so that memory does not grow with their features. The result is the same for any number of threads.
///
/// # Errors
/// A setting out of range; features that are not finite or do not fit together; k above the rows; too few rows to draw from;
/// [`BaselinesError::Interrupted`].
pub fn nearest_neighbours(
    train: &FeatureSet,
    test: &FeatureSet,
    protocol: &NeighboursProtocol,
    observe: Observe<'_>,
) -> Result<NeighboursResult> {
    in_blocks_of(TEST_BYTES, train, test, protocol, observe)
}

/// [`nearest_neighbours`] with so many bytes of test rows at a time.
fn in_blocks_of(
    block_bytes: usize,
    train: &FeatureSet,
    test: &FeatureSet,
    protocol: &NeighboursProtocol,
    observe: Observe<'_>,
) -> Result<NeighboursResult> {
    protocol.validate()?;
    let test = &test.in_classes_of(train)?;
    train.check_finite()?;
    test.check_finite()?;
    let Sets { validation, search, fresh } = Sets::of(train, protocol)?;
    let block = (block_bytes / size_of::<f32>() / train.n_columns()).max(1);
    let n_rows = |sets: &[Vec<u32>]| sets.iter().map(|rows| rows.len() as u64).sum::<u64>();
    let total = n_rows(&search) * validation.len().div_ceil(block) as u64
        + n_rows(&fresh) * test.n_rows().div_ceil(block) as u64;
    let mut work = Work { train, metric: protocol.metric, block, done: 0, total, observe };

    let points = tried(&search, &validation, protocol, &mut work)?;
    let best = points.iter().min_by(|a, b| a.mean_error.total_cmp(&b.mean_error).then(a.k.cmp(&b.k)));
    let k = best.map_or(protocol.largest_k(), |point| point.k);

    let mut confusion = Confusion::new(train.n_classes());
    let rows: Vec<u32> = (0..test.n_rows() as u32).collect();
    let mut count = |truth: &u32, found: &u32| confusion.add(*truth as usize, *found as usize);
    let errors = work.errors((test, &rows), &fresh, &[k], &mut count)?.swap_remove(0);
    Ok(NeighboursResult {
        protocol: protocol.clone(),
        k,
        search: points,
        mean_error: mean(&errors),
        deviation: (protocol.n_final_draws > 0).then(|| INTERVAL_DEVIATIONS * std_dev(&errors)),
        errors,
        confusion: confusion.named(train.class_names()),
        n_train: train.n_rows(),
        n_labels: fresh.first().map_or(0, Vec::len),
        n_test: test.n_rows(),
        n_features: train.n_columns(),
    })
}

/// Rows of the training set: those that choose k, and the sets of rows that are learned from.
struct Sets {
    validation: Vec<u32>,
    /// None where there is one k.
    search: Vec<Vec<u32>>,
    fresh: Vec<Vec<u32>>,
}

impl Sets {
    fn of(train: &FeatureSet, protocol: &NeighboursProtocol) -> Result<Self> {
        let draws = protocol.draws(train)?;
        let is_search = protocol.ks.len() > 1;
        let n_validation = if is_search { protocol.n_validation } else { 0 };
        if n_validation >= train.n_rows() {
            let expected = format!("fewer than the {} training rows", train.n_rows());
            return Err(setting("n_validation", expected, n_validation));
        }
        let validation = validation_rows(train.n_rows(), n_validation, protocol.seed);
        let (mut search, fresh): (Vec<Vec<u32>>, Vec<Vec<u32>>) = match &draws {
            Some(draws) => (
                (0..protocol.n_search_draws).map(|idx| draws.search(idx)).collect(),
                (0..protocol.n_final_draws).map(|idx| draws.fresh(idx)).collect(),
            ),
            None => {
                let all: Vec<u32> = (0..train.n_rows() as u32).collect();
                let is_left = |row: &u32| validation.binary_search(row).is_err();
                (vec![all.iter().copied().filter(is_left).collect()], vec![all])
            }
        };
        if !is_search {
            search.clear();
        }
        let k = protocol.largest_k();
        match search.iter().chain(&fresh).find(|rows| rows.len() < k) {
            Some(rows) => Err(setting("ks", format!("at most the rows trained on, {}", rows.len()), k)),
            None => Ok(Self { validation, search, fresh }),
        }
    }
}

/// The error on validation rows of each k, with each set of rows to search on.
fn tried(
    search: &[Vec<u32>],
    validation: &[u32],
    protocol: &NeighboursProtocol,
    work: &mut Work<'_>,
) -> Result<Vec<KPoint>> {
    if search.is_empty() {
        return Ok(Vec::new());
    }
    let errors = work.errors((work.train, validation), search, &protocol.ks, &mut |_, _| ())?;
    let points = protocol.ks.iter().zip(errors);
    Ok(points.map(|(&k, errors)| KPoint { k, mean_error: mean(&errors), errors }).collect())
}

/// The training set, and how far it is.
struct Work<'a> {
    train: &'a FeatureSet,
    metric: Metric,
    /// Test rows at a time.
    block: usize,
    done: u64,
    total: u64,
    observe: Observe<'a>,
}

impl Work<'_> {
    /// The errors on rows of `test` of each k, with each set of training rows; `count` is given each truth with what was found in
    /// its place.
    fn errors(
        &mut self,
        (test, test_rows): (&FeatureSet, &[u32]),
        sets: &[Vec<u32>],
        ks: &[usize],
        count: &mut dyn FnMut(&u32, &u32),
    ) -> Result<Vec<Vec<f64>>> {
        let largest = ks.iter().copied().max().unwrap_or(1);
        let mut n_right = vec![vec![0_usize; sets.len()]; ks.len()];
        for block in test_rows.chunks(self.block) {
            let (features, truth) = gathered(test, block);
            let mut nearest = NearestNeighbours::new(&features, test.n_columns(), largest, self.metric)?;
            for (set_idx, rows) in sets.iter().enumerate() {
                self.add(&mut nearest, rows)?;
                for (&k, n_right) in ks.iter().zip(&mut n_right) {
                    let found = nearest.predictions(k)?;
                    n_right[set_idx] +=
                        truth.iter().zip(&found).filter(|(truth, found)| truth == found).count();
                    truth.iter().zip(&found).for_each(|(truth, found)| count(truth, found));
                }
            }
        }
        let n = test_rows.len();
        let error = |n_right: &usize| (n - n_right) as f64 / n as f64;
        Ok(n_right.iter().map(|of_sets| of_sets.iter().map(error).collect()).collect())
    }

    /// Puts `rows` in place of those that were added before.
    fn add(&mut self, nearest: &mut NearestNeighbours<'_>, rows: &[u32]) -> Result<()> {
        nearest.clear();
        for rows in rows.chunks(ROWS) {
            if (self.observe)(self.done, self.total).is_break() {
                return Err(BaselinesError::Interrupted);
            }
            let (features, labels) = gathered(self.train, rows);
            nearest.add(&features, &labels)?;
            self.done += rows.len() as u64;
        }
        Ok(())
    }
}

fn gathered(set: &FeatureSet, rows: &[u32]) -> (Vec<f32>, Vec<u32>) {
    let mut features = Vec::with_capacity(rows.len() * set.n_columns());
    rows.iter().for_each(|row| features.extend_from_slice(set.row(*row as usize)));
    (features, rows.iter().map(|row| set.labels()[*row as usize] as u32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two classes on a line, and some rows of each among the other's.
    fn set(n_rows: usize) -> FeatureSet {
        let value = |row: usize| (row % 2) as f32 * 4.0 + ((row * 7919) % 101) as f32 / 50.0;
        let features =
            ndarray::Array2::from_shape_fn((n_rows, 2), |(row, column)| value(row) * (column + 1) as f32);
        FeatureSet::from_arrays(
            &features,
            (0..n_rows).map(|row| (row + usize::from(row % 10 == 3)) % 2).collect(),
        )
        .unwrap()
    }

    fn go_on(_: u64, _: u64) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    #[test]
    fn k_is_chosen_on_training_rows_and_draws_are_those_of_the_svm() {
        let (train, test) = (set(400), set(100));
        let protocol = NeighboursProtocol {
            ks: vec![1, 15],
            n_validation: 100,
            n_per_class: 40,
            n_search_draws: 3,
            n_final_draws: 4,
            ..Default::default()
        };
        let result = nearest_neighbours(&train, &test, &protocol, &mut go_on).unwrap();
        // One in ten labels is wrong, in the test set too: many neighbours outvote it.
        assert_eq!((result.k, result.n_labels, result.errors.len()), (15, 80, 4));
        assert!((result.mean_error - 0.1).abs() < 1e-9, "{result:?}");
        assert!(result.search[0].mean_error > result.search[1].mean_error);
        let draws = protocol.draws(&train).unwrap().unwrap();
        let svm = dcgan_eval::SvhnProtocol { n_validation: 100, n_per_class: 40, ..Default::default() };
        let theirs = svm.draws(&train).unwrap();
        assert_eq!((draws.validation(), draws.fresh(2)), (theirs.validation(), theirs.fresh(2)));
        assert_eq!(result, nearest_neighbours(&train, &test, &protocol, &mut go_on).unwrap());
    }

    #[test]
    fn all_rows_are_used_where_there_are_no_draws() {
        let (train, test) = (set(400), set(100));
        let protocol =
            NeighboursProtocol { ks: vec![1, 15], n_validation: 100, n_final_draws: 0, ..Default::default() };
        let mut rows = Vec::new();
        let result = nearest_neighbours(&train, &test, &protocol, &mut |done, total| {
            rows.push((done, total));
            ControlFlow::Continue(())
        });
        let result = result.unwrap();
        assert_eq!((result.k, result.n_labels, result.deviation), (15, 400, None));
        assert_eq!(rows, [(0, 700), (300, 700)]);
        // Test rows that come in blocks change nothing.
        for (block, expected) in [(1, 100 * 700), (37 * 8, 3 * 700)] {
            let mut last = (0, 0);
            let in_blocks = in_blocks_of(block, &train, &test, &protocol, &mut |done, total| {
                last = (done, total);
                ControlFlow::Continue(())
            });
            assert_eq!((in_blocks.unwrap(), last), (result.clone(), (expected - 400, expected)));
        }
        // The test set is the first quarter of the training set, whose own labels one neighbour gives back.
        let one = NeighboursProtocol { ks: vec![1], ..protocol };
        assert_eq!(nearest_neighbours(&train, &test, &one, &mut go_on).unwrap().errors.len(), 1);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let (train, test) = (set(40), set(20));
        let message = |protocol: NeighboursProtocol| {
            nearest_neighbours(&train, &test, &protocol, &mut go_on).unwrap_err().to_string()
        };
        let small = NeighboursProtocol { n_validation: 10, n_per_class: 5, ..Default::default() };
        assert_eq!(message(small.clone()), "`ks`: expected at most the rows trained on, 10, found 25");
        assert_eq!(
            message(NeighboursProtocol { ks: vec![1, 1], ..small.clone() }),
            "`ks`: expected one or more different whole numbers from 1 on, found [1, 1]"
        );
        let few = NeighboursProtocol { n_per_class: 30, ..small.clone() };
        assert!(message(few).starts_with("n_validation: expected at most 0 rows"));
        let stopped = NeighboursProtocol { ks: vec![1, 3], ..small };
        let stopped = nearest_neighbours(&train, &test, &stopped, &mut |_, _| ControlFlow::Break(()));
        assert!(matches!(stopped, Err(BaselinesError::Interrupted)));
    }
}
