//! Exact nearest neighbours, over any number of training rows.
//!
//! | file | does |
//! | --- | --- |
//! | `search` | the neighbours of test rows among training rows that come tile by tile |
//! | `distance` | distances as they are compared in the end |
//! | `bound` | how far a distance by a product of f32 may be off |
//! | `balls` | which rows of two sets lie in balls about the rows of the other |
//! | `protocol` | k chosen on training rows, errors measured on test rows |

mod balls;
mod bound;
mod distance;
mod protocol;
mod search;

pub use balls::{Balls, Side, balls};
pub use distance::Metric;
pub(crate) use distance::squared;
pub use protocol::{KPoint, NeighboursProtocol, NeighboursResult, Observe, nearest_neighbours};
pub use search::{NearestNeighbours, Neighbour};

#[cfg(test)]
mod tests;
