//! A memory of fingerprints, so that an unchanged file is not read again.
//!
//! A file is taken to be unchanged while its path, size, modification time (nanoseconds) and inode are. That is wrong
//! only for a file that is changed again within the clock tick of its last change, so a fingerprint is remembered only
//! if the file was last modified longer than a tick before it was read (git's rule for "racily clean" files). "Before"
//! is by the clock of the file system that holds the memory, which is the one that sets modification times, as well as
//! by the clock of this process: either may have been turned back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::fingerprint::{self, Stamp};
use crate::folder::{temporary, write_whole};
use crate::progress::Progress;

/// A file changed this shortly before it was read could change again within the clock's tick, unnoticed.
const TICK_NS: u128 = 50_000_000;

/// The same where a file system keeps whole seconds, or two of them as FAT does.
const COARSE_TICK_NS: u128 = 2_000_000_000;

/// From this size on, it is worth waiting for the tick to pass rather than reading the file again at the next run.
const WORTH_WAITING: u64 = 64 << 20;

/// From this size on, reading a file gets a progress bar.
const LARGE: u64 = 256 << 20;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    stamp: String,
    content: String,
}

/// Fingerprints by absolute path; kept in `.fingerprints` in the folder of runs.
#[derive(Debug)]
pub struct Memo {
    file: PathBuf,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    entries: BTreeMap<PathBuf, Entry>,
    is_changed: bool,
}

impl Memo {
    /// Opens the memory of a folder of runs. One that cannot be read is forgotten: it only saves time.
    pub fn open(runs: &Path) -> Self {
        let file = runs.join(".fingerprints");
        let entries = fs::read(&file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let known = Known { entries: entries.unwrap_or_default(), is_changed: false };
        Self { file, known: Mutex::new(known) }
    }

    /// A memory that is never written down.
    pub fn forgetful() -> Self {
        Self { file: PathBuf::new(), known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // A thread that panicked while it held the map has left whole entries.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fingerprint of a file's or folder's content, from memory if its stamp is unchanged.
    ///
    /// # Errors
    /// If it cannot be read, or the run was interrupted meanwhile.
    pub fn fingerprint(&self, path: &Path, progress: &Progress) -> anyhow::Result<String> {
        let key = std::path::absolute(path).with_context(|| path.display().to_string())?;
        let stamp = fingerprint::stamp(path)?;
        let known = self.known().entries.get(&key).filter(|entry| entry.stamp == stamp.digest).cloned();
        if let Some(entry) = known {
            return Ok(entry.content);
        }
        let is_old = self.is_older_than_a_tick(&stamp);
        let content = read(path, &stamp, &mut LargeFiles { memo: self, stamp: None }, progress)?;
        if is_old {
            let mut known = self.known();
            known.entries.insert(key, Entry { stamp: stamp.digest, content: content.clone() });
            known.is_changed = true;
        } else if stamp.n_bytes >= WORTH_WAITING && stamp.modified_ns > self.now_ns() {
            progress.warn(format_args!(
                "{} was modified in the future, as the clock stands; it is read whole at every run until the clock \
                 has passed that time (`touch` it to spare that)",
                path.display()
            ));
        }
        Ok(content)
    }

    /// True if whatever the stamp is of was last modified so long ago that a later change must change the stamp.
    fn is_older_than_a_tick(&self, stamp: &Stamp) -> bool {
        let tick = if stamp.modified_ns.is_multiple_of(1_000_000_000) { COARSE_TICK_NS } else { TICK_NS };
        let settled = stamp.modified_ns + tick;
        let now = self.now_ns();
        if settled >= now && settled - now <= tick && stamp.n_bytes >= WORTH_WAITING {
            // A file system's clock may lag by a tick of the kernel's.
            std::thread::sleep(Duration::from_nanos((settled - now) as u64) + Duration::from_millis(20));
            return settled < self.now_ns();
        }
        settled < now
    }

    /// Nanoseconds since 1970, by the slower of the process's clock and the file system's.
    fn now_ns(&self) -> u128 {
        let since_1970 =
            |time: SystemTime| time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let ours = since_1970(SystemTime::now());
        // Threads may ask at the same time.
        static N_PROBES: AtomicU64 = AtomicU64::new(0);
        let n = N_PROBES.fetch_add(1, Ordering::Relaxed);
        let probe = temporary(&self.file.with_file_name(format!("clock-{n}")));
        let is_kept = self.file.parent().is_some_and(Path::is_dir);
        let theirs = is_kept.then(|| {
            fs::write(&probe, []).ok()?;
            let modified = fs::metadata(&probe).and_then(|metadata| metadata.modified()).ok();
            // Left behind, it is one of the leftovers that `gc` knows.
            let _ = fs::remove_file(&probe);
            modified
        });
        theirs.flatten().map_or(ours, |theirs| ours.min(since_1970(theirs)))
    }

    /// Follows a folder that was renamed.
    pub fn moved(&self, from: &Path, to: &Path) {
        let (Ok(from), Ok(to)) = (std::path::absolute(from), std::path::absolute(to)) else { return };
        let mut known = self.known();
        let entries = &mut known.entries;
        entries.retain(|path, _| !path.starts_with(&to));
        let moved: Vec<PathBuf> = entries.keys().filter(|path| path.starts_with(&from)).cloned().collect();
        for path in moved {
            if let (Some(entry), Ok(rest)) = (entries.remove(&path), path.strip_prefix(&from)) {
                entries.insert(to.join(rest), entry);
            }
        }
    }

    /// Writes the memory down, if it has changed. It only saves time: that it cannot be written is told, no failure.
    pub fn save(&self, progress: &Progress) {
        let mut known = self.known();
        let folder_exists = self.file.parent().is_some_and(Path::is_dir);
        if !known.is_changed || !folder_exists {
            return;
        }
        known.entries.retain(|path, _| path.exists());
        known.is_changed = false;
        let written = serde_json::to_vec(&known.entries)
            .map_err(anyhow::Error::from)
            .and_then(|bytes| write_whole(&self.file, &bytes));
        if let Err(error) = written {
            progress.detail(format_args!("fingerprints are not remembered: {error:#}"));
        }
    }
}

/// Remembers the large files of a folder one by one, so that another file's change does not make them be read again.
struct LargeFiles<'a> {
    memo: &'a Memo,
    /// Of the file that was asked for last, from before it was read.
    stamp: Option<Stamp>,
}

impl fingerprint::Known for LargeFiles<'_> {
    fn recall(&mut self, file: &Path) -> Option<String> {
        self.stamp = None;
        let is_large = fs::metadata(file).is_ok_and(|metadata| metadata.len() >= WORTH_WAITING);
        if !is_large {
            return None;
        }
        let (stamp, key) = (fingerprint::stamp(file).ok()?, std::path::absolute(file).ok()?);
        let known = self.memo.known().entries.get(&key).filter(|entry| entry.stamp == stamp.digest).cloned();
        self.stamp = Some(stamp).filter(|stamp| self.memo.is_older_than_a_tick(stamp));
        known.map(|entry| entry.content)
    }

    fn remember(&mut self, file: &Path, hash: &str) {
        if let (Some(stamp), Ok(key)) = (self.stamp.take(), std::path::absolute(file)) {
            let mut known = self.memo.known();
            known.entries.insert(key, Entry { stamp: stamp.digest, content: hash.to_owned() });
            known.is_changed = true;
        }
    }
}

fn read(
    path: &Path,
    stamp: &Stamp,
    known: &mut LargeFiles<'_>,
    progress: &Progress,
) -> anyhow::Result<String> {
    let what = format!("fingerprint of {}", path.display());
    let mut task = (stamp.n_bytes >= LARGE).then(|| progress.task(&what, "MiB"));
    fingerprint::content(path, known, &mut |n_read| match &mut task {
        Some(task) => task.observe(n_read >> 20, stamp.n_bytes >> 20),
        None => progress.interrupt().flow(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interrupt::Interrupt;
    use crate::progress::Verbosity;

    fn set_modified(path: &Path, time: SystemTime) {
        std::fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    }

    #[test]
    fn an_unchanged_file_is_not_read_again_and_a_changed_one_is() {
        let dir = tempfile::tempdir().unwrap();
        let progress = Progress::new(Verbosity::Quiet, Interrupt::default());
        let path = dir.path().join("a");
        fs::write(&path, "one").unwrap();
        set_modified(&path, SystemTime::now() - Duration::from_secs(60));

        let memo = Memo::open(dir.path());
        let before = memo.fingerprint(&path, &progress).unwrap();
        memo.save(&progress);
        let memo = Memo::open(dir.path());
        assert_eq!(memo.known().entries.len(), 1);
        assert_eq!(memo.fingerprint(&path, &progress).unwrap(), before);
        assert!(!memo.known().is_changed);

        fs::write(&path, "two").unwrap();
        assert_ne!(memo.fingerprint(&path, &progress).unwrap(), before);
        let left: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "{left:?}");
    }

    /// Two contents of the same size, time and inode, read one after the other: nothing but the content tells them
    /// apart. False if it took so long that the first was rightly trusted.
    fn both_are_read(modified: Option<SystemTime>) -> bool {
        let dir = tempfile::tempdir().unwrap();
        let progress = Progress::new(Verbosity::Quiet, Interrupt::default());
        let path = dir.path().join("a");
        let memo = Memo::open(dir.path());
        fs::write(&path, "one").unwrap();
        let modified = modified.unwrap_or_else(|| fs::metadata(&path).unwrap().modified().unwrap());
        set_modified(&path, modified);
        let before = memo.fingerprint(&path, &progress).unwrap();
        let was_slow = modified.elapsed().is_ok_and(|elapsed| elapsed.as_nanos() > TICK_NS);
        fs::write(&path, "two").unwrap();
        set_modified(&path, modified);
        let after = memo.fingerprint(&path, &progress).unwrap();
        assert!(was_slow || after != before);
        !was_slow
    }

    #[test]
    fn a_file_modified_just_now_or_in_the_future_is_not_trusted() {
        assert!(both_are_read(Some(SystemTime::now() + Duration::from_secs(86_400))));
        assert!((0..100).any(|_| both_are_read(None)));
    }

    #[test]
    fn a_large_file_written_just_now_is_remembered_after_its_tick() {
        let dir = tempfile::tempdir().unwrap();
        let progress = Progress::new(Verbosity::Quiet, Interrupt::default());
        let path = dir.path().join("a");
        fs::File::create(&path).unwrap().set_len(WORTH_WAITING).unwrap();
        let memo = Memo::open(dir.path());
        memo.fingerprint(&path, &progress).unwrap();
        assert_eq!(memo.known().entries.len(), 1);
    }
}
