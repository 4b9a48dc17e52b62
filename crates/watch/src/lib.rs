//! A run in a browser while it goes on, or when it is over: what each stage is at, curves that grow, samples over time.
//!
//! [`watch`] serves one page and the JSON that it asks for again and again, at 127.0.0.1 alone, and only reads. All it can serve
//! is listed anew for each request, so that no path leads elsewhere. A file that is half written is left out until the next one.
//!
//! | module | holds |
//! | --- | --- |
//! | `http` | requests and answers |
//! | `answers` | which address gets which answer |
//! | `run` | what is known of a run, as the page shows it |
//! | `stage` | what a stage's folder has to show |

mod answers;
mod http;
mod run;
mod stage;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dcgan_engine::hidden::Hidden;
use dcgan_engine::kind::Registry;
use dcgan_engine::manifest::Manifest;
use dcgan_engine::plan::Planner;
use dcgan_engine::progress::Progress;
use dcgan_engine::status::{status, wanted};

use crate::run::Run;

/// An error of the `watch` crate.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The address cannot be listened at.
    #[error("cannot listen at {address}; `--port 0` takes a free port")]
    Address {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The folder is no run's.
    #[error("{path}: expected a manifest or the folder of a run, RUNS/<manifest's name>, found {found}")]
    NoRun {
        /// The folder.
        path: PathBuf,
        /// What it is instead.
        found: &'static str,
    },
    /// Listening failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// The path that the head of a request asks for, where it is answered at all.
pub fn asked_for(head: &[u8]) -> Option<String> {
    http::path_of(head).ok()
}

/// What is watched.
#[derive(Debug, Clone)]
pub enum Watched {
    /// The folder of a run: what lies there is shown.
    Folder(PathBuf),
    /// A manifest's run: also what is stale, and why.
    Manifest {
        /// The file.
        path: PathBuf,
        /// Settings changed, as for a run.
        sets: Vec<String>,
        /// The folder of all manifests' runs.
        runs: PathBuf,
        /// The kinds of stages.
        registry: &'static Registry,
        /// The manifest's name, that of the run's folder.
        name: String,
    },
}

impl Watched {
    /// When the manifest was written.
    fn written(&self) -> Option<std::time::SystemTime> {
        match self {
            Self::Folder(_) => None,
            Self::Manifest { path, .. } => path.metadata().ok()?.modified().ok(),
        }
    }

    /// The run's folder.
    ///
    /// # Errors
    /// [`WatchError::NoRun`] where a folder was named that is no run's.
    fn folder(&self) -> Result<PathBuf, WatchError> {
        match self {
            Self::Manifest { runs, name, .. } => Ok(runs.join(name)),
            Self::Folder(path) => match what_it_is_instead(path) {
                None => Ok(path.clone()),
                Some(found) => Err(WatchError::NoRun { path: path.clone(), found }),
            },
        }
    }
}

/// What a folder is that is no run's.
fn what_it_is_instead(path: &Path) -> Option<&'static str> {
    const RECORD: &str = dcgan_engine::record::FILE;
    if !path.is_dir() {
        return Some("nothing");
    }
    if path.join(RECORD).exists() {
        return Some("the folder of one stage");
    }
    let holds = |name: &dyn Fn(&Path) -> bool| {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).any(|path| name(&path))
    };
    if holds(&|path| path.join(RECORD).exists()) {
        return None;
    }
    // A run that has not ended a stage yet has its working folder; that of all runs has one too, beside the runs.
    if holds(&|path| Hidden::found(path).is_some()) {
        return Some("the folder of several runs");
    }
    Hidden::found(path).is_none().then_some("a folder that no run has written into")
}

/// How often it is looked whether the stages are to be compared with the manifest again.
const LOOK: Duration = Duration::from_secs(2);
/// How long one must wait between two such comparisons, in times of how long they take.
const PAUSE: u32 = 10;

/// Serves the page until it is interrupted. `listening` is told the address.
///
/// # Errors
/// [`WatchError::NoRun`] for a folder that is no run's, [`WatchError::Address`] where the port is taken.
pub fn watch(
    watched: &Watched,
    port: u16,
    progress: &Progress,
    listening: &dyn Fn(SocketAddr),
) -> Result<(), WatchError> {
    let run = Arc::new(Run::new(watched.folder()?));
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = TcpListener::bind(address).map_err(|source| WatchError::Address { address, source })?;
    listening(listener.local_addr()?);
    if let Watched::Manifest { .. } = watched {
        let (watched, run, progress) = (watched.clone(), run.clone(), progress.clone());
        let compare = move || compare_again_and_again(&watched, &run, &progress);
        std::thread::Builder::new().name("compare".into()).spawn(compare)?;
    }
    let answer = move |path: &str| answers::answer(&run, path);
    Ok(http::serve(&listener, Arc::new(answer), &|| progress.interrupt().is_requested())?)
}

/// Compares the stages with the manifest whenever one has ended or begun, or the manifest was written.
fn compare_again_and_again(watched: &Watched, run: &Run, progress: &Progress) {
    let mut known = None;
    while !progress.interrupt().is_requested() {
        let seen = (run.mark(), watched.written());
        if known.as_ref() != Some(&seen) {
            let began = std::time::Instant::now();
            if let Some(found) = compare(watched, progress) {
                run.set_compared(found);
            }
            known = Some(seen);
            std::thread::sleep(began.elapsed() * PAUSE);
        }
        std::thread::sleep(LOOK);
    }
}

/// None where the manifest cannot be read at the moment.
fn compare(watched: &Watched, progress: &Progress) -> Option<Vec<dcgan_engine::status::StageStatus>> {
    let Watched::Manifest { path, sets, runs, registry, .. } = watched else { return None };
    let manifest = Manifest::load(path, sets, registry).ok()?;
    let planner = Planner::new(&manifest, runs, progress, None);
    status(&planner, &wanted(&planner), &Default::default()).ok()
}
