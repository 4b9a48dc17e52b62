//! The kernel distance: the squared maximum mean discrepancy with (x·y/d + 1)³, unbiased.
//!
//! Of Inception-v3's pool3 features it is the KID (Bińkowski et al., "Demystifying MMD GANs", 2018). As torch-fidelity has it: the mean and
//! standard deviation over 100 subsets of 1000 pictures of each set, drawn by NumPy's generator from one seed, so that the subsets
//! are the same ones. Subsets as large as both sets are all of them, and need no drawing: then there is one number, without a deviation.

use std::ops::ControlFlow;

use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, Mat, MatRef, get_global_parallelism};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{MetricsError, Result, finite, setting};
use crate::features::{Features, check_pair};
use crate::numpy_random::RandomState;

/// Rows multiplied at a time.
const TILE: usize = 2048;

/// Told subsets done, and all; [`ControlFlow::Break`] asks to stop.
pub type Observe<'a> = &'a mut dyn FnMut(u64, u64) -> ControlFlow<()>;

/// Which subsets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KernelConfig {
    /// Subsets whose kernel distances are averaged.
    #[schemars(range(min = 1))]
    pub subsets: usize,
    /// Pictures of each set in a subset; all of both sets, once, where there are no more.
    #[schemars(range(min = 2))]
    pub subset_size: usize,
    /// Seed of the subsets.
    pub seed: u32,
}

/// torch-fidelity's.
impl Default for KernelConfig {
    fn default() -> Self {
        Self { subsets: 100, subset_size: 1000, seed: 2020 }
    }
}

/// A kernel distance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KernelDistance {
    /// Its mean over the subsets; about 0 for equal distributions, also a little below.
    pub mean: f64,
    /// Its standard deviation over the subsets (over their number, as NumPy's); none where all pictures were compared at once.
    pub deviation: Option<f64>,
    /// Subsets.
    pub subsets: usize,
    /// Pictures of each set in a subset.
    pub subset_size: [usize; 2],
}

/// The kernel distance of two sets.
///
/// # Errors
/// [`MetricsError::Rows`] for rows that do not fit or fewer than two; [`MetricsError::Setting`] for subsets of more pictures than one
/// of the sets has, but not both; [`MetricsError::Interrupted`].
pub fn kernel_distance(
    real: &Features<'_>,
    generated: &Features<'_>,
    config: &KernelConfig,
    observe: Observe<'_>,
) -> Result<KernelDistance> {
    check_pair(real, generated, 2)?;
    let n = [real.n_rows(), generated.n_rows()];
    let size = config.subset_size;
    if n.iter().all(|n| *n <= size) {
        let mean = between(real, generated)?;
        return Ok(KernelDistance { mean, deviation: None, subsets: 1, subset_size: n });
    }
    if size < 2 || config.subsets == 0 || n.iter().any(|n| *n < size) {
        let expected = format!("from 2 to the pictures of the smaller set, {}", n[0].min(n[1]));
        return Err(setting("subset_size", expected, size));
    }
    let mut random = RandomState::new(config.seed);
    let mut found = Vec::with_capacity(config.subsets);
    for done in 0..config.subsets {
        if observe(done as u64, config.subsets as u64).is_break() {
            return Err(MetricsError::Interrupted);
        }
        let (a, b) = (random.choice(n[0] as u32, size), random.choice(n[1] as u32, size));
        let (a, b) = (real.gather(&a), generated.gather(&b));
        let set = |values| Features::new("a subset's", values, real.n_columns());
        found.push(between(&set(&a)?, &set(&b)?)?);
    }
    let mean = found.iter().sum::<f64>() / found.len() as f64;
    let variance =
        found.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / found.len() as f64;
    Ok(KernelDistance {
        mean,
        deviation: Some(finite("the deviation of the kernel distance", variance.sqrt())?),
        subsets: config.subsets,
        subset_size: [size; 2],
    })
}

/// Of all pictures of both sets, at least two each: the mean kernel between two different real ones, plus that between two
/// different generated ones, less twice that across.
fn between(real: &Features<'_>, generated: &Features<'_>) -> Result<f64> {
    let (n, m) = (real.n_rows() as f64, generated.n_rows() as f64);
    let within = sum_within(real) / (n * (n - 1.0)) + sum_within(generated) / (m * (m - 1.0));
    finite("the kernel distance", within - 2.0 * sum_across(real, generated) / (n * m))
}

/// Σ over ordered pairs of two different rows of one set.
fn sum_within(set: &Features<'_>) -> f64 {
    let tiles: Vec<MatRef<'_, f32>> = tiles(set).collect();
    let mut sum = 0.0;
    for (i, left) in tiles.iter().enumerate() {
        for right in &tiles[i + 1..] {
            sum += 2.0 * sum_of_tiles(left, right);
        }
        sum += 2.0 * sum_below_diagonal(left);
    }
    sum
}

fn sum_across(real: &Features<'_>, generated: &Features<'_>) -> f64 {
    let right: Vec<MatRef<'_, f32>> = tiles(generated).collect();
    tiles(real).map(|left| right.iter().map(|right| sum_of_tiles(&left, right)).sum::<f64>()).sum()
}

fn tiles<'a>(set: &Features<'a>) -> impl Iterator<Item = MatRef<'a, f32>> {
    let d = set.n_columns();
    set.values().chunks(TILE * d).map(move |rows| MatRef::from_row_major_slice(rows, rows.len() / d, d))
}

/// Σ over all pairs of a row of one tile with one of another. Products are of f32; kernels are summed in f64.
fn sum_of_tiles(left: &MatRef<'_, f32>, right: &MatRef<'_, f32>) -> f64 {
    let mut products = Mat::<f32>::zeros(left.nrows(), right.nrows());
    matmul(products.as_mut(), Accum::Replace, left, right.transpose(), 1.0, get_global_parallelism());
    (0..products.ncols()).map(|j| kernels(products.col(j).iter(), left.ncols())).sum()
}

/// Σ over pairs of two different rows of a tile, each pair once.
fn sum_below_diagonal(tile: &MatRef<'_, f32>) -> f64 {
    let n = tile.nrows();
    let mut products = Mat::<f32>::zeros(n, n);
    triangular::matmul(
        products.as_mut(),
        BlockStructure::TriangularLower,
        Accum::Replace,
        tile,
        BlockStructure::Rectangular,
        tile.transpose(),
        BlockStructure::Rectangular,
        1.0,
        get_global_parallelism(),
    );
    (0..n).map(|j| kernels(products.col(j).iter().skip(j + 1), tile.ncols())).sum()
}

/// Σ of (product/d + 1)³.
fn kernels<'a>(products: impl Iterator<Item = &'a f32>, n_columns: usize) -> f64 {
    let kernel = |product: &f32| {
        let base = f64::from(*product) / n_columns as f64 + 1.0;
        base * base * base
    };
    products.map(kernel).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(n: usize, d: usize, seed: usize, scale: f32) -> Vec<f32> {
        (0..n * d).map(|i| scale * (((i + seed) * 7919 + (i * i + seed) % 31) % 101) as f32 / 50.0).collect()
    }

    // import numpy as np, torch; from torch_fidelity.metric_kid import kid_features_to_metric
    // def rows(n, d, seed, scale):
    //     i = np.arange(n * d)
    //     x = np.float32(scale) * (((i + seed) * 7919 + (i * i + seed) % 31) % 101).astype('f4') / np.float32(50)
    //     return torch.from_numpy(x.reshape(n, d))
    // kw = dict(kid_kernel='poly', kid_kernel_poly_degree=3, kid_kernel_poly_gamma=None, kid_kernel_poly_coef0=1, rng_seed=2020,
    //           verbose=False)
    // a, b = rows(90, 7, 0, 1), rows(80, 7, 3, 1.5)
    // print(kid_features_to_metric(a, b, kid_subsets=20, kid_subset_size=50, **kw))
    // print(kid_features_to_metric(a[:80], b, kid_subsets=1, kid_subset_size=80, **kw))
    #[test]
    fn it_is_torch_fidelitys_with_the_same_subsets() {
        let (a, b) = (rows(90, 7, 0, 1.0), rows(80, 7, 3, 1.5));
        let (a, b) = (Features::new("real", &a, 7).unwrap(), Features::new("generated", &b, 7).unwrap());
        let mut go_on = |_, _| ControlFlow::Continue(());
        let config = KernelConfig { subsets: 20, subset_size: 50, ..KernelConfig::default() };
        let found = kernel_distance(&a, &b, &config, &mut go_on).unwrap();
        assert!((found.mean - 10.920389366149902).abs() < 1e-5, "{found:?}");
        assert!((found.deviation.unwrap() - 1.4212029974037288).abs() < 1e-5, "{found:?}");
        let all = KernelConfig { subset_size: 80, ..KernelConfig::default() };
        let found = kernel_distance(&a.first(80), &b, &all, &mut go_on).unwrap();
        assert!((found.mean - 11.127374649047852).abs() < 1e-5 && found.deviation.is_none(), "{found:?}");
        // All of both, also where they are not as many.
        let more = KernelConfig { subset_size: 90, ..KernelConfig::default() };
        assert_eq!(kernel_distance(&a, &b, &more, &mut go_on).unwrap().subset_size, [90, 80]);
        let between = KernelConfig { subset_size: 85, ..KernelConfig::default() };
        let message = kernel_distance(&a, &b, &between, &mut go_on).unwrap_err().to_string();
        assert_eq!(
            message,
            "`subset_size`: expected from 2 to the pictures of the smaller set, 80, found 85"
        );
        let stopped = kernel_distance(&a, &b, &config, &mut |_, _| ControlFlow::Break(()));
        assert!(matches!(stopped, Err(MetricsError::Interrupted)));
    }

    #[test]
    fn tiles_add_up() {
        let values = rows(TILE + 300, 3, 0, 1.0);
        let set = Features::new("real", &values, 3).unwrap();
        let naive: f64 = values
            .chunks(3)
            .enumerate()
            .map(|(i, a)| {
                let others = values.chunks(3).enumerate().filter(|(j, _)| *j != i);
                let kernel = |b: &[f32]| {
                    let product: f64 = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                    (product / 3.0 + 1.0).powi(3)
                };
                others.map(|(_, b)| kernel(b)).sum::<f64>()
            })
            .sum();
        assert!((sum_within(&set) / naive - 1.0).abs() < 1e-6);
    }
}
