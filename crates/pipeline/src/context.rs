//! What a running stage is given.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use candle_core::Device;
use serde::Serialize;

use crate::device::DeviceChoice;
use crate::progress::{Progress, Task};
use crate::stages::Input;

/// Given to [`Stage::run`](crate::stages::Stage::run).
#[derive(Debug)]
pub struct Context<'a> {
    /// The folder to write into; it becomes the stage's folder when the stage is complete.
    pub out: &'a Path,
    /// Folder in which the folders of inputs named by id lie; none for a stage run alone, whose inputs are paths.
    run_folder: Option<&'a Path>,
    progress: &'a Progress,
    choice: DeviceChoice,
    device: OnceCell<Device>,
}

impl<'a> Context<'a> {
    /// A context for one stage.
    pub fn new(
        out: &'a Path,
        run_folder: Option<&'a Path>,
        progress: &'a Progress,
        choice: DeviceChoice,
    ) -> Self {
        Self { out, run_folder, progress, choice, device: OnceCell::new() }
    }

    /// The folder of an input.
    pub fn input(&self, input: &Input) -> PathBuf {
        input.folder(self.run_folder)
    }

    /// The device networks run on, opened when first asked for.
    ///
    /// # Errors
    /// See [`DeviceChoice::open`].
    pub fn device(&self) -> anyhow::Result<&Device> {
        if let Some(device) = self.device.get() {
            return Ok(device);
        }
        let device = self.choice.open()?;
        Ok(self.device.get_or_init(|| device))
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
