//! The Inception Score (Salimans et al., "Improved techniques for training GANs", 2016), as torch-fidelity has it.
//!
//! exp of the mean divergence of p(y|x) from its mean over the pictures, in each of 10 parts of the shuffled pictures; mean and standard
//! deviation over the parts. It looks at no real picture.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Result, finite, setting};
use crate::features::Features;
use crate::numpy_random::RandomState;

/// How the pictures are cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InceptionScoreConfig {
    /// Parts.
    #[schemars(range(min = 1))]
    pub splits: usize,
    /// Whether pictures are shuffled before.
    pub shuffle: bool,
    /// Seed of the shuffling.
    pub seed: u32,
}

/// torch-fidelity's.
impl Default for InceptionScoreConfig {
    fn default() -> Self {
        Self { splits: 10, shuffle: true, seed: 2020 }
    }
}

/// A score: from 1, for pictures that are all alike or of which nothing is recognised, to the number of classes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct InceptionScore {
    /// Its mean over the parts.
    pub mean: f64,
    /// Its standard deviation over the parts (over their number, as NumPy's).
    pub deviation: f64,
    /// Parts.
    pub splits: usize,
}

/// The score of a network's logits, a row a picture.
///
/// # Errors
/// [`MetricsError::Setting`](crate::MetricsError::Setting) for no parts, or more parts than pictures.
pub fn inception_score(logits: &Features<'_>, config: &InceptionScoreConfig) -> Result<InceptionScore> {
    let (n, d, splits) = (logits.n_rows(), logits.n_columns(), config.splits);
    if splits == 0 || splits > n {
        return Err(setting("splits", format!("from 1 to the number of pictures, {n}"), splits));
    }
    let order = match config.shuffle {
        true => RandomState::new(config.seed).permutation(n as u32),
        false => (0..n as u32).collect(),
    };
    let score = |rows: &[u32]| {
        let (mut of_log, mut mean) = (0.0, vec![0.0; d]);
        for row in rows {
            let row = &logits.values()[*row as usize * d..][..d];
            let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let less = |value: &f32| f64::from(*value) - f64::from(largest);
            let log_sum = row.iter().map(|value| less(value).exp()).sum::<f64>().ln();
            for (value, mean) in row.iter().zip(&mut mean) {
                let log_p = less(value) - log_sum;
                let p = log_p.exp();
                of_log += p * log_p;
                *mean += p;
            }
        }
        let n = rows.len() as f64;
        // Where no picture has a class, it adds nothing: 0·log 0.
        let of_mean: f64 = mean.iter().filter(|sum| **sum > 0.0).map(|sum| sum * (sum / n).ln()).sum();
        ((of_log - of_mean) / n).exp()
    };
    let scores: Vec<f64> =
        (0..splits).map(|part| score(&order[part * n / splits..(part + 1) * n / splits])).collect();
    let mean = scores.iter().sum::<f64>() / splits as f64;
    let variance = scores.iter().map(|score| (score - mean) * (score - mean)).sum::<f64>() / splits as f64;
    let deviation = finite("the deviation of the Inception Score", variance.sqrt())?;
    Ok(InceptionScore { mean: finite("the Inception Score", mean)?, deviation, splits })
}

#[cfg(test)]
mod tests {
    use super::*;

    // import numpy as np, torch; from torch_fidelity.metric_isc import isc_features_to_metric
    // i = np.arange(103 * 6)
    // x = torch.from_numpy(((i * 7919 + i * i % 31) % 101).astype('f4').reshape(103, 6) / np.float32(20))
    // print(isc_features_to_metric(x), isc_features_to_metric(x, 4, False))
    #[test]
    fn it_is_torch_fidelitys() {
        let values: Vec<f32> = (0..103 * 6).map(|i| ((i * 7919 + i * i % 31) % 101) as f32 / 20.0).collect();
        let logits = Features::new("generated", &values, 6).unwrap();
        let close = |config: &InceptionScoreConfig, expected: [f64; 2]| {
            let found = inception_score(&logits, config).unwrap();
            assert!((found.mean - expected[0]).abs() < 1e-9, "{found:?}");
            assert!((found.deviation - expected[1]).abs() < 1e-9, "{found:?}");
        };
        close(&InceptionScoreConfig::default(), [1.6788919431848548, 0.11938291488182569]);
        close(
            &InceptionScoreConfig { splits: 4, shuffle: false, seed: 0 },
            [1.7830627045297813, 0.034909313001676004],
        );
        let many = InceptionScoreConfig { splits: 104, ..Default::default() };
        let message = inception_score(&logits, &many).unwrap_err().to_string();
        assert_eq!(message, "`splits`: expected from 1 to the number of pictures, 103, found 104");
    }

    #[test]
    fn its_ends_are_1_and_the_number_of_classes() {
        let plain = InceptionScoreConfig { splits: 1, ..Default::default() };
        let same = [0.3_f32, 1.0, -2.0].repeat(9);
        let score = |values: &[f32]| {
            inception_score(&Features::new("generated", values, 3).unwrap(), &plain).unwrap().mean
        };
        assert!((score(&same) - 1.0).abs() < 1e-12);
        let sure = [900.0_f32, 0.0, 0.0, 0.0, 900.0, 0.0, 0.0, 0.0, 900.0].repeat(3);
        assert!((score(&sure) - 3.0).abs() < 1e-12);
    }
}
