//! What can go wrong while fitting or applying an SVM.

use thiserror::Error;

/// The result of this crate's fallible functions.
pub type Result<T> = std::result::Result<T, SvmError>;

/// Why an SVM could not be fitted or applied. Rows and columns count from 0.
#[derive(Debug, Error)]
pub enum SvmError {
    /// C must lie between 1e-30 and 1e30: beyond, f32 features leave nothing of the loss or of ½‖w‖².
    #[error("C must be a number from 1e-30 to 1e30, found {found:e}")]
    InvalidC {
        /// The value given.
        found: f64,
    },
    /// A fit needs at least one value of C.
    #[error("at least one value of C is needed, found none")]
    NoC,
    /// The relative duality gap to stop at must lie in (0, 1).
    #[error("the relative duality gap must lie in (0, 1), found {found}")]
    InvalidRelativeGap {
        /// The value given.
        found: f64,
    },
    /// The limit of Newton steps must be positive.
    #[error("the limit of Newton steps must be at least 1, found 0")]
    InvalidMaxSteps,
    /// The matrix of features has no row or no column.
    #[error("the features are empty: {n_rows} rows, {n_columns} columns")]
    Empty {
        /// Rows found.
        n_rows: usize,
        /// Columns found.
        n_columns: usize,
    },
    /// The memory for the rows' inner products, which is asked for in one piece, could not be had.
    #[error("expected {n_bytes} bytes of memory to be had for the rows' inner products, found too little")]
    Memory {
        /// How much.
        n_bytes: usize,
    },
    /// A feature is NaN or infinite.
    #[error("feature at row {row}, column {column} is not finite: {value}")]
    NonFinite {
        /// Row of the first such value.
        row: usize,
        /// Column of the first such value in that row.
        column: usize,
        /// What stands there.
        value: f32,
    },
    /// Features and labels disagree about the number of rows.
    #[error("{n_rows} rows of features but {n_labels} labels")]
    LabelCount {
        /// Rows of features.
        n_rows: usize,
        /// Labels given.
        n_labels: usize,
    },
    /// A classifier needs two classes; this is the only label found.
    #[error("at least two classes are needed, every label is {label}")]
    SingleClass {
        /// The one label.
        label: usize,
    },
    /// A label that the model was not fitted on.
    #[error("label {label} at row {row} is none of the model's classes")]
    UnknownLabel {
        /// The label.
        label: usize,
        /// Its row.
        row: usize,
    },
    /// The features have another number of columns than the model.
    #[error("expected {expected} columns of features, found {found}")]
    ColumnCount {
        /// Columns of the model.
        expected: usize,
        /// Columns given.
        found: usize,
    },
    /// The features have another number of rows than the Gram matrix.
    #[error("expected {expected} rows of features as in the Gram matrix, found {found}")]
    RowCount {
        /// Rows of the Gram matrix.
        expected: usize,
        /// Rows given.
        found: usize,
    },
    /// A row index beyond the end.
    #[error("row {row} is out of range: there are {n_rows} rows")]
    RowOutOfRange {
        /// The index.
        row: usize,
        /// Rows there are.
        n_rows: usize,
    },
    /// Too few or too many folds for cross-validation.
    #[error("the number of folds must lie in 2..={n_rows}, found {found}")]
    FoldCount {
        /// Rows to divide.
        n_rows: usize,
        /// Folds asked for.
        found: usize,
    },
    /// More rows than an n×n matrix may have.
    #[error(
        "{n_rows} rows are beyond the limit of {limit} for {solver}, which holds a dense matrix of \
         {n_rows}×{n_rows} numbers"
    )]
    TooManyRows {
        /// Rows given.
        n_rows: usize,
        /// The limit in force.
        limit: usize,
        /// What needs the matrix.
        solver: &'static str,
    },
    /// The optimum was not certified within the limit of steps.
    #[error(
        "class {class} at C = {c}: relative duality gap {found:e} after {n_steps} steps, wanted {wanted:e}"
    )]
    NotConverged {
        /// The class against the rest.
        class: usize,
        /// Its C.
        c: f64,
        /// Relative gap reached.
        found: f64,
        /// Relative gap asked for.
        wanted: f64,
        /// Steps taken.
        n_steps: usize,
    },
    /// The observer asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// An error of linfa itself.
    #[error(transparent)]
    Linfa(#[from] linfa::Error),
    /// An error of `linfa-svm`, which solves the hinge loss.
    #[error("linfa-svm: {0}")]
    LinfaSvm(#[from] linfa_svm::SvmError),
}
