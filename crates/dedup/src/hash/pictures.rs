//! `pictures.npy`: the 32×32 pictures, uint8, (N, 3, 32, 32).

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use dcgan_files::columns::Reader;
use dcgan_files::npy::{self, HEAD_BYTES};
use dcgan_files::regular;

use super::files;
use crate::preprocess::{PICTURE_BYTES, SIDE};
use crate::{DedupError, Result};

/// The head of the file of `n` pictures.
pub(super) fn header(n: u64) -> Vec<u8> {
    npy::head("|u1", &[n, 3, SIDE as u64, SIDE as u64])
}

/// The pictures of a hashed set, or of several one after another, read as they are asked for.
#[derive(Debug)]
pub struct Pictures {
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    path: PathBuf,
    file: Mutex<fs_err::File>,
    n: u64,
}

impl Pictures {
    /// Opens those of a hashed set.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn of_hashed(hashed: &Path) -> Result<Self> {
        let n = Reader::open(&hashed.join(files::CODES))?.n_rows()?;
        Self::open(&hashed.join(files::PICTURES), n)
    }

    /// Opens a `pictures.npy` of `n` pictures.
    ///
    /// # Errors
    /// [`DedupError::File`] where it holds another number.
    pub fn open(path: &Path, n: u64) -> Result<Self> {
        let mut file = fs_err::File::open(path)?;
        let mut found = Vec::new();
        Read::by_ref(&mut file).take(HEAD_BYTES as u64).read_to_end(&mut found)?;
        let (n_bytes, expected) = (file.metadata()?.len(), HEAD_BYTES as u64 + n * PICTURE_BYTES as u64);
        if found != header(n) || n_bytes != expected {
            let expected = format!("{n} pictures of 3×{SIDE}×{SIDE} in {expected} bytes");
            return Err(DedupError::file(
                path,
                expected,
                format!("{n_bytes} bytes of them or of another shape"),
            ));
        }
        Ok(Self { parts: vec![Part { path: path.to_path_buf(), file: Mutex::new(file), n }] })
    }

    /// These, and those of another set behind them.
    pub fn and(mut self, other: Self) -> Self {
        self.parts.extend(other.parts);
        self
    }

    /// The number of pictures.
    pub fn len(&self) -> u64 {
        self.parts.iter().map(|part| part.n).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The 3072 bytes of each of `images`, in that order.
    ///
    /// # Errors
    /// [`DedupError::Io`], also where an index is not below [`Self::len`].
    pub fn read(&self, images: &[u32]) -> Result<Vec<u8>> {
        let mut bytes = vec![0; images.len() * PICTURE_BYTES];
        for (&image, picture) in images.iter().zip(bytes.chunks_exact_mut(PICTURE_BYTES)) {
            let (mut image, mut part) = (u64::from(image), &self.parts[0]);
            for next in &self.parts[1..] {
                if image < part.n {
                    break;
                }
                image -= part.n;
                part = next;
            }
            let mut file = part.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            file.seek(SeekFrom::Start(HEAD_BYTES as u64 + image * PICTURE_BYTES as u64))?;
            regular::read_exact(&part.path, &mut *file, picture)?;
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_cut_short_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pictures.npy");
        fs_err::write(&path, [header(2), vec![7; 2 * PICTURE_BYTES]].concat()).unwrap();
        let pictures = Pictures::open(&path, 2).unwrap();
        assert_eq!(pictures.read(&[1]).unwrap(), [7; PICTURE_BYTES]);
        let other = dir.path().join("other.npy");
        fs_err::write(&other, [header(1), vec![9; PICTURE_BYTES]].concat()).unwrap();
        let both = Pictures::open(&path, 2).unwrap().and(Pictures::open(&other, 1).unwrap());
        assert_eq!(
            (both.len(), both.read(&[2, 0]).unwrap()),
            (3, [[9; PICTURE_BYTES], [7; PICTURE_BYTES]].concat())
        );
        let cut = HEAD_BYTES + PICTURE_BYTES + 100;
        fs_err::OpenOptions::new().write(true).open(&path).unwrap().set_len(cut as u64).unwrap();
        let message = pictures.read(&[0, 1]).unwrap_err().to_string();
        let expected = "pictures.npy: expected 3072 more bytes, found 100 and the end of the file";
        assert!(message.ends_with(expected), "{message}");
    }
}
