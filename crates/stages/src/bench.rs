//! How many pictures a second this machine trains on, or turns into features.

use std::time::Instant;

use dcgan_engine::memory::high_water_mark;
use dcgan_engine::progress::Progress;
use dcgan_engine::record::Environment;
use dcgan_engine::suggest::{nearest, quoted};
use dcgan_gan::train::{TrainConfig, TrainSettings, Trainer};
use dcgan_gan::{Architecture, ArchitectureName, Discriminator, FeatureExtractor};
use dcgan_images::{ImageStore, Picture, StoreDescription, StoreWriter};
use dcgan_nn::candle::Tensor;
use dcgan_nn::device::{Device, DeviceChoice};
use dcgan_nn::labels::one_hot;
use dcgan_nn::pixels::to_activations_of;
use dcgan_vectors as vectors;
use serde::Serialize;

/// Steps before those that are measured.
const WARM_UP: usize = 2;
/// Side of the square matrices whose product measures the machine.
const PRODUCT: usize = 2048;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BenchKind {
    /// Features of pictures.
    Features,
    /// An update of each network.
    Train,
}

/// How it is measured.
#[derive(Debug, Clone)]
pub struct BenchOptions {
    /// What.
    pub kind: BenchKind,
    /// The architecture's name.
    pub architecture: ArchitectureName,
    /// Scale of every channel count.
    pub width: f64,
    /// Pictures in a batch; the released code's for the architecture where there is none.
    pub batch_size: Option<usize>,
    /// Batches measured, after two that are not.
    pub n_steps: usize,
    /// Where networks run.
    pub device: DeviceChoice,
}

/// What came out. Times are medians.
#[derive(Debug, Clone, Serialize)]
pub struct BenchResult {
    /// What was measured.
    pub kind: BenchKind,
    /// The architecture's name.
    pub arch: ArchitectureName,
    /// Scale of every channel count.
    pub width: f64,
    /// Pictures in a batch.
    pub batch: usize,
    /// Batches measured.
    pub steps: usize,
    /// Milliseconds of an update of D: real and generated pictures, gradients, Adam.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub d_update_ms: Option<f64>,
    /// Milliseconds of an update of G.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub g_update_ms: Option<f64>,
    /// Pictures a second when minibatches go to G and D in turn, as in the released code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_images_per_s: Option<f64>,
    /// Pictures a second of all layers' features.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feature_images_per_s: Option<f64>,
    /// 10⁹ operations a second that direct convolutions would take for what was measured.
    pub gflops: f64,
    /// 10⁹ operations a second of a matrix product 2048³ in the same run.
    pub gemm_gflops: f64,
    /// The quotient of the two.
    pub share_of_gemm: f64,
    /// The vector instructions that the CPU's kernels use.
    pub vectors: String,
    /// Most memory that the process ever held, in MiB, where the system tells.
    pub peak_memory_mib: Option<f64>,
    /// The machine.
    pub environment: Environment,
}

/// The architecture of a name.
///
/// # Errors
/// The names there are.
pub fn architecture(name: &str) -> Result<ArchitectureName, String> {
    ArchitectureName::of_name(name).ok_or_else(|| {
        let names: Vec<&str> =
            ArchitectureName::RELEASED.into_iter().filter_map(ArchitectureName::as_str).collect();
        let help = nearest(name, names.iter().copied()).map(|help| format!("; {help}")).unwrap_or_default();
        format!("expected one of {}, found `{name}`{help}", quoted(names))
    })
}

/// Measures on pictures of noise.
///
/// # Errors
/// If a setting is out of range, or the run was interrupted.
pub fn bench(options: &BenchOptions, progress: &Progress) -> anyhow::Result<BenchResult> {
    if options.device.each().len() > 1 {
        anyhow::bail!("expected one device to measure, found `{}`", options.device);
    }
    let device = options.device.open()?;
    let folder = tempfile::tempdir()?;
    let config = TrainConfig {
        width: options.width,
        batch_size: options.batch_size,
        ..TrainConfig::paper(options.architecture)
    };
    let settings = config.resolve()?;
    let (n_steps, batch) = (options.n_steps.max(1), settings.batch_size);
    write_noise(folder.path(), batch, settings.architecture.discriminator().picture())?;
    let store = ImageStore::open(folder.path())?;
    let operations = Architecture { name: options.architecture, width: options.width }.operations();
    let mut result = BenchResult {
        kind: options.kind,
        arch: options.architecture,
        width: options.width,
        batch,
        steps: n_steps,
        d_update_ms: None,
        g_update_ms: None,
        train_images_per_s: None,
        feature_images_per_s: None,
        gflops: 0.0,
        gemm_gflops: 0.0,
        share_of_gemm: 0.0,
        vectors: vectors::description(),
        peak_memory_mib: None,
        environment: Environment::here(&options.device.to_string()),
    };
    match options.kind {
        BenchKind::Train => {
            let (d, g) = seconds_of_updates(&settings, &store, n_steps, &device, progress)?;
            result.d_update_ms = Some(1e3 * d);
            result.g_update_ms = Some(1e3 * g);
            result.train_images_per_s = Some(2.0 * batch as f64 / (d + g));
            let both = operations.discriminator_update + operations.generator_update;
            result.gflops = 1e-9 * batch as f64 * both / (d + g);
        }
        BenchKind::Features => {
            let config = settings.architecture.discriminator().unconditional();
            let discriminator = Discriminator::random(config, 0, &device)?;
            let seconds = seconds_of_features(&discriminator, &store, n_steps, &device, progress)?;
            result.feature_images_per_s = Some(batch as f64 / seconds);
            result.gflops = 1e-9 * batch as f64 * operations.features / seconds;
        }
    }
    result.peak_memory_mib = high_water_mark().map(|bytes| bytes as f64 / f64::from(1 << 20));
    result.gemm_gflops = gemm_gflops(&device, progress)?;
    result.share_of_gemm = result.gflops / result.gemm_gflops;
    Ok(result)
}

/// Seconds for an update of D and one of G on all pictures of a store in one minibatch.
fn seconds_of_updates(
    settings: &TrainSettings,
    store: &ImageStore,
    n_steps: usize,
    device: &Device,
    progress: &Progress,
) -> anyhow::Result<(f64, f64)> {
    let mut trainer = Trainer::new(settings, device)?;
    let config = settings.architecture.discriminator();
    let [c, h, w] = config.picture();
    let output = config.output.activation();
    let real = to_activations_of(output, store.pixels(), [store.len(), c, h, w], device)?;
    let round: Vec<u32> = (0..store.len()).map(|i| (i % config.classes.max(1)) as u32).collect();
    let labels = (config.classes > 0).then(|| one_hot(&round, config.classes, device)).transpose()?;
    let labels = labels.as_ref();
    let mut update = |discriminator: bool| {
        measure(n_steps, progress, &mut || {
            match discriminator {
                true => drop(trainer.update_discriminator(&real, labels, device.is_cpu())?),
                false => drop(trainer.update_generator(labels, device.is_cpu())?),
            }
            Ok(device.synchronize()?)
        })
    };
    Ok((update(true)?, update(false)?))
}

/// Seconds for the features of all pictures of a store in one batch.
fn seconds_of_features(
    discriminator: &Discriminator,
    store: &ImageStore,
    n_steps: usize,
    device: &Device,
    progress: &Progress,
) -> anyhow::Result<f64> {
    let mut flow = |_, _| progress.interrupt().flow();
    let extractor = FeatureExtractor::infer(discriminator, store, device, &mut flow)?;
    measure(n_steps, progress, &mut || {
        std::hint::black_box(extractor.extract_tensor(store.pixels(), store.len())?);
        Ok(device.synchronize()?)
    })
}

/// Median of the seconds of `n` steps, after some that warm up.
pub(crate) fn measure(
    n: usize,
    progress: &Progress,
    step: &mut dyn FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<f64> {
    let mut task = progress.task("measuring", "batches");
    let mut seconds = Vec::new();
    for done in 0..WARM_UP + n {
        if task.observe(done as u64, (WARM_UP + n) as u64).is_break() {
            anyhow::bail!(dcgan_engine::interrupt::Interrupted {
                stage: "bench".to_owned(),
                is_resumable: false
            });
        }
        let start = Instant::now();
        step()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    Ok(median(&seconds[WARM_UP..]))
}

pub(crate) fn gemm_gflops(device: &Device, progress: &Progress) -> anyhow::Result<f64> {
    let values: Vec<f32> = (0..PRODUCT * PRODUCT).map(|i| (i % 17) as f32).collect();
    let matrix = Tensor::from_vec(values, (PRODUCT, PRODUCT), device)?;
    let seconds = measure(5, progress, &mut || {
        std::hint::black_box(matrix.matmul(&matrix)?);
        Ok(device.synchronize()?)
    })?;
    Ok(2e-9 * (PRODUCT * PRODUCT * PRODUCT) as f64 / seconds)
}

pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

pub(crate) fn write_noise(
    folder: &std::path::Path,
    n: usize,
    [channels, height, width]: [usize; 3],
) -> anyhow::Result<()> {
    let mut writer = StoreWriter::create(folder)?;
    let mut state = 1_u32;
    for image_idx in 0..n {
        let pixels = (0..channels * height * width).map(|_| noise(&mut state)).collect();
        let picture = Picture { channels, height, width, pixels };
        writer.append(&image_idx.to_string(), None, "noise", &picture)?;
    }
    writer.finish(StoreDescription::default())?;
    Ok(())
}

/// Numerical Recipes' linear congruential generator: any noise will do.
pub(crate) fn noise(state: &mut u32) -> u8 {
    *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    (*state >> 24) as u8
}
