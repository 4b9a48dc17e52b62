//! Training a generator and a discriminator against each other (section 3 and the released code).

mod config;
mod log;
mod trainer;

use std::{
    ops::ControlFlow,
    path::Path,
    time::{Duration, Instant},
};

use candle_core::Device;
use dcgan_images::{ImageStore, batches, grid::write_grid};

pub use config::{Schedule, TrainConfig, TrainSettings};
pub use trainer::{DiscriminatorUpdate, GeneratorUpdate, Trainer};

use crate::{GanError, Result, features::check_size, sample};

/// Names of what [`train`] writes into its folder.
pub mod files {
    /// The trained generator.
    pub const GENERATOR: &str = "generator.safetensors";
    /// The trained discriminator.
    pub const DISCRIMINATOR: &str = "discriminator.safetensors";
    /// Both networks, both optimisers and the step, to go on from.
    pub const CHECKPOINT: &str = "checkpoint.safetensors";
    /// One JSON object a logged step.
    pub const METRICS: &str = "metrics.jsonl";
    /// Sample grids of fixed z, `step_NNNNNNN.png`.
    pub const SAMPLES: &str = "samples";
}

/// Pictures in a sample grid, and columns of it.
const GRID: (usize, usize) = (64, 8);

/// What a finished training was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainSummary {
    /// Minibatches seen.
    pub n_steps: u64,
    /// Minibatches of one pass over the data.
    pub steps_per_epoch: u64,
    /// The last discriminator update.
    pub discriminator: DiscriminatorUpdate,
    /// The last generator update.
    pub generator: GeneratorUpdate,
    /// Step of the checkpoint this run went on from, 0 if it began anew.
    pub resumed_from: u64,
}

/// Trains on `store` and writes [`files`] into `dir`, which must exist; `observe` is told minibatches done and to do.
///
/// Every draw is a function of the seed and the step, so that a run that goes on from a checkpoint in `dir` ends with the
/// bits of an uninterrupted one. The pictures beyond the last whole minibatch of an epoch are left out.
///
/// # Errors
/// Where a setting is out of range, the pictures do not fit the network, the checkpoint in `dir` is of another
/// configuration, a file cannot be written, or a loss is no longer finite. [`GanError::Interrupted`] where `observe`
/// breaks, after a checkpoint was written.
pub fn train(
    store: &ImageStore,
    config: &TrainConfig,
    dir: &Path,
    device: &Device,
    observe: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<TrainSummary> {
    let settings = config.resolve()?;
    let steps_per_epoch = (store.len() / settings.batch_size) as u64;
    if steps_per_epoch == 0 {
        let expected = format!("at most the number of pictures, {}", store.len());
        return Err(GanError::Setting {
            key: "batch_size",
            expected,
            found: settings.batch_size.to_string(),
        });
    }
    let n_steps = settings.max_steps.unwrap_or(u64::MAX).min(settings.epochs * steps_per_epoch);
    let checkpoint = dir.join(files::CHECKPOINT);
    let mut trainer = Trainer::resume_or_new(&settings, &checkpoint, device)?;
    check_size(trainer.discriminator(), store)?;
    let resumed_from = trainer.step();
    let mut log = log::Log::open(&dir.join(files::METRICS), resumed_from)?;
    fs_err::create_dir_all(dir.join(files::SAMPLES))?;

    let mut saved = Instant::now();
    let mut epoch = (u64::MAX, Vec::new());
    while trainer.step() < n_steps {
        let step = trainer.step();
        if observe(step, n_steps).is_break() {
            trainer.save(&checkpoint)?;
            return Err(GanError::Interrupted);
        }
        if epoch.0 != step / steps_per_epoch {
            epoch = (
                step / steps_per_epoch,
                batches::shuffled(store.len(), settings.seed, step / steps_per_epoch),
            );
        }
        let first = (step % steps_per_epoch) as usize * settings.batch_size;
        trainer.minibatch(store, &epoch.1[first..first + settings.batch_size])?;
        let done = trainer.step();
        if done.is_multiple_of(settings.log_every) || done == n_steps {
            log.write(done, done as f64 / steps_per_epoch as f64, &trainer)?;
        }
        if done.is_multiple_of(settings.sample_every_epochs * steps_per_epoch) || done == n_steps {
            write_samples(&trainer, settings.seed, &dir.join(files::SAMPLES))?;
        }
        if saved.elapsed() > Duration::from_secs_f64(60.0 * settings.checkpoint_minutes) {
            trainer.save(&checkpoint)?;
            saved = Instant::now();
        }
    }
    trainer.save(&checkpoint)?;
    trainer.generator().save(&dir.join(files::GENERATOR))?;
    trainer.discriminator().save(&dir.join(files::DISCRIMINATOR))?;
    let (discriminator, generator) = trainer.last_updates();
    Ok(TrainSummary { n_steps, steps_per_epoch, discriminator, generator, resumed_from })
}

fn write_samples(trainer: &Trainer, seed: u64, dir: &Path) -> Result<()> {
    let (n, columns) = GRID;
    let pixels = sample::generate(trainer.generator(), n, seed)?;
    let size = trainer.generator().config().image_size();
    let path = dir.join(format!("step_{:07}.png", trainer.step()));
    Ok(write_grid(&path, &pixels, [n, crate::IMAGE_CHANNELS, size, size], columns)?)
}

#[cfg(test)]
mod tests;
