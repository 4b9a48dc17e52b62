//! Distances as they are compared in the end: of f64, in one order of summing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How near two rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// |a − b|.
    #[default]
    Euclidean,
    /// 1 − a·b/(|a|·|b|); 1 where one of them is 0.
    Cosine,
}

impl Metric {
    /// The name in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Euclidean => "euclidean",
            Self::Cosine => "cosine",
        }
    }
}

/// Sums that go on side by side, for speed; their number is the same on every machine, and so is the result.
const LANES: usize = 32;

/// Σ of `term` over the numbers of two rows.
#[inline(always)]
fn sum(a: &[f32], b: &[f32], term: impl Fn(f64, f64) -> f64) -> f64 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += term(f64::from(a[lane]), f64::from(b[lane]));
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| term(f64::from(*a), f64::from(*b))).sum();
    sums.iter().sum::<f64>() + rest
}

/// |a − b|².
pub(crate) fn squared(a: &[f32], b: &[f32]) -> f64 {
    dcgan_vectors::arch().dispatch(|| sum(a, b, |a, b| (a - b) * (a - b)))
}

/// a·b.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f64 {
    dcgan_vectors::arch().dispatch(|| sum(a, b, |a, b| a * b))
}
