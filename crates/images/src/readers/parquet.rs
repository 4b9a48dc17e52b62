//! Parquet files with pictures in a column, as the Hugging Face hub stores data sets: one file, or a folder of shards.
//!
//! A picture is a group `image` of `bytes` and `path`, or a column of bytes; a label is an integer, whose classes are named in the
//! metadata `huggingface`. Format: <https://huggingface.co/docs/datasets/about_dataset_features>.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};

use dcgan_files::columns::{Column, Kind, Reader};
use serde_json::Value;

use super::shards::shards;
use super::{Records, name_of};
use crate::record::MAX_FILE_BYTES;
use crate::{Payload, Record, Result};

/// Rows that are read at once.
const ROWS_AT_ONCE: usize = 16;
/// Groups of rows that the reading thread is ahead, at most.
const N_AHEAD: usize = 4;
/// Where the hub's library notes the columns' types.
pub(crate) const METADATA: &str = "huggingface";

/// Which files and columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table<'a> {
    /// A file, or a folder of such.
    pub(crate) path: &'a Path,
    /// What the names of a folder's files begin with.
    pub(crate) split: &'a str,
    /// The column of pictures.
    pub(crate) image: &'a str,
    /// The column of labels; `label` where there is one if not given, none if empty.
    pub(crate) label: Option<&'a str>,
}

impl Table<'_> {
    fn files(&self) -> Result<Vec<PathBuf>> {
        shards(self.path, "parquet", self.split)
    }

    /// The column of labels in a file.
    fn label_of(&self, file: &Reader) -> Option<String> {
        match self.label {
            Some("") => None,
            Some(name) => Some(name.to_owned()),
            None => file.has("label").then(|| "label".to_owned()),
        }
    }

    /// The column of encoded pictures in a file.
    fn bytes_of(&self, file: &Reader) -> String {
        let within = format!("{}.bytes", self.image);
        if file.has(&within) { within } else { self.image.to_owned() }
    }
}

/// The number of rows of all files, by their footers.
pub(crate) fn n_images(table: Table<'_>) -> Result<u64> {
    table.files()?.iter().map(|file| Ok(Reader::open(file)?.n_rows()?)).sum()
}

/// The names of the classes, where the first file's metadata has them.
pub(crate) fn class_names(table: Table<'_>) -> Result<Option<Vec<String>>> {
    let Some(file) = table.files()?.into_iter().next() else { return Ok(None) };
    let file = Reader::open(&file)?;
    let label = table.label_of(&file);
    let types = file.metadata(METADATA).and_then(|text| serde_json::from_str::<Value>(text).ok());
    let names = label.zip(types).and_then(|(label, types)| {
        serde_json::from_value(types.get("info")?.get("features")?.get(label)?.get("names")?.clone()).ok()
    });
    Ok(names)
}

/// All rows, file by file in the order of their names, read on a thread of its own. The key is `train-00000-of-00002.parquet/17`, the file
/// and the row in it.
pub(crate) fn records(table: Table<'_>) -> Result<Records> {
    let files = table.files()?;
    // What is wrong with the columns is said before anything is read.
    let columns = files.iter().map(|path| {
        let file = Reader::open(path)?;
        let (bytes, label) = (table.bytes_of(&file), table.label_of(&file));
        let mut wanted = vec![(bytes.as_str(), Kind::MaybeBytes)];
        wanted.extend(label.as_deref().map(|label| (label, Kind::MaybeU32)));
        file.check(&wanted)?;
        Ok((path.clone(), bytes, label))
    });
    let columns: Vec<_> = columns.collect::<Result<_>>()?;
    let (sender, receiver) = sync_channel(N_AHEAD);
    std::thread::Builder::new().name("parquet-shards".into()).spawn(move || {
        for (path, bytes, label) in columns {
            match send_all(&path, &bytes, label.as_deref(), &sender) {
                Ok(true) => {}
                Ok(false) => return,
                Err(e) => {
                    // A receiver that is gone has no use for the error.
                    let _ = sender.send(vec![Err(e)]);
                    return;
                }
            }
        }
    })?;
    Ok(Box::new(receiver.into_iter().flatten()))
}

/// Sends every row of a file; false if nobody listens any more.
fn send_all(
    path: &Path,
    bytes: &str,
    label: Option<&str>,
    sender: &SyncSender<Vec<Result<Record>>>,
) -> Result<bool> {
    let (source, file) = (name_of(path), Reader::open(path)?);
    let mut wanted = vec![(bytes, Kind::MaybeBytes)];
    wanted.extend(label.map(|label| (label, Kind::MaybeU32)));
    let (mut row, mut is_heard) = (0, true);
    file.read_in_parts(&wanted, ROWS_AT_ONCE, |columns| {
        let mut columns = columns.into_iter();
        let Some(Column::MaybeBytes(pictures)) = columns.next() else { return ControlFlow::Continue(()) };
        let mut labels = match columns.next() {
            Some(Column::MaybeU32(labels)) => labels,
            _ => Vec::new(),
        };
        labels.resize(pictures.len(), None);
        let records = pictures.into_iter().zip(labels).map(|(picture, label)| {
            let key = format!("{source}/{row}");
            row += 1;
            Ok(Record { key, label, source: source.clone(), payload: payload(picture) })
        });
        is_heard = sender.send(records.collect()).is_ok();
        if is_heard { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(is_heard)
}

fn payload(picture: Option<Vec<u8>>) -> Payload {
    match picture {
        None => Payload::Bad("the row holds no bytes (a path alone is not followed)".to_owned()),
        Some(bytes) if bytes.len() as u64 > MAX_FILE_BYTES => {
            Payload::Bad(format!("expected at most {MAX_FILE_BYTES} bytes, found {}", bytes.len()))
        }
        Some(bytes) => Payload::Encoded(bytes),
    }
}
