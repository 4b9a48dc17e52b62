//! The Fréchet distance extrapolated to infinitely many samples (Chong and Forsyth, "Effectively unbiased FID and Inception Score",
//! 2020).
//!
//! A Fréchet distance of n samples is too large by about a constant over n. Distances of several numbers of samples lie on a line over
//! 1/n, whose value at 0 is taken.

use serde::{Deserialize, Serialize};

use crate::error::{MetricsError, Result};
use crate::features::{Features, check_pair};
use crate::frechet::Reference;
use crate::kernel::Observe;
use crate::moments::Statistics;
use crate::numpy_random::RandomState;

/// Numbers of samples.
const POINTS: usize = 15;

/// An extrapolated distance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Infinity {
    /// The value of the line at 1/n = 0.
    pub distance: f64,
    /// Numbers of samples and their distances: from a tenth of all, at least two, to all.
    pub points: Vec<(usize, f64)>,
}

/// Extrapolates over samples drawn by `seed`; the real set stays whole.
///
/// # Errors
/// [`MetricsError::Rows`] for rows that do not fit; [`MetricsError::Eigenvalues`]; [`MetricsError::Interrupted`].
pub fn infinity(
    reference: &Reference,
    generated: &Features<'_>,
    seed: u32,
    observe: Observe<'_>,
) -> Result<Infinity> {
    check_pair(generated, generated, 3)?;
    let (n, mut random) = (generated.n_rows(), RandomState::new(seed));
    let least = (n / 10).max(2);
    let mut points = Vec::with_capacity(POINTS);
    for point in 0..POINTS {
        if observe(point as u64, POINTS as u64).is_break() {
            return Err(MetricsError::Interrupted);
        }
        let size = least + (n - least) * point / (POINTS - 1);
        let rows = generated.gather(&random.choice(n as u32, size));
        let set = Features::new("generated", &rows, generated.n_columns())?;
        points.push((size, reference.distance(&Statistics::of(&set)?)?.distance));
    }
    Ok(Infinity { distance: at_zero(&points), points })
}

/// The value at 0 of the least-squares line through distances over 1/n.
fn at_zero(points: &[(usize, f64)]) -> f64 {
    let n = points.len() as f64;
    let x = |point: &(usize, f64)| 1.0 / point.0 as f64;
    let (mean_x, mean_y) =
        (points.iter().map(x).sum::<f64>() / n, points.iter().map(|point| point.1).sum::<f64>() / n);
    let both: f64 = points.iter().map(|point| (x(point) - mean_x) * (point.1 - mean_y)).sum();
    let square: f64 = points.iter().map(|point| (x(point) - mean_x).powi(2)).sum();
    mean_y - both / square * mean_x
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use rand::{Rng as _, SeedableRng as _};

    use super::*;

    /// Both sets are of one distribution, so that the distance is 0 with ever more samples of both.
    #[test]
    fn the_bias_of_few_samples_is_taken_away() {
        assert!((at_zero(&[(10, 3.0), (20, 2.0), (40, 1.5)]) - 1.0).abs() < 1e-12);
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
        let mut draw = |n: usize| (0..n * 16).map(|_| rng.random::<f32>()).collect::<Vec<f32>>();
        let (real, generated) = (draw(20_000), draw(400));
        let real = Statistics::of(&Features::new("real", &real, 16).unwrap()).unwrap();
        let reference = Reference::new(real).unwrap();
        let generated = Features::new("generated", &generated, 16).unwrap();
        let mut go_on = |_, _| ControlFlow::Continue(());
        let found = infinity(&reference, &generated, 0, &mut go_on).unwrap();
        let of_all = found.points[POINTS - 1];
        assert_eq!((of_all.0, found.points[0].0), (400, 40));
        assert!(found.distance.abs() < 0.3 * of_all.1, "{found:?}");
    }
}
