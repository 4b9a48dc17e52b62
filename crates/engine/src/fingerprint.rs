//! BLAKE3 fingerprints of files and folders.

use std::io::{ErrorKind, Read as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::anyhow;
use dcgan_files::walk::{self, Stop, Walk};
use dcgan_files::{key, regular};
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
/// If the path cannot be looked at, is neither a file nor a folder, or a folder cannot be listed; if `stop` is set meanwhile.
pub fn stamp(path: &Path, stop: &Stop) -> anyhow::Result<Stamp> {
    let mut hasher = blake3::Hasher::new();
    let (mut n_bytes, mut modified_ns, mut settled_ns) = (0, 0, 0);
    for Found { name, path } in found_under(path, stop)? {
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

/// The files under a folder as the sorted keys of their relative paths (see [`key`]); for a file, the one empty key. It is meant
/// for what stages wrote: hidden files are among them, and of links to folders only those are passed over that lead upwards.
///
/// # Errors
/// If a folder cannot be listed.
pub fn files_under(path: &Path) -> anyhow::Result<Vec<String>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![String::new()]);
    }
    let mut files = Vec::new();
    let mut open = vec![(String::new(), path.to_path_buf())];
    while let Some((below, folder)) = open.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = key::of(path.file_name().unwrap_or_default().as_encoded_bytes());
            let relative = if below.is_empty() { name } else { format!("{below}/{name}") };
            if !path.is_dir() {
                files.push(relative);
            } else if !leads_upwards(&path) {
                open.push((relative, path));
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// The path of a file that [`files_under`] found under `folder`.
pub fn path_of(folder: &Path, file: &str) -> PathBuf {
    // What is no key, as in a record that was tampered with, names no file of ours.
    key::path_of(file).map_or_else(|| folder.join(file), |path| folder.join(path))
}

/// A file, or a link to nothing, under a folder.
struct Found {
    /// The key of its path below the folder.
    name: String,
    path: PathBuf,
}

/// What a reader of a data set sees under a folder, sorted; of a file the file itself, without a name.
fn found_under(path: &Path, stop: &Stop) -> anyhow::Result<Vec<Found>> {
    regular::check(path)?;
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![Found { name: String::new(), path: path.to_path_buf() }]);
    }
    let mut found = Vec::new();
    let mut walk = Walk::new(path, stop.clone())?;
    while let Some(next) = walk.next() {
        match next? {
            walk::Found::File(path) | walk::Found::Lost(path) => {
                found.push(Found { name: walk.key(&path), path });
            }
            walk::Found::Folder(_) | walk::Found::LeftOut(_) => {}
        }
    }
    found.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// True for a link to a folder that it lies in.
fn leads_upwards(folder: &Path) -> bool {
    folder.is_symlink()
        && match (folder.canonicalize(), folder.parent().map(Path::canonicalize)) {
            (Ok(to), Some(Ok(parent))) => parent.starts_with(to),
            _ => false,
        }
}

/// The fingerprint of a file's content, or of all files under a folder with their relative paths, as far as a reader of a data set
/// sees them: see [`dcgan_files::walk`].
///
/// `known` may tell a large file's hash, or remember it. `observe` gets the bytes read so far, and may break.
///
/// # Errors
/// If something cannot be read or is neither a file nor a folder, on a break, or if `stop` is set while a folder is searched.
pub fn content(
    path: &Path,
    known: &mut dyn Known,
    stop: &Stop,
    observe: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> anyhow::Result<String> {
    let mut n_read = 0;
    regular::check(path)?;
    if !fs::metadata(path)?.is_dir() {
        return hash_file(path, &mut n_read, observe);
    }
    let mut hasher = blake3::Hasher::new();
    for Found { name, path } in found_under(path, stop)? {
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
    /// Takes the hash of a file.
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
        content(path, &mut (), &Stop::default(), &mut |_| ControlFlow::Continue(())).unwrap()
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
        let stamp = |path: &Path| stamp(path, &Stop::default()).unwrap();
        assert_ne!(stamp(dir.path()), stamp(&at(b"sub")));
    }

    #[cfg(unix)]
    #[test]
    fn files_of_any_name_are_found_again() {
        use std::os::unix::ffi::OsStrExt as _;

        let dir = tempfile::tempdir().unwrap();
        for name in [&b"caf\xe8.jpg"[..], b"caf\xe9.jpg", b"a\nb.jpg"] {
            fs::write(dir.path().join(std::ffi::OsStr::from_bytes(name)), name).unwrap();
        }
        let files = files_under(dir.path()).unwrap();
        assert_eq!(files, [r"a\x0ab.jpg", r"caf\xe8.jpg", r"caf\xe9.jpg"]);
        assert_eq!(fs::read(path_of(dir.path(), &files[1])).unwrap(), b"caf\xe8.jpg");
    }

    #[test]
    fn stages_folders_among_the_data_do_not_count() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.jpg"), "1").unwrap();
        let before = of(dir.path());
        fs::create_dir_all(dir.path().join("clean/pictures")).unwrap();
        fs::write(dir.path().join("clean/pictures/a.jpg"), "1").unwrap();
        assert_ne!(of(dir.path()), before);
        fs::write(dir.path().join("clean").join(crate::record::FILE), r#"{"stage_version": 1}"#).unwrap();
        assert_eq!(of(dir.path()), before);
        assert!(walk::MARKS.contains(&crate::record::FILE));
    }

    #[cfg(unix)]
    #[test]
    fn what_is_neither_file_nor_folder_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let expected = "expected a file or a folder, found a socket";
        assert!(stamp(&path, &Stop::default()).unwrap_err().to_string().ends_with(expected));
        let read = content(&path, &mut (), &Stop::default(), &mut |_| ControlFlow::Continue(()));
        assert!(read.unwrap_err().to_string().ends_with(expected));
    }
}
