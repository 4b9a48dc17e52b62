//! LSUN: an LMDB of 40-hex keys and WebP (or JPEG) files.
//!
//! Format: <https://github.com/fyu/lsun>.

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, RoTxn, WithoutTls};

use super::{Records, name_of};
use crate::{ImagesError, Payload, Record, Result};

/// Records and bytes fetched at a time, at most (one record may be longer).
const BATCH_RECORDS: usize = 1024;
const BATCH_BYTES: usize = 1 << 25;

/// heed refuses to open an environment twice in a process; here it is open only for the moment of a batch.
static OPEN: Mutex<()> = Mutex::new(());

/// The number of entries, from the database's statistics.
pub(crate) fn n_images(path: &Path) -> Result<u64> {
    with_database(path, |database, txn| database.len(txn))
}

/// All entries in the order of their keys.
///
/// The environment is opened read-only and without its lock file, as data sets may lie on read-only media; nobody may
/// write to it meanwhile. It is closed after every batch: its pages count as the process's memory as long as they are
/// mapped, and a data set is larger than that.
pub(crate) fn records(path: &Path) -> Result<Records> {
    // Fails here rather than at the first record.
    n_images(path)?;
    let entries = Entries {
        path: path.to_path_buf(),
        source: name_of(path),
        batch: Vec::new().into_iter(),
        last_key: None,
        is_done: false,
    };
    Ok(Box::new(entries))
}

type Entry = (Vec<u8>, Vec<u8>);

struct Entries {
    path: PathBuf,
    source: String,
    batch: std::vec::IntoIter<Entry>,
    last_key: Option<Vec<u8>>,
    is_done: bool,
}

impl Entries {
    fn fetch(&mut self) -> Result<()> {
        let start = match &self.last_key {
            Some(key) => Bound::Excluded(key.as_slice()),
            None => Bound::Unbounded,
        };
        let batch: Vec<Entry> = with_database(&self.path, |database, txn| {
            let (mut batch, mut n_bytes) = (Vec::new(), 0);
            for entry in database.range(txn, &(start, Bound::Unbounded))? {
                let (key, value) = entry?;
                batch.push((key.to_vec(), value.to_vec()));
                n_bytes += value.len();
                if batch.len() == BATCH_RECORDS || n_bytes >= BATCH_BYTES {
                    break;
                }
            }
            Ok(batch)
        })?;
        self.last_key = batch.last().map(|(key, _)| key.clone());
        self.is_done = batch.is_empty();
        self.batch = batch.into_iter();
        Ok(())
    }
}

impl Iterator for Entries {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.batch.len() == 0 && !self.is_done {
            if let Err(e) = self.fetch() {
                self.is_done = true;
                return Some(Err(e));
            }
        }
        let (key, value) = self.batch.next()?;
        Some(Ok(Record {
            key: String::from_utf8(key).unwrap_or_else(|e| e.as_bytes().escape_ascii().to_string()),
            label: None,
            source: self.source.clone(),
            payload: Payload::Encoded(value),
        }))
    }
}

/// Opens the environment and its unnamed database, calls `read` and closes both.
fn with_database<T>(
    path: &Path,
    read: impl FnOnce(Database<'_, Bytes, Bytes>, &RoTxn<'_, WithoutTls>) -> heed::Result<T>,
) -> Result<T> {
    let _open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    let lmdb_error = |source| ImagesError::Lmdb { path: path.to_path_buf(), source };
    let env = open(path)?;
    let txn = env.read_txn().map_err(lmdb_error)?;
    let database = env
        .open_databases_and_commit(txn, |opener, txn| {
            opener.open_database::<Bytes, Bytes>(txn, None).map(CommitOrAbort::<_, ()>::Commit)
        })
        .map_err(lmdb_error)?;
    let CommitOrAbort::Commit(Some(database)) = database else {
        return Err(ImagesError::layout(path, "an LMDB with an unnamed database", "none"));
    };
    let txn = env.read_txn().map_err(lmdb_error)?;
    read(database, &txn).map_err(lmdb_error)
}

fn open(path: &Path) -> Result<Env<WithoutTls>> {
    let data = path.join("data.mdb");
    let n_bytes = fs_err::metadata(&data)?.len();
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    options.map_size((n_bytes as usize).next_multiple_of(1 << 16));
    // SAFETY: without LMDB's lock nothing keeps another process from writing under the map. Data sets are not written
    // to while they are read; that is the documented contract of `Source::Lsun`.
    #[allow(unsafe_code)]
    let env = unsafe {
        options.flags(EnvFlags::READ_ONLY | EnvFlags::NO_LOCK);
        options.open(path)
    };
    let env = env.map_err(|source| ImagesError::Lmdb { path: path.to_path_buf(), source })?;
    // A page beyond the end of the file would not be an error but end the process.
    let n_needed =
        (env.info().last_page_number as u64 + 1) * u64::from(env.unnamed_database_stat().page_size);
    if n_bytes < n_needed {
        let found = format!("{n_bytes} bytes and the end of the file");
        return Err(ImagesError::malformed(&data, n_bytes, format!("{n_needed} bytes"), found));
    }
    Ok(env)
}
