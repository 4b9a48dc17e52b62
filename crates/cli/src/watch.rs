//! `dcgan watch`.

use dcgan_engine::manifest::Manifest;
use dcgan_engine::progress::Progress;
use dcgan_engine::terminal;
use dcgan_stages::KINDS;
use dcgan_watch::Watched;

use crate::args::WatchArgs;
use crate::verbs::Usage;

pub(crate) fn watch(args: &WatchArgs, progress: &Progress) -> anyhow::Result<()> {
    let watched = if args.run.is_dir() {
        if !args.set.is_empty() {
            return Err(Usage("`--set` is of use only with a manifest".to_owned()).into());
        }
        Watched::Folder(args.run.clone())
    } else {
        let manifest = Manifest::load(&args.run, &args.set, &KINDS)?;
        Watched::Manifest {
            path: args.run.clone(),
            sets: args.set.clone(),
            runs: args.runs.runs.clone(),
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
