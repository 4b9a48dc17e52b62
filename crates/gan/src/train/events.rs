//! The training curves, sample grids and histograms of weights as TensorBoard reads them: an event file made of `metrics.jsonl`
//! and the grids. The histograms are nowhere else, and are taken over from the file of the run before.
//!
//! A record is the length (u64), its checksum, the message and its checksum; a checksum is CRC-32C, rotated and offset
//! (TensorFlow's `tfrecord` format). The messages are those of `event.proto` and `summary.proto`, as far as they are needed.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prost::{Message, Oneof};
use serde_json::Value as Json;

use super::checkpoints::steps_in;
use super::files;
use super::histogram::Histogram;
use crate::Result;

#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(oneof = "What", tags = "3, 5")]
    what: Option<What>,
}

#[derive(Clone, PartialEq, Oneof)]
enum What {
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Tagged>,
}

#[derive(Clone, PartialEq, Message)]
struct Tagged {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(oneof = "Value", tags = "2, 4, 5")]
    value: Option<Value>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Value {
    #[prost(float, tag = "2")]
    Scalar(f32),
    #[prost(message, tag = "4")]
    Image(Image),
    #[prost(message, tag = "5")]
    Histogram(Histogram),
}

#[derive(Clone, PartialEq, Message)]
struct Image {
    #[prost(int32, tag = "1")]
    height: i32,
    #[prost(int32, tag = "2")]
    width: i32,
    /// 1 for grey, 3 for colour.
    #[prost(int32, tag = "3")]
    colorspace: i32,
    #[prost(bytes = "vec", tag = "4")]
    encoded_image_string: Vec<u8>,
}

/// The open event file.
pub(super) struct Events {
    file: fs_err::File,
    /// When the training would have begun, had it not been interrupted.
    began: Duration,
}

impl Events {
    /// Writes the file of a training anew: `metrics` are the lines that are kept, the grids those in its folder, the histograms
    /// those up to minibatch `last` of the file that is there.
    pub(super) fn open(dir: &Path, metrics: &str, last: u64) -> Result<Self> {
        let lines: Vec<Json> = metrics.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let elapsed = lines.last().and_then(|line| line["elapsed_s"].as_f64()).unwrap_or(0.0);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let began = now.saturating_sub(Duration::try_from_secs_f64(elapsed).unwrap_or_default());
        let path = dir.join(files::EVENTS);
        let before = fs_err::read(&path).unwrap_or_default();
        let mut events = Self { file: fs_err::File::create(path)?, began };
        events.write(0.0, 0, What::FileVersion("brain.Event:2".into()))?;
        lines.iter().try_for_each(|line| events.scalars(line))?;
        for samples in [files::SAMPLES, files::SAMPLES_EMA] {
            for (step, path) in steps_in(&dir.join(samples)).unwrap_or_default() {
                events.grid(samples, step, elapsed, &path)?;
            }
        }
        let is_kept = |event: &Event| event.has_histograms() && event.step <= last as i64;
        for event in all_events(&before).filter(is_kept) {
            events.file.write_all(&record(&event.encode_to_vec()))?;
        }
        Ok(events)
    }

    /// Histograms of some weights, each with its name.
    pub(super) fn histograms(
        &mut self,
        step: u64,
        elapsed: f64,
        weights: impl Iterator<Item = (String, Vec<f32>)>,
    ) -> Result<()> {
        let tagged = |(tag, values): (String, Vec<f32>)| {
            Some(Tagged { tag, value: Some(Value::Histogram(Histogram::of(&values)?)) })
        };
        self.write(elapsed, step, What::Summary(Summary { value: weights.filter_map(tagged).collect() }))
    }

    /// The numbers of a line of the log, each under its own name.
    pub(super) fn scalars(&mut self, line: &Json) -> Result<()> {
        let Some(numbers) = line.as_object() else { return Ok(()) };
        let elapsed = line["elapsed_s"].as_f64().unwrap_or(0.0);
        let is_place = |name: &str| ["step", "elapsed_s"].contains(&name);
        let numbers = numbers.iter().filter(|(name, _)| !is_place(name));
        let value = numbers.filter_map(|(tag, number)| {
            let scalar = Value::Scalar(number.as_f64()? as f32);
            Some(Tagged { tag: tag.clone(), value: Some(scalar) })
        });
        let summary = Summary { value: value.collect() };
        self.write(elapsed, line["step"].as_u64().unwrap_or(0), What::Summary(summary))
    }

    /// A grid of samples.
    pub(super) fn grid(&mut self, tag: &str, step: u64, elapsed: f64, path: &Path) -> Result<()> {
        let encoded_image_string = fs_err::read(path)?;
        let Some((width, height)) = size_of_png(&encoded_image_string) else { return Ok(()) };
        let image = Image { height, width, colorspace: 3, encoded_image_string };
        let value = vec![Tagged { tag: tag.into(), value: Some(Value::Image(image)) }];
        self.write(elapsed, step, What::Summary(Summary { value }))
    }

    fn write(&mut self, elapsed: f64, step: u64, what: What) -> Result<()> {
        let event =
            Event { wall_time: self.began.as_secs_f64() + elapsed, step: step as i64, what: Some(what) };
        Ok(self.file.write_all(&record(&event.encode_to_vec()))?)
    }
}

impl Event {
    fn has_histograms(&self) -> bool {
        let Some(What::Summary(summary)) = &self.what else { return false };
        summary.value.iter().any(|tagged| matches!(tagged.value, Some(Value::Histogram(_))))
    }
}

/// The events of a file, up to what was written half.
fn all_events(mut bytes: &[u8]) -> impl Iterator<Item = Event> {
    std::iter::from_fn(move || {
        let length = u64::from_le_bytes(*bytes.first_chunk()?);
        let end = usize::try_from(length).ok()?.checked_add(12)?;
        let message = bytes.get(12..end)?;
        let (found, rest) = bytes.split_at_checked(end + 4)?;
        bytes = rest;
        (record(message) == found).then(|| Event::decode(message).ok())?
    })
}

fn record(message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u64).to_le_bytes();
    let (of_length, of_message) = (checksum(&length), checksum(message));
    [&length[..], &of_length.to_le_bytes(), message, &of_message.to_le_bytes()].concat()
}

fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Width and height, which a PNG file states behind its signature.
fn size_of_png(bytes: &[u8]) -> Option<(i32, i32)> {
    let side = |at: usize| Some(i32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    bytes.starts_with(b"\x89PNG").then(|| Some((side(16)?, side(20)?)))?
}

/// The minibatches of which a training's folder has a histogram of this name.
#[cfg(test)]
pub(super) fn steps_with_histograms(dir: &Path, tag: &str) -> Vec<i64> {
    let has = |event: &Event| match &event.what {
        Some(What::Summary(summary)) => summary
            .value
            .iter()
            .any(|tagged| tagged.tag == tag && matches!(tagged.value, Some(Value::Histogram(_)))),
        _ => false,
    };
    let bytes = fs_err::read(dir.join(files::EVENTS)).unwrap_or_default();
    all_events(&bytes).filter(has).map(|event| event.step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(dir: &Path) -> Vec<Event> {
        all_events(&fs_err::read(dir.join(files::EVENTS)).unwrap()).collect()
    }

    fn values(event: &Event) -> Vec<Tagged> {
        match &event.what {
            Some(What::Summary(summary)) => summary.value.clone(),
            other => panic!("{other:?}"),
        }
    }

    // from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c; hex(masked_crc32c(b"123456789"))
    #[test]
    fn checksums_are_those_of_tensorboard() {
        assert_eq!(checksum(b"123456789"), 0xc78a_b0e5);
    }

    #[test]
    fn lines_and_grids_come_back_with_their_steps() {
        let dir = tempfile::tempdir().unwrap();
        let grid = dir.path().join(files::SAMPLES).join("step_0000020.png");
        fs_err::create_dir_all(grid.parent().unwrap()).unwrap();
        dcgan_images::grid::write_grid(&grid, &[7; 3 * 6 * 4], [1, 3, 4, 6], 1).unwrap();
        let kept = "{\"step\":10,\"epoch\":0.5,\"d_loss\":0.0,\"g_loss\":null,\"elapsed_s\":2.0}\n";
        let mut log = Events::open(dir.path(), kept, 10).unwrap();
        log.scalars(&serde_json::json!({"step": 20, "d_loss": 1.5, "elapsed_s": 3.0})).unwrap();
        let found = events(dir.path());
        assert_eq!(found[0].what, Some(What::FileVersion("brain.Event:2".into())));
        let scalar = |tag: &str, value| Tagged { tag: tag.into(), value: Some(Value::Scalar(value)) };
        assert_eq!(
            (found[1].step, values(&found[1])),
            (10, vec![scalar("d_loss", 0.0), scalar("epoch", 0.5)])
        );
        let Some(Value::Image(image)) = &values(&found[2])[0].value else { panic!("{found:?}") };
        assert_eq!((found[2].step, image.width, image.height), (20, 6, 4));
        assert_eq!(image.encoded_image_string, fs_err::read(&grid).unwrap());
        assert_eq!((found[3].step, values(&found[3])), (20, vec![scalar("d_loss", 1.5)]));
        assert!((found[3].wall_time - found[1].wall_time - 1.0).abs() < 1e-3);
    }

    #[test]
    fn histograms_of_the_minibatches_that_are_kept_are_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Events::open(dir.path(), "", 0).unwrap();
        for step in [10, 20, 30] {
            let weights = [("generator/a".to_owned(), vec![step as f32; 3]), ("none".to_owned(), vec![])];
            log.histograms(step, 1.0, weights.into_iter()).unwrap();
        }
        let before = events(dir.path());
        // Killed while it wrote the last one.
        let path = dir.path().join(files::EVENTS);
        let bytes = fs_err::read(&path).unwrap();
        for (n_bytes, last, n_kept) in [(bytes.len(), 30, 3), (bytes.len() - 1, 30, 2), (bytes.len(), 20, 2)]
        {
            fs_err::write(&path, &bytes[..n_bytes]).unwrap();
            Events::open(dir.path(), "", last).unwrap();
            assert_eq!(events(dir.path())[1..], before[1..=n_kept], "{n_bytes}, {last}");
        }
        let [Tagged { tag, value: Some(Value::Histogram(found)) }] = &values(&before[1])[..] else {
            panic!("{before:?}")
        };
        assert_eq!((tag.as_str(), found.num, found.min, found.max), ("generator/a", 3.0, 9.5, 10.5));
    }
}
