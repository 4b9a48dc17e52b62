//! How many pictures a second this machine trains on, or turns into features.

use std::time::Instant;

use dcgan_gan::train::{TrainConfig, Trainer};
use dcgan_gan::{ArchitectureName, Discriminator, FeatureExtractor};
use dcgan_images::{ImageStore, Picture, StoreDescription, StoreWriter};
use serde::Serialize;

use crate::device::DeviceChoice;
use crate::progress::Progress;
use crate::record::Environment;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BenchKind {
    /// Features of pictures.
    Features,
    /// Training, both networks on every minibatch.
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
    /// Pictures in a batch.
    pub batch_size: usize,
    /// Batches measured, after one that is not.
    pub n_steps: usize,
    /// Where networks run.
    pub device: DeviceChoice,
}

/// What came out.
#[derive(Debug, Clone, Serialize)]
pub struct BenchResult {
    /// What was measured.
    pub kind: BenchKind,
    /// The architecture's name.
    pub architecture: ArchitectureName,
    /// Scale of every channel count.
    pub width: f64,
    /// Pictures in a batch.
    pub batch_size: usize,
    /// Seconds of each batch.
    pub seconds: Vec<f64>,
    /// Pictures a second over the median batch.
    pub images_per_s: f64,
    /// The machine.
    pub environment: Environment,
}

/// The architecture of a name.
///
/// # Errors
/// The names there are.
pub fn architecture(name: &str) -> Result<ArchitectureName, String> {
    let names = [ArchitectureName::Svhn32, ArchitectureName::Imagenet32, ArchitectureName::Faces64];
    let found = names.into_iter().find(|architecture| architecture.as_str() == name);
    found.ok_or_else(|| {
        let names = crate::manifest::quoted(names.map(ArchitectureName::as_str));
        format!("expected one of {names}, found `{name}`")
    })
}

/// Measures on pictures of noise.
///
/// # Errors
/// If a setting is out of range, or the run was interrupted.
pub fn bench(options: &BenchOptions, progress: &Progress) -> anyhow::Result<BenchResult> {
    let device = options.device.open()?;
    let folder = tempfile::tempdir()?;
    let config = TrainConfig {
        width: options.width,
        schedule: dcgan_gan::train::Schedule::Both,
        batch_size: Some(options.batch_size),
        ..TrainConfig::paper(options.architecture)
    };
    let settings = config.resolve()?;
    let size = settings.architecture.discriminator().image_size;
    write_noise(folder.path(), options.batch_size, size)?;
    let store = ImageStore::open(folder.path())?;
    let indices: Vec<u32> = (0..options.batch_size as u32).collect();
    let seconds = match options.kind {
        BenchKind::Train => {
            let mut trainer = Trainer::new(&settings, &device)?;
            measure(options.n_steps, progress, &mut || {
                trainer.minibatch(&store, &indices)?;
                Ok(device.synchronize()?)
            })?
        }
        BenchKind::Features => {
            let discriminator = Discriminator::random(settings.architecture.discriminator(), 0, &device)?;
            let extractor = FeatureExtractor::infer(&discriminator, &store, &device, &mut |_, _| {
                progress.interrupt().flow()
            })?;
            measure(options.n_steps, progress, &mut || {
                extractor.extract(store.pixels(), options.batch_size)?;
                Ok(())
            })?
        }
    };
    Ok(BenchResult {
        kind: options.kind,
        architecture: options.architecture,
        width: options.width,
        batch_size: options.batch_size,
        images_per_s: options.batch_size as f64 / median(&seconds),
        seconds,
        environment: Environment::here(&options.device.to_string()),
    })
}

/// Seconds of each of `n` steps, after one that warms up.
fn measure(
    n: usize,
    progress: &Progress,
    step: &mut dyn FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Vec<f64>> {
    let mut task = progress.task("measuring", "batches");
    step()?;
    let mut seconds = Vec::new();
    for done in 0..n.max(1) {
        if task.observe(done as u64, n as u64).is_break() {
            anyhow::bail!(crate::interrupt::Interrupted { stage: "bench".to_owned(), is_resumable: false });
        }
        let start = Instant::now();
        step()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    Ok(seconds)
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn write_noise(folder: &std::path::Path, n: usize, size: usize) -> anyhow::Result<()> {
    let mut writer = StoreWriter::create(folder)?;
    let mut state = 1_u32;
    for image_idx in 0..n {
        let mut pixel = || {
            // Numerical Recipes' linear congruential generator: any noise will do.
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let pixels = (0..3 * size * size).map(|_| pixel()).collect();
        let picture = Picture { channels: 3, height: size, width: size, pixels };
        writer.append(&image_idx.to_string(), None, "noise", &picture)?;
    }
    writer.finish(StoreDescription::default())?;
    Ok(())
}
