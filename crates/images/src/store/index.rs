//! `index.parquet`: one row an image, with its key, its label and where it came from.

use std::path::Path;

use crate::Result;
use dcgan_files::columns::{Column, Kind, ROW_GROUP, Reader, Writer, read};

const SCHEMA: &str = "message index {
    REQUIRED BYTE_ARRAY key (STRING);
    OPTIONAL INT32 label (INTEGER(32, false));
    REQUIRED BYTE_ARRAY source (STRING);
}";

/// The column of keys.
pub(crate) const KEY: &str = "key";
const LABEL: &str = "label";
/// The column of what the images came out of.
pub(crate) const SOURCE: &str = "source";

/// Streams rows into `index.parquet`, a row group at a time.
pub(crate) struct IndexWriter {
    file: Writer,
    keys: Vec<String>,
    labels: Vec<Option<u32>>,
    sources: Vec<String>,
}

impl IndexWriter {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let file = Writer::create(path, SCHEMA)?;
        Ok(Self { file, keys: Vec::new(), labels: Vec::new(), sources: Vec::new() })
    }

    pub(crate) fn append(&mut self, key: &str, label: Option<u32>, source: &str) -> Result<()> {
        self.keys.push(key.to_owned());
        self.labels.push(label);
        self.sources.push(source.to_owned());
        if self.keys.len() == ROW_GROUP { self.write_row_group() } else { Ok(()) }
    }

    pub(crate) fn finish(mut self) -> Result<()> {
        if !self.keys.is_empty() {
            self.write_row_group()?;
        }
        Ok(self.file.finish()?)
    }

    fn write_row_group(&mut self) -> Result<()> {
        Ok(self.file.write(&[
            Column::Strings(std::mem::take(&mut self.keys)),
            Column::MaybeU32(std::mem::take(&mut self.labels)),
            Column::Strings(std::mem::take(&mut self.sources)),
        ])?)
    }
}

/// The number of rows of a file whose columns are an index's.
pub(crate) fn n_rows(path: &Path) -> Result<u64> {
    let reader = Reader::open(path)?;
    reader.check(&[(KEY, Kind::Strings), (LABEL, Kind::MaybeU32), (SOURCE, Kind::Strings)])?;
    Ok(reader.n_rows()?)
}

pub(crate) fn read_labels(path: &Path) -> Result<Vec<Option<u32>>> {
    let mut labels = Vec::new();
    read(path, &[(LABEL, Kind::MaybeU32)], |columns| {
        for column in columns {
            if let Column::MaybeU32(values) = column {
                labels.extend(values);
            }
        }
    })?;
    Ok(labels)
}

/// Reads a column of strings, of which none may be missing.
pub(crate) fn read_strings(path: &Path, name: &str) -> Result<Vec<String>> {
    let mut strings = Vec::new();
    read(path, &[(name, Kind::Strings)], |columns| {
        for column in columns {
            if let Column::Strings(values) = column {
                strings.extend(values);
            }
        }
    })?;
    Ok(strings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_back_over_row_groups() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index.parquet");
        let n = ROW_GROUP + 10;
        let label = |i: usize| (!i.is_multiple_of(3)).then_some(i as u32);
        let mut writer = IndexWriter::create(&path).unwrap();
        for i in 0..n {
            writer.append(&format!("clé {i}"), label(i), ["a", "b"][i % 2]).unwrap();
        }
        writer.finish().unwrap();
        assert_eq!(n_rows(&path).unwrap(), n as u64);
        assert!(read_labels(&path).unwrap().into_iter().eq((0..n).map(label)));
        assert!(read_strings(&path, KEY).unwrap().into_iter().eq((0..n).map(|i| format!("clé {i}"))));
        assert_eq!(read_strings(&path, SOURCE).unwrap()[..3], ["a", "b", "a"]);
    }

    #[test]
    fn another_file_is_an_error_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index.parquet");
        std::fs::write(&path, "not Parquet").unwrap();
        assert!(read_labels(&path).unwrap_err().to_string().contains("index.parquet"));
    }
}
