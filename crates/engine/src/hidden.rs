//! `.dcgan`: the hidden folder in which everything lies that is not yet, or no longer, a stage's folder.
//!
//! It lies beside the stages' folders, on their file system, so that what is complete is moved into its place by a rename:
//!
//! | in it | holds |
//! | --- | --- |
//! | `partial/STAGE/VERSION/` | what a stage that can be resumed has done so far |
//! | `kept/STAGE/VERSION/` | complete stages that another version has replaced |
//! | `work/STAGE/` | what is written at the moment; nobody's once the stage's lock is free |
//! | `locks/STAGE`, `lock` | who works on a stage, and on the whole folder |
//! | `at-work`, `progress` | what a run is at, how it ended, and how far its stages are |
//!
//! A file in it, [`MARK`], says that the folder is ours. Nothing in a `.dcgan` without that file is touched.

use std::ffi::OsStr;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use fs_err as fs;

/// The folder's name.
pub const NAME: &str = ".dcgan";

/// The file in it that says whose it is.
pub const MARK: &str = "README.txt";

/// By its first line the file is recognised.
const TEXT: &str = "\
dcgan made this folder and works in it. Format 1.

kept/     complete stages that another version has replaced; they are put back when their settings come back
partial/  what interrupted trainings have done so far; they go on from it
work/     what is being written now
locks/    which process works on which stage

`dcgan status` lists what is kept, `dcgan gc` deletes it on demand. Without this file the folder is not recognised.
";

/// The hidden folder of a folder.
#[derive(Debug, Clone)]
pub struct Hidden {
    root: PathBuf,
}

impl Hidden {
    /// Where it would be; nothing is looked at and nothing made.
    pub fn of(folder: &Path) -> Self {
        Self { root: folder.join(NAME) }
    }

    /// The one that is there and has our mark.
    pub fn found(folder: &Path) -> Option<Self> {
        Some(Self::of(folder)).filter(Self::is_ours)
    }

    /// The one that is there, or a new one; `folder` is made too.
    ///
    /// # Errors
    /// If something else has its name, or it cannot be made.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        let hidden = Self::of(folder);
        if hidden.is_ours() {
            return Ok(hidden);
        }
        fs::create_dir_all(folder)?;
        match std::fs::create_dir(&hidden.root) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(error).with_context(|| format!("cannot make {}", hidden.root.display()));
            }
            _ => hidden.mark()?,
        }
        Ok(hidden)
    }

    /// Marks a folder in which there is nothing but, at most, the beginning of a mark: whoever made it was killed, or is
    /// about to write the same. Another process may mark it meanwhile and go to work in it: then nothing is left to do.
    fn mark(&self) -> anyhow::Result<()> {
        let refuse = |found: &str| {
            anyhow::anyhow!(
                "{}: expected the working folder of this program, with its {MARK}, or nothing; found {found}. Move it \
                 elsewhere",
                self.root.display()
            )
        };
        if !fs::symlink_metadata(&self.root)?.is_dir() {
            bail!(refuse(what_is_at(&self.root)));
        }
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            let is_begun = entry.file_name() == MARK
                && first_bytes(&entry.path()).is_some_and(|bytes| TEXT.as_bytes().starts_with(&bytes));
            if !is_begun && self.is_ours() {
                return Ok(());
            }
            if !is_begun {
                bail!(refuse("another folder"));
            }
        }
        // Two processes at once write the same bytes to the same place.
        let mut options = fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).open(self.root.join(MARK))?;
        std::io::Write::write_all(&mut &file, TEXT.as_bytes())?;
        Ok(())
    }

    /// True if our mark is in it.
    pub fn is_ours(&self) -> bool {
        let line = TEXT.lines().next().unwrap_or_default();
        let is_folder = self.root.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
        is_folder
            && first_bytes(&self.root.join(MARK)).is_some_and(|bytes| bytes.starts_with(line.as_bytes()))
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The lock of all that lies beside it.
    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// The lock of one stage.
    pub fn lock_of(&self, stage: &OsStr) -> PathBuf {
        self.root.join("locks").join(stage)
    }

    /// The folder of a stage's complete versions that were replaced.
    pub fn kept(&self, stage: &OsStr) -> PathBuf {
        self.root.join("kept").join(stage)
    }

    /// The folder of what a stage has half done.
    pub fn partial(&self, stage: &OsStr) -> PathBuf {
        self.root.join("partial").join(stage)
    }

    /// The folder of what is written for a stage at the moment.
    pub fn work(&self, stage: &OsStr) -> PathBuf {
        self.root.join("work").join(stage)
    }
}

/// As many bytes of a file as the mark has; of nothing but a plain file.
fn first_bytes(path: &Path) -> Option<Vec<u8>> {
    let is_file = path.symlink_metadata().ok()?.is_file();
    let mut bytes = Vec::new();
    let file = is_file.then(|| std::fs::File::open(path).ok())??;
    file.take(TEXT.len() as u64).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// What lies at a path, for a message.
pub(crate) fn what_is_at(path: &Path) -> &'static str {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_symlink() => "a link",
        Ok(metadata) if metadata.is_dir() => "a folder",
        Ok(metadata) if metadata.is_file() => "a file",
        Ok(_) => "neither a file nor a folder",
        Err(_) => "nothing",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_that_name_that_is_not_ours_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join(NAME);
        fs::create_dir(&root).unwrap();
        fs::write(root.join("thesis"), "p").unwrap();
        let message = Hidden::open(dir.path()).unwrap_err().to_string();
        assert!(
            message.contains(".dcgan: expected the working folder of this program")
                && message.contains("another folder")
        );
        fs::write(root.join(MARK), "about my thesis").unwrap();
        assert!(Hidden::open(dir.path()).is_err());
        assert_eq!(fs::read_to_string(root.join(MARK)).unwrap(), "about my thesis");
        fs::remove_dir_all(&root).unwrap();
        fs::write(&root, "p").unwrap();
        assert!(Hidden::open(dir.path()).unwrap_err().to_string().contains("found a file"));
        assert_eq!(fs::read_to_string(&root).unwrap(), "p");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_of_that_name_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (elsewhere, here) = (dir.path().join("elsewhere"), dir.path().join("here"));
        fs::create_dir(&elsewhere).unwrap();
        fs::create_dir(&here).unwrap();
        std::os::unix::fs::symlink(&elsewhere, here.join(NAME)).unwrap();
        assert!(Hidden::open(&here).unwrap_err().to_string().contains("found a link"));
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    }

    #[test]
    fn one_that_another_process_has_marked_and_works_in_is_ours() {
        let dir = tempfile::tempdir().unwrap();
        let hidden = Hidden::open(dir.path()).unwrap();
        fs::create_dir(hidden.root().join("locks")).unwrap();
        // As who found no mark, and was overtaken by who made it.
        hidden.mark().unwrap();
        // And by chance.
        for i in 0..200 {
            let folder = dir.path().join(i.to_string());
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        let hidden = Hidden::open(&folder).unwrap();
                        fs::create_dir_all(hidden.root().join("locks")).unwrap();
                    });
                }
            });
        }
    }

    #[test]
    fn one_that_was_begun_is_finished() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join(NAME);
        for begun in [None, Some(0), Some(10), Some(TEXT.len())] {
            fs::create_dir(&root).unwrap();
            if let Some(n) = begun {
                fs::write(root.join(MARK), &TEXT[..n]).unwrap();
            }
            assert!(Hidden::open(dir.path()).unwrap().is_ours(), "{begun:?}");
            assert_eq!(fs::read_to_string(root.join(MARK)).unwrap(), TEXT);
            fs::remove_dir_all(&root).unwrap();
        }
    }
}
