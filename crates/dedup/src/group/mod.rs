//! Groups of near-duplicates.

mod against;
mod align;
mod bands;
mod buckets;
mod config;
mod distances;
mod exact;
mod groups_file;
mod images;
mod map_file;
mod near;
mod near_groups;
mod phash;
mod planes;
mod probes;
mod readable;
mod second_look;
mod union_find;

pub use against::{AgainstSummary, group_against};
pub use config::{GroupConfig, Keep, Mirrored, Rule};
pub use distances::DistanceCounts;
pub use exact::equal_codes;
pub use groups_file::{GROUPS, Member, read_groups, removed_keys};
pub use images::{GroupSummary, RuleCounts, group_images};
pub use map_file::{MAP_CSV, MAP_PARQUET};
pub use near::{Pair, SearchReport, near_pairs};
pub(crate) use near_groups::{is_half_alike, threshold};
pub(crate) use planes::{channels, is_grey};
pub(crate) use probes::{Probe, Seen};
pub use readable::{READABLE, Readable};
pub(crate) use second_look::Prepared;
pub use second_look::{ComparedPair, pixel_distance};
pub use union_find::UnionFind;
