//! `dcgan watch`.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use clap_complete::ArgValueCompleter;
use dcgan_engine::manifest::Manifest;
use dcgan_engine::progress::Progress;
use dcgan_engine::terminal;
use dcgan_stages::KINDS;
use dcgan_watch::Watched;

use crate::complete;
use crate::values::path;

/// Its options.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// A manifest, or the folder of a run (RUNS/<manifest's name>)
    #[arg(value_hint = ValueHint::AnyPath, value_parser = path())]
    run: PathBuf,
    /// Change a variable (K=V) or a key of a stage (STAGE.KEY=V) of the manifest, as for `run`; may be repeated
    #[arg(long, value_name = "K=V", add = ArgValueCompleter::new(complete::settings))]
    set: Vec<String>,
    /// The port; 0: a free one
    #[arg(long, default_value_t = 8600)]
    port: u16,
    /// The folder that holds the runs of all manifests
    #[arg(long, value_name = "DIR", default_value = "runs", value_hint = ValueHint::DirPath, value_parser = path())]
    runs: PathBuf,
}

pub(crate) fn watch(args: &WatchArgs, progress: &Progress) -> anyhow::Result<()> {
    let watched = if args.run.is_dir() {
        Watched::Folder(args.run.clone())
    } else {
        let manifest = Manifest::load(&args.run, &args.set, &KINDS)?;
        Watched::Manifest {
            path: args.run.clone(),
            sets: args.set.clone(),
            runs: args.runs.clone(),
            registry: &KINDS,
            name: manifest.name,
        }
    };
    let listening = |address| {
        // Whoever reads it through a pipe has it at once.
        let _ = terminal::print(&format!("http://{address}\n"));
    };
    Ok(dcgan_watch::watch(&watched, args.port, progress, &listening)?)
}
