//! Runs a manifest.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::check::{outside, runs_among_inputs};
use crate::clock::duration;
use crate::counting::{counted, figures};
use crate::device::DeviceChoice;
use crate::execute::{Job, execute};
use crate::folder;
use crate::inputs::Location;
use crate::interrupt::Interrupted;
use crate::journal::Journal;
use crate::lock::Lock;
use crate::manifest::{Manifest, Problems, quoted};
use crate::memo::Memo;
use crate::plan::{Assessment, Planner, State, force};
use crate::progress::Progress;
use crate::schedule::{self, Outcome, Policy};
use crate::selection::{Selection, indices, selected};
use crate::stages::Artifact;
use crate::staleness::Reason;

/// How a manifest is to be run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Which stages.
    pub selection: Selection,
    /// The device asked for; none: the CPU, and stages that ran elsewhere stay fresh.
    pub device: Option<DeviceChoice>,
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
    /// Folders of the reports among the stages asked for.
    pub reports: Vec<PathBuf>,
    /// Folders of the stages asked for that no other stage reads.
    pub ends: Vec<PathBuf>,
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
    let device = options.device.unwrap_or_default();
    // A device that is not there is told before the first stage, not after an hour.
    device.open()?;
    let planner = Planner::new(manifest, &options.runs, progress, options.device);
    if options.verifies {
        planner.memo.verify();
    }
    fs_err::create_dir_all(&planner.run_folder)?;
    let _lock = Lock::take(&planner.run_folder, progress)?;
    for idx in &chosen {
        folder::recover(&planner.target(*idx))?;
    }
    check_outside(&planner, &chosen)?;

    let steps: Vec<usize> = planner.order()?.into_iter().filter(|idx| chosen.contains(idx)).collect();
    let journal = Journal::begin(
        &planner.run_folder,
        steps.iter().map(|idx| manifest.stages[*idx].id.clone()).collect(),
    );
    let outcomes = run_steps(&planner, &steps, &forced, device, options.policy, &journal);
    drop(journal);
    let mut summary = summary(&steps, outcomes, &planner, options.policy.keeps_going)?;
    finish(&planner, &steps, &mut summary);
    Ok(summary)
}

/// Runs the stages of `steps` that have to run; true in an outcome: it ran.
fn run_steps(
    planner: &Planner<'_>,
    steps: &[usize],
    forced: &BTreeSet<usize>,
    device: DeviceChoice,
    policy: Policy,
    journal: &Journal,
) -> Vec<Outcome<bool>> {
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
        let has_run = run_one(planner, idx, forced.contains(&idx), &label, device, journal, &progress);
        if !matches!(has_run, Ok(false)) {
            journal.ended(id, has_run.is_ok());
        }
        planner.memo.save_now_and_then(&progress);
        if let Err(error) = &has_run
            && policy.keeps_going
            && !progress.interrupt().is_requested()
        {
            progress.error(format_args!("{error:#}"));
        }
        has_run
    };
    let must_stop = || planner.progress().interrupt().is_requested();
    let outcomes = schedule::run_all(&needs, policy, &must_stop, &work);
    planner.memo.save(planner.progress());
    outcomes
}

/// Counts; what failed is told as the error it was if it was one alone.
fn summary(
    steps: &[usize],
    outcomes: Vec<Outcome<bool>>,
    planner: &Planner<'_>,
    keeps_going: bool,
) -> anyhow::Result<RunSummary> {
    let mut summary = RunSummary::default();
    let (mut failed, mut not_started, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    for (idx, outcome) in steps.iter().zip(outcomes) {
        let id = &planner.manifest.stages[*idx].id;
        match outcome {
            Outcome::Done(true) => summary.n_run += 1,
            Outcome::Done(false) => summary.n_fresh += 1,
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

/// Runs one stage if it has to; true if it ran.
fn run_one(
    planner: &Planner<'_>,
    idx: usize,
    is_forced: bool,
    label: &str,
    device: DeviceChoice,
    journal: &Journal,
    progress: &Progress,
) -> anyhow::Result<bool> {
    let stage = &planner.manifest.stages[idx];
    let interrupted =
        || Interrupted { stage: stage.id.clone(), is_resumable: stage.config.info().is_resumable };
    if progress.interrupt().is_requested() {
        bail!(interrupted());
    }
    let mut assessment = planner
        .assess(idx, &BTreeSet::new())
        .map_err(|error| if progress.interrupt().is_requested() { interrupted().into() } else { error })?;
    if is_forced {
        force(&mut assessment);
    }
    if assessment.state == State::Fresh {
        // What a run with other settings left half done. What could be gone on with is kept: it may have taken hours.
        if !stage.config.info().is_resumable {
            folder::discard(&planner.target(idx))?;
        }
        progress.note(format_args!("{label}: unchanged"));
        return Ok(false);
    }
    if let Some(reason) = assessment.reasons.iter().find(|reason| reason.is_unreadable() && !is_forced) {
        bail!("stage `{0}`: {reason}; see to that, or run it anew with `--force {0}`", stage.id);
    }
    say_why(progress, label, stage.config.info().name, &assessment);
    let Some(inputs) = assessment.inputs else {
        let reasons: Vec<String> = assessment.reasons.iter().map(ToString::to_string).collect();
        bail!("stage `{}` cannot run: {}", stage.id, reasons.join("; "));
    };
    let target = planner.target(idx);
    let location = Location::Run(&planner.run_folder);
    let job = Job {
        id: &stage.id,
        cell: &stage.cell,
        config: &stage.config,
        target: &target,
        location,
        inputs,
        device,
    };
    journal.started(&stage.id);
    let record = execute(job, &planner.memo, progress)?;
    progress.note(format_args!("{label}: done in {}", duration(record.seconds)));
    progress.detail(format_args!("  metrics {}", figures(&record.metrics)));
    for (file, output) in &record.outputs {
        progress.detail(format_args!(
            "  wrote {} ({})",
            target.join(file).display(),
            counted(output.bytes, "byte")
        ));
    }
    Ok(true)
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
        let assessment = planner.assess(idx, &BTreeSet::new())?;
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
            State::Fresh => {}
        }
    }
    Ok(())
}

fn finish(planner: &Planner<'_>, steps: &[usize], summary: &mut RunSummary) {
    let read: BTreeSet<usize> = planner.graph.parents.iter().flatten().copied().collect();
    for idx in steps {
        let folder = planner.target(*idx);
        if planner.manifest.stages[*idx].config.stage().yields().contains(&Artifact::Report) {
            summary.reports.push(folder.clone());
        }
        if !read.contains(idx) {
            summary.ends.push(folder);
        }
    }
}

/// Runs one stage without a manifest; the inputs in its configuration are paths. It always runs.
///
/// # Errors
/// If `out` is a folder that no stage made, else as [`run`].
pub fn run_alone(
    config: &crate::stages::StageConfig,
    out: &Path,
    device: Option<DeviceChoice>,
    progress: &Progress,
) -> anyhow::Result<crate::record::Record> {
    // A stage that shares its folder replaces nothing in it.
    let shares = config.stage().shares_folder().is_some();
    let is_foreign = !shares
        && out.exists()
        && !out.join(crate::record::FILE).exists()
        && fs_err::read_dir(out).map_or(true, |mut entries| entries.next().is_some());
    if let Ok(Some(record)) = crate::record::Record::read(out)
        && record.kind != config.info().name
    {
        bail!(
            "{} was made by a stage of kind {} and would be replaced, so give another `--out`",
            out.display(),
            record.kind
        );
    }
    if is_foreign {
        bail!("{} exists and no stage made it; it would be replaced, so give another `--out`", out.display());
    }
    let out = std::path::absolute(out)?;
    let parent = out.parent().unwrap_or(Path::new("/"));
    fs_err::create_dir_all(parent)?;
    // The folder may be a stage's of a run that is going on.
    Lock::check_free(parent)?;
    let _lock = Lock::take(&out, progress)?;
    if !shares {
        folder::recover(&out)?;
    }
    let device = device.unwrap_or_default();
    device.open()?;
    let memo = Memo::forgetful();
    let inputs = crate::inputs::gather(config, Location::Paths, &memo, progress)?;
    let id = out.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let job = Job { id: &id, cell: &[], config, target: &out, location: Location::Paths, inputs, device };
    execute(job, &memo, progress)
}
