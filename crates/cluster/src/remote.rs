//! Sets that lie at addresses: each part's files are fetched by whoever hashes it, into the cache of that machine.

use std::ops::ControlFlow;

use dcgan_dedup::DedupError;
use dcgan_engine::terminal::say;
use dcgan_fetch::{Action, Event, Options, ShardSet, is_address, is_fetched, shard_cache};
use dcgan_images::{Shard, Source};

use crate::{ClusterError, Result};

/// Whether a set's files are to be fetched: they lie at addresses.
pub(crate) fn is_remote(source: &Source) -> bool {
    let is_misplaced = || source.paths().into_iter().any(is_address);
    source.shards().map_or_else(is_misplaced, |(path, _)| is_fetched(path))
}

/// What is known of a set before it is divided.
pub(crate) struct Listed {
    /// With what its first file tells of the others.
    pub(crate) source: Source,
    /// What the list comes to: whoever lists the set later must find the same.
    pub(crate) digest: String,
    pub(crate) n_files: u64,
}

/// Lists a set's files; the first of tars is fetched where it tells of the others.
pub(crate) fn list(source: &Source, flow: &mut dyn FnMut() -> ControlFlow<()>) -> Result<Listed> {
    // A list is known by its path, which is the same on every machine.
    let source = &match source.shards() {
        Some((path, _)) if !is_address(path) => source.at(fs_err::canonicalize(path)?),
        _ => source.clone(),
    };
    with_set(source, flow, &mut |set, names, flow| {
        let mut source = source.clone();
        // By it labels are recognised.
        if source.needs_first_file() {
            set.fetch(&names[..1], &mut telling(flow))?;
            source = source.with_label_of(&set.path_of(&names[0]));
        }
        Ok(Listed { source, digest: set.digest(), n_files: names.len() as u64 })
    })
}

/// Fetches the files of a part: the set of these alone.
pub(crate) fn fetch(
    source: &Source,
    digest: &str,
    shard: Shard,
    flow: &mut dyn FnMut() -> ControlFlow<()>,
) -> Result<Source> {
    with_set(source, flow, &mut |set, names, flow| {
        if set.digest() != digest {
            let expected = "the files that were there when the job began";
            return Err(ClusterError::setting("source", expected, "others; begin anew, with another --work"));
        }
        let range = shard.range(names.len() as u64);
        let part = &names[range.start as usize..range.end as usize];
        set.fetch(part, &mut telling(flow))?;
        Ok(source.at(set.only(part)?))
    })
}

type With<'a, T> = dyn FnMut(&ShardSet<'_>, &[String], &mut dyn FnMut() -> ControlFlow<()>) -> Result<T> + 'a;

/// Calls a function with a set and the names of those of its files that are read.
fn with_set<T>(
    source: &Source,
    flow: &mut dyn FnMut() -> ControlFlow<()>,
    with: &mut With<'_, T>,
) -> Result<T> {
    let wrong = |expected, found: &str| ClusterError::setting("source", expected, found);
    let others = || wrong("tars or Parquet files, which alone are read from addresses", &source.to_string());
    let (path, ending) = source.shards().ok_or_else(others)?;
    let address = path.to_str().ok_or_else(|| wrong("an address in UTF-8", &path.display().to_string()))?;
    let cache =
        shard_cache().ok_or_else(|| wrong("a folder to keep files in, named in DCGAN_CACHE", "no home"))?;
    let options = Options::of_shards();
    let set = ShardSet::list(address, ending, &options, &cache, &mut telling(flow))?;
    let names = source.files_among(set.names()).map_err(DedupError::from)?;
    with(&set, &names, flow)
}

/// Says what is fetched or waited for, and what there is to know of it.
fn telling(flow: &mut dyn FnMut() -> ControlFlow<()>) -> impl FnMut(Event<'_>) -> ControlFlow<()> {
    let mut last = String::new();
    move |event| {
        match event {
            Event::Progress { action: Action::Downloading, file, .. } if file != last => {
                last = file.to_owned();
                say(format_args!("fetching {file}"));
            }
            Event::Progress { .. } => {}
            Event::Note(text) => say(format_args!("{text}")),
        }
        flow()
    }
}
