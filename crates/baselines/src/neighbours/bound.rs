//! How far a distance by a product of f32 may be off, so that no neighbour is passed over for its rounding.
//!
//! A product of n terms summed one after another, each rounded once, is off by at most γ·|a|·|b| with γ = n·u/(1 − n·u) and
//! u = 2⁻²⁴ (Higham, *Accuracy and Stability of Numerical Algorithms*, section 3.1). The scores of a tile are compared with a
//! limit that is that much higher than the distance of the last neighbour so far; a row whose score is not above it is measured
//! again in f64, and that alone decides.

use super::distance::Metric;

/// Unit roundoff of f32.
const U: f64 = 0.5 * f32::EPSILON as f64;
/// Beyond this and its inverse squares leave f32's range: then every row is measured in f64.
const LARGEST: f64 = 1e36;
/// For what the bounds leave out: squares of u, and the rounding of f64.
const SAFETY: f64 = 1.05;

/// The limit for the scores of rows whose |a| is from `shortest` to `longest`, or 0, for a test row of length `norm`: all those
/// whose distance may be at most `last` have a score that is not above it.
///
/// The score of Euclidean distances is |a|² − 2·a·b, that of cosine distances −a·b/|a|. `last` is |a − b|² or
/// 1 − a·b/(|a|·|b|).
pub(super) fn limit(
    metric: Metric,
    last: f64,
    norm: f64,
    [shortest, longest]: [f64; 2],
    n_columns: usize,
) -> f32 {
    let n = n_columns as f64;
    let gamma = n * U / (1.0 - n * U);
    // What is lost below the smallest f32.
    let lost = (n + 2.0) * f64::from(f32::MIN_POSITIVE);
    let (limit, margin) = match metric {
        Metric::Euclidean => {
            let (square, product) = (longest * longest, longest * norm);
            (last - norm * norm, (2.0 * gamma + 3.0 * U) * product + 2.0 * U * square + lost)
        }
        // Two more roundings: of 1/|a|, and of the product with it.
        Metric::Cosine => ((last - 1.0) * norm, (gamma + 3.0 * U) * norm + lost / shortest.min(1.0)),
    };
    let is_within = |length: f64| (1.0 / LARGEST..LARGEST).contains(&(length * length));
    let is_safe = n * U < 0.1 && is_within(longest) && is_within(shortest) && norm * norm < LARGEST;
    let limit = limit + SAFETY * margin;
    if is_safe && limit.is_finite() { (limit as f32).next_up() } else { f32::INFINITY }
}
