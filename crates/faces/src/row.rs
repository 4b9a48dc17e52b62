//! What is said of a photo, and `boxes.parquet`.

use std::path::Path;

use dcgan_files::columns::{Column, ROW_GROUP, Writer};
use serde::{Deserialize, Serialize};

use crate::{Face, Result};

/// What became of a face, or of a photo without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is in the store.
    Cropped,
    /// It is smaller than the smallest that is wanted.
    TooSmall,
    /// Another face of the photo is larger, and only the largest is wanted.
    NotLargest,
    /// The photo has no face that was found.
    NoFace,
    /// The photo cannot be decoded, or has too many pixels.
    Bad,
}

impl Outcome {
    /// As it stands in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cropped => "cropped",
            Self::TooSmall => "too_small",
            Self::NotLargest => "not_largest",
            Self::NoFace => "no_face",
            Self::Bad => "bad",
        }
    }
}

/// A photo that was processed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Photo {
    pub(crate) key: String,
    pub(crate) source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) label: Option<u32>,
    /// Width and height; of a bad one unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<[u32; 2]>,
    pub(crate) faces: Vec<(Face, Outcome)>,
    /// Of a bad one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// A small JPEG with the boxes, of the first ones of each kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) thumbnail: Vec<u8>,
}

impl Photo {
    /// What became of the best that it has.
    pub(crate) fn outcome(&self) -> Outcome {
        let has = |outcome| self.faces.iter().any(|&(_, found)| found == outcome);
        match (&self.reason, self.faces.is_empty()) {
            (Some(_), _) => Outcome::Bad,
            (None, true) => Outcome::NoFace,
            (None, false) if has(Outcome::Cropped) => Outcome::Cropped,
            (None, false) => Outcome::TooSmall,
        }
    }

    /// The keys of its crops in the store, in the order of its faces: its own, then `key#2` and so on. Where its own ends like
    /// that, as that of a crop does, it is `key#1`, so that two photos' crops never share a key.
    pub(crate) fn crop_keys(&self) -> impl Iterator<Item = String> {
        let crops = self.faces.iter().filter(|(_, outcome)| *outcome == Outcome::Cropped);
        let is_numbered = self.key.rsplit_once('#').is_some_and(|(_, number)| {
            !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
        });
        crops.enumerate().map(move |(k, _)| match k {
            0 if !is_numbered => self.key.clone(),
            k => format!("{}#{}", self.key, k + 1),
        })
    }
}

const SCHEMA: &str = "message boxes {
    REQUIRED BYTE_ARRAY key (STRING);
    REQUIRED BYTE_ARRAY outcome (STRING);
    OPTIONAL FLOAT x;
    OPTIONAL FLOAT y;
    OPTIONAL FLOAT width;
    OPTIONAL FLOAT height;
    OPTIONAL FLOAT score;
    OPTIONAL INT32 photo_width (INTEGER(32, false));
    OPTIONAL INT32 photo_height (INTEGER(32, false));
    OPTIONAL BYTE_ARRAY reason (STRING);
}";

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
    /// Counts a photo.
    pub(crate) fn add(&mut self, photo: &Photo) {
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

/// Writes `boxes.parquet`.
pub(crate) struct BoxesWriter {
    file: Writer,
    rows: Vec<(Photo, Option<(Face, Outcome)>)>,
}

impl BoxesWriter {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        Ok(Self { file: Writer::create(path, SCHEMA)?, rows: Vec::new() })
    }

    /// Appends a row for each face, or one where there is none.
    pub(crate) fn append(&mut self, photo: Photo) -> Result<()> {
        let photo = Photo { thumbnail: Vec::new(), ..photo };
        if photo.faces.is_empty() {
            self.rows.push((photo, None));
        } else {
            self.rows.extend(photo.faces.iter().map(|&face| (photo.clone(), Some(face))));
        }
        if self.rows.len() >= ROW_GROUP { self.write() } else { Ok(()) }
    }

    pub(crate) fn finish(mut self) -> Result<()> {
        if !self.rows.is_empty() {
            self.write()?;
        }
        Ok(self.file.finish()?)
    }

    fn write(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.rows);
        let of_face = |value: fn(&Face) -> f32| {
            Column::MaybeF32(
                rows.iter().map(|(_, face)| face.as_ref().map(|(face, _)| value(face))).collect(),
            )
        };
        let outcome = |(photo, face): &(Photo, Option<(Face, Outcome)>)| {
            face.map_or(photo.outcome(), |(_, outcome)| outcome).name().to_owned()
        };
        let side = |k: usize| {
            Column::MaybeU32(rows.iter().map(|(photo, _)| photo.size.map(|size| size[k])).collect())
        };
        let columns = [
            Column::Strings(rows.iter().map(|(photo, _)| photo.key.clone()).collect()),
            Column::Strings(rows.iter().map(outcome).collect()),
            of_face(|face| face.x),
            of_face(|face| face.y),
            of_face(|face| face.width),
            of_face(|face| face.height),
            of_face(|face| face.score),
            side(0),
            side(1),
            Column::MaybeStrings(rows.iter().map(|(photo, _)| photo.reason.clone()).collect()),
        ];
        Ok(self.file.write(&columns)?)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn crops_of_different_photos_have_different_keys() {
        let face = Face { x: 0.0, y: 0.0, width: 1.0, height: 1.0, score: 1.0 };
        let keys_of = |key: &str| -> Vec<String> {
            let photo = Photo {
                key: key.to_owned(),
                source: String::new(),
                label: None,
                size: None,
                faces: vec![(face, Outcome::Cropped); 3],
                reason: None,
                thumbnail: Vec::new(),
            };
            photo.crop_keys().collect()
        };
        assert_eq!(keys_of("a.jpg"), ["a.jpg", "a.jpg#2", "a.jpg#3"]);
        // A crop as a photo.
        assert_eq!(keys_of("a.jpg#2"), ["a.jpg#2#1", "a.jpg#2#2", "a.jpg#2#3"]);
        let photos = ["a", "a#", "a#1", "a#2", "a#2#1", "a#2#2", "a#2#2#1"];
        let keys: HashSet<String> = photos.iter().flat_map(|key| keys_of(key)).collect();
        assert_eq!(keys.len(), 3 * photos.len());
    }
}
