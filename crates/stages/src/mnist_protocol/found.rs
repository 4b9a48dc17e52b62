//! What an interrupted run had found, sealed and bound to what it was found of.

use std::path::Path;

use anyhow::ensure;
use dcgan_baselines::neighbours::{NearestNeighbours, Neighbour};
use dcgan_engine::context::Context;
use dcgan_gan::Generator;
use dcgan_nn::candle::DType;
use serde::{Deserialize, Serialize};

use crate::digits::Digits;
use crate::found_so_far;

/// The error with so many training digits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Measured {
    pub(super) n_digits: u64,
    pub(super) n_wrong: usize,
    pub(super) error: f64,
}

/// Name of the file.
const FOUND: &str = "found.json";

/// What a run that goes on begins with.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Found {
    /// Of which generator, test digits and settings, as [`of`] gives it.
    of: String,
    /// Tiles compared.
    n_tiles: u64,
    n_rows: u64,
    nearest: Vec<Vec<Neighbour>>,
    measured: Vec<Measured>,
}

impl Found {
    pub(super) fn of(of: &str, nearest: &NearestNeighbours<'_>, n_tiles: u64, measured: &[Measured]) -> Self {
        let (n_rows, found) = nearest.found();
        Self { of: of.to_owned(), n_tiles, n_rows, nearest: found.to_vec(), measured: measured.to_vec() }
    }

    /// Reads the file, if it is whole and of the same.
    fn read(bytes: &[u8], of: &str) -> anyhow::Result<Self> {
        let found: Self = found_so_far::read(bytes)?;
        ensure!(
            found.of == of,
            "expected what was found of this generator, these test digits and these settings, found that of others"
        );
        Ok(found)
    }
}

/// The BLAKE3 hash of the weights, of the test digits with their labels, and of the settings.
pub(super) fn of(generator: &Generator, test: &Digits, settings: &impl Serialize) -> anyhow::Result<String> {
    let mut hasher = blake3::Hasher::new();
    for (name, parameter) in generator.parameters() {
        hasher.update(name.as_bytes());
        let values: Vec<f32> = parameter.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
        for value in values {
            hasher.update(&value.to_le_bytes());
        }
    }
    for (row, label) in test.labels.iter().enumerate() {
        hasher.update(test.pixels(row)).update(&label.to_le_bytes());
    }
    hasher.update(&serde_json::to_vec(settings)?);
    Ok(hasher.finalize().to_hex().to_string())
}

/// Takes up what an interrupted run found: tiles done and errors measured.
pub(super) fn go_on(
    ctx: &Context<'_>,
    of: &str,
    nearest: &mut NearestNeighbours<'_>,
) -> anyhow::Result<(u64, Vec<Measured>)> {
    let path = ctx.out.join(FOUND);
    let Some(bytes) = found_so_far::bytes(&path)? else { return Ok((0, Vec::new())) };
    let taken = Found::read(&bytes, of).and_then(|found| {
        nearest.go_on_from(found.n_rows, found.nearest)?;
        Ok((found.n_tiles, found.measured))
    });
    Ok(taken.unwrap_or_else(|error| {
        ctx.progress().warn(format_args!("{}: {error:#}; starting again", path.display()));
        (0, Vec::new())
    }))
}

/// Writes what was found, whole or not at all.
pub(super) fn save(out: &Path, found: &Found) -> anyhow::Result<()> {
    found_so_far::save(&out.join(FOUND), found)
}

/// Removes what [`save`] wrote into the stage's own folder.
pub(super) fn remove(out: &Path) -> anyhow::Result<()> {
    found_so_far::remove(&out.join(FOUND))
}

#[cfg(test)]
mod tests {
    use dcgan_baselines::neighbours::Metric;
    use dcgan_engine::seal;

    use super::*;

    #[test]
    fn what_is_damaged_edited_or_of_others_is_refused() {
        let mut nearest = NearestNeighbours::new(&[0.0, 1.0], 1, 1, Metric::Euclidean).unwrap();
        nearest.add(&[0.1, 0.7], &[3, 4]).unwrap();
        let measured = [Measured { n_digits: 2, n_wrong: 1, error: 0.5 }];
        let bytes = seal::seal(&Found::of("these", &nearest, 1, &measured)).unwrap();
        let found = Found::read(&bytes, "these").unwrap();
        assert_eq!(
            (found.n_tiles, &found.nearest[..], &found.measured[..]),
            (1, nearest.found().1, &measured[..])
        );

        let message = |bytes: &[u8], of: &str| format!("{:#}", Found::read(bytes, of).unwrap_err());
        let told = message(&bytes, "others");
        assert!(told.contains("found that of others"), "{told}");
        let text = String::from_utf8(bytes).unwrap();
        let edited = text.replace("\"n_wrong\": 1", "\"n_wrong\": 0");
        assert_ne!(edited, text);
        let unsealed: Vec<&str> = text.lines().filter(|line| !line.contains("checksum")).collect();
        let unsealed = unsealed.join("\n").replace("],\n}", "]\n}");
        for (bytes, told) in [
            (edited.as_str(), "its checksum does not match"),
            (unsealed.as_str(), "its checksum does not match"),
            (&text[..text.len() / 2], "expected what an interrupted run had found"),
        ] {
            let message = message(bytes.as_bytes(), "these");
            assert!(message.contains(told), "{message}");
        }
    }
}
