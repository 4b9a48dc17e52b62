//! Whether a generator repeats training pictures: are its samples nearer to them than other real pictures are?
//!
//! For each sample the nearest training picture is found, and for each held-out real picture likewise. A share of 1 % of the held-out
//! ones is nearer than their own 1 % quantile; of samples that are new pictures of the same kind no more should be.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use dcgan_baselines::neighbours::{Metric, NearestNeighbours, Neighbour};

use crate::bootstrap::{Interval, quantile};
use crate::error::{Result, finite, setting};
use crate::features::Features;

/// Bars of the histograms.
const BARS: usize = 40;
/// The quantiles that tell a distribution.
const SHARES: [f64; 9] = [0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0];

/// A training picture near a sample.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Near {
    /// The distance.
    pub distance: f64,
    /// Number of the training picture.
    pub row: u64,
}

/// Finds the training picture nearest to each of some rows, while training pictures come block by block.
#[derive(Debug)]
pub struct NearestTraining<'a> {
    nearest: NearestNeighbours<'a>,
    n_rows: usize,
    n_columns: usize,
}

impl<'a> NearestTraining<'a> {
    /// Of these rows.
    ///
    /// # Errors
    /// As of [`NearestNeighbours::new`].
    pub fn of(rows: &Features<'a>) -> Result<Self> {
        let nearest = NearestNeighbours::new(rows.values(), rows.n_columns(), 1, Metric::Euclidean)?;
        Ok(Self { nearest, n_rows: rows.n_rows(), n_columns: rows.n_columns() })
    }

    /// Adds training rows, one after another.
    ///
    /// # Errors
    /// As of [`NearestNeighbours::add`].
    pub fn add(&mut self, rows: &[f32]) -> Result<()> {
        Ok(self.nearest.add(rows, &vec![0; rows.len() / self.n_columns])?)
    }

    /// Training rows so far, and the nearest of each row, to be kept.
    pub fn so_far(&self) -> (u64, &[Vec<Neighbour>]) {
        self.nearest.found()
    }

    /// Goes on from what [`Self::so_far`] gave of the same rows.
    ///
    /// # Errors
    /// As of [`NearestNeighbours::go_on_from`].
    pub fn go_on_from(&mut self, n_training: u64, nearest: Vec<Vec<Neighbour>>) -> Result<()> {
        Ok(self.nearest.go_on_from(n_training, nearest)?)
    }

    /// The nearest so far of each row; nothing before the first training row.
    pub fn found(&self) -> Vec<Near> {
        let found = |row: usize| self.nearest.neighbours(row).first();
        let near =
            |row: usize| found(row).map(|near| Near { distance: self.nearest.distance(near), row: near.row });
        (0..self.n_rows).filter_map(near).collect()
    }
}

/// How near samples are to training pictures, beside held-out ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Memorisation {
    /// Samples.
    pub n_samples: usize,
    /// Held-out pictures.
    pub n_held_out: usize,
    /// The quantile of the held-out ones' distances that samples are compared with, such as 0.01.
    pub quantile: f64,
    /// The distance at it.
    pub threshold: f64,
    /// Samples nearer than that.
    pub n_nearer: usize,
    /// Their share.
    pub share: f64,
    /// Its 95 % interval by bootstrap of samples and of held-out pictures.
    pub interval: Interval,
    /// Quantiles of the distances of samples and of held-out pictures: share, samples, held-out.
    pub distances: Vec<[f64; 3]>,
    /// Shares of samples and of held-out pictures in bars of one width from 0 to the largest distance: its end, samples, held-out.
    pub histogram: Vec<[f64; 3]>,
}

/// Compares distances of samples with those of held-out pictures, at least one each.
///
/// # Errors
/// [`MetricsError::Setting`](crate::MetricsError::Setting) for no samples, no held-out pictures or a quantile that is not between
/// 0 and 1.
pub fn memorisation(
    samples: &[Near],
    held_out: &[Near],
    at: f64,
    (replicates, seed): (usize, u64),
) -> Result<Memorisation> {
    for (key, set) in [("samples", samples), ("held_out", held_out)] {
        if set.is_empty() {
            return Err(setting(key, "at least one picture", 0));
        }
    }
    if !(at > 0.0 && at < 1.0) {
        return Err(setting("quantile", "a number between 0 and 1", at));
    }
    let sorted = |set: &[Near]| {
        let mut distances: Vec<f64> = set.iter().map(|near| near.distance).collect();
        distances.sort_by(f64::total_cmp);
        distances
    };
    let (samples, held_out) = (sorted(samples), sorted(held_out));
    for (figure, set) in [("a sample's distance", &samples), ("a held-out picture's distance", &held_out)] {
        set.last().map_or(Ok(0.0), |largest| finite(figure, *largest))?;
    }
    let nearer = |samples: &[f64], threshold: f64| samples.partition_point(|distance| *distance < threshold);
    let threshold = quantile(&held_out, at);
    let n_nearer = nearer(&samples, threshold);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut shares = Vec::with_capacity(replicates.max(1));
    for _ in 0..replicates.max(1) {
        let drawn = resampled(&held_out, &mut rng);
        let threshold = quantile(&drawn, at);
        // Of samples drawn again, as many are nearer as a binomial draw of their share.
        let share = nearer(&samples, threshold) as f64 / samples.len() as f64;
        let n = (0..samples.len()).filter(|_| rng.random::<f64>() < share).count();
        shares.push(n as f64 / samples.len() as f64);
    }
    shares.sort_by(f64::total_cmp);
    Ok(Memorisation {
        n_samples: samples.len(),
        n_held_out: held_out.len(),
        quantile: at,
        threshold,
        n_nearer,
        share: n_nearer as f64 / samples.len() as f64,
        interval: Interval { low: quantile(&shares, 0.025), high: quantile(&shares, 0.975) },
        distances: SHARES
            .map(|share| [share, quantile(&samples, share), quantile(&held_out, share)])
            .to_vec(),
        histogram: histogram(&samples, &held_out),
    })
}

/// As many values, drawn with replacement; sorted, as those they are drawn from.
fn resampled(sorted: &[f64], rng: &mut ChaCha8Rng) -> Vec<f64> {
    let mut counts = vec![0_u32; sorted.len()];
    (0..sorted.len()).for_each(|_| counts[rng.random_range(0..sorted.len())] += 1);
    let repeated = |(value, n): (&f64, &u32)| std::iter::repeat_n(*value, *n as usize);
    sorted.iter().zip(&counts).flat_map(repeated).collect()
}

fn histogram(samples: &[f64], held_out: &[f64]) -> Vec<[f64; 3]> {
    let largest = samples.last().copied().unwrap_or(0.0).max(held_out.last().copied().unwrap_or(0.0));
    let width = if largest > 0.0 { largest / BARS as f64 } else { 1.0 };
    let mut bars: Vec<[f64; 3]> = (1..=BARS).map(|bar| [bar as f64 * width, 0.0, 0.0]).collect();
    for (side, set) in [(1, samples), (2, held_out)] {
        for distance in set {
            bars[((distance / width) as usize).min(BARS - 1)][side] += 1.0 / set.len() as f64;
        }
    }
    bars
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of normal numbers (a sum of twelve uniforms), the same for a seed.
    fn normal(n: usize, d: usize, seed: u64) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..n * d).map(|_| (0..12).map(|_| rng.random::<f32>()).sum::<f32>() - 6.0).collect()
    }

    fn nearest(rows: &[f32], training: &[f32], d: usize) -> Vec<Near> {
        let mut found = NearestTraining::of(&Features::new("samples", rows, d).unwrap()).unwrap();
        training.chunks(700 * d).for_each(|block| found.add(block).unwrap());
        found.found()
    }

    #[test]
    fn planted_pictures_are_all_found_and_held_out_ones_stay_within_their_interval() {
        let d = 12;
        let (training, held_out) = (normal(2000, d, 0), normal(3000, d, 1));
        let held_out = nearest(&held_out, &training, d);
        // Half of the held-out pictures against the other half: 1 % are nearer than the 1 % quantile.
        let fresh = memorisation(&held_out[..1500], &held_out[1500..], 0.01, (500, 0)).unwrap();
        assert!(fresh.interval.low <= 0.01 && 0.01 <= fresh.interval.high, "{fresh:?}");
        // 100 of 10,000 samples are training pictures, every twentieth of them.
        let mut samples = normal(10_000, d, 2);
        for i in 0..100 {
            let from = &training[20 * i * d..][..d];
            samples[100 * i * d..][..d].copy_from_slice(from);
        }
        let near = nearest(&samples, &training, d);
        let found = memorisation(&near, &held_out, 0.01, (500, 0)).unwrap();
        let planted: Vec<usize> = (0..10_000)
            .filter(|row| near[*row].distance < found.threshold && row.is_multiple_of(100))
            .collect();
        assert_eq!(planted.len(), 100);
        assert!(planted.iter().all(|row| near[*row].distance == 0.0 && near[*row].row == *row as u64 / 5));
        // They are 1 % more than the 1 % that are so near by chance.
        assert!((0.015..0.025).contains(&found.share), "{found:?}");
        assert!(found.interval.low > 0.01 && found.n_nearer == (10_000.0 * found.share).round() as usize);
        let total: f64 = found.histogram.iter().map(|bar| bar[1]).sum();
        assert!((total - 1.0).abs() < 1e-9 && found.distances[0][1] == 0.0);
        let message = memorisation(&[], &held_out, 0.01, (5, 0)).unwrap_err().to_string();
        assert_eq!(message, "`samples`: expected at least one picture, found 0");
    }
}
