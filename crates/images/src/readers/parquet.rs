//! Parquet files with pictures in a column, as the Hugging Face hub stores data sets: one file, or a folder of shards.
//!
//! A picture is a group `image` of `bytes` and `path`, or a column of bytes; a label is an integer, whose classes are named in the
//! metadata `huggingface`. Format: <https://huggingface.co/docs/datasets/about_dataset_features>.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};

use dcgan_files::columns::{Column, Kind, Reader};
use serde_json::Value;

use super::shards::shards;
use super::{Records, name_of};
use crate::record::MAX_FILE_BYTES;
use crate::{ImagesError, Payload, Record, Result};

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
    /// Of a folder, the files of this split, whose names begin with it and `-` or `.`; empty for all.
    pub(crate) split: &'a str,
    /// The column of pictures.
    pub(crate) image: &'a str,
    /// The column of labels; `label` where there is one if not given, none if empty.
    pub(crate) label: Option<&'a str>,
}

/// Names by which parts of a data set are told apart; what stands behind one in a file's name is `-` or `.`.
const SPLITS: [&str; 6] = ["train", "test", "validation", "valid", "val", "dev"];

/// A file's split: what its name begins with.
fn split_of(name: &str) -> &str {
    name.split(['-', '.']).next().unwrap_or_default()
}

/// Files that stay open until they are read, at most.
const N_KEPT_OPEN: usize = 256;

/// Files whose footers have been read.
pub(crate) struct Opened {
    files: Vec<(PathBuf, Option<Reader>)>,
    columns: Columns,
    /// Rows of all of them.
    pub(crate) n_rows: u64,
    /// The names of the classes, where the files' metadata has them.
    pub(crate) class_names: Option<Vec<String>>,
}

/// What all files have in common: the columns to read.
#[derive(Default)]
struct Columns {
    bytes: String,
    label: Option<String>,
}

impl Columns {
    fn wanted(&self) -> Vec<(&str, Kind)> {
        let label = self.label.as_deref().map(|label| (label, Kind::MaybeU32));
        std::iter::once((self.bytes.as_str(), Kind::MaybeBytes)).chain(label).collect()
    }
}

/// Those of a folder's files, by their names in order, that are of a split; all of them where it is empty.
///
/// # Errors
/// [`ImagesError::Layout`] where there are none, or several splits of which none is chosen.
pub(crate) fn of_split(folder: &Path, split: &str, names: Vec<String>) -> Result<Vec<String>> {
    let mut splits: Vec<String> = names.iter().map(|name| split_of(name).to_owned()).collect();
    splits.dedup();
    let wrong = |expected: String| Err(ImagesError::layout(folder, expected, splits.join(", ")));
    if !split.is_empty() {
        let chosen: Vec<String> = names.into_iter().filter(|name| split_of(name) == split).collect();
        return if chosen.is_empty() { wrong(format!("files {split}-*.parquet")) } else { Ok(chosen) };
    }
    if splits.iter().filter(|split| SPLITS.contains(&split.as_str())).count() > 1 {
        return wrong("files of one split (`source.parquet.split` chooses among several)".to_owned());
    }
    Ok(names)
}

impl Table<'_> {
    fn files(&self) -> Result<Vec<PathBuf>> {
        let files = shards(self.path, "parquet")?;
        let split = self.split;
        if self.path.is_file() {
            let is_it = split.is_empty() || split_of(&name_of(self.path)) == split;
            let other =
                || ImagesError::layout(self.path, format!("a file of the split {split}"), "another one");
            return if is_it { Ok(files) } else { Err(other()) };
        }
        let of = of_split(self.path, split, files.iter().map(|file| name_of(file)).collect())?;
        let of: HashSet<String> = of.into_iter().collect();
        Ok(files.into_iter().filter(|file| of.contains(&name_of(file))).collect())
    }

    /// Opens all files, in which what is to be read must be the same.
    fn open(&self) -> Result<Opened> {
        let (mut common, mut files, mut n_rows): (Option<(Columns, _)>, Vec<(PathBuf, _)>, u64) =
            (None, Vec::new(), 0);
        for path in self.files()? {
            let file = Reader::open(&path)?;
            n_rows += file.n_rows()?;
            let own = Columns { bytes: self.bytes_of(&file), label: self.label_of(&file) };
            let class_names = class_names_of(&file, own.label.as_deref());
            match (&common, files.first()) {
                (Some((first, names)), Some((first_path, _))) => {
                    let other = |what: &str, ours: String, theirs: String| {
                        let expected = format!("{what} as in {}: {ours}", name_of(first_path));
                        Err(ImagesError::layout(&path, expected, theirs))
                    };
                    let column = |label: &Option<String>| label.clone().unwrap_or_else(|| "none".to_owned());
                    if own.label != first.label {
                        return other("a column of labels", column(&first.label), column(&own.label));
                    }
                    if class_names != *names {
                        return other("the classes", format!("{names:?}"), format!("{class_names:?}"));
                    }
                    file.check(&first.wanted())?;
                }
                _ => {
                    file.check(&own.wanted())?;
                    common = Some((own, class_names));
                }
            }
            let is_kept = files.len() < N_KEPT_OPEN;
            files.push((path, is_kept.then_some(file)));
        }
        let (columns, class_names) = common.unwrap_or_default();
        Ok(Opened { files, columns, n_rows, class_names })
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

/// The names of the classes of a column of labels, where a file's metadata has them.
fn class_names_of(file: &Reader, label: Option<&str>) -> Option<Vec<String>> {
    let types: Value = serde_json::from_str(file.metadata(METADATA)?).ok()?;
    serde_json::from_value(types.get("info")?.get("features")?.get(label?)?.get("names")?.clone()).ok()
}

/// The number of rows of all files, by their footers.
pub(crate) fn n_images(table: Table<'_>) -> Result<u64> {
    table.files()?.iter().map(|file| Ok(Reader::open(file)?.n_rows()?)).sum()
}

/// Opens the files; what is wrong with their columns is said before anything is read.
pub(crate) fn open(table: Table<'_>) -> Result<Opened> {
    table.open()
}

/// All rows, file by file in the order of their names, read on a thread of its own. The key is `train-00000-of-00002.parquet/17`, the file
/// and the row in it.
pub(crate) fn records(opened: Opened) -> Result<Records> {
    let (sender, receiver) = sync_channel(N_AHEAD);
    std::thread::Builder::new().name("parquet-shards".into()).spawn(move || {
        let Opened { files, columns, class_names, .. } = opened;
        let n_classes = class_names.map_or(u32::MAX, |names| names.len() as u32);
        for (path, file) in files {
            match send_all(&path, file, &columns, n_classes, &sender) {
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
    file: Option<Reader>,
    columns: &Columns,
    n_classes: u32,
    sender: &SyncSender<Vec<Result<Record>>>,
) -> Result<bool> {
    let source = name_of(path);
    let file = file.map_or_else(|| Reader::open(path), Ok)?;
    let (mut row, mut is_heard, mut beyond) = (0, true, None);
    file.read_in_parts(&columns.wanted(), ROWS_AT_ONCE, |columns| {
        let mut columns = columns.into_iter();
        let Some(Column::MaybeBytes(pictures)) = columns.next() else { return ControlFlow::Continue(()) };
        let mut labels = match columns.next() {
            Some(Column::MaybeU32(labels)) => labels,
            _ => Vec::new(),
        };
        labels.resize(pictures.len(), None);
        let wrong = labels.iter().position(|label| label.is_some_and(|label| label >= n_classes));
        beyond = wrong.map(|i| format!("{} in row {}", labels[i].unwrap_or_default(), row + i));
        if beyond.is_some() {
            return ControlFlow::Break(());
        }
        let records = pictures.into_iter().zip(labels).map(|(picture, label)| {
            let key = format!("{source}/{row}");
            row += 1;
            Ok(Record { key, label, source: source.clone(), payload: payload(picture) })
        });
        is_heard = sender.send(records.collect()).is_ok();
        if is_heard { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    match beyond {
        Some(found) => {
            let expected = format!("labels below {n_classes}, the number of classes named in its metadata");
            Err(ImagesError::layout(path, expected, found))
        }
        None => Ok(is_heard),
    }
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
