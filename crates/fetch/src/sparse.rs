//! A file in which long runs of zeros take no room.

use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use crate::Result;

const BLOCK: usize = 1 << 16;
static ZEROS: [u8; BLOCK] = [0; BLOCK];

/// Writes a new file from front to back.
pub(crate) struct SparseFile {
    file: fs_err::File,
    /// Less than a block, not yet written.
    waiting: Vec<u8>,
    n_bytes: u64,
}

impl SparseFile {
    /// Creates the file, which must not exist.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let file = fs_err::OpenOptions::new().write(true).create_new(true).open(path)?;
        Ok(Self { file, waiting: Vec::new(), n_bytes: 0 })
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.waiting.extend_from_slice(bytes);
        self.n_bytes += bytes.len() as u64;
        let n_whole = self.waiting.len() / BLOCK * BLOCK;
        for block in self.waiting[..n_whole].chunks(BLOCK) {
            if block == ZEROS {
                self.file.seek(SeekFrom::Current(BLOCK as i64))?;
            } else {
                self.file.write_all(block)?;
            }
        }
        self.waiting.drain(..n_whole);
        Ok(())
    }

    /// Writes the rest; the file then has all the bytes that were appended.
    pub(crate) fn finish(mut self) -> Result<u64> {
        self.file.write_all(&self.waiting)?;
        self.file.set_len(self.n_bytes)?;
        self.file.sync_all()?;
        Ok(self.n_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_appended_is_read_back_with_its_zeros() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let mut expected = vec![0; 3 * BLOCK + 5];
        expected[BLOCK + 7] = 1;
        let mut file = SparseFile::create(&path).unwrap();
        for chunk in expected.chunks(1000) {
            file.append(chunk).unwrap();
        }
        assert_eq!(file.finish().unwrap(), expected.len() as u64);
        assert_eq!(std::fs::read(&path).unwrap(), expected);
        assert!(SparseFile::create(&path).is_err());
    }
}
