//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use dcgan_dedup::group::GroupConfig;
use dcgan_dedup::hash::HashConfig;
use dcgan_engine::space::parse_bytes;
use dcgan_images::Source;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use dcgan_cluster::session::Place;

/// Hashes sets of pictures, groups near-duplicates and lists what stays, in one process with a limit on memory or on many machines.
#[derive(Debug, Parser)]
#[command(name = "dcgan-cluster", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Hash a set in parts and put them together: the files that the stage hash_images writes.
    Hash(HashArgs),
    /// Find groups of near-duplicates: the files that the stage group_duplicates writes.
    Group(GroupArgs),
    /// List what stays of a set and what does not.
    Remove(RemoveArgs),
    /// Run a scheduler until it is stopped.
    Scheduler(SchedulerArgs),
    /// Run an executor until it is stopped.
    Executor(ExecutorArgs),
}

/// Where work is done.
#[derive(Debug, Args)]
pub(crate) struct PlaceArgs {
    /// `local`, or a scheduler: df://host:50050.
    #[arg(long, default_value = "local", value_parser = cluster)]
    cluster: String,
    /// What the engine may hold in memory in this process, such as 4GB, before it writes to --spill.
    #[arg(long, default_value = "4GB", value_parser = memory)]
    memory: u64,
    /// A folder for what does not fit into memory in this process; by default the system's for temporary files.
    #[arg(long)]
    spill: Option<PathBuf>,
    /// Parts that a stage is divided into; by default as many as this machine has cores, or 16 on a cluster.
    #[arg(long, value_parser = partitions)]
    partitions: Option<usize>,
    /// Where stages are kept until all is done, on a cluster at the same path on every machine; by default OUT.work.
    #[arg(long)]
    work: Option<PathBuf>,
    /// A folder for the result, which is not there yet.
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// Stop when standard input ends: for a program that starts this one.
    #[arg(long)]
    pub(crate) attended: bool,
}

impl PlaceArgs {
    pub(crate) fn work(&self) -> PathBuf {
        let beside = || {
            let mut name = self.out.clone().into_os_string();
            name.push(".work");
            name.into()
        };
        self.work.clone().unwrap_or_else(beside)
    }

    pub(crate) fn place(&self) -> Place {
        let n_cores = std::thread::available_parallelism().map_or(1, usize::from);
        let memory = usize::try_from(self.memory).unwrap_or(usize::MAX);
        let spill = self.spill.clone().unwrap_or_else(std::env::temp_dir);
        match self.cluster.as_str() {
            "local" => Place::Local { memory, spill, n_threads: self.partitions.unwrap_or(n_cores) },
            scheduler => Place::Cluster {
                scheduler: scheduler.to_owned(),
                n_partitions: self.partitions.unwrap_or(16),
                memory,
                spill,
            },
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct HashArgs {
    /// The data set: KIND=PATH, such as lsun=bedroom_train_lmdb, tar=shards, tar=s3://bucket/shards/ or folder=photos; or as in a
    /// manifest, in JSON.
    #[arg(long, value_parser = source)]
    pub(crate) source: Source,
    /// The folder of the stage train_autoencoder.
    #[arg(long)]
    pub(crate) autoencoder: PathBuf,
    /// Parts of the set that are hashed apart: no more than there are pictures, of tars and of what lies at addresses no more than there
    /// are files.
    #[arg(long, default_value_t = 16)]
    pub(crate) parts: u64,
    /// Settings as in a manifest: max_pixels=100000000 damaged=allow.
    #[arg(value_name = "KEY=VALUE")]
    settings: Vec<String>,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct GroupArgs {
    /// The folder of codes.
    #[arg(long)]
    pub(crate) codes: PathBuf,
    /// Settings as in a manifest's `grouping`: rule=near radius=8.
    #[arg(value_name = "KEY=VALUE")]
    settings: Vec<String>,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

impl GroupArgs {
    pub(crate) fn config(&self) -> Result<GroupConfig, String> {
        settings(&self.settings)
    }
}

impl HashArgs {
    pub(crate) fn config(&self) -> Result<HashConfig, String> {
        settings(&self.settings)
    }
}

/// KEY=VALUE, each value JSON or a text.
fn settings<T: DeserializeOwned>(arguments: &[String]) -> Result<T, String> {
    let mut table = Map::new();
    for argument in arguments {
        let (key, value) =
            argument.split_once('=').ok_or_else(|| format!("expected KEY=VALUE, found {argument}"))?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        table.insert(key.to_owned(), value);
    }
    serde_json::from_value(Value::Object(table)).map_err(|error| error.to_string())
}

#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// The folder of codes.
    #[arg(long)]
    pub(crate) codes: PathBuf,
    /// The folder of groups.
    #[arg(long)]
    pub(crate) groups: PathBuf,
    /// Write the tars of the set again too: tar=FOLDER, or as in a manifest, in JSON.
    #[arg(long, value_parser = source)]
    pub(crate) tars: Option<Source>,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SchedulerArgs {
    /// The address to listen at.
    #[arg(long, default_value = "0.0.0.0")]
    pub(crate) host: String,
    /// The port to listen at.
    #[arg(long, default_value_t = 50050)]
    pub(crate) port: u16,
    /// After so many seconds without a sign an executor is lost, and others do its tasks.
    #[arg(long, default_value_t = 60)]
    pub(crate) timeout: u64,
}

#[derive(Debug, Args)]
pub(crate) struct ExecutorArgs {
    /// The scheduler's host and port.
    #[arg(long, value_parser = address)]
    pub(crate) scheduler: (String, u16),
    /// The address to listen at.
    #[arg(long, default_value = "0.0.0.0")]
    pub(crate) host: String,
    /// The name or address of this machine, under which the others find it.
    #[arg(long)]
    pub(crate) name: String,
    /// The port for data.
    #[arg(long, default_value_t = 50051)]
    pub(crate) port: u16,
    /// The port for tasks.
    #[arg(long, default_value_t = 50052)]
    pub(crate) task_port: u16,
    /// Tasks that are worked on at once; by default as many as this machine has cores.
    #[arg(long)]
    pub(crate) tasks: Option<usize>,
    /// What all tasks together may hold in memory, such as 4GB, before they write to --work.
    #[arg(long, default_value = "4GB", value_parser = memory)]
    pub(crate) memory: u64,
    /// A folder for what is passed on between stages and for what does not fit into memory.
    #[arg(long)]
    pub(crate) work: PathBuf,
}

fn memory(text: &str) -> Result<u64, String> {
    match parse_bytes(text) {
        Ok(..1_000_000) => Err("expected at least 1MB, such as 4GB".to_owned()),
        parsed => parsed,
    }
}

fn partitions(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| (1..=4096).contains(n)).ok_or_else(|| "expected 1 to 4096".to_owned())
}

fn cluster(text: &str) -> Result<String, String> {
    match text == "local" || text.strip_prefix("df://").is_some_and(|place| address(place).is_ok()) {
        true => Ok(text.to_owned()),
        false => Err("expected `local` or df://HOST:PORT".to_owned()),
    }
}

fn address(text: &str) -> Result<(String, u16), String> {
    let parts = text.trim_start_matches("df://").rsplit_once(':');
    let parsed = parts.and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)));
    parsed.ok_or_else(|| "expected host:port".to_owned())
}

fn source(text: &str) -> Result<Source, String> {
    let value = match (text.starts_with('{'), text.split_once('=')) {
        (true, _) => serde_json::from_str(text).map_err(|error| error.to_string())?,
        (false, Some((kind, path))) => serde_json::json!({kind: {"path": path}}),
        (false, None) => return Err("expected KIND=PATH".to_owned()),
    };
    serde_json::from_value(value).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_sources_and_settings_are_read() {
        assert_eq!(memory("4GB"), Ok(4_000_000_000));
        assert!(["0", "4", "4X"].iter().all(|text| memory(text).is_err()));
        assert!(partitions("64") == Ok(64) && partitions("0").is_err());
        assert!(cluster("local").is_ok() && cluster("df://a:7").is_ok());
        assert!(cluster("a:7").is_err() && cluster("df://a").is_err());
        assert_eq!(address("df://a:7"), Ok(("a".to_owned(), 7)));
        assert_eq!(source("lsun=a").map(|source| source.to_string()), Ok("lsun a".to_owned()));
        assert_eq!(source("folder=a").map(|source| source.to_string()), Ok("folder a".to_owned()));
        assert!(source("a").is_err() && source("lsnu=a").is_err());
        let line = ["dcgan-cluster", "group", "--codes", "a", "--out", "b", "rule=near", "radius=8"];
        let Verb::Group(args) = Cli::try_parse_from(line).map_err(|e| e.to_string()).unwrap().verb else {
            unreachable!()
        };
        assert_eq!(args.config().map(|config| config.radius), Ok(8));
    }
}
