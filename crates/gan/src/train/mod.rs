//! Training a generator and a discriminator against each other (section 3 and the released code).
//!
//! What is written beside the two networks serves to go on: [`files::CHECKPOINTS`] hold all that decides what comes next. A
//! run that was interrupted, or killed, ends with the bits of one that was not.

mod average;
mod checkpoints;
mod collapse;
mod config;
mod events;
pub mod files;
mod histogram;
mod kept;
mod labels;
mod log;
mod memory;
mod metrics_table;
mod parts;
mod prepare;
mod run;
mod score;
mod start;
mod state;
mod trainer;
mod updates;

use dcgan_nn::device::Device;
use std::{ops::ControlFlow, path::Path, sync::Arc};

use dcgan_images::ImageStore;
use dcgan_nn::parts::Part;

pub use checkpoints::newest_step;
pub use config::{FREE_SETTINGS, Schedule, StatisticsOver, TrainConfig, TrainSettings};
pub use kept::Kept;
pub use parts::follow;
pub use prepare::Minibatch;
pub use score::Judge;
pub use start::Start;
pub use trainer::Trainer;
pub use updates::{DiscriminatorUpdate, GeneratorUpdate};

use crate::{GanError, Result};

/// What [`train`] tells while it runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Event<'a> {
    /// A minibatch is about to be trained on.
    Minibatch {
        /// Minibatches done.
        done: u64,
        /// Minibatches in all, unless a budget of time ends it before.
        total: u64,
    },
    /// A line of [`files::METRICS`] was written. To break is of no effect before the next minibatch.
    Logged {
        /// Loss of the last update of the discriminator; not a number before the first.
        d_loss: f64,
        /// The same of the generator.
        g_loss: f64,
        /// The newest score of this run.
        score: Option<f64>,
    },
    /// Something a person should know of.
    Warning(&'a str),
}

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
    /// Step and score of the best checkpoint.
    pub best: Option<(u64, f64)>,
    /// The minibatch from which on G did not learn for a long time, if there was one.
    pub collapsed_at: Option<u64>,
    /// Seconds of training, earlier runs' included.
    pub seconds: f64,
}

/// Trains on `store` and writes [`files`] into `dir`, which must exist; `observe` hears of every minibatch and of warnings.
///
/// Every draw is a function of the seed and the step, so that a run that goes on from a checkpoint in `dir` ends with the
/// bits of an uninterrupted one. A checkpoint that is damaged is passed over with a warning for the one before. The
/// pictures beyond the last whole minibatch of an epoch are left out.
///
/// # Errors
/// Where a setting is out of range, the pictures do not fit the network, the checkpoint in `dir` is of other settings, a
/// file cannot be written; [`GanError::Diverged`] where a loss, a gradient or a weight is no longer finite, with the
/// checkpoints left as they were; [`GanError::Interrupted`] where `observe` breaks at a minibatch, after a checkpoint was
/// written.
pub fn train(
    store: &ImageStore,
    config: &TrainConfig,
    dir: &Path,
    device: &Device,
    observe: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
) -> Result<TrainSummary> {
    train_from(&Start::default(), store, config, dir, device, observe)
}

/// [`train`] that begins with the weights of trained networks, where there is no checkpoint in `dir` yet.
///
/// # Errors
/// As [`train`]; [`GanError::OtherNetwork`] where a network that it is to begin with is another one.
pub fn train_from(
    start: &Start,
    store: &ImageStore,
    config: &TrainConfig,
    dir: &Path,
    device: &Device,
    observe: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
) -> Result<TrainSummary> {
    let how = How { start: start.clone(), ..How::default() };
    train_as(&how, store, config, dir, device, observe)
}

/// What a training may have beside its settings.
#[derive(Clone, Default)]
pub struct How<'a> {
    /// The weights to begin with, where there is no checkpoint yet.
    pub start: Start,
    /// What gives the score, in place of the built-in one.
    pub judge: Option<&'a dyn Judge>,
    /// The first part of a training on several devices: the others, in processes of their own, are in [`follow`]. This one alone writes.
    pub part: Option<Arc<Part>>,
}

/// [`train_from`] with all that a training may have.
///
/// # Errors
/// As [`train_from`], what the judge reports, and [`NnError::Part`](dcgan_nn::NnError::Part) where another part has ended.
pub fn train_as(
    how: &How<'_>,
    store: &ImageStore,
    config: &TrainConfig,
    dir: &Path,
    device: &Device,
    observe: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
) -> Result<TrainSummary> {
    let settings = config.resolve()?;
    if let Some(part) = &how.part {
        parts::check(part, &settings)?;
    }
    let steps_per_epoch = (store.len() / settings.batch_size) as u64;
    if steps_per_epoch == 0 {
        let expected = format!("at most the number of pictures, {}", store.len());
        let found = settings.batch_size.to_string();
        return Err(GanError::Setting { key: "batch_size", expected, found });
    }
    let n_steps = settings.max_steps.unwrap_or(u64::MAX).min(settings.epochs.saturating_mul(steps_per_epoch));
    let labels = labels::of(store, settings.architecture)?;
    let mut run =
        run::Run::open(store, (&settings, &how.start), steps_per_epoch, n_steps, dir, device, observe)?;
    run.judge = how.judge;
    if let Some(part) = &how.part {
        run.lead(part, observe)?;
    }
    let work = prepare::Work {
        store,
        labels: labels.as_deref(),
        settings: &settings,
        rows: how.part.as_ref().map_or(0..settings.batch_size, |part| part.rows(settings.batch_size)),
        steps_per_epoch,
        device,
        steps: run.step()..n_steps,
    };
    // The receiver goes into the closure, so that the thread ends whenever the training does.
    let trained = std::thread::scope(|scope| {
        let batches = prepare::start(scope, work)?;
        run.train(batches, observe)
    });
    if let Some(part) = &how.part {
        parts::tell_of_end(part);
    }
    match trained {
        Ok(()) => run.finish(),
        Err(GanError::Diverged { step, network, what, value, .. }) => {
            let checkpoint = run.newest_checkpoint();
            Err(GanError::Diverged { step, network, what, value, checkpoint })
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod conditional_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
