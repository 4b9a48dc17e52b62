//! What the paper's tables compare a DCGAN with, as far as a machine can measure it again.
//!
//! - [`kmeans`]: one layer of K-means, Table 1's first row.
//! - [`neighbours`]: nearest neighbours, Table 2's first row.
//!
//! Both are a matrix product of which only little is kept: `product` has it tile by tile.

mod error;
pub mod kmeans;
pub mod neighbours;
mod product;

pub use error::{BaselinesError, Result};
