//! What can go wrong in this crate.

use std::path::PathBuf;

/// An error of the `nn` crate.
#[derive(Debug, thiserror::Error)]
pub enum NnError {
    /// candle refused an operation: a shape, a device or a data type does not fit.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// A file could not be read or written; the message names it.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A checkpoint is not what it should be.
    #[error("{path}: expected {expected}, found {found}")]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// Another part of a training on several devices does not go on.
    #[error("part {part} of the training: {reason}")]
    Part {
        /// Its number, from 0.
        part: usize,
        /// What is known.
        reason: String,
    },
    /// A device name is not understood, or this build or machine does not have the device.
    #[error("device `{name}`: {reason}")]
    Device {
        /// The name given.
        name: String,
        /// Why it cannot be used.
        reason: String,
    },
}

impl From<NnError> for candle_core::Error {
    fn from(error: NnError) -> Self {
        match error {
            NnError::Candle(error) => error,
            other => Self::wrap(other),
        }
    }
}

/// The crate's result.
pub type Result<T> = std::result::Result<T, NnError>;
