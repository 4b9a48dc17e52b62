//! Runs a manifest.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::bail;
use dcgan_files::words::counted;
use dcgan_files::words::duration;

use crate::cache::FingerprintCache;
use crate::check::{outside, runs_among_inputs};
use crate::context::Place;
use crate::figures::short_figures;
use crate::fingerprint::path_of;
use crate::folder::Target;
use crate::hidden::Hidden;
use crate::inputs::Location;
use crate::interrupt::Interrupted;
use crate::journal::Journal;
use crate::lock::Lock;
use crate::manifest::{Manifest, Problems};
use crate::parallel::{self, Outcome, Policy};
use crate::plan::{Ahead, Assessment, Planner, State, force};
use crate::progress::Progress;
use crate::pulse::Pulse;
use crate::record::Record;
use crate::run_stage::{CPU, Job, execute, restore};
use crate::selection::{Selection, indices, selected};
use crate::staleness::Reason;
use crate::suggest::quoted;
use crate::version::Version;

/// How a manifest is to be run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Which stages.
    pub selection: Selection,
    /// The device asked for, which is there; none: the CPU, and stages that ran elsewhere stay fresh.
    pub device: Option<String>,
    /// The folder of all manifests' runs.
    pub runs: PathBuf,
    /// Everything is read anew, whatever is remembered of it.
    pub verifies: bool,
    /// How many at once, and what becomes of the rest when one fails.
    pub policy: Policy,
}

/// What a run came to.
#[derive(Debug, Clone, Default)]
pub struct RunSummary {
    /// Stages that ran.
    pub n_run: usize,
    /// Stages that needed no run.
    pub n_fresh: usize,
    /// Of these, the ones whose folder was put back from the versions that are kept.
    pub n_restored: usize,
    /// The stages asked for, in the order in which they come.
    pub stages: Vec<Finished>,
}

/// A stage that a run asked for and that is complete.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Its kind.
    pub kind: &'static str,
    /// Its folder.
    pub folder: PathBuf,
    /// True if another stage of the manifest reads it.
    pub is_read: bool,
}

/// Stages failed in a run that went on without them.
#[derive(Debug)]
pub struct Unfinished {
    /// Ids of the stages that failed; why, was said when they did.
    pub failed: Vec<String>,
    /// Ids of the stages that were not started.
    pub not_started: Vec<String>,
}

impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stages = |n: usize| counted(n, "stage");
        let quoted = |ids: &[String]| quoted(ids.iter().map(String::as_str));
        write!(f, "{} failed: {}", stages(self.failed.len()), quoted(&self.failed))?;
        if !self.not_started.is_empty() {
            let n = stages(self.not_started.len());
            write!(f, "; {n} did not run because of that: {}", quoted(&self.not_started))?;
        }
        Ok(())
    }
}

impl std::error::Error for Unfinished {}

/// Runs the stages that have to run.
///
/// # Errors
/// [`Problems`] if a path or a stage named on the command line is missing, [`Interrupted`] if it was asked to stop,
/// [`Unfinished`] if it went on after a failure, else what the failing stage reported.
pub fn run(manifest: &Manifest, options: &RunOptions, progress: &Progress) -> anyhow::Result<RunSummary> {
    let selection = &options.selection;
    let chosen = selected(manifest, selection)?;
    let forced: BTreeSet<usize> = indices(manifest, "--force", &selection.force)?.into_iter().collect();
    let ids: BTreeSet<&String> = chosen.iter().map(|idx| &manifest.stages[*idx].id).collect();
    let wrong: Vec<_> = outside(manifest)
        .into_iter()
        .filter(|problem| problem.stage.as_ref().is_some_and(|id| ids.contains(id)))
        .collect();
    let wrong = if wrong.is_empty() { runs_among_inputs(manifest, &options.runs) } else { wrong };
    if !wrong.is_empty() {
        return Err(Problems { list: wrong, is_usage: false }.into());
    }
    let device = options.device.as_deref();
    let planner = Planner::new(manifest, &options.runs, progress, device);
    let place = Place { device: device.unwrap_or(CPU), cluster: manifest.cluster.as_ref() };
    if options.verifies {
        planner.cache.verify();
    }
    Hidden::open(&options.runs)?;
    let _lock = Lock::of_folder(&planner.run_folder, progress)?;
    planner.check_way(&chosen)?;
    check_outside(&planner, &chosen)?;
    check_cluster(manifest, &chosen, progress)?;
    if let Some((idx, ask)) = chosen.iter().find_map(|idx| Some((*idx, planner.asks(*idx)?))) {
        bail!("stage `{}` cannot run: {ask}", manifest.stages[idx].id);
    }

    let steps: Vec<usize> = planner.order()?.into_iter().filter(|idx| chosen.contains(idx)).collect();
    let journal = Journal::begin(
        &planner.run_folder,
        steps.iter().map(|idx| manifest.stages[*idx].id.clone()).collect(),
    );
    let notes = Notes { journal, pulse: Pulse::begin(&planner.run_folder) };
    let outcomes = run_steps(&planner, &steps, &forced, place, options.policy, &notes);
    let summary = summary(&steps, outcomes, &planner, options.policy.keeps_going);
    if summary.is_err() {
        notes.journal.over(progress.interrupt().is_requested());
    }
    let mut summary = summary?;
    finish(&planner, &steps, &mut summary);
    if selection.only.is_empty() {
        for (idx, stage) in manifest.stages.iter().enumerate() {
            if let Some(ask) = planner.asks(idx) {
                progress.note(format_args!("`{}` waits: {ask}", stage.id));
            }
        }
    }
    Ok(summary)
}

/// A cluster that is not there is reported before the first stage.
fn check_cluster(manifest: &Manifest, chosen: &BTreeSet<usize>, progress: &Progress) -> anyhow::Result<()> {
    let Some(cluster) = &manifest.cluster else { return Ok(()) };
    if chosen.iter().any(|idx| manifest.stages[*idx].config.kind().traits.uses_cluster) {
        return cluster.check();
    }
    progress.warn(format_args!("no stage that runs uses the cluster {}", cluster.scheduler));
    Ok(())
}

/// What is written down for those who look on.
struct Notes {
    journal: Journal,
    pulse: Pulse,
}

/// What was done about one stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    Ran,
    Unchanged,
    Restored,
}

/// Runs the stages of `steps` that have to run.
fn run_steps(
    planner: &Planner<'_>,
    steps: &[usize],
    forced: &BTreeSet<usize>,
    place: Place<'_>,
    policy: Policy,
    notes: &Notes,
) -> Vec<Outcome<Done>> {
    let parents = &planner.graph.parents;
    let step_of: BTreeMap<usize, usize> = steps.iter().enumerate().map(|(step, idx)| (*idx, step)).collect();
    let needs_of = |idx: &usize| parents[*idx].iter().filter_map(|parent| step_of.get(parent).copied());
    let needs: Vec<Vec<usize>> = steps.iter().map(|idx| needs_of(idx).collect()).collect();
    let work = |step: usize| {
        let idx = steps[step];
        let id = &planner.manifest.stages[idx].id;
        let label = format!("[{}/{}] {id}", step + 1, steps.len());
        let progress = planner.progress();
        // Bars and warnings of several stages stand side by side.
        let progress = if policy.jobs > 1 { progress.of_stage(id) } else { progress.clone() };
        let progress = progress.with_pulse(&notes.pulse, id);
        let journal = &notes.journal;
        let has_run = run_one(planner, idx, forced.contains(&idx), &label, place, journal, &progress);
        journal.ended(id, has_run.as_ref().err().map(|error| format!("{error:#}")));
        planner.cache.save_now_and_then(&progress);
        if let Err(error) = &has_run
            && policy.keeps_going
            && !progress.interrupt().is_requested()
        {
            progress.error(format_args!("{error:#}"));
        }
        has_run
    };
    let must_stop = || planner.progress().interrupt().is_requested();
    let outcomes = parallel::run_all(&needs, policy, &must_stop, &work);
    planner.cache.save(planner.progress());
    outcomes
}

/// Counts; a single failure keeps its own error.
fn summary(
    steps: &[usize],
    outcomes: Vec<Outcome<Done>>,
    planner: &Planner<'_>,
    keeps_going: bool,
) -> anyhow::Result<RunSummary> {
    let mut summary = RunSummary::default();
    let (mut failed, mut not_started, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    for (idx, outcome) in steps.iter().zip(outcomes) {
        let id = &planner.manifest.stages[*idx].id;
        match outcome {
            Outcome::Done(Done::Ran) => summary.n_run += 1,
            Outcome::Done(done) => {
                summary.n_fresh += 1;
                summary.n_restored += usize::from(done == Done::Restored);
            }
            Outcome::NotStarted => not_started.push(id.clone()),
            Outcome::Failed(error) => {
                failed.push(id.clone());
                errors.push(error);
            }
        }
    }
    if planner.progress().interrupt().is_requested() {
        let first = not_started.into_iter().next().unwrap_or_default();
        let before = || Interrupted { stage: first, is_resumable: false }.into();
        let interrupted = errors.into_iter().find(|error| error.is::<Interrupted>());
        return if failed.is_empty() && summary.n_run + summary.n_fresh == steps.len() {
            Ok(summary)
        } else {
            Err(interrupted.unwrap_or_else(before))
        };
    }
    match errors.len() {
        0 => Ok(summary),
        1 if !keeps_going => Err(errors.remove(0)),
        _ => Err(Unfinished { failed, not_started }.into()),
    }
}

/// Runs one stage if it has to.
fn run_one(
    planner: &Planner<'_>,
    idx: usize,
    is_forced: bool,
    label: &str,
    place: Place<'_>,
    journal: &Journal,
    progress: &Progress,
) -> anyhow::Result<Done> {
    let stage = &planner.manifest.stages[idx];
    let interrupted =
        || Interrupted { stage: stage.id.clone(), is_resumable: stage.config.kind().traits.is_resumable };
    if progress.interrupt().is_requested() {
        bail!(interrupted());
    }
    let mut assessment = planner
        .assess(idx, &Ahead::default())
        .map_err(|error| if progress.interrupt().is_requested() { interrupted().into() } else { error })?;
    if is_forced {
        force(&mut assessment);
    }
    if assessment.state == State::Fresh {
        progress.note(format_args!("{label}: unchanged"));
        return Ok(Done::Unchanged);
    }
    if let Some(reason) = assessment.reasons.iter().find(|reason| reason.is_unreadable() && !is_forced) {
        bail!("stage `{0}`: {reason}; see to that, or run it anew with `--force {0}`", stage.id);
    }
    let path = planner.target(idx);
    let target = Target::at(&path)?;
    let shares = stage.config.stage().shares_folder();
    let _lock = if shares { Lock::of_folder(&path, progress)? } else { Lock::of_stage(&target, progress)? };
    let Some(inputs) = assessment.inputs.clone() else {
        say_why(progress, label, stage.config.kind().name, &assessment);
        let reasons: Vec<String> = assessment.reasons.iter().map(ToString::to_string).collect();
        bail!("stage `{}` cannot run: {}", stage.id, reasons.join("; "));
    };
    let job = Job {
        id: &stage.id,
        cell: &stage.cell,
        config: &stage.config,
        target: &path,
        location: Location::Run(&planner.run_folder),
        inputs,
        place,
    };
    if let Some(kept) = &assessment.kept
        && put_back(&job, kept, target.owns(kept), label, &planner.cache, progress)?
    {
        return Ok(Done::Restored);
    }
    let is_resumable = stage.config.kind().traits.is_resumable;
    let version = is_resumable.then(|| Version::of(job.config, &job.inputs)).transpose()?;
    journal.started(&stage.id, version.as_ref());
    say_why(progress, label, stage.config.kind().name, &assessment);
    let record = execute(job, &planner.cache, progress)?;
    say_done(progress, label, &path, &record);
    Ok(Done::Ran)
}

fn say_done(progress: &Progress, label: &str, folder: &Path, record: &Record) {
    progress.note(format_args!("{label}: done in {}", duration(record.seconds)));
    progress.detail(format_args!("  metrics {}", short_figures(&record.metrics)));
    for (file, output) in &record.outputs {
        let file = path_of(folder, file);
        progress.detail(format_args!("  wrote {} ({})", file.display(), counted(output.bytes, "byte")));
    }
}

/// Puts a kept version in the stage's place; false where it is another stage's and cannot be used.
fn put_back(
    job: &Job<'_>,
    kept: &Path,
    is_own: bool,
    label: &str,
    cache: &FingerprintCache,
    progress: &Progress,
) -> anyhow::Result<bool> {
    match restore(job, kept, cache) {
        Ok(()) => {
            let from = if is_own { "the versions that are kept" } else { "a stage made from the same" };
            progress.note(format_args!("{label}: put back from {from}, {}", kept.display()));
            Ok(true)
        }
        Err(error) if is_own => Err(error),
        // The other stage may be replaced at this moment.
        Err(error) => {
            progress.detail(format_args!("  {} cannot be used: {error:#}", kept.display()));
            Ok(false)
        }
    }
}

fn say_why(progress: &Progress, label: &str, kind: &str, assessment: &Assessment) {
    match assessment.reasons.as_slice() {
        [reason] => progress.note(format_args!("{label} ({kind}): {reason}")),
        [reason, rest @ ..] => {
            progress.note(format_args!("{label} ({kind}): {reason}, and {} more", rest.len()));
            rest.iter().for_each(|reason| progress.detail(format_args!("  {reason}")));
        }
        [] => progress.note(format_args!("{label} ({kind})")),
    }
}

/// Stages that are read but not asked for must be complete; if they are stale, that is said.
fn check_outside(planner: &Planner<'_>, chosen: &BTreeSet<usize>) -> anyhow::Result<()> {
    let outside: BTreeSet<usize> = chosen
        .iter()
        .flat_map(|idx| &planner.graph.parents[*idx])
        .copied()
        .filter(|parent| !chosen.contains(parent))
        .collect();
    for idx in outside {
        let id = &planner.manifest.stages[idx].id;
        let assessment = planner.assess(idx, &Ahead::default())?;
        match assessment.state {
            State::Missing => {
                bail!(
                    "stage `{id}` is needed and is not complete; run it first with `--only {id}`, or leave out `--only` and `--from`"
                )
            }
            State::Stale if assessment.reasons.iter().any(Reason::is_damage) => {
                let damage = assessment.reasons.iter().filter(|reason| reason.is_damage());
                let damage: Vec<String> = damage.map(ToString::to_string).collect();
                bail!(
                    "stage `{id}` is needed and is not as its record says: {}; run it again with `--only {id}`, or leave out \
                     `--only` and `--from`",
                    damage.join("; ")
                )
            }
            State::Stale => {
                let reasons: Vec<String> = assessment.reasons.iter().map(ToString::to_string).collect();
                let progress = planner.progress();
                progress
                    .warn(format_args!("stage `{id}` is stale and is used as it is: {}", reasons.join("; ")));
            }
            State::Fresh | State::Kept => {}
        }
    }
    Ok(())
}

fn finish(planner: &Planner<'_>, steps: &[usize], summary: &mut RunSummary) {
    let read: BTreeSet<usize> = planner.graph.parents.iter().flatten().copied().collect();
    for idx in steps {
        summary.stages.push(Finished {
            kind: planner.manifest.stages[*idx].config.kind().name,
            folder: planner.target(*idx),
            is_read: read.contains(idx),
        });
    }
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
