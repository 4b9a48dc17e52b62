//! Writing an LSUN-style LMDB: key → the bytes of an encoded picture.

use std::path::{Path, PathBuf};

use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvOpenOptions};

use crate::{ImagesError, Result};

/// Bytes that are put in one transaction, at most (one picture may be longer).
const TRANSACTION_BYTES: usize = 1 << 25;

/// An LMDB being filled: one unnamed database, as in LSUN.
pub struct LmdbWriter {
    env: Env,
    path: PathBuf,
    waiting: Vec<(Vec<u8>, Vec<u8>)>,
    n_waiting_bytes: usize,
}

impl LmdbWriter {
    /// Creates the folder `path`, which must not exist, with an empty LMDB of at most `max_bytes` (rounded up to whole MiB;
    /// that bounds the address space that is reserved, the file grows only as far as it is filled).
    ///
    /// # Errors
    /// [`ImagesError::Io`] and [`ImagesError::Lmdb`].
    pub fn create(path: &Path, max_bytes: u64) -> Result<Self> {
        fs_err::create_dir(path)?;
        let mut options = EnvOpenOptions::new();
        options.map_size((max_bytes as usize).next_multiple_of(1 << 20));
        // SAFETY: the memory map is sound while no one else changes the file, and the folder was made just now.
        #[allow(unsafe_code)]
        let env = unsafe { options.open(path) };
        let env = env.map_err(|source| ImagesError::Lmdb { path: path.to_path_buf(), source })?;
        Ok(Self { env, path: path.to_path_buf(), waiting: Vec::new(), n_waiting_bytes: 0 })
    }

    /// Adds a picture; one of the same key is replaced.
    ///
    /// # Errors
    /// [`ImagesError::Lmdb`], among others where `max_bytes` is used up.
    pub fn put(&mut self, key: &str, bytes: Vec<u8>) -> Result<()> {
        self.n_waiting_bytes += bytes.len();
        self.waiting.push((key.as_bytes().to_vec(), bytes));
        if self.n_waiting_bytes >= TRANSACTION_BYTES { self.write() } else { Ok(()) }
    }

    /// Writes what is left, closes the LMDB and removes its lock file, which readers make anew where they need one.
    ///
    /// # Errors
    /// As [`Self::put`].
    pub fn finish(mut self) -> Result<()> {
        self.write()?;
        self.env.prepare_for_closing().wait();
        Ok(fs_err::remove_file(self.path.join("lock.mdb"))?)
    }

    fn write(&mut self) -> Result<()> {
        let entries = std::mem::take(&mut self.waiting);
        self.n_waiting_bytes = 0;
        let write = || -> heed::Result<()> {
            let txn = self.env.write_txn()?;
            self.env.create_databases_and_commit(txn, |creator, txn| {
                let database: Database<'_, Bytes, Bytes> = creator.create_database(txn, None)?;
                for (key, bytes) in &entries {
                    database.put(txn, key, bytes)?;
                }
                heed::Result::Ok(CommitOrAbort::<_, ()>::Commit(database))
            })?;
            Ok(())
        };
        write().map_err(|source| ImagesError::Lmdb { path: self.path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Payload, Source};

    #[test]
    fn what_is_written_is_read_back_as_lsun() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lmdb");
        let mut writer = LmdbWriter::create(&path, 1 << 24).unwrap();
        for (key, byte) in [("b", 2), ("a", 1), ("c", 3)] {
            writer.put(key, vec![byte; 5_000]).unwrap();
        }
        writer.finish().unwrap();
        let found: Vec<_> = Source::Lsun { path }.records().unwrap().map(|r| r.unwrap()).collect();
        let keys: Vec<&str> = found.iter().map(|record| record.key.as_str()).collect();
        assert_eq!(keys, ["a", "b", "c"]);
        assert_eq!(found[1].payload, Payload::Encoded(vec![2; 5_000]));
    }
}
