//! Folders for what does not fit into memory. One is gone with the process that made it; what a killed one left is deleted by the next that
//! makes one beside it on the same machine.

use std::path::{Path, PathBuf};

use dcgan_engine::terminal::say;

use crate::Result;

/// Before the machine's name: locks may mean nothing to other machines that see the folder.
const PREFIX: &str = "dcgan-cluster-scratch";
/// The file by which a folder is known as ours: locked as long as somebody needs the folder.
const LOCK: &str = "dcgan-cluster.scratch";

/// A folder, deleted in the end.
pub(crate) struct Scratch {
    dir: PathBuf,
    lock: Option<fs_err::File>,
}

impl Scratch {
    /// Makes one within `parent`.
    pub(crate) fn within(parent: &Path) -> Result<Self> {
        fs_err::create_dir_all(parent)?;
        let prefix = format!("{PREFIX}-{}-", machine());
        delete_abandoned(parent, &prefix)?;
        let dir = tempfile::Builder::new().prefix(&prefix).tempdir_in(parent)?.keep();
        // Under its name it is locked already: nobody takes the folder for an abandoned one.
        let unlocked = dir.join("unlocked");
        let lock = fs_err::File::create(&unlocked)?;
        // Where files cannot be locked nobody takes a folder for an abandoned one either.
        let _ = lock.file().try_lock();
        fs_err::rename(&unlocked, dir.join(LOCK))?;
        Ok(Self { dir, lock: Some(lock) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(lock) = self.lock.take() {
            delete(&self.dir, lock);
        }
    }
}

/// This machine's name, as far as it is fit for a folder's.
fn machine() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '.').collect()
}

/// Deletes the folders of processes that were killed.
fn delete_abandoned(parent: &Path, prefix: &str) -> Result<()> {
    for entry in fs_err::read_dir(parent)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        if !name.starts_with(prefix.as_bytes()) {
            continue;
        }
        // Somebody else's, which cannot be opened, is left to them.
        let Ok(lock) = fs_err::OpenOptions::new().write(true).open(path.join(LOCK)) else { continue };
        if lock.file().try_lock().is_ok() {
            delete(&path, lock);
        }
    }
    Ok(())
}

/// Deletes a folder, last of all the file by which it is known: what cannot be deleted now will be by the next.
fn delete(dir: &Path, lock: fs_err::File) {
    let contents = || {
        for entry in fs_err::read_dir(dir)? {
            let path = entry?.path();
            match path.is_dir() {
                true => fs_err::remove_dir_all(&path)?,
                false if path.ends_with(LOCK) => {}
                false => fs_err::remove_file(&path)?,
            }
        }
        // Some file systems keep a file that is open.
        drop(lock);
        fs_err::remove_file(dir.join(LOCK))?;
        fs_err::remove_dir(dir)
    };
    match contents() {
        // Another was faster.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => say(format_args!("warning: a folder that nobody needs is left: {error}")),
        Ok(()) => {}
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_is_deleted_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let within = |name: &str| dir.path().join(name);
        let of_ours = |rest: &str| within(&format!("{PREFIX}-{}-{rest}", machine()));
        let abandoned = of_ours("abc");
        // A folder of somebody's, one of work, one of another machine, one that is just being made.
        let others = [
            within("other"),
            within("dcgan-cluster-rooms.work"),
            within(&format!("{PREFIX}-else.where-abc")),
            of_ours("def"),
        ];
        for folder in others.iter().chain([&abandoned]) {
            std::fs::create_dir_all(folder.join("more")).unwrap();
            std::fs::write(folder.join("more/spilled"), "").unwrap();
            if !folder.ends_with(of_ours("def")) {
                std::fs::write(folder.join(LOCK), "").unwrap();
            }
        }
        let first = Scratch::within(dir.path()).unwrap();
        assert!(!abandoned.exists());
        let second = Scratch::within(dir.path()).unwrap();
        assert!(first.path().exists() && first.path() != second.path());
        let path = first.path().to_owned();
        std::fs::create_dir(path.join("spilled")).unwrap();
        drop(first);
        assert!(!path.exists() && second.path().exists());
        assert!(others.iter().all(|folder| folder.join("more/spilled").exists()));
    }
}
