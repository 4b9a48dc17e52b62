//! What a stage has found so far, in a file of its own folder, so that a killed run goes on: sealed, and written whole or not at all.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use dcgan_engine::seal;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// How often it is written.
pub(crate) const SAVE_EVERY: Duration = Duration::from_secs(60);

/// Reads the bytes of such a file, if they are whole and nobody has edited them.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> anyhow::Result<T> {
    let mut value: Value =
        serde_json::from_slice(bytes).context("expected what an interrupted run had found")?;
    let is_sealed = value.get("checksum").is_some();
    ensure!(
        is_sealed && seal::is_intact(&mut value),
        "expected what an interrupted run had found, found that its checksum does not match"
    );
    serde_json::from_value(value).context("expected what an interrupted run had found")
}

/// The bytes of a file; none where it is not there.
pub(crate) fn bytes(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    match fs_err::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        bytes => Ok(Some(bytes?)),
    }
}

/// Writes it.
pub(crate) fn save(path: &Path, found: &impl Serialize) -> anyhow::Result<()> {
    let partial = path.with_extension("partial");
    fs_err::write(&partial, seal::seal(found)?)?;
    Ok(fs_err::rename(partial, path)?)
}

/// Removes what [`save`] wrote into the stage's own folder.
pub(crate) fn remove(path: &Path) -> anyhow::Result<()> {
    match fs_err::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
