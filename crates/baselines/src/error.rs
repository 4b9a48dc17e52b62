//! What can go wrong in this crate.

use std::path::PathBuf;

/// An error of the `baselines` crate.
#[derive(Debug, thiserror::Error)]
pub enum BaselinesError {
    /// A file could not be read or written; the message names it.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A model's file could not be read or written; the message names it.
    #[error(transparent)]
    Checkpoint(#[from] dcgan_nn::NnError),
    /// A tensor of a model's file could not be read.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
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
    /// Labelled features cannot be used.
    #[error(transparent)]
    Eval(#[from] dcgan_eval::EvalError),
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
    /// The pictures do not fit.
    #[error("expected {expected}, found {found}")]
    Pictures {
        /// What the pictures should be.
        expected: String,
        /// What they are.
        found: String,
    },
    /// Rows to compare do not fit together.
    #[error("{side}: expected {expected}, found {found}")]
    Rows {
        /// Which rows: `test` or `train`, `left` or `right`.
        side: &'static str,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A number is NaN or infinite.
    #[error("{side}, row {row}, column {column}: expected a finite number, found {found}")]
    NotFinite {
        /// Which rows: `test` or `train`, `left` or `right`.
        side: &'static str,
        /// The row, counted over all tiles.
        row: u64,
        /// The column.
        column: usize,
        /// NaN or an infinity.
        found: f32,
    },
    /// No eigenvalues of the patches' covariance were found.
    #[error("the covariance of the patches has no eigenvalues that can be computed")]
    Eigenvalues,
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// What this crate's functions return.
pub type Result<T, E = BaselinesError> = std::result::Result<T, E>;

pub(crate) fn setting(
    key: &'static str,
    expected: impl Into<String>,
    found: impl ToString,
) -> BaselinesError {
    BaselinesError::Setting { key, expected: expected.into(), found: found.to_string() }
}
