//! Writing and reading Parquet columns, a row group at a time. Whatever this project writes or reads as Parquet goes through here.

mod bytes;
mod file;
mod kind;
mod pages;
mod part;
mod reader;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

pub use self::kind::Kind;
pub use self::reader::{Reader, read};
use crate::{FilesError, Result};

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
    /// Text that may be missing.
    MaybeStrings(Vec<Option<String>>),
    /// 32-bit integers that may be missing.
    MaybeU32(Vec<Option<u32>>),
    /// 64-bit integers that may be missing.
    MaybeU64(Vec<Option<u64>>),
    /// 32-bit floats that may be missing.
    MaybeF32(Vec<Option<f32>>),
    /// Bytes that may be missing.
    MaybeBytes(Vec<Option<Vec<u8>>>),
    /// 64-bit floats that may be missing.
    MaybeF64(Vec<Option<f64>>),
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
    /// [`FilesError::Io`], and [`FilesError::Parquet`] for a schema that is none.
    pub fn create(path: &Path, schema: &str) -> Result<Self> {
        Self::create_with(path, schema, &[])
    }

    /// As [`Writer::create`], with pairs of keys and values in the file's metadata.
    ///
    /// # Errors
    /// As [`Writer::create`].
    pub fn create_with(path: &Path, schema: &str, metadata: &[(&str, String)]) -> Result<Self> {
        let (file, _) = fs_err::File::create(path)?.into_parts();
        let pair = |(key, value): &(&str, String)| KeyValue::new((*key).to_owned(), value.clone());
        let metadata = (!metadata.is_empty()).then(|| metadata.iter().map(pair).collect());
        let create = || {
            let schema = Arc::new(parse_message_type(schema)?);
            let properties = WriterProperties::builder().set_compression(Compression::SNAPPY);
            let properties = properties.set_key_value_metadata(metadata).build();
            SerializedFileWriter::new(file, schema, Arc::new(properties))
        };
        let file = create().map_err(|e| parquet_error(path, e))?;
        Ok(Self { path: path.to_path_buf(), file })
    }

    /// Writes a row group: the columns in the order of the schema, all of one length.
    ///
    /// # Errors
    /// [`FilesError::Parquet`].
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
    /// [`FilesError::Parquet`].
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
        Column::MaybeBytes(values) => {
            let present: Vec<_> =
                values.iter().flatten().map(|bytes| ByteArray::from(bytes.clone())).collect();
            write_column::<ByteArrayType>(group, &present, Some(&there(values)))
        }
        Column::MaybeStrings(values) => {
            let present: Vec<_> = values.iter().flatten().map(bytes).collect();
            write_column::<ByteArrayType>(group, &present, Some(&there(values)))
        }
        Column::MaybeU32(values) => {
            let present: Vec<i32> = values.iter().flatten().map(|&value| value as i32).collect();
            write_column::<Int32Type>(group, &present, Some(&there(values)))
        }
        Column::MaybeU64(values) => {
            let present: Vec<i64> = values.iter().flatten().map(|&value| value as i64).collect();
            write_column::<Int64Type>(group, &present, Some(&there(values)))
        }
        Column::MaybeF32(values) => {
            let present: Vec<f32> = values.iter().flatten().copied().collect();
            write_column::<FloatType>(group, &present, Some(&there(values)))
        }
        Column::MaybeF64(values) => {
            let present: Vec<f64> = values.iter().flatten().copied().collect();
            write_column::<DoubleType>(group, &present, Some(&there(values)))
        }
    }
}

/// Where values are there.
fn there<T>(values: &[Option<T>]) -> Vec<bool> {
    values.iter().map(Option::is_some).collect()
}

type Group<'a> = SerializedRowGroupWriter<'a, std::fs::File>;

fn write_column<T: DataType>(
    group: &mut Group<'_>,
    values: &[T::T],
    is_there: Option<&[bool]>,
) -> std::result::Result<(), ParquetError> {
    if let Some(mut column) = group.next_column()? {
        let typed = column.typed::<T>();
        // Parquet's definition levels: how many of a value and the groups around it are there. The groups always are.
        let full = typed.get_descriptor().max_def_level();
        let levels =
            is_there.map(|all| all.iter().map(|&there| full - i16::from(!there)).collect::<Vec<_>>());
        typed.write_batch(values, levels.as_deref(), None)?;
        column.close()?;
    }
    Ok(())
}

fn parquet_error(path: &Path, source: ParquetError) -> FilesError {
    FilesError::Parquet { path: path.to_path_buf(), source }
}

#[cfg(test)]
mod tests;
