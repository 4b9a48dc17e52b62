//! LSUN: an LMDB of 40-hex keys and WebP (or JPEG) files.
//!
//! Format: <https://github.com/fyu/lsun>.

use std::path::Path;

use super::lmdb::Lmdb;
use super::{Records, name_of};
use crate::{Payload, Record, Result, key};

/// The number of entries, as the database has it.
pub(crate) fn n_images(path: &Path) -> Result<u64> {
    Ok(Lmdb::open(path)?.n_entries())
}

/// All entries in the order of their keys.
///
/// The file is only read, so a data set may lie on read-only media and be read by several at once; nobody may write to it
/// meanwhile.
pub(crate) fn records(path: &Path) -> Result<Records> {
    records_from(path, 0)
}

/// The same without the first `n_skipped`.
pub(crate) fn records_from(path: &Path, n_skipped: u64) -> Result<Records> {
    let source = name_of(path);
    Ok(Box::new(Lmdb::open(path)?.entries_from(n_skipped).map(move |entry| {
        let (name, value) = entry?;
        Ok(Record {
            key: key::of(&name),
            label: None,
            source: source.clone(),
            payload: Payload::Encoded(value),
        })
    })))
}

#[cfg(test)]
mod tests {
    use heed::types::Bytes;
    use heed::{CommitOrAbort, EnvOpenOptions};

    use super::*;
    use crate::ImagesError;

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
    fn entries_come_in_the_order_of_their_keys() {
        let n = 3000;
        let folder = database(n);
        assert_eq!(n_images(folder.path()).unwrap(), n as u64);
        let mut count = 0;
        for (i, record) in records(folder.path()).unwrap().enumerate() {
            let record = record.unwrap();
            assert_eq!((record.key, record.payload), (key(i), Payload::Encoded(value(i))));
            count += 1;
        }
        assert_eq!(count, n);
        let rest: Vec<String> =
            records_from(folder.path(), 2990).unwrap().map(|record| record.unwrap().key).collect();
        assert_eq!(rest, (2990..n).map(key).collect::<Vec<_>>());
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
        let folder = database(1500);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert_eq!(records(folder.path()).unwrap().count(), 1500));
            }
        });
    }

    #[test]
    fn another_number_of_entries_than_the_meta_page_says_is_an_error_behind_the_last() {
        let folder = database(3);
        let data = folder.path().join("data.mdb");
        let whole = std::fs::read(&data).unwrap();
        for claimed in [2u64, 4] {
            let mut bytes = whole.clone();
            // The number of entries of the main database, in both meta pages.
            for page in [0, 4096] {
                bytes[page + 120..page + 128].copy_from_slice(&claimed.to_le_bytes());
            }
            std::fs::write(&data, bytes).unwrap();
            let found: Vec<Result<Record>> = records(folder.path()).unwrap().collect();
            assert!(found.len() == 4 && found[..3].iter().all(Result::is_ok));
            let message = found[3].as_ref().unwrap_err().to_string();
            let expected = format!("data.mdb: expected {claimed} entries, as its meta page says, found 3");
            assert!(message.ends_with(&expected), "{message}");
        }
    }

    #[test]
    fn a_file_that_is_cut_while_it_is_read_is_named() {
        let folder = database(500);
        let mut records = records(folder.path()).unwrap();
        let file = std::fs::File::options().write(true).open(folder.path().join("data.mdb")).unwrap();
        file.set_len(8192).unwrap();
        let message = records.next().unwrap().unwrap_err().to_string();
        assert!(
            message.contains("data.mdb: at byte ") && message.contains("the end of the file"),
            "{message}"
        );
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
        assert!(matches!(complaint, ImagesError::Malformed { .. }), "{complaint}");
        std::fs::write(&data, b"").unwrap();
        assert!(records(folder.path()).is_err());
        std::fs::remove_file(&data).unwrap();
        assert!(records(folder.path()).err().unwrap().to_string().contains("data.mdb"));
    }
}
