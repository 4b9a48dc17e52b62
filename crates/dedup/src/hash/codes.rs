//! `codes.parquet`, read.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;

use crate::{Code, DedupError, Result};
use dcgan_files::columns::{self, Column, Kind, ROW_GROUP, Reader};
use dcgan_files::key;

const KEY: (&str, Kind) = ("key", Kind::Strings);
/// Files of earlier versions have no such columns.
const CONTENT: (&str, Kind) = ("blake3", Kind::U64);
const N_BYTES: (&str, Kind) = ("n_bytes", Kind::U64);

/// All codes of a set, without their keys: 24 bytes an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Codes {
    /// The codes.
    pub codes: Vec<Code>,
    /// Width and height of each picture.
    pub sizes: Vec<[u32; 2]>,
}

impl Codes {
    /// Reads the file.
    ///
    /// # Errors
    /// Where it cannot be read, a column is missing, or there are 2³² rows or more.
    pub fn read(path: &Path) -> Result<Self> {
        n_codes(path)?;
        let mut all = Self::default();
        for_each_code(path, |code, size| {
            all.codes.push(code);
            all.sizes.push(size);
        })?;
        Ok(all)
    }
}

/// What `codes.parquet` says of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashedImage {
    /// Its row.
    pub image: u32,
    /// Its key.
    pub key: String,
    /// Its code.
    pub code: Code,
    /// Width and height, in pixels.
    pub size: [u32; 2],
    /// The first 64 bits of its file's BLAKE3 hash; files of earlier versions do not say.
    pub blake3: Option<u64>,
    /// Bytes of its file; files of earlier versions do not say.
    pub n_bytes: Option<u64>,
}

/// Calls `visit` with some of the images for which `is_wanted` at a time, in the order of their rows, until it breaks.
///
/// # Errors
/// As [`Codes::read`].
pub fn each_hashed(
    path: &Path,
    is_wanted: impl Fn(u32) -> bool,
    mut visit: impl FnMut(Vec<HashedImage>) -> ControlFlow<()>,
) -> Result<()> {
    n_codes(path)?;
    let reader = Reader::open(path)?;
    let mut wanted = vec![KEY, ("word0", Kind::U64), ("word1", Kind::U64)];
    wanted.extend([("width", Kind::U32), ("height", Kind::U32)]);
    let newer = [CONTENT, N_BYTES].map(|column| reader.has(column.0).then_some(column));
    wanted.extend(newer.iter().flatten());
    let mut first = 0;
    let hand_over = |mut columns: Vec<Column>| {
        let mut newest = columns.split_off(5).into_iter();
        let newer = newer.map(|column| column.and_then(|_| newest.next()));
        let Ok::<[Column; 5], _>(
            [
                Column::Strings(keys),
                Column::U64(low),
                Column::U64(high),
                Column::U32(widths),
                Column::U32(heights),
            ],
        ) = columns.try_into()
        else {
            return ControlFlow::Continue(());
        };
        let number = |k: usize, i: usize| match &newer[k] {
            Some(Column::U64(values)) => Some(values[i]),
            _ => None,
        };
        let rows = first..first + keys.len() as u32;
        first = rows.end;
        let wanted = keys.into_iter().zip(rows).enumerate().filter(|(_, (_, row))| is_wanted(*row));
        let image = |(i, (key, image)): (usize, (String, u32))| HashedImage {
            image,
            key,
            code: Code([low[i], high[i]]),
            size: [widths[i], heights[i]],
            blake3: number(0, i),
            n_bytes: number(1, i),
        };
        visit(wanted.map(image).collect())
    };
    Ok(reader.read_in_parts(&wanted, ROW_GROUP, hand_over)?)
}

/// What is said of the images for which `is_wanted`.
///
/// # Errors
/// As [`Codes::read`].
pub(crate) fn read_hashed(path: &Path, is_wanted: impl Fn(u32) -> bool) -> Result<HashMap<u32, HashedImage>> {
    let mut wanted = HashMap::new();
    each_hashed(path, is_wanted, |images| {
        wanted.extend(images.into_iter().map(|image| (image.image, image)));
        ControlFlow::Continue(())
    })?;
    Ok(wanted)
}

/// How many codes a file has.
///
/// # Errors
/// Where it cannot be read, or has none, or 2³² or more.
pub fn n_codes(path: &Path) -> Result<u64> {
    match Reader::open(path)?.n_rows()? {
        n if n > 0 && n <= u64::from(u32::MAX) => Ok(n),
        n => Err(DedupError::file(path, "1 to 2³² − 1 codes", n.to_string())),
    }
}

fn for_each_code(path: &Path, mut visit: impl FnMut(Code, [u32; 2])) -> Result<()> {
    let wanted = [("word0", Kind::U64), ("word1", Kind::U64), ("width", Kind::U32), ("height", Kind::U32)];
    columns::read(path, &wanted, |columns| {
        if let [Column::U64(low), Column::U64(high), Column::U32(widths), Column::U32(heights)] = &columns[..]
        {
            let sizes = widths.iter().zip(heights).map(|(&width, &height)| [width, height]);
            let codes = low.iter().zip(high).map(|(&low, &high)| Code([low, high]));
            codes.zip(sizes).for_each(|(code, size)| visit(code, size));
        }
    })?;
    Ok(())
}

/// The keys of the images for which `is_wanted`, with their indices, in order.
///
/// # Errors
/// Where the file cannot be read.
pub fn read_keys(path: &Path, is_wanted: impl Fn(u32) -> bool) -> Result<Vec<(u32, String)>> {
    let mut keys = Vec::new();
    for_each_key(path, |image, key| {
        if is_wanted(image) {
            keys.push((image, key));
        }
    })?;
    Ok(keys)
}

/// The numbers of the images with the keys for which `is_wanted`.
///
/// # Errors
/// Where the file cannot be read.
pub fn read_images(path: &Path, is_wanted: impl Fn(&str) -> bool) -> Result<HashMap<String, u32>> {
    let mut images = HashMap::new();
    for_each_key(path, |image, key| {
        if is_wanted(&key) {
            images.insert(key, image);
        }
    })?;
    Ok(images)
}

/// Refuses keys by which pictures could be taken for each other: two equal ones, an empty one, and one of several lines. 24 to 48
/// bytes an image.
///
/// # Errors
/// [`DedupError::File`] with the row.
pub(crate) fn check_keys(path: &Path) -> Result<()> {
    let mut rows: HashMap<[u8; 16], u32> = HashMap::new();
    let mut wrong = None;
    for_each_key(path, |row, key| {
        if wrong.is_some() {
            return;
        }
        if key.is_empty() || !key::is_one_line(&key) {
            wrong = Some(("keys of one line", format!("{key:?} in row {row}")));
            return;
        }
        let mut digest = [0; 16];
        digest.copy_from_slice(&blake3::hash(key.as_bytes()).as_bytes()[..16]);
        if let Some(first) = rows.insert(digest, row) {
            wrong = Some(("each key once", format!("{key} in row {first} and in row {row}")));
        }
    })?;
    wrong.map_or(Ok(()), |(expected, found)| Err(DedupError::file(path, expected, found)))
}

fn for_each_key(path: &Path, mut visit: impl FnMut(u32, String)) -> Result<()> {
    let mut image = 0;
    columns::read(path, &[KEY], |columns| {
        for column in columns {
            let Column::Strings(strings) = column else { continue };
            for key in strings {
                visit(image, key);
                image += 1;
            }
        }
    })?;
    Ok(())
}
