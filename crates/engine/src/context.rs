//! What a running stage is given.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::input::Input;
use crate::progress::{Progress, Task};

/// Given to [`Stage::run`](crate::stage::Stage::run).
#[derive(Debug)]
pub struct Context<'a> {
    /// The folder to write into; it becomes the stage's folder when the stage is complete.
    pub out: &'a Path,
    /// Folder in which the folders of inputs named by id lie; none for a stage run alone, whose inputs are paths.
    run_folder: Option<&'a Path>,
    progress: &'a Progress,
    device: &'a str,
}

impl<'a> Context<'a> {
    /// A context for one stage.
    pub fn new(out: &'a Path, run_folder: Option<&'a Path>, progress: &'a Progress, device: &'a str) -> Self {
        Self { out, run_folder, progress, device }
    }

    /// The folder of an input.
    pub fn input(&self, input: &Input) -> PathBuf {
        input.folder(self.run_folder)
    }

    /// The name of the device to compute on, as `--device` gave it.
    pub fn device(&self) -> &'a str {
        self.device
    }

    /// A progress bar that also listens for interruption.
    pub fn task(&self, what: &str, unit: &'static str) -> Task {
        self.progress.task(what, unit)
    }

    /// Where the stage may say things.
    pub fn progress(&self) -> &Progress {
        self.progress
    }

    /// Writes a JSON file into the stage's folder.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> anyhow::Result<()> {
        let bytes = serde_json::to_vec_pretty(value)?;
        Ok(fs_err::write(self.out.join(name), bytes)?)
    }
}
