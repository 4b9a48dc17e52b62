//! Shards that lie at addresses: fetched into a cache before they are read.

use anyhow::Context as _;
use dcgan_engine::context::Context;
pub(crate) use dcgan_fetch::is_address;
use dcgan_fetch::{Options, ShardSet, is_fetched, shard_cache};
use dcgan_images::{Shard, Source};
use serde_json::json;

use crate::fetch::Bar;

/// Whether a data set's shards are fetched: they lie at an address, or the path is a list of such.
pub(crate) fn is_remote(source: &Source) -> bool {
    source.shards().is_some_and(|(path, _)| is_fetched(path))
}

/// What is wrong with a path that is an address: only shards may lie at one.
pub(crate) fn misplaced(source: &Source) -> Option<String> {
    let path = source.paths().into_iter().find(|path| is_address(path))?;
    source.shards().is_none().then(|| {
        format!(
            "expected a path, found the address {}; shards alone are read from addresses, by source.tar and source.parquet",
            path.display()
        )
    })
}

/// A data set as a stage reads it.
pub(crate) struct Reading {
    /// With its shards here.
    pub(crate) source: Source,
    /// The part of it that is read; alone, where the files of no others are here.
    pub(crate) shard: Option<Shard>,
    /// Of files at addresses, what the list of them comes to.
    list: Option<String>,
    /// Of a part, how many files there are in all.
    n_files: Option<usize>,
}

impl Reading {
    /// A data set that is here.
    pub(crate) fn here(source: Source, shard: Option<Shard>) -> Self {
        Self { source, shard, list: None, n_files: None }
    }

    /// Whether this part tells of files that are not read at all: else they are told once, by the last part.
    pub(crate) fn tells_the_rest(&self) -> bool {
        self.shard.is_none_or(|shard| shard.is_last() || shard.is_alone())
    }

    /// Notes how the set was divided, which `merge` compares.
    pub(crate) fn note(&self, metrics: &mut serde_json::Value) {
        if let (Some(list), Some(n_files)) = (&self.list, self.n_files) {
            metrics["divided"] = json!({"n_files": n_files, "list": list});
        }
    }
}

/// The source with its shards here, in the cache: all of them, or those of a part, which is whole files where there are as many.
pub(crate) fn fetched(source: &Source, shard: Option<Shard>, ctx: &Context<'_>) -> anyhow::Result<Reading> {
    let Some((path, ending)) = source.shards().filter(|_| is_remote(source)) else {
        return Ok(Reading::here(source.clone(), shard));
    };
    let source = &absolute(source)?;
    let (path, ending) = source.shards().unwrap_or((path, ending));
    let address =
        path.to_str().with_context(|| format!("{}: expected an address in UTF-8", path.display()))?;
    let cache = shard_cache()
        .context("expected a folder to keep shards in, found no home; name one in DCGAN_CACHE")?;
    let options = Options::of_shards();
    let mut bar = Bar::new(ctx);
    let set = ShardSet::list(address, ending, &options, &cache, &mut |event| bar.show(event))?;
    let names = source.files_among(set.names())?;
    let (n_files, list) = (names.len(), Some(set.digest()));
    let is_by_files = shard.is_some_and(|shard| n_files as u64 >= shard.count());
    anyhow::ensure!(
        is_by_files || shard.is_none() || !matches!(source, Source::Tar { .. }),
        "{address}: expected at least {} tar archives, of which each part has some, found {n_files}",
        shard.map_or(0, Shard::count)
    );
    let part = shard.filter(|_| is_by_files && n_files > 1).map(|shard| {
        let range = shard.range(n_files as u64);
        names[range.start as usize..range.end as usize].to_vec()
    });
    let mut wanted = part.clone().unwrap_or_else(|| names.clone());
    if part.is_some() && source.needs_first_file() && wanted[0] != names[0] {
        // By it labels are recognised.
        wanted.insert(0, names[0].clone());
    }
    let shards = set.fetch(&wanted, &mut |event| bar.show(event))?;
    drop(bar);
    ctx.progress().detail(format_args!(
        "  {address}: {} of {:.1} MB in {}, {} of them fetched now",
        dcgan_files::words::counted(shards.n_shards, "shard"),
        shards.bytes as f64 / 1e6,
        shards.path.display(),
        shards.n_downloaded
    ));
    let Some(part) = part else {
        let source = source.at(shards.path);
        return Ok(Reading { list, n_files: shard.map(|_| n_files), ..Reading::here(source, shard) });
    };
    let source = source.with_label_of(&set.path_of(&names[0])).at(set.only(&part)?);
    Ok(Reading { list, n_files: Some(n_files), ..Reading::here(source, shard.map(Shard::alone)) })
}

/// The same source; a list's path is whole: another folder's list of the same name is another list.
fn absolute(source: &Source) -> anyhow::Result<Source> {
    Ok(match source.shards() {
        Some((path, _)) if !is_address(path) => source.at(fs_err::canonicalize(path)?),
        _ => source.clone(),
    })
}
