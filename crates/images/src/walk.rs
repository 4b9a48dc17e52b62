//! What lies below a folder, as readers of data sets see it and as fingerprints of it are made.
//!
//! Hidden files and folders are passed over. Links are followed, and each folder is visited once, whatever links lead to it: at
//! its own place where that is below the root, else at the first link in order. What is left out and may have been meant to be
//! read is told: see [`Why`].

use std::collections::HashSet;
use std::ffi::OsString;
use std::fmt;
use std::fs::FileType;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{ImagesError, Result, key, regular};

/// Names of files by which a folder is recognised as a stage's, finished or being made.
pub const MARKS: [&str; 2] = ["stage.json", ".fingerprint"];
/// Name of the hidden folder in which stages work.
pub const WORK: &str = ".dcgan";

/// Asks a walk to end; clones share the wish.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

/// The wish as a flag that others know too.
impl From<Arc<AtomicBool>> for Stop {
    fn from(flag: Arc<AtomicBool>) -> Self {
        Self(flag)
    }
}

impl Stop {
    /// Asks.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Something below the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A file, or what is in a file's place, such as a FIFO.
    File(PathBuf),
    /// A link to nothing, or to itself.
    Lost(PathBuf),
    /// A folder; what is in it follows.
    Folder(PathBuf),
    /// What was left out with all that is in it.
    LeftOut(LeftOut),
}

/// A folder that was not visited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The key of its path below the root.
    pub key: String,
    /// The reason.
    pub why: Why,
}

/// Why a folder was not visited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// A stage of this program made it, or is making it.
    Stage,
    /// A link to a folder that is visited elsewhere.
    Visited,
    /// A link to nothing that may have led to a folder.
    Lost,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.why {
            Why::Stage => "made by a stage",
            Why::Visited => "a link to a folder that is read already",
            Why::Lost => "a link to nothing",
        };
        write!(f, "{} ({why})", self.key)
    }
}

/// A folder whose entries are being visited.
struct Open {
    path: PathBuf,
    /// Whether there was a link on the way from the root.
    is_linked: bool,
    entries: std::vec::IntoIter<(OsString, FileType)>,
}

/// A walk, sorted by name folder by folder; after an error it ends. It keeps the names of the folders it is in in memory: about
/// 0.1 GB a million files.
pub struct Walk {
    root: PathBuf,
    /// Without links; where folders below it lie at their own places.
    real_root: PathBuf,
    open: Vec<Open>,
    visited: HashSet<Identity>,
    /// Whether folders in the root are entered.
    is_deep: bool,
    stop: Stop,
}

impl Walk {
    /// A walk through all that is below `root`.
    ///
    /// # Errors
    /// Where `root` is no folder or cannot be listed.
    pub fn new(root: &Path, stop: Stop) -> Result<Self> {
        let found = fs_err::metadata(root)?.file_type();
        if !found.is_dir() {
            return Err(ImagesError::layout(root, "a folder", regular::kind(found)));
        }
        let real_root = fs_err::canonicalize(root)?;
        let root = root.to_path_buf();
        let mut walk =
            Self { root, real_root, open: Vec::new(), visited: HashSet::new(), is_deep: true, stop };
        walk.visited.insert(identity(&walk.root)?);
        walk.enter(walk.root.clone(), false)?;
        Ok(walk)
    }

    /// A walk that enters no folder.
    ///
    /// # Errors
    /// As [`Walk::new`].
    pub fn shallow(root: &Path) -> Result<Self> {
        Ok(Self { is_deep: false, ..Self::new(root, Stop::default())? })
    }

    /// The key of a path that the walk came by.
    pub fn key(&self, path: &Path) -> String {
        key::of_path(path.strip_prefix(&self.root).unwrap_or(path))
    }

    fn enter(&mut self, folder: PathBuf, is_linked: bool) -> Result<()> {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(|e| unreadable(&folder, &e))? {
            let entry = entry.map_err(|e| unreadable(&folder, &e))?;
            let kind = entry.file_type().map_err(|e| unreadable(&entry.path(), &e))?;
            entries.push((entry.file_name(), kind));
            if self.stop.is_set() {
                return Err(ImagesError::Interrupted);
            }
        }
        entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        self.open.push(Open { path: folder, is_linked, entries: entries.into_iter() });
        Ok(())
    }

    /// What is to be said of an entry, to which a link led if `is_linked`; none for one that is passed over.
    fn visit(
        &mut self,
        path: PathBuf,
        name: &OsString,
        kind: FileType,
        is_linked: bool,
    ) -> Result<Option<Found>> {
        let is_link = kind.is_symlink();
        let target =
            if is_link { std::fs::metadata(&path).ok().map(|found| found.file_type()) } else { Some(kind) };
        let is_folder = target.is_some_and(|target| target.is_dir());
        let left_out = |walk: &Self, why| Ok(Some(Found::LeftOut(LeftOut { key: walk.key(&path), why })));
        if is_folder && is_stages(&path) {
            return left_out(self, Why::Stage);
        }
        if name.as_encoded_bytes().starts_with(b".") {
            return Ok(None);
        }
        if target.is_none() {
            return Ok(Some(Found::Lost(path)));
        }
        if !is_folder {
            return Ok(Some(Found::File(path)));
        }
        let is_linked = is_linked || is_link;
        let is_new = !(is_link && self.visits_at_its_place(&path)) && self.visited.insert(identity(&path)?);
        // What no link leads to is not there twice, whatever numbers a file system gives it.
        if is_linked && !is_new {
            return left_out(self, Why::Visited);
        }
        if self.is_deep {
            self.enter(path.clone(), is_linked)?;
        }
        Ok(Some(Found::Folder(path)))
    }

    /// Whether the folder that a link leads to is come by without that link: it lies below the root and nothing on the way to it
    /// is left out.
    fn visits_at_its_place(&self, link: &Path) -> bool {
        let Ok(real) = link.canonicalize() else { return false };
        let Ok(below) = real.strip_prefix(&self.real_root) else { return false };
        let mut folder = self.real_root.clone();
        below.iter().all(|part| {
            folder.push(part);
            !part.as_encoded_bytes().starts_with(b".") && !is_stages(&folder)
        })
    }
}

impl Iterator for Walk {
    type Item = Result<Found>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let folder = self.open.last_mut()?;
            let Some((name, kind)) = folder.entries.next() else {
                self.open.pop();
                continue;
            };
            let (path, is_linked) = (folder.path.join(&name), folder.is_linked);
            let found = match self.stop.is_set() {
                true => Err(ImagesError::Interrupted),
                false => self.visit(path, &name, kind, is_linked),
            };
            if found.is_err() {
                self.open.clear();
            }
            if let Some(found) = found.transpose() {
                return Some(found);
            }
        }
    }
}

fn is_stages(folder: &Path) -> bool {
    folder.file_name().is_some_and(|name| name == WORK)
        || MARKS.iter().any(|mark| folder.join(mark).is_file())
}

/// By what a folder is known to be the same.
#[cfg(unix)]
type Identity = (u64, u64);

#[cfg(unix)]
fn identity(folder: &Path) -> Result<Identity> {
    use std::os::unix::fs::MetadataExt as _;
    let found = std::fs::metadata(folder).map_err(|e| unreadable(folder, &e))?;
    Ok((found.dev(), found.ino()))
}

/// By what a folder is known to be the same.
#[cfg(not(unix))]
type Identity = PathBuf;

#[cfg(not(unix))]
fn identity(folder: &Path) -> Result<Identity> {
    folder.canonicalize().map_err(|e| unreadable(folder, &e))
}

fn unreadable(path: &Path, error: &std::io::Error) -> ImagesError {
    ImagesError::layout(path, "a readable folder", error.to_string())
}

#[cfg(test)]
#[path = "walk_tests.rs"]
mod tests;
