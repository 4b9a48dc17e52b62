//! A data set that a stage reads: outside the pipeline, or within the folder of the stage that made it.

use std::path::{Component, Path};

use dcgan_engine::context::Context;
use dcgan_engine::external::{Advice, External, Form};
use dcgan_engine::stage::{ConfigProblem, FactsOf, Input, InputRef};
use dcgan_images::{HIDDEN, PassedOver, Shard, Source, in_words};

use crate::artifact;
use crate::known::{Known, known};
use crate::lineage::{FOLDER, IMAGENET, LSUN, SVHN};
use crate::remote::{self, Reading};

/// The stage that made the data set, as an input.
pub(crate) fn inputs<'a>(from: Option<&'a Input>, source: &Source) -> Vec<InputRef<'a>> {
    let needs = match source {
        Source::Store { .. } => artifact::IMAGES,
        _ => artifact::DATASET,
    };
    from.into_iter().map(|name| InputRef { key: "from", name, needs }).collect()
}

/// The key under which a data set's paths are recorded.
const SOURCE: &str = "source";

/// The data set's files, where no stage made it.
pub(crate) fn externals(from: Option<&Input>, source: &Source) -> Vec<External> {
    if from.is_some() || source.paths().into_iter().any(remote::is_address) {
        return Vec::new();
    }
    let is = match source {
        Source::Svhn { .. } | Source::Mnist { .. } | Source::ImageNetTar { .. } => Form::File,
        Source::Tar { .. } | Source::Parquet { .. } if remote::is_remote(source) => Form::File,
        Source::Tar { .. } | Source::Parquet { .. } => Form::FileOrFolder,
        Source::Cifar10 { .. }
        | Source::Folder { .. }
        | Source::ImageNetFolder { .. }
        | Source::Lsun { .. }
        | Source::Store { .. } => Form::Folder,
    };
    let external = |path: &Path| External { key: SOURCE, path: path.to_owned(), is };
    source.paths().into_iter().map(external).collect()
}

/// The key of `source` for what lies at a path, or may be meant to lie there.
pub(crate) fn key_of_path(path: &Path) -> Option<&'static str> {
    let holds = |name: &str| path.join(name).is_file();
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_lowercase();
    if path.is_dir() {
        return Some(match () {
            () if holds("images.npy") && holds("meta.json") => "source.store.path",
            () if holds("data.mdb") => "source.lsun.path",
            () if holds("data_batch_1.bin") || holds("test_batch.bin") => "source.cifar10.path",
            () if !holds("stage.json") && holds_parquet(path) => "source.parquet.path",
            () => "source.folder.path",
        });
    }
    match ending.as_str() {
        "mat" => Some("source.svhn.path"),
        "tar" => Some("source.tar.path"),
        "parquet" => Some("source.parquet.path"),
        _ => (!path.exists()).then_some("source.folder.path"),
    }
}

/// Whether Parquet files lie in a folder.
fn holds_parquet(folder: &Path) -> bool {
    let is_one =
        |entry: std::fs::DirEntry| entry.path().extension().is_some_and(|ending| ending == "parquet");
    std::fs::read_dir(folder).is_ok_and(|entries| entries.flatten().any(is_one))
}

/// The key of a path: of the data set's that of its kind, of others their own.
pub(crate) fn key_of(source: &Source, external: &External) -> &'static str {
    let path = &external.path;
    match source {
        _ if external.key != SOURCE => external.key,
        Source::Cifar10 { .. } => "source.cifar10.path",
        Source::Svhn { .. } => "source.svhn.path",
        Source::Mnist { images, .. } if images == path => "source.mnist.images",
        Source::Mnist { .. } => "source.mnist.labels",
        Source::Folder { .. } => "source.folder.path",
        Source::ImageNetTar { .. } => "source.imagenet_tar.path",
        Source::ImageNetFolder { .. } => "source.imagenet_folder.path",
        Source::Lsun { .. } => "source.lsun.path",
        Source::Tar { .. } => "source.tar.path",
        Source::Parquet { .. } => "source.parquet.path",
        Source::Store { .. } => "source.store.path",
    }
}

/// What to say of a data set's path that is not there or is something else than was meant; of other paths nothing.
pub(crate) fn advice(source: &Source, external: &External, found: Option<Form>) -> Advice {
    if external.key != SOURCE {
        return Advice::default();
    }
    if found.is_some() {
        let packed = source.refuse_archive().err().map(|packed| packed.to_string());
        let help = key_of_path(&external.path).map(|key| format!("did you mean `{key}`?"));
        return Advice { help: help.filter(|_| packed.is_none()), message: packed };
    }
    let set = match source {
        Source::Cifar10 { .. } => Some("cifar10"),
        Source::Svhn { path } => {
            let is_extra = path.file_name().is_some_and(|name| name == "extra_32x32.mat");
            Some(if is_extra { "svhn_extra" } else { "svhn" })
        }
        Source::Mnist { .. } => Some("mnist"),
        Source::Lsun { .. } => Some("lsun"),
        _ => None,
    };
    let help = set.map(|set| {
        format!(
            "`dcgan stage fetch --out data sets='[\"{set}\"]'` downloads it to the folder `data`; where it lies elsewhere, give \
             that path"
        )
    });
    Advice { message: None, help }
}

/// What a data set is called in tables; none for a store, which tells nothing.
pub(crate) fn name(source: &Source) -> Option<String> {
    let name = match source {
        Source::Cifar10 { .. } => "CIFAR-10",
        Source::Svhn { .. } => SVHN,
        Source::Mnist { .. } => "MNIST",
        Source::ImageNetTar { .. } | Source::ImageNetFolder { .. } => IMAGENET,
        Source::Lsun { .. } => LSUN,
        Source::Folder { .. } | Source::Tar { .. } | Source::Parquet { .. } => FOLDER,
        Source::Store { .. } => return None,
    };
    Some(name.to_owned())
}

/// Refuses a path out of the folder of the stage that made the data set.
pub(crate) fn problems(from: Option<&Input>, source: &Source) -> Option<ConfigProblem> {
    // What lies outside the stage's folder would be neither checked nor fingerprinted.
    let is_inside =
        |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    let is_wrong =
        from.is_some() && (remote::is_remote(source) || !source.paths().into_iter().all(is_inside));
    let message = "with `from`, expected a path within that stage's folder, without `..`".to_owned();
    let message = if is_wrong { Some(message) } else { remote::misplaced(source) };
    message.map(|message| ConfigProblem { key: "source".to_owned(), message })
}

/// The source with its paths put under the folder of the stage that made it, or with its shards fetched from where they lie.
pub(crate) fn resolve(from: Option<&Input>, source: &Source, ctx: &Context<'_>) -> anyhow::Result<Source> {
    Ok(resolve_part(from, source, None, ctx)?.source)
}

/// The same of a part of it, of which alone shards are fetched.
pub(crate) fn resolve_part(
    from: Option<&Input>,
    source: &Source,
    shard: Option<Shard>,
    ctx: &Context<'_>,
) -> anyhow::Result<Reading> {
    match from {
        Some(from) => Ok(Reading::here(source.within(&ctx.input(from)), shard)),
        None => remote::fetched(source, shard, ctx),
    }
}

/// The source for those who read it elsewhere, and fetch shards there.
pub(crate) fn resolve_elsewhere(from: Option<&Input>, source: &Source, ctx: &Context<'_>) -> Reading {
    let source = from.map_or_else(|| source.clone(), |from| source.within(&ctx.input(from)));
    Reading::here(source, None)
}

/// The same, where nothing is to be fetched for it.
pub(crate) fn resolve_here(from: Option<&Input>, source: &Source, ctx: &Context<'_>) -> Option<Source> {
    match from {
        Some(from) => Some(source.within(&ctx.input(from))),
        None => (!remote::is_remote(source)).then(|| source.clone()),
    }
}

/// What is known of the data set before anything runs.
pub(crate) fn known_of(from: Option<&Input>, source: &Source, of: &FactsOf<'_>) -> Known {
    Known::of_source(source, from.map(|from| known(of, from)))
}

/// How many pictures of a data set are read, where that can be listed beforehand.
pub(crate) fn n_read(
    source: &Source,
    limit: Option<usize>,
    ctx: &Context<'_>,
) -> anyhow::Result<Option<u64>> {
    let limit = limit.map_or(u64::MAX, |limit| limit as u64);
    Ok(source.n_images_until(&ctx.progress().interrupt().stop())?.map(|n_images| n_images.min(limit)))
}

/// Folders on a warning.
const N_LISTED: usize = 5;

/// Notes among the metrics, and warns of, folders in the data set that are not read.
pub(crate) fn note_left_out(
    source: &Source,
    ctx: &Context<'_>,
    metrics: &mut serde_json::Value,
) -> anyhow::Result<()> {
    let left_out = source.left_out(&ctx.progress().interrupt().stop())?;
    let names: Vec<String> = left_out.iter().map(ToString::to_string).collect();
    if names.is_empty() {
        return Ok(());
    }
    let listed = names.iter().take(N_LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = names.len().saturating_sub(N_LISTED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let folders = if names.len() == 1 { "folder" } else { "folders" };
    ctx.progress().warn(format_args!("{} {folders} in {source} left out: {listed}{more}", names.len()));
    metrics["left_out"] = names.into();
    Ok(())
}

/// Lists the files of a set that are not named as pictures in `bad.csv`, and says, also in the metrics, how many there
/// are of each ending, and how many pictures are hidden.
pub(crate) fn list_passed_over(
    source: &Source,
    ctx: &Context<'_>,
    metrics: &mut serde_json::Value,
) -> anyhow::Result<()> {
    note_passed_over(&source.list_passed_over(&ctx.out.join("bad.csv"))?, ctx, metrics)
}

/// The same of files that are listed already.
pub(crate) fn note_passed_over(
    passed_over: &PassedOver,
    ctx: &Context<'_>,
    metrics: &mut serde_json::Value,
) -> anyhow::Result<()> {
    if !passed_over.is_empty() {
        let listed = if passed_over.keys().all(|kind| kind == HIDDEN) { "" } else { " (see bad.csv)" };
        ctx.progress().warn(format_args!("files that are not read: {}{listed}", in_words(passed_over)));
        metrics["not_read"] = serde_json::to_value(passed_over)?;
    }
    Ok(())
}
