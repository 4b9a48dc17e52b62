//! From a complete journal to the files that stay.

use std::path::Path;

use dcgan_files::words::counted;
use dcgan_images::grid::write_grid;
use dcgan_images::page::jpeg;
use dcgan_images::{ImagesError, Source, StoreDescription, StoreWriter};

use crate::collect::{CollectConfig, Files, picture};
use crate::files::{BOXES, CONTACT_SHEET, GRID, PICTURES};
use crate::journal::Journal;
use crate::row::{BoxesWriter, Outcome, Photo};
use crate::sheet::{Sheet, spread};
use crate::{FacesError, Result};

/// Faces on the grid.
const ON_GRID: usize = 100;
const GRID_COLUMNS: usize = 10;
/// Bad photos in an error's text.
const ON_ERROR: usize = 2;

/// How many there are of what.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) n_photos: u64,
    pub(crate) n_faces: u64,
    pub(crate) n_with_face: u64,
    pub(crate) n_too_small: u64,
    pub(crate) n_no_face: u64,
    pub(crate) n_bad: u64,
}

impl Counts {
    fn add(&mut self, photo: &Photo) {
        self.n_photos += 1;
        self.n_faces += photo.crop_keys().count() as u64;
        let counter = match photo.outcome() {
            Outcome::Cropped | Outcome::NotLargest => &mut self.n_with_face,
            Outcome::TooSmall => &mut self.n_too_small,
            Outcome::NoFace => &mut self.n_no_face,
            Outcome::Bad => &mut self.n_bad,
        };
        *counter += 1;
    }
}

/// Writes the store, `boxes.parquet`, the contact sheet, the grid and, where asked for, single files, and removes the journal.
pub(crate) fn finish(
    mut journal: Journal,
    source: &Source,
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
        let path = source.paths().first().map_or(dir, |path| path).to_path_buf();
        return Err(ImagesError::NoImages {
            path,
            expected: "at least one JPEG, PNG, WebP, GIF, BMP or TIFF".into(),
        }
        .into());
    }
    // First, so that it is there to tell why no photo has a face.
    boxes.finish()?;
    if counts.n_faces == 0 {
        let bad = match reasons.as_slice() {
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
        return Err(FacesError::file(dir, format!("at least one face in {source}"), found));
    }
    store.finish(StoreDescription {
        source: source.to_string(),
        resize: format!("faces({size})"),
        filter: Some(config.crop.filter),
        class_names: source.class_names()?,
    })?;
    let some = spread(counts.n_faces, ON_GRID as u64);
    let shown = journal.some_crops(&some)?;
    write_grid(&dir.join(GRID), &shown, [some.len(), 3, size, size], GRID_COLUMNS)?;
    let html = sheet.html(source, &counts, &mut journal, size)?;
    fs_err::write(dir.join(CONTACT_SHEET), html)?;
    journal.remove()?;
    Ok(counts)
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
