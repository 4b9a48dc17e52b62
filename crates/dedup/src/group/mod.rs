//! Groups of near-duplicates.

mod buckets;
mod exact;
mod near;
mod union_find;

pub use exact::equal_codes;
pub use near::{Pair, SearchReport, near_pairs};
pub use union_find::UnionFind;
