//! A data set that a stage reads: outside the pipeline, or within the folder of the stage that made it.

use std::path::{Component, Path, PathBuf};

use dcgan_images::{HIDDEN, Source, in_words};

use super::info::{KeyInfo, optional};
use super::{Artifact, ConfigProblem, External, Form, Input, InputRef};
use crate::context::Context;
use crate::known::{Known, KnownOf};

/// The key `from`.
pub(super) const FROM: KeyInfo = optional(
    "from",
    "stage",
    "",
    "The stage that made the data set; paths in `source` are then within its folder, `.` is the folder itself.",
);

/// An LSUN LMDB.
pub(super) const LSUN: KeyInfo =
    optional("source.lsun.path", "folder", "", "An LSUN LMDB, such as bedroom_train_lmdb.");

/// A folder of pictures.
pub(super) const FOLDER: KeyInfo = optional(
    "source.folder.path",
    "folder",
    "",
    "JPEG, PNG, WebP, GIF, BMP and TIFF pictures, also in folders below; hidden ones are counted and passed over.",
);

/// Tars.
pub(super) const TAR: KeyInfo =
    optional("source.tar.path", "file or folder", "", "A tar of pictures, or a folder of such (WebDataset).");

/// An image store.
pub(super) const STORE: KeyInfo =
    optional("source.store.path", "folder", "", "An image store. `import_images` lists the other data sets.");

/// The key `max_pixels`.
pub(super) const MAX_PIXELS: KeyInfo = optional(
    "max_pixels",
    "count",
    "67108864",
    "Pictures that claim more pixels are passed over before they are decoded.",
);

/// The key `damaged`.
pub(super) const DAMAGED: KeyInfo = optional(
    "damaged",
    "\"refuse\" or \"allow\"",
    "\"refuse\"",
    "JPEGs of which a part is lost: bad pictures, or taken with grey where data is lost.",
);

/// The stage that made the data set, as an input.
pub(super) fn inputs<'a>(from: Option<&'a Input>, source: &Source) -> Vec<InputRef<'a>> {
    let needs = match source {
        Source::Store { .. } => Artifact::Images,
        _ => Artifact::Dataset,
    };
    from.into_iter().map(|name| InputRef { key: "from", name, needs }).collect()
}

/// The data set's files, where no stage made it.
pub(super) fn externals(from: Option<&Input>, source: &Source) -> Vec<External> {
    if from.is_some() {
        return Vec::new();
    }
    let is = match source {
        Source::Svhn { .. } | Source::Mnist { .. } | Source::ImageNetTar { .. } => Form::File,
        Source::Tar { .. } => Form::FileOrFolder,
        Source::Cifar10 { .. }
        | Source::Folder { .. }
        | Source::ImageNetFolder { .. }
        | Source::Lsun { .. }
        | Source::Store { .. } => Form::Folder,
    };
    source.paths().into_iter().map(|path| External { key: "source", path: path.to_owned(), is }).collect()
}

/// Refuses a path out of the folder of the stage that made the data set.
pub(super) fn problems(from: Option<&Input>, source: &Source) -> Option<ConfigProblem> {
    // What lies outside the stage's folder would be neither checked nor fingerprinted.
    let is_inside =
        |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    let is_wrong = from.is_some() && !source.paths().into_iter().all(is_inside);
    let message = "with `from`, expected a path within that stage's folder, without `..`".to_owned();
    is_wrong.then(|| ConfigProblem { key: "source".to_owned(), message })
}

/// The source with its paths put under the folder of the stage that made it.
pub(super) fn resolve(from: Option<&Input>, source: &Source, ctx: &Context<'_>) -> Source {
    match from {
        Some(from) => within(source, &ctx.input(from)),
        None => source.clone(),
    }
}

/// What is known of the data set before anything runs.
pub(super) fn known(from: Option<&Input>, source: &Source, of: &KnownOf<'_>) -> Known {
    Known::of_source(source, from.map(of))
}

/// How many pictures of a data set are read, where that can be told beforehand.
pub(super) fn n_read(
    source: &Source,
    limit: Option<usize>,
    ctx: &Context<'_>,
) -> anyhow::Result<Option<u64>> {
    let limit = limit.map_or(u64::MAX, |limit| limit as u64);
    Ok(source.n_images_until(&ctx.progress().interrupt().stop())?.map(|n_images| n_images.min(limit)))
}

/// Folders on a warning.
const N_TOLD: usize = 5;

/// Notes among the metrics, and warns of, folders in the data set that are not read.
pub(super) fn tell_left_out(
    source: &Source,
    ctx: &Context<'_>,
    metrics: &mut serde_json::Value,
) -> anyhow::Result<()> {
    let left_out = source.left_out(&ctx.progress().interrupt().stop())?;
    let names: Vec<String> = left_out.iter().map(ToString::to_string).collect();
    if names.is_empty() {
        return Ok(());
    }
    let told = names.iter().take(N_TOLD).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = names.len().saturating_sub(N_TOLD);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let folders = if names.len() == 1 { "folder" } else { "folders" };
    ctx.progress().warn(format_args!("{} {folders} in {source} left out: {told}{more}", names.len()));
    metrics["left_out"] = names.into();
    Ok(())
}

/// Lists the files of a set that are not named as pictures in `bad.csv`, and says, also in the metrics, how many there
/// are of each ending, and how many pictures are hidden.
pub(super) fn list_passed_over(
    source: &Source,
    ctx: &Context<'_>,
    metrics: &mut serde_json::Value,
) -> anyhow::Result<()> {
    let passed_over = source.list_passed_over(&ctx.out.join("bad.csv"))?;
    if !passed_over.is_empty() {
        let listed = if passed_over.keys().all(|kind| kind == HIDDEN) { "" } else { " (see bad.csv)" };
        ctx.progress().warn(format_args!("files that are not read: {}{listed}", in_words(&passed_over)));
        metrics["not_read"] = serde_json::to_value(passed_over)?;
    }
    Ok(())
}

fn within(source: &Source, folder: &Path) -> Source {
    let join = |path: &PathBuf| folder.join(path);
    match source {
        Source::Cifar10 { path, split } => Source::Cifar10 { path: join(path), split: *split },
        Source::Svhn { path } => Source::Svhn { path: join(path) },
        Source::Mnist { images, labels } => {
            Source::Mnist { images: join(images), labels: labels.as_ref().map(join) }
        }
        Source::Folder { path, classes } => Source::Folder { path: join(path), classes: *classes },
        Source::ImageNetTar { path } => Source::ImageNetTar { path: join(path) },
        Source::ImageNetFolder { path } => Source::ImageNetFolder { path: join(path) },
        Source::Lsun { path } => Source::Lsun { path: join(path) },
        Source::Tar { path } => Source::Tar { path: join(path) },
        Source::Store { path } => Source::Store { path: join(path) },
    }
}
