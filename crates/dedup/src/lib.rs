//! Semantic hashing.

mod code;
mod error;
pub mod group;
mod model;
mod preprocess;
#[cfg(test)]
mod testing;
pub mod train;

pub use code::{CODE_BITS, Code};
pub use error::{DedupError, Result};
pub use model::Autoencoder;
pub use preprocess::{N_INPUTS, PICTURE_BYTES, Preprocessing, SIDE};
