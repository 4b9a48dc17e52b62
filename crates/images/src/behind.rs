//! Going on in a data set where an interrupted run stopped.

use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;

use crate::{ImagesError, Records, Result};

/// What is read of a line.
#[derive(Deserialize)]
struct Line {
    key: String,
}

/// The records behind the first `n_done`, whose keys are in the lines of `journal`: JSON objects with a `key`.
///
/// In the place of the first record that has another key, or is no longer there, is an error: the set has changed since, and what is
/// done is of other pictures.
///
/// # Errors
/// Where the journal cannot be opened.
pub fn behind(mut records: Records, journal: &Path, n_done: u64) -> Result<Records> {
    let mut lines = BufReader::new(fs_err::File::open(journal)?).lines();
    let path = journal.to_path_buf();
    let mut pass_over = move |records: &mut Records, row: u64| {
        let changed = |expected: String, found: String| {
            let path = path.clone();
            ImagesError::Layout {
                path,
                expected,
                found: format!("{found}: the set has changed; delete this file to begin anew"),
            }
        };
        let line = lines.next().transpose()?.unwrap_or_default();
        let Line { key } = serde_json::from_str(&line)
            .map_err(|e| changed(format!("an image's key in line {}", row + 1), e.to_string()))?;
        let expected = || format!("{key} as image {row} of the set, as when the run was interrupted");
        match records.next().transpose()? {
            Some(record) if record.key == key => Ok(()),
            Some(record) => Err(changed(expected(), record.key)),
            None => Err(changed(expected(), "the end of the set".to_owned())),
        }
    };
    let mut done = 0..n_done;
    Ok(Box::new(std::iter::from_fn(move || {
        while let Some(row) = done.next() {
            if let Err(error) = pass_over(&mut records, row) {
                (done, records) = (0..0, Box::new(std::iter::empty()));
                return Some(Err(error));
            }
        }
        records.next()
    })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Payload, Record};

    fn set(keys: &[&str]) -> Records {
        let record = |key: &&str| {
            Ok(Record {
                key: (*key).to_owned(),
                label: None,
                source: String::new(),
                payload: Payload::Bad("none".into()),
            })
        };
        Box::new(keys.iter().map(record).collect::<Vec<_>>().into_iter())
    }

    #[test]
    fn what_is_done_is_passed_over_and_has_to_be_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let journal = dir.path().join("journal");
        fs_err::write(&journal, "{\"key\":\"a\",\"code\":[1,2]}\n{\"key\":\"b\"}\n{\"key\":\"c\"}\n")
            .unwrap();
        let keys = |keys: &[&str], n_done| -> Result<Vec<String>> {
            behind(set(keys), &journal, n_done)?.map(|record| Ok(record?.key)).collect()
        };
        assert_eq!(keys(&["a", "b", "c", "d"], 2).unwrap(), ["c", "d"]);
        assert_eq!(keys(&["x"], 0).unwrap(), ["x"]);
        assert_eq!(keys(&["a", "b"], 2).unwrap(), [""; 0]);
        let inserted = keys(&["a", "aa", "b", "c"], 2).unwrap_err().to_string();
        assert!(
            inserted.contains("expected b as image 1 of the set") && inserted.contains("found aa"),
            "{inserted}"
        );
        let shorter = keys(&["a"], 2).unwrap_err().to_string();
        assert!(shorter.contains("found the end of the set"), "{shorter}");
        // One error, and then nothing.
        assert_eq!(behind(set(&["b", "c"]), &journal, 1).unwrap().count(), 1);
    }
}
