//! Files that are files. Opening a FIFO waits for somebody to write into it, and a device may never end.

use std::fs::FileType;
use std::io::{Error, ErrorKind, Read, Result};
use std::path::Path;

/// What something in a file system is, in words.
pub fn kind(kind: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;
        if kind.is_fifo() {
            return "a FIFO";
        } else if kind.is_socket() {
            return "a socket";
        } else if kind.is_char_device() || kind.is_block_device() {
            return "a device";
        }
    }
    match (kind.is_file(), kind.is_dir(), kind.is_symlink()) {
        (true, _, _) => "a file",
        (_, true, _) => "a folder",
        (_, _, true) => "a link",
        _ => "something else",
    }
}

/// Refuses what is neither a file nor a folder, links followed.
///
/// # Errors
/// With the path and what was found there; where nothing is there.
pub fn check(path: &Path) -> Result<()> {
    let found = fs_err::metadata(path)?.file_type();
    match found.is_file() || found.is_dir() {
        true => Ok(()),
        false => Err(refusal(path, "a file or a folder", kind(found))),
    }
}

/// Opens a file for reading.
///
/// # Errors
/// Where there is none, it cannot be opened, or it is a folder, a FIFO, a socket or a device.
pub fn open(path: &Path) -> Result<fs_err::File> {
    let found = fs_err::metadata(path)?.file_type();
    match found.is_file() {
        true => fs_err::File::open(path),
        false => Err(refusal(path, "a file", kind(found))),
    }
}

/// Reads a file of at most `max_bytes`.
///
/// # Errors
/// As [`open`]; where it is longer.
pub fn read(path: &Path, max_bytes: u64) -> Result<Vec<u8>> {
    let mut file = open(path)?;
    let n_bytes = file.metadata()?.len();
    if n_bytes > max_bytes {
        return Err(refusal(path, &format!("at most {max_bytes} bytes"), &format!("a file of {n_bytes}")));
    }
    let mut bytes = Vec::with_capacity(n_bytes as usize);
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads until `buffer` is full or the stream ends; returns how many bytes there were.
///
/// # Errors
/// Those of reading.
pub fn read_up_to(stream: &mut dyn Read, buffer: &mut [u8]) -> Result<usize> {
    let mut n_read = 0;
    while n_read < buffer.len() {
        match stream.read(&mut buffer[n_read..]) {
            Ok(0) => break,
            Ok(n) => n_read += n,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(n_read)
}

/// Fills `buffer` from a file that is open.
///
/// # Errors
/// Where it ends before, with the path; those of reading.
pub fn read_exact(path: &Path, file: &mut dyn Read, buffer: &mut [u8]) -> Result<()> {
    let n_read = read_up_to(file, buffer)?;
    match n_read == buffer.len() {
        true => Ok(()),
        false => {
            let (expected, found) =
                (format!("{} more bytes", buffer.len()), format!("{n_read} and the end of the file"));
            Err(Error::new(ErrorKind::UnexpectedEof, refusal(path, &expected, &found)))
        }
    }
}

/// Reads a file as text.
///
/// # Errors
/// As [`open`]; where it is not UTF-8.
pub fn read_to_string(path: &Path) -> Result<String> {
    open(path)?;
    fs_err::read_to_string(path)
}

fn refusal(path: &Path, expected: &str, found: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("{}: expected {expected}, found {found}", path.display()))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_refused_with_its_kind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let message = open(&path).unwrap_err().to_string();
        assert!(message.ends_with("socket: expected a file, found a socket"), "{message}");
        let message = check(Path::new("/dev/null")).unwrap_err().to_string();
        assert_eq!(message, "/dev/null: expected a file or a folder, found a device");
        let message = open(dir.path()).unwrap_err().to_string();
        assert!(message.ends_with("expected a file, found a folder"), "{message}");
        assert!(check(dir.path()).is_ok());
    }
}
