//! A memory of fingerprints, so that an unchanged file is not read again.
//!
//! A file is taken to be unchanged while its path, size, inode, modification time and time of change (nanoseconds) are; the
//! last cannot be put back after an edit. That is wrong only for a file that is changed again within the clock tick of its last
//! change, so a fingerprint is remembered only if the file was last changed longer than a tick before it was read (git's rule
//! for "racily clean" files). "Before" is by the clock of the file system that holds the memory, which is the one that sets
//! these times, as well as by the clock of this process: either may have been turned back. A disk's own errors change no time:
//! they are seen by a memory that verifies, which reads everything anew.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use dcgan_files::walk::Stop;
use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::disk::{temporary, write_whole};
use crate::fingerprint::{self, Stamp};
use crate::hidden::Hidden;
use crate::progress::Progress;

/// No tick of a file system's clock is longer.
const LONGEST_WAIT_NS: u128 = 2_000_000_000;

/// From this size on, it is worth waiting for the tick to pass rather than reading the file again at the next run.
const WORTH_WAITING: u64 = 64 << 20;

/// From this size on, reading a file gets a progress bar.
const LARGE: u64 = 256 << 20;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    stamp: String,
    content: String,
}

/// Fingerprints by absolute path; kept in the hidden folder of the folder of runs.
#[derive(Debug)]
pub struct FingerprintCache {
    file: PathBuf,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    entries: BTreeMap<PathBuf, Entry>,
    is_changed: bool,
    /// What is remembered of files that have not been looked at yet, where everything is to be read anew.
    unread: BTreeMap<PathBuf, Entry>,
    /// When it was last written down, and how long that took.
    saved: Option<(Instant, Duration)>,
}

/// Takes out what is known of a path and all that lies below it; paths are in order, so that these stand together.
fn take_below(entries: &mut BTreeMap<PathBuf, Entry>, folder: &Path) -> Vec<(PathBuf, Entry)> {
    let from_here = entries.range(folder.to_owned()..).map(|(path, _)| path);
    let below: Vec<PathBuf> = from_here.take_while(|path| path.starts_with(folder)).cloned().collect();
    below.into_iter().filter_map(|path| entries.remove_entry(&path)).collect()
}

impl FingerprintCache {
    /// Opens the memory of a folder of runs. One that cannot be read is forgotten: it only saves time.
    pub fn open(runs: &Path) -> Self {
        let file = Hidden::of(runs).root().join("fingerprints.json");
        let entries = fs::read(&file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let known = Known { entries: entries.unwrap_or_default(), ..Known::default() };
        Self { file, known: Mutex::new(known) }
    }

    /// Forgets what it has not seen itself, so that everything is read; what is read then is remembered as ever.
    pub fn verify(&self) {
        let mut known = self.known();
        known.unread = std::mem::take(&mut known.entries);
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
        let stop = progress.interrupt().stop();
        let stamp = fingerprint::stamp(path, &stop)?;
        let known = self.known().entries.get(&key).filter(|entry| entry.stamp == stamp.digest).cloned();
        if let Some(entry) = known {
            return Ok(entry.content);
        }
        let is_old = self.is_older_than_a_tick(&stamp);
        let content = read(path, &stamp, &mut LargeFiles { cache: self, stamp: None }, progress)?;
        self.known().unread.remove(&key);
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
        let (settled, now) = (stamp.settled_ns, self.now_ns());
        if settled >= now && settled - now <= LONGEST_WAIT_NS && stamp.n_bytes >= WORTH_WAITING {
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
        let hidden = self.runs().and_then(Hidden::found);
        let theirs = hidden.map(|hidden| {
            let probe = temporary(format!("clock-{n}").as_ref(), hidden.root());
            fs::write(&probe, []).ok()?;
            let modified = fs::metadata(&probe).and_then(|metadata| metadata.modified()).ok();
            // Left behind, it is one of the leftovers that `gc` knows.
            let _ = fs::remove_file(&probe);
            modified
        });
        theirs.flatten().map_or(ours, |theirs| ours.min(since_1970(theirs)))
    }

    /// The folder of runs; none for a memory that is never written down.
    fn runs(&self) -> Option<&Path> {
        self.file.parent()?.parent()
    }

    /// Follows a folder that was renamed.
    pub fn moved(&self, from: &Path, to: &Path) {
        let (Ok(from), Ok(to)) = (std::path::absolute(from), std::path::absolute(to)) else { return };
        let mut known = self.known();
        [&from, &to].into_iter().for_each(|folder| _ = take_below(&mut known.unread, folder));
        take_below(&mut known.entries, &to);
        for (path, entry) in take_below(&mut known.entries, &from) {
            if let Ok(rest) = path.strip_prefix(&from) {
                known.entries.insert(to.join(rest), entry);
            }
        }
    }

    /// [`FingerprintCache::save`], unless it was saved so short a time ago that saving would become the work.
    pub fn save_now_and_then(&self, progress: &Progress) {
        let saved = self.known().saved;
        if saved.is_none_or(|(at, took)| at.elapsed() >= 20 * took) {
            self.save(progress);
        }
    }

    /// Writes the memory down, if it has changed. It only saves time: a failure to write it is a warning.
    pub fn save(&self, progress: &Progress) {
        let mut known = self.known();
        let Some(runs) = self.runs().filter(|runs| known.is_changed && runs.is_dir()) else { return };
        let start = Instant::now();
        known.entries.retain(|path, _| path.exists());
        known.is_changed = false;
        let unread = known.unread.iter().filter(|(path, _)| path.exists());
        let all: BTreeMap<&PathBuf, &Entry> = unread.chain(&known.entries).collect();
        let written = serde_json::to_vec(&all)
            .map_err(anyhow::Error::from)
            .and_then(|bytes| write_whole(&self.file, &bytes, Hidden::open(runs)?.root()));
        known.saved = Some((Instant::now(), start.elapsed()));
        if let Err(error) = written {
            progress.detail(format_args!("fingerprints are not remembered: {error:#}"));
        }
    }
}

/// Remembers the large files of a folder one by one, so that another file's change does not make them be read again.
struct LargeFiles<'a> {
    cache: &'a FingerprintCache,
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
        let (stamp, key) =
            (fingerprint::stamp(file, &Stop::default()).ok()?, std::path::absolute(file).ok()?);
        let known = self.cache.known().entries.get(&key).filter(|entry| entry.stamp == stamp.digest).cloned();
        self.stamp = Some(stamp).filter(|stamp| self.cache.is_older_than_a_tick(stamp));
        known.map(|entry| entry.content)
    }

    fn remember(&mut self, file: &Path, hash: &str) {
        if let (Some(stamp), Ok(key)) = (self.stamp.take(), std::path::absolute(file)) {
            let mut known = self.cache.known();
            known.unread.remove(&key);
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
    fingerprint::content(path, known, &progress.interrupt().stop(), &mut |n_read| match &mut task {
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

    fn wait_a_tick() {
        std::thread::sleep(Duration::from_millis(150));
    }

    #[cfg(unix)]
    #[test]
    fn an_edit_in_place_whose_times_are_put_back_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let progress = Progress::new(Verbosity::Quiet, Interrupt::default());
        let (path, folder) = (dir.path().join("sub/a"), dir.path().join("sub"));
        fs::create_dir(&folder).unwrap();
        fs::write(&path, "one").unwrap();
        let then = SystemTime::now() - Duration::from_secs(60);
        set_modified(&path, then);
        wait_a_tick();
        let cache = FingerprintCache::open(dir.path());
        let before = [&path, &folder].map(|path| cache.fingerprint(path, &progress).unwrap());
        assert_eq!(cache.known().entries.len(), 2);
        // The same inode, size and modification time.
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        std::io::Write::write_all(&mut &file, b"two").unwrap();
        set_modified(&path, then);
        let after = [&path, &folder].map(|path| cache.fingerprint(path, &progress).unwrap());
        assert_ne!(before[0], after[0]);
        assert_ne!(before[1], after[1]);
    }

    #[test]
    fn a_memory_that_verifies_reads_everything_once_and_keeps_what_it_has_not_seen() {
        let dir = tempfile::tempdir().unwrap();
        let progress = Progress::new(Verbosity::Quiet, Interrupt::default());
        let paths = ["a", "b"].map(|name| dir.path().join(name));
        paths.iter().for_each(|path| fs::write(path, "one").unwrap());
        wait_a_tick();
        let cache = FingerprintCache::open(dir.path());
        paths.iter().for_each(|path| _ = cache.fingerprint(path, &progress).unwrap());
        // As after an error of the disk: the stamp is right and the content is not.
        cache.known().entries.values_mut().for_each(|entry| "stale".clone_into(&mut entry.content));
        cache.known().is_changed = true;
        cache.save(&progress);

        let cache = FingerprintCache::open(dir.path());
        assert_eq!(cache.fingerprint(&paths[0], &progress).unwrap(), "stale");
        cache.verify();
        assert_ne!(cache.fingerprint(&paths[0], &progress).unwrap(), "stale");
        assert!(cache.known().is_changed);
        cache.save(&progress);
        cache.known().is_changed = false;
        cache.fingerprint(&paths[0], &progress).unwrap();
        assert!(!cache.known().is_changed, "it was read twice");
        let cache = FingerprintCache::open(dir.path());
        assert_ne!(cache.fingerprint(&paths[0], &progress).unwrap(), "stale");
        assert_eq!(cache.fingerprint(&paths[1], &progress).unwrap(), "stale");
    }

    #[test]
    fn a_moved_folder_takes_along_what_is_known_of_it_and_no_other() {
        let mut entries = BTreeMap::new();
        for path in ["/r/a", "/r/a/x", "/r/a/y/z", "/r/a.b", "/r/ab", "/r/b/x"] {
            entries.insert(PathBuf::from(path), Entry { stamp: String::new(), content: path.to_owned() });
        }
        let taken: Vec<String> =
            take_below(&mut entries, "/r/a".as_ref()).into_iter().map(|(_, entry)| entry.content).collect();
        assert_eq!(taken, ["/r/a", "/r/a/x", "/r/a/y/z"]);
        assert_eq!(entries.len(), 3);
    }

    #[test]
    fn an_unchanged_file_is_not_read_again_and_a_changed_one_is() {
        let dir = tempfile::tempdir().unwrap();
        let progress = Progress::new(Verbosity::Quiet, Interrupt::default());
        let path = dir.path().join("a");
        fs::write(&path, "one").unwrap();
        set_modified(&path, SystemTime::now() - Duration::from_secs(60));
        wait_a_tick();

        let cache = FingerprintCache::open(dir.path());
        let before = cache.fingerprint(&path, &progress).unwrap();
        cache.save(&progress);
        let cache = FingerprintCache::open(dir.path());
        assert_eq!(cache.known().entries.len(), 1);
        assert_eq!(cache.fingerprint(&path, &progress).unwrap(), before);
        assert!(!cache.known().is_changed);

        fs::write(&path, "two").unwrap();
        assert_ne!(cache.fingerprint(&path, &progress).unwrap(), before);
        let names = |folder: &Path| {
            let mut names: Vec<_> =
                fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(names(dir.path()), [".dcgan", "a"]);
        assert_eq!(names(&dir.path().join(".dcgan")), ["README.txt", "fingerprints.json"]);
    }

    /// Two contents of the same size, time and inode, read one after the other: nothing but the content tells them
    /// apart. False if it took so long that the first was rightly trusted.
    fn both_are_read(modified: Option<SystemTime>) -> bool {
        let dir = tempfile::tempdir().unwrap();
        let progress = Progress::new(Verbosity::Quiet, Interrupt::default());
        let path = dir.path().join("a");
        let cache = FingerprintCache::open(dir.path());
        fs::write(&path, "one").unwrap();
        let modified = modified.unwrap_or_else(|| fs::metadata(&path).unwrap().modified().unwrap());
        set_modified(&path, modified);
        let before = cache.fingerprint(&path, &progress).unwrap();
        let was_slow = modified.elapsed().is_ok_and(|elapsed| elapsed.as_millis() > 50);
        fs::write(&path, "two").unwrap();
        set_modified(&path, modified);
        let after = cache.fingerprint(&path, &progress).unwrap();
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
        let cache = FingerprintCache::open(dir.path());
        cache.fingerprint(&path, &progress).unwrap();
        assert_eq!(cache.known().entries.len(), 1);
    }
}
