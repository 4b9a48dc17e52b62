//! Fuzz targets: every function that reads a file which people or other programs made, as a function of bytes that must
//! not panic, hang, or take memory beyond all measure, whatever the bytes are.
//!
//! `corpus/NAME/` holds inputs of the target NAME: small sound files, and every input that once did harm. `cargo test`
//! runs each of them and a few thousand mutations, always the same ones. For longer:
//!
//! ```sh
//! cargo run --release -p dcgan-fuzz --example fuzz -- --seconds 60              # all targets
//! cargo run --release -p dcgan-fuzz --example fuzz -- --seconds 600 lsun svhn
//! ```
//!
//! `.ci/fuzz` does the same by coverage, with libFuzzer behind the feature `libfuzzer`: what reaches new code is mutated on.

pub mod memory;
pub mod mutate;
mod scratch;
mod targets;

use std::path::{Path, PathBuf};

pub use targets::TARGETS;

/// A reader as a function of the file's bytes.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, and that of its folder in the corpus.
    pub name: &'static str,
    /// Reads; errors are fine.
    pub run: fn(&[u8]),
}

/// The target of a name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}

/// Where a target's corpus is.
pub fn corpus_folder(target: Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name)
}

/// The inputs of a target's corpus, by name.
///
/// # Errors
/// If the folder or a file cannot be read.
pub fn corpus(target: Target) -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let mut inputs = Vec::new();
    for entry in fs_err::read_dir(corpus_folder(target))? {
        let path = entry?.path();
        inputs.push((
            path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            fs_err::read(&path)?,
        ));
    }
    inputs.sort();
    Ok(inputs)
}
