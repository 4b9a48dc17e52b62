//! `.fetched.json`: what is known of the files in a data folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Checksum, FetchError, Result};

/// Name of the ledger in a data folder.
pub const LEDGER: &str = ".fetched.json";

/// One file that was fetched, or was there and found right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    pub(crate) bytes: u64,
    pub(crate) sha256: Checksum,
    /// Where it, or the archive that it was in, came from.
    pub(crate) origin: String,
    /// The archive that it was in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) archive: Option<Archive>,
}

/// An archive that is gone by now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Archive {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) sha256: Checksum,
}

/// The files by their paths within the folder, with `/`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ledger {
    files: BTreeMap<String, Entry>,
}

impl Ledger {
    /// Reads the ledger of a folder; an empty one where there is none.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(LEDGER);
        if !path.exists() {
            return Ok(Self::default());
        }
        parse(&path, &fs_err::read(&path)?)
    }

    pub(crate) fn get(&self, path: &Path) -> Option<&Entry> {
        self.files.get(&key(path))
    }

    /// The paths at or under `path`.
    pub(crate) fn under(&self, path: &Path) -> Vec<PathBuf> {
        self.files.keys().map(PathBuf::from).filter(|file| file.starts_with(path)).collect()
    }

    pub(crate) fn forget(&mut self, path: &Path) {
        self.files.retain(|file, _| !Path::new(file).starts_with(path));
    }

    pub(crate) fn insert(&mut self, path: &Path, entry: Entry) {
        self.files.insert(key(path), entry);
    }

    /// Writes the ledger whole.
    pub(crate) fn save(&self, folder: &Path) -> Result<()> {
        let bytes = serde_json::to_vec_pretty(self).map_err(std::io::Error::from)?;
        let temporary = folder.join(format!("{LEDGER}.tmp"));
        fs_err::write(&temporary, bytes)?;
        Ok(fs_err::rename(temporary, folder.join(LEDGER))?)
    }
}

/// Checks the text of a ledger.
///
/// # Errors
/// [`FetchError::Content`], naming `path`, for anything that [`crate::fetch`] would not have written.
pub fn check_ledger(path: &Path, text: &[u8]) -> Result<()> {
    parse(path, text).map(|_| ())
}

fn parse(path: &Path, text: &[u8]) -> Result<Ledger> {
    serde_json::from_slice(text).map_err(|e| {
        FetchError::content(
            path,
            "a list of fetched files (remove it to have all files verified anew)",
            e.to_string(),
        )
    })
}

fn key(path: &Path) -> String {
    let parts: Vec<_> = path.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}
