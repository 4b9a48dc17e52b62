//! A column of a row group, taken a few rows at a time.

use parquet::basic::{Compression, LogicalType};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::file::reader::FileReader as _;

use super::file::OpenFile;
use super::kind::{Kind, is_unsigned};
use super::pages::CheckedPages;
use super::{Column, parquet_error};
use crate::parquet_guard::without_panic;
use crate::{FilesError, Result};

/// How a column is compressed, where that can be read.
const READ_COMPRESSIONS: &str = "none, snappy, gzip, brotli, zstd, lz4_raw or lz4";
/// Rows that are read at once: the number of rows is what the file claims, so memory is taken as values come.
const ROWS_AT_ONCE: usize = 1 << 16;

/// A column of a row group.
pub(super) struct At<'a> {
    pub(super) open: &'a OpenFile,
    pub(super) name: &'a str,
    pub(super) kind: Kind,
    pub(super) idx: usize,
    pub(super) first_row: usize,
}

/// A column of a row group, from which rows are taken.
pub(super) struct OpenColumn<'a> {
    at: At<'a>,
    values: ColumnReader,
}

impl OpenColumn<'_> {
    /// The next `n_rows` values.
    pub(super) fn next(&mut self, n_rows: usize) -> Result<Column> {
        let at = &self.at;
        let full = at.open.columns()[at.idx].max_def_level();
        let read = || {
            Ok(match &mut self.values {
                ColumnReader::ByteArrayColumnReader(column) if at.kind == Kind::MaybeBytes => {
                    let values = values(column, n_rows, full)?.into_iter();
                    Raw::Bytes(values.map(|bytes| bytes.map(|bytes| bytes.data().to_vec())).collect())
                }
                ColumnReader::ByteArrayColumnReader(column) => {
                    let bytes = values(column, n_rows, full)?;
                    let text = |bytes: parquet::data_type::ByteArray| Ok(bytes.as_utf8()?.to_owned());
                    let text = |bytes: Option<_>| bytes.map(text).transpose();
                    Raw::Strings(
                        bytes.into_iter().map(text).collect::<std::result::Result<_, ParquetError>>()?,
                    )
                }
                ColumnReader::Int32ColumnReader(column) => {
                    let values = values(column, n_rows, full)?.into_iter();
                    Raw::Integers(values.map(|value| value.map(|value| at.widened(value))).collect())
                }
                ColumnReader::Int64ColumnReader(column) => {
                    let values = values(column, n_rows, full)?.into_iter();
                    Raw::Integers(values.map(|value| value.map(|value| at.signed(value))).collect())
                }
                ColumnReader::FloatColumnReader(column) => Raw::Floats(values(column, n_rows, full)?),
                ColumnReader::DoubleColumnReader(column) => Raw::Doubles(values(column, n_rows, full)?),
                _ => return Err(ParquetError::General(format!("column `{}`: another type", at.name))),
            })
        };
        let raw = without_panic(read).map_err(|e| parquet_error(&at.open.path, e))?;
        let column = at.as_kind(raw)?;
        self.at.first_row += n_rows;
        Ok(column)
    }
}

impl<'a> At<'a> {
    pub(super) fn open(self, group_idx: usize, n_rows: usize) -> Result<OpenColumn<'a>> {
        let (file, idx) = (&self.open.file, self.idx);
        let compression = file.metadata().row_group(group_idx).column(idx).compression();
        if compression == Compression::LZO {
            let expected = format!("column `{}` compressed as {READ_COMPRESSIONS}", self.name);
            return Err(self.open.unlike(expected, compression));
        }
        let open = || {
            let pages = file.get_row_group(group_idx)?.get_column_page_reader(idx)?;
            let column = &self.open.columns()[idx];
            let pages = CheckedPages::new(pages, column.physical_type(), n_rows);
            Ok(get_column_reader(column.clone(), Box::new(pages)))
        };
        let values = without_panic(open).map_err(|e| parquet_error(&self.open.path, e))?;
        Ok(OpenColumn { at: self, values })
    }

    fn is_unsigned(&self) -> bool {
        let column = &self.open.columns()[self.idx];
        let is_annotated =
            matches!(column.logical_type_ref(), Some(LogicalType::Integer(integer)) if !integer.is_signed);
        is_annotated || is_unsigned(column.converted_type())
    }

    fn widened(&self, value: i32) -> i128 {
        if self.is_unsigned() { i128::from(value as u32) } else { i128::from(value) }
    }

    fn signed(&self, value: i64) -> i128 {
        if self.is_unsigned() { i128::from(value as u64) } else { i128::from(value) }
    }

    fn as_kind(&self, raw: Raw) -> Result<Column> {
        Ok(match (raw, self.kind) {
            (Raw::Strings(values), Kind::Strings) => Column::Strings(self.present(values)?),
            (Raw::Strings(values), Kind::MaybeStrings) => Column::MaybeStrings(values),
            (Raw::Integers(values), Kind::U32) => Column::U32(self.present(self.in_range(values)?)?),
            (Raw::Integers(values), Kind::MaybeU32) => Column::MaybeU32(self.in_range(values)?),
            (Raw::Integers(values), Kind::U64) => Column::U64(self.present(self.in_range(values)?)?),
            (Raw::Integers(values), Kind::MaybeU64) => Column::MaybeU64(self.in_range(values)?),
            (Raw::Floats(values), Kind::F32) => Column::F32(self.present(values)?),
            (Raw::Floats(values), Kind::MaybeF32) => Column::MaybeF32(values),
            (Raw::Doubles(values), Kind::MaybeF64) => Column::MaybeF64(values),
            (Raw::Bytes(values), Kind::MaybeBytes) => Column::MaybeBytes(values),
            // `index_of` has compared them.
            (_, kind) => return Err(self.unlike(kind.expected(), "another type")),
        })
    }

    fn present<T>(&self, values: Vec<Option<T>>) -> Result<Vec<T>> {
        let missing =
            |i: usize| self.unlike("a value in every row", format!("null in row {}", self.first_row + i));
        values.into_iter().enumerate().map(|(i, value)| value.ok_or_else(|| missing(i))).collect()
    }

    fn in_range<T: TryFrom<i128>>(&self, values: Vec<Option<i128>>) -> Result<Vec<Option<T>>> {
        let n_bits = 8 * size_of::<T>();
        let outside = |i: usize, value: i128| {
            let found = format!("{value} in row {}", self.first_row + i);
            self.unlike(format!("unsigned {n_bits}-bit integers"), found)
        };
        let converted = |(i, value): (usize, Option<i128>)| {
            value.map(|value| T::try_from(value).map_err(|_| outside(i, value))).transpose()
        };
        values.into_iter().enumerate().map(converted).collect()
    }

    fn unlike(&self, expected: impl std::fmt::Display, found: impl ToString) -> FilesError {
        self.open.unlike(format!("column `{}`: {expected}", self.name), found)
    }
}

/// Values as they stand in the file.
enum Raw {
    Strings(Vec<Option<String>>),
    Integers(Vec<Option<i128>>),
    Floats(Vec<Option<f32>>),
    Doubles(Vec<Option<f64>>),
    Bytes(Vec<Option<Vec<u8>>>),
}

/// The next `n_rows` values; those of a definition level below `full` are missing.
fn values<T: DataType>(
    column: &mut ColumnReaderImpl<T>,
    n_rows: usize,
    full: i16,
) -> std::result::Result<Vec<Option<T::T>>, ParquetError> {
    let mut all = Vec::new();
    let (mut present, mut levels) = (Vec::new(), Vec::new());
    while all.len() < n_rows {
        let wanted = (n_rows - all.len()).min(ROWS_AT_ONCE);
        let (n, _, _) = column.read_records(wanted, Some(&mut levels), None, &mut present)?;
        if n == 0 {
            return Err(ParquetError::EOF(format!("expected {n_rows} rows, found {}", all.len())));
        }
        // A column in which no value may be missing has no levels.
        match levels.is_empty() {
            true => all.extend(present.drain(..).map(Some)),
            false => {
                let mut present = present.drain(..);
                all.extend(levels.drain(..).map(|level| if level < full { None } else { present.next() }));
            }
        }
    }
    Ok(all)
}
