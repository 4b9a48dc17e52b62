//! The checkpoints that a training keeps, for those who look at its course.

use std::path::{Path, PathBuf};

use candle_core::Device;
use dcgan_nn::checkpoint::Checkpoint;

use super::average::PREFIX;
use super::checkpoints::steps_in;
use super::files;
use crate::{Generator, GeneratorConfig, Result};

/// A checkpoint in a training's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Minibatches done.
    pub step: u64,
    path: PathBuf,
}

impl Kept {
    /// All in a training's folder by their minibatches, `best.safetensors` left aside; none where it has no such folder.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn of(dir: &Path) -> Result<Vec<Self>> {
        let dir = dir.join(files::CHECKPOINTS);
        if !dir.is_dir() {
            return Ok(Vec::new());
        }
        let is_whole = |path: &Path| path.extension().is_some_and(|ending| ending == "safetensors");
        let kept = steps_in(&dir)?.into_iter().filter(|(_, path)| is_whole(path));
        Ok(kept.map(|(step, path)| Self { step, path }).collect())
    }

    /// The generator at that minibatch, of the training's sizes; or the average of its weights.
    ///
    /// # Errors
    /// Where the file is damaged, or has no average.
    pub fn generator(
        &self,
        config: &GeneratorConfig,
        is_average: bool,
        device: &Device,
    ) -> Result<Generator> {
        let checkpoint = Checkpoint::load(&self.path, device)?;
        let prefix = if is_average { PREFIX } else { "generator." };
        Generator::from_checkpoint(config.clone(), &checkpoint, &self.path, prefix)
    }
}
