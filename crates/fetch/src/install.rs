//! From files that are wanted to files that are there.

use std::path::{Path, PathBuf};

use crate::checksum::{Checksum, Digests, digest};
use crate::download::{Arrived, download};
use crate::event::{Observe, note};
use crate::ledger::{Archive, Entry, Ledger};
use crate::links::check_links;
use crate::place::{Piece, clear_beside, measure, not_ours, put};
use crate::work::Work;
use crate::{
    FetchError, Install, Limits, Options, RemoteFile, Result, part, space, unpack_tar_gz, unpack_zip,
};

/// The folder, within a data folder, of what has not arrived yet.
pub(crate) const DOWNLOADS: &str = ".downloads";

/// What the archives of the public sets may come to: the largest holds 60 GB, and pictures hardly shrink.
const LIMITS: Limits = Limits { entries: 10_000, bytes: 1 << 37, ratio: 100 };

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Files that were downloaded.
    pub n_downloaded: u64,
    /// Bytes of them.
    pub bytes_downloaded: u64,
    /// Files (and unpacked folders) that were there and are right.
    pub n_verified: u64,
    /// Names of files for which no checksum is published.
    pub unpublished: Vec<String>,
}

/// How something that is wanted stands.
enum Standing {
    Right,
    Missing,
    /// Files of it are missing, or are no longer what they were when they came.
    Damaged(String),
}

/// Brings files into the folder `data`, which is created where it does not exist.
///
/// What is there is verified, by the SHA-256 recorded when it came, else by the published checksum, else by its size. Files
/// that came from here and are damaged or missing are fetched again; a file with other bytes than the new one's is kept as
/// `NAME.replaced`. What did not come from here is never replaced, and links stay links.
///
/// # Errors
/// [`FetchError::Content`] for a file that is there and is another one; [`FetchError::Unavailable`],
/// [`FetchError::Archive`], [`FetchError::Space`], [`FetchError::Setting`], [`FetchError::Io`];
/// [`FetchError::Interrupted`] on a break, after which the same call goes on.
pub fn fetch(
    files: &[RemoteFile],
    options: &Options,
    data: &Path,
    observe: &mut Observe<'_>,
) -> Result<Summary> {
    options.validate()?;
    fs_err::create_dir_all(data)?;
    let mut ledger = Ledger::open(data)?;
    let mut summary = Summary::default();
    for file in files {
        let mut file = file.clone();
        if let Some(checksum) = options.checksums.get(&file.name) {
            // Whoever names another checksum has another file.
            file.likely_bytes = file.bytes.or(file.likely_bytes);
            (file.checksum, file.bytes, file.estimate) = (checksum.clone(), None, 0);
            if let Install::TarGz { holds, .. } | Install::Zip { holds, .. } = &mut file.install {
                holds.iter_mut().for_each(|(_, n_bytes)| *n_bytes = None);
            }
        }
        for (path, _) in expected_files(&file.install) {
            clear_beside(&data.join(path))?;
        }
        match standing(&file, data, &mut ledger, observe)? {
            Standing::Right => summary.n_verified += 1,
            Standing::Missing => {
                download_and_install(&file, options, data, &mut ledger, &mut summary, observe)?
            }
            Standing::Damaged(why) => {
                note(
                    observe,
                    format!("{}: {why}; fetching it again", data.join(file.install.path()).display()),
                );
                download_and_install(&file, options, data, &mut ledger, &mut summary, observe)?;
            }
        }
        if file.checksum.is_none() {
            summary.unpublished.push(file.name);
        }
    }
    // Empty unless an archive is to be kept or another set is on its way.
    let _ = fs_err::remove_dir(data.join(DOWNLOADS));
    Ok(summary)
}

/// The files that appear, as far as they are known beforehand.
fn expected_files(install: &Install) -> Vec<(PathBuf, Option<u64>)> {
    match install {
        Install::File { path } => vec![(path.clone(), None)],
        Install::TarGz { folder, holds } | Install::Zip { folder, holds } => {
            holds.iter().map(|(file, n_bytes)| (folder.join(file), *n_bytes)).collect()
        }
    }
}

fn standing(
    file: &RemoteFile,
    data: &Path,
    ledger: &mut Ledger,
    observe: &mut Observe<'_>,
) -> Result<Standing> {
    let place = file.install.path();
    check_links(data, place)?;
    if !data.join(place).exists() {
        return Ok(Standing::Missing);
    }
    let mut known = ledger.under(place);
    if known.is_empty() {
        return adopt(file, data, ledger, observe);
    }
    known.extend(expected_files(&file.install).into_iter().map(|(path, _)| path));
    known.sort();
    known.dedup();
    // The user's own files are checked too before a damaged one is fetched.
    let mut damaged = None;
    for path in known {
        if let Some(why) = damage(&path, file, data, ledger, observe)? {
            damaged.get_or_insert(why);
        }
    }
    Ok(damaged.map_or(Standing::Right, Standing::Damaged))
}

/// What is wrong with a file that the ledger knows, or that must be there, if something is.
///
/// # Errors
/// [`FetchError::Content`] where the wrong file is the user's.
fn damage(
    path: &Path,
    file: &RemoteFile,
    data: &Path,
    ledger: &Ledger,
    observe: &mut Observe<'_>,
) -> Result<Option<String>> {
    let whole = data.join(path);
    check_links(data, path)?;
    let Some(entry) = ledger.get(path) else { return Ok(Some(format!("{} is missing", path.display()))) };
    // Its length alone may show it, before all of it is read.
    let is_other_length =
        fs_err::metadata(&whole).is_ok_and(|metadata| metadata.is_file() && metadata.len() != entry.bytes);
    let (why, expected, found) = if is_other_length {
        let why = format!("{} has not the {} bytes it had", path.display(), entry.bytes);
        (why, format!("{} bytes", entry.bytes), "another number".to_owned())
    } else {
        let Some(digests) = measure(&whole, observe)? else {
            return Ok(Some(format!("{} is missing", path.display())));
        };
        let changed = format!("{} has changed since it was fetched", path.display());
        if digests.sha256 != entry.sha256 {
            (changed, entry.sha256.to_string(), digests.sha256.to_string())
        } else if let (Install::File { .. }, Some(expected)) = (&file.install, &file.checksum)
            && let Some(why) = differs(Some(expected), &digests)
        {
            (why, expected.to_string(), digests.of(expected.algorithm()).to_string())
        } else {
            return Ok(None);
        }
    };
    if entry.is_found() || whole.is_symlink() {
        return Err(not_ours(&whole, expected, found));
    }
    Ok(Some(why))
}

fn differs(expected: Option<&Checksum>, digests: &Digests) -> Option<String> {
    let expected = expected?;
    let found = digests.of(expected.algorithm());
    (found != expected).then(|| format!("expected {expected}, found {found}"))
}

fn label(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Takes up what is there but did not come from here, if it is what is wanted.
fn adopt(file: &RemoteFile, data: &Path, ledger: &mut Ledger, observe: &mut Observe<'_>) -> Result<Standing> {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for (path, n_bytes) in expected_files(&file.install) {
        let whole = data.join(&path);
        check_links(data, &path)?;
        let Some(digests) = measure(&whole, observe)? else {
            missing.push(path);
            continue;
        };
        let n_expected = if let Install::File { .. } = file.install { file.bytes } else { n_bytes };
        if let Some(expected) = n_expected.filter(|expected| *expected != digests.n_bytes) {
            return Err(not_ours(&whole, format!("{expected} bytes"), format!("{} bytes", digests.n_bytes)));
        }
        if let (Install::File { .. }, Some(expected)) = (&file.install, &file.checksum)
            && digests.of(expected.algorithm()) != expected
        {
            return Err(not_ours(&whole, expected, digests.of(expected.algorithm()).to_string()));
        }
        found.push((path, digests));
    }
    match missing.first() {
        Some(_) if found.is_empty() => return Ok(Standing::Missing),
        // Those that are there are compared with those that come.
        Some(path) => return Ok(Standing::Damaged(format!("{} is missing", path.display()))),
        None => {}
    }
    if file.checksum.is_none() || !matches!(file.install, Install::File { .. }) {
        let place = data.join(file.install.path());
        note(observe, format!("{}: taken as it is, by the sizes alone", place.display()));
    }
    for (path, digests) in found {
        ledger.insert(&path, Entry::found(digests));
    }
    ledger.save(data)?;
    Ok(Standing::Right)
}

/// Downloads a file and puts it, or what is in it, in its place.
fn download_and_install(
    file: &RemoteFile,
    options: &Options,
    data: &Path,
    ledger: &mut Ledger,
    summary: &mut Summary,
    observe: &mut Observe<'_>,
) -> Result<()> {
    let downloads = data.join(DOWNLOADS);
    fs_err::create_dir_all(&downloads)?;
    let part = downloads.join(format!("{}.part", file.name));
    let there = [part, downloads.join(&file.name)].iter().find_map(|path| fs_err::metadata(path).ok());
    let needed = file.bytes.unwrap_or(0) + file.estimate;
    space::check(data, &file.name, needed.saturating_sub(there.map_or(0, |metadata| metadata.len())))?;

    let arrived = download(file, &downloads, options, observe)?;
    summary.n_downloaded += 1;
    summary.bytes_downloaded += arrived.digests.n_bytes;
    if file.checksum.is_none() && options.tell_unpublished {
        note(
            observe,
            format!("{}: no checksum is published; recorded {}", file.name, arrived.digests.sha256),
        );
    }
    match &file.install {
        Install::File { path } => {
            let Arrived { path: source, digests, origin, version, is_ours } = arrived;
            let entry =
                Entry { bytes: digests.n_bytes, sha256: digests.sha256, origin, version, archive: None };
            let piece = Piece { source: source.clone(), path: path.clone(), entry };
            put(vec![piece], path, data, ledger, observe)?;
            if is_ours {
                part::forget(&source)?;
            }
        }
        Install::TarGz { folder, .. } | Install::Zip { folder, .. } => {
            install_folder(file, &arrived, folder, data, ledger, observe)?;
            if !options.keep_archives && arrived.is_ours {
                part::forget(&arrived.path)?;
            }
        }
    }
    ledger.save(data)
}

/// Unpacks an archive beside its place, and puts what is in it there: in one step where there is nothing yet.
fn install_folder(
    file: &RemoteFile,
    arrived: &Arrived,
    folder: &Path,
    data: &Path,
    ledger: &mut Ledger,
    observe: &mut Observe<'_>,
) -> Result<()> {
    let downloads = data.join(DOWNLOADS);
    let work = Work::begin(&downloads.join(format!("{}.unpacking", file.name)))?;
    let unpacked = unpack(file, arrived, folder, &work.contents(), observe).and_then(|unpacked| {
        let pieces = pieces(&unpacked, folder, file, arrived, observe)?;
        Ok((unpacked, pieces))
    });
    let (unpacked, pieces) = match unpacked {
        Ok(unpacked) => unpacked,
        Err(error) => {
            // Kept, it would be taken for the archive the next time too.
            if error.is_of_content() {
                work.end()?;
                if arrived.is_ours {
                    part::forget(&arrived.path)?;
                }
            }
            return Err(error);
        }
    };
    let place = data.join(folder);
    let is_free = fs_err::symlink_metadata(&place).is_err();
    if let Some(parent) = place.parent() {
        fs_err::create_dir_all(parent)?;
    }
    if is_free && fs_err::rename(&unpacked, &place).is_ok() {
        ledger.forget(folder);
        pieces.into_iter().for_each(|Piece { path, entry, .. }| ledger.insert(&path, entry));
    } else {
        put(pieces, folder, data, ledger, observe)?;
    }
    work.end()
}

/// Unpacks an archive into `target` and returns the folder that was in it.
fn unpack(
    file: &RemoteFile,
    arrived: &Arrived,
    folder: &Path,
    target: &Path,
    observe: &mut Observe<'_>,
) -> Result<PathBuf> {
    // Pictures hardly shrink: what comes out is at least as much.
    space::check(target.parent().unwrap_or(target), &file.name, arrived.digests.n_bytes)?;
    match file.install {
        Install::Zip { .. } => unpack_zip(&arrived.path, target, LIMITS, observe)?,
        _ => unpack_tar_gz(&arrived.path, target, LIMITS, observe)?,
    }
    let name = folder.file_name().unwrap_or_default();
    let unpacked = target.join(name);
    if !unpacked.is_dir() {
        let expected = format!("an archive with a folder {}", name.to_string_lossy());
        return Err(FetchError::content(&arrived.path, expected, "none"));
    }
    Ok(unpacked)
}

/// The files that came out, each read once; those that must be there are.
fn pieces(
    unpacked: &Path,
    folder: &Path,
    file: &RemoteFile,
    arrived: &Arrived,
    observe: &mut Observe<'_>,
) -> Result<Vec<Piece>> {
    let archive = Archive {
        name: file.name.clone(),
        bytes: arrived.digests.n_bytes,
        sha256: arrived.digests.sha256.clone(),
    };
    let mut pieces = Vec::new();
    for relative in files_under(unpacked)? {
        let source = unpacked.join(&relative);
        let digests = digest(&source, &label(&relative), observe)?;
        let (origin, archive) = (arrived.origin.clone(), Some(archive.clone()));
        let entry = Entry { bytes: digests.n_bytes, sha256: digests.sha256, origin, version: None, archive };
        pieces.push(Piece { source, path: folder.join(relative), entry });
    }
    for (path, n_bytes) in expected_files(&file.install) {
        let entry = pieces.iter().find(|piece| piece.path == path).map(|piece| piece.entry.bytes);
        if entry.is_none() || n_bytes.is_some_and(|n_bytes| Some(n_bytes) != entry) {
            let size = n_bytes.map_or(String::new(), |n_bytes| format!(" of {n_bytes} bytes"));
            let found = entry.map_or("none".into(), |n_bytes| format!("one of {n_bytes} bytes"));
            let expected = format!("an archive with a file {}{size}", path.display());
            return Err(FetchError::content(&arrived.path, expected, found));
        }
    }
    Ok(pieces)
}

fn files_under(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut files, mut open) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(inner) = open.pop() {
        for entry in fs_err::read_dir(folder.join(&inner))? {
            let entry = entry?;
            let path = inner.join(entry.file_name());
            if entry.file_type()?.is_dir() { open.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    Ok(files)
}
