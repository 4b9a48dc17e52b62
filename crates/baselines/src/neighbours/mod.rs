//! Exact nearest neighbours, over any number of training rows.
//!
//! | file | does |
//! | --- | --- |
//! | `search` | the neighbours of test rows among training rows that come tile by tile |
//! | `distance` | distances as they are compared in the end |
//! | `bound` | how far a distance by a product of f32 may be off |
//! | `protocol` | k chosen on training rows, errors measured on test rows |

mod bound;
mod distance;
mod protocol;
mod search;

pub use distance::Metric;
pub use protocol::{KPoint, NeighboursProtocol, NeighboursResult, Observe, nearest_neighbours};
pub use search::{NearestNeighbours, Neighbour};

#[cfg(test)]
mod tests;
