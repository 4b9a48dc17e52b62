//! Precision, recall, density and coverage (Naeem et al., "Reliable fidelity and diversity metrics for generative models", 2020),
//! exact.
//!
//! About each picture's features lies a ball that reaches to its k-th nearest neighbour in its own set. Precision: the share of generated
//! pictures in some real ball. Recall: the share of real pictures in some generated ball. Density: in how many real balls a generated
//! picture lies, over k. Coverage: the share of real balls that hold a generated picture.

use std::ops::ControlFlow;

use dcgan_baselines::neighbours::{Metric, NearestNeighbours, Side, balls};
use serde::{Deserialize, Serialize};

use crate::bootstrap::{Interval, of_mean};
use crate::error::{MetricsError, Result, setting};
use crate::features::{Features, check_pair};
use crate::kernel::Observe;

/// Rows that are added between two looks at whether to stop.
const ROWS: usize = 2048;

/// The four measures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prdc {
    /// Share of generated pictures in some real ball.
    pub precision: f64,
    /// Share of real pictures in some generated ball.
    pub recall: f64,
    /// Mean number of real balls about a generated picture, over k; may be above 1.
    pub density: f64,
    /// Share of real balls that hold a generated picture.
    pub coverage: f64,
    /// Neighbours that a ball reaches to.
    pub k: usize,
    /// Real and generated pictures that equal their k-th neighbour: their balls have no extent, and hold nothing, not even an equal
    /// picture.
    pub n_points: [usize; 2],
    /// 95 % intervals by bootstrap, of the same in that order: of generated pictures for precision and density, of real ones for recall
    /// and coverage, with the balls as they are. None where none was asked for.
    pub intervals: Option<[Interval; 4]>,
}

/// Measures, with `k` neighbours (5 is usual); `bootstrap` is how often pictures are drawn again for the intervals, and the seed.
/// `observe` is told rows done, of all there are to do.
///
/// # Errors
/// [`MetricsError::Rows`] for rows that do not fit; [`MetricsError::Setting`] for a k that is not below the pictures of each set;
/// [`MetricsError::Interrupted`].
pub fn prdc(
    real: &Features<'_>,
    generated: &Features<'_>,
    k: usize,
    bootstrap: (usize, u64),
    observe: Observe<'_>,
) -> Result<Prdc> {
    check_pair(real, generated, 1)?;
    let (n, m) = (real.n_rows(), generated.n_rows());
    if k == 0 || k >= n.min(m) {
        let expected = format!("from 1 to less than the pictures of the smaller set, {}", n.min(m));
        return Err(setting("k", expected, k));
    }
    let total = (2 * n + m) as u64;
    let real_radii = squared_radii(real, k, &mut |done| observe(done, total))?;
    let generated_radii = squared_radii(generated, k, &mut |done| observe(n as u64 + done, total))?;
    let n_points =
        [&real_radii, &generated_radii].map(|radii| radii.iter().filter(|radius| **radius == 0.0).count());
    let left = Side { rows: real.values(), squared_radii: &real_radii };
    let right = Side { rows: generated.values(), squared_radii: &generated_radii };
    let mut from = |done, _| observe((n + m) as u64 + done, total);
    let counted = balls(left, right, real.n_columns(), &mut from).map_err(|error| match error {
        dcgan_baselines::BaselinesError::Interrupted => MetricsError::Interrupted,
        other => other.into(),
    })?;
    let share = |flags: &[bool]| flags.iter().map(|flag| f64::from(u8::from(*flag))).collect::<Vec<f64>>();
    let around = &counted.n_around_right;
    let values = [
        around.iter().map(|n| f64::from(u8::from(*n > 0))).collect(),
        share(&counted.left_is_held),
        around.iter().map(|n| f64::from(*n) / k as f64).collect(),
        share(&counted.left_holds),
    ];
    let [precision, recall, density, coverage] =
        values.each_ref().map(|values: &Vec<f64>| values.iter().sum::<f64>() / values.len() as f64);
    let (replicates, seed) = bootstrap;
    let intervals =
        (replicates > 0).then(|| values.each_ref().map(|values| of_mean(values, replicates, seed)));
    Ok(Prdc { precision, recall, density, coverage, k, n_points, intervals })
}

impl Prdc {
    /// What to say of figures that mislead where one reads them without the others.
    pub fn warnings(&self, n_pictures: [usize; 2]) -> Vec<String> {
        let mut warnings = Vec::new();
        for ((side, n), n_points) in ["real", "generated"].into_iter().zip(n_pictures).zip(self.n_points) {
            if n_points > 0 {
                warnings.push(format!(
                    "{n_points} of the {n} {side} pictures have the features of {} others of their set: a ball about them has no \
                     extent and holds nothing, so that {} too low",
                    self.k,
                    if side == "real" { "precision, density and coverage are" } else { "recall is" }
                ));
            }
        }
        let meaning = match (self.precision, self.recall) {
            (0.0, 0.0) => {
                "no generated picture lies in a real ball, and no real one in a generated ball: the sets have nothing in common by \
                 these features, or their features are not made alike"
            }
            (1.0, 0.0) => {
                "every generated picture lies in a real ball, but no real one in a generated ball: the samples are few modes of the \
                 real set, or one picture over and over"
            }
            (0.0, 1.0) => {
                "every real picture lies in a generated ball, but no generated one in a real ball: the samples lie around the real \
                 set, far apart, and not in it"
            }
            _ => return warnings,
        };
        let percent = |share: f64| 100.0 * share;
        let (precision, recall) = (percent(self.precision), percent(self.recall));
        warnings.push(format!("precision {precision} % and recall {recall} %: {meaning}"));
        warnings
    }
}

/// |distance|² of each row to its k-th nearest other row of the set.
fn squared_radii(
    set: &Features<'_>,
    k: usize,
    observe: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Vec<f64>> {
    // One more: each row is the nearest to itself.
    let mut nearest = NearestNeighbours::new(set.values(), set.n_columns(), k + 1, Metric::Euclidean)?;
    for rows in set.values().chunks(ROWS * set.n_columns()) {
        if observe(nearest.n_rows()).is_break() {
            return Err(MetricsError::Interrupted);
        }
        nearest.add(rows, &vec![0; rows.len() / set.n_columns()])?;
    }
    let radius = |row: usize| nearest.neighbours(row).last().map_or(0.0, |last| last.compared());
    Ok((0..set.n_rows()).map(radius).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(n: usize, d: usize, seed: usize, scale: f32) -> Vec<f32> {
        (0..n * d).map(|i| scale * (((i + seed) * 7919 + (i * i + seed) % 31) % 101) as f32 / 50.0).collect()
    }

    // import numpy as np; from prdc import compute_prdc
    // def rows(n, d, seed, scale):
    //     i = np.arange(n * d)
    //     x = np.float32(scale) * (((i + seed) * 7919 + (i * i + seed) % 31) % 101).astype('f4') / np.float32(50)
    //     return x.reshape(n, d)
    // print(compute_prdc(rows(90, 3, 0, 1), rows(80, 3, 3, 1.5), 5))
    #[test]
    fn they_are_those_of_the_prdc_package() {
        let (a, b) = (rows(90, 3, 0, 1.0), rows(80, 3, 3, 1.5));
        let (a, b) = (Features::new("real", &a, 3).unwrap(), Features::new("generated", &b, 3).unwrap());
        let mut go_on = |_, _| ControlFlow::Continue(());
        let found = prdc(&a, &b, 5, (1000, 0), &mut go_on).unwrap();
        let values = [found.precision, found.recall, found.density, found.coverage];
        for (found, expected) in
            values.iter().zip([0.3125, 0.9555555555555556, 0.22999999999999998, 0.6222222222222222])
        {
            assert!((found - expected).abs() < 1e-12, "{values:?}");
        }
        for (value, Interval { low, high }) in values.iter().zip(found.intervals.unwrap()) {
            assert!(low <= *value && *value <= high && high - low < 0.5, "{value} {low} {high}");
        }
        let same = prdc(&a, &a, 5, (0, 0), &mut go_on).unwrap();
        assert_eq!((same.precision, same.recall, same.coverage, same.intervals), (1.0, 1.0, 1.0, None));
        let message = prdc(&a, &b, 80, (0, 0), &mut go_on).unwrap_err().to_string();
        assert_eq!(
            message,
            "`k`: expected from 1 to less than the pictures of the smaller set, 80, found 80"
        );
        let stopped = prdc(&a, &b, 5, (0, 0), &mut |_, _| ControlFlow::Break(()));
        assert!(matches!(stopped, Err(MetricsError::Interrupted)));
    }

    #[test]
    fn figures_that_mislead_are_explained() {
        let mut go_on = |_, _| ControlFlow::Continue(());
        let mut of = |real: &[f32], generated: &[f32]| {
            let (a, b) =
                (Features::new("real", real, 1).unwrap(), Features::new("generated", generated, 1).unwrap());
            let found = prdc(&a, &b, 2, (0, 0), &mut go_on).unwrap();
            (
                found.precision,
                found.recall,
                found.n_points,
                found.warnings([a.n_rows(), b.n_rows()]).join("; "),
            )
        };
        let line: Vec<f32> = (0..20).map(|i| i as f32).collect();
        // One picture over and over: it has no ball.
        let (precision, recall, n_points, said) = of(&line, &[7.5; 10]);
        assert_eq!((precision, recall, n_points), (1.0, 0.0, [0, 10]));
        assert!(said.contains("10 of the 10 generated pictures have the features of 2 others"), "{said}");
        assert!(said.contains("precision 100 % and recall 0 %: every generated picture lies"), "{said}");
        // A set of one value beside itself: strictly inside a ball of radius 0 lies nothing.
        let (precision, recall, n_points, said) = of(&[1.0; 9], &[1.0; 9]);
        assert_eq!((precision, recall, n_points), (0.0, 0.0, [9, 9]));
        assert!(said.contains("9 of the 9 real pictures") && said.contains("nothing in common"), "{said}");
        // Far around.
        let (precision, recall, _, said) = of(&[0.0, 0.1, 0.2, 0.3], &[-50.0, 50.0, 90.0, -90.0]);
        assert_eq!((precision, recall), (0.0, 1.0));
        assert!(said.contains("lie around the real set"), "{said}");
        let (.., said) = of(&line, &line);
        assert_eq!(said, "");
    }
}
