//! Runs one stage into its folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use anyhow::{Context as _, bail};

use crate::cache::FingerprintCache;
use crate::clock::rfc3339;
use crate::cluster;
use crate::context::{Context, Place};
use crate::disk;
use crate::fingerprint::files_under;
use crate::folder::Target;
use crate::hidden::Hidden;
use crate::inputs::{Location, gather};
use crate::interrupt::Interrupted;
use crate::kept;
use crate::kind::{Registry, StageConfig};
use crate::paper::{Comparison, of_keys};
use crate::progress::Progress;
use crate::record::{Environment, InputRecord, OutputRecord, Record, outputs, outputs_at};
use crate::space;
use crate::stage::Outcome;
use crate::staleness::damage;
use crate::usage::Usage;
use crate::version::{Version, extends};

/// The device of stages that use none.
pub const CPU: &str = "cpu";

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
    /// Where it runs.
    pub place: Place<'a>,
}

/// Runs a stage in the hidden folder beside its own, and puts the result in its place when it is complete; what was there is
/// kept. The stage must be locked.
///
/// # Errors
/// Whatever went wrong; [`Interrupted`] if it was asked to stop. The stage's folder is then as it was before.
pub fn execute(job: Job<'_>, cache: &FingerprintCache, progress: &Progress) -> anyhow::Result<Record> {
    if job.config.stage().shares_folder() {
        return execute_in_place(&job, cache, progress);
    }
    let target = Target::at(job.target)?;
    target.check_way()?;
    refuse_foreign(&target, job.config.registry())?;
    let version = Version::of(job.config, &job.inputs)?;
    let work = if job.config.kind().traits.is_resumable {
        go_on(&job, &target, &version, cache, progress)?
    } else {
        target.new_work(&version)?
    };
    let outputs = || outputs(&work, cache, progress);
    let made = run(&job, &work, outputs, progress).and_then(|record| {
        inputs_are_as_before(&job, cache, progress)?;
        disk::sync(&work)?;
        record.write(&work, &work)?;
        Ok(record)
    });
    let record = match made {
        Ok(record) => record,
        Err(error) => return Err(given_up(&job, &target, &work, error, progress)),
    };
    replace(&job, &target, &work, cache, progress)?;
    drop_passed(&job, &target, &version)?;
    Ok(record)
}

/// Puts a complete version in the stage's place and keeps the one that was there, unless both are the same.
fn replace(
    job: &Job<'_>,
    target: &Target,
    work: &Path,
    cache: &FingerprintCache,
    progress: &Progress,
) -> anyhow::Result<()> {
    let aside = target.put_in_place(work, job.config.registry())?;
    if let Some(aside) = &aside {
        cache.moved(target.folder(), aside);
    }
    cache.moved(work, target.folder());
    let Some(aside) = aside else { return Ok(()) };
    if is_twin(&aside, target.folder(), job.config.registry(), cache, progress)? {
        return target.remove(&aside);
    }
    progress.note(format_args!("  {}: the version before is kept in {}", job.id, aside.display()));
    Ok(())
}

/// True if a version was made from the same as another, has the same files, and nobody has changed it since.
fn is_twin(
    of: &Path,
    other: &Path,
    registry: &'static Registry,
    cache: &FingerprintCache,
    progress: &Progress,
) -> anyhow::Result<bool> {
    let (Ok(Some(a)), Ok(Some(b))) = (Record::read(of), Record::read(other)) else { return Ok(false) };
    Ok(Version::of_record(&a, registry) == Version::of_record(&b, registry)
        && a.outputs == b.outputs
        && a.environment.device == b.environment.device
        && damage(of, &a, cache, progress)?.is_empty())
}

/// Puts a version that was kept in the stage's place, where nothing would come out other than what it holds; of another stage's
/// version, its files under this stage's name. The stage must be locked.
///
/// # Errors
/// If somebody put files beside the stage's, or a folder cannot be moved.
pub fn restore(job: &Job<'_>, kept: &Path, cache: &FingerprintCache) -> anyhow::Result<()> {
    let target = Target::at(job.target)?;
    target.check_way()?;
    refuse_foreign(&target, job.config.registry())?;
    let own = if target.owns(kept) { kept.to_owned() } else { adopt(job, &target, kept)? };
    if let Some(aside) = target.put_in_place(&own, job.config.registry())? {
        cache.moved(target.folder(), &aside);
    }
    cache.moved(&own, target.folder());
    Ok(())
}

/// The files of another stage that was made from the same, with a record of this one.
fn adopt(job: &Job<'_>, target: &Target, from: &Path) -> anyhow::Result<PathBuf> {
    let found = Record::read(from)?.with_context(|| format!("{} is gone", from.display()))?;
    let work = target.link(from, &Version::of(job.config, &job.inputs)?)?;
    let record = Record {
        id: job.id.to_owned(),
        cell: job.cell.to_vec(),
        config: serde_json::to_value(job.config)?,
        inputs: job.inputs.clone(),
        ..found
    };
    disk::sync(&work)?;
    record.write(&work, &work)?;
    Ok(work)
}

/// The folder of a stage that can be resumed: with what an interrupted run of the same making left, or a finished one, whichever
/// got further.
fn go_on(
    job: &Job<'_>,
    target: &Target,
    version: &Version,
    cache: &FingerprintCache,
    progress: &Progress,
) -> anyhow::Result<PathBuf> {
    let stage = job.config.stage();
    let reached = |folder: &PathBuf| stage.reached(folder, stage.end());
    let own = target.partial(version);
    let mut half_done = target.half_done();
    half_done.retain(|folder| version.has_making_of(folder));
    let mut finished = Vec::new();
    for folder in std::iter::once(target.folder().to_owned()).chain(target.kept()) {
        if let Ok(Some(record)) = Record::read(&folder)
            && extends(&record, job.config, &job.inputs, job.place.device)?
            && damage(&folder, &record, cache, progress)?.is_empty()
        {
            finished.push(folder);
        }
    }
    // Of those that got equally far the last one counts: what was half done of this very version.
    let is_own = |folder: &PathBuf| *folder == own;
    let mut all: Vec<&PathBuf> = finished.iter().chain(&half_done).collect();
    all.sort_by_key(|folder| (reached(folder), is_own(folder)));
    let is_begun = |folder: &&PathBuf| !files_under(folder).is_ok_and(|files| files.is_empty());
    let all_begun = target.half_done();
    let others = all_begun.iter().filter(|folder| !half_done.contains(folder)).filter(is_begun).count();
    match all.last() {
        Some(base) if finished.contains(base) => {
            progress.note(format_args!("  {}: going on from its finished run", job.id));
            target.take_up(base, version)?;
        }
        Some(base) if **base != own => target.take_up(base, version)?,
        Some(_) => {}
        None if others > 0 => progress.note(format_args!(
            "  {}: what {others} interrupted {} with other settings or inputs had done is kept, and goes on when these come back",
            job.id,
            if others == 1 { "run" } else { "runs" }
        )),
        None => {}
    }
    let (folder, has_begun) = target.resume(version)?;
    if has_begun && !all.last().is_some_and(|base| finished.contains(base)) {
        progress.note(format_args!("  {}: resuming from its last checkpoint", job.id));
    }
    Ok(folder)
}

/// Removes what interrupted runs of the same making had half done, where the finished stage got as far.
fn drop_passed(job: &Job<'_>, target: &Target, version: &Version) -> anyhow::Result<()> {
    let stage = job.config.stage();
    let reached = |folder: &Path| stage.reached(folder, u64::MAX);
    let passed =
        |folder: &PathBuf| version.has_making_of(folder) && reached(folder) <= reached(target.folder());
    target.half_done().iter().filter(|folder| passed(folder)).try_for_each(|folder| target.remove(folder))
}

/// What somebody put beside a stage's files would go with the folder.
fn refuse_foreign(target: &Target, registry: &Registry) -> anyhow::Result<()> {
    let Ok(Some(record)) = Record::read(target.folder()) else { return Ok(()) };
    match record.foreign_files(target.folder(), registry)?.as_slice() {
        [] => Ok(()),
        [first, rest @ ..] => {
            let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
            bail!(
                "{} holds {first}{more}, which no stage made and which would be moved away with the old version; move it elsewhere",
                target.folder().display()
            )
        }
    }
}

/// Looks for room on the disk, where the stage knows how much it writes.
fn has_room(job: &Job<'_>, context: &Context<'_>) -> anyhow::Result<()> {
    let Some(needed) = job.config.stage().bytes_needed(context)? else { return Ok(()) };
    // What a stage to be resumed has written is there already.
    let checked = space::check(context.out, needed.saturating_sub(disk::size(context.out)?));
    checked.map_err(|error| {
        let versions = kept::in_folder(job.target.parent().unwrap_or(job.target));
        match versions.iter().map(|version| version.bytes).sum() {
            0 => error,
            bytes => error.context(format!(
                "versions of stages that are kept take {}; `dcgan gc --help` says how to free some",
                space::bytes(bytes)
            )),
        }
    })
}

/// Runs a stage in its folder itself, where not every file is its. Nothing is removed, so that a record from before stays true.
fn execute_in_place(job: &Job<'_>, cache: &FingerprintCache, progress: &Progress) -> anyhow::Result<Record> {
    fs_err::create_dir_all(job.target)?;
    let outputs = || outputs_at(job.target, &job.config.stage().own_files(job.target)?, cache, progress);
    let record = run(job, job.target, outputs, progress);
    let record = record.and_then(|record| inputs_are_as_before(job, cache, progress).map(|()| record));
    let record = record.map_err(|error| not_done(job, true, error, progress))?;
    record.write(job.target, Hidden::open(job.target)?.root())?;
    Ok(record)
}

/// Fails if an input is not what it was when the stage began: nobody knows then which of both was read.
fn inputs_are_as_before(job: &Job<'_>, cache: &FingerprintCache, progress: &Progress) -> anyhow::Result<()> {
    let now = gather(job.config, job.location, cache, progress)?;
    let mut changed =
        job.inputs.iter().zip(&now).filter(|(before, now)| before.fingerprint != now.fingerprint);
    if let Some((input, _)) = changed.next() {
        bail!("its input `{}` ({}) changed while it was read; run it again", input.key, input.name);
    }
    for input in job.config.stage().inputs() {
        let folder = job.location.folder(input.name);
        let Ok(Some(record)) = Record::read(&folder) else { continue };
        if let Some(reason) = damage(&folder, &record, cache, progress)?.first() {
            bail!("its input `{}` ({}) changed while it was read: {reason}", input.key, input.name.as_str());
        }
    }
    Ok(())
}

/// Runs a stage into `folder`; `outputs` fingerprints what is then there.
fn run(
    job: &Job<'_>,
    folder: &Path,
    outputs: impl FnOnce() -> anyhow::Result<BTreeMap<String, OutputRecord>>,
    progress: &Progress,
) -> anyhow::Result<Record> {
    let context = Context::new(folder, job.location.run_folder(), progress, job.place);
    has_room(job, &context)?;
    if job.place.cluster.is_none() {
        cluster::forget(folder)?;
    }
    let (started, clock, usage) = (SystemTime::now(), Instant::now(), Usage::start());
    let outcome = job.config.stage().run(&context)?;
    let seconds = clock.elapsed().as_secs_f64();
    let (cpu_seconds, peak_memory_bytes) = (usage.cpu_seconds(), usage.peak_memory_bytes());
    drop(usage);
    let outputs = outputs().context("cannot fingerprint what the stage wrote")?;
    let record = record(job, outcome, outputs, started, seconds)?;
    // Of a stage that went on where it had been interrupted only the last part is known.
    let cpu_seconds = cpu_seconds.filter(|_| record.seconds == seconds);
    Ok(Record { cpu_seconds, peak_memory_bytes, ..record })
}

/// Cleans up after a stage that did not end well.
fn given_up(
    job: &Job<'_>,
    target: &Target,
    work: &Path,
    error: anyhow::Error,
    progress: &Progress,
) -> anyhow::Error {
    // What failed before it wrote anything left nothing to go on from.
    let has_begun = !files_under(work).is_ok_and(|files| files.is_empty());
    if (!job.config.kind().traits.is_resumable || !has_begun)
        && let Err(error) = target.remove(work)
    {
        progress.warn(format_args!("{error:#}"));
    }
    not_done(job, has_begun, error, progress)
}

/// Why a stage did not end well.
fn not_done(job: &Job<'_>, has_begun: bool, error: anyhow::Error, progress: &Progress) -> anyhow::Error {
    let is_resumable = job.config.kind().traits.is_resumable && has_begun;
    if progress.interrupt().is_requested() {
        Interrupted { stage: job.id.to_owned(), is_resumable }.into()
    } else {
        error.context(format!("stage `{}` ({}) failed", job.id, job.config.kind().name))
    }
}

fn record(
    job: &Job<'_>,
    outcome: Outcome,
    outputs: BTreeMap<String, OutputRecord>,
    started: SystemTime,
    seconds: f64,
) -> anyhow::Result<Record> {
    let kind = job.config.kind();
    let Comparison { differences, not_checked, equal } = compared(job.config, outcome.differences)?;
    let device = if kind.traits.uses_device { job.place.device } else { CPU };
    Ok(Record {
        id: job.id.to_owned(),
        cell: job.cell.to_vec(),
        kind: kind.name.to_owned(),
        stage_version: kind.version,
        config: serde_json::to_value(job.config)?,
        inputs: job.inputs.clone(),
        outputs,
        seed: job.config.stage().seed(),
        environment: Environment::here(device),
        started: rfc3339(started),
        // A stage that went on where it had been interrupted tells its time in all.
        seconds: outcome.metrics["training_seconds"].as_f64().map_or(seconds, |in_all| in_all.max(seconds)),
        cpu_seconds: None,
        peak_memory_bytes: None,
        metrics: outcome.metrics,
        differences,
        not_checked,
        equal,
    })
}

/// How a stage that ran compares with the paper: by its settings, then by what it found itself.
fn compared(config: &StageConfig, found: Comparison) -> anyhow::Result<Comparison> {
    let (kind, stage) = (config.kind(), config.stage());
    let ours = match stage.settings()? {
        Some(settings) => settings,
        None => serde_json::to_value(config)?.get(kind.name).cloned().unwrap_or_default(),
    };
    let papers = stage.papers()?;
    let keys: Vec<&str> = kind.keys().iter().map(|key| key.key.as_str()).collect();
    let mut comparison = of_keys(&keys, kind.paper, &ours, &papers)?;
    comparison.join(found);
    Ok(comparison)
}
