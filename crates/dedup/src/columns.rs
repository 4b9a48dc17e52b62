//! Writing and reading Parquet columns, a row group at a time.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dcgan_images::without_panic;
use parquet::basic::Compression;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArrayType, DataType, FloatType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use crate::{DedupError, Result};

/// Rows in a row group.
pub(crate) const ROW_GROUP: usize = 1 << 16;

/// One column's values of a row group. Unsigned numbers are stored as the signed ones of the same bits.
pub(crate) enum Column {
    Strings(Vec<String>),
    U32(Vec<u32>),
    U64(Vec<u64>),
    F32(Vec<f32>),
}

pub(crate) struct Writer {
    path: PathBuf,
    file: SerializedFileWriter<std::fs::File>,
}

impl Writer {
    pub(crate) fn create(path: &Path, schema: &str) -> Result<Self> {
        let (file, _) = fs_err::File::create(path)?.into_parts();
        let create = || {
            let schema = Arc::new(parse_message_type(schema)?);
            let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
            SerializedFileWriter::new(file, schema, Arc::new(properties))
        };
        let file = create().map_err(|e| parquet_error(path, e))?;
        Ok(Self { path: path.to_path_buf(), file })
    }

    /// Writes a row group: the columns in the order of the schema, all of one length.
    pub(crate) fn write(&mut self, columns: &[Column]) -> Result<()> {
        let mut write = || {
            let mut group = self.file.next_row_group()?;
            for column in columns {
                match column {
                    Column::Strings(values) => {
                        let values: Vec<_> =
                            values.iter().map(|text| text.as_bytes().to_vec().into()).collect();
                        write_column::<ByteArrayType>(&mut group, &values)?;
                    }
                    Column::U32(values) => {
                        let values: Vec<i32> = values.iter().map(|&value| value as i32).collect();
                        write_column::<Int32Type>(&mut group, &values)?;
                    }
                    Column::U64(values) => {
                        let values: Vec<i64> = values.iter().map(|&value| value as i64).collect();
                        write_column::<Int64Type>(&mut group, &values)?;
                    }
                    Column::F32(values) => write_column::<FloatType>(&mut group, values)?,
                }
            }
            group.close().map(|_| ())
        };
        write().map_err(|e| parquet_error(&self.path, e))
    }

    pub(crate) fn finish(self) -> Result<()> {
        self.file.close().map_err(|e| parquet_error(&self.path, e))?;
        Ok(())
    }
}

fn write_column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, std::fs::File>,
    values: &[T::T],
) -> std::result::Result<(), ParquetError> {
    if let Some(mut column) = group.next_column()? {
        column.typed::<T>().write_batch(values, None, None)?;
        column.close()?;
    }
    Ok(())
}

/// Calls `visit` with the named columns of each row group in turn.
///
/// # Errors
/// Where the file cannot be read, or a column is missing or of another type than text, 32- or 64-bit integers and floats.
pub(crate) fn read(path: &Path, names: &[&str], mut visit: impl FnMut(Vec<Column>)) -> Result<()> {
    let (file, _) = fs_err::File::open(path)?.into_parts();
    let file = without_panic(|| SerializedFileReader::new(file)).map_err(|e| parquet_error(path, e))?;
    let schema = file.metadata().file_metadata().schema_descr();
    let index_of = |name: &&str| {
        let found = schema.columns().iter().position(|column| column.name() == *name);
        found.ok_or_else(|| DedupError::file(path, format!("a column `{name}`"), "none of that name"))
    };
    let indices = names.iter().map(index_of).collect::<Result<Vec<usize>>>()?;
    for group_idx in 0..file.num_row_groups() {
        let read_group = || {
            let group = file.get_row_group(group_idx)?;
            let n_rows = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
            indices.iter().map(|&idx| read_column(group.get_column_reader(idx)?, n_rows)).collect()
        };
        let columns: std::result::Result<Vec<Column>, ParquetError> = without_panic(read_group);
        visit(columns.map_err(|e| parquet_error(path, e))?);
    }
    Ok(())
}

fn read_column(column: ColumnReader, n_rows: usize) -> std::result::Result<Column, ParquetError> {
    Ok(match column {
        ColumnReader::ByteArrayColumnReader(reader) => {
            let strings = values(reader, n_rows)?;
            let strings = strings.iter().map(|bytes| Ok(bytes.as_utf8()?.to_owned()));
            Column::Strings(strings.collect::<std::result::Result<_, ParquetError>>()?)
        }
        ColumnReader::Int32ColumnReader(reader) => {
            Column::U32(values(reader, n_rows)?.into_iter().map(|value| value as u32).collect())
        }
        ColumnReader::Int64ColumnReader(reader) => {
            Column::U64(values(reader, n_rows)?.into_iter().map(|value| value as u64).collect())
        }
        ColumnReader::FloatColumnReader(reader) => Column::F32(values(reader, n_rows)?),
        _ => return Err(ParquetError::General("expected text, integers or floats".into())),
    })
}

fn values<T: DataType>(
    mut column: ColumnReaderImpl<T>,
    n_rows: usize,
) -> std::result::Result<Vec<T::T>, ParquetError> {
    // The number of rows is what the file claims: memory is taken as values come.
    let mut values = Vec::new();
    while values.len() < n_rows {
        let (n, _, _) = column.read_records(n_rows - values.len(), None, None, &mut values)?;
        if n == 0 {
            return Err(ParquetError::EOF(format!("expected {n_rows} rows, found {}", values.len())));
        }
    }
    Ok(values)
}

fn parquet_error(path: &Path, source: ParquetError) -> DedupError {
    DedupError::Parquet { path: path.to_path_buf(), source }
}
