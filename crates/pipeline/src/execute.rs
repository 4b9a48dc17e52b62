//! Runs one stage into its folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::clock::rfc3339;
use crate::context::Context;
use crate::device::DeviceChoice;
use crate::fingerprint::combine;
use crate::folder;
use crate::inputs::Location;
use crate::interrupt::Interrupted;
use crate::memo::Memo;
use crate::memory::PeakMemory;
use crate::progress::Progress;
use crate::record::{Environment, InputRecord, OutputRecord, Record, outputs, outputs_at};
use crate::space;
use crate::stages::{Outcome, StageConfig};

/// One stage about to run.
#[derive(Debug)]
pub struct Job<'a> {
    /// Its id.
    pub id: &'a str,
    /// The values of the matrix that it is for.
    pub cell: &'a [(String, String)],
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
pub fn execute(job: Job<'_>, memo: &Memo, progress: &Progress) -> anyhow::Result<Record> {
    if let Some(own) = job.config.stage().shares_folder() {
        return execute_in_place(&job, &own, memo, progress);
    }
    refuse_foreign(job.target)?;
    let info = job.config.info();
    let making = making(job.config, &job.inputs)?;
    if !folder::is_of(job.target, &making)
        && let Ok(Some(record)) = Record::read(job.target)
        && extends(&record, job.config, &job.inputs, job.device)?
    {
        progress.note(format_args!("  {}: going on from its finished run", job.id));
        folder::take_up(job.target, &making)?;
    }
    if info.is_resumable && folder::partial(job.target).exists() && !folder::is_of(job.target, &making) {
        progress.warn(format_args!(
            "{}: what an interrupted run with other settings or inputs had done is of no use to this one, and is removed",
            job.id
        ));
    }
    let kept = folder::prepare(job.target, &making, info.is_resumable)?;
    if kept {
        progress.note(format_args!("  {}: resuming from its last checkpoint", job.id));
    }
    let partial = folder::partial(job.target);
    let outputs = || outputs(&partial, memo, progress);
    let record = match run(&job, &partial, outputs, progress) {
        Ok(record) => record,
        Err(error) => return Err(given_up(&job, error, progress)),
    };
    if let Err(error) = record.write(&partial).and_then(|()| folder::commit(job.target)) {
        return Err(given_up(&job, error, progress));
    }
    memo.moved(&partial, job.target);
    Ok(record)
}

/// What somebody put beside a stage's files would go with the folder.
fn refuse_foreign(target: &Path) -> anyhow::Result<()> {
    let Ok(Some(record)) = Record::read(target) else { return Ok(()) };
    match record.foreign_files(target)?.as_slice() {
        [] => Ok(()),
        [first, rest @ ..] => {
            let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
            bail!(
                "{} holds {first}{more}, which no stage made and which would be deleted with the old folder; move it elsewhere",
                target.display()
            )
        }
    }
}

/// Looks for room on the disk, where the stage knows how much it writes.
fn has_room(job: &Job<'_>, context: &Context<'_>) -> anyhow::Result<()> {
    match job.config.stage().bytes_needed(context)? {
        // What a stage to be resumed has written is there already.
        Some(needed) => space::check(context.out, needed.saturating_sub(folder::size(context.out)?)),
        None => Ok(()),
    }
}

/// Runs a stage in its folder itself, of which only the paths `own` are its. Nothing is removed, so that a record from
/// before stays true.
fn execute_in_place(
    job: &Job<'_>,
    own: &[PathBuf],
    memo: &Memo,
    progress: &Progress,
) -> anyhow::Result<Record> {
    fs_err::create_dir_all(job.target)?;
    let outputs = || outputs_at(job.target, own, memo, progress);
    let record = run(job, job.target, outputs, progress);
    let record = record.map_err(|error| given_up(job, error, progress))?;
    record.write(job.target)?;
    Ok(record)
}

/// Runs a stage into `folder`; `outputs` fingerprints what is then there.
fn run(
    job: &Job<'_>,
    folder: &Path,
    outputs: impl FnOnce() -> anyhow::Result<BTreeMap<String, OutputRecord>>,
    progress: &Progress,
) -> anyhow::Result<Record> {
    let run_folder = match job.location {
        Location::Run(folder) => Some(folder),
        Location::Paths => None,
    };
    let context = Context::new(folder, run_folder, progress, job.device);
    has_room(job, &context)?;
    let (started, clock, memory) = (SystemTime::now(), Instant::now(), PeakMemory::start());
    let outcome = job.config.stage().run(&context)?;
    let (seconds, peak_memory_bytes) = (clock.elapsed().as_secs_f64(), memory.bytes());
    drop(memory);
    let outputs = outputs().context("cannot fingerprint what the stage wrote")?;
    Ok(Record { peak_memory_bytes, ..record(job, outcome, outputs, started, seconds)? })
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
    outputs: BTreeMap<String, OutputRecord>,
    started: SystemTime,
    seconds: f64,
) -> anyhow::Result<Record> {
    let info = job.config.info();
    let device = if info.uses_device { job.device } else { DeviceChoice::Cpu };
    Ok(Record {
        id: job.id.to_owned(),
        cell: job.cell.to_vec(),
        kind: info.name.to_owned(),
        stage_version: info.version,
        config: serde_json::to_value(job.config)?,
        inputs: job.inputs.clone(),
        outputs,
        seed: job.config.stage().seed(),
        environment: Environment::here(&device.to_string()),
        started: rfc3339(started),
        seconds,
        peak_memory_bytes: None,
        metrics: outcome.metrics,
        differences: outcome.differences,
    })
}
