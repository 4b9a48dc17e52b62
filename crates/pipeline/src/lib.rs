//! Pipelines: manifests that turn pictures into the paper's numbers, and the runner that knows what is stale.
//!
//! | module | holds |
//! | --- | --- |
//! | [`manifest`] | one TOML file a pipeline: reading it, `--set`, variables, errors that name line and key |
//! | [`stages`] | a thin adapter for each stage kind, and the kinds' help |
//! | [`graph`], [`check`] | what comes before what, and what is checked before anything runs |
//! | [`fingerprint`], [`memo`] | BLAKE3 of files and folders, without reading twice what did not change |
//! | [`record`], [`staleness`] | `stage.json`, and what differs between it and now |
//! | [`plan`], [`status`] | which stages would run, and why |
//! | [`folder`], [`execute`], [`runner`] | running stages into folders that appear whole or not at all |
//! | [`report`] | results beside the paper's tables |
//! | [`pages`] | pages on which people pick samples and draw boxes |
//! | [`bench`](mod@bench) | how fast this machine is |
//! | [`progress`], [`interrupt`], [`device`], [`context`] | what a running stage talks to |
//!
//! ```
//! use dcgan_pipeline::manifest::Manifest;
//!
//! let text = r#"
//! name = "demo"
//! [[stage]]
//! id = "shapes"
//! [stage.synthesize.shapes]
//! n_trian = 100
//! "#;
//! let error = Manifest::parse("demo.toml".as_ref(), text.to_owned(), &[]).unwrap_err();
//! let message = error.to_string();
//! assert!(message.starts_with("demo.toml:6: stage `shapes`, key `shapes.n_trian`: unknown key `n_trian`"));
//! assert!(message.contains("did you mean `n_train`?"));
//! ```

pub mod bench;
pub mod check;
pub mod clock;
pub mod context;
pub mod dag;
pub mod device;
pub mod execute;
pub mod fingerprint;
pub mod folder;
pub mod graph;
pub mod inputs;
pub mod interrupt;
pub mod manifest;
pub mod memo;
pub mod pages;
pub mod plan;
pub mod progress;
pub mod record;
pub mod report;
pub mod runner;
pub mod stages;
pub mod staleness;
pub mod status;

pub use dcgan_nn::memory::keep_freed as keep_freed_memory;
