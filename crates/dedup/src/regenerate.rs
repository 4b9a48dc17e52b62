//! Writing a set again without what was found to be double. Nothing is ever removed from the set itself.
//!
//! | file | holds |
//! | --- | --- |
//! | `keep.txt`, `remove.txt` | the keys, a line each, in the set's order |
//! | `lmdb/` | with [`Target::Lmdb`]: an LMDB as LSUN's |
//! | `pictures/` | with [`Target::Folder`]: the files |
//! | `images.npy`, `index.parquet`, `meta.json` | with [`Target::Store`]: an image store |

use std::collections::HashSet;
use std::io::{BufWriter, Write as _};
use std::ops::ControlFlow;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use dcgan_images::{
    Damaged, Filter, ImagesError, ImportConfig, LmdbWriter, Payload, Record, Records, Resize, Source,
    import_records,
};
use serde::{Deserialize, Serialize};

use crate::group::{Member, removed_keys};
use crate::{DedupError, Result};

/// Names of what [`regenerate`] writes.
pub mod files {
    /// Keys that stay.
    pub const KEEP: &str = "keep.txt";
    /// Keys that do not.
    pub const REMOVE: &str = "remove.txt";
    /// The LMDB's folder.
    pub const LMDB: &str = "lmdb";
    /// The folder of files.
    pub const PICTURES: &str = "pictures";
}

/// How a file gets into the new folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// A folder of the encoded pictures, as they are; the key is the path in it.
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
    /// Images that stay but could not be decoded for the image store.
    pub n_bad: u64,
}

/// Reads `source` once more and writes what stays of it into `dir`, which must exist.
///
/// # Errors
/// Those of [`Source::records`] and of writing; [`DedupError::File`] where `groups` names images that `source` does not hold, a
/// key cannot be a path, or the pictures are no files and are wanted as such. [`DedupError::Interrupted`].
pub fn regenerate(
    source: &Source,
    groups: &[Vec<Member>],
    target: Target,
    dir: &Path,
    observe: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<RegenerateSummary> {
    let removed = removed_keys(groups);
    let n_removed = removed.len() as u64;
    let n_images = source.n_images()?;
    let lists = Arc::new(Mutex::new(Lists::create(dir, removed)?));
    let kept = Kept { records: source.records()?, lists: lists.clone() };
    let n_bad = match target {
        Target::Store { resize, damaged } => {
            let config =
                ImportConfig { resize, damaged, filter: Filter::default(), ..ImportConfig::default() };
            let n_left = n_images.map(|n| n.saturating_sub(n_removed));
            let summary = import_records(source, Box::new(kept), n_left, &config, dir, observe);
            summary
                .map_err(|e| match e {
                    ImagesError::Interrupted => DedupError::Interrupted,
                    e => e.into(),
                })?
                .n_bad
        }
        _ => {
            let mut writer = Writer::create(target, dir)?;
            for (n_done, record) in (0..).zip(kept) {
                if observe(n_done, n_images.unwrap_or(0)).is_break() {
                    return Err(DedupError::Interrupted);
                }
                writer.put(record?)?;
            }
            writer.finish()?;
            0
        }
    };
    let mut lists = lists.lock().unwrap_or_else(PoisonError::into_inner);
    let n_kept = lists.finish(source)?;
    Ok(RegenerateSummary { n_kept, n_removed, n_bad })
}

/// The two lists, as they are written.
struct Lists {
    /// Keys to be removed that have not come by yet.
    missing: HashSet<String>,
    keep: BufWriter<fs_err::File>,
    remove: BufWriter<fs_err::File>,
    n_kept: u64,
}

impl Lists {
    fn create(dir: &Path, removed: HashSet<String>) -> Result<Self> {
        let create = |name: &str| fs_err::File::create(dir.join(name)).map(BufWriter::new);
        Ok(Self { missing: removed, keep: create(files::KEEP)?, remove: create(files::REMOVE)?, n_kept: 0 })
    }

    /// Notes an image; true if it stays.
    fn note(&mut self, key: &str) -> std::io::Result<bool> {
        let stays = !self.missing.remove(key);
        self.n_kept += u64::from(stays);
        writeln!(if stays { &mut self.keep } else { &mut self.remove }, "{key}")?;
        Ok(stays)
    }

    fn finish(&mut self, source: &Source) -> Result<u64> {
        self.keep.flush()?;
        self.remove.flush()?;
        match self.missing.iter().min() {
            None => Ok(self.n_kept),
            Some(key) => {
                let path = source.paths().first().copied().unwrap_or(Path::new("")).to_path_buf();
                let found = format!("{} that are not in it, among them {key}", self.missing.len());
                Err(DedupError::File { path, expected: "the images that were grouped".into(), found })
            }
        }
    }
}

/// The records that stay.
struct Kept {
    records: Records,
    lists: Arc<Mutex<Lists>>,
}

impl Iterator for Kept {
    type Item = std::result::Result<Record, ImagesError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let record = match self.records.next()? {
                Ok(record) => record,
                Err(e) => return Some(Err(e)),
            };
            match self.lists.lock().unwrap_or_else(PoisonError::into_inner).note(&record.key) {
                Ok(true) => return Some(Ok(record)),
                Ok(false) => {}
                Err(e) => return Some(Err(e.into())),
            }
        }
    }
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
            Self::Lmdb(lmdb) => Ok(lmdb.put(&key, encoded(payload, &key, &source)?)?),
            Self::Folder { folder, way } => {
                let path = folder.join(relative(&key, &payload)?);
                if let Some(parent) = path.parent() {
                    fs_err::create_dir_all(parent)?;
                }
                match (way, payload) {
                    (Way::Copy, payload) => fs_err::write(path, encoded(payload, &key, &source)?)?,
                    (Way::HardLink, Payload::File(file)) => {
                        fs_err::hard_link(std::fs::canonicalize(file)?, path)?
                    }
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

/// The key as a path below the new folder, with an ending where the key has none.
fn relative(key: &str, payload: &Payload) -> Result<PathBuf> {
    let path = PathBuf::from(key);
    if key.is_empty() || !path.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(DedupError::file(&path, "a key that is a path below the folder", "another"));
    }
    let ending = match payload {
        Payload::Encoded(bytes) if path.extension().is_none() => ending(bytes),
        _ => return Ok(path),
    };
    Ok(PathBuf::from(format!("{key}.{ending}")))
}

fn ending(bytes: &[u8]) -> &'static str {
    match bytes {
        [0xff, 0xd8, ..] => "jpg",
        [0x89, b'P', b'N', b'G', ..] => "png",
        _ => "webp",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(key: &str, representative: &str) -> Member {
        Member { key: key.into(), representative: representative.into(), distance: 0, pixel_distance: 0.0 }
    }

    fn groups() -> Vec<Vec<Member>> {
        vec![vec![member("b/2.jpg", "b/2.jpg"), member("a.jpg", "b/2.jpg"), member("c.jpg", "b/2.jpg")]]
    }

    /// a.jpg, b/2.jpg, c.jpg and d.jpg, each holding its name.
    fn set(dir: &Path) -> Source {
        fs_err::create_dir_all(dir.join("b")).unwrap();
        for name in ["a.jpg", "b/2.jpg", "c.jpg", "d.jpg"] {
            fs_err::write(dir.join(name), name).unwrap();
        }
        Source::Folder { path: dir.to_path_buf(), classes: false }
    }

    fn run(source: &Source, target: Target, out: &Path) -> Result<RegenerateSummary> {
        fs_err::create_dir_all(out).unwrap();
        regenerate(source, &groups(), target, out, &mut |_, _| ControlFlow::Continue(()))
    }

    #[test]
    fn folders_and_lists_hold_what_stays() {
        let dir = tempfile::tempdir().unwrap();
        let source = set(&dir.path().join("set"));
        for by in [Way::Copy, Way::HardLink, Way::SymbolicLink] {
            let out = dir.path().join(format!("{by:?}"));
            let summary = run(&source, Target::Folder { by }, &out).unwrap();
            assert_eq!(summary, RegenerateSummary { n_kept: 2, n_removed: 2, n_bad: 0 });
            assert_eq!(fs_err::read_to_string(out.join(files::KEEP)).unwrap(), "b/2.jpg\nd.jpg\n");
            assert_eq!(fs_err::read_to_string(out.join(files::REMOVE)).unwrap(), "a.jpg\nc.jpg\n");
            for name in ["b/2.jpg", "d.jpg"] {
                assert_eq!(fs_err::read_to_string(out.join(files::PICTURES).join(name)).unwrap(), name);
            }
            assert!(!out.join(files::PICTURES).join("a.jpg").exists());
        }
        // Nothing was removed from the set itself.
        assert!(dir.path().join("set/a.jpg").exists() && dir.path().join("set/c.jpg").exists());
    }

    #[test]
    fn an_lmdb_holds_what_stays() {
        let dir = tempfile::tempdir().unwrap();
        let source = set(&dir.path().join("set"));
        let out = dir.path().join("out");
        run(&source, Target::Lmdb, &out).unwrap();
        let records = Source::Lsun { path: out.join(files::LMDB) }.records().unwrap();
        let found: Vec<(String, Payload)> = records.map(|r| r.unwrap()).map(|r| (r.key, r.payload)).collect();
        let expected = ["b/2.jpg", "d.jpg"].map(|name| (name.to_owned(), Payload::Encoded(name.into())));
        assert_eq!(found, expected);
    }

    #[test]
    fn groups_of_another_set_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let source = set(&dir.path().join("set"));
        fs_err::remove_file(dir.path().join("set/c.jpg")).unwrap();
        let message = run(&source, Target::Lists, &dir.path().join("out")).unwrap_err().to_string();
        assert!(message.ends_with("found 1 that are not in it, among them c.jpg"), "{message}");
    }
}
