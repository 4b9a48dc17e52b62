//! Writing a set again without what was found to be double. Nothing is ever removed from the set itself.
//!
//! | file | holds |
//! | --- | --- |
//! | `keep.txt`, `remove.txt` | the keys, a line each, in the set's order |
//! | `bad.csv` | `key`, `reason` of what cannot be read, and so neither stays nor is removed as a duplicate |
//! | `lmdb/` | with [`Target::Lmdb`]: an LMDB as LSUN's |
//! | `pictures/` | with [`Target::Folder`]: the files |
//! | `images.npy`, `index.parquet`, `meta.json` | with [`Target::Store`]: an image store |

use std::collections::HashSet;
use std::io::{BufWriter, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use dcgan_images::walk::Stop;
use dcgan_images::{
    BadWriter, Damaged, DecodeConfig, Filter, ImageStore, ImagesError, ImportConfig, LmdbWriter, Payload,
    Record, Records, Resize, Source, import_records, key,
};
use serde::{Deserialize, Serialize};

use crate::group::{Member, Readable, removed_keys};
use crate::preprocess::{FILTER, SIDE};
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
/// group only one. `readable` tells which can be read; those that it does not cover are decoded to see.
///
/// # Errors
/// Those of [`Source::records`] and of writing; [`DedupError::File`] where `groups` names images that `source` does not hold, a
/// key cannot be a path, or the pictures are no files and are wanted as such. [`DedupError::Interrupted`].
pub fn regenerate(
    source: &Source,
    groups: &[Vec<Member>],
    readable: &Readable,
    target: Target,
    dir: &Path,
    observe: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<RegenerateSummary> {
    let removed = removed_keys(groups);
    let n_removed = removed.len() as u64;
    let n_images = source.n_images_observed(observe)?;
    let lists = Lists::create(dir, removed, readable.clone())?;
    let [n_kept, n_bad] = match target {
        Target::Store { resize, damaged } => {
            let config =
                ImportConfig { resize, damaged, filter: Filter::default(), ..ImportConfig::default() };
            write_store(source, lists, n_images.map(|n| n.saturating_sub(n_removed)), &config, dir, observe)?
        }
        _ => write_files(source, lists, n_images.unwrap_or(0), target, dir, observe)?,
    };
    Ok(RegenerateSummary { n_kept, n_removed, n_bad })
}

/// Writes an image store; returns how many images are in it and how many could not be used.
fn write_store(
    source: &Source,
    lists: Lists,
    n_left: Option<u64>,
    config: &ImportConfig,
    dir: &Path,
    observe: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<[u64; 2]> {
    let (lists, stop) = (Arc::new(Mutex::new(lists)), Stop::default());
    let left = Left { records: source.records_until(&stop)?, lists: lists.clone() };
    let summary = import_records(source, Box::new(left), &stop, n_left, config, dir, observe)?;
    let mut lists = lists.lock().unwrap_or_else(PoisonError::into_inner);
    // What the store could not take is not among what stays.
    for key in ImageStore::open(dir)?.keys()? {
        writeln!(lists.keep, "{key}")?;
    }
    lists.finish(source)?;
    Ok([summary.n_images, summary.n_bad])
}

/// Writes lists, an LMDB or a folder; returns how many images stay and how many cannot be read.
fn write_files(
    source: &Source,
    mut lists: Lists,
    n_images: u64,
    target: Target,
    dir: &Path,
    observe: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<[u64; 2]> {
    let mut writer = Writer::create(target, dir)?;
    let mut bad = BadWriter::create(&dir.join(files::BAD))?;
    let mut n_kept = 0;
    source.for_each_record(&mut |n_done| observe(n_done, n_images), &mut |record| {
        match lists.note(&record)? {
            Fate::Removed => {}
            Fate::Bad(reason) => bad.append(&record.key, &reason)?,
            Fate::Left => match decodes(&record, lists.is_judged()) {
                Err(reason) => bad.append(&record.key, &reason)?,
                Ok(()) => {
                    writeln!(lists.keep, "{}", record.key)?;
                    n_kept += 1;
                    writer.put(record)?;
                }
            },
        }
        Ok::<_, DedupError>(ControlFlow::Continue(()))
    })?;
    writer.finish()?;
    lists.finish(source)?;
    let n_bad = bad.n_bad();
    bad.finish()?;
    Ok([n_kept, n_bad])
}

/// Decodes a picture that was not looked at.
fn decodes(record: &Record, is_judged: bool) -> std::result::Result<(), String> {
    if is_judged {
        return Ok(());
    }
    let decoded = record.payload.clone().into_thumbnail(SIDE, FILTER, DecodeConfig::default());
    decoded.map(|_| ()).map_err(|reason| reason.to_string())
}

/// What becomes of an image.
enum Fate {
    Removed,
    /// It is known that it cannot be read.
    Bad(String),
    /// It stays, if it can be read.
    Left,
}

/// The two lists, as they are written.
struct Lists {
    /// Keys to be removed that have not come by yet.
    missing: HashSet<String>,
    readable: Readable,
    /// Images that came by.
    n_noted: u64,
    keep: BufWriter<fs_err::File>,
    remove: BufWriter<fs_err::File>,
}

impl Lists {
    fn create(dir: &Path, removed: HashSet<String>, readable: Readable) -> Result<Self> {
        let create = |name: &str| fs_err::File::create(dir.join(name)).map(BufWriter::new);
        let (keep, remove) = (create(files::KEEP)?, create(files::REMOVE)?);
        Ok(Self { missing: removed, readable, n_noted: 0, keep, remove })
    }

    /// Notes the next image.
    fn note(&mut self, record: &Record) -> std::io::Result<Fate> {
        self.n_noted += 1;
        if self.missing.remove(&record.key) {
            writeln!(self.remove, "{}", record.key)?;
            return Ok(Fate::Removed);
        }
        Ok(self.readable.bad.get(&record.key).map_or(Fate::Left, |reason| Fate::Bad(reason.clone())))
    }

    /// Whether the image that was noted last was looked at before.
    fn is_judged(&self) -> bool {
        self.readable.covers(self.n_noted - 1)
    }

    fn finish(&mut self, source: &Source) -> Result<()> {
        self.keep.flush()?;
        self.remove.flush()?;
        match self.missing.iter().min() {
            None => Ok(()),
            Some(key) => {
                let path = source.paths().first().copied().unwrap_or(Path::new("")).to_path_buf();
                let found = format!("{} that are not in it, among them {key}", self.missing.len());
                Err(DedupError::File { path, expected: "the images that were grouped".into(), found })
            }
        }
    }
}

/// The records that are not removed; of those that are known to be bad, that they are.
struct Left {
    records: Records,
    lists: Arc<Mutex<Lists>>,
}

impl Iterator for Left {
    type Item = std::result::Result<Record, ImagesError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let record = match self.records.next()? {
                Ok(record) => record,
                Err(e) => return Some(Err(e)),
            };
            match self.lists.lock().unwrap_or_else(PoisonError::into_inner).note(&record) {
                Ok(Fate::Removed) => {}
                Ok(Fate::Bad(reason)) => {
                    return Some(Ok(Record { payload: Payload::Bad(reason), ..record }));
                }
                Ok(Fate::Left) => return Some(Ok(record)),
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
                    (Way::Copy, payload) => write_new(&path, &encoded(payload, &key, &source)?)?,
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

/// Writes a file that must not be there: another picture would be lost.
fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    fs_err::File::create_new(path)?.write_all(bytes)
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
        let readable = Readable { n_images: 4, bad: Default::default() };
        regenerate(source, &groups(), &readable, target, out, &mut |_, _| ControlFlow::Continue(()))
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

    /// Five pictures, of which a.png is a duplicate of b.png, c.png cannot be decoded and d.png is known to be too large.
    fn set_with_bad_ones(dir: &Path) -> Source {
        fs_err::create_dir_all(dir).unwrap();
        for name in ["a.png", "b.png", "d.png", "e.png"] {
            dcgan_images::grid::write_grid(&dir.join(name), &[7; 3 * 64], [1, 3, 8, 8], 1).unwrap();
        }
        fs_err::write(dir.join("c.png"), "no picture").unwrap();
        Source::Folder { path: dir.to_path_buf(), classes: false }
    }

    #[test]
    fn what_cannot_be_read_is_listed_and_neither_kept_nor_counted() {
        let dir = tempfile::tempdir().unwrap();
        let source = set_with_bad_ones(&dir.path().join("set"));
        let groups = [vec![member("b.png", "b.png"), member("a.png", "b.png")]];
        let bad = [("d.png".to_owned(), "too large".to_owned())];
        // c.png lies behind what was looked at, or all was, or nothing.
        let some = Readable { n_images: 1, bad: bad.clone().into() };
        let all = Readable {
            n_images: 3,
            bad: bad.into_iter().chain([("c.png".to_owned(), "no picture".to_owned())]).collect(),
        };
        for (readable, kept) in [
            (some, "b.png\ne.png\n"),
            (all, "b.png\ne.png\n"),
            (Readable::default(), "b.png\nd.png\ne.png\n"),
        ] {
            for target in [
                Target::Lists,
                Target::Lmdb,
                Target::Folder { by: Way::Copy },
                Target::Folder { by: Way::HardLink },
                Target::Store { resize: Resize::Keep, damaged: Damaged::default() },
            ] {
                let out = tempfile::tempdir().unwrap();
                let summary = regenerate(&source, &groups, &readable, target, out.path(), &mut |_, _| {
                    ControlFlow::Continue(())
                });
                let n_kept = kept.lines().count() as u64;
                let expected = RegenerateSummary { n_kept, n_removed: 1, n_bad: 4 - n_kept };
                assert_eq!(summary.unwrap(), expected, "{target:?}");
                let read = |name: &str| fs_err::read_to_string(out.path().join(name)).unwrap();
                assert_eq!((read(files::KEEP).as_str(), read(files::REMOVE).as_str()), (kept, "a.png\n"));
                let bad = dcgan_images::read_bad(&out.path().join(files::BAD)).unwrap();
                let bad: Vec<&str> = bad.iter().map(|(key, _)| key.as_str()).collect();
                let expected = ["c.png", "d.png"].into_iter().filter(|name| !kept.contains(name));
                assert!(bad.iter().copied().eq(expected), "{bad:?}");
                if let Target::Folder { .. } = target {
                    let written = fs_err::read_dir(out.path().join(files::PICTURES)).unwrap();
                    assert_eq!(written.count() as u64, n_kept);
                }
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn names_of_any_bytes_are_listed_in_one_line_and_written_as_they_are() {
        use std::os::unix::ffi::OsStrExt as _;

        let dir = tempfile::tempdir().unwrap();
        let names = [&b"caf\xe8.jpg"[..], b"caf\xe9.jpg", b"a\nb.jpg", b"c\rd\te.jpg"];
        let at = |folder: &Path, name: &[u8]| folder.join(std::ffi::OsStr::from_bytes(name));
        fs_err::create_dir(dir.path().join("set")).unwrap();
        for name in names {
            fs_err::write(at(&dir.path().join("set"), name), name).unwrap();
        }
        let source = Source::Folder { path: dir.path().join("set"), classes: false };
        let groups = [vec![member(r"caf\xe8.jpg", r"caf\xe8.jpg"), member(r"caf\xe9.jpg", r"caf\xe8.jpg")]];
        let readable = Readable { n_images: 4, bad: Default::default() };
        for target in [Target::Folder { by: Way::Copy }, Target::Lmdb] {
            let out = tempfile::tempdir().unwrap();
            regenerate(
                &source,
                &groups,
                &readable,
                target,
                out.path(),
                &mut |_, _| ControlFlow::Continue(()),
            )
            .unwrap();
            let read = |name: &str| fs_err::read_to_string(out.path().join(name)).unwrap();
            assert_eq!(read(files::KEEP), "a\\x0ab.jpg\nc\\x0dd\\x09e.jpg\ncaf\\xe8.jpg\n");
            assert_eq!(read(files::REMOVE), "caf\\xe9.jpg\n");
            if target == Target::Lmdb {
                let records = Source::Lsun { path: out.path().join(files::LMDB) }.records().unwrap();
                let keys: Vec<String> = records.map(|record| record.unwrap().key).collect();
                assert_eq!(keys.join("\n") + "\n", read(files::KEEP));
            } else {
                for name in [names[0], names[2], names[3]] {
                    assert_eq!(fs_err::read(at(&out.path().join(files::PICTURES), name)).unwrap(), name);
                }
            }
        }
    }

    #[test]
    fn two_pictures_that_would_be_one_file_are_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let lmdb = dir.path().join("lmdb");
        let mut writer = LmdbWriter::create(&lmdb).unwrap();
        writer.put(b"a", vec![0xff, 0xd8]).unwrap();
        writer.put(b"a.jpg", vec![0xff, 0xd8, 0xff]).unwrap();
        writer.finish().unwrap();
        let readable = Readable { n_images: 2, bad: Default::default() };
        let target = Target::Folder { by: Way::Copy };
        let source = Source::Lsun { path: lmdb };
        let go = &mut |_: u64, _: u64| ControlFlow::Continue(());
        let message = regenerate(&source, &[], &readable, target, dir.path(), go).unwrap_err().to_string();
        assert!(message.contains("pictures/a.jpg"), "{message}");
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
