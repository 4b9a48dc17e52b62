//! Writes the pictures that stay as an LMDB or a folder.

use std::collections::HashSet;
use std::io::{ErrorKind, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use dcgan_files::key;
use dcgan_images::{LmdbWriter, Payload, Record, Source, archives, copy_tar};

use super::files;
use super::target::{LinkMode, Target};
use crate::{DedupError, Result};

/// Takes the encoded pictures that stay, as they are.
pub(super) enum Writer {
    Lists,
    Lmdb(LmdbWriter),
    Folder {
        folder: PathBuf,
        mode: LinkMode,
    },
    /// Archives, the folder that they are written to, and the keys of what goes.
    Tars {
        archives: Vec<PathBuf>,
        folder: PathBuf,
        gone: HashSet<String>,
    },
}

impl Writer {
    pub(super) fn create(source: &Source, target: Target, dir: &Path) -> Result<Self> {
        Ok(match target {
            Target::Lists | Target::Store { .. } => Self::Lists,
            Target::Lmdb => Self::Lmdb(LmdbWriter::create(&dir.join(files::LMDB))?),
            Target::Tars => {
                let all = archives(source)?;
                if all.is_empty() {
                    let path = source.paths().first().copied().unwrap_or(Path::new(""));
                    return Err(DedupError::file(path, "a set of tars, for tars to be written", "another"));
                }
                let folder = dir.join(files::TARS);
                fs_err::create_dir(&folder)?;
                Self::Tars { archives: all, folder, gone: HashSet::new() }
            }
            Target::Folder { by } => {
                let folder = dir.join(files::PICTURES);
                fs_err::create_dir(&folder)?;
                Self::Folder { folder, mode: by }
            }
        })
    }

    pub(super) fn put(&mut self, record: Record) -> Result<()> {
        let Record { key, payload, source, .. } = record;
        match self {
            Self::Lists | Self::Tars { .. } => Ok(()),
            Self::Lmdb(lmdb) => {
                let expected = "a key that is a name's";
                let name =
                    key::name_of(&key).ok_or_else(|| DedupError::file(Path::new(&source), expected, &key))?;
                Ok(lmdb.put(&name, encoded(payload, &key, &source)?)?)
            }
            Self::Folder { folder, mode } => {
                let path = folder.join(relative(&key, &payload)?);
                if let Some(parent) = path.parent() {
                    fs_err::create_dir_all(parent)?;
                }
                match (mode, payload) {
                    (LinkMode::Copy, payload) => {
                        write_new(&path, &key, Path::new(&source), &encoded(payload, &key, &source)?)?
                    }
                    (LinkMode::HardLink, Payload::File(file)) => hard_link(&file, &path)?,
                    (LinkMode::SymbolicLink, Payload::File(file)) => {
                        link(&std::fs::canonicalize(file)?, &path)?
                    }
                    (_, _) => {
                        return Err(DedupError::file(
                            Path::new(&source),
                            "a folder of files to link to",
                            "none",
                        ));
                    }
                }
                Ok(())
            }
        }
    }

    /// Hears of a picture that does not stay.
    pub(super) fn leave_out(&mut self, key: &str) {
        if let Self::Tars { gone, .. } = self {
            gone.insert(key.to_owned());
        }
    }

    /// Completes it; archives are written now, and `observe` is asked before each.
    pub(super) fn finish(self, observe: &mut dyn FnMut() -> ControlFlow<()>) -> Result<()> {
        match self {
            Self::Tars { archives, folder, gone } => {
                for archive in archives {
                    if observe().is_break() {
                        return Err(DedupError::Interrupted);
                    }
                    let name = archive.file_name().unwrap_or_default();
                    copy_tar(&archive, &folder.join(name), &|key| gone.contains(key))?;
                }
                Ok(())
            }
            Self::Lmdb(lmdb) => Ok(lmdb.finish()?),
            Self::Lists | Self::Folder { .. } => Ok(()),
        }
    }
}

#[cfg(unix)]
fn link(file: &Path, path: &Path) -> std::io::Result<()> {
    fs_err::os::unix::fs::symlink(file, path)
}

#[cfg(not(unix))]
fn link(file: &Path, path: &Path) -> std::io::Result<()> {
    fs_err::copy(file, path).map(|_| ())
}

fn encoded(payload: Payload, key: &str, source: &str) -> Result<Vec<u8>> {
    let expected = format!("an encoded picture for {key}");
    payload.into_bytes()?.ok_or_else(|| DedupError::file(Path::new(source), expected, "pixels"))
}

/// The key's name as a path below the new folder, with an ending where it has none.
fn relative(key: &str, payload: &Payload) -> Result<PathBuf> {
    let Some(mut path) = key::path_of(key) else {
        return Err(DedupError::file(Path::new(key), "a key that is a path below the folder", "another"));
    };
    if let (Payload::Encoded(bytes), None) = (payload, path.extension()) {
        let mut name = path.into_os_string();
        name.push(format!(".{}", ending(bytes)));
        path = PathBuf::from(name);
    }
    Ok(path)
}

/// Writes the picture of a key of `source` into a file that must not be there: another picture would be lost.
fn write_new(path: &Path, key: &str, source: &Path, bytes: &[u8]) -> Result<()> {
    match fs_err::File::create_new(path) {
        Ok(mut file) => Ok(file.write_all(bytes)?),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            // The one had this name, to the other its ending was added.
            let named = key::of_path(Path::new(path.file_name().unwrap_or_default()));
            let (first, second) = match key.rsplit('/').next() == Some(&named) {
                true => (key.rsplit_once('.').map_or(key, |(stem, _)| stem).to_owned(), key.to_owned()),
                false => (key.to_owned(), format!("{key}.{}", ending(bytes))),
            };
            let found =
                format!("{second} for the keys {first} and {second}; target=lmdb keeps keys as they are");
            Err(DedupError::file(source, "keys that are different file names, with their endings", found))
        }
        Err(e) => Err(e.into()),
    }
}

fn hard_link(file: &Path, path: &Path) -> Result<()> {
    fs_err::hard_link(std::fs::canonicalize(file)?, path).map_err(|e| match e.kind() {
        ErrorKind::CrossesDevices => {
            let expected = "a file on the file system of the output, as by=hard_link needs it";
            DedupError::file(file, expected, "one on another; by=copy or by=symbolic_link serves")
        }
        _ => e.into(),
    })
}

fn ending(bytes: &[u8]) -> &'static str {
    match bytes {
        [0xff, 0xd8, ..] => "jpg",
        [0x89, b'P', b'N', b'G', ..] => "png",
        _ => "webp",
    }
}
