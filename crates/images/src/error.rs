//! The crate's error.

use std::path::{Path, PathBuf};

use dcgan_files::FilesError;

/// What can go wrong with a picture set.
#[derive(Debug, thiserror::Error)]
pub enum ImagesError {
    /// A file could not be opened, read or written; the message names it.
    #[error(transparent)]
    Io(#[from] std::io::Error),

    /// A file does not hold what its format promises.
    #[error("{}: at byte {offset}: expected {expected}, found {found}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where in the file (of a gzip file: in what it unpacks to).
        offset: u64,
        /// What the format asks for there.
        expected: String,
        /// What is there.
        found: String,
    },

    /// A folder, archive or image store is not laid out as it should be.
    #[error("{}: expected {expected}, found {found}", path.display())]
    Layout {
        /// The folder or file.
        path: PathBuf,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },

    /// A data set without a single image.
    #[error("{}: expected {expected}, found none", path.display())]
    NoImages {
        /// The folder or file.
        path: PathBuf,
        /// What kind of images were looked for.
        expected: String,
    },

    /// Not one image of a data set could be decoded.
    #[error("{}: expected at least one readable image, found {n_bad} bad ones, the first ({key}): {reason}", path.display())]
    AllBad {
        /// The data set.
        path: PathBuf,
        /// How many images were tried.
        n_bad: u64,
        /// The first image's key.
        key: String,
        /// What was wrong with it.
        reason: String,
    },

    /// One picture that cannot be used; an import records it and passes on.
    #[error("{reason}")]
    BadPicture {
        /// Why.
        reason: String,
    },

    /// Memory that is asked for in one piece could not be had.
    #[error("{what}: expected {} to be had, found too little", memory(*n_bytes))]
    Memory {
        /// What it was for.
        what: String,
        /// How much; 0 where that is unknown.
        n_bytes: u64,
    },

    /// Pictures of different sizes where none are scaled.
    #[error(
        "{}: expected pictures of one size where they are not scaled, found {first} of {}×{} and {other} of {}×{} pixels; \
         set `resize`, for one size of all: resize=min_resize_centre_crop(64), say",
        path.display(), first_size[1], first_size[0], other_size[1], other_size[0]
    )]
    SizesDiffer {
        /// The data set.
        path: PathBuf,
        /// The first picture's key.
        first: String,
        /// Its rows and columns.
        first_size: [usize; 2],
        /// The key of the first picture of another size.
        other: String,
        /// Its rows and columns.
        other_size: [usize; 2],
    },

    /// A setting, or an argument of a function, outside its range.
    #[error("{name}: expected {expected}, found {found}")]
    Setting {
        /// The setting's name.
        name: &'static str,
        /// What is allowed.
        expected: String,
        /// What was given.
        found: String,
    },

    /// An LMDB environment could not be written.
    #[error("{}: LMDB", path.display())]
    Lmdb {
        /// The folder.
        path: PathBuf,
        /// LMDB's own message.
        source: heed::Error,
    },

    /// A file could not be read or written in its format.
    #[error(transparent)]
    Files(FilesError),

    /// A JSON file could not be read or written.
    #[error("{}: JSON", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The library's own message, with line and column.
        source: serde_json::Error,
    },

    /// A CSV file could not be read or written.
    #[error("{}: CSV", path.display())]
    Csv {
        /// The file.
        path: PathBuf,
        /// The library's own message.
        source: csv::Error,
    },

    /// A picture could not be encoded.
    #[error("{}: PNG", path.display())]
    Encode {
        /// The file that was to hold it.
        path: PathBuf,
        /// The library's own message.
        source: image::ImageError,
    },

    /// The caller's `observe` asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// A result with this crate's error.
pub type Result<T> = std::result::Result<T, ImagesError>;

fn memory(n_bytes: u64) -> String {
    match n_bytes {
        0 => "memory".to_owned(),
        n => format!("{n} bytes of memory"),
    }
}

impl ImagesError {
    pub(crate) fn malformed(
        path: &Path,
        offset: u64,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::Malformed { path: path.to_path_buf(), offset, expected: expected.into(), found: found.into() }
    }

    pub(crate) fn layout(path: &Path, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::Layout { path: path.to_path_buf(), expected: expected.into(), found: found.into() }
    }

    /// `n_bytes` for what `path` holds could not be had.
    pub(crate) fn no_memory(path: &Path, n_bytes: u64) -> Self {
        Self::Memory { what: path.display().to_string(), n_bytes }
    }

    pub(crate) fn bad(reason: impl Into<String>) -> Self {
        Self::BadPicture { reason: reason.into() }
    }
}

impl From<FilesError> for ImagesError {
    fn from(error: FilesError) -> Self {
        match error {
            FilesError::Io(error) => Self::Io(error),
            FilesError::Layout { path, expected, found } => Self::Layout { path, expected, found },
            FilesError::Interrupted => Self::Interrupted,
            other @ FilesError::Parquet { .. } => Self::Files(other),
        }
    }
}
