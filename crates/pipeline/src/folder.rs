//! Folders and files that appear whole or not at all.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use fs_err as fs;
use rayon::prelude::*;

use crate::fingerprint::files_under;

/// Marks a partial folder with what it is being made from.
pub(crate) const FINGERPRINT: &str = ".fingerprint";

/// The place where a stage's folder is made before it is complete.
pub fn partial(target: &Path) -> PathBuf {
    beside(target, "partial")
}

fn beside(target: &Path, suffix: &str) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(suffix);
    target.with_file_name(name)
}

/// Makes the partial folder of `target` ready. What is in it is kept if `keeps` and it was being made from the same
/// `fingerprint`, else it is removed. Returns true if something was kept.
///
/// # Errors
/// If the folder cannot be made or cleared.
pub fn prepare(target: &Path, fingerprint: &str, keeps: bool) -> anyhow::Result<bool> {
    let partial = partial(target);
    if partial.exists() {
        if keeps && is_of(target, fingerprint) {
            // Until it is complete again, it must not look complete.
            remove_if_there(&partial.join(crate::record::FILE))?;
            return Ok(true);
        }
        remove(&partial)?;
    }
    fs::create_dir_all(&partial)?;
    write_whole(&partial.join(FINGERPRINT), fingerprint.as_bytes())?;
    Ok(false)
}

/// Copies a complete folder into a new partial one, to go on from it; the complete one stays until [`commit`].
///
/// # Errors
/// If something cannot be copied.
pub fn take_up(target: &Path, fingerprint: &str) -> anyhow::Result<()> {
    discard(target)?;
    let partial = partial(target);
    for file in crate::fingerprint::files_under(target)? {
        if file == crate::record::FILE {
            continue;
        }
        let copy = partial.join(&file);
        fs::create_dir_all(copy.parent().unwrap_or(&partial))?;
        fs::copy(target.join(&file), copy)?;
    }
    // Last, so that a copy that was broken off is not taken for a whole one.
    Ok(fs::write(partial.join(FINGERPRINT), fingerprint)?)
}

/// True if there is a partial folder that was being made from `fingerprint`.
pub fn is_of(target: &Path, fingerprint: &str) -> bool {
    fs::read_to_string(partial(target).join(FINGERPRINT)).is_ok_and(|found| found == fingerprint)
}

/// Puts the complete partial folder in the place of `target`, and removes what was there. All of it is on the disk
/// before it is there by name, so that a power cut leaves the old folder or the new one.
///
/// # Errors
/// If a file cannot be brought to the disk, or a folder renamed or removed.
pub fn commit(target: &Path) -> anyhow::Result<()> {
    sync(&partial(target))?;
    let (partial, old) = (partial(target), beside(target, "old"));
    if target.exists() {
        if old.exists() {
            fs::remove_dir_all(&old)?;
        }
        fs::rename(target, &old)?;
    }
    fs::rename(&partial, target)?;
    sync_folder(target.parent().unwrap_or(target))?;
    fs::remove_file(target.join(FINGERPRINT)).context("cannot finish the stage's folder")?;
    if old.exists() {
        fs::remove_dir_all(&old)?;
    }
    Ok(())
}

/// Repairs what a crash in the middle of [`commit`] left.
///
/// # Errors
/// If a folder cannot be renamed or removed.
pub fn recover(target: &Path) -> anyhow::Result<()> {
    let (partial, old) = (partial(target), beside(target, "old"));
    if !target.exists() {
        // The record is the last file of a stage: where it is, the folder is complete.
        if partial.join(crate::record::FILE).exists() {
            fs::rename(&partial, target)?;
        } else if old.exists() {
            fs::rename(&old, target)?;
        }
    }
    remove_if_there(&target.join(FINGERPRINT))?;
    if old.exists() {
        fs::remove_dir_all(&old)?;
    }
    Ok(())
}

/// Removes the partial folder of `target`, if there is one.
///
/// # Errors
/// If it cannot be removed.
pub fn discard(target: &Path) -> anyhow::Result<()> {
    let partial = partial(target);
    if partial.exists() {
        remove(&partial)?;
    }
    Ok(())
}

/// Removes a partial folder, its mark first: killed midway, it must not be taken for one to resume.
fn remove(partial: &Path) -> anyhow::Result<()> {
    remove_if_there(&partial.join(FINGERPRINT))?;
    Ok(fs::remove_dir_all(partial)?)
}

fn remove_if_there(file: &Path) -> anyhow::Result<()> {
    if file.exists() {
        fs::remove_file(file)?;
    }
    Ok(())
}

/// Bytes in all files of a folder.
///
/// # Errors
/// If one cannot be looked at.
pub fn size(folder: &Path) -> anyhow::Result<u64> {
    files_under(folder)?.iter().map(|file| Ok(fs::metadata(folder.join(file))?.len())).sum()
}

/// Brings a folder and all that is in it to the disk.
fn sync(folder: &Path) -> anyhow::Result<()> {
    let files = files_under(folder)?;
    // At once: a file system writes its journal once for many that wait.
    files.par_iter().try_for_each(|file| sync_file(&folder.join(file)))?;
    let folders: BTreeSet<&Path> =
        files.iter().flat_map(|file| Path::new(file).ancestors().skip(1)).collect();
    folders.iter().try_for_each(|inner| sync_folder(&folder.join(inner)))
}

fn sync_file(path: &Path) -> anyhow::Result<()> {
    Ok(fs::File::open(path)?.sync_all()?)
}

/// Folders can be opened and synced on Unix only.
fn sync_folder(path: &Path) -> anyhow::Result<()> {
    if cfg!(unix) { sync_file(path) } else { Ok(()) }
}

/// A hidden name of this process's beside a file; outputs do not include it, should it be left behind.
pub(crate) fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{}.{}.tmp", name.trim_start_matches('.'), std::process::id()))
}

/// Writes a file under a temporary name, brings it to the disk and renames it.
///
/// # Errors
/// If it cannot be written.
pub fn write_whole(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let temporary = temporary(path);
    let written = fs::write(&temporary, bytes)
        .and_then(|()| fs::File::open(&temporary)?.sync_all())
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // Half a file is of no use, and in the way on a full disk.
        let _ = fs::remove_file(&temporary);
    }
    Ok(written?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_replaced_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("stage");
        for round in ["1", "2"] {
            assert!(!prepare(&target, "f", false).unwrap());
            fs::write(partial(&target).join("a"), round).unwrap();
            commit(&target).unwrap();
            assert_eq!(fs::read_to_string(target.join("a")).unwrap(), round);
        }
        let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["stage"]);
        assert!(!target.join(FINGERPRINT).exists());
    }

    #[test]
    fn a_partial_folder_is_kept_only_for_the_same_fingerprint() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("stage");
        prepare(&target, "f", true).unwrap();
        fs::write(partial(&target).join("checkpoint"), "").unwrap();
        assert!(prepare(&target, "f", true).unwrap());
        assert!(partial(&target).join("checkpoint").exists());
        assert!(!prepare(&target, "g", true).unwrap());
        assert!(!partial(&target).join("checkpoint").exists());
    }

    #[test]
    fn a_complete_folder_is_taken_up_without_its_record() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("stage");
        fs::create_dir_all(target.join("sub")).unwrap();
        fs::write(target.join("sub/checkpoint"), "1").unwrap();
        fs::write(target.join(crate::record::FILE), "{}").unwrap();
        take_up(&target, "f").unwrap();
        assert!(prepare(&target, "f", true).unwrap());
        fs::write(partial(&target).join("sub/checkpoint"), "2").unwrap();
        assert!(!partial(&target).join(crate::record::FILE).exists());
        assert_eq!(fs::read_to_string(target.join("sub/checkpoint")).unwrap(), "1");
    }

    #[test]
    fn a_crash_between_the_renames_is_repaired() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("stage");
        fs::create_dir(dir.path().join("stage.old")).unwrap();
        fs::create_dir(dir.path().join("stage.partial")).unwrap();
        fs::write(dir.path().join("stage.partial").join(crate::record::FILE), "").unwrap();
        fs::write(dir.path().join("stage.partial").join(FINGERPRINT), "f").unwrap();
        recover(&target).unwrap();
        assert!(target.join(crate::record::FILE).exists());
        assert!(!target.join(FINGERPRINT).exists());
        assert!(!dir.path().join("stage.old").exists());
    }

    #[test]
    fn a_crash_before_the_new_folder_is_complete_keeps_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("stage");
        fs::create_dir(dir.path().join("stage.old")).unwrap();
        fs::write(dir.path().join("stage.old/a"), "").unwrap();
        prepare(&target, "f", false).unwrap();
        recover(&target).unwrap();
        assert!(target.join("a").exists());
    }
}
