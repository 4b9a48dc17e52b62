//! Folders that appear whole or not at all.

use std::path::{Path, PathBuf};

use super::{Result, SyntheticError};

/// A folder being written under a temporary name beside its target.
///
/// [`Staging::finish`] renames it into place; dropped before that, it is removed with all it holds.
pub(super) struct Staging {
    work: PathBuf,
    target: PathBuf,
    finished: bool,
}

impl Staging {
    /// Starts a folder that will become `target`, which must be absent or an empty folder.
    pub(super) fn start(target: &Path) -> Result<Self> {
        let Some(name) = target.file_name() else {
            return Err(SyntheticError::Unnamed { path: target.to_owned() });
        };
        if target.exists() && (!target.is_dir() || fs_err::read_dir(target)?.next().is_some()) {
            return Err(SyntheticError::Occupied { path: target.to_owned() });
        }
        let parent = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        fs_err::create_dir_all(parent)?;
        let work = parent.join(format!(".{}.partial-{}", name.to_string_lossy(), std::process::id()));
        if work.exists() {
            fs_err::remove_dir_all(&work)?;
        }
        fs_err::create_dir(&work)?;
        Ok(Self { work, target: target.to_owned(), finished: false })
    }

    /// The folder to write into.
    pub(super) fn path(&self) -> &Path {
        &self.work
    }

    /// Renames the folder to its target.
    pub(super) fn finish(mut self) -> Result<()> {
        if self.target.exists() {
            // Fails, and so keeps both, where something was put there meanwhile.
            fs_err::remove_dir(&self.target)?;
        }
        fs_err::rename(&self.work, &self.target)?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.finished {
            // Nothing more can be done about a folder that cannot be removed; the target is untouched.
            let _ = fs_err::remove_dir_all(&self.work);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appears_only_when_finished() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("set");
        let staging = Staging::start(&target).unwrap();
        fs_err::write(staging.path().join("a"), "1").unwrap();
        drop(staging);
        assert_eq!(fs_err::read_dir(dir.path()).unwrap().count(), 0);

        fs_err::create_dir(&target).unwrap();
        let staging = Staging::start(&target).unwrap();
        fs_err::write(staging.path().join("a"), "2").unwrap();
        staging.finish().unwrap();
        assert_eq!(fs_err::read_to_string(target.join("a")).unwrap(), "2");
        assert_eq!(fs_err::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn refuses_an_occupied_target() {
        let dir = tempfile::tempdir().unwrap();
        fs_err::write(dir.path().join("other"), "").unwrap();
        assert!(matches!(Staging::start(dir.path()), Err(SyntheticError::Occupied { .. })));
        assert!(matches!(Staging::start(Path::new("/")), Err(SyntheticError::Unnamed { .. })));
    }
}
