//! The training picture nearest to each sample and held-out picture, kept as it is found, so that a killed run goes on.

use std::path::{Path, PathBuf};
use std::time::Instant;

use dcgan_baselines::neighbours::Neighbour;
use dcgan_engine::context::Context;
use dcgan_images::ImageStore;
use dcgan_metrics::Features;
use dcgan_metrics::memorisation::{Near, NearestTraining};
use serde::{Deserialize, Serialize};

use crate::feature_blocks::BLOCK;
use crate::feature_maker::{Maker, picture_size};
use crate::found_so_far::{self, SAVE_EVERY};

/// One way of being near.
pub(super) struct Way {
    /// "pixels", "features" or "code".
    pub(super) name: &'static str,
    pub(super) maker: Maker,
}

/// The training picture nearest to each picture of `pixels`.
pub(super) fn nearest(
    ctx: &Context<'_>,
    way: &Way,
    pixels: &[u8],
    training: &ImageStore,
) -> anyhow::Result<Vec<Near>> {
    let len: usize = picture_size(training).iter().product();
    let mut rows = Vec::with_capacity(pixels.len() / len * way.maker.n_features());
    for block in pixels.chunks(BLOCK * len) {
        rows.extend(way.maker.features(block)?);
    }
    let rows = Features::new("generated and held-out", &rows, way.maker.n_features())?;
    let mut nearest = NearestTraining::of(&rows)?;
    let (path, of) = (so_far(ctx, way), hash(&rows));
    let mut done = go_on(ctx, &path, &of, &mut nearest)?;
    let mut task = ctx.task(&format!("nearest by {}", way.name), "training pictures");
    let n = training.len() as u64;
    let (mut saved, mut block) = (None::<Instant>, Vec::new());
    while done < n {
        let is_stopped = task.observe(done, n).is_break();
        if is_stopped || (done > 0 && saved.is_none_or(|saved| saved.elapsed() > SAVE_EVERY)) {
            save(&path, &of, &nearest)?;
            saved = Some(Instant::now());
        }
        anyhow::ensure!(!is_stopped, "interrupted");
        let indices: Vec<u32> = (done as u32..(done + BLOCK as u64).min(n) as u32).collect();
        training.gather(&indices, &mut block);
        nearest.add(&way.maker.features(&block)?)?;
        done += indices.len() as u64;
    }
    // What one way took is not lost with the next.
    save(&path, &of, &nearest)?;
    Ok(nearest.found())
}

/// What was found so far by one way.
#[derive(Debug, Serialize, Deserialize)]
struct SoFar {
    /// The BLAKE3 hash of the features of the generated and held-out pictures.
    of: String,
    n_training: u64,
    nearest: Vec<Vec<Neighbour>>,
}

/// The file of what one way found so far.
pub(super) fn so_far(ctx: &Context<'_>, way: &Way) -> PathBuf {
    ctx.out.join(format!("nearest_by_{}.json", way.name))
}

fn hash(rows: &Features<'_>) -> String {
    let mut hasher = blake3::Hasher::new();
    for values in rows.values().chunks(1 << 16) {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        hasher.update(&bytes);
    }
    hasher.finalize().to_hex().to_string()
}

fn save(path: &Path, of: &str, nearest: &NearestTraining<'_>) -> anyhow::Result<()> {
    let (n_training, nearest) = nearest.so_far();
    found_so_far::save(path, &SoFar { of: of.to_owned(), n_training, nearest: nearest.to_vec() })
}

/// Takes up what an interrupted run found: the number of training pictures that are done.
fn go_on(ctx: &Context<'_>, path: &Path, of: &str, nearest: &mut NearestTraining<'_>) -> anyhow::Result<u64> {
    let Some(bytes) = found_so_far::bytes(path)? else { return Ok(0) };
    let taken = found_so_far::read::<SoFar>(&bytes).and_then(|found| {
        anyhow::ensure!(found.of == of, "expected what was found of these pictures, found that of others");
        nearest.go_on_from(found.n_training, found.nearest)?;
        Ok(found.n_training)
    });
    Ok(taken.unwrap_or_else(|error| {
        ctx.progress().warn(format_args!("{}: {error:#}; starting again", path.display()));
        0
    }))
}
