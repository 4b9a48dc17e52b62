//! BLAKE3 fingerprints of files and folders.

use std::io::Read as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::UNIX_EPOCH;

use anyhow::{Context as _, anyhow};
use fs_err as fs;

/// Bytes read at a time; large enough for BLAKE3 to use all cores on it.
const CHUNK: usize = 8 << 20;

/// What the file system says of a file; equal stamps are taken to mean equal content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// Hash over relative path, size, modification time and inode of each file.
    pub digest: String,
    /// Bytes in all.
    pub n_bytes: u64,
    /// Latest modification, nanoseconds since 1970.
    pub modified_ns: u128,
}

/// The stamp of a file, or of all files under a folder.
///
/// # Errors
/// If the path or something under it cannot be looked at.
pub fn stamp(path: &Path) -> anyhow::Result<Stamp> {
    let mut hasher = blake3::Hasher::new();
    let (mut n_bytes, mut modified_ns) = (0, 0);
    for file in files_under(path)? {
        // Joining an empty path would make `file/`.
        let metadata = if file.is_empty() { fs::metadata(path)? } else { fs::metadata(path.join(&file))? };
        let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified = modified.map_or(0, |time| time.as_nanos());
        let line = format!("{}\0{}\0{modified}\0{}\n", file, metadata.len(), inode(&metadata));
        hasher.update(line.as_bytes());
        n_bytes += metadata.len();
        modified_ns = modified_ns.max(modified);
    }
    Ok(Stamp { digest: hasher.finalize().to_hex().to_string(), n_bytes, modified_ns })
}

#[cfg(unix)]
fn inode(metadata: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(_metadata: &std::fs::Metadata) -> u64 {
    0
}

/// The files under a folder as sorted relative paths with `/`; for a file, the one empty path.
///
/// # Errors
/// If a folder cannot be listed.
pub fn files_under(path: &Path) -> anyhow::Result<Vec<String>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![String::new()]);
    }
    let mut files = Vec::new();
    let mut open = vec![String::new()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(path.join(&folder))? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name
                .to_str()
                .with_context(|| format!("{}: expected a file name in UTF-8", entry.path().display()))?;
            let relative = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
            if fs::metadata(entry.path())?.is_dir() {
                open.push(relative);
            } else {
                files.push(relative);
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// The fingerprint of a file's content, or of all files under a folder with their relative paths.
///
/// `observe` is told the bytes read so far, and may break.
///
/// # Errors
/// If something cannot be read, or on a break.
pub fn content(path: &Path, observe: &mut dyn FnMut(u64) -> ControlFlow<()>) -> anyhow::Result<String> {
    let mut n_read = 0;
    if !fs::metadata(path)?.is_dir() {
        return hash_file(path, &mut n_read, observe);
    }
    let mut hasher = blake3::Hasher::new();
    for file in files_under(path)? {
        let hash = hash_file(&path.join(&file), &mut n_read, observe)?;
        hasher.update(format!("{file}\0{hash}\n").as_bytes());
    }
    Ok(hasher.finalize().to_hex().to_string())
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
        content(path, &mut |_| ControlFlow::Continue(())).unwrap()
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
        assert_ne!(of(dir.path()), renamed);
    }
}
