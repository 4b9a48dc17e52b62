//! BLAKE3 fingerprints of files and folders.

use std::io::{ErrorKind, Read as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{anyhow, bail};
use fs_err as fs;

/// Bytes read at a time; large enough for BLAKE3 to use all cores on it.
const CHUNK: usize = 8 << 20;

/// What the file system says of a file; equal stamps are taken to mean equal content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// Hash over relative path, size, times and inode of each file.
    pub digest: String,
    /// Bytes in all.
    pub n_bytes: u64,
    /// Latest modification, nanoseconds since 1970.
    pub modified_ns: u128,
    /// From this time on, nanoseconds since 1970, whatever is changed gets another time.
    pub settled_ns: u128,
}

/// A file changed this shortly before it was read could change again within the clock's tick, unnoticed.
const TICK_NS: u128 = 50_000_000;

/// The same where a file system keeps whole seconds, or two of them as FAT does.
const COARSE_TICK_NS: u128 = 2_000_000_000;

/// When a tick after a time is over.
fn settled(time_ns: u128) -> u128 {
    time_ns + if time_ns.is_multiple_of(1_000_000_000) { COARSE_TICK_NS } else { TICK_NS }
}

/// The stamp of a file, or of all files under a folder.
///
/// # Errors
/// If the path cannot be looked at, or a folder not be listed.
pub fn stamp(path: &Path) -> anyhow::Result<Stamp> {
    let mut hasher = blake3::Hasher::new();
    let (mut n_bytes, mut modified_ns, mut settled_ns) = (0, 0, 0);
    for Found { name, path } in found_under(path)? {
        // A link to nothing has no stamp.
        let Ok(metadata) = fs::metadata(&path) else {
            hasher.update(format!("{name}\0nothing\n").as_bytes());
            continue;
        };
        let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified = modified.map_or(0, |time| time.as_nanos());
        let Inode { number, changed_ns } = Inode::of(&metadata);
        let line = format!("{name}\0{}\0{modified}\0{changed_ns}\0{number}\n", metadata.len());
        hasher.update(line.as_bytes());
        n_bytes += metadata.len();
        modified_ns = modified_ns.max(modified);
        settled_ns = settled_ns.max(settled(modified)).max(settled(changed_ns));
    }
    Ok(Stamp { digest: hasher.finalize().to_hex().to_string(), n_bytes, modified_ns, settled_ns })
}

/// What nobody can set to what they like.
#[derive(Debug, Default)]
struct Inode {
    number: u64,
    /// When content or attributes last changed, nanoseconds since 1970: an edit whose modification time is put back shows here.
    changed_ns: u128,
}

impl Inode {
    #[cfg(unix)]
    fn of(metadata: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;

        let seconds = u128::try_from(metadata.ctime()).unwrap_or(0);
        let changed_ns = seconds * 1_000_000_000 + u128::try_from(metadata.ctime_nsec()).unwrap_or(0);
        Self { number: metadata.ino(), changed_ns }
    }

    #[cfg(not(unix))]
    fn of(_metadata: &std::fs::Metadata) -> Self {
        Self::default()
    }
}

/// The files under a folder as sorted relative paths with `/`; for a file, the one empty path.
///
/// # Errors
/// If a folder cannot be listed, or a name is not UTF-8.
pub fn files_under(path: &Path) -> anyhow::Result<Vec<String>> {
    let mut files = Vec::new();
    walk(path, &mut |name, entry| {
        let is_utf8 = entry.file_name().is_none_or(|name| name.to_str().is_some());
        if !is_utf8 {
            bail!("{}: expected a file name in UTF-8", entry.display());
        }
        files.push(name);
        Ok(())
    })?;
    files.sort_unstable();
    Ok(files)
}

/// A file, or a link to nothing, under a folder.
struct Found {
    /// Its path below the folder; bytes that are not UTF-8 are replaced.
    name: String,
    path: PathBuf,
}

/// What a reader of a data set may see under a folder: all files but hidden ones and those in hidden folders, sorted.
fn found_under(path: &Path) -> anyhow::Result<Vec<Found>> {
    let mut found = Vec::new();
    walk(path, &mut |name, path| {
        if !name.split('/').any(|part| part.starts_with('.')) {
            found.push(Found { name, path: path.to_path_buf() });
        }
        Ok(())
    })?;
    found.sort_unstable_by(|a, b| (&a.name, &a.path).cmp(&(&b.name, &b.path)));
    Ok(found)
}

/// Visits what is under a folder that is no folder, with its relative path; of a file the file itself, with an empty one. A link
/// to a folder above it is passed over.
fn walk(path: &Path, visit: &mut dyn FnMut(String, &Path) -> anyhow::Result<()>) -> anyhow::Result<()> {
    if !fs::metadata(path)?.is_dir() {
        return visit(String::new(), path);
    }
    let mut open = vec![(String::new(), path.to_path_buf())];
    while let Some((below, folder)) = open.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let relative = if below.is_empty() { name.into_owned() } else { format!("{below}/{name}") };
            if !path.is_dir() {
                visit(relative, &path)?;
            } else if !leads_upwards(&path) {
                open.push((relative, path));
            }
        }
    }
    Ok(())
}

/// True for a link to a folder that it lies in.
fn leads_upwards(folder: &Path) -> bool {
    folder.is_symlink()
        && match (folder.canonicalize(), folder.parent().map(Path::canonicalize)) {
            (Ok(to), Some(Ok(parent))) => parent.starts_with(to),
            _ => false,
        }
}

/// The fingerprint of a file's content, or of all files under a folder with their relative paths; hidden files in it do not count.
///
/// `known` may tell a large file's hash, or remember it. `observe` is told the bytes read so far, and may break.
///
/// # Errors
/// If something cannot be read, or on a break.
pub fn content(
    path: &Path,
    known: &mut dyn Known,
    observe: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> anyhow::Result<String> {
    let mut n_read = 0;
    if !fs::metadata(path)?.is_dir() {
        return hash_file(path, &mut n_read, observe);
    }
    let mut hasher = blake3::Hasher::new();
    for Found { name, path } in found_under(path)? {
        let hash = match fs::metadata(&path) {
            Ok(metadata) if !metadata.is_file() => "no file".to_owned(),
            Ok(metadata) => match known.recall(&path) {
                Some(hash) => {
                    n_read += metadata.len();
                    hash
                }
                None => match hash_file(&path, &mut n_read, observe) {
                    Ok(hash) => {
                        known.remember(&path, &hash);
                        hash
                    }
                    // What cannot be read is for the reader of the data to tell.
                    Err(error) if is_denied(&error) => "denied".to_owned(),
                    Err(error) => return Err(error),
                },
            },
            Err(_) => "nothing".to_owned(),
        };
        hasher.update(format!("{name}\0{hash}\n").as_bytes());
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// Hashes of single files in a folder, so that those that did not change need not be read again when others did.
pub trait Known {
    /// The hash of a file, where it is known.
    fn recall(&mut self, file: &Path) -> Option<String>;
    /// Is told the hash of a file.
    fn remember(&mut self, file: &Path, hash: &str);
}

/// Knows nothing.
impl Known for () {
    fn recall(&mut self, _file: &Path) -> Option<String> {
        None
    }

    fn remember(&mut self, _file: &Path, _hash: &str) {}
}

fn is_denied(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

fn hash_file(
    path: &Path,
    n_read: &mut u64,
    observe: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> anyhow::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        let n = file.by_ref().take(CHUNK as u64).read_to_end(&mut buffer)?;
        if n == 0 {
            return Ok(hasher.finalize().to_hex().to_string());
        }
        hasher.update_rayon(&buffer);
        *n_read += n as u64;
        if observe(*n_read).is_break() {
            return Err(anyhow!("interrupted while reading {}", path.display()));
        }
    }
}

/// One fingerprint for several named ones.
pub fn combine<'a>(parts: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut hasher = blake3::Hasher::new();
    for (name, fingerprint) in parts {
        hasher.update(format!("{name}\0{fingerprint}\n").as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// The first 12 digits, for people.
pub fn short(fingerprint: &str) -> &str {
    fingerprint.get(..12).unwrap_or(fingerprint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &Path) -> String {
        content(path, &mut (), &mut |_| ControlFlow::Continue(())).unwrap()
    }

    #[test]
    fn a_file_has_the_hash_that_b3sum_prints() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("abc");
        fs::write(&path, "abc").unwrap();
        // printf abc | b3sum
        assert_eq!(of(&path), "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85");
    }

    #[test]
    fn a_folder_changes_with_names_and_content() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        fs::write(dir.path().join("sub/a"), "1").unwrap();
        let before = of(dir.path());
        assert_eq!(files_under(dir.path()).unwrap(), ["sub/a"]);
        fs::rename(dir.path().join("sub/a"), dir.path().join("sub/b")).unwrap();
        let renamed = of(dir.path());
        assert_ne!(renamed, before);
        fs::write(dir.path().join("sub/b"), "2").unwrap();
        let changed = of(dir.path());
        assert_ne!(changed, renamed);
        fs::write(dir.path().join(".DS_Store"), "x").unwrap();
        assert_eq!(of(dir.path()), changed);
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_does_not_stop_it() {
        use std::os::unix::ffi::OsStrExt as _;

        let dir = tempfile::tempdir().unwrap();
        let at = |name: &[u8]| dir.path().join(std::ffi::OsStr::from_bytes(name));
        fs::create_dir(at(b"sub")).unwrap();
        std::os::unix::fs::symlink("..", at(b"sub/loop")).unwrap();
        let empty = of(dir.path());
        std::os::unix::fs::symlink("nowhere", at(b"lost.jpg")).unwrap();
        let lost = of(dir.path());
        assert_ne!(lost, empty);
        fs::write(at(b"notes\xff.txt"), "1").unwrap();
        let noted = of(dir.path());
        assert_ne!(noted, lost);
        fs::write(at(b"notes\xff.txt"), "2").unwrap();
        assert_ne!(of(dir.path()), noted);
        assert_ne!(stamp(dir.path()).unwrap(), stamp(at(b"sub").as_path()).unwrap());
    }
}
