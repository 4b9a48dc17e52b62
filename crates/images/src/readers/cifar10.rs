//! CIFAR-10, binary version: records of one label byte and 3072 pixels (3 planes of 32×32, red, green, blue).
//!
//! Format: <https://www.cs.toronto.edu/~kriz/cifar.html>.

use std::io::BufReader;
use std::path::{Path, PathBuf};

use dcgan_files::words::what_is_in;

use super::{Records, name_of, read_exact};
use crate::source::Split;
use crate::{ImagesError, Payload, Picture, Record, Result, regular};

const SIDE: usize = 32;
const RECORD_LEN: u64 = 1 + 3 * (SIDE * SIDE) as u64;
const N_CLASSES: u8 = 10;
/// Records in each file of the original.
const ORIGINAL_RECORDS: u64 = 10_000;

fn batch_files(folder: &Path, split: Split) -> Vec<PathBuf> {
    match split {
        Split::Train => (1..=5).map(|i| folder.join(format!("data_batch_{i}.bin"))).collect(),
        Split::Test => vec![folder.join("test_batch.bin")],
    }
}

/// The number of records, from the sizes of the files.
pub(crate) fn n_images(folder: &Path, split: Split) -> Result<u64> {
    check_version(folder, split)?;
    batch_files(folder, split).iter().map(|path| n_records(path)).sum()
}

/// What the folder holds instead of the binary version's files, and what to do.
fn other_version(folder: &Path) -> Option<String> {
    let has = |name: &str| folder.join(name).exists();
    let binary = "take the binary version, cifar-10-binary.tar.gz";
    if has("data_batch_1") || has("test_batch") || has("cifar-10-batches-py") {
        Some(format!("the Python version's pickles; {binary}"))
    } else if has("data_batch_1.mat") || has("cifar-10-batches-mat") {
        Some(format!("the Matlab version; {binary}"))
    } else if has("cifar-10-batches-bin") {
        Some("it in the folder cifar-10-batches-bin; name that".to_owned())
    } else {
        None
    }
}

/// Refuses a folder that holds CIFAR-10 in another form.
fn check_version(folder: &Path, split: Split) -> Result<()> {
    if batch_files(folder, split).iter().any(|file| file.exists()) {
        return Ok(());
    }
    let other = other_version(folder);
    let is_test = split == Split::Test && other.is_none();
    let file = if is_test { "test_batch.bin" } else { "data_batch_1.bin and so on" };
    let found = other.unwrap_or_else(|| what_is_in(folder));
    Err(ImagesError::layout(folder, format!("CIFAR-10's {file}"), found))
}

fn n_records(path: &Path) -> Result<u64> {
    let n_bytes = match fs_err::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let folder = path.parent().unwrap_or(path);
            return Err(ImagesError::layout(
                folder,
                format!("CIFAR-10's {}", name_of(path)),
                what_is_in(folder),
            ));
        }
        metadata => metadata?.len(),
    };
    let n_left = n_bytes % RECORD_LEN;
    if n_bytes == 0 || n_left != 0 {
        return Err(ImagesError::malformed(
            path,
            n_bytes - n_left,
            format!("a record of {RECORD_LEN} bytes"),
            format!("{n_left} bytes and the end of the file"),
        ));
    }
    Ok(n_bytes / RECORD_LEN)
}

/// A sign that the files of a split are not whole, in words: a file that is cut between two records has no other sign.
/// The original has 10,000 records a file; a set with other numbers has five training files that differ by one record at most.
pub(crate) fn sign_of_loss(folder: &Path, split: Split) -> Result<Option<String>> {
    let counts = |split| -> Result<Vec<(u64, PathBuf)>> {
        let files =
            batch_files(folder, split).into_iter().filter(|path| split == Split::Test || path.exists());
        files.map(|path| Ok((n_records(&path)?, path))).collect()
    };
    let training = counts(Split::Train)?;
    let most = training.iter().map(|(n, _)| *n).max().unwrap_or(0);
    let (expected, files) = match split {
        Split::Train => (most, training),
        Split::Test if most == ORIGINAL_RECORDS => (most, counts(Split::Test)?),
        Split::Test => return Ok(None),
    };
    let may_differ = u64::from(expected != ORIGINAL_RECORDS);
    let short: Vec<String> = files
        .iter()
        .filter(|(n, _)| n + may_differ < expected)
        .map(|(n, path)| format!("{} {n}", name_of(path)))
        .collect();
    let others = if expected == ORIGINAL_RECORDS { "those of the original" } else { "the longest" };
    Ok((!short.is_empty()).then(|| {
        format!(
            "{}: {others} have {expected} pictures, found fewer: {}; are they whole?",
            folder.display(),
            short.join(", ")
        )
    }))
}

/// All records of a split, in the order of the files. Every file's size is checked first.
pub(crate) fn records(folder: &Path, split: Split) -> Result<Records> {
    check_version(folder, split)?;
    let mut batches = Vec::new();
    for path in batch_files(folder, split) {
        batches.push((n_records(&path)?, path));
    }
    Ok(Box::new(batches.into_iter().flat_map(|(n_records, path)| match Batch::open(path, n_records) {
        Ok(batch) => Box::new(batch) as Records,
        Err(e) => Box::new(std::iter::once(Err(e))),
    })))
}

/// The names in `batches.meta.txt`, where it is there.
pub(crate) fn class_names(folder: &Path) -> Result<Option<Vec<String>>> {
    let path = folder.join("batches.meta.txt");
    if !path.exists() {
        return Ok(None);
    }
    let text = regular::read_to_string(&path)?;
    let names: Vec<String> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(Into::into).collect();
    if names.len() != usize::from(N_CLASSES) {
        return Err(ImagesError::layout(&path, "10 class names, one a line", names.len().to_string()));
    }
    let twice = (1..names.len()).find(|&i| names[..i].contains(&names[i]));
    if let Some(i) = twice {
        return Err(ImagesError::layout(&path, "10 different class names", format!("{:?} twice", names[i])));
    }
    Ok(Some(names))
}

struct Batch {
    path: PathBuf,
    name: String,
    file: BufReader<fs_err::File>,
    n_records: u64,
    record_idx: u64,
}

impl Batch {
    fn open(path: PathBuf, n_records: u64) -> Result<Self> {
        let file = BufReader::with_capacity(1 << 17, regular::open(&path)?);
        Ok(Self { name: name_of(&path), path, file, n_records, record_idx: 0 })
    }

    fn read(&mut self) -> Result<Record> {
        let offset = self.record_idx * RECORD_LEN;
        let mut label = [0];
        read_exact(&self.path, &mut self.file, offset, &mut label)?;
        let mut pixels = vec![0; 3 * SIDE * SIDE];
        read_exact(&self.path, &mut self.file, offset + 1, &mut pixels)?;
        if label[0] >= N_CLASSES {
            return Err(ImagesError::malformed(
                &self.path,
                offset,
                "a label from 0 to 9",
                label[0].to_string(),
            ));
        }
        Ok(Record {
            key: format!("{}#{:05}", self.name, self.record_idx),
            label: Some(label[0].into()),
            source: self.name.clone(),
            payload: Payload::Pixels(Picture { channels: 3, height: SIDE, width: SIDE, pixels }),
        })
    }
}

impl Iterator for Batch {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.record_idx == self.n_records {
            return None;
        }
        let record = self.read();
        // After an error there is nothing more to be had.
        self.record_idx = if record.is_ok() { self.record_idx + 1 } else { self.n_records };
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(labels: &[u8]) -> Vec<u8> {
        labels
            .iter()
            .enumerate()
            .flat_map(|(i, &label)| [vec![label], vec![i as u8; 3072]].concat())
            .collect()
    }

    fn folder(test_batch: &[u8]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("test_batch.bin"), test_batch).unwrap();
        folder
    }

    #[test]
    fn records_come_in_order_with_keys_and_labels() {
        let folder = folder(&batch(&[3, 0, 9]));
        let records: Vec<Record> =
            records(folder.path(), Split::Test).unwrap().collect::<Result<_>>().unwrap();
        assert_eq!(records.len(), 3);
        assert_eq!(records[2].key, "test_batch.bin#00002");
        assert_eq!(records[2].label, Some(9));
        let Payload::Pixels(picture) = &records[2].payload else { panic!() };
        assert_eq!(picture.pixels, [2; 3072]);
        assert_eq!(n_images(folder.path(), Split::Test).unwrap(), 3);
    }

    #[test]
    fn a_file_that_breaks_off_is_named_with_the_place() {
        for (n_bytes, place) in [(3073 + 100, "at byte 3073"), (0, "at byte 0")] {
            let folder = folder(&batch(&[1, 2])[..n_bytes]);
            let complaint = records(folder.path(), Split::Test).err().unwrap().to_string();
            assert!(complaint.contains("test_batch.bin") && complaint.contains(place), "{complaint}");
        }
    }

    #[test]
    fn a_file_that_is_cut_while_it_is_read_is_named() {
        let folder = folder(&batch(&[1, 2]));
        let mut records = records(folder.path(), Split::Test).unwrap();
        let file = std::fs::File::options().write(true).open(folder.path().join("test_batch.bin")).unwrap();
        file.set_len(3000).unwrap();
        let complaint = records.next().unwrap().unwrap_err().to_string();
        assert!(
            complaint.ends_with(
                "test_batch.bin: at byte 1: expected 3072 bytes, found 2999 and the end of the file"
            ),
            "{complaint}"
        );
    }

    #[test]
    fn a_label_of_10_is_an_error_and_the_end() {
        let folder = folder(&batch(&[1, 10, 2]));
        let mut records = records(folder.path(), Split::Test).unwrap();
        assert!(records.next().unwrap().is_ok());
        let complaint = records.next().unwrap().unwrap_err().to_string();
        assert!(complaint.ends_with("at byte 3073: expected a label from 0 to 9, found 10"), "{complaint}");
        assert!(records.next().is_none());
    }

    #[test]
    fn every_batch_of_the_training_set_must_be_there() {
        let folder = folder(&batch(&[1]));
        let complaint = records(folder.path(), Split::Train).err().unwrap().to_string();
        assert!(complaint.contains("data_batch_1.bin"), "{complaint}");
    }

    #[test]
    fn another_version_is_named_with_what_to_take() {
        let folder = tempfile::tempdir().unwrap();
        let complaint = || records(folder.path(), Split::Train).err().unwrap().to_string();
        std::fs::create_dir(folder.path().join("cifar-10-batches-bin")).unwrap();
        assert!(
            complaint().ends_with("found it in the folder cifar-10-batches-bin; name that"),
            "{}",
            complaint()
        );
        std::fs::write(folder.path().join("data_batch_1"), b"\x80\x02}").unwrap();
        let expected = "expected CIFAR-10's data_batch_1.bin and so on, found the Python version's pickles; take the binary \
                        version, cifar-10-binary.tar.gz";
        assert!(complaint().ends_with(expected), "{}", complaint());
        assert!(n_images(folder.path(), Split::Test).unwrap_err().to_string().ends_with(expected));
    }

    #[test]
    fn class_names_are_read_where_they_are() {
        let folder = folder(&batch(&[1]));
        assert_eq!(class_names(folder.path()).unwrap(), None);
        let path = folder.path().join("batches.meta.txt");
        std::fs::write(&path, "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n").unwrap();
        assert_eq!(class_names(folder.path()).unwrap().unwrap()[9], "j");
        std::fs::write(&path, "a\nb\n").unwrap();
        assert!(class_names(folder.path()).is_err());
        std::fs::write(&path, "a\nb\nc\nd\ne\nf\ng\nh\nb\nj\n").unwrap();
        let complaint = class_names(folder.path()).unwrap_err().to_string();
        assert!(
            complaint.ends_with("batches.meta.txt: expected 10 different class names, found \"b\" twice"),
            "{complaint}"
        );
    }

    #[test]
    fn files_that_are_shorter_than_their_like_are_doubted() {
        let folder = tempfile::tempdir().unwrap();
        let sign_of_loss = |train: [u64; 5], test: u64, split| {
            let names = batch_files(folder.path(), Split::Train).into_iter().zip(train);
            for (path, n) in names.chain([(folder.path().join("test_batch.bin"), test)]) {
                fs_err::File::create(path).unwrap().set_len(n * RECORD_LEN).unwrap();
            }
            super::sign_of_loss(folder.path(), split).unwrap()
        };
        let whole = [10_000; 5];
        for split in [Split::Train, Split::Test] {
            assert_eq!(sign_of_loss(whole, 10_000, split), None);
            // Made-up sets, of any number.
            assert_eq!(sign_of_loss([12, 13, 13, 13, 13], 10, split), None);
        }
        let found = sign_of_loss([10_000, 10_000, 9_999, 10_000, 3], 10_000, Split::Train).unwrap();
        let expected = ": those of the original have 10000 pictures, found fewer: data_batch_3.bin 9999, data_batch_5.bin 3; \
                        are they whole?";
        assert!(found.ends_with(expected), "{found}");
        let found = sign_of_loss([12, 13, 13, 13, 11], 10, Split::Train).unwrap();
        assert!(
            found.ends_with(
                ": the longest have 13 pictures, found fewer: data_batch_5.bin 11; are they whole?"
            )
        );
        let found = sign_of_loss(whole, 9_000, Split::Test).unwrap();
        assert!(found.contains("found fewer: test_batch.bin 9000"), "{found}");
    }
}
