//! The folder of checkpoints.

use dcgan_nn::device::Device;
use std::path::{Path, PathBuf};

use super::config::TrainSettings;
use super::start::Start;
use super::trainer::Trainer;
use crate::{GanError, Result};

/// The best checkpoint's name; the others' are their steps'.
const BEST: &str = "best.safetensors";

/// `step_NNNNNNN.safetensors`, the newest few, and `best.safetensors`.
#[derive(Debug)]
pub(super) struct Checkpoints {
    dir: PathBuf,
    n_kept: usize,
}

impl Checkpoints {
    /// The folder, which is made if it is not there. What a run that was killed left half written is removed.
    pub(super) fn open(dir: PathBuf, n_kept: u64) -> Result<Self> {
        fs_err::create_dir_all(&dir)?;
        for entry in fs_err::read_dir(&dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "partial") {
                fs_err::remove_file(path)?;
            }
        }
        Ok(Self { dir, n_kept: n_kept as usize })
    }

    fn path(&self, step: u64) -> PathBuf {
        self.dir.join(format!("step_{step:07}.safetensors"))
    }

    /// Where the best one is.
    pub(super) fn best(&self) -> PathBuf {
        self.dir.join(BEST)
    }

    /// Where the state that other parts begin with is written for a moment; left over, [`Self::open`] removes it.
    pub(super) fn shared(&self) -> PathBuf {
        self.dir.join("shared.partial")
    }

    /// The newest one's path, if there is one.
    pub(super) fn newest(&self) -> Option<PathBuf> {
        steps_in(&self.dir).ok()?.last().map(|(_, path)| path.clone())
    }

    /// The newest trainer of at most `n_steps` that can be read, else a new one. What is passed over goes to `warn`, and
    /// removed once another is found: it is not to be taken for the newest again.
    ///
    /// # Errors
    /// [`GanError::OtherSettings`] where the newest is of another training.
    pub(super) fn resume_or_new(
        &self,
        (settings, start): (&TrainSettings, &Start),
        n_steps: u64,
        device: &Device,
        warn: &mut dyn FnMut(&str),
    ) -> Result<Trainer> {
        let mut passed_over = Vec::new();
        let mut found = None;
        for (step, path) in steps_in(&self.dir)?.into_iter().rev() {
            if step > n_steps {
                warn(&format!("{} is beyond the {n_steps} minibatches asked for", path.display()));
                passed_over.push(path);
                continue;
            }
            match Trainer::resume(settings, &path, device) {
                Ok(trainer) => {
                    found = Some(trainer);
                    break;
                }
                Err(error @ GanError::OtherSettings { .. }) => return Err(error),
                Err(error) => {
                    warn(&format!("a checkpoint cannot be used: {error}"));
                    passed_over.push(path);
                }
            }
        }
        if !passed_over.is_empty() {
            match &found {
                Some(trainer) => warn(&format!("going on from minibatch {}", trainer.step())),
                None => warn("starting again from the first minibatch"),
            }
        }
        passed_over.iter().try_for_each(fs_err::remove_file)?;
        found.map_or_else(|| start.trainer(settings, device), Ok)
    }

    /// Writes a checkpoint, then removes those that are too many.
    pub(super) fn save(&self, trainer: &Trainer, notes: &[(&str, f64)]) -> Result<()> {
        trainer.save(&self.path(trainer.step()), notes)?;
        let all = steps_in(&self.dir)?;
        let n_old = all.len().saturating_sub(self.n_kept);
        Ok(all[..n_old].iter().try_for_each(|(_, path)| fs_err::remove_file(path))?)
    }
}

/// The newest checkpoint's minibatch, of those up to `end`, of a training's folder; 0 without one.
pub fn newest_step(dir: &Path, end: u64) -> u64 {
    let steps = steps_in(&dir.join(super::files::CHECKPOINTS)).unwrap_or_default();
    steps.into_iter().map(|(step, _)| step).filter(|step| *step <= end).max().unwrap_or(0)
}

/// The files `step_NNNNNNN.…` of a folder by step.
pub(super) fn steps_in(dir: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let mut steps = Vec::new();
    for entry in fs_err::read_dir(dir)? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let step = stem.strip_prefix("step_").and_then(|digits| digits.parse().ok());
        // `step_0000100.safetensors.partial` has a stem of two parts.
        steps.extend(step.map(|step| (step, path.clone())));
    }
    steps.sort_unstable();
    Ok(steps)
}
