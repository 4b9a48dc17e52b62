//! Groups of near-duplicates.

mod buckets;
mod config;
mod distances;
mod exact;
mod groups_file;
mod images;
mod near;
mod readable;
mod second_look;
mod union_find;

pub use config::{GroupConfig, Keep, Rule};
pub use distances::DistanceCounts;
pub use exact::equal_codes;
pub use groups_file::{GROUPS, Member, read_groups, removed_keys};
pub use images::{GroupSummary, RuleCounts, group_images};
pub use near::{Pair, SearchReport, near_pairs};
pub use readable::{READABLE, Readable};
pub use second_look::{ComparedPair, pixel_distance};
pub use union_find::UnionFind;
