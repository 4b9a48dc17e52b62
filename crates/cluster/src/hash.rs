//! Codes of a set, its parts hashed wherever the engine has room.

use std::path::PathBuf;

use dcgan_dedup::hash::{HashConfig, HashSummary, HashedPart, merge};
use dcgan_files::columns::{Column, Writer};
use dcgan_images::Source;
use serde_json::json;

use crate::functions::ShardSpec;
use crate::near::json;
use crate::session::Session;
use crate::work::Work;
use crate::{ClusterError, Result, out};

/// What is hashed, and where to.
#[derive(Clone, Debug)]
pub struct HashJob {
    /// The data set; on a cluster at the same path on every machine.
    pub source: Source,
    /// `autoencoder.safetensors`.
    pub autoencoder: PathBuf,
    /// Limits; neither `limit` nor `shard`.
    pub config: HashConfig,
    /// Parts that are hashed apart.
    pub n_parts: u64,
    /// Where the codes go.
    pub out: PathBuf,
    /// Where parts are kept until all is done; on a cluster at the same path on every machine.
    pub work: PathBuf,
}

const SCHEMA: &str = "message shard { REQUIRED INT64 shard (INTEGER(64, false)); }";

/// Hashes the parts and puts them together: the files that `hash_images` writes of the whole set.
///
/// # Errors
/// Where the set or a file cannot be read or written, or the engine gives up.
pub fn hash(session: &Session, job: &HashJob) -> Result<HashSummary> {
    if job.n_parts == 0 || job.n_parts > 99_999 {
        return Err(ClusterError::setting("parts", "1 to 99999", &job.n_parts.to_string()));
    }
    out::check(&job.out)?;
    let autoencoder = fs_err::canonicalize(&job.autoencoder)?;
    // Executors run elsewhere.
    let source = job.source.within(&std::env::current_dir()?);
    let about = json!({
        "hash": source, "autoencoder": autoencoder, "max_pixels": job.config.max_pixels, "damaged": job.config.damaged,
        "parts": job.n_parts,
    });
    let mut work = Work::open(session, &job.work, &about)?;
    let spec = ShardSpec {
        source,
        autoencoder,
        max_pixels: job.config.max_pixels,
        damaged: job.config.damaged,
        parts: work.path("parts"),
        n_parts: job.n_parts,
    };
    let mut lists = Vec::new();
    for index in 1..=job.n_parts {
        // A file each, so that each can be a task.
        let name = format!("shard-{index:05}");
        lists.push(work.list(&name, &mut |path| {
            let mut writer = Writer::create(path, SCHEMA)?;
            writer.write(&[Column::U64(vec![index])])?;
            Ok(writer.finish()?)
        })?);
    }
    session.table("shards", &lists)?;
    let query = format!("SELECT shard, hash_shard(shard, {}) AS n_images FROM shards", json(&spec));
    work.stage("hashed", &query)?;
    let parts: Vec<HashedPart> = (1..=job.n_parts).map(|index| spec.part(index)).collect::<Result<_>>()?;
    let mut observe = |_| session.flow();
    let summary = out::folder(&job.out, &mut |dir| Ok(merge(&parts, dir, &mut observe)?))?;
    spec.delete()?;
    work.finish()?;
    Ok(summary)
}
