//! A file that has arrived in part, and what it is a part of.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::http::Head;

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

/// `NAME.part`, with [`Origin`] in `NAME.part.json` beside it.
#[derive(Debug)]
pub(crate) struct Part {
    path: PathBuf,
    origin: Origin,
    n_bytes: u64,
}

impl Part {
    /// What is there of `name` in `folder`; a part of unknown origin is not used.
    pub(crate) fn open(folder: &Path, name: &str) -> Result<Self> {
        let path = folder.join(format!("{name}.part"));
        let origin = fs_err::read(sidecar(&path)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let n_bytes = fs_err::metadata(&path).map_or(0, |metadata| metadata.len());
        let mut part = Self { path, origin: Origin::default(), n_bytes };
        match origin {
            Some(origin) => part.origin = origin,
            None => part.clear()?,
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
        for path in [self.path.clone(), sidecar(&self.path)] {
            match fs_err::remove_file(path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e.into()),
                _ => {}
            }
        }
        (self.origin, self.n_bytes) = (Origin::default(), 0);
        Ok(())
    }

    /// Begins anew with a file of this origin.
    pub(crate) fn begin(&mut self, origin: Origin) -> Result<()> {
        self.clear()?;
        fs_err::write(sidecar(&self.path), serde_json::to_vec(&origin).map_err(std::io::Error::from)?)?;
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
