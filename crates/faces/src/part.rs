//! Parts of a set of photos, each done on another machine, and the store of all.
//!
//! A part's folder holds what a run keeps of photos that are done: a line each, with a thumbnail of the first of each outcome, and the
//! crops. The store, the table and the contact sheet are made of all of them at once.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use dcgan_images::{BadWriter, read_bad};

use crate::config::CollectConfig;
use crate::files::{PART, PART_CROPS, PART_ROWS};
use crate::finish::{About, finish};
use crate::journal::Journal;
use crate::row::Counts;
use crate::sheet::ON_SHEET;
use crate::summary::CollectSummary;
use crate::{FacesError, Result};

/// What could not be read.
const BAD: &str = "bad.csv";

/// Completes a part.
pub(crate) fn finish_part(mut journal: Journal, about: &About, dir: &Path) -> Result<Counts> {
    let mut counts = Counts::default();
    let mut bad = BadWriter::create(&dir.join(BAD))?;
    for photo in journal.photos()? {
        let photo = photo?;
        if let Some(reason) = &photo.reason {
            bad.append(&photo.key, reason)?;
        }
        counts.add(&photo);
    }
    bad.finish()?;
    fs_err::write(dir.join(PART), serde_json::to_vec_pretty(about).map_err(std::io::Error::from)?)?;
    journal.keep_as(PART_ROWS, PART_CROPS)?;
    Ok(counts)
}

/// A part: its folder, and how many of its bad photos were tried (others were passed over by their names).
#[derive(Clone, Debug)]
pub struct FacesPart {
    /// What [`crop_faces`](crate::crop_faces) filled.
    pub dir: PathBuf,
    /// [`CollectSummary::n_bad`].
    pub n_bad: u64,
}

/// Makes the store of all photos from the parts, in their order, in `dir`, which must exist and be empty: the bytes that
/// [`crop_faces`](crate::crop_faces) writes of the whole set with `config`. `observe` receives how many parts are done.
///
/// # Errors
/// Where a part cannot be read; [`FacesError::File`] where one is of another set than the first, or no photo of all has a face that is
/// wanted; [`FacesError::Interrupted`] where `observe` breaks.
pub fn merge(
    parts: &[FacesPart],
    config: &CollectConfig,
    dir: &Path,
    observe: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<CollectSummary> {
    let mut journal = Journal::resume(dir, 3 * config.crop.size * config.crop.size)?;
    let (mut first, mut passed_over): (Option<About>, _) = (None, Vec::new());
    for (i, part) in (0..).zip(parts) {
        if observe(i).is_break() {
            return Err(FacesError::Interrupted);
        }
        let path = part.dir.join(PART);
        let about: About = serde_json::from_slice(&fs_err::read(&path)?)
            .map_err(|error| FacesError::file(&path, "what a part says of its set", error.to_string()))?;
        let expected = first.get_or_insert_with(|| about.clone());
        if *expected != about {
            return Err(FacesError::file(
                &path,
                format!("the first part's {expected:?}"),
                format!("{about:?}"),
            ));
        }
        journal.append_part(&part.dir.join(PART_ROWS), &part.dir.join(PART_CROPS), ON_SHEET)?;
        let mut bad = read_bad(&part.dir.join(BAD))?;
        passed_over.extend(bad.split_off(bad.len().min(part.n_bad as usize)));
    }
    let about = first.ok_or_else(|| FacesError::file(dir, "at least one part", "none"))?;
    let about = About { path: parts.first().map_or(PathBuf::new(), |part| part.dir.clone()), ..about };
    let counts = finish(journal, &about, config, dir)?;
    let mut writer = BadWriter::append_to(&dir.join(BAD))?;
    passed_over.iter().try_for_each(|(key, reason)| writer.append(key, reason))?;
    writer.finish()?;
    Ok(CollectSummary::of(&counts))
}
