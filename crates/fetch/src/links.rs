//! Links to nothing, such as a disk that is not mounted.

use std::path::Path;

use crate::{FetchError, Result};

/// Refuses a place that leads over a link to nothing, such as a disk that is not mounted.
pub(crate) fn check_links(data: &Path, path: &Path) -> Result<()> {
    let mut whole = data.to_path_buf();
    for part in path.components() {
        whole.push(part);
        if whole.is_symlink() && !whole.exists() {
            let target = fs_err::read_link(&whole)?;
            let found = format!("a link to {}, which does not exist", target.display());
            return Err(FetchError::content(&whole, "a file, a folder or nothing", found));
        }
    }
    Ok(())
}
