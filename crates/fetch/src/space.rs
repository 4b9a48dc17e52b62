//! Room on the disk.

use std::path::Path;

use crate::{FetchError, Result};

/// Fails if the file system of `folder` has less than `needed` bytes free; passes where that is unknown.
pub(crate) fn check(folder: &Path, file: &str, needed: u64) -> Result<()> {
    match free(folder) {
        Some(free) if free < needed => {
            Err(FetchError::Space { path: folder.to_path_buf(), file: file.to_owned(), needed, free })
        }
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn free(folder: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(folder).ok()?;
    found.f_bavail.checked_mul(found.f_frsize)
}

#[cfg(not(unix))]
fn free(_folder: &Path) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_any_disk_has_is_refused_with_both_numbers() {
        let folder = tempfile::tempdir().unwrap();
        check(folder.path(), "a", 1).unwrap();
        let error = check(folder.path(), "a", u64::MAX).unwrap_err().to_string();
        assert!(
            error.contains("expected 18446744073709551615 bytes of free disk space for a, found"),
            "{error}"
        );
    }
}
