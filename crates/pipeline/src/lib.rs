//! Pipelines: manifests that turn pictures into the paper's numbers, and the runner that knows what is stale.
//!
//! | module | holds |
//! | --- | --- |
//! | [`manifest`] | one TOML file a pipeline: reading it, `--set`, variables, errors that name line and key |
//! | [`stages`] | a thin adapter for each stage kind, and the kinds' help |
//! | [`graph`], [`check`] | what comes before what, and what is checked before anything runs, also of what lies outside |
//! | [`fingerprint`], [`memo`] | BLAKE3 of files and folders, without reading twice what did not change |
//! | [`record`], [`seal`], [`staleness`] | `stage.json` with its checksum, and what differs between it and now |
//! | [`selection`] | which stages a command line asks for |
//! | [`finished`] | finished stages of elsewhere, read by path |
//! | [`plan`], [`status`] | which stages would run, and why |
//! | [`report`] | results beside the paper's tables, plots, the page |
//! | [`dag`], [`diagram`] | a manifest's graph as text and as a picture |
//! | [`init`](mod@init) | a manifest to begin with |
//! | [`folder`], [`execute`] | running one stage into a folder that appears whole or not at all |
//! | [`hidden`], [`version`], [`kept`] | where half-done and replaced versions of a stage lie, how they are named, what is there |
//! | [`schedule`], [`lock`], [`runner`] | running many: in order or at once, one run at a time in a folder |
//! | [`journal`] | what a run is at, for those who ask meanwhile |
//! | [`space`], [`gc`], [`compare`] | room on the disk, what could be deleted, two runs side by side |
//! | [`pages`] | pages on which people pick samples and draw boxes |
//! | [`bench`](mod@bench) | how fast this machine is |
//! | [`progress`], [`interrupt`], [`device`], [`context`] | what a running stage talks to |
//! | [`terminal`], [`counting`] | the one way to stdout and stderr; counts and figures for people |
//! | [`memory`] | how much memory a stage takes |
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

mod bar;
pub mod bench;
pub mod check;
pub mod clock;
pub mod compare;
pub mod context;
pub mod counting;
pub mod dag;
pub mod device;
pub mod diagram;
pub mod execute;
pub mod fingerprint;
pub mod finished;
pub mod folder;
pub mod gc;
pub mod graph;
pub mod hidden;
pub mod init;
pub mod inputs;
pub mod interrupt;
pub mod journal;
pub mod kept;
pub mod known;
pub mod lock;
pub mod manifest;
pub mod memo;
pub mod memory;
pub mod outside;
pub mod pages;
pub mod plan;
pub mod progress;
pub mod record;
pub mod report;
pub mod runner;
pub mod schedule;
pub mod seal;
pub mod selection;
pub mod space;
pub mod stages;
pub mod staleness;
pub mod status;
pub mod terminal;
pub mod version;

pub use dcgan_files::threads::start_all as start_threads;
pub use dcgan_nn::memory::keep_freed as keep_freed_memory;
