//! The contact sheet: photos with their boxes, and faces, for people to judge.

use dcgan_files::words::counted;
use dcgan_images::page::{Page, jpeg};
use dcgan_images::{Filter, Picture, ReducedPicture, Window};

use crate::crop::picture;
use crate::journal::Journal;
use crate::row::{Counts, Outcome, Photo};
use crate::{Face, Result};

/// Photos of each outcome on the sheet, the first ones; and as many faces, and as many of the worst.
pub(crate) const ON_SHEET: usize = 48;
/// The longer side of a photo on the sheet.
const SHOWN_SIDE: usize = 160;
/// Bad photos that are listed.
const LISTED: usize = 200;

/// The photo made small, with its boxes drawn in: a JPEG.
pub(crate) fn with_boxes(photo: &ReducedPicture, faces: &[Face]) -> Result<Vec<u8>> {
    let picture = &photo.picture;
    let factor = SHOWN_SIDE as f64 / picture.height.max(picture.width) as f64;
    let [height, width] =
        [picture.height, picture.width].map(|side| ((side as f64 * factor) as usize).max(1));
    let whole = Window { left: 0.0, top: 0.0, width: picture.width as f64, height: picture.height as f64 };
    let mut small = picture.scaled(whole, [height, width], Filter::Bilinear)?.with_channels(3)?;
    let scale = width as f32 / photo.width as f32;
    for face in faces {
        let at = |from: f32, most: usize| (from * scale).clamp(0.0, most as f32 - 1.0) as usize;
        let (left, right) = (at(face.x, width), at(face.x + face.width, width));
        let (top, bottom) = (at(face.y, height), at(face.y + face.height, height));
        (left..=right).for_each(|x| [top, bottom].iter().for_each(|&y| mark(&mut small, x, y)));
        (top..=bottom).for_each(|y| [left, right].iter().for_each(|&x| mark(&mut small, x, y)));
    }
    Ok(jpeg(&small, 80)?)
}

fn mark(picture: &mut Picture, x: usize, y: usize) {
    for (plane, value) in picture.pixels.chunks_exact_mut(picture.height * picture.width).zip([0, 255, 0]) {
        plane[y * picture.width + x] = value;
    }
}

/// `n` indices spread evenly over 0 to `n_all` − 1.
pub(crate) fn spread(n_all: u64, n: u64) -> Vec<u64> {
    let n = n.min(n_all);
    (0..n).map(|k| k * n_all / n).collect()
}

/// What goes onto the sheet, gathered photo by photo.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sheet {
    photos: Vec<Photo>,
    bad: Vec<(String, String)>,
    /// The faces of the lowest scores, the lowest first: score, index in the store, key.
    worst: Vec<(f32, u64, String)>,
}

impl Sheet {
    /// Takes note of a photo whose first crop has the index `crop_idx`.
    pub(crate) fn add(&mut self, photo: &Photo, crop_idx: u64) {
        if !photo.thumbnail.is_empty() {
            self.photos.push(photo.clone());
        }
        if let Some(reason) = photo.reason.as_ref().filter(|_| self.bad.len() < LISTED) {
            self.bad.push((photo.key.clone(), reason.clone()));
        }
        let scores = photo
            .faces
            .iter()
            .filter(|(_, outcome)| *outcome == Outcome::Cropped)
            .map(|(face, _)| face.score);
        for ((score, key), idx) in scores.zip(photo.crop_keys()).zip(crop_idx..) {
            if self.worst.len() < ON_SHEET || self.worst.last().is_some_and(|&(highest, ..)| score < highest)
            {
                let place = self.worst.partition_point(|&(other, ..)| other <= score);
                self.worst.insert(place, (score, idx, key));
                self.worst.truncate(ON_SHEET);
            }
        }
    }

    pub(crate) fn html(
        &self,
        source: &str,
        counts: &Counts,
        journal: &mut Journal,
        size: usize,
    ) -> Result<String> {
        let mut page = Page::new(&format!("Faces in {source}"));
        page.paragraph(&format!(
            "{}: {} in {} of them, {} with too small ones only, {} without a face, {} bad.",
            counted(counts.n_photos, "photo"),
            counted(counts.n_faces, "face"),
            counts.n_with_face,
            counts.n_too_small,
            counts.n_no_face,
            counts.n_bad
        ));
        let mut faces = |indices: &[u64],
                         words: &dyn Fn(usize) -> (String, String)|
         -> Result<Vec<(String, String, Vec<u8>)>> {
            let pixels = journal.some_crops(indices)?;
            let each = pixels.chunks_exact(3 * size * size).enumerate();
            each.map(|(k, pixels)| Ok((words(k).0, words(k).1, jpeg(&picture(pixels, size), 90)?))).collect()
        };
        page.heading("Faces, spread evenly over the store");
        let even = spread(counts.n_faces, ON_SHEET as u64);
        let shown = faces(&even, &|k| (format!("no. {}", even[k]), String::new()))?;
        page.row(shown.iter().map(|(key, words, jpeg)| (key.as_str(), words.clone(), Some(jpeg.as_slice()))));
        page.heading("Faces of the lowest scores");
        let indices: Vec<u64> = self.worst.iter().map(|&(_, idx, _)| idx).collect();
        let shown = faces(&indices, &|k| (self.worst[k].2.clone(), format!("score {:.1}", self.worst[k].0)))?;
        page.row(shown.iter().map(|(key, words, jpeg)| (key.as_str(), words.clone(), Some(jpeg.as_slice()))));
        let kinds = [
            (Outcome::Cropped, "Photos with faces, the first ones"),
            (Outcome::TooSmall, "Photos with too small faces only, the first ones"),
            (Outcome::NoFace, "Photos without a face, the first ones"),
        ];
        for (outcome, heading) in kinds {
            page.heading(heading);
            let photos = self.photos.iter().filter(|photo| photo.outcome() == outcome);
            page.row(
                photos.map(|photo| (photo.key.as_str(), caption(photo), Some(photo.thumbnail.as_slice()))),
            );
        }
        if !self.bad.is_empty() {
            page.heading("Bad photos");
            self.bad.iter().for_each(|(key, reason)| page.paragraph(&format!("{key}: {reason}")));
        }
        Ok(page.finish())
    }
}

fn caption(photo: &Photo) -> String {
    let faces = photo
        .faces
        .iter()
        .map(|(face, outcome)| format!("{:.0} px, score {:.1}, {}", face.side(), face.score, outcome.name()));
    faces.collect::<Vec<_>>().join("; ")
}
