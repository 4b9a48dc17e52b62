//! What can go wrong in this crate.

use std::path::{Path, PathBuf};

/// An error of the `faces` crate.
#[derive(Debug, thiserror::Error)]
pub enum FacesError {
    /// The photos could not be read, or the store not written.
    #[error(transparent)]
    Images(dcgan_images::ImagesError),
    /// A file could not be read or written; the message names it.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The detector's model is not what it should be.
    #[error("SeetaFace model, byte {offset}: expected {expected}, found {found}")]
    Model {
        /// Where.
        offset: usize,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A file or folder is not what it should be.
    #[error("{}: expected {expected}, found {found}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
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
    /// OpenCV refused something.
    #[error("OpenCV: {0}")]
    OpenCv(String),
    /// The observer asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// The crate's result.
pub type Result<T> = std::result::Result<T, FacesError>;

impl From<dcgan_images::ImagesError> for FacesError {
    fn from(error: dcgan_images::ImagesError) -> Self {
        match error {
            dcgan_images::ImagesError::Interrupted => Self::Interrupted,
            other => Self::Images(other),
        }
    }
}

impl FacesError {
    pub(crate) fn file(path: &Path, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::File { path: path.to_path_buf(), expected: expected.into(), found: found.into() }
    }
}

/// Refuses a setting out of its range.
pub(crate) fn check(key: &'static str, is_ok: bool, expected: &str, found: impl ToString) -> Result<()> {
    match is_ok {
        true => Ok(()),
        false => Err(FacesError::Setting { key, expected: expected.to_owned(), found: found.to_string() }),
    }
}

impl From<dcgan_files::FilesError> for FacesError {
    fn from(error: dcgan_files::FilesError) -> Self {
        dcgan_images::ImagesError::from(error).into()
    }
}
