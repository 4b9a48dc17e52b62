//! The verbs, each a few calls into the pipeline crate.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use anyhow::Context as _;
use clap::CommandFactory as _;
use dcgan_pipeline::check::outside;
use dcgan_pipeline::dag::{mermaid, svg};
use dcgan_pipeline::manifest::{Manifest, Problems, check_outside, parse_arguments, suggestion};
use dcgan_pipeline::plan::Planner;
use dcgan_pipeline::progress::Progress;
use dcgan_pipeline::report::{ReportData, summary};
use dcgan_pipeline::runner::{self, RunOptions, RunSummary};
use dcgan_pipeline::schedule::Policy;
use dcgan_pipeline::selection::{indices, selected};
use dcgan_pipeline::stages::{info, kind_names};
use dcgan_pipeline::{compare, counting, gc, status, terminal};

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
    Manifest::load(&args.manifest, &args.set)
}

pub(crate) fn run(args: &RunArgs, progress: &Progress) -> anyhow::Result<()> {
    let manifest = load(&args.manifest)?;
    let selection = args.selection();
    if args.dry_run {
        let chosen = selected(&manifest, &selection)?;
        let forced = indices(&manifest, "--force", &selection.force)?.into_iter().collect();
        let planner = Planner::new(&manifest, &args.runs.runs, progress, args.device.device);
        if args.verify {
            planner.memo.verify();
        }
        let stages = status::status(&planner, &chosen, &forced)?;
        return print(&status::text(&stages));
    }
    let options = RunOptions {
        selection,
        device: args.device.device,
        runs: args.runs.runs.clone(),
        verifies: args.verify,
        policy: Policy { jobs: args.jobs as usize, keeps_going: args.keep_going },
    };
    let done = runner::run(&manifest, &options, progress)?;
    let restored = match done.n_restored {
        0 => String::new(),
        n => format!(", {n} of them put back from the versions that are kept"),
    };
    let unchanged = if done.n_fresh == 1 { "was" } else { "were" };
    let ran = counting::counted(done.n_run as u64, "stage");
    progress.note(format_args!("{ran} ran, {} {unchanged} unchanged{restored}", done.n_fresh));
    print_results(&done)
}

/// The reports' tables and paths; without a report, the folders of the last stages.
fn print_results(done: &RunSummary) -> anyhow::Result<()> {
    for folder in &done.reports {
        let data: ReportData = serde_json::from_slice(&fs_err::read(folder.join("report.json"))?)?;
        print(&summary(&data))?;
        print(&format!("\n{}\n", folder.join("report.html").display()))?;
    }
    if done.reports.is_empty() {
        for folder in &done.ends {
            print(&format!("{}\n", folder.display()))?;
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
    let n_stages = counting::counted(manifest.stages.len() as u64, "stage");
    progress.note(format_args!("{}: {n_stages}, no problems", args.manifest.display()));
    Ok(())
}

pub(crate) fn status(args: &StatusArgs, progress: &Progress) -> anyhow::Result<()> {
    let manifest = load(&args.manifest)?;
    let planner = Planner::new(&manifest, &args.runs.runs, progress, args.device.device);
    if args.verify {
        planner.memo.verify();
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
        manifests.push(Manifest::load(path, &[])?);
        if !args.set.is_empty() {
            manifests.push(Manifest::load(path, &args.set).with_context(|| path.display().to_string())?);
        }
    }
    let (runs, limits) = (args.runs.runs.as_path(), args.limits());
    let search = gc::Search { manifests: &manifests, folders: &folders, runs, all: args.all, limits };
    let found = gc::find(&search)?;
    if args.delete {
        gc::delete(&found, progress)?;
    }
    if args.json { print_json(&found) } else { print(&gc::text(&found, args.delete)) }
}

pub(crate) fn compare(args: &CompareArgs) -> anyhow::Result<()> {
    let comparison = compare::compare(&args.first, &args.second)?;
    if args.json { print_json(&comparison) } else { print(&compare::text(&comparison)) }
}

pub(crate) fn stage(args: &StageArgs, progress: &Progress) -> anyhow::Result<()> {
    if args.list {
        return print(&info::list());
    }
    let Some(kind) = &args.kind else {
        if args.help {
            return print(&stage_help());
        }
        return Err(Usage("which stage kind? `dcgan stage --list` lists them".to_owned()).into());
    };
    let Some(info) = info::kind(kind) else {
        let help = suggestion(kind, kind_names()).map(|help| format!("; {help}")).unwrap_or_default();
        let message = format!("there is no stage kind `{kind}`{help} (`dcgan stage --list` lists them)");
        return Err(Usage(message).into());
    };
    if args.help {
        return print(&info.help());
    }
    let Some(out) = &args.out else {
        return Err(Usage("give the folder to make with `--out DIR`".to_owned()).into());
    };
    let config = parse_arguments(kind, &args.arguments)?;
    check_outside(&config, &args.arguments)?;
    let runner::Alone { record, has_run } =
        runner::run_alone(&config, out, args.device.device, args.force, progress)?;
    if has_run {
        progress.note(format_args!("{}: done in {:.1} s", display(out), record.seconds));
    } else {
        progress.note(format_args!("{}: unchanged", display(out)));
    }
    // stage.json has all of them, to the last digit.
    print_json(&counting::short_figures(&record.metrics))
}

fn stage_help() -> String {
    let mut command = Cli::command();
    let help = command.find_subcommand_mut("stage").map(|stage| stage.render_long_help().to_string());
    format!("{}\nKinds:\n{}", help.unwrap_or_default(), info::list())
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
