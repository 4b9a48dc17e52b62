//! What can go wrong in this crate.

use std::path::{Path, PathBuf};

use datafusion::error::DataFusionError;

/// An error of the `cluster` crate.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Codes, groups or pictures are not what they should be.
    #[error(transparent)]
    Dedup(#[from] dcgan_dedup::DedupError),
    /// Files at addresses could not be fetched.
    #[error(transparent)]
    Fetch(#[from] dcgan_fetch::FetchError),
    /// A file could not be read or written; the message names it.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The engine gave up.
    #[error("stage {stage}: {source}")]
    Engine {
        /// What was being made.
        stage: String,
        /// Why it was not.
        source: Box<DataFusionError>,
    },
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
    /// A scheduler or an executor could not be started, or ended.
    #[error("{role} at {address}: {reason}")]
    Service {
        /// Scheduler or executor.
        role: &'static str,
        /// Where.
        address: String,
        /// Why.
        reason: String,
    },
    /// Somebody asked to stop.
    #[error("interrupted; run the same command again to go on from the stages that are complete")]
    Interrupted,
}

/// The crate's result.
pub type Result<T> = std::result::Result<T, ClusterError>;

impl ClusterError {
    pub(crate) fn engine(stage: &str, source: DataFusionError) -> Self {
        Self::Engine { stage: stage.to_owned(), source: Box::new(source) }
    }

    pub(crate) fn setting(key: &'static str, expected: &str, found: &str) -> Self {
        Self::Setting { key, expected: expected.to_owned(), found: found.to_owned() }
    }

    pub(crate) fn file(path: &Path, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::File { path: path.to_path_buf(), expected: expected.into(), found: found.into() }
    }
}

impl From<dcgan_files::FilesError> for ClusterError {
    fn from(error: dcgan_files::FilesError) -> Self {
        Self::Dedup(error.into())
    }
}
