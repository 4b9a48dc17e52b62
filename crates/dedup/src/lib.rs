//! Semantic hashing.

mod code;
pub mod group;
#[cfg(test)]
mod testing;

pub use code::Code;
