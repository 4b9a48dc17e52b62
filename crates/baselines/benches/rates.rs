//! Features, a pass of K-means and nearest neighbours in 10⁹ operations a second.
//!
//! ```text
//! cargo bench -p dcgan-baselines
//! ```

use std::ops::ControlFlow;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use dcgan_baselines::kmeans::{Encoder, KMeansConfig, Step, train_kmeans};
use dcgan_baselines::neighbours::{Metric, NearestNeighbours};
use dcgan_images::{ImageStore, Picture, StoreDescription, StoreWriter};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

type AnyResult<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> AnyResult<()> {
    let folder = tempfile::tempdir()?;
    let mut writer = StoreWriter::create(&folder.path().join("store"))?;
    for idx in 0..200_usize {
        let pixels = (0..3072).map(|at| (((idx * 3072 + at).pow(2) % 8191 * 7919) % 251) as u8).collect();
        let picture = Picture { channels: 3, height: 32, width: 32, pixels };
        writer.append(&idx.to_string(), Some(0), "made", &picture)?;
    }
    writer.finish(StoreDescription::default())?;
    let store = ImageStore::open(&folder.path().join("store"))?;
    let config = KMeansConfig { patches: 50_000, passes: 2, ..KMeansConfig::default() };
    let mut times = Vec::new();
    let model = train_kmeans(&store, &config, &folder.path().join("k.safetensors"), &mut |step, _, _| {
        times.extend((step == Step::Passes).then(Instant::now));
        ControlFlow::Continue(())
    })?;
    let pass = (times[times.len() / 2] - times[0]).as_secs_f64();
    let operations = 2.0 * 50_000.0 * 4800.0 * 108.0;
    println!("a pass over 50,000 patches: {pass:.3} s, {:.0} GFLOP/s", 1e-9 * operations / pass);
    println!("a matrix product 2048³: {:.0} GFLOP/s", gemm()?);
    let encoder = Encoder::new(&model, [3, 32, 32])?;
    for _ in 0..3 {
        let start = Instant::now();
        let features = encoder.encode(store.pixels())?;
        let seconds = start.elapsed().as_secs_f64();
        let rate = 1e-9 * 200.0 * encoder.operations() / seconds;
        println!("{} features of 200 pictures: {seconds:.3} s, {rate:.0} GFLOP/s", features.len());
    }
    println!("a matrix product 2048³: {:.0} GFLOP/s", gemm()?);
    for columns in [784, 3072] {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let mut values = |n: usize| (0..n * columns).map(|_| rng.random()).collect::<Vec<f32>>();
        let (test, train) = (values(2000), values(20_000));
        let mut nearest = NearestNeighbours::new(&test, columns, 1, Metric::Euclidean)?;
        for _ in 0..2 {
            nearest.clear();
            let start = Instant::now();
            nearest.add(&train, &[0; 20_000])?;
            let seconds = start.elapsed().as_secs_f64();
            let rate = 2e-9 * (2000 * 20_000 * columns) as f64 / seconds;
            println!("the nearest of 20,000 rows of {columns} to 2000: {seconds:.3} s, {rate:.0} GFLOP/s");
        }
    }
    println!("a matrix product 2048³: {:.0} GFLOP/s", gemm()?);
    Ok(())
}

fn gemm() -> AnyResult<f64> {
    let matrix = Tensor::ones((2048, 2048), DType::F32, &Device::Cpu)?;
    let mut least = f64::INFINITY;
    for _ in 0..4 {
        let start = Instant::now();
        std::hint::black_box(matrix.matmul(&matrix)?);
        least = least.min(start.elapsed().as_secs_f64());
    }
    Ok(2e-9 * 2048_f64.powi(3) / least)
}
