//! What a stage's folder can hold, as far as other stages can use it.

use std::path::Path;

use dcgan_engine::stage::Artifact;
use dcgan_engine::suggest::shell_quoted;
use dcgan_images::Source;

/// A data set in its original distribution's layout.
pub const DATASET: Artifact = Artifact::new("a data set", &[]);
/// An image store: `images.npy`, `index.parquet`, `meta.json`.
pub const IMAGES: Artifact =
    Artifact { advice: store_of_pictures, ..Artifact::new("images", &["images.npy", "meta.json"]) };
/// `generator.safetensors`.
pub const GENERATOR: Artifact = Artifact::new("a generator", &["generator.safetensors"]);
/// `discriminator.safetensors`.
pub const DISCRIMINATOR: Artifact = Artifact::new("a discriminator", &["discriminator.safetensors"]);
/// `kmeans.safetensors`.
pub const KMEANS: Artifact = Artifact::new("K-means centroids", &["kmeans.safetensors"]);
/// What turns pictures into features.
pub const FEATURE_MODEL: Artifact =
    Artifact::any_of("a discriminator or K-means centroids", &[DISCRIMINATOR, KMEANS]);
/// What features are normalised by: pictures, or features that were.
pub const STATISTICS: Artifact = Artifact::any_of("images or features", &[IMAGES, FEATURES]);
/// `autoencoder.safetensors`.
pub const AUTOENCODER: Artifact = Artifact::new("an autoencoder", &["autoencoder.safetensors"]);
/// `classifier.safetensors`.
pub const CLASSIFIER: Artifact = Artifact::new("a classifier", &["classifier.safetensors"]);
/// `codes.parquet`, `pictures.npy` and the `autoencoder.safetensors` they come from.
pub const CODES: Artifact = Artifact::new("codes", &["codes.parquet"]);
/// What `merge` puts together.
pub const PARTS: Artifact = Artifact::any_of(
    "images, codes, features or a part of the faces",
    &[IMAGES, CODES, FEATURES, FACES_PART],
);
/// What `crop_faces` makes of a part of the photos.
pub const FACES_PART: Artifact = Artifact::new("a part of the faces", &[dcgan_faces::files::PART]);
/// `groups.parquet`.
pub const GROUPS: Artifact = Artifact::new("groups of near-duplicates", &["groups.parquet"]);
/// `features.npy`, and `labels.npy` where the pictures had labels.
pub const FEATURES: Artifact = Artifact::new("features", &["features.npy"]);
/// A set of pictures to compare with: the pictures, or features of them.
pub const PICTURES_OR_FEATURES: Artifact = Artifact::any_of("images or features", &[IMAGES, FEATURES]);
/// A set of pictures to be judged.
pub const SAMPLED: Artifact =
    Artifact::any_of("a generator, images or features", &[GENERATOR, IMAGES, FEATURES]);
/// Pictures, there or to be drawn.
pub const PICTURES_OR_GENERATOR: Artifact = Artifact::any_of("a generator or images", &[GENERATOR, IMAGES]);
/// What turns pictures into features to compare sets by.
pub const COMPARING_MODEL: Artifact = Artifact::any_of(
    "a discriminator, K-means centroids or an autoencoder",
    &[DISCRIMINATOR, KMEANS, AUTOENCODER],
);
/// `result.json`, a row of one of the paper's tables or a figure of our own.
pub const RESULT: Artifact = Artifact::new("a result", &[]);
/// `samples.png` and `z.npy`.
pub const SAMPLES: Artifact = Artifact::new("samples", &["samples.png", "z.npy"]);
/// `figures.json` and the pictures it lists.
pub const FIGURES: Artifact = Artifact::new("figures", &[]);
/// `report.md`, `report.json` and `report.html`.
pub const REPORT: Artifact = Artifact::new("a report", &[]);

/// How to make a store of a folder that holds pictures.
fn store_of_pictures(folder: &Path) -> Option<String> {
    let pictures = Source::Folder { path: folder.to_owned(), classes: false };
    let holds_pictures = pictures.records().ok()?.next().is_some_and(|record| record.is_ok());
    holds_pictures.then(|| {
        format!(
            "it holds pictures; make a store of them: `dcgan stage import_images --out out/images \
             source.folder.path={} resize='min_resize_centre_crop(64)'`, then give out/images",
            shell_quoted(&folder.display().to_string())
        )
    })
}
