//! Folders for what does not fit into memory. One is gone with the process that made it; what a killed one left is deleted by the next that
//! makes one beside it.

use std::fs::TryLockError;
use std::path::Path;

use tempfile::TempDir;

use crate::Result;

const PREFIX: &str = "dcgan-cluster-";
/// The file by which a folder is known as ours: locked as long as somebody needs the folder.
const LOCK: &str = "dcgan-cluster.lock";

/// A folder, deleted in the end.
pub(crate) struct Scratch {
    dir: TempDir,
    _lock: fs_err::File,
}

impl Scratch {
    /// Makes one within `parent`.
    pub(crate) fn within(parent: &Path) -> Result<Self> {
        fs_err::create_dir_all(parent)?;
        delete_abandoned(parent)?;
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
        // Under its name it is locked already: nobody takes the folder for an abandoned one.
        let (unlocked, path) = (dir.path().join("unlocked"), dir.path().join(LOCK));
        let lock = fs_err::File::create(&unlocked)?;
        lock.file().lock()?;
        fs_err::rename(&unlocked, &path)?;
        Ok(Self { dir, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Deletes the folders of processes that were killed.
fn delete_abandoned(parent: &Path) -> Result<()> {
    for entry in fs_err::read_dir(parent)? {
        let path = entry?.path();
        let is_named_so =
            path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(PREFIX.as_bytes()));
        // Somebody else's, which cannot be opened, is left to them.
        let Ok(lock) = std::fs::OpenOptions::new().write(true).open(path.join(LOCK)) else { continue };
        if is_named_so && !matches!(lock.try_lock(), Err(TryLockError::WouldBlock)) {
            fs_err::remove_dir_all(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_is_deleted_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let within = |name: &str| dir.path().join(name);
        let (abandoned, others) = (within("dcgan-cluster-abc"), within("dcgan-cluster-notes"));
        for folder in [&abandoned, &others, &within("other")] {
            std::fs::create_dir(folder).unwrap();
            std::fs::write(folder.join("spilled"), "").unwrap();
        }
        std::fs::write(abandoned.join(LOCK), "").unwrap();
        let first = Scratch::within(dir.path()).unwrap();
        assert!(!abandoned.exists());
        let second = Scratch::within(dir.path()).unwrap();
        assert!(first.path().exists() && first.path() != second.path());
        let path = first.path().to_owned();
        drop(first);
        assert!(!path.exists() && second.path().exists());
        assert!(others.join("spilled").exists() && within("other/spilled").exists());
    }
}
