//! The verbs, each a few calls into the pipeline crate.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use anyhow::Context as _;
use clap::CommandFactory as _;
use dcgan_engine::check::{check_outside, outside};
use dcgan_engine::kind::Kind;
use dcgan_engine::manifest::{Manifest, Problems, parse_arguments};
use dcgan_engine::parallel::Policy;
use dcgan_engine::plan::Planner;
use dcgan_engine::progress::Progress;
use dcgan_engine::run::{Finished, RunOptions, RunSummary};
use dcgan_engine::selection::{indices, selected};
use dcgan_engine::{alone, compare, figures, gc, status, terminal};
use dcgan_files::words::counted;
use dcgan_report::{ReportData, summary};
use dcgan_stages::device::DeviceChoice;
use dcgan_stages::graph::{mermaid, svg};
use dcgan_stages::{KINDS, REPORT};

use crate::args::{Cli, CompareArgs, DagArgs, GcArgs, ManifestArgs, RunArgs, StageArgs, StatusArgs};

/// A command line that asks for something that is not there.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

fn load(args: &ManifestArgs) -> anyhow::Result<Manifest> {
    Manifest::load(&args.manifest, &args.set, &KINDS)
}

/// The name of a device that was asked for. One that is not there is reported before the first stage, not after an hour.
fn opened(device: Option<DeviceChoice>) -> anyhow::Result<Option<String>> {
    device.unwrap_or_default().open()?;
    Ok(device.map(|device| device.to_string()))
}

pub(crate) fn run(args: &RunArgs, progress: &Progress) -> anyhow::Result<()> {
    let mut manifest = load(&args.manifest)?;
    manifest.cluster = args.cluster.or(manifest.cluster.take()).map_err(Usage)?;
    let (selection, device) = (args.selection(), opened(args.device.device)?);
    if args.dry_run {
        let chosen = selected(&manifest, &selection)?;
        let forced = indices(&manifest, "--force", &selection.force)?.into_iter().collect();
        let planner = Planner::new(&manifest, &args.runs.runs, progress, device.as_deref());
        if args.verify {
            planner.cache.verify();
        }
        let stages = status::status(&planner, &chosen, &forced)?;
        return print(&status::text(&stages));
    }
    let options = RunOptions {
        selection,
        device: device.clone(),
        runs: args.runs.runs.clone(),
        verifies: args.verify,
        policy: Policy { jobs: args.jobs as usize, keeps_going: args.keep_going },
    };
    let done = dcgan_engine::run::run(&manifest, &options, progress)?;
    let restored = match done.n_restored {
        0 => String::new(),
        n => format!(", {n} of them put back from the versions that are kept"),
    };
    let unchanged = if done.n_fresh == 1 { "was" } else { "were" };
    let ran = counted(done.n_run as u64, "stage");
    progress.note(format_args!("{ran} ran, {} {unchanged} unchanged{restored}", done.n_fresh));
    print_results(&done)
}

/// The reports' tables and paths; without a report, the folders of the last stages.
fn print_results(done: &RunSummary) -> anyhow::Result<()> {
    let reports: Vec<&Finished> = done.stages.iter().filter(|stage| stage.kind == REPORT).collect();
    for Finished { folder, .. } in &reports {
        let data: ReportData = serde_json::from_slice(&fs_err::read(folder.join("report.json"))?)?;
        print(&summary(&data))?;
        print(&format!("\n{}\n", folder.join("report.html").display()))?;
    }
    if reports.is_empty() {
        for stage in done.stages.iter().filter(|stage| !stage.is_read) {
            print(&format!("{}\n", stage.folder.display()))?;
        }
    }
    Ok(())
}

pub(crate) fn check(args: &ManifestArgs, progress: &Progress) -> anyhow::Result<()> {
    let manifest = load(args)?;
    let list = outside(&manifest);
    if !list.is_empty() {
        return Err(Problems { list, is_usage: false }.into());
    }
    let n_stages = counted(manifest.stages.len() as u64, "stage");
    progress.note(format_args!("{}: {n_stages}, no problems", args.manifest.display()));
    Ok(())
}

pub(crate) fn status(args: &StatusArgs, progress: &Progress) -> anyhow::Result<()> {
    let manifest = load(&args.manifest)?;
    let device = args.device.device.map(|device| device.to_string());
    let planner = Planner::new(&manifest, &args.runs.runs, progress, device.as_deref());
    if args.verify {
        planner.cache.verify();
    }
    let wanted = status::wanted(&planner);
    let stages = status::status(&planner, &wanted, &BTreeSet::new())?;
    if args.json { print_json(&stages) } else { print(&status::text(&stages)) }
}

pub(crate) fn dag(args: &DagArgs) -> anyhow::Result<()> {
    let manifest = load(&args.manifest)?;
    print(&if args.svg { svg(&manifest) } else { mermaid(&manifest) })
}

pub(crate) fn gc(args: &GcArgs, progress: &Progress) -> anyhow::Result<()> {
    let mut manifests = Vec::new();
    let (folders, files): (Vec<_>, Vec<_>) = args.manifests.iter().cloned().partition(|path| path.is_dir());
    for path in &files {
        // What the manifest needs as it is written is needed too.
        manifests.push(Manifest::load(path, &[], &KINDS)?);
        if !args.set.is_empty() {
            let changed = Manifest::load(path, &args.set, &KINDS);
            manifests.push(changed.with_context(|| path.display().to_string())?);
        }
    }
    let (runs, limits) = (args.runs.runs.as_path(), args.limits());
    let search = gc::Search {
        manifests: &manifests,
        folders: &folders,
        runs,
        all: args.all,
        limits,
        registry: &KINDS,
    };
    let found = gc::find(&search)?;
    if args.delete {
        gc::delete(&found, progress)?;
    }
    if args.json { print_json(&found) } else { print(&gc::text(&found, args.delete)) }
}

pub(crate) fn compare(args: &CompareArgs) -> anyhow::Result<()> {
    let comparison = compare::compare(&args.first, &args.second, &KINDS)?;
    if args.json { print_json(&comparison) } else { print(&compare::text(&comparison)) }
}

pub(crate) fn stage(args: &StageArgs, progress: &Progress) -> anyhow::Result<()> {
    if args.list {
        return print(&KINDS.list());
    }
    let Some(kind) = &args.kind else {
        if args.help {
            return print(&stage_help());
        }
        return Err(Usage("which stage kind? `dcgan stage --list` lists them".to_owned()).into());
    };
    let info = kind_of(kind)?;
    if args.help {
        return print(&info.help());
    }
    let Some(out) = &args.out else {
        return Err(Usage("give the folder to make with `--out DIR`".to_owned()).into());
    };
    let device = opened(args.device.device)?;
    let config = parse_arguments(kind, &args.arguments, &KINDS)?;
    check_outside(&config, &args.arguments)?;
    let cluster = args.cluster.or(None).map_err(Usage)?;
    if let Some(cluster) = &cluster {
        if !info.traits.uses_cluster {
            return Err(Usage(format!("--cluster: a stage of kind {kind} does not divide its work")).into());
        }
        cluster.check()?;
    }
    let place = (device.as_deref(), cluster.as_ref());
    let alone::Alone { record, has_run } = alone::run_alone(&config, out, place, args.force, progress)?;
    if has_run {
        progress.note(format_args!("{}: done in {:.1} s", display(out), record.seconds));
    } else {
        progress.note(format_args!("{}: unchanged", display(out)));
    }
    // stage.json has all of them, to the last digit.
    print_json(&figures::short_figures(&record.metrics))
}

/// The stage kind of a name.
pub(crate) fn kind_of(name: &str) -> Result<&'static Kind, Usage> {
    let missing = || {
        let help = dcgan_engine::suggest::nearest(name, KINDS.names())
            .map(|help| format!("; {help}"))
            .unwrap_or_default();
        Usage(format!("there is no stage kind `{name}`{help} (`dcgan stage --list` lists them)"))
    };
    KINDS.kind(name).ok_or_else(missing)
}

fn stage_help() -> String {
    let mut command = Cli::command();
    let help = command.find_subcommand_mut("stage").map(|stage| stage.render_long_help().to_string());
    format!("{}\nKinds:\n{}", help.unwrap_or_default(), KINDS.list())
}

fn display(path: &Path) -> impl fmt::Display {
    path.display()
}

/// Writes data to stdout.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    Ok(terminal::print(text)?)
}

/// Writes a value to stdout as JSON.
pub(crate) fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    Ok(terminal::print_json(value)?)
}
