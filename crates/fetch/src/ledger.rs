//! `.fetched.json`: what is known of the files in a data folder.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::checksum::Digests;
use crate::links::check_links;
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
    /// The server's `ETag` of the file, or its date, where it is not out of an archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    /// The archive that it was in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) archive: Option<Archive>,
}

/// The origin of a file that was not fetched.
const FOUND: &str = "found in the folder";

impl Entry {
    /// What is said of a file that was there and is right.
    pub(crate) fn found(digests: Digests) -> Self {
        Self {
            bytes: digests.n_bytes,
            sha256: digests.sha256,
            origin: FOUND.to_owned(),
            version: None,
            archive: None,
        }
    }

    /// True if the file was there already: it is the user's.
    pub(crate) fn is_found(&self) -> bool {
        self.origin == FOUND
    }
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
        check_links(folder, Path::new(LEDGER))?;
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

    /// Writes the ledger whole, also where its name is a link to it.
    pub(crate) fn save(&self, folder: &Path) -> Result<()> {
        let bytes = serde_json::to_vec_pretty(self).map_err(std::io::Error::from)?;
        let path = folder.join(LEDGER);
        let path = fs_err::canonicalize(&path).unwrap_or(path);
        let temporary = path.with_file_name(format!("{LEDGER}.tmp"));
        clear_temporary(&temporary)?;
        fs_err::File::create_new(&temporary)?.write_all(&bytes)?;
        Ok(fs_err::rename(temporary, path)?)
    }
}

/// Removes what a run that was killed left of a ledger: it begins as ledgers do, or is the beginning of such a beginning.
fn clear_temporary(path: &Path) -> Result<()> {
    const HEAD: &[u8] = b"{\n  \"files\": {";
    match fs_err::symlink_metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e.into()),
        Ok(metadata) if metadata.is_file() => {
            let bytes = fs_err::read(path)?;
            if bytes.starts_with(HEAD) || HEAD.starts_with(&bytes) {
                return Ok(fs_err::remove_file(path)?);
            }
        }
        Ok(_) => {}
    }
    Err(FetchError::content(path, "nothing", "what this program did not make; move it elsewhere"))
}

/// The paths within a folder of the files that are known to be a set's, sorted.
///
/// # Errors
/// As for [`crate::fetch`], of the ledger.
pub fn known_files(folder: &Path) -> Result<Vec<PathBuf>> {
    Ok(Ledger::open(folder)?.under(Path::new("")))
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
