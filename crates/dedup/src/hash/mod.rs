//! From a data set to codes: streaming, on all cores, resumable.
//!
//! | file | holds |
//! | --- | --- |
//! | `codes.parquet` | a row an image: `key`, the code's lower and upper 64 bits `word0` and `word1`, `width` and `height` of the picture in pixels, `blake3` (the first 64 bits of the encoded file's BLAKE3 hash; of pixels, of their sides and bytes), `n_bytes` (of the encoded file, or of the pixels) |
//! | `pictures.npy` | the 32×32 pictures that were hashed, uint8, (N, 3, 32, 32), in the same order |
//! | `bad.csv` | `key`, `reason` of what could not be hashed; a field that begins with `=`, `+`, `-`, `@` or `'` has a `'` before it |
//! | `autoencoder.safetensors` | the autoencoder that hashed them |

mod codes;
pub mod files;
mod journal;
mod merge;
mod pictures;
mod summary;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use dcgan_files::threads;
use dcgan_files::walk::Stop;
use dcgan_images::{
    Damaged, DecodeConfig, ImagesError, Payload, Record, Records, Shard, Source, Thumbnail, behind,
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use codes::{Codes, HashedImage, each_hashed, n_codes, read_images, read_keys};
pub(crate) use codes::{check_keys, read_hashed};
pub use merge::{HashedPart, merge};
pub use pictures::Pictures;
pub use summary::HashSummary;

use self::journal::{Journal, Row};
use crate::content::{Content, content};
use crate::error::check;
use crate::model::BATCH;
use crate::preprocess::{FILTER, PICTURE_BYTES, SIDE};
use crate::{Autoencoder, DedupError, Result};

/// Images that are decoded and hashed together, and after which the journal is whole.
const CHUNK: usize = 1024;
/// How long an observer waits, at most, to be asked whether to stop.
const POLL: Duration = Duration::from_millis(100);

/// Settings of [`hash`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HashConfig {
    /// A picture of more pixels than this is bad, and is not decoded.
    pub max_pixels: u64,
    /// What becomes of a JPEG of which a part is lost.
    pub damaged: Damaged,
    /// Stop after this many images, bad ones included.
    pub limit: Option<usize>,
    /// Only a part of the set, as [`Survey::records_of`](dcgan_images::Survey::records_of) divides it.
    pub shard: Option<Shard>,
}

impl Default for HashConfig {
    fn default() -> Self {
        let DecodeConfig { max_pixels, damaged } = DecodeConfig::default();
        Self { max_pixels, damaged, limit: None, shard: None }
    }
}

impl HashConfig {
    /// Checks every range.
    ///
    /// # Errors
    /// [`DedupError::Setting`].
    pub fn validate(&self) -> Result<()> {
        check("max_pixels", (1..=1 << 32).contains(&self.max_pixels), "1 to 2³²", self.max_pixels)?;
        let shard = self.shard.map_or(String::new(), |shard| shard.to_string());
        let is_one = self.limit.is_none() || self.shard.is_none();
        check("shard", is_one, "no `limit` beside it, which counts through the whole set", shard)?;
        check("limit", self.limit != Some(0), "at least 1", 0)
    }
}

/// Hashes the images of `source` into `dir`, which must exist. A run that was killed, at any point, is continued where its
/// journal in `dir` ends, to the bits of an uninterrupted one. Memory does not grow with the number of images.
///
/// An image that cannot be decoded or has more than `max_pixels` pixels is listed in `bad.csv` and passed over. `observe`
/// receives how many images are done and how many there are (0: unknown).
///
/// # Errors
/// Those of [`Source::records`] and of writing; [`DedupError::File`] where no image can be hashed;
/// [`DedupError::Interrupted`] where `observe` breaks.
pub fn hash(
    source: &Source,
    model: &Autoencoder,
    config: &HashConfig,
    dir: &Path,
    observe: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<HashSummary> {
    config.validate()?;
    let limit = config.limit.unwrap_or(usize::MAX);
    let mut set = source.survey(observe)?;
    let mut journal = Journal::resume(dir, CHUNK)?;
    let n_resumed = journal.n_rows();
    let stop = Stop::default();
    let (records, n_images) = set.records_of(config.shard, &stop)?;
    let n_total = n_images.map_or(0, |n| n.min(limit as u64));
    let records = behind(Box::new(records.take(limit)), &dir.join(files::JOURNAL), n_resumed)?;
    let decode = DecodeConfig { max_pixels: config.max_pixels, damaged: config.damaged };
    std::thread::scope(|scope| {
        // Reading overlaps decoding and hashing, and those overlap writing.
        let (to_hash, chunks) = sync_channel(1);
        let (to_write, hashed) = sync_channel(1);
        threads::spawn(scope, "read", move || send_chunks(records, &to_hash))?;
        threads::spawn(scope, "hash", move || hash_chunks(chunks, model, decode, &to_write))?;
        let written = write_all(hashed, &mut journal, &mut |done| observe(done, n_total));
        stop.set();
        written
    })?;
    model.save(&dir.join(files::AUTOENCODER))?;
    let summary = journal.finish()?;
    // The other parts may have some.
    if summary.n_images == 0 && config.shard.is_none() {
        let found = format!("{} that cannot (bad.csv says why)", summary.n_bad);
        return Err(DedupError::file(
            dir,
            format!("at least one image of {source} that can be hashed"),
            found,
        ));
    }
    Ok(HashSummary { n_resumed, ..summary })
}

type Chunk = Vec<std::result::Result<Record, ImagesError>>;

/// Sends the records in chunks of [`CHUNK`], until they end, one is an error, or nobody listens any more.
fn send_chunks(mut records: Records, sender: &SyncSender<Chunk>) {
    loop {
        let mut chunk = Chunk::new();
        while chunk.len() < CHUNK && chunk.last().is_none_or(std::result::Result::is_ok) {
            match records.next() {
                Some(record) => chunk.push(record),
                None => break,
            }
        }
        let is_last = chunk.len() < CHUNK;
        if chunk.is_empty() || sender.send(chunk).is_err() || is_last {
            return;
        }
    }
}

/// The rows of a chunk, and the pictures of those that are not bad.
type Hashed = (Vec<Row>, Vec<u8>);

/// Decodes and hashes chunks on all cores until they end, one holds an error of the set itself, or nobody listens any more.
fn hash_chunks(
    chunks: Receiver<Chunk>,
    model: &Autoencoder,
    config: DecodeConfig,
    sender: &SyncSender<Result<Hashed>>,
) {
    for chunk in chunks {
        let records: std::result::Result<Vec<Record>, ImagesError> = chunk.into_iter().collect();
        let hashed = records.map_err(DedupError::from).and_then(|records| {
            let parts = records.into_par_iter().chunks(BATCH).map(|part| hash_part(part, model, config));
            let parts: Vec<Hashed> = parts.collect::<Result<_>>()?;
            let (rows, pictures): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
            Ok((rows.concat(), pictures.concat()))
        });
        if sender.send(hashed).is_err() {
            return;
        }
    }
}

fn hash_part(records: Vec<Record>, model: &Autoencoder, config: DecodeConfig) -> Result<Hashed> {
    let mut pictures = Vec::with_capacity(records.len() * PICTURE_BYTES);
    let mut rows = Vec::with_capacity(records.len());
    for Record { key, payload, .. } in records {
        let hashed = content(&payload).and_then(|Content { blake3, n_bytes, read }| {
            let payload = read.map_or(payload, Payload::Encoded);
            Ok((blake3, n_bytes, payload.into_thumbnail(SIDE, FILTER, config)?))
        });
        match hashed {
            Ok((blake3, n_bytes, Thumbnail { picture, width, height })) => {
                pictures.extend(picture.pixels);
                rows.push(Row::good(key, (blake3, n_bytes), [width, height]));
            }
            Err(ImagesError::BadPicture { reason }) => rows.push(Row::bad(key, reason)),
            Err(e) => return Err(e.into()),
        }
    }
    let codes = model.codes(&pictures)?;
    for (row, code) in rows.iter_mut().filter(|row| row.is_good()).zip(codes) {
        row.set_code(code);
    }
    Ok((rows, pictures))
}

fn write_all(
    chunks: Receiver<Result<Hashed>>,
    journal: &mut Journal,
    observe: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<()> {
    loop {
        let chunk = chunks.recv_timeout(POLL);
        if observe(journal.n_rows()).is_break() && !matches!(chunk, Err(RecvTimeoutError::Disconnected)) {
            return Err(DedupError::Interrupted);
        }
        match chunk {
            Ok(chunk) => {
                let (rows, pictures) = chunk?;
                journal.append(&rows, &pictures)?;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
