//! Semantic hashing.

mod code;
mod columns;
mod error;
pub mod evaluate;
pub mod group;
pub mod hash;
mod model;
mod preprocess;
pub mod regenerate;
#[cfg(test)]
mod testing;
pub mod train;

pub use code::{CODE_BITS, Code};
pub use error::{DedupError, Result};
pub use model::Autoencoder;
pub use preprocess::{N_INPUTS, PICTURE_BYTES, Preprocessing, SIDE};
