//! Seeded synthetic picture sets, written in the formats of the real ones.
//!
//! They stand in for downloads in the quickstart and in tests, and pass through the same readers as the real sets:
//! - [`write_shapes`]: ten classes of 32×32 colour pictures, as CIFAR-10's binary version;
//! - [`write_digits`]: digits on cluttered backgrounds, as SVHN's `train_32x32.mat` and `test_32x32.mat`;
//! - [`write_rooms`]: rooms with near-duplicates planted among them, as an LSUN LMDB;
//! - [`write_windows`]: walls with and without a window, as CIFAR-10's binary version; [`find_windows`] finds the windows.
//!
//! Every picture is drawn from its own random stream `(seed, index)`, so that the same seed gives the same bytes
//! with any number of threads, and the first pictures of a larger set are those of a smaller one.
//! A set's folder appears whole or not at all: it is written beside its place and renamed.
//!
//! ```
//! use dcgan_synthetic::{ShapesConfig, write_shapes};
//!
//! let dir = std::env::temp_dir().join(format!("dcgan-shapes-doc-{}", std::process::id()));
//! write_shapes(&dir, &ShapesConfig { n_train: 50, n_test: 10, seed: 7 })?;
//! assert_eq!(std::fs::metadata(dir.join("test_batch.bin"))?.len(), 10 * 3073);
//! std::fs::remove_dir_all(&dir)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::path::PathBuf;

mod canvas;
mod cifar10;
mod colour;
mod digits;
mod glyphs;
mod mat5;
mod outline;
mod planted;
mod random;
mod raycast;
mod rooms;
mod scene;
mod shapes;
mod shapes_drawing;
mod staging;
mod surface;
mod windows;

pub use digits::{DigitsConfig, write_digits};
pub use rooms::{RoomsConfig, write_rooms};
pub use shapes::{SHAPE_NAMES, ShapesConfig, write_shapes};
pub use windows::{WindowsConfig, find_windows, write_windows};

/// What can go wrong while a synthetic set is written.
#[derive(Debug, thiserror::Error)]
pub enum SyntheticError {
    /// A setting out of range.
    #[error("{set}: expected {field} {expected}, found {found}")]
    Config {
        /// Which set the setting belongs to.
        set: &'static str,
        /// The setting.
        field: &'static str,
        /// The allowed range.
        expected: String,
        /// The value given.
        found: String,
    },
    /// The target holds something already.
    #[error("{path}: expected an absent or empty folder, found something there")]
    Occupied {
        /// The target.
        path: PathBuf,
    },
    /// The target has no name to put a temporary one beside.
    #[error("{path}: expected the name of a folder to create")]
    Unnamed {
        /// The target.
        path: PathBuf,
    },
    /// Reading or writing failed; the message names the path.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A picture could not be encoded.
    #[error("cannot encode a synthetic picture")]
    Encode(#[from] image::ImageError),
    /// The LMDB could not be written.
    #[error(transparent)]
    Lmdb(#[from] dcgan_images::ImagesError),
    /// The list of planted duplicates could not be written.
    #[error("{path}: cannot write the CSV")]
    Csv {
        /// The file.
        path: PathBuf,
        /// The CSV writer's own error.
        source: csv::Error,
    },
}

/// The result of writing a synthetic set.
pub type Result<T> = std::result::Result<T, SyntheticError>;

/// Errs unless `found` lies in `range`.
fn check_range(
    set: &'static str,
    field: &'static str,
    found: usize,
    range: std::ops::RangeInclusive<usize>,
) -> Result<()> {
    if range.contains(&found) {
        return Ok(());
    }
    let expected = format!("in {}..={}", range.start(), range.end());
    Err(SyntheticError::Config { set, field, expected, found: found.to_string() })
}
