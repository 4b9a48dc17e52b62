//! A Parquet file whose footer has been read.

use std::path::{Path, PathBuf};

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;

use super::bytes::FileBytes;
use super::parquet_error;
use crate::parquet_guard::without_panic;
use crate::{FilesError, Result};

pub(super) struct OpenFile {
    pub(super) path: PathBuf,
    pub(super) file: SerializedFileReader<FileBytes>,
}

impl OpenFile {
    pub(super) fn new(path: &Path, file: std::fs::File) -> Result<Self> {
        let file = without_panic(|| SerializedFileReader::new(FileBytes(file)))
            .map_err(|e| parquet_error(path, e))?;
        Ok(Self { path: path.to_path_buf(), file })
    }

    pub(super) fn columns(&self) -> &[std::sync::Arc<ColumnDescriptor>] {
        self.file.metadata().file_metadata().schema_descr().columns()
    }

    pub(super) fn unlike(&self, expected: impl Into<String>, found: impl ToString) -> FilesError {
        FilesError::layout(&self.path, expected, found.to_string())
    }
}
