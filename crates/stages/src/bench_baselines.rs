//! How near the baselines come to the rate of a matrix product.

use std::ops::ControlFlow;
use std::time::Instant;

use dcgan_baselines::kmeans::{Encoder, KMeansConfig, Step, train_kmeans};
use dcgan_baselines::neighbours::{Metric, NearestNeighbours};
use dcgan_engine::memory::high_water_mark;
use dcgan_engine::progress::Progress;
use dcgan_engine::record::Environment;
use dcgan_images::ImageStore;
use dcgan_nn::device::Device;
use serde::Serialize;

use crate::bench::{gemm_gflops, measure, median, noise, write_noise};

/// Side of the pictures.
const SIDE: usize = 32;
/// Test rows that nearest neighbours are found of.
const TEST_ROWS: usize = 2000;

/// What is measured, and how large it is.
#[derive(Debug, Clone, Copy)]
pub enum Baseline {
    /// Features of noise by centroids of noise, and a pass of K-means.
    Kmeans {
        /// Centroids.
        maps: usize,
        /// Pictures of 32×32 in colour.
        pictures: usize,
    },
    /// The nearest neighbour of 2,000 test rows of noise.
    Knn {
        /// Training rows.
        rows: usize,
        /// Numbers in a row.
        columns: usize,
    },
}

/// What came out. Times are medians.
#[derive(Debug, Clone, Serialize)]
pub struct BaselineResult {
    /// What was measured, in words.
    pub what: String,
    /// Seconds.
    pub seconds: f64,
    /// Pictures turned into features, or training rows compared with all test rows, a second.
    pub per_s: f64,
    /// What those are.
    pub unit: &'static str,
    /// 10⁹ operations a second of the product alone.
    pub gflops: f64,
    /// 10⁹ operations a second of the product in a pass of K-means.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pass_gflops: Option<f64>,
    /// 10⁹ operations a second of a matrix product 2048³ in the same run.
    pub gemm_gflops: f64,
    /// The quotient of the two.
    pub share_of_gemm: f64,
    /// Most memory that the process ever held, in MiB, where the system tells.
    pub peak_memory_mib: Option<f64>,
    /// The machine.
    pub environment: Environment,
}

/// Measures on noise.
///
/// # Errors
/// If a size is out of range, or the run was interrupted.
pub fn bench_baseline(
    baseline: Baseline,
    n_steps: usize,
    progress: &Progress,
) -> anyhow::Result<BaselineResult> {
    let mut result = match baseline {
        Baseline::Kmeans { maps, pictures } => kmeans(maps, pictures, n_steps, progress)?,
        Baseline::Knn { rows, columns } => knn(rows, columns, n_steps, progress)?,
    };
    result.peak_memory_mib = high_water_mark().map(|bytes| bytes as f64 / f64::from(1 << 20));
    result.gemm_gflops = gemm_gflops(&Device::CPU, progress)?;
    result.share_of_gemm = result.gflops / result.gemm_gflops;
    Ok(result)
}

fn kmeans(maps: usize, n: usize, n_steps: usize, progress: &Progress) -> anyhow::Result<BaselineResult> {
    let folder = tempfile::tempdir()?;
    write_noise(folder.path(), n, [3, SIDE, SIDE])?;
    let store = ImageStore::open(folder.path())?;
    let patches = (4 * maps).clamp(2, 20_000).max(maps);
    let config = KMeansConfig { maps, patches, passes: n_steps + 1, ..KMeansConfig::default() };
    let mut starts = Vec::new();
    let mut flow = |step, _, _| match progress.interrupt().flow() {
        ControlFlow::Continue(()) => {
            starts.extend((step == Step::Passes).then(Instant::now));
            ControlFlow::Continue(())
        }
        stop => stop,
    };
    let model = train_kmeans(&store, &config, &folder.path().join("kmeans.safetensors"), &mut flow)?;
    let passes: Vec<f64> = starts.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
    let columns = 3 * config.patch * config.patch;
    let encoder = Encoder::new(&model, [3, SIDE, SIDE])?;
    let seconds = measure(n_steps, progress, &mut || {
        std::hint::black_box(encoder.encode(store.pixels())?);
        Ok(())
    })?;
    Ok(BaselineResult {
        what: format!(
            "features of {n} pictures of 32×32 by {maps} centroids, and passes over {patches} patches"
        ),
        per_s: n as f64 / seconds,
        unit: "pictures",
        gflops: 1e-9 * n as f64 * encoder.operations() / seconds,
        pass_gflops: Some(2e-9 * (patches * maps * columns) as f64 / median(&passes)),
        ..empty(seconds)
    })
}

fn knn(rows: usize, columns: usize, n_steps: usize, progress: &Progress) -> anyhow::Result<BaselineResult> {
    let mut state = 1;
    let mut values =
        |n: usize| (0..n * columns).map(|_| f32::from(noise(&mut state)) / 255.0).collect::<Vec<_>>();
    let (test, train) = (values(TEST_ROWS), values(rows));
    let labels: Vec<u32> = (0..rows as u32).map(|row| row % 10).collect();
    let mut nearest = NearestNeighbours::new(&test, columns, 1, Metric::Euclidean)?;
    let seconds = measure(n_steps, progress, &mut || {
        nearest.clear();
        nearest.add(&train, &labels)?;
        Ok(())
    })?;
    std::hint::black_box(nearest.predictions(1)?);
    Ok(BaselineResult {
        what: format!("the nearest of {rows} training rows to {TEST_ROWS} test rows of {columns} numbers"),
        per_s: rows as f64 / seconds,
        unit: "training rows",
        gflops: 2e-9 * (rows * TEST_ROWS * columns) as f64 / seconds,
        ..empty(seconds)
    })
}

fn empty(seconds: f64) -> BaselineResult {
    BaselineResult {
        what: String::new(),
        seconds,
        per_s: 0.0,
        unit: "",
        gflops: 0.0,
        pass_gflops: None,
        gemm_gflops: 0.0,
        share_of_gemm: 0.0,
        peak_memory_mib: None,
        environment: Environment::here("cpu"),
    }
}
