//! Training the autoencoder (section 4.1.1).
//!
//! Per minibatch of pictures x, two corrupted copies x₁ and x₂ of each (cut, brightened, with noise), with
//! a = W·x + b, σ the standard deviation of each unit and m a dropout mask:
//!
//! loss = mean((V·(m ∘ relu(a₁)) + c − x)²) + together · mean(((a₁ − a₂)/σ)²) + balance · mean((mean(a₁)/σ)²)

mod config;
mod copies;
mod trainer;
mod window;

use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use dcgan_images::{ImageStore, batches};
use serde::Serialize;

pub use config::{Preset, ThresholdRule, TrainConfig};
pub use trainer::Losses;

use self::copies::Copies;
use self::trainer::Trainer;
use crate::code::CODE_BITS;
use crate::error::check;
use crate::preprocess::SIDE;
use crate::{Autoencoder, DedupError, Result};

/// Names of what [`train`] writes into its folder.
pub mod files {
    /// The trained autoencoder with its thresholds and preprocessing.
    pub const AUTOENCODER: &str = "autoencoder.safetensors";
    /// Autoencoder and optimiser, to go on from.
    pub const CHECKPOINT: &str = "checkpoint.safetensors";
    /// One JSON object an epoch: the loss curve.
    pub const METRICS: &str = "metrics.jsonl";
}

/// Pictures that are kept out of training, at most.
const MAX_VALIDATION: usize = 1_000;
/// Pictures over which the bits' balance and the medians are measured, at most.
const MAX_MEASURED: usize = 20_000;
/// The epoch number under which pictures are drawn for training and validation.
const SAMPLE: u64 = u64::MAX;

/// A line of [`files::METRICS`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Line {
    step: u64,
    epoch: u64,
    #[serde(flatten)]
    losses: Losses,
    validation_reconstruction: Option<f64>,
}

/// What a finished training was.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrainSummary {
    /// Pictures trained on.
    pub n_images: usize,
    /// Minibatches seen.
    pub n_steps: u64,
    /// Step of the checkpoint this run went on from, 0 if it began anew.
    pub resumed_from: u64,
    /// Reconstruction error over the pictures kept out, in units of the inputs; none where none were.
    pub validation_reconstruction: Option<f64>,
    /// Share of pictures whose bit is set: mean over the bits.
    pub bits_set: f64,
    /// The same of the bit that is set least often.
    pub least_set: f64,
    /// The same of the bit that is set most often.
    pub most_set: f64,
}

/// Trains on `store` (square colour pictures of at least 32×32) and writes [`files`] into `dir`, which must exist;
/// `observe` receives minibatches done and to do.
///
/// Every draw is a function of the seed and the step, so that a run that goes on from a checkpoint in `dir` ends with the
/// bits of an uninterrupted one. Pictures larger than 32×32 lose less when they are cut.
///
/// # Errors
/// Where a setting is out of range, the pictures do not fit, the checkpoint in `dir` is of another configuration, a file
/// cannot be written, or the loss is no longer finite. [`DedupError::Interrupted`] where `observe` breaks, after a
/// checkpoint was written.
pub fn train(
    store: &ImageStore,
    config: &TrainConfig,
    dir: &Path,
    observe: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<TrainSummary> {
    config.validate()?;
    check_pictures(store)?;
    let (training, validation) = split(store.len(), config);
    let steps_per_epoch = (training.len() / config.batch_size) as u64;
    let expected = format!("at most the number of training pictures, {}", training.len());
    check("batch_size", steps_per_epoch > 0, &expected, config.batch_size)?;

    let n_steps = config.epochs * steps_per_epoch;
    let checkpoint = dir.join(files::CHECKPOINT);
    let copies = Copies { store, config };
    let mut trainer = Trainer::resume_or_new(config, &checkpoint)?;
    let resumed_from = trainer.step;
    let mut curve = Curve::open(&dir.join(files::METRICS), resumed_from)?;
    let mut saved = Instant::now();
    let mut order = Vec::new();
    while trainer.step < n_steps {
        if observe(trainer.step, n_steps).is_break() {
            trainer.save(&checkpoint)?;
            return Err(DedupError::Interrupted);
        }
        let epoch = trainer.step / steps_per_epoch;
        let first = (trainer.step % steps_per_epoch) as usize * config.batch_size;
        if first == 0 || order.is_empty() {
            order = batches::shuffled(training.len(), config.seed, epoch);
        }
        let indices: Vec<u32> =
            order[first..first + config.batch_size].iter().map(|&k| training[k as usize]).collect();
        let losses = trainer.minibatch(&copies, &indices, trainer.step as f64 / n_steps as f64)?;
        if trainer.step.is_multiple_of(steps_per_epoch) {
            let validation_reconstruction = reconstruction_error(&trainer.model, &copies, &validation)?;
            let (step, epoch) = (trainer.step, epoch + 1);
            curve.write(&Line { step, epoch, losses, validation_reconstruction })?;
        }
        if saved.elapsed() > Duration::from_secs_f64(60.0 * config.checkpoint_minutes) {
            trainer.save(&checkpoint)?;
            saved = Instant::now();
        }
    }
    trainer.save(&checkpoint)?;
    let validation_reconstruction = reconstruction_error(&trainer.model, &copies, &validation)?;
    let mut model = trainer.model;
    let shares = set_thresholds(&mut model, &copies, &training)?;
    model.save(&dir.join(files::AUTOENCODER))?;
    Ok(TrainSummary {
        n_images: training.len(),
        n_steps,
        resumed_from,
        validation_reconstruction,
        bits_set: shares.iter().sum::<f64>() / shares.len() as f64,
        least_set: shares.iter().copied().fold(1.0, f64::min),
        most_set: shares.iter().copied().fold(0.0, f64::max),
    })
}

fn check_pictures(store: &ImageStore) -> Result<()> {
    let (height, width) = (store.height(), store.width());
    let is_fit = store.channels() == 3 && height == width && width >= SIDE;
    let found = format!("{}×{height}×{width}", store.channels());
    check("images", is_fit, "square colour pictures of at least 32×32", found)
}

/// The pictures to train on and those kept out, both drawn by the seed.
fn split(n_images: usize, config: &TrainConfig) -> (Vec<u32>, Vec<u32>) {
    let order = batches::shuffled(n_images, config.seed, SAMPLE);
    let n_validation = ((n_images as f64 * config.validation_share) as usize).min(MAX_VALIDATION);
    let (validation, training) = order.split_at(n_validation);
    let n_training = config.n_images.unwrap_or(training.len()).min(training.len());
    (training[..n_training].to_vec(), validation.to_vec())
}

fn reconstruction_error(model: &Autoencoder, copies: &Copies<'_>, indices: &[u32]) -> Result<Option<f64>> {
    if indices.is_empty() {
        return Ok(None);
    }
    let clean = copies.clean(indices)?;
    let outputs = model.decode(&model.pre_activations(&clean)?.relu()?)?;
    Ok(Some(f64::from((outputs - clean)?.sqr()?.mean_all()?.to_scalar::<f32>()?)))
}

/// Sets the thresholds by the rule, and returns for each bit the share of training pictures that set it.
fn set_thresholds(model: &mut Autoencoder, copies: &Copies<'_>, training: &[u32]) -> Result<Vec<f64>> {
    let measured = &training[..training.len().min(MAX_MEASURED)];
    let mut by_unit: Vec<Vec<f32>> = vec![Vec::new(); CODE_BITS];
    for indices in measured.chunks(1_000) {
        let activations = model.pre_activations(&copies.clean(indices)?)?.relu()?;
        for row in activations.to_vec2::<f32>()? {
            by_unit.iter_mut().zip(row).for_each(|(unit, value)| unit.push(value));
        }
    }
    let thresholds = match copies.config.threshold {
        ThresholdRule::Zero => vec![0.0; CODE_BITS],
        ThresholdRule::Median => by_unit.iter_mut().map(|unit| median(unit)).collect(),
    };
    let share = |(unit, &threshold): (&Vec<f32>, &f32)| {
        unit.iter().filter(|&&value| value > threshold).count() as f64 / unit.len() as f64
    };
    let shares = by_unit.iter().zip(&thresholds).map(share).collect();
    model.set_thresholds(thresholds);
    Ok(shares)
}

/// The upper median.
fn median(values: &mut [f32]) -> f32 {
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f32::total_cmp).1
}

/// The loss curve's file; lines of steps that a resumed run does again are cut off.
struct Curve {
    file: fs_err::File,
}

impl Curve {
    fn open(path: &Path, resumed_from: u64) -> Result<Self> {
        let text =
            if resumed_from > 0 { fs_err::read_to_string(path).unwrap_or_default() } else { String::new() };
        let step_of =
            |line: &str| serde_json::from_str::<serde_json::Value>(line).ok()?.get("step")?.as_u64();
        let is_kept =
            |line: &&str| line.ends_with('\n') && step_of(line).is_some_and(|step| step <= resumed_from);
        let n_bytes: usize = text.split_inclusive('\n').take_while(is_kept).map(str::len).sum();
        // Cut, not written anew: killed here, the lines before stay.
        let file = fs_err::OpenOptions::new().create(true).append(true).open(path)?;
        file.set_len(n_bytes as u64)?;
        Ok(Self { file })
    }

    fn write(&mut self, line: &Line) -> Result<()> {
        let text = serde_json::to_string(line).map_err(std::io::Error::from)?;
        Ok(writeln!(self.file, "{text}")?)
    }
}

#[cfg(test)]
mod tests;
