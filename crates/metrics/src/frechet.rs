//! The Fréchet distance between two sets, as normal distributions by mean and covariance (Dowson and Landau, 1982).
//!
//! |μ₁ − μ₂|² + tr Σ₁ + tr Σ₂ − 2·tr (Σ₁Σ₂)^½. Of Inception-v3's pool3 features it is the FID (Heusel et al., "GANs trained by a
//! two time-scale update rule", 2017); of others it is not, and not called so.
//!
//! The trace of the root is Σ√λ over the eigenvalues of FᵀΣ₂F with FFᵀ = Σ₁, a symmetric matrix, where others take the root of the
//! product itself, which is not symmetric. Where both sets have fewer rows than features, it is the sum of the singular values of the
//! products of their rows instead: the same number, exact also where covariances have no full rank.

use std::path::Path;

use faer::{Mat, Side};

use crate::error::{MetricsError, Result};
use crate::features::{Features, check_pair};
use crate::moments::Statistics;
use crate::parts::Roots;
use crate::products::Products;

pub use crate::parts::Frechet;

/// How far below 0 an eigenvalue of a covariance may come by rounding, as a share of the largest: what f32 leaves.
const NEGATIVE: f64 = 1e-5;

/// The statistics of a real set, made ready to be compared with many others.
#[derive(Debug, Clone)]
pub struct Reference {
    statistics: Statistics,
    /// F with FFᵀ = Σ: eigenvectors, each times the root of its eigenvalue.
    factor: Mat<f64>,
}

impl Reference {
    /// Takes the eigenvalues and eigenvectors of the covariance.
    ///
    /// # Errors
    /// [`MetricsError::Eigenvalues`]; [`MetricsError::Indefinite`] for a matrix that is no covariance.
    pub fn new(statistics: Statistics) -> Result<Self> {
        let of = "real";
        let found = statistics.covariance.self_adjoint_eigen(Side::Lower);
        let found = found.map_err(|_| MetricsError::Eigenvalues { of })?;
        let (vectors, values) = (found.U(), found.S().column_vector());
        let [smallest, largest] =
            values.iter().fold([0.0_f64; 2], |[least, most], value| [value.min(least), value.max(most)]);
        let tolerance = NEGATIVE * largest;
        if smallest < -tolerance {
            let expected = format!(
                "no eigenvalue below -{tolerance:.3e}, what rounding leaves beside the largest, {largest:.3e}"
            );
            return Err(MetricsError::Indefinite { of, expected, found: format!("{smallest:.3e}") });
        }
        let factor = Mat::from_fn(vectors.nrows(), vectors.ncols(), |row, column| {
            vectors[(row, column)] * values[column].max(0.0).sqrt()
        });
        Ok(Self { statistics, factor })
    }

    /// Of a statistics file.
    ///
    /// # Errors
    /// As of [`Statistics::read`] and [`Self::new`], naming the file.
    pub fn read(path: &Path) -> Result<Self> {
        Self::new(Statistics::read(path)?).map_err(|error| match error {
            MetricsError::Indefinite { expected, found, .. } => MetricsError::Member {
                path: path.to_owned(),
                member: "sigma.npy".to_owned(),
                expected: format!("a covariance, with {expected}"),
                found,
            },
            other => other,
        })
    }

    /// The statistics.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// The distance of a generated set.
    ///
    /// # Errors
    /// [`MetricsError::Rows`] for another number of features; [`MetricsError::Eigenvalues`].
    pub fn distance(&self, generated: &Statistics) -> Result<Frechet> {
        let real = &self.statistics;
        if real.n_columns() != generated.n_columns() {
            return Err(MetricsError::Rows {
                side: "generated",
                expected: format!("{} features, as the real set has", real.n_columns()),
                found: generated.n_columns().to_string(),
            });
        }
        let product = self.factor.transpose() * (&generated.covariance * &self.factor);
        let values = product.self_adjoint_eigenvalues(Side::Lower);
        let values = values.map_err(|_| MetricsError::Eigenvalues { of: "joint" })?;
        let steps = real.mean.iter().zip(&generated.mean).map(|(a, b)| (a - b) * (a - b));
        let roots: Roots = values.into_iter().collect();
        Frechet::new(steps.sum(), [real.trace(), generated.trace()], &roots)
    }
}

/// The distance between two sets of rows, by the way that costs less; at least two rows each.
///
/// # Errors
/// [`MetricsError::Rows`], [`MetricsError::Eigenvalues`].
pub fn frechet(real: &Features<'_>, generated: &Features<'_>) -> Result<Frechet> {
    check_pair(real, generated, 2)?;
    match goes_by_products(real, generated) {
        true => Products::new(real, generated, false)?.frechet(None),
        false => Reference::new(Statistics::of(real)?)?.distance(&Statistics::of(generated)?),
    }
}

/// Whether products of rows are fewer than those of features.
pub(crate) fn goes_by_products(real: &Features<'_>, generated: &Features<'_>) -> bool {
    are_few([real, generated].map(Features::n_rows), real.n_columns())
}

fn are_few(n_rows: [usize; 2], n_columns: usize) -> bool {
    n_rows.iter().all(|n| *n < n_columns)
}

/// What a distance costs, about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// Memory beside the features.
    pub bytes: f64,
    /// Operations: 2·10¹⁰ take about a second.
    pub operations: f64,
}

impl Cost {
    /// Of a distance between so many pictures of `n_columns` features; none of the real ones where there is a statistics file.
    pub fn of(n_real: Option<usize>, n_generated: usize, n_columns: usize) -> Self {
        let [n, m, d] = [n_real.unwrap_or(0), n_generated, n_columns].map(|n| n as f64);
        let is_small = n_real.is_some_and(|n_real| are_few([n_real, n_generated], n_columns));
        match is_small {
            // Rows in f64, their products and a copy to be decomposed, and those within each set for a bootstrap.
            true => Self {
                bytes: 8.0 * ((n + m) * d + 4.0 * n * m + n * n + m * m),
                operations: 4.0 * n * m * n.min(m),
            },
            // Both covariances, one's root, and what the eigenvalues take.
            false => Self { bytes: 8.0 * MATRICES * d * d, operations: (n + m) * d * d + 12.0 * d * d * d },
        }
    }
}

/// Matrices of (D, D) in memory at once, at most.
const MATRICES: f64 = 7.0;

/// What to say where a set has fewer pictures than features: its covariance has no full rank, so that the distance is
/// too large by an amount that depends on the number of pictures.
pub fn rank_warning(side: &str, n_rows: u64, n_columns: usize) -> Option<String> {
    (n_rows <= n_columns as u64).then(|| {
        format!(
            "the {side} set has {n_rows} pictures, which are not more than its {n_columns} features: its covariance has a rank of \
             at most {}, and the Fréchet distance is too large; compare it only with distances of as many pictures",
            n_rows.saturating_sub(1)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(n: usize, d: usize, seed: usize) -> Vec<f32> {
        (0..n * d).map(|i| (((i + seed) * 7919 + (i * i + seed) % 31) % 101) as f32 / 50.0).collect()
    }

    fn distance(a: &[f32], b: &[f32], d: usize) -> f64 {
        let set = |values| Features::new("real", values, d).unwrap();
        frechet(&set(a), &set(b)).unwrap().distance
    }

    // import numpy as np; from pytorch_fid.fid_score import calculate_frechet_distance
    // def rows(n, d, seed):
    //     i = np.arange(n * d)
    //     return ((((i + seed) * 7919 + (i * i + seed) % 31) % 101).astype('f4') / np.float32(50)).reshape(n, d).astype('f8')
    // s = lambda x: (x.mean(0), np.cov(x, rowvar=False))
    // print(calculate_frechet_distance(*s(rows(60, 5, 0)), *s(rows(50, 5, 3) * 1.5)))
    // print(calculate_frechet_distance(*s(rows(9, 20, 0)), *s(rows(12, 20, 3))))  # by eigenvalues of the product: see below
    // a, b = rows(9, 20, 0), rows(12, 20, 3)
    // A, B = (a - a.mean(0)) / 8 ** .5, (b - b.mean(0)) / 11 ** .5
    // m = a.mean(0) - b.mean(0)
    // print(m @ m + (A * A).sum() + (B * B).sum() - 2 * np.linalg.svd(A @ B.T, compute_uv=False).sum())
    #[test]
    fn it_is_pytorch_fids() {
        let scaled: Vec<f32> = rows(50, 5, 3).iter().map(|value| 1.5 * value).collect();
        let found = distance(&rows(60, 5, 0), &scaled, 5);
        assert!((found / 1.6463816450258175 - 1.0).abs() < 1e-9, "{found}");
        let found = distance(&rows(9, 20, 0), &rows(12, 20, 3), 20);
        assert!((found / 4.570723128201317 - 1.0).abs() < 1e-9, "{found}");
    }

    #[test]
    fn both_ways_give_one_number_and_equal_sets_none() {
        let (a, b) = (rows(30, 40, 0), rows(25, 40, 5));
        let statistics =
            |values: &[f32]| Statistics::of(&Features::new("real", values, 40).unwrap()).unwrap();
        let by_covariance = Reference::new(statistics(&a)).unwrap().distance(&statistics(&b)).unwrap();
        let off = by_covariance.distance / distance(&a, &b, 40) - 1.0;
        // Eigenvalues that are 0 come out as 1e-16 of the largest, whose roots are 1e-8 of it.
        assert!(off.abs() < 1e-6, "{off}");
        assert!(by_covariance.imaginary < 1e-6 * by_covariance.root_trace);
        assert!(distance(&a, &a, 40).abs() < 1e-9);
        let many = rows(500, 8, 1);
        assert!(distance(&many, &many, 8).abs() < 1e-9);
    }

    #[test]
    fn too_few_pictures_are_warned_of() {
        assert_eq!(rank_warning("real", 11, 10), None);
        let warning = rank_warning("generated", 10, 10).unwrap();
        assert!(
            warning.contains("the generated set has 10 pictures") && warning.contains("rank of at most 9")
        );
    }

    /// Finite features whose figures are not: an error by the figure's name, as JSON has no number for it.
    #[test]
    fn figures_that_overflow_are_refused_by_name() {
        use std::ops::ControlFlow;

        use crate::kernel::{KernelConfig, kernel_distance};
        use crate::prdc::prdc;

        let huge: Vec<f32> = (0..40).map(|i| if i % 3 == 0 { 3e38 } else { -1e36 * i as f32 }).collect();
        let mut go_on = |_, _| ControlFlow::Continue(());
        let real = Features::new("real", &huge, 4).unwrap();
        let generated = Features::new("generated", &huge[4..], 4).unwrap();
        let message = kernel_distance(&real, &generated, &KernelConfig::default(), &mut go_on).unwrap_err();
        let message = message.to_string();
        assert!(message.starts_with("the kernel distance: expected a finite number, found "), "{message}");
        // In f64 these are no harm.
        assert!(frechet(&real, &generated).unwrap().distance.is_finite());
        assert!(prdc(&real, &generated, 2, (0, 0), &mut go_on).unwrap().precision.is_finite());
        // The numbers of a file may be of any size.
        let of = |scale: f64| Statistics {
            mean: vec![0.0, scale],
            covariance: Mat::from_fn(2, 2, |i, j| if i == j { 1.0 } else { 0.0 }),
            n_rows: None,
        };
        let message = Reference::new(of(0.0)).unwrap().distance(&of(1e200)).unwrap_err().to_string();
        assert!(
            message.starts_with("the Fréchet distance: expected a finite number, found inf"),
            "{message}"
        );
    }

    #[test]
    fn a_matrix_with_negative_eigenvalues_is_no_covariance() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        // Eigenvalues 3 and −1; positive variances, symmetric.
        let of = |beside: f64| Statistics {
            mean: vec![0.0; 2],
            covariance: Mat::from_fn(2, 2, |i, j| if i == j { 1.0 } else { beside }),
            n_rows: None,
        };
        of(2.0).write(&path).unwrap();
        let message = Reference::read(&path).unwrap_err().to_string();
        let expected = "a.npz: member `sigma.npy`: expected a covariance, with no eigenvalue below -3.000e-5, what rounding leaves \
                        beside the largest, 3.000e0, found -1.000e0";
        assert!(message.ends_with(expected), "{message}");
        // What f32 makes of one without full rank is one still.
        of(1.0 + 1e-6).write(&path).unwrap();
        assert_eq!(Reference::read(&path).unwrap().statistics().n_columns(), 2);
    }

    #[test]
    fn the_cost_is_known_before() {
        // 2·2000 rows of 49,152 numbers, and no covariance of 19 GB.
        let few = Cost::of(Some(2000), 2000, 49_152);
        assert!(few.bytes < 2e9, "{few:?}");
        assert!(Cost::of(None, 2000, 49_152).bytes > 6.0 * 19.3e9);
    }
}
