//! Writing an LSUN-style LMDB: key → the bytes of an encoded picture.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvOpenOptions, MdbError};

use crate::{ImagesError, Result, key};

/// Bytes that are put in one transaction, at most (one picture may be longer).
const TRANSACTION_BYTES: usize = 1 << 25;
/// Address space that is reserved at first. It is doubled as the LMDB fills, for where it is scarce.
const FIRST_MAP_BYTES: usize = 1 << 28;
/// The system's number for an error of input or output.
const EIO: i32 = 5;
/// LMDB's own limit on the bytes of a key.
const MAX_KEY: usize = 511;

/// An LMDB being filled: one unnamed database, as in LSUN.
pub struct LmdbWriter {
    env: Env,
    path: PathBuf,
    /// Address space that is reserved: the most bytes that fit.
    map_bytes: usize,
    waiting: Vec<(Vec<u8>, Vec<u8>)>,
    n_waiting_bytes: usize,
}

impl LmdbWriter {
    /// Creates the folder `path`, which must not exist, with an empty LMDB.
    ///
    /// # Errors
    /// [`ImagesError::Io`], [`ImagesError::Memory`] and [`ImagesError::Lmdb`].
    pub fn create(path: &Path) -> Result<Self> {
        Self::create_with(path, FIRST_MAP_BYTES)
    }

    fn create_with(path: &Path, map_bytes: usize) -> Result<Self> {
        fs_err::create_dir(path)?;
        let mut options = EnvOpenOptions::new();
        options.map_size(map_bytes);
        // SAFETY: the memory map is sound while no one else changes the file, and the folder was made just now.
        #[allow(unsafe_code)]
        let env = unsafe { options.open(path) };
        let env = env.map_err(|error| lmdb_error(path, map_bytes, error))?;
        Ok(Self { env, path: path.to_path_buf(), map_bytes, waiting: Vec::new(), n_waiting_bytes: 0 })
    }

    /// Adds a picture; one of the same key is replaced.
    ///
    /// # Errors
    /// [`ImagesError::Layout`] for a key that LMDB cannot hold; else as [`Self::create`].
    pub fn put(&mut self, key: &[u8], bytes: Vec<u8>) -> Result<()> {
        if key.is_empty() || key.len() > MAX_KEY {
            let found = format!("{} of {} bytes", key::of(key), key.len());
            return Err(ImagesError::layout(&self.path, format!("keys of 1 to {MAX_KEY} bytes"), found));
        }
        self.n_waiting_bytes += bytes.len();
        self.waiting.push((key.to_vec(), bytes));
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
        loop {
            match put_all(&self.env, &entries) {
                Err(heed::Error::Mdb(MdbError::MapFull)) => self.grow()?,
                put => return put.map_err(|error| lmdb_error(&self.path, self.map_bytes, error)),
            }
        }
    }

    /// Doubles the address space that is reserved.
    fn grow(&mut self) -> Result<()> {
        self.map_bytes *= 2;
        // SAFETY: no transaction is open: the only ones are those of `put_all`, which are committed or aborted when it returns.
        #[allow(unsafe_code)]
        let grown = unsafe { self.env.resize(self.map_bytes) };
        grown.map_err(|error| lmdb_error(&self.path, self.map_bytes, error))
    }
}

/// Puts entries in one transaction.
fn put_all(env: &Env, entries: &[(Vec<u8>, Vec<u8>)]) -> heed::Result<()> {
    let txn = env.write_txn()?;
    env.create_databases_and_commit(txn, |creator, txn| {
        let database: Database<'_, Bytes, Bytes> = creator.create_database(txn, None)?;
        for (key, bytes) in entries {
            database.put(txn, key, bytes)?;
        }
        heed::Result::Ok(CommitOrAbort::<_, ()>::Commit(database))
    })?;
    Ok(())
}

/// What the system says as any file's error, a full disk for instance; what LMDB says as its own.
fn lmdb_error(path: &Path, map_bytes: usize, error: heed::Error) -> ImagesError {
    match error {
        heed::Error::Io(error) if error.kind() == ErrorKind::OutOfMemory => ImagesError::Memory {
            what: format!("{} (address space)", path.display()),
            n_bytes: map_bytes as u64,
        },
        heed::Error::Io(error) => {
            // What a full disk took a part of LMDB calls an error of input or output.
            let is_full = error.raw_os_error() == Some(EIO)
                && fs4::available_space(path).is_ok_and(|free| free < TRANSACTION_BYTES as u64);
            let error = if is_full { std::io::Error::from(ErrorKind::StorageFull) } else { error };
            let message = format!("failed to write LMDB `{}`: {error}", path.display());
            ImagesError::Io(std::io::Error::new(error.kind(), message))
        }
        source => ImagesError::Lmdb { path: path.to_path_buf(), source },
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
        let mut writer = LmdbWriter::create(&path).unwrap();
        for (key, byte) in [(b"b", 2), (b"a", 1), (b"c", 3)] {
            writer.put(key, vec![byte; 5_000]).unwrap();
        }
        let message = writer.put(&[b'k'; 512], Vec::new()).unwrap_err().to_string();
        assert!(message.contains("lmdb: expected keys of 1 to 511 bytes, found kkk"), "{message}");
        writer.finish().unwrap();
        let found: Vec<_> = Source::Lsun { path }.records().unwrap().map(|r| r.unwrap()).collect();
        let keys: Vec<&str> = found.iter().map(|record| record.key.as_str()).collect();
        assert_eq!(keys, ["a", "b", "c"]);
        assert_eq!(found[1].payload, Payload::Encoded(vec![2; 5_000]));
    }

    #[test]
    fn the_map_grows_as_it_fills() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lmdb");
        let mut writer = LmdbWriter::create_with(&path, 1 << 20).unwrap();
        // More than one transaction, and more than one doubling in the first.
        for i in 0..9u8 {
            writer.put(i.to_string().as_bytes(), vec![i; 5_000_000]).unwrap();
        }
        writer.finish().unwrap();
        let found: Vec<_> = Source::Lsun { path }.records().unwrap().map(|r| r.unwrap()).collect();
        assert!(found.iter().zip(0..9).all(|(r, i)| r.payload == Payload::Encoded(vec![i; 5_000_000])));
        assert_eq!(found.len(), 9);
    }

    #[test]
    fn a_full_disk_and_scarce_memory_are_named() {
        let path = Path::new("out/lmdb");
        let of = |code| lmdb_error(path, 1 << 20, heed::Error::Io(std::io::Error::from_raw_os_error(code)));
        let full = of(28);
        assert!(matches!(&full, ImagesError::Io(error) if error.kind() == ErrorKind::StorageFull));
        assert!(
            full.to_string().starts_with("failed to write LMDB `out/lmdb`: No space left on device"),
            "{full}"
        );
        let scarce = of(12).to_string();
        assert_eq!(
            scarce,
            "out/lmdb (address space): expected 1048576 bytes of memory to be had, found too little"
        );
    }
}
