//! Names of what [`hash`](super::hash()) writes into its folder.

/// Keys and codes.
pub const CODES: &str = "codes.parquet";
/// The 32×32 pictures.
pub const PICTURES: &str = "pictures.npy";
/// What could not be hashed.
pub const BAD: &str = "bad.csv";
/// What is hashed so far, while it runs.
pub const JOURNAL: &str = "codes.jsonl.partial";
/// The autoencoder that hashed them.
pub const AUTOENCODER: &str = "autoencoder.safetensors";
