//! `keep.txt` and `remove.txt`, and the check, picture by picture, that the set is the one that was grouped.

use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use dcgan_images::{Damaged, DecodeConfig, Record, Source};

use super::files;
use super::plan::{Contents, Plan, unfit};
use crate::content::content;
use crate::group::Readable;
use crate::preprocess::{FILTER, SIDE};
use crate::{DedupError, Result};

/// What becomes of an image.
pub(super) enum Fate {
    Removed,
    /// It cannot be read.
    Bad(String),
    /// It stays.
    Left,
}

/// The two lists, as they are written. They have their names when all images came by.
pub(super) struct Lists {
    source: Source,
    plan: Plan,
    readable: Readable,
    /// Whether images that were not decoded before are decoded here.
    decodes: bool,
    /// Images that came by.
    n_noted: u64,
    n_removed: u64,
    dir: PathBuf,
    keep: BufWriter<fs_err::File>,
    remove: BufWriter<fs_err::File>,
    /// Why the set is not the one that was grouped, where its reader could not return it.
    pub(super) failed: Option<DedupError>,
}

impl Lists {
    pub(super) fn create(
        source: &Source,
        plan: Plan,
        readable: Readable,
        decodes: bool,
        dir: &Path,
    ) -> Result<Self> {
        let create = |name: &str| fs_err::File::create(partial(dir, name)).map(BufWriter::new);
        let (keep, remove) = (create(files::KEEP)?, create(files::REMOVE)?);
        let (source, dir) = (source.clone(), dir.to_path_buf());
        Ok(Self {
            source,
            plan,
            readable,
            decodes,
            n_noted: 0,
            n_removed: 0,
            dir,
            keep,
            remove,
            failed: None,
        })
    }

    /// Notes the next image.
    ///
    /// # Errors
    /// [`DedupError::Unfit`] where it is one of the groups', and not what it was; and those of writing.
    pub(super) fn note(&mut self, record: &Record) -> Result<Fate> {
        let is_judged = self.readable.covers(self.n_noted);
        self.n_noted += 1;
        let key = &record.key;
        if let Some(known) = self.plan.removed.remove(key) {
            self.compare(record, known, "is to be removed as a duplicate")?;
            return self.removed(key);
        }
        if let Some(known) = self.plan.stay.remove(key) {
            let role = "is to stay for its duplicates";
            if let Some(reason) = self.readable.bad.get(key) {
                return Err(unfit(&self.source, key, format!("{role}, but cannot be read: {reason}")));
            }
            let is_hashed = self.compare(record, known, role)?;
            // What is known to be the one that was hashed was decoded then.
            let config = DecodeConfig { max_pixels: 1 << 32, damaged: Damaged::Allow };
            let decoded = match (is_judged, is_hashed) {
                (true, true) => Ok(()),
                (true, false) => decodes(record, config),
                (false, _) => decodes(record, DecodeConfig::default()),
            };
            decoded.map_err(|reason| {
                unfit(&self.source, key, format!("{role}, but cannot be read: {reason}"))
            })?;
            return Ok(Fate::Left);
        }
        if self.plan.leads_to_removed(&record.payload) {
            return self.removed(key);
        }
        if let Some(reason) = self.readable.bad.get(key) {
            return Ok(Fate::Bad(reason.clone()));
        }
        Ok(match self.decodes && !is_judged {
            true => decodes(record, DecodeConfig::default()).map_or_else(Fate::Bad, |()| Fate::Left),
            false => Fate::Left,
        })
    }

    /// Compares a picture with the one that was hashed, of which something is known or not: then the answer is no.
    fn compare(&self, record: &Record, known: Option<u64>, role: &str) -> Result<bool> {
        let Some(known) = known else { return Ok(false) };
        match content(&record.payload) {
            Ok(found) if found.blake3 == known => Ok(true),
            Ok(_) => {
                let problem = format!("{role}, but is not the picture that was hashed");
                Err(unfit(&self.source, &record.key, problem))
            }
            Err(reason) => {
                Err(unfit(&self.source, &record.key, format!("{role}, but cannot be read: {reason}")))
            }
        }
    }

    fn removed(&mut self, key: &str) -> Result<Fate> {
        writeln!(self.remove, "{key}")?;
        self.n_removed += 1;
        Ok(Fate::Removed)
    }

    /// Writes that an image stays.
    pub(super) fn keep(&mut self, key: &str) -> std::io::Result<()> {
        writeln!(self.keep, "{key}")
    }

    /// Those of the groups that stay for others and have not come by yet.
    pub(super) fn keys_that_stay(&self) -> impl Iterator<Item = &String> {
        self.plan.stay.keys()
    }

    /// Images of the groups that are to be removed and have not come by yet.
    pub(super) fn n_to_remove(&self) -> u64 {
        self.plan.removed.len() as u64
    }

    /// Refuses a set that does not hold all images of the groups, when all have come by.
    pub(super) fn check_all_came(&self) -> Result<()> {
        let missing = |contents: &Contents, role: &str| {
            contents.keys().min().map_or(Ok(()), |key| {
                let others = match contents.len() - 1 {
                    0 => String::new(),
                    n => format!(", nor are {n} others"),
                };
                Err(unfit(&self.source, key, format!("{role}, but is not in the set{others}")))
            })
        };
        missing(&self.plan.stay, "is to stay for its duplicates")?;
        missing(&self.plan.removed, "is to be removed as a duplicate")
    }

    /// Completes the lists; returns how many images are removed.
    pub(super) fn finish(&mut self) -> Result<u64> {
        self.check_all_came()?;
        self.keep.flush()?;
        self.remove.flush()?;
        for name in [files::KEEP, files::REMOVE] {
            fs_err::rename(partial(&self.dir, name), self.dir.join(name))?;
        }
        Ok(self.n_removed)
    }
}

/// Where a list grows.
fn partial(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.partial"))
}

fn decodes(record: &Record, config: DecodeConfig) -> std::result::Result<(), String> {
    let decoded = record.payload.clone().into_thumbnail(SIDE, FILTER, config);
    decoded.map(|_| ()).map_err(|reason| reason.to_string())
}
