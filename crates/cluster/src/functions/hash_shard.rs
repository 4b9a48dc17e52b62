//! `hash_shard(index, settings)`: hashes one of the parts of a set into a folder of its own, where the function is called.

use std::fs::TryLockError;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::UInt64Array;
use datafusion::arrow::datatypes::{DataType, UInt64Type};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use dcgan_dedup::hash::files::BAD;
use dcgan_dedup::hash::{HashConfig, HashedPart, hash};
use dcgan_dedup::{Autoencoder, DedupError};
use dcgan_images::{PassedOver, Shard, Source};
use serde::{Deserialize, Serialize};

use super::arrays::{columns, outer, settings, values};
use crate::remote;

/// What is hashed, with what, and where to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ShardSpec {
    pub(crate) source: Source,
    /// Of a set at an address, what its list comes to: each part's files are fetched by whoever hashes it.
    pub(crate) listed: Option<String>,
    pub(crate) autoencoder: PathBuf,
    pub(crate) max_pixels: u64,
    pub(crate) damaged: dcgan_images::Damaged,
    /// Where each part has its folder, on every machine.
    pub(crate) parts: PathBuf,
    pub(crate) n_parts: u64,
}

/// What is noted in the folder of a part, once it is whole.
#[derive(Debug, Serialize, Deserialize)]
struct Counts {
    n_images: u64,
    n_bad: u64,
    /// Of a set at an address, what in the part's files is no picture.
    #[serde(default, skip_serializing_if = "PassedOver::is_empty")]
    not_read: PassedOver,
}

const COUNTS: &str = "counts.json";

impl ShardSpec {
    fn folder(&self, index: u64) -> PathBuf {
        self.parts.join(format!("part-{index:05}"))
    }

    /// A part that is whole, and what in it is no picture.
    pub(crate) fn part(&self, index: u64) -> crate::Result<(HashedPart, PassedOver)> {
        let dir = self.folder(index);
        let counts = read(&dir)?;
        Ok((HashedPart { n_bad: counts.n_bad, dir }, counts.not_read))
    }

    /// Deletes the parts, which lie in a folder of the job's and have names that it gave.
    pub(crate) fn delete(&self) -> crate::Result<()> {
        for folder in (1..=self.n_parts).map(|index| self.folder(index)) {
            fs_err::remove_dir_all(&folder)?;
            fs_err::remove_file(folder.with_extension("lock"))?;
        }
        Ok(fs_err::remove_dir(&self.parts)?)
    }

    /// Hashes a part; how many pictures are in it. A part that is whole is left as it is, one that was begun is gone on with.
    fn hash(&self, index: u64) -> crate::Result<u64> {
        let folder = self.folder(index);
        fs_err::create_dir_all(&self.parts)?;
        // A task that is thought lost may still be at it elsewhere: whoever holds the lock hashes.
        let lock = fs_err::File::create(folder.with_extension("lock"))?;
        if let Err(TryLockError::WouldBlock) = lock.file().try_lock() {
            lock.file().lock()?;
        }
        if folder.exists() {
            return Ok(read(&folder)?.n_images);
        }
        let partial = folder.with_extension("partial");
        fs_err::create_dir_all(&partial)?;
        let model = Autoencoder::load(&self.autoencoder)?;
        let shard: Shard = format!("{index}/{}", self.n_parts).parse().map_err(DedupError::from)?;
        let (source, shard) = match &self.listed {
            None => (self.source.clone(), shard),
            Some(listed) => {
                let go = &mut || ControlFlow::Continue(());
                (remote::fetch(&self.source, listed, shard, go)?, shard.alone())
            }
        };
        let Self { max_pixels, damaged, .. } = *self;
        let config = HashConfig { max_pixels, damaged, limit: None, shard: Some(shard) };
        let summary = hash(&source, &model, &config, &partial, &mut |_, _| ControlFlow::Continue(()))?;
        let mut counts =
            Counts { n_images: summary.n_images, n_bad: summary.n_bad, not_read: PassedOver::new() };
        if shard.is_alone() {
            // Nobody else has these files.
            counts.not_read = source.list_passed_over(&partial.join(BAD)).map_err(DedupError::from)?;
        }
        let text = serde_json::to_vec(&counts).map_err(std::io::Error::from)?;
        fs_err::write(partial.join(COUNTS), text)?;
        fs_err::rename(&partial, &folder)?;
        Ok(counts.n_images)
    }
}

fn read(folder: &Path) -> dcgan_dedup::Result<Counts> {
    let path = folder.join(COUNTS);
    serde_json::from_slice(&fs_err::read(&path)?).map_err(|error| DedupError::File {
        path,
        expected: "how many pictures are in the part".to_owned(),
        found: error.to_string(),
    })
}

pub(super) fn function() -> ScalarUDF {
    let arguments = vec![DataType::UInt64, DataType::Utf8];
    create_udf("hash_shard", arguments, DataType::UInt64, Volatility::Volatile, Arc::new(hash_shards))
}

fn hash_shards(arguments: &[ColumnarValue]) -> Result<ColumnarValue> {
    let spec: ShardSpec = settings(arguments.last())?;
    let columns = columns(arguments)?;
    let counts = values::<UInt64Type>(&columns, 0)?.iter().map(|&index| spec.hash(index));
    let counts: Vec<u64> = counts.collect::<crate::Result<_>>().map_err(outer)?;
    Ok(ColumnarValue::Array(Arc::new(UInt64Array::from(counts))))
}
