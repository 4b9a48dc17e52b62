//! Face boxes: from photos to a training set (appendix A.2 of the paper's first version; section 4.2: "scraped images … 3M images from
//! 10K people … an OpenCV face detector, keeping the detections that are sufficiently high resolution, which gives us approximately
//! 350,000 face boxes").
//!
//! A [`FaceDetector`] says where the faces of a photo are: with SeetaFace's cascade, which is built in, or with one of OpenCV's
//! where the feature `opencv` is on. A [`CropConfig`] says what part around a face becomes a picture. [`crop_faces`] does both for
//! a whole set, on all cores, and leaves
//!
//! | file | holds |
//! | --- | --- |
//! | `images.npy`, `index.parquet`, `meta.json`, `bad.csv` | the faces as an image store; of a photo's further faces the keys are `key#2` and so on |
//! | `boxes.parquet` | a row a face, and one for each photo without: `key`, `outcome` (`cropped`, `too_small`, `not_largest`, `no_face`, `bad`), the box `x`, `y`, `width`, `height` in pixels of the upright photo, `score`, `photo_width`, `photo_height`, and of a bad photo the `reason` |
//! | `contact_sheet.html`, `faces.png` | photos with their boxes, and faces, for people to judge |
//! | `pictures/` | the faces as single files, where asked for |
//!
//! ```
//! use std::ops::ControlFlow;
//!
//! use dcgan_faces::{CollectConfig, crop_faces};
//! use dcgan_images::{ImageStore, Source, grid};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let (photos, out) = (folder.path().join("photos"), folder.path().join("out"));
//! # std::fs::create_dir_all(&photos)?;
//! # std::fs::create_dir_all(&out)?;
//! # // Place, half-axes and brightness of ellipses that make a face.
//! # let parts = [[0.0, -0.15, 0.95, 1.25, 50.0], [0.0, 0.1, 0.75, 1.05, 190.0], [-0.32, -0.22, 0.25, 0.06, 70.0],
//! #     [0.32, -0.22, 0.25, 0.06, 70.0], [-0.32, -0.05, 0.2, 0.11, 110.0], [0.32, -0.05, 0.2, 0.11, 110.0],
//! #     [-0.32, -0.05, 0.09, 0.08, 40.0], [0.32, -0.05, 0.09, 0.08, 40.0], [0.0, 0.18, 0.07, 0.2, 205.0],
//! #     [-0.1, 0.36, 0.07, 0.04, 110.0], [0.1, 0.36, 0.07, 0.04, 110.0], [0.0, 0.62, 0.3, 0.08, 110.0]];
//! # let pixel = |i: usize| {
//! #     let (u, v) = (((i % 200) as f64 - 100.0) / 70.0, ((i / 200) as f64 - 95.0) / 70.0);
//! #     parts.iter().fold(90.0, |value, [x, y, a, b, brightness]| {
//! #         let distance = (((u - x) / a).powi(2) + ((v - y) / b).powi(2)).sqrt();
//! #         let weight = ((1.15 - distance) / 0.3).clamp(0.0, 1.0);
//! #         value * (1.0 - weight) + brightness * weight
//! #     }) as u8
//! # };
//! # let portrait: Vec<u8> = (0..200 * 200).map(pixel).collect();
//! # grid::write_grid(&photos.join("portrait.png"), &portrait, [1, 1, 200, 200], 1)?;
//! # grid::write_grid(&photos.join("wall.png"), &vec![90; 200 * 200], [1, 1, 200, 200], 1)?;
//! // photos/ holds a portrait and a picture of a wall
//! let source = Source::Folder { path: photos, classes: false };
//! let summary = crop_faces(&source, &CollectConfig::default(), &out, &mut |_done, _total| ControlFlow::Continue(()))?;
//! assert_eq!((summary.n_photos, summary.n_faces, summary.n_no_face), (2, 1, 1));
//! let store = ImageStore::open(&out)?;
//! assert_eq!((store.len(), store.height(), store.keys()?[0].as_str()), (1, 64, "portrait.png"));
//! # Ok(())
//! # }
//! ```

mod cascade;
mod collect;
mod config;
mod crop;
mod detector;
mod error;
mod finish;
mod journal;
#[cfg(feature = "opencv")]
mod opencv;
mod part;
mod row;
mod sheet;
mod summary;
#[cfg(test)]
mod testing;

pub use collect::crop_faces;
pub use config::{CollectConfig, Files};
pub use crop::{CropConfig, Shape, Which};
pub use detector::{DetectorConfig, DetectorScratch, Engine, Face, FaceDetector};
pub use error::{FacesError, Result};
pub use part::{FacesPart, merge};
pub use row::Outcome;
pub use summary::CollectSummary;

/// Names of what [`crop_faces`] writes into its folder, beside the image store.
pub mod files {
    /// A row a face, and one for each photo without.
    pub const BOXES: &str = "boxes.parquet";
    /// Photos and faces to look at.
    pub const CONTACT_SHEET: &str = "contact_sheet.html";
    /// A hundred faces.
    pub const GRID: &str = "faces.png";
    /// The folder of single files.
    pub const PICTURES: &str = "pictures";
    /// Of a part: what is said of the set.
    pub const PART: &str = "part.json";
    /// Of a part: a line a photo.
    pub const PART_ROWS: &str = "photos.jsonl";
    /// Of a part: the faces' pixels, one after the other, uint8 (3, size, size).
    pub const PART_CROPS: &str = "crops.bin";
}
