//! The crate's error.

use std::path::{Path, PathBuf};

/// What can go wrong on the way to the data.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// A file could not be read or written; the message names it.
    #[error(transparent)]
    Io(#[from] std::io::Error),

    /// No address gave the file.
    #[error("{file}: not to be had; what was done so far is kept in {}\n  {}", kept.display(), tries.join("\n  "))]
    Unavailable {
        /// The file's name.
        file: String,
        /// Where what has arrived is kept.
        kept: PathBuf,
        /// For every address, why not.
        tries: Vec<String>,
    },

    /// A file that is there is not the one that is wanted.
    #[error("{}: expected {expected}, found {found}", path.display())]
    Content {
        /// The file or folder.
        path: PathBuf,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },

    /// An address of shards that leads nowhere, or to something else.
    #[error("{address}: expected {expected}, found {found}")]
    Listing {
        /// The address.
        address: String,
        /// What it should lead to.
        expected: String,
        /// What it leads to.
        found: String,
    },

    /// A shard at an address is no longer what was fetched from there.
    #[error(
        "{url}: expected what was fetched before ({before}), found {now}: the shard has changed; delete {} to take the new one",
        kept.display()
    )]
    Changed {
        /// The shard.
        url: String,
        /// What it was.
        before: String,
        /// What it is.
        now: String,
        /// The folder that holds what was fetched before.
        kept: PathBuf,
    },

    /// An archive that cannot be unpacked, or not safely.
    #[error("{}: entry {entry}: expected {expected}, found {found}", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// The entry's name, or its number.
        entry: String,
        /// What is allowed there.
        expected: String,
        /// What is there.
        found: String,
    },

    /// Not enough room.
    #[error("{}: expected {needed} bytes of free disk space for {file}, found {free}", path.display())]
    Space {
        /// The folder.
        path: PathBuf,
        /// The file it is for.
        file: String,
        /// Bytes needed.
        needed: u64,
        /// Bytes there are.
        free: u64,
    },

    /// A setting outside its range.
    #[error("{name}: expected {expected}, found {found}")]
    Setting {
        /// The setting's name.
        name: &'static str,
        /// What is allowed.
        expected: String,
        /// What was given.
        found: String,
    },

    /// The caller's `observe` asked to stop; what has arrived is kept.
    #[error("interrupted")]
    Interrupted,
}

/// A result with this crate's error.
pub type Result<T> = std::result::Result<T, FetchError>;

impl FetchError {
    /// True if what an archive holds is at fault.
    pub(crate) fn is_of_content(&self) -> bool {
        matches!(self, Self::Content { .. } | Self::Archive { .. })
    }

    pub(crate) fn content(path: &Path, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::Content { path: path.to_path_buf(), expected: expected.into(), found: found.into() }
    }
}
