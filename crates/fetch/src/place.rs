//! How a file that has arrived comes to its place, beside whatever else is there.

use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use crate::checksum::{Digests, digest};
use crate::event::{Action, Observe, note, progress};
use crate::ledger::{Entry, Ledger};
use crate::links::check_links;
use crate::sparse::SparseFile;
use crate::work::{Work, is_marked, sweep};
use crate::{FetchError, Result, space};

const CHUNK: usize = 256 << 10;
/// The folder, within a folder on another disk, in which a copy grows until it is whole.
const COPYING: &str = ".fetching";

/// A file that has arrived.
#[derive(Debug)]
pub(crate) struct Piece {
    /// Where it is.
    pub(crate) source: PathBuf,
    /// Where it goes, within the data folder.
    pub(crate) path: PathBuf,
    /// What the ledger will say of it.
    pub(crate) entry: Entry,
}

/// What is at a file's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum There {
    Nothing,
    TheSame,
    /// What came from here and has changed since.
    Ours,
}

/// Puts files at their places, which all are at or under `place`, and says so in the ledger. The sources that are not moved
/// stay. A file is replaced only if the ledger says that it came from here;
/// where its bytes are others than the new file's, it is kept beside as `NAME.replaced`. All places are checked before the
/// first file is moved.
///
/// # Errors
/// [`FetchError::Content`] for a file there that did not come from here and is another one, or is no plain file: nothing is
/// moved then. [`FetchError::Space`], [`FetchError::Io`] and [`FetchError::Interrupted`].
pub(crate) fn put(
    pieces: Vec<Piece>,
    place: &Path,
    data: &Path,
    ledger: &mut Ledger,
    observe: &mut Observe<'_>,
) -> Result<()> {
    let mut there = Vec::new();
    for piece in &pieces {
        there.push(check(piece, data, ledger, observe)?);
    }
    ledger.forget(place);
    for (Piece { source, path, entry }, there) in pieces.into_iter().zip(there) {
        let target = data.join(&path);
        if let Some(parent) = target.parent() {
            fs_err::create_dir_all(parent)?;
        }
        if there == There::Ours && !is_beginning(&target, &source, observe)? {
            let aside = set_aside(&target)?;
            note(observe, format!("{}: what was there is kept as {}", target.display(), aside.display()));
        }
        if there != There::TheSame {
            move_to(&source, &target, observe)?;
        }
        ledger.insert(&path, entry);
    }
    Ok(())
}

fn check(piece: &Piece, data: &Path, ledger: &Ledger, observe: &mut Observe<'_>) -> Result<There> {
    let target = data.join(&piece.path);
    check_links(data, &piece.path)?;
    let Some(found) = measure(&target, observe)? else { return Ok(There::Nothing) };
    if found.sha256 == piece.entry.sha256 {
        return Ok(There::TheSame);
    }
    let found = format!("{} bytes with {}", found.n_bytes, found.sha256);
    let came_from_here = ledger.get(&piece.path).is_some_and(|entry| !entry.is_found());
    if came_from_here && !target.is_symlink() {
        return Ok(There::Ours);
    }
    Err(not_ours(&target, format!("{} bytes with {}", piece.entry.bytes, piece.entry.sha256), found))
}

/// Size and checksums of the file that is there, if one is.
///
/// # Errors
/// [`FetchError::Content`] for a folder, a pipe or a device.
pub(crate) fn measure(path: &Path, observe: &mut Observe<'_>) -> Result<Option<Digests>> {
    match fs_err::metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e.into()),
        Ok(metadata) if !metadata.is_file() => Err(FetchError::content(path, "a file", kind(&metadata))),
        Ok(_) => {
            let label = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            digest(path, &label, observe).map(Some)
        }
    }
}

fn kind(metadata: &std::fs::Metadata) -> &'static str {
    if metadata.is_dir() { "a folder" } else { "a pipe, a socket or a device" }
}

/// The error for a file at a wanted place that this program did not put there.
pub(crate) fn not_ours(
    path: &Path,
    expected: impl std::fmt::Display,
    found: impl Into<String>,
) -> FetchError {
    let why = match fs_err::read_link(path) {
        Ok(target) => format!("it is a link to {}", target.display()),
        Err(_) => "it was not fetched by this program".to_owned(),
    };
    let what = format!("({why}, so it is not replaced: move it away to have it fetched)");
    FetchError::content(path, format!("{expected} {what}"), found)
}

/// True if the new file begins with all that the old one holds: then nothing is lost with it.
fn is_beginning(old: &Path, new: &Path, observe: &mut Observe<'_>) -> Result<bool> {
    let total = fs_err::metadata(old)?.len();
    let label = old.file_name().unwrap_or_default().to_string_lossy();
    let (mut old, mut new) = (fs_err::File::open(old)?, fs_err::File::open(new)?);
    let (mut ours, mut theirs) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut done = 0;
    loop {
        progress(observe, Action::Verifying, &label, done, Some(total))?;
        let n = old.read(&mut ours)?;
        if n == 0 {
            return Ok(true);
        }
        match new.read_exact(&mut theirs[..n]) {
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok(false),
            outcome => outcome?,
        }
        if ours[..n] != theirs[..n] {
            return Ok(false);
        }
        done += n as u64;
    }
}

/// Gives a file a second name that nothing has, from which it can be had once the first is another file's.
fn set_aside(path: &Path) -> Result<PathBuf> {
    for number in 1u32.. {
        let mut name = path.as_os_str().to_owned();
        name.push(if number == 1 { ".replaced".to_owned() } else { format!(".replaced-{number}") });
        let aside = PathBuf::from(name);
        match fs_err::hard_link(path, &aside) {
            Ok(()) => return Ok(aside),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            // A file system without hard links.
            Err(_) if fs_err::symlink_metadata(&aside).is_err() => {
                fs_err::rename(path, &aside)?;
                return Ok(aside);
            }
            Err(_) => {}
        }
    }
    Err(FetchError::content(path, "a free name beside it", "none"))
}

/// Moves a file over the target; to another disk it is copied, beside the target first.
fn move_to(source: &Path, target: &Path, observe: &mut Observe<'_>) -> Result<()> {
    match fs_err::rename(source, target) {
        Err(e) if e.kind() == ErrorKind::CrossesDevices => copy_to(source, target, observe),
        outcome => Ok(outcome?),
    }
}

fn copy_to(source: &Path, target: &Path, observe: &mut Observe<'_>) -> Result<()> {
    let Some(work) = copying(target) else {
        return Err(FetchError::content(target, "a file's path", "none"));
    };
    let total = fs_err::metadata(source)?.len();
    let label = target.file_name().unwrap_or_default().to_string_lossy();
    let work = Work::begin(&work)?;
    space::check(target.parent().unwrap_or(target), &label, total)?;
    let mut reader = fs_err::File::open(source)?;
    let mut writer = SparseFile::create(&work.contents())?;
    let (mut buffer, mut done) = (vec![0; CHUNK], 0);
    loop {
        progress(observe, Action::Copying, &label, done, Some(total))?;
        match reader.read(&mut buffer)? {
            0 => break,
            n => {
                writer.append(&buffer[..n])?;
                done += n as u64;
            }
        }
    }
    writer.finish()?;
    fs_err::rename(work.contents(), target)?;
    work.end()
}

fn copying(target: &Path) -> Option<PathBuf> {
    target.parent().map(|parent| parent.join(COPYING))
}

/// Removes what a copy that was cut short left beside a place; a folder of that name that is not ours stays.
pub(crate) fn clear_beside(target: &Path) -> Result<()> {
    match copying(target) {
        Some(work) if is_marked(&work) => sweep(&work),
        _ => Ok(()),
    }
}
