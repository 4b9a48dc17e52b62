//! Runs one stage into its folder.

use std::path::Path;
use std::time::{Instant, SystemTime};

use anyhow::Context as _;
use serde_json::Value;

use crate::clock::rfc3339;
use crate::context::Context;
use crate::device::DeviceChoice;
use crate::fingerprint::combine;
use crate::folder;
use crate::inputs::Location;
use crate::interrupt::Interrupted;
use crate::memo::Memo;
use crate::progress::Progress;
use crate::record::{Environment, InputRecord, Record, outputs};
use crate::stages::{Outcome, StageConfig};

/// One stage about to run.
#[derive(Debug)]
pub struct Job<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its configuration.
    pub config: &'a StageConfig,
    /// The folder it will fill.
    pub target: &'a Path,
    /// Where its inputs are found.
    pub location: Location<'a>,
    /// Its inputs with their fingerprints.
    pub inputs: Vec<InputRecord>,
    /// The device to run networks on.
    pub device: DeviceChoice,
}

/// By what a partial folder is known to be of the same making: the kind and its version, the inputs, and the configuration
/// without the keys that are free to change.
///
/// # Errors
/// If the configuration cannot be written as JSON.
pub fn making(config: &StageConfig, inputs: &[InputRecord]) -> anyhow::Result<String> {
    Ok(making_of(&serde_json::to_value(config)?, config, inputs))
}

/// [`making`] of a configuration as a record has it, of the same kind as `like`.
fn making_of(recorded: &Value, like: &StageConfig, inputs: &[InputRecord]) -> String {
    let mut recorded = recorded.clone();
    for key in like.stage().free_keys() {
        let pointer = format!("/{}/{}", like.info().name, key.replace('.', "/"));
        if let Some(value) = recorded.pointer_mut(&pointer) {
            *value = Value::Null;
        }
    }
    let (json, version) = (recorded.to_string(), like.info().version.to_string());
    let head = [("config", json.as_str()), ("version", version.as_str())];
    let inputs = inputs.iter().map(|input| (input.name.as_str(), input.fingerprint.as_str()));
    combine(head.into_iter().chain(inputs))
}

/// True if the stage ran to its end with other values of its free keys only: what it left serves to go on.
///
/// # Errors
/// If the configuration cannot be written as JSON.
pub fn extends(
    record: &Record,
    config: &StageConfig,
    inputs: &[InputRecord],
    device: DeviceChoice,
) -> anyhow::Result<bool> {
    let info = config.info();
    Ok(info.is_resumable
        && (record.kind.as_str(), record.stage_version) == (info.name, info.version)
        && record.environment.device == device.to_string()
        && record.config != serde_json::to_value(config)?
        && making_of(&record.config, config, &record.inputs) == making(config, inputs)?)
}

/// Runs a stage beside its folder, and puts the result in its place when it is complete.
///
/// # Errors
/// Whatever went wrong; [`Interrupted`] if it was asked to stop. The stage's folder is then as it was before.
pub fn execute(job: Job<'_>, memo: &mut Memo, progress: &Progress) -> anyhow::Result<Record> {
    let info = job.config.info();
    let making = making(job.config, &job.inputs)?;
    if !folder::is_of(job.target, &making)
        && let Ok(Some(record)) = Record::read(job.target)
        && extends(&record, job.config, &job.inputs, job.device)?
    {
        progress.note(format_args!("  {}: going on from its finished run", job.id));
        folder::take_up(job.target, &making)?;
    }
    let kept = folder::prepare(job.target, &making, info.is_resumable)?;
    if kept {
        progress.note(format_args!("  {}: resuming from its last checkpoint", job.id));
    }
    let partial = folder::partial(job.target);
    let run_folder = match job.location {
        Location::Run(folder) => Some(folder),
        Location::Paths => None,
    };
    let context = Context::new(&partial, run_folder, progress, job.device);
    let (started, clock) = (SystemTime::now(), Instant::now());
    let outcome = match job.config.stage().run(&context) {
        Ok(outcome) => outcome,
        Err(error) => return Err(given_up(&job, error, progress)),
    };
    let seconds = clock.elapsed().as_secs_f64();
    let record = match record(&job, outcome, started, seconds, memo, progress) {
        Ok(record) => record,
        Err(error) => return Err(given_up(&job, error, progress)),
    };
    record.write(&partial)?;
    folder::commit(job.target)?;
    memo.moved(&partial, job.target);
    Ok(record)
}

/// Cleans up after a stage that did not end well.
fn given_up(job: &Job<'_>, error: anyhow::Error, progress: &Progress) -> anyhow::Error {
    let is_resumable = job.config.info().is_resumable;
    if !is_resumable && let Err(error) = folder::discard(job.target) {
        progress.warn(format_args!("{error:#}"));
    }
    if progress.interrupt().is_requested() {
        Interrupted { stage: job.id.to_owned(), is_resumable }.into()
    } else {
        error.context(format!("stage `{}` ({}) failed", job.id, job.config.info().name))
    }
}

fn record(
    job: &Job<'_>,
    outcome: Outcome,
    started: SystemTime,
    seconds: f64,
    memo: &mut Memo,
    progress: &Progress,
) -> anyhow::Result<Record> {
    let info = job.config.info();
    let partial = folder::partial(job.target);
    let device = if info.uses_device { job.device } else { DeviceChoice::Cpu };
    Ok(Record {
        id: job.id.to_owned(),
        kind: info.name.to_owned(),
        stage_version: info.version,
        config: serde_json::to_value(job.config)?,
        inputs: job.inputs.clone(),
        outputs: outputs(&partial, memo, progress).context("cannot fingerprint what the stage wrote")?,
        seed: job.config.stage().seed(),
        environment: Environment::here(&device.to_string()),
        started: rfc3339(started),
        seconds,
        metrics: outcome.metrics,
        differences: outcome.differences,
    })
}
