//! Folders that appear whole or not at all.

use std::path::Path;

use crate::{ClusterError, Result};

/// Fills a folder by `fill` and gives it its name. What is left of a failed attempt is deleted.
///
/// # Errors
/// Where something is at `path` already, other than an empty folder.
pub(crate) fn folder<T>(path: &Path, fill: &mut dyn FnMut(&Path) -> Result<T>) -> Result<T> {
    check(path)?;
    let parent = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    fs_err::create_dir_all(parent)?;
    let partial = tempfile::Builder::new().prefix(".dcgan-cluster-").tempdir_in(parent)?;
    let filled = fill(partial.path())?;
    // Others may read what is whole.
    #[cfg(unix)]
    fs_err::set_permissions(partial.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    fs_err::rename(partial.path(), path)?;
    // It is not there any more under its former name.
    let _ = partial.keep();
    Ok(filled)
}

/// Refuses a path at which something is.
fn check(path: &Path) -> Result<()> {
    let is_free = match path.read_dir() {
        Ok(mut entries) => entries.next().is_none(),
        Err(_) => !path.exists(),
    };
    match is_free {
        true => Ok(()),
        false => Err(ClusterError::file(path, "nothing or an empty folder", "files")),
    }
}

/// The same of a result that is not to lie where its job's stages do.
pub(crate) fn check_beside(path: &Path, work: &Path) -> Result<()> {
    check(path)?;
    match std::path::absolute(path)? == std::path::absolute(work)? {
        true => Err(ClusterError::file(path, "a folder other than --work", "the same")),
        false => Ok(()),
    }
}
