//! `index.parquet`: one row an image, with its key, its label and where it came from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use crate::{ImagesError, Result, regular, without_panic};

const SCHEMA: &str = "message index {
    REQUIRED BYTE_ARRAY key (STRING);
    OPTIONAL INT32 label (INTEGER(32, false));
    REQUIRED BYTE_ARRAY source (STRING);
}";

/// The columns, in the order of `SCHEMA`.
pub(crate) const KEY: usize = 0;
const LABEL: usize = 1;
pub(crate) const SOURCE: usize = 2;

/// Rows held in memory before they are written as a row group.
const ROW_GROUP: usize = 1 << 16;

/// Streams rows into `index.parquet`, a row group at a time.
pub(crate) struct IndexWriter {
    path: PathBuf,
    file: SerializedFileWriter<std::fs::File>,
    keys: Vec<ByteArray>,
    labels: Vec<Option<u32>>,
    sources: Vec<ByteArray>,
}

impl IndexWriter {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let create = || {
            let schema = Arc::new(parse_message_type(SCHEMA)?);
            let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
            Ok((schema, Arc::new(properties)))
        };
        let (schema, properties) = create().map_err(|e| parquet_error(path, e))?;
        let (file, _) = fs_err::File::create(path)?.into_parts();
        let file = SerializedFileWriter::new(file, schema, properties).map_err(|e| parquet_error(path, e))?;
        Ok(Self { path: path.to_path_buf(), file, keys: Vec::new(), labels: Vec::new(), sources: Vec::new() })
    }

    pub(crate) fn append(&mut self, key: &str, label: Option<u32>, source: &str) -> Result<()> {
        self.keys.push(key.as_bytes().to_vec().into());
        self.labels.push(label);
        self.sources.push(source.as_bytes().to_vec().into());
        if self.keys.len() == ROW_GROUP {
            self.write_row_group().map_err(|e| parquet_error(&self.path, e))?;
        }
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<()> {
        if !self.keys.is_empty() {
            self.write_row_group().map_err(|e| parquet_error(&self.path, e))?;
        }
        self.file.close().map_err(|e| parquet_error(&self.path, e))?;
        Ok(())
    }

    fn write_row_group(&mut self) -> std::result::Result<(), ParquetError> {
        let mut group = self.file.next_row_group()?;
        write_column::<ByteArrayType>(&mut group, &self.keys, None)?;
        // Parquet's unsigned 32-bit integers are stored as the signed ones of the same bits.
        let present: Vec<i32> = self.labels.iter().flatten().map(|&label| label as i32).collect();
        let levels: Vec<i16> = self.labels.iter().map(|label| i16::from(label.is_some())).collect();
        write_column::<Int32Type>(&mut group, &present, Some(&levels))?;
        write_column::<ByteArrayType>(&mut group, &self.sources, None)?;
        group.close()?;
        self.keys.clear();
        self.labels.clear();
        self.sources.clear();
        Ok(())
    }
}

fn write_column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, std::fs::File>,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> std::result::Result<(), ParquetError> {
    if let Some(mut column) = group.next_column()? {
        column.typed::<T>().write_batch(values, levels, None)?;
        column.close()?;
    }
    Ok(())
}

pub(crate) fn n_rows(path: &Path) -> Result<u64> {
    let n_rows = open(path)?.metadata().file_metadata().num_rows();
    u64::try_from(n_rows).map_err(|_| ImagesError::layout(path, "a number of rows", n_rows.to_string()))
}

pub(crate) fn read_labels(path: &Path) -> Result<Vec<Option<u32>>> {
    let mut labels = Vec::new();
    for_each_group(path, LABEL, |column, n_rows| {
        let ColumnReader::Int32ColumnReader(mut column) = column else {
            return Err(ParquetError::General("expected a label column of 32-bit integers".into()));
        };
        let (present, levels) = read_all(&mut column, n_rows)?;
        let mut present = present.into_iter();
        labels.extend(
            levels.iter().map(|&level| if level == 0 { None } else { present.next().map(|l| l as u32) }),
        );
        Ok(())
    })?;
    Ok(labels)
}

/// Reads a column of required strings.
pub(crate) fn read_strings(path: &Path, column_idx: usize) -> Result<Vec<String>> {
    let mut strings = Vec::new();
    for_each_group(path, column_idx, |column, n_rows| {
        let ColumnReader::ByteArrayColumnReader(mut column) = column else {
            return Err(ParquetError::General("expected a column of strings".into()));
        };
        for value in read_all(&mut column, n_rows)?.0 {
            strings.push(value.as_utf8()?.to_owned());
        }
        Ok(())
    })?;
    Ok(strings)
}

fn for_each_group(
    path: &Path,
    column_idx: usize,
    mut visit: impl FnMut(ColumnReader, usize) -> std::result::Result<(), ParquetError>,
) -> Result<()> {
    let file = open(path)?;
    for group_idx in 0..file.num_row_groups() {
        let read = || {
            let group = file.get_row_group(group_idx)?;
            let n_rows = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
            visit(group.get_column_reader(column_idx)?, n_rows)
        };
        without_panic(read).map_err(|e| parquet_error(path, e))?;
    }
    Ok(())
}

/// The values that are present, and a definition level (0 = null) for every row of a nullable column.
fn read_all<T: DataType>(
    column: &mut ColumnReaderImpl<T>,
    n_rows: usize,
) -> std::result::Result<(Vec<T::T>, Vec<i16>), ParquetError> {
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    let mut n_read = 0;
    while n_read < n_rows {
        let (n, _, _) = column.read_records(n_rows - n_read, Some(&mut levels), None, &mut values)?;
        if n == 0 {
            return Err(ParquetError::EOF(format!("expected {n_rows} rows, found {n_read}")));
        }
        n_read += n;
    }
    Ok((values, levels))
}

fn open(path: &Path) -> Result<SerializedFileReader<std::fs::File>> {
    let (file, _) = regular::open(path)?.into_parts();
    without_panic(|| SerializedFileReader::new(file)).map_err(|e| parquet_error(path, e))
}

fn parquet_error(path: &Path, source: ParquetError) -> ImagesError {
    ImagesError::Parquet { path: path.to_path_buf(), source }
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
