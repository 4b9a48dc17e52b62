//! A folder for the files that a target reads, one a thread, in memory where the system has such a place.

use std::path::Path;

use tempfile::TempDir;

thread_local! {
    static FOLDER: std::io::Result<TempDir> = {
        let in_memory = Path::new("/dev/shm");
        if in_memory.is_dir() { tempfile::tempdir_in(in_memory) } else { tempfile::tempdir() }
    };
}

/// Calls `read` with a folder that holds these files, among others. A system without room for them is no finding: then
/// nothing is read.
pub(crate) fn with_files(files: &[(&str, &[u8])], read: impl FnOnce(&Path)) {
    FOLDER.with(|folder| {
        let Ok(folder) = folder else { return };
        let written = files.iter().all(|(name, bytes)| {
            let path = folder.path().join(name);
            // A map of the old file may still be open: a new one takes its place.
            let _ = fs_err::remove_file(&path);
            path.parent().is_some_and(|parent| fs_err::create_dir_all(parent).is_ok())
                && fs_err::write(&path, bytes).is_ok()
        });
        if written {
            read(folder.path());
        }
    });
}
