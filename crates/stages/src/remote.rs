//! Shards that lie at addresses: fetched into a cache before they are read.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use dcgan_engine::context::Context;
use dcgan_fetch::{Options, S3, fetch_shards};
use dcgan_images::Source;

use crate::fetch::Bar;

/// Where what was fetched is kept, if not in the user's cache.
const CACHE: &str = "DCGAN_CACHE";

/// The path of a data set's shards, and their ending, where such may lie at addresses.
fn shards(source: &Source) -> Option<(&Path, &'static str)> {
    match source {
        Source::Tar { path, .. } => Some((path, "tar")),
        Source::Parquet { path, .. } => Some((path, "parquet")),
        _ => None,
    }
}

/// Whether a path is an address.
pub(crate) fn is_address(path: &Path) -> bool {
    ["http://", "https://", "s3://"]
        .iter()
        .any(|scheme| path.as_os_str().as_encoded_bytes().starts_with(scheme.as_bytes()))
}

/// Whether a data set's shards are fetched: they lie at an address, or the path is a list of such.
pub(crate) fn is_remote(source: &Source) -> bool {
    shards(source).is_some_and(|(path, _)| is_address(path) || is_list(path))
}

/// Whether a path here is a list of addresses.
pub(crate) fn is_list(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("txt"))
}

/// What is wrong with a path that is an address: only shards may lie at one.
pub(crate) fn misplaced(source: &Source) -> Option<String> {
    let path = source.paths().into_iter().find(|path| is_address(path))?;
    shards(source).is_none().then(|| {
        format!(
            "expected a path, found the address {}; shards alone are read from addresses, by source.tar and source.parquet",
            path.display()
        )
    })
}

/// The source with its shards here, in the cache.
pub(crate) fn fetched(source: &Source, ctx: &Context<'_>) -> anyhow::Result<Source> {
    let Some((path, ending)) = shards(source).filter(|_| is_remote(source)) else {
        return Ok(source.clone());
    };
    // Another folder's list of the same name is another list.
    let path = if is_address(path) { path.to_path_buf() } else { fs_err::canonicalize(path)? };
    let address =
        path.to_str().with_context(|| format!("{}: expected an address in UTF-8", path.display()))?;
    let cache = cache()?;
    let options = Options { s3: S3::from_environment(), tell_unpublished: false, ..Options::default() };
    let mut bar = Bar::new(ctx);
    let shards = fetch_shards(address, ending, &options, &cache, &mut |event| bar.show(event))?;
    drop(bar);
    ctx.progress().detail(format_args!(
        "  {address}: {} of {:.1} MB in {}, {} of them fetched now",
        dcgan_files::words::counted(shards.n_shards, "shard"),
        shards.bytes as f64 / 1e6,
        shards.path.display(),
        shards.n_downloaded
    ));
    Ok(match source.clone() {
        Source::Tar { label, .. } => Source::Tar { path: shards.path, label },
        Source::Parquet { split, image, label, .. } => {
            Source::Parquet { path: shards.path, split, image, label }
        }
        other => other,
    })
}

/// `$DCGAN_CACHE`, or `dcgan` in the user's cache.
fn cache() -> anyhow::Result<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home =
        || std::env::home_dir().filter(|home| !home.as_os_str().is_empty()).map(|home| home.join(".cache"));
    set(CACHE)
        .or_else(|| set("XDG_CACHE_HOME").or_else(home).map(|cache| cache.join("dcgan")))
        .map(|cache| cache.join("shards"))
        .with_context(|| format!("expected a folder to keep shards in, found no home; name one in {CACHE}"))
}
