//! Codes of a set, its parts hashed wherever the engine has room.

use std::path::PathBuf;

use dcgan_dedup::DedupError;
use dcgan_dedup::hash::files::BAD;
use dcgan_dedup::hash::{HashConfig, HashSummary, HashedPart, merge};
use dcgan_engine::terminal::say;
use dcgan_files::columns::{Column, Writer};
use dcgan_images::{PassedOver, Source, archives};
use serde::Serialize;
use serde_json::json;

use crate::error::there;
use crate::functions::ShardSpec;
use crate::near::json;
use crate::remote::is_remote;
use crate::session::Session;
use crate::work::Work;
use crate::{ClusterError, Result, codes, out, remote};

/// What is hashed, and where to.
#[derive(Clone, Debug)]
pub struct HashJob {
    /// The data set; on a cluster at the same path on every machine, or at an address, from where each fetches what it hashes.
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

/// What a hashing did.
#[derive(Clone, Debug, Serialize)]
pub struct HashReport {
    /// Of the pictures.
    #[serde(flatten)]
    pub summary: HashSummary,
    /// How many files of each ending are no pictures by their names; `bad.csv` lists them too.
    #[serde(skip_serializing_if = "PassedOver::is_empty")]
    pub not_read: PassedOver,
}

/// Hashes the parts and puts them together: the files that `hash_images` writes of the whole set.
///
/// # Errors
/// Where the set or a file cannot be read or written, or the engine gives up.
pub fn hash(session: &Session, job: &HashJob) -> Result<HashReport> {
    if job.n_parts == 0 || job.n_parts > 99_999 {
        return Err(ClusterError::setting("parts", "1 to 99999", &job.n_parts.to_string()));
    }
    out::check_beside(&job.out, &job.work)?;
    let autoencoder = there(&job.autoencoder, "an autoencoder, by the stage train_autoencoder")?;
    let remote =
        is_remote(&job.source).then(|| remote::list(&job.source, &mut || session.flow())).transpose()?;
    let source = match &remote {
        Some(listed) => listed.source.clone(),
        // Executors run elsewhere.
        None => job.source.within(&std::env::current_dir()?),
    };
    let listed = remote.as_ref().map(|listed| listed.digest.clone());
    // A set, or a model, that has changed since the job began is another one.
    let set = if remote.is_some() { Vec::new() } else { codes::stamps(&source)? };
    let about = json!({
        "hash": source, "listed": listed, "set": set, "autoencoder": autoencoder, "model": codes::stamp(&autoencoder)?, "max_pixels": job.config.max_pixels, "damaged": job.config.damaged,
    });
    let n_parts = match &remote {
        Some(listed) => job.n_parts.min(listed.n_files),
        None => n_parts(session, &source, job.n_parts)?,
    };
    if n_parts < job.n_parts {
        say(format_args!("{n_parts} parts and not {}: the set has no more files or pictures", job.n_parts));
    }
    let mut work = Work::open(session, &job.work, &about)?;
    let spec = ShardSpec {
        source: source.clone(),
        listed,
        autoencoder,
        max_pixels: job.config.max_pixels,
        damaged: job.config.damaged,
        // Those of another division lie apart.
        parts: work.path(&format!("parts-{n_parts}")),
        n_parts,
    };
    let mut lists = Vec::new();
    for index in 1..=n_parts {
        // A file each, so that each can be a task.
        let name = format!("shard-{n_parts}-{index:05}");
        lists.push(work.list(&name, &mut |path| {
            let mut writer = Writer::create(path, SCHEMA)?;
            writer.write(&[Column::U64(vec![index])])?;
            Ok(writer.finish()?)
        })?);
    }
    session.table("shards", &lists)?;
    let query = format!("SELECT shard, hash_shard(shard, {}) AS n_images FROM shards", json(&spec));
    work.stage(&format!("hashed_{n_parts}"), &query)?;
    let parts: Vec<(HashedPart, PassedOver)> =
        (1..=n_parts).map(|index| spec.part(index)).collect::<Result<_>>()?;
    let (parts, passed_over): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    let mut not_read = PassedOver::new();
    for (kind, n) in passed_over.into_iter().flatten() {
        *not_read.entry(kind).or_default() += n;
    }
    let mut observe = |_| session.flow();
    let summary = out::folder(&job.out, &mut |dir| {
        let summary = merge(&parts, dir, &mut observe)?;
        if remote.is_none() {
            not_read = source.list_passed_over(&dir.join(BAD)).map_err(DedupError::from)?;
        }
        Ok(summary)
    })?;
    spec.delete()?;
    work.finish()?;
    Ok(HashReport { summary, not_read })
}

/// As many parts as are wanted, but no more than there are archives or pictures, of which each needs some.
fn n_parts(session: &Session, source: &Source, wanted: u64) -> Result<u64> {
    let archives = archives(source).map_err(DedupError::from)?.len() as u64;
    let most = match archives {
        0 => source.survey(&mut |_, _| session.flow()).map_err(DedupError::from)?.n_images(),
        _ => Some(archives),
    };
    Ok(most.map_or(wanted, |most| wanted.min(most)).max(1))
}
