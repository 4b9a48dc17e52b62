//! Runs a manifest.

use std::collections::BTreeSet;
use std::fs::TryLockError;
use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::check::missing_paths;
use crate::clock::duration;
use crate::device::DeviceChoice;
use crate::execute::{Job, execute};
use crate::folder;
use crate::inputs::Location;
use crate::interrupt::Interrupted;
use crate::manifest::{Manifest, Problems};
use crate::memo::Memo;
use crate::plan::{Assessment, Planner, Selection, State, force, indices, order, selected};
use crate::progress::Progress;
use crate::stages::Artifact;

/// How a manifest is to be run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Which stages.
    pub selection: Selection,
    /// The device asked for; none: the CPU, and stages that ran elsewhere stay fresh.
    pub device: Option<DeviceChoice>,
    /// The folder of all manifests' runs.
    pub runs: PathBuf,
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

/// Runs the stages that have to run.
///
/// # Errors
/// [`Problems`] if a path or a stage named on the command line is missing, [`Interrupted`] if it was asked to stop,
/// else what the failing stage reported.
pub fn run(manifest: &Manifest, options: &RunOptions, progress: &Progress) -> anyhow::Result<RunSummary> {
    let selection = &options.selection;
    let chosen = selected(manifest, selection)?;
    let forced: BTreeSet<usize> = indices(manifest, "--force", &selection.force)?.into_iter().collect();
    let missing: Vec<_> = missing_paths(manifest)
        .into_iter()
        .filter(|problem| chosen.iter().any(|idx| Some(&manifest.stages[*idx].id) == problem.stage.as_ref()))
        .collect();
    if !missing.is_empty() {
        return Err(Problems { list: missing, is_usage: false }.into());
    }
    let device = options.device.unwrap_or_default();
    // A device that is not there is told before the first stage, not after an hour.
    device.open()?;
    let mut planner = Planner::new(manifest, &options.runs, progress, options.device);
    fs_err::create_dir_all(&planner.run_folder)?;
    let _lock = lock(&planner.run_folder)?;
    for idx in &chosen {
        folder::recover(&planner.target(*idx))?;
    }
    check_outside(&mut planner, &chosen)?;

    let steps: Vec<usize> = order(manifest)?.into_iter().filter(|idx| chosen.contains(idx)).collect();
    let mut summary = RunSummary::default();
    for (step, idx) in steps.iter().enumerate() {
        let label = format!("[{}/{}] {}", step + 1, steps.len(), manifest.stages[*idx].id);
        let has_run = run_one(&mut planner, *idx, forced.contains(idx), &label, device);
        planner.memo.save()?;
        if has_run? {
            summary.n_run += 1;
        } else {
            summary.n_fresh += 1;
        }
    }
    finish(&planner, &steps, &mut summary);
    Ok(summary)
}

/// Holds a run folder for this process; the lock goes with the process, however it ends.
fn lock(run_folder: &Path) -> anyhow::Result<fs_err::File> {
    let name = run_folder.file_name().unwrap_or_default().to_string_lossy();
    let file = fs_err::File::create(run_folder.with_file_name(format!(".{name}.lock")))?;
    match file.file().try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("{} is in use by another run; wait for it, or give another `--runs`", run_folder.display())
        }
        Err(TryLockError::Error(error)) => {
            Err(anyhow::Error::from(error).context(format!("cannot lock {}", file.path().display())))
        }
    }
}

/// Runs one stage if it has to; true if it ran.
fn run_one(
    planner: &mut Planner<'_>,
    idx: usize,
    is_forced: bool,
    label: &str,
    device: DeviceChoice,
) -> anyhow::Result<bool> {
    let progress = planner.progress();
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
        progress.note(format_args!("{label}: unchanged"));
        return Ok(false);
    }
    say_why(progress, label, stage.config.info().name, &assessment);
    let Some(inputs) = assessment.inputs else {
        let reasons: Vec<String> = assessment.reasons.iter().map(ToString::to_string).collect();
        bail!("stage `{}` cannot run: {}", stage.id, reasons.join("; "));
    };
    let target = planner.target(idx);
    let location = Location::Run(&planner.run_folder);
    let job = Job { id: &stage.id, config: &stage.config, target: &target, location, inputs, device };
    let record = execute(job, &mut planner.memo, progress)?;
    progress.note(format_args!("{label}: done in {}", duration(record.seconds)));
    progress.detail(format_args!("  metrics {}", record.metrics));
    for (file, output) in &record.outputs {
        progress.detail(format_args!("  wrote {} ({} bytes)", target.join(file).display(), output.bytes));
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
fn check_outside(planner: &mut Planner<'_>, chosen: &BTreeSet<usize>) -> anyhow::Result<()> {
    let graph = crate::graph::Graph::new(planner.manifest);
    let outside: BTreeSet<usize> = chosen
        .iter()
        .flat_map(|idx| &graph.parents[*idx])
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
    let graph = crate::graph::Graph::new(planner.manifest);
    for idx in steps {
        let folder = planner.target(*idx);
        if planner.manifest.stages[*idx].config.stage().yields().contains(&Artifact::Report) {
            summary.reports.push(folder.clone());
        }
        if !graph.parents.iter().any(|parents| parents.contains(idx)) {
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
    if is_foreign {
        bail!("{} exists and no stage made it; it would be replaced, so give another `--out`", out.display());
    }
    let out = std::path::absolute(out)?;
    let parent = out.parent().unwrap_or(Path::new("/"));
    fs_err::create_dir_all(parent)?;
    if !shares {
        folder::recover(&out)?;
    }
    let device = device.unwrap_or_default();
    device.open()?;
    let mut memo = Memo::forgetful();
    let inputs = crate::inputs::gather(config, Location::Paths, &mut memo, progress)?;
    let id = out.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let job = Job { id: &id, config, target: &out, location: Location::Paths, inputs, device };
    execute(job, &mut memo, progress)
}
