//! The Fréchet distance extrapolated to infinitely many samples (Chong and Forsyth, "Effectively unbiased FID and Inception Score",
//! 2020).
//!
//! A Fréchet distance of n samples is too large by about a constant over n. Distances of several numbers of samples lie on a line over
//! 1/n, whose value at 0 is taken.

use serde::{Deserialize, Serialize};

use crate::error::{MetricsError, Result, finite};
use crate::features::{Features, check_pair};
use crate::frechet::{Reference, goes_by_products};
use crate::kernel::Observe;
use crate::moments::Statistics;
use crate::numpy_random::RandomState;
use crate::products::Products;

/// Numbers of samples.
pub const POINTS: usize = 15;

/// An extrapolated distance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Infinity {
    /// The value of the line at 1/n = 0.
    pub distance: f64,
    /// Numbers of samples and their distances: from a tenth of all, at least two, to all.
    pub points: Vec<(usize, f64)>,
}

/// What samples are compared with.
#[derive(Debug, Clone, Copy)]
pub enum Against<'a> {
    /// The statistics of a real set.
    Statistics(&'a Reference),
    /// The features of a real set: where pictures are fewer than features, by products of rows.
    Rows(&'a Features<'a>),
}

/// Extrapolates over samples drawn by `seed`; the real set stays whole.
///
/// # Errors
/// [`MetricsError::Rows`] for rows that do not fit; [`MetricsError::Eigenvalues`]; [`MetricsError::Figure`];
/// [`MetricsError::Interrupted`].
pub fn infinity(
    real: Against<'_>,
    generated: &Features<'_>,
    seed: u32,
    observe: Observe<'_>,
) -> Result<Infinity> {
    check_pair(generated, generated, 3)?;
    let made;
    let (products, reference) = match real {
        Against::Statistics(reference) => (None, Some(reference)),
        Against::Rows(real) => {
            check_pair(real, generated, 2)?;
            if goes_by_products(real, generated) {
                let all: Vec<u32> = (0..real.n_rows() as u32).collect();
                (Some((Products::new(real, generated, true)?, all)), None)
            } else {
                made = Reference::new(Statistics::of(real)?)?;
                (None, Some(&made))
            }
        }
    };
    let distance = |rows: &[u32]| match (&products, reference) {
        (Some((products, all)), _) => Ok(products.frechet(Some([all, rows]))?.distance),
        (None, Some(reference)) => {
            let values = generated.gather(rows);
            let set = Features::new("generated", &values, generated.n_columns())?;
            Ok(reference.distance(&Statistics::of(&set)?)?.distance)
        }
        (None, None) => Err(MetricsError::Eigenvalues { of: "real" }),
    };
    let (n, mut random) = (generated.n_rows(), RandomState::new(seed));
    let least = (n / 10).max(2);
    let mut points = Vec::with_capacity(POINTS);
    for point in 0..POINTS {
        if observe(point as u64, POINTS as u64).is_break() {
            return Err(MetricsError::Interrupted);
        }
        let size = least + (n - least) * point / (POINTS - 1);
        points.push((size, distance(&random.choice(n as u32, size))?));
    }
    Ok(Infinity { distance: finite("the extrapolated Fréchet distance", at_zero(&points))?, points })
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
        let found = infinity(Against::Statistics(&reference), &generated, 0, &mut go_on).unwrap();
        let of_all = found.points[POINTS - 1];
        assert_eq!((of_all.0, found.points[0].0), (400, 40));
        assert!(found.distance.abs() < 0.3 * of_all.1, "{found:?}");
    }

    /// Fewer pictures than features: the same distances without a covariance.
    #[test]
    fn products_of_rows_give_the_same_distances() {
        let values: Vec<f32> = (0..60 * 50).map(|i| ((i * 7919 + i * i % 31) % 101) as f32 / 50.0).collect();
        let real = Features::new("real", &values[..25 * 50], 50).unwrap();
        let generated = Features::new("generated", &values[25 * 50..], 50).unwrap();
        let reference = Reference::new(Statistics::of(&real).unwrap()).unwrap();
        let mut go_on = |_, _| ControlFlow::Continue(());
        let by_rows = infinity(Against::Rows(&real), &generated, 3, &mut go_on).unwrap();
        let by_covariance = infinity(Against::Statistics(&reference), &generated, 3, &mut go_on).unwrap();
        for (a, b) in by_rows.points.iter().zip(&by_covariance.points) {
            assert!(a.0 == b.0 && (a.1 / b.1 - 1.0).abs() < 1e-6, "{a:?} {b:?}");
        }
    }
}
