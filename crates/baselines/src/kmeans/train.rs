//! Learning centroids.

use std::path::Path;

use dcgan_images::ImageStore;
use rand::seq::index;

use super::config::KMeansConfig;
use super::lloyd::{assign, update};
use super::model::KMeans;
use super::patches::{Purpose, draw, size_of_store, stream};
use super::step::{Observe, Step};
use super::whitening::Whitening;
use crate::error::Result;

/// Learns centroids from random patches of a store's pictures and keeps them at `path`: after each pass, so that a training
/// that is stopped goes on from its last whole pass and ends with the same bits. A file of other settings or patches at
/// `path` is begun anew.
///
/// `observe` counts patches, those of the passes once a pass. Asked to stop while eigenvectors are computed, it returns at once and
/// leaves a thread behind that ends when they are.
///
/// # Errors
/// A setting out of range; a patch above the pictures; pictures that do not vary;
/// [`BaselinesError::Interrupted`](crate::BaselinesError::Interrupted); writing.
pub fn train_kmeans(
    store: &ImageStore,
    config: &KMeansConfig,
    path: &Path,
    observe: Observe<'_>,
) -> Result<KMeans> {
    config.validate()?;
    let [channels, ..] = size_of_store(store);
    config.check_channels(channels)?;
    let mut patches = draw(store, config)?;
    let n_columns = channels * config.patch * config.patch;
    let whitening = Whitening::of(&patches, n_columns, config.whitening_epsilon, observe)?;
    whitening.apply(&mut patches, observe)?;
    let fresh = || KMeans {
        config: config.clone(),
        channels,
        centroids: first(&patches, n_columns, config),
        whitening: whitening.clone(),
        counts: vec![0; config.maps],
        inertia: Vec::new(),
    };
    // What cannot be read is of no use; it is written anew.
    let kept = KMeans::load(path).ok();
    let is_ours =
        |kept: &KMeans| kept.config == *config && kept.channels == channels && kept.whitening == whitening;
    let mut model = kept.filter(is_ours).unwrap_or_else(fresh);
    let (n_patches, n_passes) = (config.patches as u64, config.passes as u64);
    for pass in model.inertia.len()..config.passes {
        let mut count = |done| observe(Step::Passes, pass as u64 * n_patches + done, n_passes * n_patches);
        let assignment = assign(&patches, &model.centroids, n_columns, &mut count)?;
        let mut rng = stream(config.seed, Purpose::Empty, pass as u32);
        let (counts, _) = update(&patches, &assignment.nearest, &mut model.centroids, n_columns, &mut rng);
        model.counts = counts;
        model.inertia.push(assignment.inertia);
        model.save(path)?;
    }
    Ok(model)
}

/// The first centroids: different patches at random.
fn first(patches: &[f32], n_columns: usize, config: &KMeansConfig) -> Vec<f32> {
    let mut rng = stream(config.seed, Purpose::First, 0);
    let rows = index::sample(&mut rng, patches.len() / n_columns, config.maps);
    rows.iter().flat_map(|row| &patches[row * n_columns..][..n_columns]).copied().collect()
}
