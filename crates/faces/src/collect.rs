//! From photos to faces: streaming, on all cores, resumable.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use dcgan_files::threads;
use dcgan_files::walk::Stop;
use dcgan_images::{DecodeConfig, ImagesError, Payload, Record, Records, ReducedPicture, Source, behind};
use rayon::prelude::*;

use crate::config::CollectConfig;
use crate::finish::{About, finish};
use crate::journal::{Journal, ROWS, Shown};
use crate::part::finish_part;
use crate::row::{Outcome, Photo};
use crate::sheet::{ON_SHEET, with_boxes};
use crate::summary::CollectSummary;
use crate::{DetectorScratch, Face, FaceDetector, FacesError, Result, Which};

/// Photos that are processed together and then written, at least; with many threads, two for each.
pub(crate) const CHUNK: usize = 16;
/// How long an observer waits, at most, to be asked whether to stop.
const POLL: Duration = Duration::from_millis(100);

/// Finds the faces of all photos of `source` and writes them as an image store into `dir`, which must exist; of a part of them
/// (`config.shard`) what [`merge`](crate::merge()) makes the store of all from. The store is the same
/// whatever the number of threads; memory does not grow with the number of photos. A run that was killed, at any point, is
/// continued where its journal in `dir` ends, to the bits of an uninterrupted one.
///
/// `observe` receives how many photos are done and how many there are (0: unknown). Where it breaks, the photos at work
/// are finished, and those that are done are kept.
///
/// # Errors
/// Those of [`Source::records`], of [`FaceDetector::new`] and of writing; [`FacesError::File`] where no photo has a face that is
/// wanted; [`FacesError::Interrupted`] where `observe` breaks.
pub fn crop_faces(
    source: &Source,
    config: &CollectConfig,
    dir: &Path,
    observe: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<CollectSummary> {
    config.validate()?;
    config.crop.validate()?;
    let detector = FaceDetector::new(&config.detector)?;
    let limit = config.limit.unwrap_or(usize::MAX);
    let mut set = source.survey(observe)?;
    let mut journal = Journal::resume(dir, 3 * config.crop.size * config.crop.size)?;
    let n_resumed = journal.n_rows();
    let stop = Stop::default();
    let (records, n_images) = set.records_of(config.shard, &stop)?;
    let n_total = n_images.map_or(0, |n| n.min(limit as u64));
    let records = behind(Box::new(records.take(limit)), &dir.join(ROWS), n_resumed)?;
    let worker = Worker { detector, config, shown: Mutex::new(journal.shown()), stop: stop.clone() };
    let mut times = Times::default();
    std::thread::scope(|scope| {
        // Reading overlaps detecting, and that overlaps writing.
        let (to_process, chunks) = sync_channel(1);
        let (to_write, processed) = sync_channel(1);
        threads::spawn(scope, "read", move || send_chunks(records, &to_process))?;
        let worker = &worker;
        threads::spawn(scope, "detect", move || worker.process_all(chunks, &to_write))?;
        let written =
            write_all(processed, &mut journal, worker, &mut times, &mut |done| observe(done, n_total));
        stop.set();
        written
    })?;
    let counts = match config.shard {
        None => finish(journal, &About::of(&set)?, config, dir)?,
        Some(_) => finish_part(journal, &About::of(&set)?, dir)?,
    };
    let share = |part: Duration| part.as_secs_f64() / times.sum().as_secs_f64().max(1e-9);
    Ok(CollectSummary {
        n_resumed,
        decode_share: share(times.decode),
        detect_share: share(times.detect),
        crop_share: share(times.crop),
        ..CollectSummary::of(&counts)
    })
}

/// What the threads spent.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    decode: Duration,
    detect: Duration,
    crop: Duration,
}

impl Times {
    fn sum(&self) -> Duration {
        self.decode + self.detect + self.crop
    }

    fn add(&mut self, other: Self) {
        self.decode += other.decode;
        self.detect += other.detect;
        self.crop += other.crop;
    }
}

type Chunk = Vec<std::result::Result<Record, ImagesError>>;

/// Sends the records in chunks of [`CHUNK`] or more, until they end, one is an error, or nobody listens any more.
fn send_chunks(mut records: Records, sender: &SyncSender<Chunk>) {
    let n_chunk = CHUNK.max(2 * rayon::current_num_threads());
    loop {
        let mut chunk = Chunk::new();
        while chunk.len() < n_chunk && chunk.last().is_none_or(std::result::Result::is_ok) {
            match records.next() {
                Some(record) => chunk.push(record),
                None => break,
            }
        }
        let is_last = chunk.len() < n_chunk;
        if chunk.is_empty() || sender.send(chunk).is_err() || is_last {
            return;
        }
    }
}

/// Photos, their crops one after the other, and the time they took.
type Processed = (Vec<Photo>, Vec<u8>, Times);

struct Worker<'a> {
    detector: FaceDetector,
    config: &'a CollectConfig,
    /// How many photos of each outcome have been written with a thumbnail.
    shown: Mutex<Shown>,
    /// Set where no further photo is to be read or processed.
    stop: Stop,
}

impl Worker<'_> {
    /// Processes chunks on all cores until they end, one holds an error of the set itself, it is stopped, or nobody listens any
    /// more. Of the chunk in which it is stopped, it sends what lies before the first photo that was left out.
    fn process_all(&self, chunks: Receiver<Chunk>, sender: &SyncSender<Result<Processed>>) {
        for chunk in chunks {
            let records: std::result::Result<Vec<Record>, ImagesError> = chunk.into_iter().collect();
            let processed = records.map_err(FacesError::from).and_then(|records| {
                let each =
                    records.into_par_iter().map_init(DetectorScratch::default, |scratch, record| match self
                        .is_stopped()
                    {
                        true => Ok(None),
                        false => self.process(record, scratch).map(Some),
                    });
                let each: Vec<Option<(Photo, Vec<u8>, Times)>> = each.collect::<Result<_>>()?;
                let mut processed = Processed::default();
                for (photo, crops, times) in each.into_iter().map_while(|done| done) {
                    processed.0.push(photo);
                    processed.1.extend(crops);
                    processed.2.add(times);
                }
                Ok(processed)
            });
            // Asked before sending: stopped behind this chunk, none may follow; stopped within it, its end may be missing.
            let is_stopped = self.is_stopped();
            if sender.send(processed).is_err() || is_stopped {
                return;
            }
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.is_set()
    }

    fn process(&self, record: Record, scratch: &mut DetectorScratch) -> Result<(Photo, Vec<u8>, Times)> {
        let Record { key, label, source, payload } = record;
        let photo =
            Photo { key, source, label, size: None, faces: Vec::new(), reason: None, thumbnail: Vec::new() };
        let mut times = Times::default();
        match self.detect_and_crop(payload, photo.clone(), scratch, &mut times) {
            Ok((photo, crops)) => Ok((photo, crops, times)),
            Err(FacesError::Images(ImagesError::BadPicture { reason })) => {
                Ok((Photo { reason: Some(reason), ..photo }, Vec::new(), times))
            }
            Err(e) => Err(e),
        }
    }

    fn detect_and_crop(
        &self,
        payload: Payload,
        mut photo: Photo,
        scratch: &mut DetectorScratch,
        times: &mut Times,
    ) -> Result<(Photo, Vec<u8>)> {
        let CollectConfig { detector, crop, max_pixels, damaged, .. } = self.config;
        let decode = DecodeConfig { max_pixels: *max_pixels, damaged: *damaged };
        let start = Instant::now();
        let least_scale = |height: usize, width: usize| {
            detector.least_scale(height, width).max(crop.least_scale(detector, height, width))
        };
        let decoded = payload.into_reduced(&least_scale, decode)?;
        let decode_end = Instant::now();
        times.decode = decode_end - start;
        let faces = self.detector.detect(&decoded, scratch)?;
        let detect_end = Instant::now();
        times.detect = detect_end - decode_end;
        let smallest = detector.smallest_in(decoded.height, decoded.width);
        photo.size = Some([decoded.width as u32, decoded.height as u32]);
        photo.faces = judged(&faces, smallest, crop.faces);
        let mut crops = Vec::new();
        for (face, outcome) in &photo.faces {
            if *outcome == Outcome::Cropped {
                crops.extend(crop.crop(&decoded, face)?.pixels);
            }
        }
        self.show(&mut photo, &decoded)?;
        times.crop = detect_end.elapsed();
        Ok((photo, crops))
    }

    /// Makes the thumbnail of a photo that may be among the first of its kind. Those before it that are not yet written make it
    /// one too many at worst; whoever writes them drops those.
    fn show(&self, photo: &mut Photo, decoded: &ReducedPicture) -> Result<()> {
        let mut shown = *self.shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if shown.of(photo.outcome()).is_some_and(|n| *n < ON_SHEET) {
            let faces: Vec<Face> = photo.faces.iter().map(|(face, _)| *face).collect();
            photo.thumbnail = with_boxes(decoded, &faces)?;
        }
        Ok(())
    }
}

/// What becomes of each face.
fn judged(faces: &[Face], smallest: f64, which: Which) -> Vec<(Face, Outcome)> {
    let largest = faces.iter().map(Face::side).fold(0.0, f32::max);
    let mut is_taken = false;
    let judge = |face: &Face| {
        let outcome = if f64::from(face.side()) < smallest {
            Outcome::TooSmall
        } else if which == Which::Largest && (face.side() < largest || is_taken) {
            Outcome::NotLargest
        } else {
            is_taken = true;
            Outcome::Cropped
        };
        (*face, outcome)
    };
    faces.iter().map(judge).collect()
}

/// Writes chunks as they come, and asks `observe` all the while. Where it breaks, the worker is stopped, and what it still sends
/// is written too.
fn write_all(
    chunks: Receiver<Result<Processed>>,
    journal: &mut Journal,
    worker: &Worker<'_>,
    times: &mut Times,
    observe: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<()> {
    let mut is_broken = false;
    loop {
        match chunks.recv_timeout(POLL) {
            Ok(chunk) => {
                let (photos, crops, spent) = chunk?;
                times.add(spent);
                journal.append(photos, &crops, ON_SHEET)?;
                *worker.shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = journal.shown();
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) if is_broken => return Err(FacesError::Interrupted),
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        if !is_broken && observe(journal.n_rows()).is_break() {
            is_broken = true;
            worker.stop.set();
        }
    }
}

#[cfg(test)]
#[path = "collect_tests.rs"]
mod tests;
