//! Writing and reading Parquet columns, a row group at a time.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::without_panic;
use parquet::basic::Compression;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, FloatType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use crate::{ImagesError, Result, regular};

/// Rows in a row group.
pub const ROW_GROUP: usize = 1 << 16;

/// One column's values of a row group. Unsigned numbers are stored as the signed ones of the same bits.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// Text.
    Strings(Vec<String>),
    /// 32-bit integers.
    U32(Vec<u32>),
    /// 64-bit integers.
    U64(Vec<u64>),
    /// 32-bit floats.
    F32(Vec<f32>),
    /// Text that may be missing; written only.
    MaybeStrings(Vec<Option<String>>),
    /// 32-bit integers that may be missing; written only.
    MaybeU32(Vec<Option<u32>>),
    /// 32-bit floats that may be missing; written only.
    MaybeF32(Vec<Option<f32>>),
}

/// Writes a Parquet file, a row group at a time.
pub struct Writer {
    path: PathBuf,
    file: SerializedFileWriter<std::fs::File>,
}

impl Writer {
    /// Begins a file; `schema` in Parquet's own notation.
    ///
    /// # Errors
    /// [`ImagesError::Io`], and [`ImagesError::Parquet`] for a schema that is none.
    pub fn create(path: &Path, schema: &str) -> Result<Self> {
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
    ///
    /// # Errors
    /// [`ImagesError::Parquet`].
    pub fn write(&mut self, columns: &[Column]) -> Result<()> {
        let mut write = || {
            let mut group = self.file.next_row_group()?;
            for column in columns {
                write_any(&mut group, column)?;
            }
            group.close().map(|_| ())
        };
        write().map_err(|e| parquet_error(&self.path, e))
    }

    /// Completes the file.
    ///
    /// # Errors
    /// [`ImagesError::Parquet`].
    pub fn finish(self) -> Result<()> {
        self.file.close().map_err(|e| parquet_error(&self.path, e))?;
        Ok(())
    }
}

fn write_any(group: &mut Group<'_>, column: &Column) -> std::result::Result<(), ParquetError> {
    let bytes = |text: &String| ByteArray::from(text.as_bytes().to_vec());
    match column {
        Column::Strings(values) => {
            let values: Vec<_> = values.iter().map(bytes).collect();
            write_column::<ByteArrayType>(group, &values, None)
        }
        Column::U32(values) => {
            let values: Vec<i32> = values.iter().map(|&value| value as i32).collect();
            write_column::<Int32Type>(group, &values, None)
        }
        Column::U64(values) => {
            let values: Vec<i64> = values.iter().map(|&value| value as i64).collect();
            write_column::<Int64Type>(group, &values, None)
        }
        Column::F32(values) => write_column::<FloatType>(group, values, None),
        Column::MaybeStrings(values) => {
            let present: Vec<_> = values.iter().flatten().map(bytes).collect();
            write_column::<ByteArrayType>(group, &present, Some(&levels(values)))
        }
        Column::MaybeU32(values) => {
            let present: Vec<i32> = values.iter().flatten().map(|&value| value as i32).collect();
            write_column::<Int32Type>(group, &present, Some(&levels(values)))
        }
        Column::MaybeF32(values) => {
            let present: Vec<f32> = values.iter().flatten().copied().collect();
            write_column::<FloatType>(group, &present, Some(&levels(values)))
        }
    }
}

/// Parquet's definition levels: 0 where a value is missing.
fn levels<T>(values: &[Option<T>]) -> Vec<i16> {
    values.iter().map(|value| i16::from(value.is_some())).collect()
}

type Group<'a> = SerializedRowGroupWriter<'a, std::fs::File>;

fn write_column<T: DataType>(
    group: &mut Group<'_>,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> std::result::Result<(), ParquetError> {
    if let Some(mut column) = group.next_column()? {
        column.typed::<T>().write_batch(values, levels, None)?;
        column.close()?;
    }
    Ok(())
}

/// Calls `visit` with the named columns of each row group in turn.
///
/// # Errors
/// Where the file cannot be read, or a column is missing or of another type than text, 32- or 64-bit integers and floats, none of
/// them nullable.
pub fn read(path: &Path, names: &[&str], mut visit: impl FnMut(Vec<Column>)) -> Result<()> {
    let (file, _) = regular::open(path)?.into_parts();
    let file = without_panic(|| SerializedFileReader::new(file)).map_err(|e| parquet_error(path, e))?;
    let schema = file.metadata().file_metadata().schema_descr();
    let index_of = |name: &&str| {
        let found = schema.columns().iter().position(|column| column.name() == *name);
        found.ok_or_else(|| ImagesError::layout(path, format!("a column `{name}`"), "none of that name"))
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

fn parquet_error(path: &Path, source: ParquetError) -> ImagesError {
    ImagesError::Parquet { path: path.to_path_buf(), source }
}
