//! Writing a set again without what was found to be double. Nothing is ever removed from the set itself.
//!
//! | file | holds |
//! | --- | --- |
//! | `keep.txt`, `remove.txt` | the keys, a line each, in the set's order |
//! | `bad.csv` | `key`, `reason` of what cannot be read, and so neither stays nor is removed as a duplicate |
//! | `lmdb/` | with [`Target::Lmdb`]: an LMDB as LSUN's |
//! | `tars/` | with [`Target::Tars`]: the archives, each under its name |
//! | `pictures/` | with [`Target::Folder`]: the files |
//! | `images.npy`, `index.parquet`, `meta.json` | with [`Target::Store`]: an image store |

pub mod files;
mod lists;
mod plan;
mod store;
mod target;
mod writer;

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::Path;

use dcgan_images::{BadWriter, Filter, ImportConfig, Source};

pub use self::target::{LinkMode, RegenerateSummary, Target};

use self::lists::{Fate, Lists};
use self::plan::Plan;
use self::store::StoreJob;
use self::writer::Writer;
use crate::group::{Member, Readable};
use crate::{DedupError, Result};

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
            let n_images = source.survey(observe)?.n_images();
            store::write(&StoreJob { source, groups, n_images, config, dir }, &lists, observe)
        }
        _ => {
            let n_images = source.survey(observe)?.n_images().unwrap_or(0);
            write_files(source, lists(&HashSet::new())?, n_images, target, dir, observe)
        }
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
    let mut writer = Writer::create(source, target, dir)?;
    let mut bad = BadWriter::create(&dir.join(files::BAD))?;
    let mut n_kept = 0;
    source.for_each_record(&mut |n_done| observe(n_done, n_images), &mut |record| {
        match lists.note(&record)? {
            Fate::Removed => writer.leave_out(&record.key),
            Fate::Bad(reason) => {
                bad.append(&record.key, &reason)?;
                writer.leave_out(&record.key);
            }
            Fate::Left => {
                lists.keep(&record.key)?;
                n_kept += 1;
                writer.put(record)?;
            }
        }
        Ok::<_, DedupError>(ControlFlow::Continue(()))
    })?;
    lists.check_all_came()?;
    writer.finish(&mut || observe(n_images, n_images))?;
    let n_bad = bad.n_bad();
    bad.finish()?;
    Ok(RegenerateSummary { n_kept, n_removed: lists.finish()?, n_bad })
}

#[cfg(test)]
mod group_tests;
#[cfg(test)]
mod tests;
