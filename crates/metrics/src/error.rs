//! What can go wrong in this crate.

use std::path::PathBuf;

/// An error of the `metrics` crate.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
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
    /// The network refused its weights or its maps.
    #[error(transparent)]
    Network(#[from] dcgan_nn::NnError),
    /// A picture cannot be used.
    #[error("picture {picture}: expected {expected}, found {found}")]
    Picture {
        /// Which one, from 0 on.
        picture: usize,
        /// What it should have.
        expected: &'static str,
        /// What it has.
        found: String,
    },
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// What this crate's functions return.
pub type Result<T, E = MetricsError> = std::result::Result<T, E>;
