//! What can go wrong in this crate.

use std::path::{Path, PathBuf};

/// An error of the `dedup` crate.
#[derive(Debug, thiserror::Error)]
pub enum DedupError {
    /// A tensor operation or a checkpoint failed.
    #[error(transparent)]
    Nn(#[from] dcgan_nn::NnError),
    /// candle refused an operation.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// The images could not be read or written.
    #[error(transparent)]
    Images(dcgan_images::ImagesError),
    /// A file could not be read or written; the message names it.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A file is not what it should be.
    #[error("{}: expected {expected}, found {found}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The groups are not, or not any more, those of the set.
    #[error("{}: {key} {problem}; hash the set and group it anew", path.display())]
    Unfit {
        /// The set.
        path: PathBuf,
        /// The picture.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A setting is out of its range.
    #[error("`{key}`: expected {expected}, found {found}")]
    Setting {
        /// The setting.
        key: &'static str,
        /// The range.
        expected: String,
        /// The value.
        found: String,
    },
    /// The loss is no longer a number.
    #[error("training diverged at step {step}: the loss is {loss}")]
    Diverged {
        /// The step.
        step: u64,
        /// The loss.
        loss: f64,
    },
    /// The observer asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// The crate's result.
pub type Result<T> = std::result::Result<T, DedupError>;

impl From<dcgan_images::ImagesError> for DedupError {
    fn from(error: dcgan_images::ImagesError) -> Self {
        match error {
            dcgan_images::ImagesError::Interrupted => Self::Interrupted,
            other => Self::Images(other),
        }
    }
}

impl DedupError {
    pub(crate) fn file(path: &Path, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::File { path: path.to_path_buf(), expected: expected.into(), found: found.into() }
    }
}

/// Refuses a setting out of its range.
pub(crate) fn check(key: &'static str, is_ok: bool, expected: &str, found: impl ToString) -> Result<()> {
    match is_ok {
        true => Ok(()),
        false => Err(DedupError::Setting { key, expected: expected.to_owned(), found: found.to_string() }),
    }
}

impl From<dcgan_files::FilesError> for DedupError {
    fn from(error: dcgan_files::FilesError) -> Self {
        dcgan_images::ImagesError::from(error).into()
    }
}
