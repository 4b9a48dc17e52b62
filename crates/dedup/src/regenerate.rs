//! Writing a set again without what was found to be double. Nothing is ever removed from the set itself.
//!
//! | file | holds |
//! | --- | --- |
//! | `keep.txt`, `remove.txt` | the keys, a line each, in the set's order |
//! | `bad.csv` | `key`, `reason` of what cannot be read, and so neither stays nor is removed as a duplicate |
//! | `lmdb/` | with [`Target::Lmdb`]: an LMDB as LSUN's |
//! | `pictures/` | with [`Target::Folder`]: the files |
//! | `images.npy`, `index.parquet`, `meta.json` | with [`Target::Store`]: an image store |

mod lists;
mod plan;
mod store;

use std::collections::HashSet;
use std::io::{ErrorKind, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use dcgan_files::key;
use dcgan_images::{BadWriter, Damaged, Filter, ImportConfig, LmdbWriter, Payload, Record, Resize, Source};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::lists::{Fate, Lists};
use self::plan::Plan;
use self::store::StoreJob;
use crate::group::{Member, Readable};
use crate::{DedupError, Result};

/// Names of what [`regenerate`] writes.
pub mod files {
    /// Keys that stay.
    pub const KEEP: &str = "keep.txt";
    /// Keys that do not.
    pub const REMOVE: &str = "remove.txt";
    /// What cannot be read.
    pub const BAD: &str = "bad.csv";
    /// The LMDB's folder.
    pub const LMDB: &str = "lmdb";
    /// The folder of files.
    pub const PICTURES: &str = "pictures";
}

/// How a file gets into the new folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Its bytes are copied.
    Copy,
    /// As a second name of the same file; both folders must lie on one file system.
    HardLink,
    /// As a symbolic link to the absolute path.
    SymbolicLink,
}

/// As what the set is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Target {
    /// Only the two lists.
    #[default]
    Lists,
    /// An LMDB of the encoded pictures, as they are.
    Lmdb,
    /// A folder of the encoded pictures, as they are; the key's name is the path in it.
    Folder {
        /// How files get there; links need a set that is a folder itself.
        by: Way,
    },
    /// An image store.
    Store {
        /// How every picture is brought to its size.
        resize: Resize,
        /// What becomes of a JPEG of which a part is lost.
        damaged: Damaged,
    },
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RegenerateSummary {
    /// Images that stay.
    pub n_kept: u64,
    /// Images that do not.
    pub n_removed: u64,
    /// Images that cannot be read; `bad.csv` lists them.
    pub n_bad: u64,
}

/// Reads `source` once more and writes what stays of it into `dir`, which must exist: every image that can be read, but of each
/// group only one. Where an image store cannot take that one as `Target::Store` says, another of its group stays. Keys that lead to one file by symbolic links stay or go together. `readable` tells which can be read; those that it does not cover are decoded to see.
///
/// # Errors
/// [`DedupError::Unfit`] where an image that `groups` names is not in `source`, is not the one that was hashed, or stays for others
/// and cannot be read or is itself removed: the lists are then not there. Those of [`Source::records`] and of writing;
/// [`DedupError::File`] where a key cannot be a path, or the pictures are no files and are wanted as such.
/// [`DedupError::Interrupted`].
pub fn regenerate(
    source: &Source,
    groups: &[Vec<Member>],
    readable: &Readable,
    target: Target,
    dir: &Path,
    observe: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<RegenerateSummary> {
    let n_images = source.n_images_observed(observe)?;
    // An image store decodes every picture as it is.
    let decodes = !matches!(target, Target::Store { .. });
    let lists = |rejected: &HashSet<String>| {
        let plan = Plan::new(source, groups, rejected)?;
        Lists::create(source, plan, readable.clone(), decodes, dir)
    };
    match target {
        Target::Store { resize, damaged } => {
            let config =
                ImportConfig { resize, damaged, filter: Filter::default(), ..ImportConfig::default() };
            store::write(&StoreJob { source, groups, n_images, config, dir }, &lists, observe)
        }
        _ => write_files(source, lists(&HashSet::new())?, n_images.unwrap_or(0), target, dir, observe),
    }
}

/// Writes lists, an LMDB or a folder.
fn write_files(
    source: &Source,
    mut lists: Lists,
    n_images: u64,
    target: Target,
    dir: &Path,
    observe: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<RegenerateSummary> {
    let mut writer = Writer::create(target, dir)?;
    let mut bad = BadWriter::create(&dir.join(files::BAD))?;
    let mut n_kept = 0;
    source.for_each_record(&mut |n_done| observe(n_done, n_images), &mut |record| {
        match lists.note(&record)? {
            Fate::Removed => {}
            Fate::Bad(reason) => bad.append(&record.key, &reason)?,
            Fate::Left => {
                lists.keep(&record.key)?;
                n_kept += 1;
                writer.put(record)?;
            }
        }
        Ok::<_, DedupError>(ControlFlow::Continue(()))
    })?;
    lists.check_all_came()?;
    writer.finish()?;
    let n_bad = bad.n_bad();
    bad.finish()?;
    Ok(RegenerateSummary { n_kept, n_removed: lists.finish()?, n_bad })
}

enum Writer {
    Lists,
    Lmdb(LmdbWriter),
    Folder { folder: PathBuf, way: Way },
}

impl Writer {
    fn create(target: Target, dir: &Path) -> Result<Self> {
        Ok(match target {
            Target::Lists | Target::Store { .. } => Self::Lists,
            Target::Lmdb => Self::Lmdb(LmdbWriter::create(&dir.join(files::LMDB))?),
            Target::Folder { by } => {
                let folder = dir.join(files::PICTURES);
                fs_err::create_dir(&folder)?;
                Self::Folder { folder, way: by }
            }
        })
    }

    fn put(&mut self, record: Record) -> Result<()> {
        let Record { key, payload, source, .. } = record;
        match self {
            Self::Lists => Ok(()),
            Self::Lmdb(lmdb) => {
                let expected = "a key that is a name's";
                let name =
                    key::name_of(&key).ok_or_else(|| DedupError::file(Path::new(&source), expected, &key))?;
                Ok(lmdb.put(&name, encoded(payload, &key, &source)?)?)
            }
            Self::Folder { folder, way } => {
                let path = folder.join(relative(&key, &payload)?);
                if let Some(parent) = path.parent() {
                    fs_err::create_dir_all(parent)?;
                }
                match (way, payload) {
                    (Way::Copy, payload) => {
                        write_new(&path, &key, Path::new(&source), &encoded(payload, &key, &source)?)?
                    }
                    (Way::HardLink, Payload::File(file)) => hard_link(&file, &path)?,
                    (Way::SymbolicLink, Payload::File(file)) => link(&std::fs::canonicalize(file)?, &path)?,
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

    fn finish(self) -> Result<()> {
        match self {
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

#[cfg(test)]
mod tests;
