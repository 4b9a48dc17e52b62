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
        if self.batch.len() == 0
            && !self.is_done
            && let Err(e) = self.fetch()
        {
            self.is_done = true;
            return Some(Err(e));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn key(i: usize) -> String {
        format!("{:040x}", i * 7919)
    }

    /// Entries of 3 to 9,000 bytes: small ones share a page, large ones have pages of their own.
    fn value(i: usize) -> Vec<u8> {
        vec![i as u8; 3 + i * 131 % 9000]
    }

    fn database(n: usize) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let mut options = EnvOpenOptions::new();
        options.map_size(1 << 28);
        // SAFETY: a fresh folder that nobody else knows of.
        #[allow(unsafe_code)]
        let env = unsafe { options.open(folder.path()) }.unwrap();
        let mut txn = env.write_txn().unwrap();
        let raw = env
            .create_databases_and_commit(txn, |opener, txn| {
                opener.create_database::<Bytes, Bytes>(txn, None).map(CommitOrAbort::<_, ()>::Commit)
            })
            .unwrap()
            .unwrap_commit();
        txn = env.write_txn().unwrap();
        for i in 0..n {
            raw.put(&mut txn, key(i).as_bytes(), &value(i)).unwrap();
        }
        txn.commit().unwrap();
        folder
    }

    #[test]
    fn entries_come_in_the_order_of_their_keys_over_batches() {
        let n = 2 * BATCH_RECORDS + 100;
        let folder = database(n);
        assert_eq!(n_images(folder.path()).unwrap(), n as u64);
        let mut count = 0;
        for (i, record) in records(folder.path()).unwrap().enumerate() {
            let record = record.unwrap();
            assert_eq!((record.key, record.payload), (key(i), Payload::Encoded(value(i))));
            count += 1;
        }
        assert_eq!(count, n);
    }

    #[test]
    fn nothing_is_written_beside_the_data() {
        let folder = database(3);
        std::fs::remove_file(folder.path().join("lock.mdb")).unwrap();
        let before = std::fs::read(folder.path().join("data.mdb")).unwrap();
        assert_eq!(records(folder.path()).unwrap().count(), 3);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(std::fs::read(folder.path().join("data.mdb")).unwrap(), before);
    }

    #[test]
    fn several_readers_may_read_at_once() {
        let folder = database(BATCH_RECORDS + 5);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert_eq!(records(folder.path()).unwrap().count(), BATCH_RECORDS + 5));
            }
        });
    }

    #[test]
    fn what_is_missing_broken_off_or_no_lmdb_is_an_error() {
        let folder = database(500);
        let data = folder.path().join("data.mdb");
        let whole = std::fs::read(&data).unwrap();
        std::fs::write(&data, &whole[..whole.len() / 2]).unwrap();
        let complaint = records(folder.path()).err().unwrap().to_string();
        assert!(
            complaint.contains("data.mdb: at byte") && complaint.contains("end of the file"),
            "{complaint}"
        );
        std::fs::write(&data, vec![b'x'; 20_000]).unwrap();
        let complaint = records(folder.path()).err().unwrap();
        assert!(matches!(complaint, ImagesError::Lmdb { .. }), "{complaint}");
        std::fs::write(&data, b"").unwrap();
        assert!(records(folder.path()).is_err());
        std::fs::remove_file(&data).unwrap();
        assert!(records(folder.path()).err().unwrap().to_string().contains("data.mdb"));
    }
}
