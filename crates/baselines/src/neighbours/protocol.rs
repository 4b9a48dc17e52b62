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

/// Told training rows done, and all there are to do; [`ControlFlow::Break`] asks to stop.
pub type Observe<'a> = &'a mut dyn FnMut(u64, u64) -> ControlFlow<()>;

/// Chooses k on rows of `train`, then measures on `test`.
///
/// With draws, validation rows are held out, each k is tried on search draws of labels from the rest, and the fresh draws are
/// measured. Without, each k is tried with all rows that are not held out, and then all rows are used. The result
/// is the same for any number of threads.
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
    protocol.validate()?;
    let test = &test.in_classes_of(train)?;
    train.check_finite()?;
    test.check_finite()?;
    let draws = protocol.draws(train)?;
    let n_validation = if protocol.ks.len() > 1 { protocol.n_validation } else { 0 };
    if n_validation >= train.n_rows() {
        return Err(setting(
            "n_validation",
            format!("fewer than the {} training rows", train.n_rows()),
            n_validation,
        ));
    }
    let all: Vec<u32> = (0..train.n_rows() as u32).collect();
    let validation = validation_rows(train.n_rows(), n_validation, protocol.seed);
    let (search, fresh): (Vec<Vec<u32>>, Vec<Vec<u32>>) = match &draws {
        Some(draws) => (
            (0..protocol.n_search_draws).map(|idx| draws.search(idx)).collect(),
            (0..protocol.n_final_draws).map(|idx| draws.fresh(idx)).collect(),
        ),
        None => {
            let is_left = |row: &u32| validation.binary_search(row).is_err();
            (vec![all.iter().copied().filter(is_left).collect()], vec![all])
        }
    };
    let search = if protocol.ks.len() > 1 { search } else { Vec::new() };
    check_rows(protocol, search.iter().chain(&fresh))?;
    let n_rows = |sets: &[Vec<u32>]| sets.iter().map(|rows| rows.len() as u64).sum::<u64>();
    let mut work = Work { train, done: 0, total: n_rows(&search) + n_rows(&fresh), observe };

    let points = tried(&search, &validation, protocol, &mut work)?;
    let best = points.iter().min_by(|a, b| a.mean_error.total_cmp(&b.mean_error).then(a.k.cmp(&b.k)));
    let k = best.map_or(protocol.largest_k(), |point| point.k);

    let truth: Vec<u32> = test.labels().iter().map(|label| *label as u32).collect();
    let mut nearest = NearestNeighbours::new(test.values(), train.n_columns(), k, protocol.metric)?;
    let (mut errors, mut confusion) = (Vec::new(), Confusion::new(train.n_classes()));
    for rows in &fresh {
        work.add(&mut nearest, rows)?;
        let of_draw = counted(train.n_classes(), &truth, &nearest.predictions(k)?);
        errors.push(of_draw.error_rate());
        confusion.merge(&of_draw);
    }
    Ok(NeighboursResult {
        protocol: protocol.clone(),
        k,
        search: points,
        mean_error: mean(&errors),
        deviation: draws.map(|_| INTERVAL_DEVIATIONS * std_dev(&errors)),
        errors,
        confusion: confusion.named(train.class_names()),
        n_train: train.n_rows(),
        n_labels: fresh.first().map_or(0, Vec::len),
        n_test: test.n_rows(),
        n_features: train.n_columns(),
    })
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
    let train = work.train;
    let (held_out, truth) = gathered(train, validation);
    let mut nearest =
        NearestNeighbours::new(&held_out, train.n_columns(), protocol.largest_k(), protocol.metric)?;
    let point = |&k: &usize| KPoint { k, errors: Vec::new(), mean_error: 0.0 };
    let mut points: Vec<KPoint> = protocol.ks.iter().map(point).collect();
    for rows in search {
        work.add(&mut nearest, rows)?;
        for point in &mut points {
            let predictions = nearest.predictions(point.k)?;
            point.errors.push(counted(train.n_classes(), &truth, &predictions).error_rate());
        }
    }
    points.iter_mut().for_each(|point| point.mean_error = mean(&point.errors));
    Ok(points)
}

/// Refuses a k above the rows that it is tried with.
fn check_rows<'a>(protocol: &NeighboursProtocol, mut sets: impl Iterator<Item = &'a Vec<u32>>) -> Result<()> {
    let k = protocol.largest_k();
    match sets.find(|rows| rows.len() < k) {
        Some(rows) => Err(setting("ks", format!("at most the rows trained on, {}", rows.len()), k)),
        None => Ok(()),
    }
}

/// The training set, and how far it is.
struct Work<'a> {
    train: &'a FeatureSet,
    done: u64,
    total: u64,
    observe: Observe<'a>,
}

impl Work<'_> {
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

fn counted(n_classes: usize, truth: &[u32], predictions: &[u32]) -> Confusion {
    let mut confusion = Confusion::new(n_classes);
    truth.iter().zip(predictions).for_each(|(truth, found)| confusion.add(*truth as usize, *found as usize));
    confusion
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
