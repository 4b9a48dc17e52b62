//! Names of what [`regenerate`](super::regenerate()) writes.

/// Keys that stay.
pub const KEEP: &str = "keep.txt";
/// Keys that do not.
pub const REMOVE: &str = "remove.txt";
/// What cannot be read.
pub const BAD: &str = "bad.csv";
/// The LMDB's folder.
pub const LMDB: &str = "lmdb";
/// The folder of archives.
pub const TARS: &str = "tars";
/// The folder of files.
pub const PICTURES: &str = "pictures";
