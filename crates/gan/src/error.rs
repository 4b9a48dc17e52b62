//! What can go wrong in this crate.

use std::path::PathBuf;

/// An error of the `gan` crate.
#[derive(Debug, thiserror::Error)]
pub enum GanError {
    /// A tensor operation or a checkpoint failed.
    #[error(transparent)]
    Nn(#[from] dcgan_nn::NnError),
    /// candle refused an operation.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// The images could not be read or written.
    #[error(transparent)]
    Images(#[from] dcgan_images::ImagesError),
    /// A file could not be read or written; the message names it.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A file is not what it should be.
    #[error("{path}: expected {expected}, found {found}")]
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
    /// The images do not fit the network.
    #[error("the network takes pictures of {expected}, the image store holds pictures of {found}")]
    ImageSize {
        /// channels×height×width of the network.
        expected: String,
        /// channels×height×width of the store.
        found: String,
    },
    /// The labels do not fit a conditional network.
    #[error("{network}: expected pictures of each of them and of no other, found {found}")]
    Labels {
        /// The network and its labels.
        network: String,
        /// What the image store holds.
        found: String,
    },
    /// A loss, a gradient or a weight is no longer a finite number.
    #[error("training diverged at step {step}: the {network}'s {what} is {value}{}", last_good(.checkpoint))]
    Diverged {
        /// The step.
        step: u64,
        /// `generator` or `discriminator`.
        network: &'static str,
        /// What was looked at.
        what: &'static str,
        /// Its value.
        value: f64,
        /// The last checkpoint, if there is one.
        checkpoint: Option<PathBuf>,
    },
    /// No trial of a search is left to choose from.
    #[error(
        "all {n_trials} trials diverged: expected a finite cross-entropy of one at least; set the range of `learning_rate` lower"
    )]
    AllDiverged {
        /// How many there were.
        n_trials: usize,
    },
    /// A table could not be written.
    #[error(transparent)]
    Files(#[from] dcgan_files::FilesError),
    /// A file's network is not the one that a training begins with.
    #[error("{path}: not the network of this training: {unlike}")]
    OtherNetwork {
        /// The file.
        path: PathBuf,
        /// In what: tensor by tensor, expected and found.
        unlike: String,
    },
    /// A checkpoint is of a training with other settings.
    #[error(
        "{path}: `{key}` is {found} there, not {expected}; a training goes on only under its own settings"
    )]
    OtherSettings {
        /// The checkpoint.
        path: PathBuf,
        /// The first setting that differs.
        key: String,
        /// Its value now.
        expected: String,
        /// Its value in the checkpoint.
        found: String,
    },
    /// The logistic regression could not be fitted.
    #[error("logistic regression")]
    Logistic(#[from] linfa_logistic::error::Error),
    /// There is nothing to learn an object from.
    #[error("expected at least one box on {n_samples} samples, found none")]
    NoBoxes {
        /// The samples that were looked at.
        n_samples: usize,
    },
    /// The boxes leave nothing to learn from.
    #[error(
        "expected boxes that hold the middle of at least one place of the {size}x{size} maps and leave one out, found {found}"
    )]
    Boxes {
        /// Side of the maps.
        size: usize,
        /// What the boxes hold.
        found: String,
    },
    /// What ranks the generators of a training failed.
    #[error("the score of a training: {source}")]
    Judge {
        /// Its own error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The observer asked to stop.
    #[error("interrupted")]
    Interrupted,
}

fn last_good(checkpoint: &Option<PathBuf>) -> String {
    match checkpoint {
        Some(path) => format!("; the last good checkpoint is {}", path.display()),
        None => "; there is no checkpoint yet".to_string(),
    }
}

impl From<GanError> for candle_core::Error {
    fn from(error: GanError) -> Self {
        match error {
            GanError::Candle(error) => error,
            GanError::Nn(error) => error.into(),
            other => Self::wrap(other),
        }
    }
}

/// The crate's result.
pub type Result<T> = std::result::Result<T, GanError>;
