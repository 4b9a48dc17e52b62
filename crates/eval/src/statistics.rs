//! Mean and spread over repeated draws.

/// Half the width of the paper's intervals, in standard deviations (Table 2 reports mean ± 1.96·std).
pub const INTERVAL_DEVIATIONS: f64 = 1.96;

/// Arithmetic mean; 0 for an empty slice.
pub fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

/// Sample standard deviation (division by n − 1); 0 for fewer than two values.
///
/// The paper does not say which estimate it used; over its 100 draws the two differ by half a per cent.
pub fn std_dev(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let centre = mean(values);
    let squares: f64 = values.iter().map(|value| (value - centre).powi(2)).sum();
    (squares / (values.len() - 1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    // numpy: v = np.array([0.25, 0.5, 0.125, 0.75]); v.mean(), v.std(ddof=1)
    #[test]
    fn agrees_with_numpy() {
        let values = [0.25, 0.5, 0.125, 0.75];
        assert!((mean(&values) - 0.40625).abs() < 1e-15);
        assert!((std_dev(&values) - 0.277_169_472_826_043_15).abs() < 1e-12);
    }

    #[test]
    fn few_values_have_no_spread() {
        assert_eq!(mean(&[]), 0.0);
        assert_eq!(std_dev(&[0.3]), 0.0);
    }
}
