//! Writing so that a power cut leaves the old file or the new one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fs_err as fs;
use rayon::prelude::*;

use crate::fingerprint::{files_under, path_of};

/// Bytes in all files of a folder.
///
/// # Errors
/// If one cannot be looked at.
pub(crate) fn size(folder: &Path) -> anyhow::Result<u64> {
    files_under(folder)?.iter().map(|file| Ok(fs::metadata(path_of(folder, file))?.len())).sum()
}

/// Brings a folder and all that is in it to the disk.
///
/// # Errors
/// If a file or folder cannot be opened or synced.
pub(crate) fn sync(folder: &Path) -> anyhow::Result<()> {
    let files = files_under(folder)?;
    // At once: a file system writes its journal once for many that wait.
    let files: Vec<PathBuf> = files.iter().map(|file| path_of(folder, file)).collect();
    files.par_iter().try_for_each(|file| sync_file(file))?;
    let above = |file: &Path| file.starts_with(folder);
    let folders: BTreeSet<&Path> =
        files.iter().flat_map(|file| file.ancestors().skip(1).take_while(|path| above(path))).collect();
    folders.iter().try_for_each(|inner| sync_folder(inner))
}

fn sync_file(path: &Path) -> anyhow::Result<()> {
    Ok(fs::File::open(path)?.sync_all()?)
}

/// Folders can be opened and synced on Unix only.
pub(crate) fn sync_folder(path: &Path) -> anyhow::Result<()> {
    if cfg!(unix) { sync_file(path) } else { Ok(()) }
}

/// A name of this process's for a file that is to be `path`, in a folder of ours on the same file system.
pub(crate) fn temporary(path: &Path, folder: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    folder.join(format!(".{}.{}.tmp", name.trim_start_matches('.'), std::process::id()))
}

/// Writes a file under a temporary name in `folder`, brings it to the disk and renames it.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn write_whole(path: &Path, bytes: &[u8], folder: &Path) -> anyhow::Result<()> {
    let temporary = temporary(path, folder);
    let written = fs::write(&temporary, bytes)
        .and_then(|()| fs::File::open(&temporary)?.sync_all())
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // Half a file is of no use, and in the way on a full disk.
        let _ = fs::remove_file(&temporary);
    }
    Ok(written?)
}
