//! Columns by their names, with their types checked, whoever wrote them.

use std::path::{Path, PathBuf};

use parquet::basic::{Compression, ConvertedType, LogicalType, Repetition, Type};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;

use super::bytes::FileBytes;
use super::pages::CheckedPages;
use super::{Column, parquet_error};
use crate::parquet_guard::without_panic;
use crate::{FilesError, Result, regular};

/// What a column is read as. Integers of 32 and of 64 bits, signed or not, are read as either where they fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// [`Column::Strings`].
    Strings,
    /// [`Column::U32`].
    U32,
    /// [`Column::U64`].
    U64,
    /// [`Column::F32`].
    F32,
    /// [`Column::MaybeStrings`].
    MaybeStrings,
    /// [`Column::MaybeU32`].
    MaybeU32,
    /// [`Column::MaybeU64`].
    MaybeU64,
    /// [`Column::MaybeF32`].
    MaybeF32,
}

impl Kind {
    fn expected(self) -> &'static str {
        match self {
            Self::Strings | Self::MaybeStrings => "text",
            Self::U32 | Self::U64 | Self::MaybeU32 | Self::MaybeU64 => "integers",
            Self::F32 | Self::MaybeF32 => "32-bit floats",
        }
    }

    fn is_of(self, column: &ColumnDescriptor) -> bool {
        let (logical, converted) = (column.logical_type_ref(), column.converted_type());
        match self {
            Self::Strings | Self::MaybeStrings => {
                let is_text = matches!(logical, None | Some(LogicalType::String | LogicalType::Enum))
                    && matches!(converted, ConvertedType::NONE | ConvertedType::UTF8 | ConvertedType::ENUM);
                column.physical_type() == Type::BYTE_ARRAY && is_text
            }
            Self::U32 | Self::U64 | Self::MaybeU32 | Self::MaybeU64 => {
                matches!(column.physical_type(), Type::INT32 | Type::INT64)
                    && matches!(logical, None | Some(LogicalType::Integer(_)))
                    && (converted == ConvertedType::NONE || is_signed(converted) || is_unsigned(converted))
            }
            Self::F32 | Self::MaybeF32 => column.physical_type() == Type::FLOAT && logical.is_none(),
        }
    }
}

fn is_signed(converted: ConvertedType) -> bool {
    use ConvertedType::{INT_8, INT_16, INT_32, INT_64};
    matches!(converted, INT_8 | INT_16 | INT_32 | INT_64)
}

fn is_unsigned(converted: ConvertedType) -> bool {
    use ConvertedType::{UINT_8, UINT_16, UINT_32, UINT_64};
    matches!(converted, UINT_8 | UINT_16 | UINT_32 | UINT_64)
}

/// How a column is compressed, where that can be read.
const READ_COMPRESSIONS: &str = "none, snappy, gzip, brotli, zstd, lz4_raw or lz4";
/// Rows that are read at once: the number of rows is what the file claims, so memory is taken as values come.
const ROWS_AT_ONCE: usize = 1 << 16;

/// Repeated values take almost no room, but every table here has a column of keys, which differ.
const ROWS_PER_BYTE: u64 = 1000;

/// A Parquet file opened for reading.
pub struct Reader {
    path: PathBuf,
    n_bytes: u64,
    file: SerializedFileReader<FileBytes>,
}

/// Calls `visit` with the columns of these names of each row group in turn, as the variants of [`Column`] that are asked for.
///
/// # Errors
/// Those of [`Reader::open`] and [`Reader::read`].
pub fn read(path: &Path, wanted: &[(&str, Kind)], visit: impl FnMut(Vec<Column>)) -> Result<()> {
    Reader::open(path)?.read(wanted, visit)
}

impl Reader {
    /// Opens a file and reads its footer.
    ///
    /// # Errors
    /// [`FilesError::Io`], and [`FilesError::Parquet`] where it is no Parquet file.
    pub fn open(path: &Path) -> Result<Self> {
        let (file, _) = regular::open(path)?.into_parts();
        let n_bytes = file.metadata()?.len();
        let file = without_panic(|| SerializedFileReader::new(FileBytes(file)))
            .map_err(|e| parquet_error(path, e))?;
        Ok(Self { path: path.to_path_buf(), n_bytes, file })
    }

    /// The number of rows that the footer gives.
    ///
    /// # Errors
    /// [`FilesError::Layout`] where it is negative.
    pub fn n_rows(&self) -> Result<u64> {
        let n_rows = self.file.metadata().file_metadata().num_rows();
        u64::try_from(n_rows).map_err(|_| self.unlike("a number of rows", n_rows))
    }

    /// Whether there is a column of this name.
    pub fn has(&self, name: &str) -> bool {
        self.columns().iter().any(|column| column.path().parts() == [name])
    }

    /// Checks that the columns are there and can be read as what they are wanted as.
    ///
    /// # Errors
    /// [`FilesError::Layout`] with the column, what was expected and what was found.
    pub fn check(&self, wanted: &[(&str, Kind)]) -> Result<()> {
        wanted.iter().try_for_each(|&(name, kind)| self.index_of(name, kind).map(|_| ()))
    }

    /// Calls `visit` with the columns of each row group in turn, as the variants of [`Column`] that are asked for.
    ///
    /// # Errors
    /// [`FilesError::Layout`] where a column is missing, of another type or compressed in a way that is not read, and where a row
    /// has no value or one out of range; [`FilesError::Parquet`] where the file is damaged.
    pub fn read(&self, wanted: &[(&str, Kind)], mut visit: impl FnMut(Vec<Column>)) -> Result<()> {
        let indices = wanted.iter().map(|&(name, kind)| self.index_of(name, kind));
        let indices: Vec<usize> = indices.collect::<Result<_>>()?;
        let most = self.n_bytes.saturating_mul(ROWS_PER_BYTE);
        let mut first_row: usize = 0;
        for group_idx in 0..self.file.num_row_groups() {
            let group = self.file.metadata().row_group(group_idx);
            let n_rows = usize::try_from(group.num_rows())
                .ok()
                .filter(|&n_rows| first_row.saturating_add(n_rows) as u64 <= most)
                .ok_or_else(|| {
                    self.unlike(format!("at most {most} rows in {} bytes", self.n_bytes), group.num_rows())
                })?;
            let mut columns = Vec::with_capacity(wanted.len());
            for (&(name, kind), &idx) in wanted.iter().zip(&indices) {
                let at = At { reader: self, name, kind, first_row };
                columns.push(at.column(group_idx, idx, n_rows)?);
            }
            visit(columns);
            first_row += n_rows;
        }
        Ok(())
    }

    fn columns(&self) -> &[std::sync::Arc<ColumnDescriptor>] {
        self.file.metadata().file_metadata().schema_descr().columns()
    }

    /// Where a column is, which must be of this kind.
    fn index_of(&self, name: &str, kind: Kind) -> Result<usize> {
        let is_named = |column: &ColumnDescriptor| column.path().parts() == [name];
        let found: Vec<usize> = self
            .columns()
            .iter()
            .enumerate()
            .filter(|(_, column)| is_named(column))
            .map(|(i, _)| i)
            .collect();
        let &[idx] = found.as_slice() else {
            let found = match found.len() {
                0 => format!(
                    "{:?}",
                    self.columns().iter().map(|column| column.path().string()).collect::<Vec<_>>()
                ),
                n => format!("{n} of that name"),
            };
            return Err(self.unlike(format!("a column `{name}` of {}", kind.expected()), found));
        };
        let column = &self.columns()[idx];
        let is_list = column.max_rep_level() > 0
            || column.self_type().get_basic_info().repetition() == Repetition::REPEATED;
        if is_list || !kind.is_of(column) {
            let found = match (is_list, column.logical_type_ref()) {
                (true, _) => format!("lists of {}", column.physical_type()),
                (false, Some(logical)) => format!("{} ({logical:?})", column.physical_type()),
                (false, None) => column.physical_type().to_string(),
            };
            return Err(self.unlike(format!("a column `{name}` of {}", kind.expected()), found));
        }
        Ok(idx)
    }

    fn unlike(&self, expected: impl Into<String>, found: impl ToString) -> FilesError {
        FilesError::layout(&self.path, expected, found.to_string())
    }
}

/// A column of a row group.
struct At<'a> {
    reader: &'a Reader,
    name: &'a str,
    kind: Kind,
    first_row: usize,
}

impl At<'_> {
    fn column(&self, group_idx: usize, idx: usize, n_rows: usize) -> Result<Column> {
        let file = &self.reader.file;
        let compression = file.metadata().row_group(group_idx).column(idx).compression();
        if compression == Compression::LZO {
            let expected = format!("column `{}` compressed as {READ_COMPRESSIONS}", self.name);
            return Err(self.reader.unlike(expected, compression));
        }
        let read = || {
            let pages = file.get_row_group(group_idx)?.get_column_page_reader(idx)?;
            let column = &self.reader.columns()[idx];
            let pages = CheckedPages::new(pages, column.physical_type(), n_rows);
            Ok(match get_column_reader(column.clone(), Box::new(pages)) {
                ColumnReader::ByteArrayColumnReader(column) => {
                    let bytes = values(column, n_rows)?;
                    let text = |bytes: parquet::data_type::ByteArray| Ok(bytes.as_utf8()?.to_owned());
                    let text = |bytes: Option<_>| bytes.map(text).transpose();
                    Raw::Strings(
                        bytes.into_iter().map(text).collect::<std::result::Result<_, ParquetError>>()?,
                    )
                }
                ColumnReader::Int32ColumnReader(column) => {
                    let values = values(column, n_rows)?.into_iter();
                    Raw::Integers(values.map(|value| value.map(|value| self.widened(idx, value))).collect())
                }
                ColumnReader::Int64ColumnReader(column) => {
                    let values = values(column, n_rows)?.into_iter();
                    Raw::Integers(values.map(|value| value.map(|value| self.signed(idx, value))).collect())
                }
                ColumnReader::FloatColumnReader(column) => Raw::Floats(values(column, n_rows)?),
                _ => return Err(ParquetError::General(format!("column `{}`: another type", self.name))),
            })
        };
        let raw = without_panic(read).map_err(|e| parquet_error(&self.reader.path, e))?;
        self.as_kind(raw)
    }

    fn is_unsigned(&self, idx: usize) -> bool {
        let column = &self.reader.columns()[idx];
        let is_annotated =
            matches!(column.logical_type_ref(), Some(LogicalType::Integer(integer)) if !integer.is_signed);
        is_annotated || is_unsigned(column.converted_type())
    }

    fn widened(&self, idx: usize, value: i32) -> i128 {
        if self.is_unsigned(idx) { i128::from(value as u32) } else { i128::from(value) }
    }

    fn signed(&self, idx: usize, value: i64) -> i128 {
        if self.is_unsigned(idx) { i128::from(value as u64) } else { i128::from(value) }
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
        self.reader.unlike(format!("column `{}`: {expected}", self.name), found)
    }
}

/// Values as they stand in the file.
enum Raw {
    Strings(Vec<Option<String>>),
    Integers(Vec<Option<i128>>),
    Floats(Vec<Option<f32>>),
}

fn values<T: DataType>(
    mut column: ColumnReaderImpl<T>,
    n_rows: usize,
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
                all.extend(levels.drain(..).map(|level| if level == 0 { None } else { present.next() }));
            }
        }
    }
    Ok(all)
}
