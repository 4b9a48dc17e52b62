//! One run at a time in a folder of runs, and one at a stage's folder.
//!
//! The lock is the system's, on a file in [`Hidden`]; it goes with the process, however that ends. The file says who holds it,
//! and is removed by a run that ends: a file that nobody holds was left by a run that was killed, and is taken over. A link in
//! its place is not followed, and a file that holds something else is left as it is.

use std::fmt;
use std::fs::TryLockError;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, bail};
use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::clock::rfc3339;
use crate::folder::Target;
use crate::hidden::{Hidden, what_is_at};
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

    /// Of a lock that is held and does not say by whom.
    fn unknown() -> Self {
        Self { pid: 0, host: "an unnamed host".to_owned(), started: "an unknown time".to_owned() }
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
    /// Holds a folder and all that lies in it; it is made where it is not there.
    ///
    /// # Errors
    /// If another process holds it, which the message names, or the lock's file cannot be written.
    pub fn of_folder(folder: &Path, progress: &Progress) -> anyhow::Result<Self> {
        let hidden = Hidden::open(folder)?;
        Self::take(hidden.lock(), folder, progress)
    }

    /// Holds one stage's folder, which need not exist.
    ///
    /// # Errors
    /// As [`Lock::of_folder`].
    pub fn of_stage(target: &Target, progress: &Progress) -> anyhow::Result<Self> {
        let path = target.open()?.lock_of(target.name());
        fs::create_dir_all(path.parent().unwrap_or(&path))?;
        Self::take(path, target.folder(), progress)
    }

    fn take(path: PathBuf, folder: &Path, progress: &Progress) -> anyhow::Result<Self> {
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
            let text = text_of(&path);
            if !text.as_deref().is_some_and(is_ours) {
                bail!(
                    "{}: expected a lock of this program's, found another file; move it elsewhere",
                    path.display()
                );
            }
            if let Some(holder) = text.as_deref().and_then(parse) {
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

    /// Makes sure that nobody holds a folder, without holding it.
    ///
    /// # Errors
    /// If a process holds it, which the message names.
    pub fn check_free(folder: &Path) -> anyhow::Result<()> {
        match holder(folder) {
            Some(by) => bail!(in_use_by(folder, &by)),
            None => Ok(()),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Removed while it is still held, so that what is removed is ours; a file that stays is taken over.
        if is_still_at(&self.file, &self.path) {
            let _ = fs::remove_file(&self.path);
        }
        let _ = self.file.file().unlock();
    }
}

/// Who holds a folder at the moment, as far as its lock tells.
pub fn holder(folder: &Path) -> Option<Holder> {
    let path = Hidden::found(folder)?.lock();
    is_held(&path).then(|| text_of(&path).as_deref().and_then(parse).unwrap_or_else(Holder::unknown))
}

/// True if a process holds a lock's file.
pub(crate) fn is_held(path: &Path) -> bool {
    open_for_reading(path).is_some_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// True for a lock of ours that nobody holds: its process was killed.
pub(crate) fn is_left_over(path: &Path) -> bool {
    text_of(path).as_deref().is_some_and(is_ours) && !is_held(path)
}

fn open(path: &Path) -> anyhow::Result<fs::File> {
    let found = what_is_at(path);
    if !["a file", "nothing"].contains(&found) {
        bail!("{}: expected a lock of this program's, found {found}; move it elsewhere", path.display());
    }
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    fs::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NOFOLLOW);
    Ok(options.open(path)?)
}

fn open_for_reading(path: &Path) -> Option<std::fs::File> {
    (what_is_at(path) == "a file").then(|| std::fs::File::open(path).ok())?
}

/// What a lock's file says; it is short.
fn text_of(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    open_for_reading(path)?.take(4096).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// True for what a lock of ours may hold: a holder, or less where its process was killed while it wrote.
fn is_ours(text: &str) -> bool {
    const START: &str = "{\"pid\":";
    text.trim_matches('\0').is_empty() || text.starts_with(START) || START.starts_with(text)
}

fn parse(text: &str) -> Option<Holder> {
    // What a shorter text was written over may stand behind it.
    serde_json::Deserializer::from_str(text).into_iter().next()?.ok()
}

fn in_use(folder: &Path, path: &Path) -> String {
    in_use_by(folder, &text_of(path).as_deref().and_then(parse).unwrap_or_else(Holder::unknown))
}

fn in_use_by(folder: &Path, holder: &Holder) -> String {
    format!("{} is in use by another run ({holder}); wait for it, or make another folder", folder.display())
}

#[cfg(unix)]
fn is_still_at(file: &fs::File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    let there = fs::symlink_metadata(path).map(identity).ok();
    there.is_some() && file.metadata().map(identity).ok() == there
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

    fn quiet() -> Progress {
        Progress::new(Verbosity::Quiet, Interrupt::default())
    }

    #[test]
    fn a_folder_is_held_once_and_the_holder_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("runs");
        assert_eq!(holder(&folder), None);
        let lock = Lock::of_folder(&folder, &quiet()).unwrap();
        assert_eq!(holder(&folder).unwrap().pid, std::process::id());
        let message = Lock::of_folder(&folder, &quiet()).unwrap_err().to_string();
        assert!(
            message.contains(&format!("is in use by another run (process {} on ", std::process::id())),
            "{message}"
        );
        assert!(Lock::check_free(&folder).is_err());
        drop(lock);
        Lock::check_free(&folder).unwrap();
        assert!(!Hidden::of(&folder).lock().exists());
    }

    #[test]
    fn two_stages_of_a_folder_are_held_each_on_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| Target::at(&dir.path().join(name)).unwrap();
        let _a = Lock::of_stage(&at("a"), &quiet()).unwrap();
        let _b = Lock::of_stage(&at("b"), &quiet()).unwrap();
        assert!(Lock::of_stage(&at("a"), &quiet()).is_err());
        let _whole = Lock::of_folder(dir.path(), &quiet()).unwrap();
    }

    #[test]
    fn a_file_that_a_killed_run_left_is_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Hidden::open(dir.path()).unwrap().lock();
        let dead = Holder { pid: 1, host: "h".to_owned(), started: "2020-01-01T00:00:00Z".to_owned() };
        for left in [String::new(), "\0\0".to_owned(), serde_json::to_string(&dead).unwrap() + "and more"] {
            fs::write(&lock, left).unwrap();
            assert_eq!(holder(dir.path()), None);
            let _lock = Lock::of_folder(dir.path(), &quiet()).unwrap();
            assert_eq!(holder(dir.path()).unwrap().pid, std::process::id());
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_lock_of_ours_is_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Hidden::open(dir.path()).unwrap().lock();
        let thesis = dir.path().join("thesis");
        fs::write(&thesis, "p").unwrap();
        fs::write(&lock, "my notes").unwrap();
        let message = Lock::of_folder(dir.path(), &quiet()).unwrap_err().to_string();
        assert!(message.contains("expected a lock of this program's, found another file"), "{message}");
        assert_eq!(fs::read_to_string(&lock).unwrap(), "my notes");
        fs::remove_file(&lock).unwrap();
        for to in ["thesis", "nowhere"] {
            std::os::unix::fs::symlink(dir.path().join(to), &lock).unwrap();
            let message = Lock::of_folder(dir.path(), &quiet()).unwrap_err().to_string();
            assert!(message.contains("found a link"), "{message}");
            assert!(Lock::check_free(dir.path()).is_ok());
            fs::remove_file(&lock).unwrap();
        }
        assert_eq!(fs::read_to_string(&thesis).unwrap(), "p");
        assert!(!dir.path().join("nowhere").exists());
    }
}
