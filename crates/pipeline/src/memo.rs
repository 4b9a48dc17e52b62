//! A memory of fingerprints, so that an unchanged file is not read again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::fingerprint::{self, Stamp};
use crate::folder::write_whole;
use crate::progress::Progress;

/// A file changed this shortly before it was read could change again within the clock's tick, unnoticed.
const TICK_NS: u128 = 50_000_000;

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
    entries: BTreeMap<PathBuf, Entry>,
    is_changed: bool,
}

impl Memo {
    /// Opens the memory of a folder of runs. One that cannot be read is forgotten: it only saves time.
    pub fn open(runs: &Path) -> Self {
        let file = runs.join(".fingerprints");
        let entries = fs::read(&file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Self { file, entries: entries.unwrap_or_default(), is_changed: false }
    }

    /// A memory that is never written down.
    pub fn forgetful() -> Self {
        Self { file: PathBuf::new(), entries: BTreeMap::new(), is_changed: false }
    }

    /// The fingerprint of a file's or folder's content, from memory if its stamp is unchanged.
    ///
    /// # Errors
    /// If it cannot be read, or the run was interrupted meanwhile.
    pub fn fingerprint(&mut self, path: &Path, progress: &Progress) -> anyhow::Result<String> {
        let key = std::path::absolute(path).with_context(|| path.display().to_string())?;
        let stamp = fingerprint::stamp(path)?;
        if let Some(entry) = self.entries.get(&key)
            && entry.stamp == stamp.digest
        {
            return Ok(entry.content.clone());
        }
        let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos());
        let content = read(path, &stamp, progress)?;
        if stamp.modified_ns + TICK_NS < started {
            self.entries.insert(key, Entry { stamp: stamp.digest, content: content.clone() });
            self.is_changed = true;
        }
        Ok(content)
    }

    /// Follows a folder that was renamed.
    pub fn moved(&mut self, from: &Path, to: &Path) {
        let (Ok(from), Ok(to)) = (std::path::absolute(from), std::path::absolute(to)) else { return };
        self.entries.retain(|path, _| !path.starts_with(&to));
        let moved: Vec<PathBuf> =
            self.entries.keys().filter(|path| path.starts_with(&from)).cloned().collect();
        for path in moved {
            if let (Some(entry), Ok(rest)) = (self.entries.remove(&path), path.strip_prefix(&from)) {
                self.entries.insert(to.join(rest), entry);
            }
        }
    }

    /// Writes the memory down, if it has changed.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&mut self) -> anyhow::Result<()> {
        let folder_exists = self.file.parent().is_some_and(Path::is_dir);
        if self.is_changed && folder_exists {
            self.entries.retain(|path, _| path.exists());
            write_whole(&self.file, &serde_json::to_vec(&self.entries)?)?;
            self.is_changed = false;
        }
        Ok(())
    }
}

fn read(path: &Path, stamp: &Stamp, progress: &Progress) -> anyhow::Result<String> {
    let what = format!("fingerprint of {}", path.display());
    let mut task = (stamp.n_bytes >= LARGE).then(|| progress.task(&what, "MiB"));
    fingerprint::content(path, &mut |n_read| match &mut task {
        Some(task) => task.observe(n_read >> 20, stamp.n_bytes >> 20),
        None => progress.interrupt().flow(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interrupt::Interrupt;
    use crate::progress::Verbosity;

    #[test]
    fn an_unchanged_file_is_not_read_again_and_a_changed_one_is() {
        let dir = tempfile::tempdir().unwrap();
        let progress = Progress::new(Verbosity::Quiet, Interrupt::default());
        let path = dir.path().join("a");
        fs::write(&path, "one").unwrap();
        let old = SystemTime::now() - std::time::Duration::from_secs(60);
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();

        let mut memo = Memo::open(dir.path());
        let before = memo.fingerprint(&path, &progress).unwrap();
        memo.save().unwrap();
        let mut memo = Memo::open(dir.path());
        assert_eq!(memo.entries.len(), 1);
        assert_eq!(memo.fingerprint(&path, &progress).unwrap(), before);
        assert!(!memo.is_changed);

        fs::write(&path, "two").unwrap();
        assert_ne!(memo.fingerprint(&path, &progress).unwrap(), before);
    }
}
