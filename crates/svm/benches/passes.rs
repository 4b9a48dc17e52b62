//! How near the solver's passes over the features come to the machine's memory bandwidth.
//!
//! ```text
//! cargo bench -p dcgan-svm                                        # 6,000 × 7,168 random features
//! DCGAN_FEATURES=DIR cargo bench -p dcgan-svm                     # features.npy and labels.npy of a folder
//! … DCGAN_CS=1e-5,1e-4 DCGAN_GAP=1e-3 DCGAN_ROWS=10000            # the first rows only
//! ```
//!
//! Beside them a plain sum over the same features, on as many threads, before and after.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use dcgan_svm::LinearSvc;
use linfa::ParamGuard;
use ndarray::{Array1, Array2, ArrayView2, s};
use ndarray_npy::read_npy;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

type AnyResult<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> AnyResult<()> {
    let (features, labels) = match std::env::var("DCGAN_FEATURES") {
        Ok(folder) => read(Path::new(&folder))?,
        Err(_) => random(6_000, 7_168),
    };
    let n_rows = setting("DCGAN_ROWS", features.nrows())?.min(features.nrows());
    let cs: Vec<f64> = setting("DCGAN_CS", "1e-4".to_owned())?
        .split(',')
        .map(str::parse)
        .collect::<Result<_, std::num::ParseFloatError>>()?;
    let relative_gap = setting("DCGAN_GAP", 1e-3)?;
    let features = features.slice(s![..n_rows, ..]);
    let n_bytes = (features.len() * size_of::<f32>()) as f64;
    println!(
        "{n_rows} rows, {} columns, {:.2} GB, C = {cs:?}, gap {relative_gap}",
        features.ncols(),
        n_bytes / 1e9
    );

    let before = plain_sum(features);
    let params = LinearSvc::params().relative_gap(relative_gap).max_gram_rows(1).check()?;
    let start = Instant::now();
    let mut starts = Vec::new();
    let models = params.fit_path(features, &labels[..n_rows], &cs, &mut |progress| {
        // Before the first pass there are questions during the preparation.
        if progress.n_passes == 0 {
            starts.clear();
        }
        starts.push(start.elapsed().as_secs_f64());
        ControlFlow::Continue(())
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let after = plain_sum(features);

    let preparation = starts.first().copied().unwrap_or(0.0);
    let bytes_per_second = n_bytes * starts.len() as f64 / (seconds - preparation);
    let plain = n_bytes / before.min(after);
    let gap =
        models.iter().flat_map(LinearSvc::certificates).map(|found| found.relative_gap).fold(0.0, f64::max);
    println!(
        "fit {seconds:.2} s: {preparation:.2} s of preparation, {} passes, widest gap {gap:.1e}",
        starts.len()
    );
    println!(
        "passes {:.1} GB/s, plain sum {:.1} GB/s, share {:.0} %",
        bytes_per_second / 1e9,
        plain / 1e9,
        100.0 * bytes_per_second / plain
    );
    Ok(())
}

fn setting<T: std::str::FromStr>(name: &str, default: T) -> Result<T, T::Err> {
    std::env::var(name).map_or(Ok(default), |value| value.parse())
}

fn read(folder: &Path) -> AnyResult<(Array2<f32>, Vec<usize>)> {
    let labels: Array1<u32> = read_npy(folder.join("labels.npy"))?;
    Ok((read_npy(folder.join("features.npy"))?, labels.iter().map(|&label| label as usize).collect()))
}

/// Ten classes whose features differ a little; positive, as a network's are, and alike in their mean.
fn random(n_rows: usize, n_columns: usize) -> (Array2<f32>, Vec<usize>) {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let labels: Vec<usize> = (0..n_rows).map(|row| row % 10).collect();
    let features = Array2::from_shape_fn((n_rows, n_columns), |(row, column)| {
        rng.random::<f32>() + if column % 100 == labels[row] { 0.2 } else { 0.0 }
    });
    (features, labels)
}

/// Seconds to add up all features in f32, 64 sums at a time.
fn plain_sum(features: ArrayView2<'_, f32>) -> f64 {
    let start = Instant::now();
    let sum: f32 = features
        .as_slice()
        .unwrap_or_default()
        .par_chunks(1 << 18)
        .map(|chunk| {
            let mut sums = [0.0; 64];
            for values in chunk.as_chunks::<64>().0 {
                sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
            }
            sums.iter().sum::<f32>()
        })
        .sum();
    std::hint::black_box(sum);
    start.elapsed().as_secs_f64()
}
