//! Intervals by bootstrap (Efron, 1979): how much a measure moves when its pictures are drawn again, with replacement.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::error::{MetricsError, Result, finite, setting};
use crate::features::{Features, check_pair};
use crate::frechet::{Reference, goes_by_products};
use crate::kernel::Observe;
use crate::moments::Statistics;
use crate::products::Products;

/// What holds 95 % of the replicates, or of a normal distribution of their standard deviation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Standard deviations on either side.
const WIDTH: f64 = 1.959_963_984_540_054;

/// The interval of a mean: from the 2.5 % to the 97.5 % quantile of the means of `replicates` draws of as many values.
pub fn of_mean(values: &[f64], replicates: usize, seed: u64) -> Interval {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut mean = || {
        let sum: f64 = values.iter().map(|_| values[rng.random_range(0..values.len())]).sum();
        sum / values.len() as f64
    };
    let mut means: Vec<f64> = (0..replicates.max(1)).map(|_| mean()).collect();
    means.sort_by(f64::total_cmp);
    Interval { low: quantile(&means, 0.025), high: quantile(&means, 0.975) }
}

/// The quantile of sorted values, at least one, between two by their distance from it (NumPy's "linear").
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let (below, rest) = (at.floor() as usize, at.fract());
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + rest * (sorted[above] - sorted[below])
}

/// The interval of the Fréchet distance `distance` of two sets: ± 1.96 standard deviations of the distances of `replicates` pairs of
/// sets drawn from both. Their mean is no use, as sets with rows drawn twice lie further apart.
///
/// # Errors
/// [`MetricsError::Rows`] for rows that do not fit; [`MetricsError::Setting`] for fewer than two replicates;
/// [`MetricsError::Interrupted`].
pub fn of_frechet(
    (real, generated): (&Features<'_>, &Features<'_>),
    distance: f64,
    (replicates, seed): (usize, u64),
    observe: Observe<'_>,
) -> Result<Interval> {
    check_pair(real, generated, 2)?;
    if replicates < 2 {
        return Err(setting("bootstrap", "at least 2", replicates));
    }
    let products =
        goes_by_products(real, generated).then(|| Products::new(real, generated, true)).transpose()?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut found = Vec::with_capacity(replicates);
    for done in 0..replicates {
        if observe(done as u64, replicates as u64).is_break() {
            return Err(MetricsError::Interrupted);
        }
        let mut draw = |n: usize| (0..n).map(|_| rng.random_range(0..n as u32)).collect::<Vec<u32>>();
        let (a, b) = (draw(real.n_rows()), draw(generated.n_rows()));
        found.push(match &products {
            Some(products) => products.frechet(Some([&a, &b]))?.distance,
            None => {
                let statistics = |set: &Features<'_>, rows: &[u32]| {
                    Statistics::of(&Features::new("drawn", &set.gather(rows), set.n_columns())?)
                };
                Reference::new(statistics(real, &a)?)?.distance(&statistics(generated, &b)?)?.distance
            }
        });
    }
    let mean = found.iter().sum::<f64>() / replicates as f64;
    let variance = found.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (replicates - 1) as f64;
    let half = finite("the interval of the Fréchet distance", WIDTH * variance.sqrt())?;
    Ok(Interval { low: (distance - half).max(0.0), high: distance + half })
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::frechet::frechet;

    #[test]
    fn the_interval_of_a_share_is_the_binomials() {
        let values: Vec<f64> = (0..1000).map(|i| f64::from(u8::from(i % 10 < 3))).collect();
        let Interval { low, high } = of_mean(&values, 4000, 0);
        // 0.3 ± 1.96·√(0.3·0.7/1000) = 0.3 ± 0.0284
        assert!((low - 0.2716).abs() < 3e-3 && (high - 0.3284).abs() < 3e-3, "{low} {high}");
        assert_eq!(of_mean(&values, 100, 1), of_mean(&values, 100, 1));
    }

    #[test]
    fn quantiles_are_numpys() {
        // numpy.quantile([1, 2, 4, 8], [0, .1, .5, .9, 1]) -> 1, 1.3, 3, 6.8, 8
        let values = [1.0, 2.0, 4.0, 8.0];
        for (share, expected) in [(0.0, 1.0), (0.1, 1.3), (0.5, 3.0), (0.9, 6.8), (1.0, 8.0)] {
            assert!((quantile(&values, share) - expected).abs() < 1e-12);
        }
    }

    /// Normal rows whose means are 2 apart in each of `d` columns. The deviation of the distance over fresh sets is that of the interval.
    fn normal(n: usize, d: usize, mean: f32, seed: u64) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // A sum of twelve uniforms has variance 1.
        (0..n * d).map(|_| mean - 6.0 + (0..12).map(|_| rng.random::<f32>()).sum::<f32>()).collect()
    }

    #[test]
    fn the_interval_of_a_frechet_distance_is_as_wide_as_it_varies() {
        for d in [4, 90] {
            let mut distances = Vec::new();
            let mut widths = Vec::new();
            for seed in 0..12 {
                let (a, b) = (normal(80, d, 0.0, 2 * seed), normal(80, d, 2.0, 2 * seed + 1));
                let pair =
                    (Features::new("real", &a, d).unwrap(), Features::new("generated", &b, d).unwrap());
                let distance = frechet(&pair.0, &pair.1).unwrap().distance;
                let mut go_on = |_, _| ControlFlow::Continue(());
                let found = of_frechet((&pair.0, &pair.1), distance, (40, seed), &mut go_on).unwrap();
                distances.push(distance);
                widths.push((found.high - found.low) / (2.0 * WIDTH));
            }
            let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
            let of_all = mean(&distances);
            let deviation = mean(&distances.iter().map(|x| (x - of_all).powi(2)).collect::<Vec<_>>()).sqrt();
            let ratio = mean(&widths) / deviation;
            assert!((0.5..2.0).contains(&ratio), "{d}: {ratio}");
        }
    }
}
