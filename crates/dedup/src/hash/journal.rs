//! What is hashed so far: a JSON line an image, beside the pictures. Both only grow, a chunk at a time, the pictures first; of
//! what a killed run left, whole chunks count and the rest is cut off.

use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::summary::HashSummary;
use super::{files, pictures};
use crate::code::CODE_BITS;
use crate::preprocess::PICTURE_BYTES;
use crate::{Code, Result};
use dcgan_files::columns::{Column, ROW_GROUP, Writer};
use dcgan_files::csv::field;
use dcgan_files::npy::HEAD_BYTES;

/// An image: hashed, or bad.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<[u64; 2]>,
    /// [`content`](crate::content::content) of one that is hashed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    blake3: Option<u64>,
    /// Bytes of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    n_bytes: Option<u64>,
    /// Width and height.
    #[serde(default)]
    size: [usize; 2],
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Row {
    /// One whose code is yet to be set.
    pub(super) fn good(key: String, (blake3, n_bytes): (u64, u64), size: [usize; 2]) -> Self {
        Self { key, code: None, blake3: Some(blake3), n_bytes: Some(n_bytes), size, reason: None }
    }

    /// Whether nothing is missing of a line of the journal.
    fn is_whole(&self) -> bool {
        self.reason.is_some() || self.code.is_some() && self.blake3.is_some() && self.n_bytes.is_some()
    }

    pub(super) fn is_good(&self) -> bool {
        self.reason.is_none()
    }

    pub(super) fn set_code(&mut self, code: Code) {
        self.code = Some(code.0);
    }

    pub(super) fn bad(key: String, reason: String) -> Self {
        Self { key, code: None, blake3: None, n_bytes: None, size: [0; 2], reason: Some(reason) }
    }
}

pub(super) struct Journal {
    dir: PathBuf,
    rows: fs_err::File,
    pictures: fs_err::File,
    n_rows: u64,
    n_good: u64,
}

const SCHEMA: &str = "message codes {
    REQUIRED BYTE_ARRAY key (STRING);
    REQUIRED INT64 word0 (INTEGER(64, false));
    REQUIRED INT64 word1 (INTEGER(64, false));
    REQUIRED INT32 width (INTEGER(32, false));
    REQUIRED INT32 height (INTEGER(32, false));
    REQUIRED INT64 blake3 (INTEGER(64, false));
    REQUIRED INT64 n_bytes (INTEGER(64, false));
}";

impl Journal {
    /// Opens the journal in `dir` behind its last whole chunk of `chunk` rows, or begins one.
    pub(super) fn resume(dir: &Path, chunk: usize) -> Result<Self> {
        let open = |name: &str| {
            fs_err::OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(dir.join(name))
        };
        let (rows, pictures) = (open(files::JOURNAL)?, open(files::PICTURES)?);
        let mut journal = Self { dir: dir.to_path_buf(), rows, pictures, n_rows: 0, n_good: 0 };
        let n_pictures =
            journal.pictures.metadata()?.len().saturating_sub(HEAD_BYTES as u64) / PICTURE_BYTES as u64;
        let (mut end, mut position, mut n_rows, mut n_good) = (0, 0, 0, 0);
        let mut reader = BufReader::new(&journal.rows);
        let mut line = String::new();
        while reader.read_line(&mut line)? > 0 {
            let Some(row) = line
                .strip_suffix('\n')
                .and_then(|line| serde_json::from_str::<Row>(line).ok())
                .filter(Row::is_whole)
            else {
                break;
            };
            position += line.len() as u64;
            n_rows += 1;
            n_good += u64::from(row.code.is_some());
            if n_rows % chunk as u64 == 0 && n_good <= n_pictures {
                (end, journal.n_rows, journal.n_good) = (position, n_rows, n_good);
            }
            line.clear();
        }
        journal.rows.set_len(end)?;
        journal.rows.seek(SeekFrom::Start(end))?;
        if journal.pictures.metadata()?.len() < HEAD_BYTES as u64 {
            journal.pictures.set_len(0)?;
            journal.pictures.write_all(&pictures::header(0))?;
        }
        let end = HEAD_BYTES as u64 + journal.n_good * PICTURE_BYTES as u64;
        journal.pictures.set_len(end)?;
        journal.pictures.seek(SeekFrom::Start(end))?;
        Ok(journal)
    }

    /// Images that are done, bad ones included.
    pub(super) fn n_rows(&self) -> u64 {
        self.n_rows
    }

    /// Adds a chunk with the pictures of its rows that are not bad.
    pub(super) fn append(&mut self, rows: &[Row], pictures: &[u8]) -> Result<()> {
        self.pictures.write_all(pictures)?;
        let mut text = Vec::new();
        for row in rows {
            serde_json::to_writer(&mut text, row).map_err(std::io::Error::from)?;
            text.push(b'\n');
        }
        self.rows.write_all(&text)?;
        self.n_rows += rows.len() as u64;
        self.n_good += (pictures.len() / PICTURE_BYTES) as u64;
        Ok(())
    }

    /// Writes `codes.parquet` and `bad.csv`, completes `pictures.npy` and removes the journal.
    pub(super) fn finish(mut self) -> Result<HashSummary> {
        self.pictures.seek(SeekFrom::Start(0))?;
        self.pictures.write_all(&pictures::header(self.n_good))?;
        self.rows.seek(SeekFrom::Start(0))?;
        let mut parquet = Writer::create(&self.dir.join(files::CODES), SCHEMA)?;
        let mut bad = fs_err::File::create(self.dir.join(files::BAD))?;
        bad.write_all(b"key,reason\n")?;
        let mut group: Vec<Row> = Vec::new();
        let mut set = [0u64; CODE_BITS];
        for line in BufReader::new(Read::by_ref(&mut self.rows)).lines() {
            let row: Row = serde_json::from_str(&line?).map_err(std::io::Error::from)?;
            if let Some(reason) = &row.reason {
                bad.write_all(format!("{},{}\n", quoted(&row.key), quoted(reason)).as_bytes())?;
                continue;
            }
            let code = Code(row.code.unwrap_or_default());
            set.iter_mut().enumerate().for_each(|(i, n)| *n += u64::from(code.bit(i)));
            group.push(row);
            if group.len() == ROW_GROUP {
                write_group(&mut parquet, &mut group)?;
            }
        }
        if !group.is_empty() {
            write_group(&mut parquet, &mut group)?;
        }
        parquet.finish()?;
        fs_err::remove_file(self.dir.join(files::JOURNAL))?;
        let shares = set.map(|n| n as f64 / self.n_good.max(1) as f64);
        Ok(HashSummary {
            n_images: self.n_good,
            n_bad: self.n_rows - self.n_good,
            n_resumed: 0,
            bits_set: shares.iter().sum::<f64>() / CODE_BITS as f64,
            least_set: shares.iter().copied().fold(1.0, f64::min),
            most_set: shares.iter().copied().fold(0.0, f64::max),
        })
    }
}

fn write_group(parquet: &mut Writer, rows: &mut Vec<Row>) -> Result<()> {
    let word = |k: usize| rows.iter().map(|row| row.code.unwrap_or_default()[k]).collect();
    let side = |k: usize| rows.iter().map(|row| row.size[k] as u32).collect();
    let contents = rows.iter().map(|row| row.blake3.unwrap_or_default()).collect();
    let words = [Column::U64(word(0)), Column::U64(word(1))];
    let n_bytes = rows.iter().map(|row| row.n_bytes.unwrap_or_default()).collect();
    let others = [Column::U32(side(0)), Column::U32(side(1)), Column::U64(contents), Column::U64(n_bytes)];
    let keys = Column::Strings(rows.drain(..).map(|row| row.key).collect());
    let columns: Vec<Column> = std::iter::once(keys).chain(words).chain(others).collect();
    Ok(parquet.write(&columns)?)
}

/// A CSV field, by [`field`]'s convention.
fn quoted(text: &str) -> String {
    let text = field(text);
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.into_owned(),
    }
}
