//! What a run is at, written down as it goes on, so that `status` can tell it meanwhile.
//!
//! A line is added for each stage that starts or ends. A run that did all it was to do takes the file away; what is left tells how
//! the last one ended. Of a run that goes on it is only believed where that run holds the folder.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::clock::rfc3339;
use crate::disk::write_whole;
use crate::hidden::Hidden;
use crate::lock;
use crate::version::Version;

/// One line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// The first one: who runs, and the stages it will look at.
    Run { pid: u32, stages: Vec<String> },
    Started {
        stage: String,
        at: String,
        /// The name of the version's folder, of a stage that can be resumed.
        #[serde(default)]
        version: Option<String>,
    },
    Ended {
        stage: String,
        is_done: bool,
        /// What went wrong.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// The last one of a run that did not do all.
    Over { was_interrupted: bool },
}

/// By what a file is known to be one of these.
const MARK: &[u8] = b"{\"run\":";

/// A run's own, removed when it is dropped before it is [`Journal::over`]. Where it cannot be written the run goes on without.
#[derive(Debug)]
pub struct Journal {
    file: Option<Mutex<fs::File>>,
    path: PathBuf,
}

impl Journal {
    /// Begins the journal of a run that holds its folder and will look at these stages. A file that is no journal is left alone.
    pub fn begin(run_folder: &Path, stages: Vec<String>) -> Self {
        let path = place(run_folder);
        let is_foreign = fs::symlink_metadata(&path).is_ok() && !is_ours(&path);
        let first = line(&Line::Run { pid: std::process::id(), stages });
        let hidden = Hidden::of(run_folder);
        let written = !is_foreign && write_whole(&path, &first, hidden.root()).is_ok();
        let file = written.then(|| fs::OpenOptions::new().append(true).open(&path).ok()).flatten();
        Self { file: file.map(Mutex::new), path }
    }

    /// A stage starts; one that can be resumed works in the folder of this version.
    pub fn started(&self, stage: &str, version: Option<&Version>) {
        let (stage, at) = (stage.to_owned(), rfc3339(SystemTime::now()));
        self.add(&Line::Started { stage, at, version: version.map(Version::name) });
    }

    /// A stage has ended, or will not be started; `why` says what went wrong.
    pub fn ended(&self, stage: &str, why: Option<String>) {
        self.add(&Line::Ended { stage: stage.to_owned(), is_done: why.is_none(), why });
    }

    /// The run ends without having done all; the file stays, and tells so.
    pub fn over(mut self, was_interrupted: bool) {
        self.add(&Line::Over { was_interrupted });
        self.file = None;
    }

    fn add(&self, entry: &Line) {
        if let Some(file) = &self.file {
            // It only informs: a full disk is for the stage to tell.
            let _ = file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line(entry));
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if self.file.is_some() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn place(run_folder: &Path) -> PathBuf {
    Hidden::of(run_folder).root().join("at-work")
}

fn is_ours(path: &Path) -> bool {
    path.is_file() && fs::read(path).is_ok_and(|bytes| bytes.starts_with(MARK))
}

fn line(line: &Line) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(line).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// A stage that runs.
#[derive(Debug)]
pub struct Running {
    /// Since when, RFC 3339, UTC.
    pub since: String,
    /// The name of the folder that it works in, where it can be resumed.
    pub version: Option<String>,
}

/// What the run that holds a folder is at.
#[derive(Debug)]
pub struct AtWork {
    /// Who runs.
    pub by: lock::Holder,
    /// The stages that run.
    pub running: BTreeMap<String, Running>,
    /// The stages whose turn comes.
    pub waiting: BTreeSet<String>,
    /// The stages that failed, where it goes on without them, and why.
    pub failed: BTreeMap<String, String>,
    /// All that it looks at, in the order in which they come.
    pub stages: Vec<String>,
}

/// How a run ended that did not do all it was to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// A stage failed.
    Failed,
    /// It was asked to stop.
    Interrupted,
    /// It was killed, or the machine went down.
    Killed,
}

/// What the run in a folder is at; none if there is none.
pub fn at_work(run_folder: &Path) -> Option<AtWork> {
    let by = lock::holder(run_folder)?;
    Some(match read(run_folder) {
        Some((pid, found, _)) if pid == by.pid => AtWork { by, ..found },
        // Left by another run, or not there yet.
        _ => AtWork::nothing(by),
    })
}

/// What the last run in a folder was at when it ended before it had done all; none where a run goes on.
pub fn left(run_folder: &Path) -> Option<(AtWork, End)> {
    let (_, found, end) = read(run_folder)?;
    lock::holder(run_folder).is_none().then_some((found, end))
}

impl AtWork {
    fn nothing(by: lock::Holder) -> Self {
        let (running, waiting, failed, stages) = Default::default();
        Self { by, running, waiting, failed, stages }
    }
}

/// The process that wrote the file, what it was at, and how it ended if it has.
fn read(run_folder: &Path) -> Option<(u32, AtWork, End)> {
    let text = fs::read_to_string(place(run_folder)).ok()?;
    // The last line may be half written.
    let mut lines = text.lines().map_while(|line| serde_json::from_str(line).ok());
    let Line::Run { pid, stages } = lines.next()? else { return None };
    let by = lock::Holder { pid, host: String::new(), started: String::new() };
    let mut found = AtWork { waiting: stages.iter().cloned().collect(), stages, ..AtWork::nothing(by) };
    let mut end = End::Killed;
    for line in lines {
        match line {
            Line::Run { .. } => {}
            Line::Started { stage, at: since, version } => {
                found.waiting.remove(&stage);
                found.running.insert(stage, Running { since, version });
            }
            Line::Ended { stage, is_done, why } => {
                found.waiting.remove(&stage);
                found.running.remove(&stage);
                if !is_done {
                    found.failed.insert(stage, why.unwrap_or_default());
                }
            }
            Line::Over { was_interrupted } => {
                end = if was_interrupted { End::Interrupted } else { End::Failed };
            }
        }
    }
    Some((pid, found, end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interrupt::Interrupt;
    use crate::lock::Lock;
    use crate::progress::{Progress, Verbosity};

    #[test]
    fn it_is_believed_while_the_run_that_wrote_it_holds_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let progress = Progress::new(Verbosity::Quiet, Interrupt::default());
        let run = dir.path().join("m");
        fs::create_dir(&run).unwrap();
        let ids = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        let lock = Lock::of_folder(&run, &progress).unwrap();
        assert!(at_work(&run).unwrap().waiting.is_empty());
        let journal = Journal::begin(&run, ids);
        journal.started("a", None);
        journal.ended("a", None);
        journal.started("b", None);
        journal.ended("c", Some("no room".to_owned()));
        let found = at_work(&run).unwrap();
        assert_eq!(found.by.pid, std::process::id());
        assert_eq!(found.running.keys().collect::<Vec<_>>(), ["b"]);
        assert_eq!(found.waiting.iter().collect::<Vec<_>>(), ["d"]);
        assert_eq!(found.failed, BTreeMap::from([("c".to_owned(), "no room".to_owned())]));
        assert_eq!(found.stages, ["a", "b", "c", "d"]);
        assert!(left(&run).is_none());

        // As after a kill: the file stays, the lock goes.
        let text = fs::read(place(&run)).unwrap();
        drop((journal, lock));
        assert!(left(&run).is_none());
        fs::write(place(&run), &text).unwrap();
        assert!(at_work(&run).is_none());
        let (found, end) = left(&run).unwrap();
        assert_eq!((found.by.pid, found.running.len(), end), (std::process::id(), 1, End::Killed));
        for (was_interrupted, expected) in [(true, End::Interrupted), (false, End::Failed)] {
            let lock = Lock::of_folder(&run, &progress).unwrap();
            Journal::begin(&run, vec!["a".to_owned()]).over(was_interrupted);
            drop(lock);
            assert_eq!(left(&run).unwrap().1, expected);
        }
        let other = String::from_utf8(text).unwrap().replace(&std::process::id().to_string(), "1");
        fs::write(place(&run), other + "{\"half").unwrap();
        let _lock = Lock::of_folder(&run, &progress).unwrap();
        assert!(at_work(&run).unwrap().running.is_empty());
        assert!(Journal::begin(&run, Vec::new()).file.is_some());
        fs::write(place(&run), "notes").unwrap();
        drop(Journal::begin(&run, Vec::new()));
        assert_eq!(fs::read_to_string(place(&run)).unwrap(), "notes");
    }
}
