//! Training the autoencoder (section 4.1.1).
//!
//! Per minibatch of pictures x, two corrupted copies x₁ and x₂ of each (cut, brightened, with noise), with
//! a = W·x + b, σ the standard deviation of each unit and m a dropout mask:
//!
//! loss = mean((V·(m ∘ relu(a₁)) + c − x)²) + together · mean(((a₁ − a₂)/σ)²) + balance · mean((mean(a₁)/σ)²)

mod config;
mod copies;
mod network;
mod trainer;

use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use candle_core::Tensor;
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

    let n_steps = (config.epochs * steps_per_epoch).max(config.min_minibatches);
    let checkpoint = dir.join(files::CHECKPOINT);
    let copies = Copies { store, config };
    let kept_out = copies.inputs(&validation)?;
    let mut trainer = Trainer::resume_or_new(config, &checkpoint)?;
    let resumed_from = trainer.step;
    let mut curve = Curve::open(&dir.join(files::METRICS), resumed_from)?;
    let mut saved = Instant::now();
    let mut order = Order { training: &training, config, steps_per_epoch, epoch: None, indices: Vec::new() };
    let mut batch = copies.batch(&order.of(trainer.step), trainer.step);
    while trainer.step < n_steps {
        if observe(trainer.step, n_steps).is_break() {
            trainer.save(&checkpoint)?;
            return Err(DedupError::Interrupted);
        }
        let next = trainer.step + 1;
        let indices = if next < n_steps { order.of(next) } else { Vec::new() };
        let done = trainer.step as f64 / n_steps as f64;
        // The next minibatch is made beside the step.
        let (losses, made) = rayon::join(|| trainer.minibatch(&batch, done), || copies.batch(&indices, next));
        let losses = losses?;
        batch = made;
        if trainer.step.is_multiple_of(steps_per_epoch) || trainer.step == n_steps {
            let validation_reconstruction = reconstruction_error(&trainer.model()?, kept_out.as_ref())?;
            let (step, epoch) = (trainer.step, trainer.step.div_ceil(steps_per_epoch));
            curve.write(&Line { step, epoch, losses, validation_reconstruction })?;
        }
        if saved.elapsed() > Duration::from_secs_f64(60.0 * config.checkpoint_minutes) {
            trainer.save(&checkpoint)?;
            saved = Instant::now();
        }
    }
    trainer.save(&checkpoint)?;
    let mut model = trainer.model()?;
    let validation_reconstruction = reconstruction_error(&model, kept_out.as_ref())?;
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

/// The order in which the training pictures are seen.
struct Order<'a> {
    training: &'a [u32],
    config: &'a TrainConfig,
    steps_per_epoch: u64,
    /// The epoch whose order is at hand.
    epoch: Option<u64>,
    indices: Vec<u32>,
}

impl Order<'_> {
    /// The pictures of a step.
    fn of(&mut self, step: u64) -> Vec<u32> {
        let epoch = step / self.steps_per_epoch;
        if self.epoch.replace(epoch) != Some(epoch) {
            self.indices = batches::shuffled(self.training.len(), self.config.seed, epoch);
        }
        let first = (step % self.steps_per_epoch) as usize * self.config.batch_size;
        let indices = &self.indices[first..first + self.config.batch_size];
        indices.iter().map(|&k| self.training[k as usize]).collect()
    }
}

fn reconstruction_error(model: &Autoencoder, kept_out: Option<&Tensor>) -> Result<Option<f64>> {
    let Some(clean) = kept_out else { return Ok(None) };
    let outputs = model.decode(&model.pre_activations(clean)?.relu()?)?;
    Ok(Some(f64::from((outputs - clean)?.sqr()?.mean_all()?.to_scalar::<f32>()?)))
}

/// Sets the thresholds by the rule, and returns for each bit the share of training pictures that set it.
fn set_thresholds(model: &mut Autoencoder, copies: &Copies<'_>, training: &[u32]) -> Result<Vec<f64>> {
    let measured = &training[..training.len().min(MAX_MEASURED)];
    let mut by_unit: Vec<Vec<f32>> = vec![Vec::new(); CODE_BITS];
    for indices in measured.chunks(1_000) {
        let Some(inputs) = copies.inputs(indices)? else { continue };
        let activations = model.pre_activations(&inputs)?.relu()?;
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
