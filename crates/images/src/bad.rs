//! `bad.csv`: the pictures that could not be used, each with the reason.

use std::path::{Path, PathBuf};

use dcgan_files::csv::{field, text};

use crate::{ImagesError, Result, regular};

/// Writes a `bad.csv`, a line a picture; fields stand as [`field`] writes them.
pub struct BadWriter {
    path: PathBuf,
    file: csv::Writer<fs_err::File>,
    n_bad: u64,
}

impl BadWriter {
    /// Begins a file.
    ///
    /// # Errors
    /// [`ImagesError::Io`] and [`ImagesError::Csv`].
    pub fn create(path: &Path) -> Result<Self> {
        let file = csv::Writer::from_writer(fs_err::File::create(path)?);
        let mut writer = Self { path: path.to_path_buf(), file, n_bad: 0 };
        writer.write(["key", "reason"])?;
        Ok(writer)
    }

    /// Goes on with a file that was completed; the pictures in it are not counted.
    ///
    /// # Errors
    /// [`ImagesError::Io`].
    pub fn append_to(path: &Path) -> Result<Self> {
        let file = fs_err::OpenOptions::new().append(true).open(path)?;
        let file = csv::WriterBuilder::new().has_headers(false).from_writer(file);
        Ok(Self { path: path.to_path_buf(), file, n_bad: 0 })
    }

    /// Adds a picture.
    ///
    /// # Errors
    /// [`ImagesError::Csv`].
    pub fn append(&mut self, key: &str, reason: &str) -> Result<()> {
        self.n_bad += 1;
        self.write([&*field(key), &*field(reason)])
    }

    /// Pictures so far.
    pub fn n_bad(&self) -> u64 {
        self.n_bad
    }

    /// Completes the file.
    ///
    /// # Errors
    /// [`ImagesError::Io`].
    pub fn finish(mut self) -> Result<()> {
        Ok(self.file.flush()?)
    }

    fn write(&mut self, row: [&str; 2]) -> Result<()> {
        self.file.write_record(row).map_err(|source| ImagesError::Csv { path: self.path.clone(), source })
    }
}

/// Reads a `bad.csv`: keys and reasons.
///
/// # Errors
/// [`ImagesError::Io`] and [`ImagesError::Csv`]; [`ImagesError::Layout`] for another table.
pub fn read_bad(path: &Path) -> Result<Vec<(String, String)>> {
    let wrong = |source| ImagesError::Csv { path: path.to_path_buf(), source };
    let mut reader = csv::Reader::from_reader(regular::open(path)?);
    let head = reader.headers().map_err(wrong)?;
    if head.iter().take(2).ne(["key", "reason"]) {
        return Err(ImagesError::layout(path, "the columns key and reason", format!("{head:?}")));
    }
    let row = |row: csv::StringRecord| (text(&row[0]).to_owned(), text(&row[1]).to_owned());
    reader.records().map(|found| found.map(row).map_err(wrong)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bad.csv");
        let rows =
            [("a,b\"c.jpg", "two\nlines"), (r"caf\xe8.jpg", ""), ("", "no name"), ("=1+1.jpg", "'quoted'")];
        let mut writer = BadWriter::create(&path).unwrap();
        rows.iter().try_for_each(|(key, reason)| writer.append(key, reason)).unwrap();
        assert_eq!(writer.n_bad(), 4);
        writer.finish().unwrap();
        let mut more = BadWriter::append_to(&path).unwrap();
        more.append("-.txt", "not read").unwrap();
        more.finish().unwrap();
        let found = read_bad(&path).unwrap();
        let written = rows.into_iter().chain([("-.txt", "not read")]);
        assert!(found.iter().map(|(key, reason)| (key.as_str(), reason.as_str())).eq(written), "{found:?}");
        fs_err::write(&path, "name\na\n").unwrap();
        assert!(read_bad(&path).unwrap_err().to_string().contains("expected the columns key and reason"));
    }
}
