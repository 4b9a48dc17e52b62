//! The engine: manifests of stages, and the runner that knows what is stale. It knows no stage by name; a program gives it a
//! [`Registry`](kind::Registry) of kinds.
//!
//! | module | holds |
//! | --- | --- |
//! | [`stage`], [`kind`], [`keys`] | what a stage is, what is known of its kind, and the keys of its configuration |
//! | [`input`], [`external`] | what stages read: of each other, and from outside the pipeline |
//! | [`suggest`] | the nearest valid name, for messages |
//! | [`manifest`] | one TOML file a pipeline: reading it, `--set`, variables, errors that name line and key |
//! | [`graph`], [`check`], [`outside`] | what comes before what, and what is checked before anything runs, also of what lies outside |
//! | [`fingerprint`], [`cache`] | BLAKE3 of files and folders, without reading twice what did not change |
//! | [`record`], [`seal`], [`staleness`] | `stage.json` with its checksum, and what differs between it and now |
//! | [`paper`] | how a stage's settings compare with the paper's |
//! | [`selection`] | which stages a command line asks for |
//! | [`finished`] | finished stages of elsewhere, read by path |
//! | [`plan`], [`status`] | which stages would run, and why |
//! | [`folder`], [`run_stage`] | running one stage into a folder that appears whole or not at all |
//! | [`hidden`], [`version`], [`kept`] | where half-done and replaced versions of a stage lie, how they are named, what is there |
//! | [`run`](mod@run), [`alone`], [`parallel`], [`lock`] | running many, one without a manifest, in order or at once, one run at a time in a folder |
//! | [`journal`], [`pulse`] | what a run is at and how far, for those who ask meanwhile; how it ended |
//! | [`space`], [`gc`], [`compare`] | room on the disk, what could be deleted, two runs side by side |
//! | [`context`], [`progress`], [`interrupt`] | what a running stage talks to |
//! | [`cluster`] | stages whose work is divided among machines by another program |
//! | [`terminal`], [`figures`], [`clock`] | the one way to stdout and stderr; measured numbers and times for people |
//! | [`memory`], [`usage`] | how much memory and processor time a stage takes |

pub mod alone;
mod bar;
pub mod cache;
pub mod check;
pub mod clock;
pub mod cluster;
pub mod compare;
pub mod context;
mod disk;
pub mod external;
pub mod figures;
pub mod fingerprint;
pub mod finished;
pub mod folder;
pub mod gc;
pub mod graph;
pub mod hidden;
pub mod input;
pub mod inputs;
pub mod interrupt;
pub mod journal;
pub mod kept;
pub mod keys;
pub mod kind;
pub mod lock;
pub mod manifest;
pub mod memory;
pub mod outside;
pub mod paper;
pub mod parallel;
pub mod plan;
pub mod progress;
pub mod pulse;
pub mod record;
pub mod run;
pub mod run_stage;
pub mod seal;
pub mod selection;
pub mod space;
pub mod stage;
pub mod staleness;
pub mod status;
pub mod suggest;
pub mod terminal;
#[cfg(test)]
mod toy;
pub mod usage;
pub mod version;
