//! One run at a time in a folder.
//!
//! The lock is the system's, on a file `.NAME.lock` beside the folder; it goes with the process, however that ends. The
//! file says who holds it, and is removed by a run that ends: a file that nobody holds was left by a run that was
//! killed, and is taken over.

use std::fmt;
use std::fs::TryLockError;
use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, bail};
use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::clock::rfc3339;
use crate::progress::Progress;

/// Who holds a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// The machine it runs on.
    pub host: String,
    /// When it took the folder, RFC 3339, UTC.
    pub started: String,
}

impl Holder {
    fn this_process() -> Self {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").ok();
        let host = host.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
        let host = if host.trim().is_empty() { "an unnamed host".to_owned() } else { host.trim().to_owned() };
        Self { pid: std::process::id(), host, started: rfc3339(SystemTime::now()) }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} on {}, since {}", self.pid, self.host, self.started)
    }
}

/// A folder held for this process until dropped.
#[derive(Debug)]
pub struct Lock {
    file: fs::File,
    path: PathBuf,
}

impl Lock {
    /// Holds a folder, which need not exist; its parent must.
    ///
    /// # Errors
    /// If another process holds it, which the message names, or the lock's file cannot be written.
    pub fn take(folder: &Path, progress: &Progress) -> anyhow::Result<Self> {
        let path = path_for(folder);
        loop {
            let mut file = open(&path)?;
            match file.file().try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => bail!(in_use(folder, &path)),
                Err(TryLockError::Error(error)) => {
                    return Err(anyhow::Error::from(error).context(format!("cannot lock {}", path.display())));
                }
            }
            if !is_still_at(&file, &path) {
                // The run that held it has removed it between our opening and locking it.
                continue;
            }
            if let Some(holder) = named(&path) {
                progress.detail(format_args!("the run before this one ({holder}) was killed; taking over"));
            }
            let text = serde_json::to_string(&Holder::this_process())?;
            file.file()
                .set_len(0)
                .and_then(|()| file.rewind())
                .and_then(|()| file.write_all(text.as_bytes()))
                .with_context(|| format!("cannot write {}", path.display()))?;
            return Ok(Self { file, path });
        }
    }
}

impl Lock {
    /// Makes sure that nobody else holds a folder, without holding it.
    ///
    /// # Errors
    /// If a process holds it, which the message names.
    pub fn check_free(folder: &Path) -> anyhow::Result<()> {
        let path = path_for(folder);
        match fs::File::open(&path).map(|file| file.file().try_lock_shared()) {
            Ok(Err(TryLockError::WouldBlock)) => bail!(in_use(folder, &path)),
            _ => Ok(()),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Removed while it is still held, so that what is removed is ours; a file that stays is taken over.
        let _ = fs::remove_file(&self.path);
        let _ = self.file.file().unlock();
    }
}

/// Who holds a folder at the moment, as far as its lock tells.
pub fn holder(folder: &Path) -> Option<Holder> {
    let path = path_for(folder);
    let is_held = fs::File::open(&path)
        .is_ok_and(|file| matches!(file.file().try_lock_shared(), Err(TryLockError::WouldBlock)));
    let unknown =
        || Holder { pid: 0, host: "an unnamed host".to_owned(), started: "an unknown time".to_owned() };
    is_held.then(|| named(&path).unwrap_or_else(unknown))
}

/// The lock's file of a folder.
pub fn path_for(folder: &Path) -> PathBuf {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    folder.with_file_name(format!(".{name}.lock"))
}

/// True if a lock's file is held by nobody: its process was killed.
pub fn is_left_over(path: &Path) -> bool {
    fs::File::open(path).is_ok_and(|file| file.file().try_lock_shared().is_ok())
}

fn open(path: &Path) -> anyhow::Result<fs::File> {
    Ok(fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?)
}

fn named(path: &Path) -> Option<Holder> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn in_use(folder: &Path, path: &Path) -> String {
    let by = named(path).map(|holder| format!(" ({holder})")).unwrap_or_default();
    format!("{} is in use by another run{by}; wait for it, or make another folder", folder.display())
}

#[cfg(unix)]
fn is_still_at(file: &fs::File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    file.metadata().map(identity).ok() == fs::metadata(path).map(identity).ok()
}

#[cfg(not(unix))]
fn is_still_at(_file: &fs::File, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interrupt::Interrupt;
    use crate::progress::Verbosity;

    #[test]
    fn a_folder_is_held_once_and_the_holder_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let progress = Progress::new(Verbosity::Quiet, Interrupt::default());
        let folder = dir.path().join("runs");
        let lock = Lock::take(&folder, &progress).unwrap();
        assert!(!is_left_over(&path_for(&folder)));
        let told = Lock::take(&folder, &progress).unwrap_err().to_string();
        assert!(
            told.contains(&format!("is in use by another run (process {} on ", std::process::id())),
            "{told}"
        );
        drop(lock);
        assert!(!path_for(&folder).exists());
    }

    #[test]
    fn a_file_that_a_killed_run_left_is_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let progress = Progress::new(Verbosity::Quiet, Interrupt::default());
        let folder = dir.path().join("runs");
        let dead = Holder { pid: 1, host: "h".to_owned(), started: "2020-01-01T00:00:00Z".to_owned() };
        fs::write(path_for(&folder), serde_json::to_string(&dead).unwrap() + "and more").unwrap();
        assert!(is_left_over(&path_for(&folder)));
        let lock = Lock::take(&folder, &progress).unwrap();
        assert_eq!(holder(&folder).unwrap().pid, std::process::id());
        drop(lock);
    }
}
