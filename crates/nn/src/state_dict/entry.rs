//! What is known of a tensor before it is read.

use std::ops::Range;
use std::path::Path;

use crate::NnError;

/// The most bytes of a pickle or a header: that of Inception-v3 has less than 100 kB.
pub(super) const MOST_HEADER: u64 = 1 << 20;

/// Where a tensor is, and what it is.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) shape: Vec<usize>,
    /// f32, or what its numbers are instead.
    pub(super) dtype: String,
    /// Its numbers lie one after another.
    pub(super) is_in_rows: bool,
    pub(super) place: Place,
}

/// Where its numbers are.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// Bytes of the file, at most up to the end of what they are a part of.
    At(Range<u64>),
    /// Within a member of the zip, from so many bytes on.
    Member(String, u64),
}

/// An error that names the file.
pub(crate) fn wrong(path: &Path, expected: impl ToString, found: impl ToString) -> NnError {
    NnError::Checkpoint { path: path.to_owned(), expected: expected.to_string(), found: found.to_string() }
}
