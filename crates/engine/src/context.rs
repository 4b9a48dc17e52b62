//! What a running stage is given.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cluster::Cluster;
use crate::input::Input;
use crate::progress::{Progress, Task};

/// Where a stage runs.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The name of the device that networks compute on.
    pub device: &'a str,
    /// Where work that can be divided is done; none: here.
    pub cluster: Option<&'a Cluster>,
}

/// Given to [`Stage::run`](crate::stage::Stage::run).
#[derive(Debug)]
pub struct Context<'a> {
    /// The folder to write into; it becomes the stage's folder when the stage is complete.
    pub out: &'a Path,
    /// Folder in which the folders of inputs named by id lie; none for a stage run alone, whose inputs are paths.
    run_folder: Option<&'a Path>,
    progress: &'a Progress,
    device: &'a str,
    cluster: Option<&'a Cluster>,
}

impl<'a> Context<'a> {
    /// A context for one stage.
    pub fn new(
        out: &'a Path,
        run_folder: Option<&'a Path>,
        progress: &'a Progress,
        place: Place<'a>,
    ) -> Self {
        let Place { device, cluster } = place;
        Self { out, run_folder, progress, device, cluster }
    }

    /// The folder of an input.
    pub fn input(&self, input: &Input) -> PathBuf {
        input.folder(self.run_folder)
    }

    /// The name of the device to compute on, as `--device` gave it.
    pub fn device(&self) -> &'a str {
        self.device
    }

    /// Where the stage's work is to be divided; none, and why is said, where it cannot be, for one of the reasons that holds, or was begun
    /// here.
    ///
    /// # Errors
    /// If the stage's folder cannot be read.
    pub fn cluster(&self, unless: &[(&str, bool)]) -> anyhow::Result<Option<&'a Cluster>> {
        let Some(cluster) = self.cluster else { return Ok(None) };
        let begun = [("it was begun here", Cluster::has_begun_elsewhere(self.out)?)];
        match unless.iter().chain(&begun).find(|(_, holds)| *holds) {
            None => Ok(Some(cluster)),
            Some((why, _)) => {
                self.progress.note(format_args!("  not on the cluster {}: {why}", cluster.scheduler));
                Ok(None)
            }
        }
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
