//! What can go wrong, with the file, what was expected and what was found.

use std::path::PathBuf;

use thiserror::Error;

/// What can go wrong while features are read or written and protocols are run.
#[derive(Debug, Error)]
pub enum EvalError {
    /// A file could not be read or written; the message names it.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A `.npy` file is not what it should be.
    #[error("{}: expected {expected}, found {found}", path.display())]
    Npy {
        /// The file.
        path: PathBuf,
        /// What should have been there.
        expected: String,
        /// What was there.
        found: String,
    },
    /// Memory that is asked for in one piece could not be had.
    #[error("{}: expected {n_bytes} bytes of memory to be had, found too little", path.display())]
    Memory {
        /// The file for whose content it was.
        path: PathBuf,
        /// How much.
        n_bytes: usize,
    },
    /// Features have no labels beside them.
    #[error("{}: expected a label for each row of features.npy, found no such file: the pictures had no labels", path.display())]
    NoLabels {
        /// The labels' file.
        path: PathBuf,
    },
    /// Features and labels differ in their number of rows.
    #[error("{}: expected {expected} labels, one a row of features.npy, found {found}", path.display())]
    RowMismatch {
        /// The labels' file.
        path: PathBuf,
        /// Rows of the features.
        expected: usize,
        /// Labels found.
        found: usize,
    },
    /// A label is negative or beyond any sensible number of classes.
    #[error("{}: row {row}: expected a label in 0..{limit}, found {found}", path.display())]
    Label {
        /// The labels' file.
        path: PathBuf,
        /// Row of the label.
        row: usize,
        /// One more than the largest label allowed.
        limit: usize,
        /// The label found.
        found: i128,
    },
    /// A feature is NaN or infinite.
    #[error("{}: row {row}, column {column}: expected a finite number, found {found}", path.display())]
    NotFinite {
        /// The features' file, or the folder they would have been written to.
        path: PathBuf,
        /// Row of the number.
        row: usize,
        /// Column of the number.
        column: usize,
        /// NaN or an infinity.
        found: f32,
    },
    /// Rows given to a writer do not have the announced shape, or there are none.
    #[error("{}: expected {expected}, found {found}", path.display())]
    Rows {
        /// The folder written to.
        path: PathBuf,
        /// What should have been given.
        expected: String,
        /// What was given.
        found: String,
    },
    /// A setting is out of its range.
    #[error("{setting}: expected {expected}, found {found}")]
    Setting {
        /// Name of the setting.
        setting: &'static str,
        /// The range.
        expected: String,
        /// The value.
        found: String,
    },
    /// More validation rows are asked for than can be held out.
    #[error(
        "n_validation: expected at most {limit} rows ({n_rows} training rows less {n_labels} to train on), \
         found {found}; set n_validation lower, and lower still where classes are uneven"
    )]
    Validation {
        /// The most rows that could be held out.
        limit: usize,
        /// Rows of the training set.
        n_rows: usize,
        /// Rows that each draw trains on.
        n_labels: usize,
        /// Rows asked for.
        found: usize,
    },
    /// A class has too few rows to draw from.
    #[error(
        "class {}: expected at least {expected} training rows to draw from, found {found} \
         ({held_out} more are held out for validation); set n_per_class or n_validation lower",
        name.as_ref().map_or_else(|| class.to_string(), |name| format!("`{name}`"))
    )]
    TooFewRows {
        /// The class.
        class: usize,
        /// Its name, where it is known.
        name: Option<String>,
        /// Rows needed.
        expected: usize,
        /// Rows there are.
        found: usize,
        /// Rows of the class that are in the validation set.
        held_out: usize,
    },
    /// Training and test features do not fit together.
    #[error(
        "{}: expected {expected} as in {}, found {found}",
        path.display(),
        reference.display()
    )]
    Unlike {
        /// The test set.
        path: PathBuf,
        /// The training set.
        reference: PathBuf,
        /// What the training set has.
        expected: String,
        /// What the test set has.
        found: String,
    },
    /// The class names are not what they should be.
    #[error("{}: expected {expected}, found {found}", path.display())]
    Classes {
        /// The names' file, or where the names come from.
        path: PathBuf,
        /// What should have been there.
        expected: String,
        /// What was there.
        found: String,
    },
    /// The test set has a class that the training set has not.
    #[error(
        "{}: {n_rows} rows of class `{class}`, of which {} has none to learn it from",
        path.display(),
        reference.display()
    )]
    UnknownClass {
        /// The test set.
        path: PathBuf,
        /// The training set.
        reference: PathBuf,
        /// The class's name.
        class: String,
        /// Its rows in the test set.
        n_rows: usize,
    },
    /// The labels differ, and there are no names by which the classes could be matched.
    #[error(
        "{}: expected the labels {expected} as in {}, found {found}; labels are matched by number unless both sets name their \
         classes (classes.json, a JSON list in the order of the labels, beside labels.npy)",
        path.display(),
        reference.display()
    )]
    OtherLabels {
        /// The test set.
        path: PathBuf,
        /// The training set.
        reference: PathBuf,
        /// Labels of the training set.
        expected: String,
        /// Labels of the test set.
        found: String,
    },
    /// An image without a label cannot become a row of features.
    #[error("image {image_idx} of the store: expected a label, found none; import the set with its classes")]
    Unlabelled {
        /// Index of the first such image.
        image_idx: usize,
    },
    /// The feature extractor failed.
    #[error("features of images {first}..{end}")]
    Extract {
        /// First image of the batch.
        first: usize,
        /// One past the last image of the batch.
        end: usize,
        /// The extractor's own error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The feature extractor gave back the wrong number of features.
    #[error(
        "features of images {first}..{end}: expected {expected} numbers from the extractor, found {found}"
    )]
    ExtractLength {
        /// First image of the batch.
        first: usize,
        /// One past the last image of the batch.
        end: usize,
        /// Numbers expected.
        expected: usize,
        /// Numbers found.
        found: usize,
    },
    /// The image store could not be read.
    #[error(transparent)]
    Images(#[from] dcgan_images::ImagesError),
    /// A support vector machine could not be trained.
    #[error(transparent)]
    Svm(dcgan_svm::SvmError),
    /// Numbers do not fill the shape they were meant for.
    #[error(transparent)]
    Shape(#[from] ndarray::ShapeError),
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, EvalError>;

impl EvalError {
    /// With the class's name, where the error is about one and `names` has it.
    pub(crate) fn named(self, names: Option<&[String]>) -> Self {
        match self {
            Self::TooFewRows { class, expected, found, held_out, .. } => {
                let name = names.and_then(|names| names.get(class)).cloned();
                Self::TooFewRows { class, name, expected, found, held_out }
            }
            other => other,
        }
    }
}

impl From<dcgan_svm::SvmError> for EvalError {
    fn from(error: dcgan_svm::SvmError) -> Self {
        match error {
            dcgan_svm::SvmError::Interrupted => Self::Interrupted,
            other => Self::Svm(other),
        }
    }
}
