//! Near-duplicates on an engine that divides work: [DataFusion](https://docs.rs/datafusion) in one process, with a limit on memory, or on
//! many machines by [Ballista](https://docs.rs/ballista).
//!
//! What a picture's code is, when two are near and when two pictures are alike says the crate `dedup`; here are the queries that bring
//! together what is to be compared. The results are those of one machine, row for row.
//!
//! | module | holds |
//! | --- | --- |
//! | [`session`] | where queries run |
//! | [`hash`], [`group`], [`remove`] | the jobs |
//! | `near`, `components` | pairs of near-duplicates, and which are connected by them |
//! | `named` | what the table of codes says of the images in groups |
//! | `remote` | sets at addresses, whose files are fetched where they are hashed |
//! | `functions` | what queries call, by name: keys of groups, the search in a group, views, the second look, the hashing of a part |
//! | `work`, `out` | stages that are there once they are whole, and results likewise |
//! | `pool`, `scratch` | what may be held in memory, and what does not fit |
//! | [`service`] | scheduler and executors that know the functions |

mod codes;
mod components;
mod error;
mod functions;
pub mod group;
pub mod hash;
mod named;
mod near;
mod out;
mod pool;
mod remote;
pub mod remove;
mod scratch;
pub mod service;
pub mod session;
mod work;

pub use error::{ClusterError, Result};
