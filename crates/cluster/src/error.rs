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
    #[error("stage {stage}: {}", in_words(source))]
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

/// What went wrong in one of this crate's functions. An engine passes on what it knows of an error in the notation for debugging: there the
/// words are between marks.
pub(crate) struct Told(String);

const MARKS: [char; 2] = ['⟦', '⟧'];

impl Told {
    pub(crate) fn of(error: &impl std::error::Error) -> Self {
        Self(error.to_string())
    }
}

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}{}", MARKS[0], self.0, MARKS[1])
    }
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Told {}

/// What one of this crate's functions told, or all that the engine says.
fn in_words(error: &DataFusionError) -> String {
    if let DataFusionError::External(told) = error.find_root()
        && let Some(told) = told.downcast_ref::<Told>()
    {
        return told.to_string();
    }
    let text = error.to_string();
    let told = text.split_once(MARKS[0]).and_then(|(_, rest)| rest.split_once(MARKS[1]));
    told.map_or_else(|| text.clone(), |(told, _)| told.to_owned())
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

/// The whole path of a file that must be there.
pub(crate) fn there(path: &Path, expected: &str) -> Result<PathBuf> {
    let whole = std::fs::canonicalize(path).map_err(|error| {
        let found = match error.kind() {
            std::io::ErrorKind::NotFound => "nothing".to_owned(),
            _ => error.to_string(),
        };
        ClusterError::file(path, expected, found)
    })?;
    match whole.to_str() {
        Some(_) => Ok(whole),
        // Queries are text.
        None => Err(ClusterError::file(path, "a path of UTF-8 text", "other bytes")),
    }
}

impl From<dcgan_files::FilesError> for ClusterError {
    fn from(error: dcgan_files::FilesError) -> Self {
        Self::Dedup(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_function_tells_is_all_that_is_said() {
        let told = || DataFusionError::External(Box::new(Told("a.tar: broken".to_owned())));
        let local = ClusterError::engine("hashed", told().context("a task"));
        let passed_on = DataFusionError::Execution(format!("Job 7 failed: {:?}", told()));
        for error in [local, ClusterError::engine("hashed", passed_on)] {
            assert_eq!(error.to_string(), "stage hashed: a.tar: broken");
        }
        let other = ClusterError::engine("hashed", DataFusionError::Execution("no room".to_owned()));
        assert_eq!(other.to_string(), "stage hashed: Execution error: no room");
    }
}
