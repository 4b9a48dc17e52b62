//! How far the stages are that run, written down every second for those who watch.
//!
//! One small file in [`Hidden`], written over in place: no folder changes. What is read of it may be half written, and then
//! counts for nothing. Only the journal says which stages run.

use std::collections::BTreeMap;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::hidden::{Hidden, what_is_at};

/// How often it is written down.
pub const EVERY: Duration = Duration::from_secs(1);
/// By what a file is known to be one of these.
const MARK: &[u8] = b"{\"progress\":";

/// How far a stage is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// What it is at, how far and how fast, in words.
    pub words: String,
    /// Things done.
    pub done: u64,
    /// Things in all; 0 where that is unknown.
    pub total: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Written {
    progress: BTreeMap<String, Beat>,
}

/// A run's own; the file is removed with the last clone. Where it cannot be written the run goes on without.
#[derive(Debug, Clone)]
pub struct Pulse(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    file: Option<fs::File>,
    path: PathBuf,
    beats: BTreeMap<String, Beat>,
}

impl Pulse {
    /// Begins the file of a run that holds its folder. A file that is none of ours is left alone.
    pub fn begin(run_folder: &Path) -> Self {
        let path = place(run_folder);
        let is_free = match what_is_at(&path) {
            "nothing" => true,
            "a file" => is_ours(&path),
            _ => false,
        };
        let open = || fs::OpenOptions::new().write(true).create(true).truncate(true).open(&path);
        let mut state = State { file: is_free.then(|| open().ok()).flatten(), path, beats: BTreeMap::new() };
        state.write();
        Self(Arc::new(Mutex::new(state)))
    }

    /// Notes how far a stage is.
    pub fn beat(&self, stage: &str, beat: Beat) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.beats.insert(stage.to_owned(), beat);
        state.write();
    }

    /// Nothing is to be said of a stage any more.
    pub fn ended(&self, stage: &str) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.beats.remove(stage);
        state.write();
    }
}

impl State {
    fn write(&mut self) {
        let Some(file) = &mut self.file else { return };
        let mut bytes = serde_json::to_vec(&Written { progress: self.beats.clone() }).unwrap_or_default();
        bytes.push(b'\n');
        // It only informs: a full disk is for the stage to tell.
        let _ = file.rewind().and_then(|()| file.write_all(&bytes));
        let _ = file.set_len(bytes.len() as u64);
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn place(run_folder: &Path) -> PathBuf {
    Hidden::of(run_folder).root().join("progress")
}

fn is_ours(path: &Path) -> bool {
    let mut start = Vec::new();
    let read =
        std::fs::File::open(path).and_then(|file| file.take(MARK.len() as u64).read_to_end(&mut start));
    // Killed before its first line was written, it is empty.
    read.is_ok() && MARK.starts_with(&start)
}

/// How far the stages are, as far as the file tells.
pub fn read(run_folder: &Path) -> BTreeMap<String, Beat> {
    let text = fs::read(place(run_folder)).unwrap_or_default();
    // Of a longer text the end may stand behind it.
    let written = serde_json::Deserializer::from_slice(&text).into_iter::<Written>().next();
    written.and_then(Result::ok).map(|written| written.progress).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_last_is_read_and_the_file_goes_with_the_run() {
        let dir = tempfile::tempdir().unwrap();
        Hidden::open(dir.path()).unwrap();
        let beat = |done: u64| Beat { words: format!("training {done}"), done, total: 20_000 };
        let pulse = Pulse::begin(dir.path());
        assert!(read(dir.path()).is_empty());
        for done in [10_000, 20, 3] {
            pulse.clone().beat("a", beat(done));
        }
        pulse.beat("b", beat(7));
        assert_eq!(read(dir.path()), BTreeMap::from([("a".to_owned(), beat(3)), ("b".to_owned(), beat(7))]));
        pulse.ended("a");
        assert_eq!(read(dir.path()).keys().collect::<Vec<_>>(), ["b"]);
        drop(pulse);
        assert_eq!(what_is_at(&place(dir.path())), "nothing");
        // What a killed run left is written over, what is not ours is not.
        for left in ["", "{\"progress\":{\"a\":{\"words", "my notes"] {
            fs::write(place(dir.path()), left).unwrap();
            assert!(read(dir.path()).is_empty());
            let pulse = Pulse::begin(dir.path());
            pulse.beat("a", beat(1));
            let is_ours = left != "my notes";
            assert_eq!(read(dir.path()).len(), usize::from(is_ours), "{left}");
            drop(pulse);
            assert_eq!(place(dir.path()).exists(), !is_ours, "{left}");
        }
    }
}
