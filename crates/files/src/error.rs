//! The crate's error.

use std::path::{Path, PathBuf};

/// What can go wrong with a file or folder, whatever it holds.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// It could not be opened, read or written; the message names it.
    #[error(transparent)]
    Io(#[from] std::io::Error),

    /// It is not laid out as it should be.
    #[error("{}: expected {expected}, found {found}", path.display())]
    Layout {
        /// The file or folder.
        path: PathBuf,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },

    /// A Parquet file could not be read or written.
    #[error("{}: Parquet", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// The library's own message.
        source: parquet::errors::ParquetError,
    },

    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// A result with this crate's error.
pub type Result<T> = std::result::Result<T, FilesError>;

impl FilesError {
    pub(crate) fn layout(path: &Path, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::Layout { path: path.to_path_buf(), expected: expected.into(), found: found.into() }
    }
}
