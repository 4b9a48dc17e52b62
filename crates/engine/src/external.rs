//! Files and folders outside the pipeline that stages read.

use std::fmt;
use std::path::PathBuf;

/// A file or folder outside the pipeline that a stage reads.
#[derive(Debug, Clone)]
pub struct External {
    /// Dotted key it is written at.
    pub key: &'static str,
    /// Relative to the directory the program is run from.
    pub path: PathBuf,
    /// What it must be.
    pub is: Form,
}

/// What a path must lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// Either.
    FileOrFolder,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "a file",
            Self::Folder => "a folder",
            Self::FileOrFolder => "a file or a folder",
        })
    }
}

/// What is wrong with a path, and a way out.
pub type Wrong = (String, Option<String>);

/// What a stage says of a path that is wrong, beside what goes for every path.
#[derive(Debug, Clone, Default)]
pub struct Advice {
    /// Instead of the usual message.
    pub message: Option<String>,
    /// A way out.
    pub help: Option<String>,
}
