//! What is done so far: a JSON line a photo, beside the crops. Both only grow, the crops first; of what a killed run left, whole
//! lines with all of their crops count and the rest is cut off.

use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use dcgan_files::regular;

use crate::Result;
use crate::row::{Outcome, Photo};

/// The file of lines.
pub(crate) const ROWS: &str = "photos.jsonl.partial";
/// The file of crops.
pub(crate) const CROPS: &str = "crops.partial";

pub(crate) struct Journal {
    dir: PathBuf,
    rows: fs_err::File,
    crops: fs_err::File,
    crop_bytes: u64,
    n_rows: u64,
    /// Photos whose thumbnails are kept, by outcome.
    shown: Shown,
}

/// How many photos of an outcome are shown so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shown {
    cropped: usize,
    too_small: usize,
    no_face: usize,
}

impl Shown {
    /// The number for an outcome; none for those that are not shown.
    pub(crate) fn of(&mut self, outcome: Outcome) -> Option<&mut usize> {
        match outcome {
            Outcome::Cropped => Some(&mut self.cropped),
            Outcome::TooSmall => Some(&mut self.too_small),
            Outcome::NoFace => Some(&mut self.no_face),
            Outcome::NotLargest | Outcome::Bad => None,
        }
    }
}

impl Journal {
    /// Opens the journal in `dir` behind its last whole photo, or begins one.
    pub(crate) fn resume(dir: &Path, crop_bytes: usize) -> Result<Self> {
        let open = |name: &str| {
            fs_err::OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(dir.join(name))
        };
        let (mut rows, mut crops, crop_bytes) = (open(ROWS)?, open(CROPS)?, crop_bytes as u64);
        let n_there = crops.metadata()?.len() / crop_bytes;
        let (mut end, mut n_rows, mut n_crops, mut shown) = (0, 0, 0, Shown::default());
        for photo in lines(&mut rows)? {
            let Ok((photo, length)) = photo else { break };
            let n_own = photo.crop_keys().count() as u64;
            if n_crops + n_own > n_there {
                break;
            }
            end += length;
            n_rows += 1;
            n_crops += n_own;
            count(&photo, &mut shown);
        }
        for (file, end) in [(&mut rows, end), (&mut crops, n_crops * crop_bytes)] {
            file.set_len(end)?;
            file.seek(SeekFrom::Start(end))?;
        }
        Ok(Self { dir: dir.to_path_buf(), rows, crops, crop_bytes, n_rows, shown })
    }

    /// Photos that are done.
    pub(crate) fn n_rows(&self) -> u64 {
        self.n_rows
    }

    /// How many are shown.
    pub(crate) fn shown(&self) -> Shown {
        self.shown
    }

    /// Adds a chunk with the crops of its faces; of each outcome, `most` photos keep their thumbnails.
    pub(crate) fn append(&mut self, mut photos: Vec<Photo>, crops: &[u8], most: usize) -> Result<()> {
        self.crops.write_all(crops)?;
        let mut text = Vec::new();
        for photo in &mut photos {
            if self.shown.of(photo.outcome()).is_none_or(|n| *n >= most) {
                photo.thumbnail.clear();
            }
            count(photo, &mut self.shown);
            serde_json::to_writer(&mut text, photo).map_err(std::io::Error::from)?;
            text.push(b'\n');
        }
        self.rows.write_all(&text)?;
        self.n_rows += photos.len() as u64;
        Ok(())
    }

    /// All photos from the first on.
    pub(crate) fn photos(&mut self) -> Result<impl Iterator<Item = Result<Photo>>> {
        Ok(lines(&mut self.rows)?.map(|photo| Ok(photo?.0)))
    }

    /// Puts the rows and the crops of a part behind those that are here; of each outcome, `most` photos keep their thumbnails.
    pub(crate) fn append_part(&mut self, rows: &Path, crops: &Path, most: usize) -> Result<()> {
        let mut reader = BufReader::with_capacity(1 << 20, fs_err::File::open(crops)?);
        for photo in lines(&mut fs_err::File::open(rows)?)? {
            let (photo, _) = photo?;
            let mut pixels = vec![0; photo.crop_keys().count() * self.crop_bytes as usize];
            regular::read_exact(crops, &mut reader, &mut pixels)?;
            self.append(vec![photo], &pixels, most)?;
        }
        Ok(())
    }

    /// Gives rows and crops the names of a part's.
    pub(crate) fn keep_as(self, rows: &str, crops: &str) -> Result<()> {
        fs_err::rename(self.dir.join(ROWS), self.dir.join(rows))?;
        Ok(fs_err::rename(self.dir.join(CROPS), self.dir.join(crops))?)
    }

    /// All crops from the first on, one after the other, each (3, size, size).
    pub(crate) fn crops(&self) -> Result<Crops> {
        let path = self.dir.join(CROPS);
        Ok(Crops { reader: BufReader::with_capacity(1 << 20, fs_err::File::open(&path)?), path })
    }

    /// Some crops, one after the other.
    pub(crate) fn some_crops(&mut self, indices: &[u64]) -> Result<Vec<u8>> {
        let mut bytes = vec![0; indices.len() * self.crop_bytes as usize];
        for (&idx, crop) in indices.iter().zip(bytes.chunks_exact_mut(self.crop_bytes as usize)) {
            self.crops.seek(SeekFrom::Start(idx * self.crop_bytes))?;
            regular::read_exact(&self.dir.join(CROPS), &mut self.crops, crop)?;
        }
        Ok(bytes)
    }

    /// Removes it.
    pub(crate) fn remove(self) -> Result<()> {
        fs_err::remove_file(self.dir.join(ROWS))?;
        Ok(fs_err::remove_file(self.dir.join(CROPS))?)
    }
}

/// Crops, one after the other.
pub(crate) struct Crops {
    path: PathBuf,
    reader: BufReader<fs_err::File>,
}

impl Crops {
    /// Reads the next one.
    pub(crate) fn next_into(&mut self, pixels: &mut [u8]) -> Result<()> {
        Ok(regular::read_exact(&self.path, &mut self.reader, pixels)?)
    }
}

fn count(photo: &Photo, shown: &mut Shown) {
    if let (Some(n), false) = (shown.of(photo.outcome()), photo.thumbnail.is_empty()) {
        *n += 1;
    }
}

/// The photos of a journal from its first line on, with the lengths of their lines.
fn lines(rows: &mut fs_err::File) -> Result<impl Iterator<Item = Result<(Photo, u64)>>> {
    rows.seek(SeekFrom::Start(0))?;
    let path = rows.path().to_path_buf();
    let mut reader = BufReader::new(rows);
    let mut line = String::new();
    Ok(std::iter::from_fn(move || {
        line.clear();
        let read = reader.read_line(&mut line).and_then(|n| match line.strip_suffix('\n') {
            Some(text) => Ok(Some((serde_json::from_str(text)?, n as u64))),
            None if n == 0 => Ok(None),
            None => Err(std::io::ErrorKind::UnexpectedEof.into()),
        });
        let named = |e: std::io::Error| std::io::Error::new(e.kind(), format!("{}: {e}", path.display()));
        read.map_err(|e| named(e).into()).transpose()
    }))
}
