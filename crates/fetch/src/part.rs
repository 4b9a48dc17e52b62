//! A file that has arrived in part, and what it is a part of.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::http::Head;
use crate::{FetchError, Result};

/// What the server said of the file when its first byte was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    pub(crate) url: String,
    pub(crate) etag: Option<String>,
    pub(crate) modified: Option<String>,
    pub(crate) total: Option<u64>,
}

impl Origin {
    pub(crate) fn new(url: &str, head: &Head) -> Self {
        Self {
            url: url.to_owned(),
            etag: head.etag.clone(),
            modified: head.modified.clone(),
            total: head.n_bytes,
        }
    }

    /// What a server is to compare before it sends the rest.
    pub(crate) fn validator(&self) -> Option<&str> {
        self.etag.as_deref().or(self.modified.as_deref())
    }
}

/// `NAME.part`, with [`Origin`] in `NAME.part.json` beside it: what has no such file beside it is not ours.
#[derive(Debug)]
pub(crate) struct Part {
    path: PathBuf,
    origin: Origin,
    n_bytes: u64,
}

impl Part {
    /// What is there of `name` in `folder`.
    ///
    /// # Errors
    /// [`FetchError::Content`] for a part that is not ours, which stays.
    pub(crate) fn open(folder: &Path, name: &str) -> Result<Self> {
        let path = folder.join(format!("{name}.part"));
        let n_bytes = match fs_err::symlink_metadata(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            Err(e) => return Err(e.into()),
            Ok(metadata) => Some(metadata.len()),
        };
        let mut part = Self { origin: Origin::default(), n_bytes: n_bytes.unwrap_or(0), path };
        match (n_bytes, origin_of(&part.path)?) {
            (None, Some(Beside::Nothing)) => {}
            (_, Some(Beside::Origin(origin))) if part.path.is_file() && !part.path.is_symlink() => {
                part.origin = origin;
            }
            (None, Some(_)) => part.clear()?,
            (None, None) => return Err(foreign(&sidecar(&part.path))),
            (Some(_), _) => return Err(foreign(&part.path)),
        }
        Ok(part)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(crate) fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    /// Forgets what is there.
    pub(crate) fn clear(&mut self) -> Result<()> {
        forget(&self.path)?;
        (self.origin, self.n_bytes) = (Origin::default(), 0);
        Ok(())
    }

    /// Gives the whole file its name; its origin goes with it.
    pub(crate) fn finish(self, path: &Path) -> Result<()> {
        if origin_of(path)?.is_none() {
            return Err(foreign(&sidecar(path)));
        }
        write_origin(path, &self.origin)?;
        fs_err::rename(&self.path, path)?;
        Ok(fs_err::remove_file(sidecar(&self.path))?)
    }

    /// Begins anew with a file of this origin.
    pub(crate) fn begin(&mut self, origin: Origin) -> Result<()> {
        self.clear()?;
        write_origin(&self.path, &origin)?;
        self.origin = origin;
        Ok(())
    }

    /// The file, to be appended to by [`Part::append`].
    pub(crate) fn writer(&self) -> Result<fs_err::File> {
        Ok(fs_err::OpenOptions::new().create(true).append(true).open(&self.path)?)
    }

    pub(crate) fn append(&mut self, file: &mut fs_err::File, bytes: &[u8]) -> Result<()> {
        file.write_all(bytes)?;
        self.n_bytes += bytes.len() as u64;
        Ok(())
    }
}

fn sidecar(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".json");
    name.into()
}

fn write_origin(path: &Path, origin: &Origin) -> Result<()> {
    Ok(fs_err::write(sidecar(path), serde_json::to_vec(origin).map_err(std::io::Error::from)?)?)
}

/// What stands beside a file.
enum Beside {
    Nothing,
    /// The beginning of an origin, which a run that was killed left.
    Torn,
    Origin(Origin),
}

/// The origin beside a file; none for anything else of that name.
fn origin_of(path: &Path) -> Result<Option<Beside>> {
    const HEAD: &[u8] = b"{\"url\":";
    let path = sidecar(path);
    match fs_err::symlink_metadata(&path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Some(Beside::Nothing)),
        Err(e) => return Err(e.into()),
        Ok(metadata) if !metadata.is_file() => return Ok(None),
        Ok(_) => {}
    }
    let bytes = fs_err::read(&path)?;
    if let Ok(origin) = serde_json::from_slice(&bytes) {
        return Ok(Some(Beside::Origin(origin)));
    }
    let is_torn = bytes.starts_with(HEAD) || HEAD.starts_with(&bytes);
    Ok(is_torn.then_some(Beside::Torn))
}

/// The server's `ETag`, or its date, of a file that came from here.
pub(crate) fn version_of(path: &Path) -> Result<Option<String>> {
    Ok(match origin_of(path)? {
        Some(Beside::Origin(origin)) => origin.validator().map(str::to_owned),
        _ => None,
    })
}

/// True if the file came from here: its origin stands beside it.
pub(crate) fn is_ours(path: &Path) -> Result<bool> {
    let is_file = fs_err::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file());
    Ok(is_file && matches!(origin_of(path)?, Some(Beside::Origin(_))))
}

/// Removes a file that is ours, and the origin beside it.
pub(crate) fn forget(path: &Path) -> Result<()> {
    for path in [path.to_path_buf(), sidecar(path)] {
        match fs_err::remove_file(path) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e.into()),
            _ => {}
        }
    }
    Ok(())
}

/// The error for a file that stands where one of ours would.
pub(crate) fn foreign(path: &Path) -> FetchError {
    FetchError::content(
        path,
        "nothing, or a download of this program",
        "a file that it did not write; move it elsewhere",
    )
}
