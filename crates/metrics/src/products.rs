//! Fréchet distances of few rows, by products of rows in place of covariances.
//!
//! With A the rows of one set less their mean, over √(n − 1), and B those of the other, Σ₁ = AᵀA and Σ₂ = BᵀB; the eigenvalues of
//! Σ₁Σ₂ other than 0 are those of (ABᵀ)(ABᵀ)ᵀ, so that tr (Σ₁Σ₂)^½ is the sum of the singular values of ABᵀ, (N, M). Resampled rows
//! need no new products, which makes a bootstrap cheap.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, get_global_parallelism};

use crate::error::{MetricsError, Result};
use crate::features::Features;
use crate::parts::{Frechet, Roots};

/// Products of the rows of two sets less one common vector.
pub(crate) struct Products {
    /// Of real rows with generated ones.
    across: Mat<f64>,
    /// Within each set: all of them, or only those of each row with itself.
    within: [Within; 2],
    /// |μ₁ − μ₂|² of all rows.
    between_means: f64,
}

struct Within {
    squares: Vec<f64>,
    all: Option<Mat<f64>>,
    /// |mean|² of all rows less the common vector.
    of_mean: f64,
}

/// Which rows of each set, some of them maybe several times.
pub(crate) type Drawn<'a> = [&'a [u32]; 2];

impl Products {
    /// Multiplies; `for_draws` also the rows of each set among each other, which [`Self::frechet`] of drawn rows takes.
    pub(crate) fn new(real: &Features<'_>, generated: &Features<'_>, for_draws: bool) -> Result<Self> {
        let d = real.n_columns();
        let mut means = [real, generated].map(mean);
        // Near both sets, so that large means do not cancel digits.
        let common: Vec<f64> = (0..d).map(|column| 0.5 * (means[0][column] + means[1][column])).collect();
        means
            .iter_mut()
            .for_each(|mean| mean.iter_mut().zip(&common).for_each(|(mean, common)| *mean -= common));
        let rows = [real, generated].map(|set| {
            let less = |row: &[f32]| -> Vec<f64> {
                row.iter().zip(&common).map(|(value, common)| f64::from(*value) - common).collect()
            };
            set.values().chunks_exact(d).flat_map(less).collect::<Vec<f64>>()
        });
        let matrices = [(&rows[0], real), (&rows[1], generated)]
            .map(|(rows, set)| MatRef::from_row_major_slice(rows, set.n_rows(), d));
        let within = [0, 1].map(|side| Within {
            squares: rows[side].chunks_exact(d).map(|row| row.iter().map(|x| x * x).sum()).collect(),
            all: for_draws.then(|| product(matrices[side], matrices[side])),
            of_mean: means[side].iter().map(|x| x * x).sum(),
        });
        let between_means = means[0].iter().zip(&means[1]).map(|(a, b)| (a - b) * (a - b)).sum();
        Ok(Self { across: product(matrices[0], matrices[1]), within, between_means })
    }

    /// The distance of all rows, or of drawn ones.
    pub(crate) fn frechet(&self, drawn: Option<Drawn<'_>>) -> Result<Frechet> {
        let all: [Vec<u32>; 2] = [self.across.nrows(), self.across.ncols()].map(|n| (0..n as u32).collect());
        let rows = drawn.unwrap_or([&all[0], &all[1]]);
        let n = rows.map(|rows| rows.len() as f64);
        let mut across = Mat::from_fn(rows[0].len(), rows[1].len(), |i, j| {
            self.across[(rows[0][i] as usize, rows[1][j] as usize)]
        });
        let of_means = centre(&mut across);
        let of_mean = [0, 1].map(|side| match (&drawn, &self.within[side].all) {
            (Some(_), Some(all)) => mean_of(all, rows[side]),
            _ => self.within[side].of_mean,
        });
        let between_means = match drawn {
            Some(_) => of_mean[0] + of_mean[1] - 2.0 * of_means,
            None => self.between_means,
        };
        let traces = [0, 1].map(|side| {
            let sum: f64 = rows[side].iter().map(|row| self.within[side].squares[*row as usize]).sum();
            (sum - n[side] * of_mean[side]) / (n[side] - 1.0)
        });
        let values = across.singular_values().map_err(|_| MetricsError::Eigenvalues { of: "joint" })?;
        let sum = values.iter().sum::<f64>() / ((n[0] - 1.0) * (n[1] - 1.0)).sqrt();
        Frechet::new(between_means, traces, &Roots { sum, ..Roots::default() })
    }
}

/// Takes the means of rows and columns from a matrix; gives the mean of all.
fn centre(matrix: &mut Mat<f64>) -> f64 {
    let (n, m) = matrix.shape();
    let mut of_rows = vec![0.0; n];
    for j in 0..m {
        let mut sum = 0.0;
        for i in 0..n {
            of_rows[i] += matrix[(i, j)];
            sum += matrix[(i, j)];
        }
        (0..n).for_each(|i| matrix[(i, j)] -= sum / n as f64);
    }
    let mean = of_rows.iter().sum::<f64>() / (n as f64 * m as f64);
    for j in 0..m {
        (0..n).for_each(|i| matrix[(i, j)] -= of_rows[i] / m as f64 - mean);
    }
    mean
}

/// |mean|² of rows, from their products.
fn mean_of(products: &Mat<f64>, rows: &[u32]) -> f64 {
    let mut counts = vec![0.0; products.nrows()];
    rows.iter().for_each(|row| counts[*row as usize] += 1.0);
    let column = |j: usize| (0..counts.len()).map(|i| counts[i] * products[(i, j)]).sum::<f64>();
    let sum: f64 = (0..counts.len()).filter(|j| counts[*j] > 0.0).map(|j| counts[j] * column(j)).sum();
    sum / (rows.len() as f64).powi(2)
}

fn mean(set: &Features<'_>) -> Vec<f64> {
    let mut mean = vec![0.0; set.n_columns()];
    for row in set.values().chunks_exact(set.n_columns()) {
        mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    mean.iter_mut().for_each(|sum| *sum /= set.n_rows() as f64);
    mean
}

fn product(left: MatRef<'_, f64>, right: MatRef<'_, f64>) -> Mat<f64> {
    let mut out = Mat::zeros(left.nrows(), right.nrows());
    matmul(out.as_mut(), Accum::Replace, left, right.transpose(), 1.0, get_global_parallelism());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frechet::frechet;

    #[test]
    fn drawn_rows_are_as_a_set_of_their_own() {
        let values: Vec<f32> = (0..60 * 30).map(|i| ((i * 7919 + i * i % 31) % 101) as f32 / 50.0).collect();
        let real = Features::new("real", &values[..35 * 30], 30).unwrap().first(20);
        let generated = Features::new("generated", &values[35 * 30..], 30).unwrap();
        let rows: [Vec<u32>; 2] = [vec![0, 0, 3, 7, 7, 7, 12, 19], vec![1, 2, 2, 9, 24, 24]];
        let products = Products::new(&real, &generated, true).unwrap();
        let drawn = products.frechet(Some([&rows[0], &rows[1]])).unwrap();
        let (a, b) = (real.gather(&rows[0]), generated.gather(&rows[1]));
        let [a, b] = [&a, &b].map(|values| Features::new("real", values, 30).unwrap());
        let expected = frechet(&a, &b).unwrap();
        assert!((drawn.distance / expected.distance - 1.0).abs() < 1e-9, "{drawn:?} {expected:?}");
        assert!((drawn.between_means / expected.between_means - 1.0).abs() < 1e-9);
    }
}
