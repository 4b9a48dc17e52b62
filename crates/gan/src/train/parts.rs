//! A training on several devices: what its first part tells the others, and what these do.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dcgan_images::ImageStore;
use dcgan_nn::device::Device;
use dcgan_nn::parts::Part;
use serde::{Deserialize, Serialize};

use super::config::TrainSettings;
use super::labels;
use super::prepare::{self, Work, next_of};
use super::trainer::Trainer;
use crate::{GanError, Result};

/// What another part begins with.
#[derive(Debug, Serialize, Deserialize)]
struct Beginning {
    images: PathBuf,
    settings: TrainSettings,
    steps_per_epoch: u64,
    n_steps: u64,
    /// A file that holds the first part's state.
    state: PathBuf,
}

/// What is said after the last minibatch.
const END: &[u8] = &[];

/// Refuses minibatches that are not cut evenly, or too small for batch norm.
pub(super) fn check(part: &Part, settings: &TrainSettings) -> Result<()> {
    let (n, found) = (part.count(), settings.batch_size);
    match found.is_multiple_of(n) && found / n >= 2 {
        true => Ok(()),
        false => Err(GanError::Setting {
            key: "batch_size",
            expected: format!("a multiple of {n}, the number of devices, and at least {}", 2 * n),
            found: found.to_string(),
        }),
    }
}

/// Has the others begin where `trainer` is, which takes part in `part` from then on. `state` is written for it, and removed.
pub(super) fn lead(
    part: &Arc<Part>,
    trainer: &mut Trainer,
    store: &ImageStore,
    (steps_per_epoch, n_steps): (u64, u64),
    state: &Path,
    warn: &mut dyn FnMut(&str),
) -> Result<()> {
    trainer.save(state, &[])?;
    let absolute = |path: &Path| std::path::absolute(path);
    let beginning = Beginning {
        images: absolute(store.folder())?,
        settings: trainer.settings.clone(),
        steps_per_epoch,
        n_steps,
        state: absolute(state)?,
    };
    part.tell(&serde_json::to_vec(&beginning).map_err(|e| GanError::Io(e.into()))?)?;
    part.meet()?;
    fs_err::remove_file(state)?;
    if let Some(missing) = part.join_gpus(trainer.device())? {
        warn(&format!("gradients go through this machine's memory, which takes longer: {missing}"));
    }
    trainer.part = Some(part.clone());
    Ok(())
}

/// Has the others do a minibatch with this learning rate.
pub(super) fn tell_of_minibatch(part: &Part, learning_rate: f64) -> Result<()> {
    Ok(part.tell(&learning_rate.to_le_bytes())?)
}

/// Tells the others that there are no more minibatches. One that has ended already is not missed.
pub(super) fn tell_of_end(part: &Part) {
    let _ = part.tell(END);
}

/// Takes part in a training that another process leads, on `device`, to its end.
///
/// # Errors
/// Where the pictures or the state cannot be read, or the first part ends without a word. A divergence is the first
/// part's to report.
pub fn follow(part: Part, device: &Device) -> Result<()> {
    let part = Arc::new(part);
    let damaged = |e: serde_json::Error| GanError::Io(e.into());
    let Beginning { images, settings, steps_per_epoch, n_steps, state } =
        serde_json::from_slice(&part.hear()?).map_err(damaged)?;
    let store = ImageStore::open(&images)?;
    let labels = labels::of(&store, settings.architecture)?;
    let mut trainer = Trainer::resume(&settings, &state, device)?;
    part.meet()?;
    part.join_gpus(device)?;
    trainer.part = Some(part.clone());
    let rows = part.rows(settings.batch_size);
    let steps = trainer.step()..n_steps;
    let (store, settings) = (&store, &settings);
    let work = Work { store, labels: labels.as_deref(), settings, rows, steps_per_epoch, device, steps };
    std::thread::scope(|scope| {
        let batches = prepare::start(scope, work)?;
        let mut next = next_of(&batches);
        loop {
            let told = part.hear()?;
            let Ok(learning_rate) = told.try_into().map(f64::from_le_bytes) else { return Ok(()) };
            trainer.set_learning_rate(learning_rate);
            match trainer.minibatch(&mut next) {
                Err(GanError::Diverged { .. }) => return Ok(()),
                done => done?,
            }
        }
    })
}

#[cfg(test)]
mod tests;
