//! Folders that hold work in progress, known by a mark inside.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::{FetchError, Result};

/// A file of this name says that the folder is this program's.
const MARK: &str = ".made-by-dcgan-fetch";
/// Where the work itself is, within the folder.
const CONTENTS: &str = "contents";

/// A folder for work in progress.
#[derive(Debug)]
pub(crate) struct Work {
    path: PathBuf,
}

impl Work {
    /// Makes the folder, anew where an earlier run left one.
    ///
    /// # Errors
    /// As [`sweep`].
    pub(crate) fn begin(path: &Path) -> Result<Self> {
        sweep(path)?;
        fs_err::create_dir(path)?;
        fs_err::File::create_new(path.join(MARK))?;
        Ok(Self { path: path.to_path_buf() })
    }

    /// Where the work goes; the caller creates it.
    pub(crate) fn contents(&self) -> PathBuf {
        self.path.join(CONTENTS)
    }

    /// Removes the folder.
    pub(crate) fn end(self) -> Result<()> {
        sweep(&self.path)
    }
}

/// Removes a work folder that a run left behind. It is ours if the mark is in it; the mark goes last, so that a folder
/// half removed still carries it. A folder without the mark is removed only if it is empty.
///
/// # Errors
/// [`FetchError::Content`] for anything else of that name, which stays.
pub(crate) fn sweep(path: &Path) -> Result<()> {
    match fs_err::symlink_metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e.into()),
        Ok(metadata) if !metadata.is_dir() => return Err(foreign(path)),
        Ok(_) => {}
    }
    if is_marked(path) {
        let contents = path.join(CONTENTS);
        match fs_err::symlink_metadata(&contents) {
            Ok(metadata) if metadata.is_dir() => fs_err::remove_dir_all(contents)?,
            Ok(_) => fs_err::remove_file(contents)?,
            Err(_) => {}
        }
        fs_err::remove_file(path.join(MARK))?;
    }
    match fs_err::remove_dir(path) {
        Err(e) if e.kind() == ErrorKind::DirectoryNotEmpty => Err(foreign(path)),
        outcome => Ok(outcome?),
    }
}

/// True for a folder that this program made.
pub(crate) fn is_marked(path: &Path) -> bool {
    !path.is_symlink() && path.join(MARK).is_file()
}

fn foreign(path: &Path) -> FetchError {
    FetchError::content(
        path,
        "nothing, or a folder for work in progress",
        "what this program did not make; move it elsewhere",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_marked_or_empty_folder_is_removed() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("work");
        let work = Work::begin(&path).unwrap();
        std::fs::create_dir(work.contents()).unwrap();
        std::fs::write(work.contents().join("half"), "half").unwrap();
        // A run that was killed left it so.
        Work::begin(&path).unwrap().end().unwrap();
        assert!(!path.exists());
        std::fs::create_dir(&path).unwrap();
        sweep(&path).unwrap();
        assert!(!path.exists());

        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("thesis"), "mine").unwrap();
        let error = Work::begin(&path).unwrap_err().to_string();
        assert!(error.contains("work: expected nothing, or a folder for work in progress, found"), "{error}");
        assert_eq!(std::fs::read(path.join("thesis")).unwrap(), b"mine");
    }

    #[test]
    fn what_the_user_put_into_a_marked_folder_and_files_of_its_name_stay() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("work");
        let work = Work::begin(&path).unwrap();
        std::fs::write(path.join("thesis"), "mine").unwrap();
        assert!(work.end().is_err());
        assert_eq!(std::fs::read(path.join("thesis")).unwrap(), b"mine");
        let file = outer.path().join("file");
        std::fs::write(&file, "mine").unwrap();
        assert!(sweep(&file).is_err() && file.exists());
    }
}
