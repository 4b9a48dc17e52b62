//! What a Fréchet distance is made of.

use serde::{Deserialize, Serialize};

use crate::error::{Result, finite};

/// A Fréchet distance and what it is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Frechet {
    /// The distance (squared, as it is printed everywhere): 0 or a little more for equal sets.
    pub distance: f64,
    /// |μ₁ − μ₂|².
    pub between_means: f64,
    /// tr Σ₁ of the real set.
    pub real_trace: f64,
    /// tr Σ₂ of the generated set.
    pub generated_trace: f64,
    /// tr (Σ₁Σ₂)^½.
    pub root_trace: f64,
    /// The sum of the roots of what eigenvalues are below 0, without the minus: the imaginary part that rounding gives the root. Near
    /// 0 beside `root_trace`.
    pub imaginary: f64,
    /// Eigenvalues below 0.
    pub n_negative: usize,
}

impl Frechet {
    pub(crate) fn new(between_means: f64, [real, generated]: [f64; 2], roots: &Roots) -> Result<Self> {
        let distance = between_means + real + generated - 2.0 * roots.sum;
        Ok(Self {
            distance: finite("the Fréchet distance", distance)?,
            between_means,
            real_trace: real,
            generated_trace: generated,
            root_trace: roots.sum,
            imaginary: finite("the imaginary part of the Fréchet distance's root", roots.imaginary)?,
            n_negative: roots.n_negative,
        })
    }
}

/// The roots of eigenvalues.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Roots {
    pub(crate) sum: f64,
    pub(crate) imaginary: f64,
    pub(crate) n_negative: usize,
}

impl FromIterator<f64> for Roots {
    fn from_iter<T: IntoIterator<Item = f64>>(eigenvalues: T) -> Self {
        let mut roots = Self::default();
        for value in eigenvalues {
            // NaN is neither, and goes into the sum.
            if value < 0.0 {
                roots.imaginary += (-value).sqrt();
                roots.n_negative += 1;
            } else {
                roots.sum += value.sqrt();
            }
        }
        roots
    }
}
