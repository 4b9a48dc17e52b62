//! From a data set to an image store.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::readers::Records;
use crate::reading::POLL;
use crate::store::{StoreDescription, StoreWriter};
use crate::walk::Stop;
use crate::{
    Damaged, DecodeConfig, Filter, ImagesError, Payload, Picture, Record, Resize, Result, Shard, Source,
    Survey, in_words, threads,
};

/// How a data set is brought into a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImportConfig {
    /// How every picture is brought to its size.
    pub resize: Resize,
    /// The filter where pictures are scaled. The paper leaves it unstated.
    pub filter: Filter,
    /// 3, or 1 for grey pictures: luma of colour, and grey is repeated for colour.
    pub channels: usize,
    /// Stop after this many images.
    pub limit: Option<usize>,
    /// Only a part of the set, as [`Survey::records_of`](crate::Survey::records_of) divides it.
    pub shard: Option<Shard>,
    /// A picture of more pixels than this is bad, and is not decoded. The default is 2²⁶, 67 million: above ImageNet's
    /// largest, and 0.2 GB a thread while one is decoded.
    pub max_pixels: u64,
    /// What becomes of a JPEG of which a part is lost.
    pub damaged: Damaged,
}

impl Default for ImportConfig {
    fn default() -> Self {
        let DecodeConfig { max_pixels, damaged } = DecodeConfig::default();
        Self {
            resize: Resize::Keep,
            filter: Filter::default(),
            channels: 3,
            limit: None,
            shard: None,
            max_pixels,
            damaged,
        }
    }
}

impl ImportConfig {
    /// Checks every field's range.
    ///
    /// # Errors
    /// [`ImagesError::Setting`].
    pub fn validate(&self) -> Result<()> {
        let setting = |name, expected: &str, found: String| {
            Err(ImagesError::Setting { name, expected: expected.into(), found })
        };
        self.resize.validate()?;
        if !matches!(self.channels, 1 | 3) {
            return setting("channels", "1 or 3", self.channels.to_string());
        }
        if self.limit == Some(0) {
            return setting("limit", "at least 1", "0".into());
        }
        if let (Some(_), Some(shard)) = (self.limit, self.shard) {
            return setting(
                "shard",
                "no `limit` beside it, which counts through the whole set",
                shard.to_string(),
            );
        }
        if !(1..=1 << 32).contains(&self.max_pixels) {
            return setting("max_pixels", "1 to 2³²", self.max_pixels.to_string());
        }
        Ok(())
    }
}

impl ImportConfig {
    fn decode(&self) -> DecodeConfig {
        DecodeConfig { max_pixels: self.max_pixels, damaged: self.damaged }
    }
}

/// What an import did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImportSummary {
    /// Images in the store.
    pub n_images: u64,
    /// Images that could not be used; `bad.csv` lists them.
    pub n_bad: u64,
    /// `n_bad / (n_images + n_bad)`.
    pub bad_share: f64,
    /// The shape of every image: channels, height, width.
    pub image_shape: [usize; 3],
    /// Where each class is a folder or an archive and all of them were read: those without an image in the store.
    pub empty_classes: Vec<String>,
}

/// Records and bytes in a chunk that is read ahead, at most (one record may be longer).
const CHUNK_RECORDS: usize = 1024;
const CHUNK_BYTES: usize = 1 << 25;
/// Bytes of finished pictures that wait to be written.
const DECODED_BYTES: usize = 1 << 26;

/// Reads `source`, decodes its images on all threads and writes them as an image store into `out`, which is created
/// where it does not exist. The store is there whole or not at all, and is the same whatever the number of threads.
///
/// An image that cannot be decoded, is damaged, has more than `max_pixels` pixels or is smaller than its crop is recorded in
/// `bad.csv` and passed over. `observe` receives how many images are done and how
/// many there are (0: unknown); when it says [`ControlFlow::Break`] the import stops and leaves nothing behind.
///
/// # Errors
/// Those of [`Source::records`] and of writing; [`ImagesError::Setting`]; [`ImagesError::NoImages`] for an empty data set,
/// [`ImagesError::AllBad`] where no image can be used, [`ImagesError::SizesDiffer`] where images of more than one size are not
/// scaled, [`ImagesError::Interrupted`].
pub fn import(
    source: &Source,
    config: &ImportConfig,
    out: &Path,
    observe: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<ImportSummary> {
    config.validate()?;
    let mut set = source.survey(observe)?;
    let stop = Stop::default();
    let (records, n_images) = set.records_of(config.shard, &stop)?;
    import_records(&set, records, &stop, n_images, config, out, observe)
}

/// [`import`] of some of a set's records: `records`, which end soon after `stop` is set and of which there are `n_images`, where
/// that is known.
///
/// # Errors
/// As [`import`].
pub fn import_records(
    set: &Survey<'_>,
    records: Records,
    stop: &Stop,
    n_images: Option<u64>,
    config: &ImportConfig,
    out: &Path,
    observe: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<ImportSummary> {
    config.validate()?;
    let n_total = n_images.map_or(0, |n| config.limit.map_or(n, |limit| n.min(limit as u64)));
    let (source, class_names) = (set.source(), set.class_names()?);
    let mut importer = Importer::new(config, source.path(), StoreWriter::create(out)?, n_total, observe);
    std::thread::scope(|scope| {
        // Reading overlaps decoding; without room in the channel the next chunk waits in the reader's hands.
        let (sender, receiver) = sync_channel(0);
        threads::spawn(scope, "read", move || send_chunks(records, &sender))?;
        let taken = importer.take_all(receiver);
        stop.set();
        taken
    })?;
    let Importer { writer, n_images, n_bad, first_bad, labels, .. } = importer;
    let path = source.path().to_path_buf();
    let side = config.resize.side().unwrap_or(0);
    let shape = match (writer.image_shape(), first_bad) {
        (Some(shape), _) => shape,
        // The other parts may have some.
        (None, _) if config.shard.is_some() => [config.channels, side, side],
        (None, Some((key, reason))) => return Err(ImagesError::AllBad { path, n_bad, key, reason }),
        (None, None) => {
            let passed_over = source.passed_over()?;
            let beside = match passed_over.is_empty() {
                true => String::new(),
                false => format!(" beside files that are not read: {}", in_words(&passed_over)),
            };
            return Err(ImagesError::NoImages { path, expected: format!("images ({source}){beside}") });
        }
    };
    let empty_classes = match (source, config.limit) {
        _ if config.shard.is_some() => Vec::new(),
        (Source::Folder { .. } | Source::ImageNetFolder { .. } | Source::ImageNetTar { .. }, None) => {
            without_image(class_names.as_deref().unwrap_or_default(), &labels)
        }
        _ => Vec::new(),
    };
    let is_scaled = matches!(config.resize, Resize::MinResizeCentreCrop(_));
    let description = StoreDescription {
        source: source.to_string(),
        resize: config.resize.to_string(),
        filter: is_scaled.then_some(config.filter),
        class_names,
    };
    match config.shard {
        Some(_) => writer.finish_part(description, shape)?,
        None => writer.finish(description)?,
    };
    let bad_share = n_bad as f64 / (n_images + n_bad).max(1) as f64;
    Ok(ImportSummary { n_images, n_bad, bad_share, image_shape: shape, empty_classes })
}

/// The names of the classes of which no image is there, by the labels of those that are.
pub fn without_image(class_names: &[String], labels: &HashSet<u32>) -> Vec<String> {
    let empty = class_names.iter().zip(0..).filter(|(_, label)| !labels.contains(label));
    empty.map(|(name, _)| name.clone()).collect()
}

/// Sends the records in chunks, until they end, one is an error, or nobody listens any more.
fn send_chunks(mut records: Records, sender: &SyncSender<Result<Vec<Record>>>) {
    loop {
        let (mut chunk, mut n_bytes) = (Vec::new(), 0);
        let mut error = None;
        while chunk.len() < CHUNK_RECORDS && n_bytes < CHUNK_BYTES {
            match records.next() {
                Some(Ok(record)) => {
                    n_bytes += record.payload.n_bytes();
                    chunk.push(record);
                }
                Some(Err(e)) => {
                    error = Some(e);
                    break;
                }
                None => break,
            }
        }
        let is_last = chunk.is_empty() || error.is_some();
        let is_unheard = !chunk.is_empty() && sender.send(Ok(chunk)).is_err();
        if let Some(e) = error {
            // A receiver that is gone has no use for the error.
            let _ = sender.send(Err(e));
        }
        if is_last || is_unheard {
            return;
        }
    }
}

struct Importer<'a> {
    config: &'a ImportConfig,
    writer: StoreWriter,
    n_total: u64,
    observe: &'a mut dyn FnMut(u64, u64) -> ControlFlow<()>,
    n_images: u64,
    n_bad: u64,
    first_bad: Option<(String, String)>,
    /// Of the images in the store.
    labels: HashSet<u32>,
    /// The data set.
    path: &'a Path,
    /// The first picture's key, rows and columns.
    first: Option<(String, [usize; 2])>,
}

impl<'a> Importer<'a> {
    fn new(
        config: &'a ImportConfig,
        path: &'a Path,
        writer: StoreWriter,
        n_total: u64,
        observe: &'a mut dyn FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Self {
        Self {
            config,
            writer,
            n_total,
            observe,
            n_images: 0,
            n_bad: 0,
            first_bad: None,
            labels: HashSet::new(),
            path,
            first: None,
        }
    }

    fn take_all(&mut self, chunks: Receiver<Result<Vec<Record>>>) -> Result<()> {
        loop {
            let chunk = match chunks.recv_timeout(POLL) {
                Ok(chunk) => chunk?,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => {
                    self.ask()?;
                    continue;
                }
            };
            let mut records = chunk.into_iter();
            while records.len() > 0 {
                self.ask()?;
                let n = self.n_at_once();
                self.take(records.by_ref().take(n).collect())?;
                if self.is_full() {
                    return Ok(());
                }
            }
        }
    }

    /// Reports progress, and asks whether to go on.
    fn ask(&mut self) -> Result<()> {
        match (self.observe)(self.n_images + self.n_bad, self.n_total) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(ImagesError::Interrupted),
        }
    }

    /// How many pictures are decoded before they are written: few enough to stop soon when asked to, and to fit in the
    /// budget once their size is known.
    fn n_at_once(&self) -> usize {
        let n_threads = rayon::current_num_threads();
        let image_len = self.writer.image_shape().map(|shape| shape.iter().product::<usize>().max(1));
        image_len.map_or(n_threads, |len| (DECODED_BYTES / len).clamp(n_threads, 16 * n_threads))
    }

    fn is_full(&self) -> bool {
        self.config.limit.is_some_and(|limit| self.n_images >= limit as u64)
    }

    /// Decodes records in parallel and writes them in their order.
    fn take(&mut self, records: Vec<Record>) -> Result<()> {
        let ImportConfig { resize, filter, channels, .. } = *self.config;
        let decode = self.config.decode();
        let decoded: Vec<(Record, Result<Picture>)> = records
            .into_par_iter()
            .map(|mut record| {
                let payload = std::mem::replace(&mut record.payload, Payload::Encoded(Vec::new()));
                (record, payload.into_picture(resize, filter, channels, decode))
            })
            .collect();
        for (record, picture) in decoded {
            if self.is_full() {
                break;
            }
            let Record { key, label, source, .. } = record;
            let written = picture.and_then(|picture| {
                self.check_size(&key, &picture)?;
                self.writer.append(&key, label, &source, &picture)
            });
            match written {
                Ok(()) => {
                    self.n_images += 1;
                    self.labels.extend(label);
                }
                Err(ImagesError::BadPicture { reason }) => self.take_bad(key, reason)?,
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Refuses a picture of another size than the first one's: not that picture is wrong, but that none are scaled.
    fn check_size(&mut self, key: &str, picture: &Picture) -> Result<()> {
        let size = [picture.height, picture.width];
        let (first, first_size) = self.first.get_or_insert_with(|| (key.to_owned(), size));
        if *first_size == size {
            return Ok(());
        }
        Err(ImagesError::SizesDiffer {
            path: self.path.to_path_buf(),
            first: first.clone(),
            first_size: *first_size,
            other: key.to_owned(),
            other_size: size,
        })
    }

    fn take_bad(&mut self, key: String, reason: String) -> Result<()> {
        self.n_bad += 1;
        self.writer.append_bad(&key, &reason)?;
        self.first_bad.get_or_insert((key, reason));
        Ok(())
    }
}

#[cfg(test)]
#[path = "import_tests.rs"]
mod tests;
