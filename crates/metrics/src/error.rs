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
    /// A member of an archive is not what it should be.
    #[error("{}: member `{member}`: expected {expected}, found {found}", path.display())]
    Member {
        /// The archive.
        path: PathBuf,
        /// The member.
        member: String,
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
    /// Rows of features do not fit.
    #[error("{side} features: expected {expected}, found {found}")]
    Rows {
        /// Which set.
        side: &'static str,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A feature is NaN or infinite.
    #[error("{side} features, row {row}, column {column}: expected a finite number, found {found}")]
    NotFinite {
        /// Which set.
        side: &'static str,
        /// The row.
        row: usize,
        /// The column.
        column: usize,
        /// NaN or an infinity.
        found: f32,
    },
    /// A figure is NaN or infinite.
    #[error(
        "{figure}: expected a finite number, found {found}: the features, or the numbers of a statistics file, are too large"
    )]
    Figure {
        /// Which one.
        figure: &'static str,
        /// NaN or an infinity.
        found: f64,
    },
    /// A matrix is no covariance.
    #[error("the {of} covariance: expected {expected}, found {found}")]
    Indefinite {
        /// Whose.
        of: &'static str,
        /// How far below 0 rounding may bring an eigenvalue.
        expected: String,
        /// Its smallest eigenvalue.
        found: String,
    },
    /// Neighbours could not be found.
    #[error(transparent)]
    Neighbours(#[from] dcgan_baselines::BaselinesError),
    /// The eigenvalues of a covariance were not found.
    #[error("the eigenvalues of the {of} covariance cannot be computed")]
    Eigenvalues {
        /// Which one.
        of: &'static str,
    },
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// What this crate's functions return.
pub type Result<T, E = MetricsError> = std::result::Result<T, E>;

/// A figure, unless it is NaN or infinite: what is written as JSON would not tell.
pub(crate) fn finite(figure: &'static str, found: f64) -> Result<f64> {
    if found.is_finite() { Ok(found) } else { Err(MetricsError::Figure { figure, found }) }
}

pub(crate) fn setting(key: &'static str, expected: impl Into<String>, found: impl ToString) -> MetricsError {
    MetricsError::Setting { key, expected: expected.into(), found: found.to_string() }
}
