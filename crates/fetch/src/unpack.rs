//! Archives, unpacked so that no path leaves the folder and no bomb fills the disk. Only files and folders come out:
//! links, devices and pipes are refused, as is a file that comes twice.

use std::cell::Cell;
use std::collections::HashSet;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use flate2::read::GzDecoder;
use zip::ZipArchive;

use crate::event::{Action, Observe, progress};
use crate::sparse::SparseFile;
use crate::{FetchError, Result};

const CHUNK: usize = 256 << 10;
/// Bytes that may stand between the contents of two entries of a tar: headers, long names, padding.
const TAR_HEADERS: u64 = 1 << 20;
/// Deepest path.
const MAX_DEPTH: usize = 16;
/// Longest path, in bytes.
const MAX_PATH: usize = 1024;

/// What an archive may come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Files and folders.
    pub entries: u64,
    /// Bytes of all files together.
    pub bytes: u64,
    /// Bytes of all files for each byte of the archive (an archive of less than 64 KiB counts as one of 64 KiB).
    pub ratio: u64,
}

impl Limits {
    fn bytes_of(&self, n_packed: u64) -> u64 {
        self.bytes.min(n_packed.max(1 << 16).saturating_mul(self.ratio))
    }
}

/// What comes out of one archive.
struct Unpacking<'a, 'o> {
    archive: &'a Path,
    label: String,
    target: &'a Path,
    limits: Limits,
    /// Bytes of the archive.
    n_packed: u64,
    n_entries: u64,
    n_bytes: u64,
    seen: HashSet<PathBuf>,
    observe: &'a mut Observe<'o>,
}

impl<'a, 'o> Unpacking<'a, 'o> {
    fn new(
        archive: &'a Path,
        target: &'a Path,
        limits: Limits,
        observe: &'a mut Observe<'o>,
    ) -> Result<Self> {
        let label = archive.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let n_packed = fs_err::metadata(archive)?.len();
        fs_err::create_dir_all(target)?;
        let seen = HashSet::new();
        Ok(Self { archive, label, target, limits, n_packed, n_entries: 0, n_bytes: 0, seen, observe })
    }

    fn wrong(&self, entry: &str, expected: impl Into<String>, found: impl Into<String>) -> FetchError {
        FetchError::Archive {
            path: self.archive.to_path_buf(),
            entry: entry.escape_debug().to_string(),
            expected: expected.into(),
            found: found.into(),
        }
    }

    /// Counts an entry and returns where it goes.
    fn admit(&mut self, name: &str) -> Result<PathBuf> {
        self.n_entries += 1;
        if self.n_entries > self.limits.entries {
            let expected = format!("at most {} entries", self.limits.entries);
            return Err(self.wrong(name, expected, "more"));
        }
        match relative(name) {
            Some(path) => Ok(path),
            None => Err(self.wrong(name, "a path within the folder", "another")),
        }
    }

    fn folder(&mut self, name: &str) -> Result<()> {
        // Many archives begin with the folder itself.
        if matches!(name, "." | "./") {
            return Ok(());
        }
        let path = self.admit(name)?;
        Ok(fs_err::create_dir_all(self.target.join(path))?)
    }

    /// Writes one file; `position` says how far in the archive it is.
    fn file(&mut self, name: &str, contents: &mut dyn Read, position: &dyn Fn(u64) -> u64) -> Result<()> {
        let path = self.admit(name)?;
        if !self.seen.insert(path.clone()) {
            return Err(self.wrong(name, "each file once", "it a second time"));
        }
        let target = self.target.join(&path);
        if let Some(parent) = target.parent() {
            fs_err::create_dir_all(parent)?;
        }
        let mut file = SparseFile::create(&target)?;
        let most = self.limits.bytes_of(self.n_packed);
        let mut buffer = vec![0; CHUNK];
        let mut n_read = 0;
        loop {
            progress(self.observe, Action::Unpacking, &self.label, position(n_read), Some(self.n_packed))?;
            let n = contents
                .read(&mut buffer)
                .map_err(|e| self.wrong(name, "readable contents", e.to_string()))?;
            if n == 0 {
                break;
            }
            (n_read, self.n_bytes) = (n_read + n as u64, self.n_bytes + n as u64);
            if self.n_bytes > most {
                return Err(self.wrong(name, format!("at most {most} bytes in all"), "more"));
            }
            file.append(&buffer[..n])?;
        }
        file.finish()?;
        Ok(())
    }
}

/// The path within the folder, if that is what the name is on every system.
fn relative(name: &str) -> Option<PathBuf> {
    if name.len() > MAX_PATH || name.contains(['\\', ':', '\0']) {
        return None;
    }
    let mut path = PathBuf::new();
    for part in Path::new(name).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            _ => return None,
        }
    }
    let n_parts = path.components().count();
    (1..=MAX_DEPTH).contains(&n_parts).then_some(path)
}

/// A reader that fails once a budget is used up, which others may refill.
struct Budgeted<R> {
    inner: R,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Budgeted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = self.left.get();
        if left == 0 {
            return Err(std::io::Error::other(format!("headers of more than {TAR_HEADERS} bytes")));
        }
        let n_wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let n = self.inner.read(&mut buffer[..n_wanted])?;
        self.left.set(left - n as u64);
        Ok(n)
    }
}

/// A reader that counts.
struct Counted<R> {
    inner: R,
    n_read: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.n_read.set(self.n_read.get() + n as u64);
        Ok(n)
    }
}

/// Unpacks a gzip-compressed tar into the folder `target`, which is created where it does not exist.
///
/// # Errors
/// [`FetchError::Archive`] for anything but files and folders with paths within the folder, for what exceeds `limits`, and
/// for damage; [`FetchError::Io`] and [`FetchError::Interrupted`]. What has come out by then stays.
pub fn unpack_tar_gz(archive: &Path, target: &Path, limits: Limits, observe: &mut Observe<'_>) -> Result<()> {
    let mut unpacking = Unpacking::new(archive, target, limits, observe)?;
    let (n_packed, left) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(TAR_HEADERS)));
    let file = std::io::BufReader::with_capacity(CHUNK, fs_err::File::open(archive)?);
    let file = Counted { inner: file, n_read: n_packed.clone() };
    let tar = Budgeted { inner: GzDecoder::new(file), left: left.clone() };
    let mut tar = tar::Archive::new(tar);
    let mut entries = tar.entries().map_err(|e| unpacking.wrong("1", "a tar", e.to_string()))?;
    loop {
        left.set(TAR_HEADERS);
        let number = (unpacking.n_entries + 1).to_string();
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(|e| unpacking.wrong(&number, "a tar's header", e.to_string()))?;
        let name = String::from_utf8(entry.path_bytes().into_owned());
        let name = name.map_err(|e| unpacking.wrong(&number, "a path in UTF-8", e.to_string()))?;
        let kind = entry.header().entry_type();
        // The contents have a limit of their own.
        left.set(u64::MAX);
        if kind.is_dir() {
            unpacking.folder(&name)?;
        } else if kind.is_file() {
            let n_packed = n_packed.clone();
            let size = entry.size();
            let mut contents = entry.by_ref().take(size);
            unpacking.file(&name, &mut contents, &move |_| n_packed.get())?;
            if contents.limit() > 0 {
                let found = format!("{} and the end of the archive", size - contents.limit());
                return Err(unpacking.wrong(&name, format!("{size} bytes"), found));
            }
        } else if !kind.is_pax_global_extensions() {
            return Err(unpacking.wrong(&name, "a file or a folder", format!("{kind:?}")));
        }
    }
    // The checksum stands at the end of the compressed data.
    left.set(TAR_HEADERS);
    let rest = std::io::copy(&mut tar.into_inner(), &mut std::io::sink());
    rest.map_err(|e| unpacking.wrong("the end", "the end of the archive", e.to_string()))?;
    Ok(())
}

/// Unpacks a zip into the folder `target`, which is created where it does not exist.
///
/// # Errors
/// As [`unpack_tar_gz`]; also for encrypted entries.
pub fn unpack_zip(archive: &Path, target: &Path, limits: Limits, observe: &mut Observe<'_>) -> Result<()> {
    let mut unpacking = Unpacking::new(archive, target, limits, observe)?;
    check_directory(archive, &unpacking)?;
    let file = std::io::BufReader::with_capacity(CHUNK, fs_err::File::open(archive)?);
    let mut zip = ZipArchive::new(file).map_err(|e| unpacking.wrong("1", "a zip", e.to_string()))?;
    let mut before = 0;
    for idx in 0..zip.len() {
        let number = (idx + 1).to_string();
        let entry = zip.by_index(idx);
        let mut entry = entry.map_err(|e| unpacking.wrong(&number, "a zip's entry", e.to_string()))?;
        let name = String::from_utf8(entry.name_raw().to_vec());
        let name = name.map_err(|e| unpacking.wrong(&number, "a path in UTF-8", e.to_string()))?;
        let (packed, size) = (entry.compressed_size(), entry.size());
        // The type of file in Unix's mode, where there is one: links, devices and pipes have others.
        let kind = entry.unix_mode().unwrap_or(0) & 0o170_000;
        if !matches!(kind, 0 | 0o100_000 | 0o040_000) || entry.is_symlink() {
            return Err(unpacking.wrong(&name, "a file or a folder", format!("mode {kind:o}")));
        }
        if entry.is_dir() {
            unpacking.folder(&name)?;
        } else {
            let share = |n: u64| before + (n as f64 / size.max(1) as f64 * packed as f64) as u64;
            unpacking.file(&name, &mut entry, &share)?;
        }
        before += packed;
    }
    Ok(())
}

/// The signature of a zip's end record, which names the number of entries, and that record's length.
const END_SIGNATURE: [u8; 4] = *b"PK\x05\x06";
const END_LEN: usize = 22;

/// Refuses a directory of more entries than are allowed before memory is taken for them.
fn check_directory(archive: &Path, unpacking: &Unpacking<'_, '_>) -> Result<()> {
    let mut file = fs_err::File::open(archive)?;
    // A comment of up to 65,535 bytes may follow.
    let n_tail = unpacking.n_packed.min(END_LEN as u64 + 65_535);
    file.seek(SeekFrom::Start(unpacking.n_packed - n_tail))?;
    let mut tail = Vec::new();
    file.take(n_tail).read_to_end(&mut tail)?;
    let end = tail.windows(END_LEN).rev().find(|window| window.starts_with(&END_SIGNATURE));
    let Some(end) = end else {
        return Err(unpacking.wrong("the end", "the end record of a zip", "none"));
    };
    let n_entries = u64::from(u16::from_le_bytes([end[10], end[11]]));
    // All ones: the number stands in a record of zip64, which the loop over the entries counts.
    if n_entries != 0xffff && n_entries > unpacking.limits.entries {
        let expected = format!("at most {} entries", unpacking.limits.entries);
        return Err(unpacking.wrong("the end", expected, n_entries.to_string()));
    }
    Ok(())
}
