//! Shares with their uncertainty.

use serde::Serialize;

/// A share of `n_of` in `n`, with its 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Share {
    /// How many have the property.
    pub n_of: u64,
    /// Of how many.
    pub n: u64,
    /// `n_of / n`; 0 of 0 is 0.
    pub share: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// Of a normal distribution, 95 % lies within this many standard deviations.
const Z: f64 = 1.959_963_984_540_054;

impl Share {
    /// Wilson's score interval (1927): with p = k/n, (p + z²/2n ± z·√(p(1−p)/n + z²/4n²)) / (1 + z²/n).
    pub fn new(n_of: u64, n: u64) -> Self {
        if n == 0 {
            return Self { n_of, n, share: 0.0, low: 0.0, high: 1.0 };
        }
        let (p, n_f) = (n_of as f64 / n as f64, n as f64);
        let (middle, shrink) = (p + Z * Z / (2.0 * n_f), 1.0 + Z * Z / n_f);
        let half = Z * (p * (1.0 - p) / n_f + Z * Z / (4.0 * n_f * n_f)).sqrt();
        let (low, high) = ((middle - half) / shrink, (middle + half) / shrink);
        Self { n_of, n, share: p, low: low.max(0.0), high: high.min(1.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values from SciPy:
    /// ```python
    /// for k, n in ((0, 1000), (10, 1000), (995, 1000), (3, 7)):
    ///     print(binomtest(k, n).proportion_ci(method="wilson"))
    /// ```
    #[test]
    fn agrees_with_scipy() {
        let cases = [
            (0, 1000, 0.0, 0.0038267584855551234),
            (10, 1000, 0.00544075444552925, 0.018309468870314774),
            (995, 1000, 0.9883490446266248, 0.9978624644726755),
            (3, 7, 0.1582198552514697, 0.7495416354723428),
        ];
        for (k, n, low, high) in cases {
            let share = Share::new(k, n);
            assert!((share.low - low).abs() < 1e-9 && (share.high - high).abs() < 1e-9, "{share:?}");
        }
    }
}
