//! Features by K-means, brought to one scale.

use std::path::{Path, PathBuf};

use dcgan_baselines::kmeans::{Encoder, KMeans};
use dcgan_engine::context::Context;
use dcgan_engine::record::Record;
use dcgan_eval::{Batches, FEATURES_FILE, Scaling, Standard, extract_scaled, infer_standard};
use dcgan_images::ImageStore;

use crate::lineage::{Description, made_by};

/// Added to the variance of each feature (Coates, Lee and Ng, 2011).
pub(crate) const EPSILON: f64 = 0.01;

/// Whose means and variances features are brought to one scale by.
pub(crate) enum Scale {
    /// Those that this stage's features were.
    OfFeatures(PathBuf),
    /// Those over pictures.
    Over {
        /// The pictures.
        training: ImageStore,
        /// True where they are the very pictures that are turned into features.
        is_own: bool,
        /// Which of them count.
        is_counted: Vec<bool>,
    },
}

/// Whether a folder holds centroids.
pub(crate) fn is_model(folder: &Path) -> bool {
    folder.join(KMeans::FILE).exists()
}

/// Whether a folder holds features.
pub(crate) fn of_features(folder: &Path) -> bool {
    folder.join(FEATURES_FILE).exists()
}

/// Features of a picture by the centroids in a folder.
pub(crate) fn n_features(folder: &Path) -> anyhow::Result<usize> {
    Ok(KMeans::load(&folder.join(KMeans::FILE))?.config().n_features())
}

/// Turns `batches` of the pictures of `store` into features by the centroids in the folder `model`.
pub(crate) fn extract(
    ctx: &Context<'_>,
    store: &ImageStore,
    model: &Path,
    batches: Batches,
    scale: Scale,
) -> anyhow::Result<Description> {
    let kmeans = KMeans::load(&model.join(KMeans::FILE))?;
    let size = |store: &ImageStore| [store.channels(), store.height(), store.width()];
    let encoder = Encoder::new(&kmeans, size(store))?;
    let n_features = encoder.n_features();
    let mut encode =
        |pixels: &[u8], _n: usize| encoder.encode(pixels).map_err(|error| Box::new(error).into());
    let scaling = match &scale {
        Scale::OfFeatures(folder) => {
            check_model(folder, model)?;
            Scaling::Given(Standard::read(folder, n_features)?)
        }
        Scale::Over { is_own: true, is_counted, .. } => Scaling::Own { epsilon: EPSILON, is_counted },
        Scale::Over { training, is_counted, .. } => {
            let mut task = ctx.task("inferring statistics", "pictures");
            let of_training = Encoder::new(&kmeans, size(training))?;
            let mut encode =
                |pixels: &[u8], _n: usize| of_training.encode(pixels).map_err(|error| Box::new(error).into());
            let mut observe = |done, total| task.observe(done, total);
            let standard = infer_standard(
                training,
                batches.size,
                n_features,
                &mut encode,
                (EPSILON, is_counted),
                &mut observe,
            )?;
            Scaling::Given(standard)
        }
    };
    let mut task = ctx.task("extracting", "pictures");
    let mut observe = |done, total| task.observe(done, total);
    extract_scaled(store, batches, n_features, &mut encode, scaling, ctx.out, &mut observe)?;
    let config = kmeans.config();
    let of = match Record::read(model)? {
        Some(record) => record.metrics.get("trained_on").and_then(|name| name.as_str()).map(str::to_owned),
        None => None,
    };
    let of = of.map(|data| format!(" of {data}")).unwrap_or_default();
    Ok(Description {
        name: format!("1-layer K-means ({} maps)", config.maps),
        n_features,
        max_units: Some(config.maps),
        is_untrained: false,
        centroids: Some(format!(
            "{} centroids of {side}×{side} patches{of}, {} passes over {}",
            config.maps,
            config.passes,
            config.patches,
            side = config.patch
        )),
    })
}

/// Refuses features of other centroids.
fn check_model(features: &Path, model: &Path) -> anyhow::Result<()> {
    let (Some((_, record)), Some(ours)) = (made_by(features)?, Record::read(model)?) else { return Ok(()) };
    let theirs = record.inputs.iter().find(|input| input.key == "model");
    anyhow::ensure!(
        theirs.is_some_and(|theirs| theirs.fingerprint == ours.fingerprint()),
        "`statistics`: expected features made with the centroids in {}, found in {} those made with {}",
        model.display(),
        features.display(),
        theirs.map_or("no model".to_owned(), |theirs| format!("other ones, of `{}`", theirs.name))
    );
    Ok(())
}
