//! From a data set to codes: streaming, on all cores, resumable.
//!
//! | file | holds |
//! | --- | --- |
//! | `codes.parquet` | a row an image: `key`, the code's lower and upper 64 bits `word0` and `word1`, `width` and `height` of the picture in pixels |
//! | `pictures.npy` | the 32×32 pictures that were hashed, uint8, (N, 3, 32, 32), in the same order |
//! | `bad.csv` | `key`, `reason` of what could not be hashed |
//! | `autoencoder.safetensors` | the autoencoder that hashed them |

mod codes;
mod journal;
mod pictures;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use dcgan_images::{ImagesError, Record, Records, Source, Thumbnail};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use codes::{Codes, read_keys};
pub use pictures::Pictures;

use self::journal::{Journal, Row};
use crate::error::check;
use crate::preprocess::{FILTER, SIDE};
use crate::{Autoencoder, DedupError, Result};

/// Names of what [`hash`] writes into its folder.
pub mod files {
    /// Keys and codes.
    pub const CODES: &str = "codes.parquet";
    /// The 32×32 pictures.
    pub const PICTURES: &str = "pictures.npy";
    /// What could not be hashed.
    pub const BAD: &str = "bad.csv";
    /// What is hashed so far, while it runs.
    pub const JOURNAL: &str = "codes.jsonl.partial";
}

/// Images that are decoded and hashed together, and after which the journal is whole.
const CHUNK: usize = 1024;

/// Settings of [`hash`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HashConfig {
    /// A picture of more pixels than this is bad, and is not decoded.
    pub max_pixels: u64,
    /// Stop after this many images, bad ones included.
    pub limit: Option<usize>,
}

impl Default for HashConfig {
    fn default() -> Self {
        Self { max_pixels: 1 << 26, limit: None }
    }
}

impl HashConfig {
    /// Checks every range.
    ///
    /// # Errors
    /// [`DedupError::Setting`].
    pub fn validate(&self) -> Result<()> {
        check("max_pixels", (1..=1 << 32).contains(&self.max_pixels), "1 to 2³²", self.max_pixels)?;
        check("limit", self.limit != Some(0), "at least 1", 0)
    }
}

/// What a hashing did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HashSummary {
    /// Images with a code.
    pub n_images: u64,
    /// Images that could not be hashed; `bad.csv` lists them.
    pub n_bad: u64,
    /// Images that an earlier, interrupted run had done.
    pub n_resumed: u64,
    /// Share of set bits: mean over images and bits.
    pub bits_set: f64,
    /// The same of the bit that is set least often.
    pub least_set: f64,
    /// The same of the bit that is set most often.
    pub most_set: f64,
}

/// Hashes the images of `source` into `dir`, which must exist. A run that was killed, at any point, is continued where its
/// journal in `dir` ends, to the bits of an uninterrupted one. Memory does not grow with the number of images.
///
/// An image that cannot be decoded or has more than `max_pixels` pixels is listed in `bad.csv` and passed over. `observe` is
/// told how many images are done and how many there are (0: unknown).
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
    let n_total = source.n_images()?.map_or(0, |n| n.min(limit as u64));
    let mut journal = Journal::resume(dir, CHUNK)?;
    let n_resumed = journal.n_rows();
    let records: Records = Box::new(source.records()?.take(limit).skip(n_resumed as usize));
    std::thread::scope(|scope| {
        // Reading overlaps decoding, and decoding overlaps hashing and writing.
        let (to_decode, chunks) = sync_channel(1);
        let (to_hash, decoded) = sync_channel(1);
        scope.spawn(move || send_chunks(records, &to_decode));
        scope.spawn(move || decode_chunks(chunks, config.max_pixels, &to_hash));
        take_all(decoded, model, &mut journal, &mut |done| observe(done, n_total))
    })?;
    let summary = journal.finish()?;
    if summary.n_images == 0 {
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

/// A key, and its picture or what is wrong with it.
type Decoded = (String, std::result::Result<Thumbnail, ImagesError>);

/// Decodes chunks on all cores until they end, one holds an error of the set itself, or nobody listens any more.
fn decode_chunks(
    chunks: Receiver<Chunk>,
    max_pixels: u64,
    sender: &SyncSender<std::result::Result<Vec<Decoded>, ImagesError>>,
) {
    for chunk in chunks {
        let decoded = chunk
            .into_par_iter()
            .map(|record| {
                let Record { key, payload, .. } = record?;
                Ok((key, payload.into_thumbnail(SIDE, FILTER, max_pixels)))
            })
            .collect();
        if sender.send(decoded).is_err() {
            return;
        }
    }
}

fn take_all(
    chunks: Receiver<std::result::Result<Vec<Decoded>, ImagesError>>,
    model: &Autoencoder,
    journal: &mut Journal,
    observe: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<()> {
    let mut n_done = journal.n_rows();
    for chunk in chunks {
        if observe(n_done).is_break() {
            return Err(DedupError::Interrupted);
        }
        let decoded = chunk?;
        n_done += decoded.len() as u64;
        let (rows, pictures) = hash_chunk(decoded, model)?;
        journal.append(&rows, &pictures)?;
    }
    let _ = observe(n_done);
    Ok(())
}

/// The rows of a chunk, and the pictures of those that are not bad.
fn hash_chunk(decoded: Vec<Decoded>, model: &Autoencoder) -> Result<(Vec<Row>, Vec<u8>)> {
    let mut pictures = Vec::with_capacity(decoded.len() * crate::PICTURE_BYTES);
    for (_, thumbnail) in &decoded {
        if let Ok(thumbnail) = thumbnail {
            pictures.extend_from_slice(&thumbnail.picture.pixels);
        }
    }
    let mut codes = model.codes(&pictures)?.into_iter();
    let rows = decoded
        .into_iter()
        .map(|(key, thumbnail)| match thumbnail {
            Ok(Thumbnail { width, height, .. }) => {
                Ok(Row::good(key, codes.next().unwrap_or_default(), [width, height]))
            }
            Err(ImagesError::BadPicture { reason }) => Ok(Row::bad(key, reason)),
            Err(e) => Err(e.into()),
        })
        .collect::<Result<_>>()?;
    Ok((rows, pictures))
}

#[cfg(test)]
mod tests;
