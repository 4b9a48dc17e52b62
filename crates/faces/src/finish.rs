//! From a complete journal to the files that stay.

use std::path::{Path, PathBuf};

use dcgan_files::words::counted;
use dcgan_images::grid::write_grid;
use dcgan_images::page::jpeg;
use dcgan_images::{ImagesError, StoreDescription, StoreWriter, Survey};
use serde::{Deserialize, Serialize};

use crate::config::{CollectConfig, Files};
use crate::crop::picture;
use crate::files::{BOXES, CONTACT_SHEET, GRID, PICTURES};
use crate::journal::Journal;
use crate::row::{BoxesWriter, Counts};
use crate::sheet::{Sheet, spread};
use crate::{FacesError, Result};

/// Faces on the grid.
const ON_GRID: usize = 100;
const GRID_COLUMNS: usize = 10;
/// Bad photos in an error's text.
const ON_ERROR: usize = 2;

/// Writes the store, `boxes.parquet`, the contact sheet, the grid and, where asked for, single files, and removes the journal.
pub(crate) fn finish(
    mut journal: Journal,
    about: &About,
    config: &CollectConfig,
    dir: &Path,
) -> Result<Counts> {
    let size = config.crop.size;
    let mut counts = Counts::default();
    let mut reasons = Vec::new();
    let mut sheet = Sheet::default();
    let mut boxes = BoxesWriter::create(&dir.join(BOXES))?;
    let mut store = StoreWriter::create(dir)?;
    let mut crops = journal.crops()?;
    let mut pixels = vec![0; 3 * size * size];
    if config.files != Files::None {
        fs_err::create_dir_all(dir.join(PICTURES))?;
    }
    for photo in journal.photos()? {
        let photo = photo?;
        for (k, key) in photo.crop_keys().enumerate() {
            crops.next_into(&mut pixels)?;
            store.append(&key, photo.label, &photo.source, &picture(&pixels, size))?;
            write_file(dir, config.files, counts.n_faces + k as u64, &pixels, size)?;
        }
        if let Some(reason) = &photo.reason {
            store.append_bad(&photo.key, reason)?;
            if reasons.len() < ON_ERROR {
                reasons.push(format!("{}: {reason}", photo.key));
            }
        }
        sheet.add(&photo, counts.n_faces);
        counts.add(&photo);
        boxes.append(photo)?;
    }
    if counts.n_photos == 0 {
        return Err(no_photos(about));
    }
    // First, so that it is there to show why no photo has a face.
    boxes.finish()?;
    if counts.n_faces == 0 {
        return Err(no_faces(about, dir, &counts, &reasons));
    }
    store.finish(StoreDescription {
        source: about.source.clone(),
        resize: format!("faces({size})"),
        filter: Some(config.crop.filter),
        class_names: about.class_names.clone(),
    })?;
    let some = spread(counts.n_faces, ON_GRID as u64);
    let shown = journal.some_crops(&some)?;
    write_grid(&dir.join(GRID), &shown, [some.len(), 3, size, size], GRID_COLUMNS)?;
    let html = sheet.html(&about.source, &counts, &mut journal, size)?;
    fs_err::write(dir.join(CONTACT_SHEET), html)?;
    journal.remove()?;
    Ok(counts)
}

/// What is said of the photos' set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct About {
    /// In words.
    pub(crate) source: String,
    /// The names of its classes, where it has such.
    pub(crate) class_names: Option<Vec<String>>,
    /// Where it lies; left out where that is another matter on each machine.
    #[serde(skip)]
    pub(crate) path: PathBuf,
}

impl About {
    pub(crate) fn of(set: &Survey<'_>) -> Result<Self> {
        let source = set.source();
        let path = source.paths().first().map_or(PathBuf::new(), |path| path.to_path_buf());
        Ok(Self { source: source.to_string(), class_names: set.class_names()?, path })
    }
}

fn no_photos(about: &About) -> FacesError {
    let path = about.path.clone();
    ImagesError::NoImages { path, expected: "at least one JPEG, PNG, WebP, GIF, BMP or TIFF".into() }.into()
}

fn no_faces(about: &About, dir: &Path, counts: &Counts, reasons: &[String]) -> FacesError {
    let bad = match reasons {
        [] => String::new(),
        reasons => format!("; the first bad ones: {}", reasons.join("; ")),
    };
    let found = format!(
        "none in {} ({} without a face, {} with too small ones, {} bad), of which {BOXES} says more{bad}",
        counted(counts.n_photos, "photo"),
        counts.n_no_face,
        counts.n_too_small,
        counts.n_bad
    );
    FacesError::file(dir, format!("at least one face in {}", about.source), found)
}

fn write_file(dir: &Path, files: Files, idx: u64, pixels: &[u8], size: usize) -> Result<()> {
    let folder = dir.join(PICTURES);
    match files {
        Files::None => Ok(()),
        Files::Png => Ok(write_grid(&folder.join(format!("{idx:08}.png")), pixels, [1, 3, size, size], 1)?),
        Files::Jpeg => {
            Ok(fs_err::write(folder.join(format!("{idx:08}.jpg")), jpeg(&picture(pixels, size), 95)?)?)
        }
    }
}
