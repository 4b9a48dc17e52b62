//! Writing an LSUN-style LMDB: 40 hexadecimal digits → the bytes of an encoded picture.

use std::path::{Path, PathBuf};

use heed::types::{Bytes, Str};
use heed::{CommitOrAbort, Env, EnvOpenOptions};

use super::{Result, SyntheticError};

/// An LMDB being filled.
pub(super) struct LmdbWriter {
    env: Env,
    path: PathBuf,
}

impl LmdbWriter {
    /// Creates the folder `path` with an empty LMDB of at most `map_size` bytes (rounded up to whole MiB).
    ///
    /// The size bounds the address space that is reserved; the file grows only as far as it is filled.
    pub(super) fn create(path: &Path, map_size: usize) -> Result<Self> {
        fs_err::create_dir(path)?;
        let mut options = EnvOpenOptions::new();
        options.map_size(map_size.next_multiple_of(1 << 20));
        // SAFETY: the memory map is sound while no one else changes the file. The folder was made just now, under
        // a temporary name that no other process looks for, and it is closed before it is renamed.
        #[allow(unsafe_code)]
        let env = unsafe { options.open(path) };
        let path = path.to_owned();
        match env {
            Ok(env) => Ok(Self { env, path }),
            Err(source) => Err(SyntheticError::Lmdb { path, source }),
        }
    }

    /// Adds pictures in one transaction.
    pub(super) fn put(&self, entries: &[(String, Vec<u8>)]) -> Result<()> {
        self.try_put(entries).map_err(|source| SyntheticError::Lmdb { path: self.path.clone(), source })
    }

    fn try_put(&self, entries: &[(String, Vec<u8>)]) -> heed::Result<()> {
        let txn = self.env.write_txn()?;
        self.env.create_databases_and_commit(txn, |creator, txn| {
            let database = creator.create_database::<Str, Bytes>(txn, None)?;
            for (key, bytes) in entries {
                database.put(txn, key, bytes)?;
            }
            heed::Result::Ok(CommitOrAbort::<_, ()>::Commit(database))
        })?;
        Ok(())
    }

    /// Closes the LMDB and removes its lock file, which readers make anew where they need one.
    pub(super) fn finish(self) -> Result<()> {
        self.env.prepare_for_closing().wait();
        fs_err::remove_file(self.path.join("lock.mdb"))?;
        Ok(())
    }
}
