//! The crate's error.

use std::path::{Path, PathBuf};

/// What can go wrong with a picture set.
#[derive(Debug, thiserror::Error)]
pub enum ImagesError {
    /// A file could not be opened, read or written; the message names it.
    #[error(transparent)]
    Io(#[from] std::io::Error),

    /// A file does not hold what its format promises.
    #[error("{}: at byte {offset}: expected {expected}, found {found}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where in the file (of a gzip file: in what it unpacks to).
        offset: u64,
        /// What the format asks for there.
        expected: String,
        /// What is there.
        found: String,
    },

    /// A folder, archive or image store is not laid out as it should be.
    #[error("{}: expected {expected}, found {found}", path.display())]
    Layout {
        /// The folder or file.
        path: PathBuf,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },

    /// A data set without a single image.
    #[error("{}: expected {expected}, found none", path.display())]
    NoImages {
        /// The folder or file.
        path: PathBuf,
        /// What kind of images were looked for.
        expected: String,
    },

    /// Not one image of a data set could be decoded.
    #[error("{}: expected at least one readable image, found {n_bad} bad ones, the first ({key}): {reason}", path.display())]
    AllBad {
        /// The data set.
        path: PathBuf,
        /// How many images were tried.
        n_bad: u64,
        /// The first image's key.
        key: String,
        /// What was wrong with it.
        reason: String,
    },

    /// One picture that cannot be used; an import records it and passes on.
    #[error("{reason}")]
    BadPicture {
        /// Why.
        reason: String,
    },

    /// A setting, or an argument of a function, outside its range.
    #[error("{name}: expected {expected}, found {found}")]
    Setting {
        /// The setting's name.
        name: &'static str,
        /// What is allowed.
        expected: String,
        /// What was given.
        found: String,
    },

    /// An LMDB environment could not be read.
    #[error("{}: not readable as LMDB", path.display())]
    Lmdb {
        /// The folder.
        path: PathBuf,
        /// LMDB's own message.
        source: heed::Error,
    },

    /// A Parquet file could not be read or written.
    #[error("{}: Parquet", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// The library's own message.
        source: parquet::errors::ParquetError,
    },

    /// A JSON file could not be read or written.
    #[error("{}: JSON", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The library's own message, with line and column.
        source: serde_json::Error,
    },

    /// A CSV file could not be read or written.
    #[error("{}: CSV", path.display())]
    Csv {
        /// The file.
        path: PathBuf,
        /// The library's own message.
        source: csv::Error,
    },

    /// A picture could not be encoded.
    #[error("{}: PNG", path.display())]
    Encode {
        /// The file that was to hold it.
        path: PathBuf,
        /// The library's own message.
        source: image::ImageError,
    },

    /// The caller's `observe` asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// A result with this crate's error.
pub type Result<T> = std::result::Result<T, ImagesError>;

impl ImagesError {
    pub(crate) fn malformed(
        path: &Path,
        offset: u64,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::Malformed { path: path.to_path_buf(), offset, expected: expected.into(), found: found.into() }
    }

    pub(crate) fn layout(path: &Path, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::Layout { path: path.to_path_buf(), expected: expected.into(), found: found.into() }
    }

    pub(crate) fn bad(reason: impl Into<String>) -> Self {
        Self::BadPicture { reason: reason.into() }
    }
}
