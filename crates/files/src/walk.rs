//! What lies below a folder, as readers of data sets see it and as fingerprints of it are made.
//!
//! Hidden files and folders are passed over, and folders that systems make for themselves; hidden files can be counted. Links are followed, and each folder
//! is visited once, whatever links lead to it: at its own place where that is below the root, else at the first link in order.
//! What is left out and may have been meant to be read is reported: see [`Why`].

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use walkdir::{DirEntry, WalkDir};

use crate::{FilesError, Result, key, regular};

/// Names of files by which a folder is recognised as a stage's, finished or being made.
pub const MARKS: [&str; 2] = ["stage.json", ".fingerprint"];
/// A key that every stage's record has.
const STAGE_VERSION: &[u8] = b"\"stage_version\"";
/// Name of the hidden folder in which stages work.
pub const WORK: &str = ".dcgan";

/// Names of folders that systems make beside what belongs to somebody: archives of macOS, Synology's thumbnails, what a check of
/// a file system found, and Windows's own.
const OF_SYSTEMS: [&str; 4] = ["__MACOSX", "@eaDir", "lost+found", "System Volume Information"];

/// Whether a file or folder of that name is passed over.
pub fn is_hidden(name: &[u8], is_folder: bool) -> bool {
    name.starts_with(b".") || is_folder && is_of_systems(name)
}

/// Whether a system makes folders of that name for itself.
pub fn is_of_systems(name: &[u8]) -> bool {
    OF_SYSTEMS.iter().any(|of_system| of_system.as_bytes() == name)
}

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

/// A walk, sorted by name folder by folder; after an error it ends. It keeps the names of the folders it is in in memory: about
/// 0.1 GB a million files.
pub struct Walk {
    root: PathBuf,
    /// Without links; where folders below it lie at their own places.
    real_root: PathBuf,
    entries: walkdir::IntoIter,
    visited: HashSet<Identity>,
    /// How far below the root the link lies by which the walk came here.
    link_depth: Option<usize>,
    /// Whether folders in the root are entered.
    is_deep: bool,
    /// Which hidden files are counted; none where nobody asked.
    counts: Option<fn(&Path) -> bool>,
    /// How many of those were passed over.
    n_hidden: u64,
    stop: Stop,
    has_ended: bool,
}

impl Walk {
    /// A walk through all that is below `root`.
    ///
    /// # Errors
    /// Where `root` is no folder or cannot be listed.
    pub fn new(root: &Path, stop: Stop) -> Result<Self> {
        let found = fs_err::metadata(root)?.file_type();
        if !found.is_dir() {
            return Err(FilesError::layout(root, "a folder", regular::kind(found)));
        }
        std::fs::read_dir(root).map_err(|e| unreadable(root, &e))?;
        let entries = WalkDir::new(root).min_depth(1).follow_links(true).sort_by_file_name().into_iter();
        Ok(Self {
            root: root.to_path_buf(),
            real_root: fs_err::canonicalize(root)?,
            entries,
            visited: HashSet::from([identity(root)?]),
            link_depth: None,
            is_deep: true,
            counts: None,
            n_hidden: 0,
            stop,
            has_ended: false,
        })
    }

    /// A walk that enters no folder.
    ///
    /// # Errors
    /// As [`Walk::new`].
    pub fn shallow(root: &Path) -> Result<Self> {
        Ok(Self { is_deep: false, ..Self::new(root, Stop::default())? })
    }

    /// A walk that counts hidden files for which `counts` is true, also in hidden folders.
    ///
    /// # Errors
    /// As [`Walk::new`].
    pub fn counting_hidden(root: &Path, stop: Stop, counts: fn(&Path) -> bool) -> Result<Self> {
        Ok(Self { counts: Some(counts), ..Self::new(root, stop)? })
    }

    /// How many it came by.
    pub fn n_hidden(&self) -> u64 {
        self.n_hidden
    }

    /// The key of a path that the walk came by.
    pub fn key(&self, path: &Path) -> String {
        key::of_path(path.strip_prefix(&self.root).unwrap_or(path))
    }

    /// What is to be said of an entry; none for one that is passed over.
    fn visit(&mut self, entry: walkdir::Result<DirEntry>) -> Result<Option<Found>> {
        let (path, depth, is_link, is_folder) = match &entry {
            Ok(entry) => (entry.path(), entry.depth(), entry.path_is_symlink(), entry.file_type().is_dir()),
            // Links only: to a folder on the way to them, or to nothing.
            Err(error) => match error.path() {
                Some(path) if error.loop_ancestor().is_some() || is_lost(path) => {
                    (path, error.depth(), true, error.loop_ancestor().is_some())
                }
                path => return Err(unreadable(path.unwrap_or(&self.root), error)),
            },
        };
        let path = path.to_path_buf();
        self.link_depth = self.link_depth.filter(|link_depth| depth > *link_depth);
        if is_folder && is_stages(&path) {
            return Ok(Some(self.leave_out(&path, Why::Stage, &entry)));
        }
        if path.file_name().is_some_and(|name| is_hidden(name.as_encoded_bytes(), is_folder)) {
            self.pass_by(is_folder, &entry);
            if let Some(counts) = self.counts {
                self.n_hidden += n_in(&path, counts, &self.stop);
            }
            return Ok(None);
        }
        if !is_folder {
            return Ok(Some(if entry.is_ok() { Found::File(path) } else { Found::Lost(path) }));
        }
        let is_new = !(is_link && self.visits_at_its_place(&path)) && self.visited.insert(identity(&path)?);
        // What no link leads to is not there twice, whatever numbers a file system gives it.
        if (is_link || self.link_depth.is_some()) && !is_new {
            return Ok(Some(self.leave_out(&path, Why::Visited, &entry)));
        }
        if is_link {
            self.link_depth.get_or_insert(depth);
        }
        self.pass_by(!self.is_deep, &entry);
        Ok(Some(Found::Folder(path)))
    }

    fn leave_out(&mut self, folder: &Path, why: Why, entry: &walkdir::Result<DirEntry>) -> Found {
        self.pass_by(true, entry);
        Found::LeftOut(LeftOut { key: self.key(folder), why })
    }

    /// Does not enter a folder; one that is an error would not be entered anyway.
    fn pass_by(&mut self, is_folder: bool, entry: &walkdir::Result<DirEntry>) {
        if is_folder && entry.is_ok() {
            self.entries.skip_current_dir();
        }
    }

    /// Whether the folder that a link leads to is come by without that link: it lies below the root and nothing on the way to it
    /// is left out.
    fn visits_at_its_place(&self, link: &Path) -> bool {
        let Ok(real) = link.canonicalize() else { return false };
        let Ok(below) = real.strip_prefix(&self.real_root) else { return false };
        let mut folder = self.real_root.clone();
        below.iter().all(|part| {
            folder.push(part);
            !is_hidden(part.as_encoded_bytes(), true) && !is_stages(&folder)
        })
    }
}

impl Iterator for Walk {
    type Item = Result<Found>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.has_ended {
            let entry = self.entries.next()?;
            let found = if self.stop.is_set() { Err(FilesError::Interrupted) } else { self.visit(entry) };
            self.has_ended = found.is_err();
            if let Some(found) = found.transpose() {
                return Some(found);
            }
        }
        None
    }
}

/// Files that count in what is hidden, itself or folders, but not in folders that systems and stages make; no link is followed,
/// and what cannot be read holds none.
fn n_in(hidden: &Path, counts: fn(&Path) -> bool, stop: &Stop) -> u64 {
    let is_systems = |entry: &DirEntry| {
        let is_folder = entry.file_type().is_dir();
        is_folder && (is_of_systems(entry.file_name().as_encoded_bytes()) || is_stages(entry.path()))
    };
    let entries = WalkDir::new(hidden).into_iter().filter_entry(|entry| !is_systems(entry));
    let files = entries.take_while(|_| !stop.is_set()).flatten().filter(|entry| !entry.file_type().is_dir());
    files.filter(|file| counts(file.path())).count() as u64
}

/// True for a link to nothing, or to itself.
fn is_lost(path: &Path) -> bool {
    path.is_symlink() && std::fs::metadata(path).is_err()
}

/// Whether a file is a stage's record, as far as its beginning shows: others may have a `stage.json` too.
fn is_record(path: &Path) -> bool {
    let Ok(file) = regular::open(path) else { return false };
    let mut head = Vec::new();
    let read = std::io::Read::read_to_end(&mut std::io::Read::take(file, 1 << 16), &mut head);
    read.is_ok() && head.windows(STAGE_VERSION.len()).any(|part| part == STAGE_VERSION)
}

fn is_stages(folder: &Path) -> bool {
    folder.file_name().is_some_and(|name| name == WORK)
        || folder.join(MARKS[1]).is_file()
        || is_record(&folder.join(MARKS[0]))
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

fn unreadable(path: &Path, error: &impl fmt::Display) -> FilesError {
    FilesError::layout(path, "a readable folder", error.to_string())
}

#[cfg(test)]
#[path = "walk_tests.rs"]
mod tests;
