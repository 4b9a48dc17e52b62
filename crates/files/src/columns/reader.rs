//! Columns by their names, with their types checked, whoever wrote them.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use parquet::basic::{ConvertedType, LogicalType, Repetition, Type};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;

use super::bytes::FileBytes;
use super::part::At;
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
    /// [`Column::MaybeBytes`].
    MaybeBytes,
}

impl Kind {
    pub(super) fn expected(self) -> &'static str {
        match self {
            Self::Strings | Self::MaybeStrings => "text",
            Self::U32 | Self::U64 | Self::MaybeU32 | Self::MaybeU64 => "integers",
            Self::F32 | Self::MaybeF32 => "32-bit floats",
            Self::MaybeBytes => "bytes",
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
            Self::MaybeBytes => column.physical_type() == Type::BYTE_ARRAY,
        }
    }
}

fn is_signed(converted: ConvertedType) -> bool {
    use ConvertedType::{INT_8, INT_16, INT_32, INT_64};
    matches!(converted, INT_8 | INT_16 | INT_32 | INT_64)
}

pub(super) fn is_unsigned(converted: ConvertedType) -> bool {
    use ConvertedType::{UINT_8, UINT_16, UINT_32, UINT_64};
    matches!(converted, UINT_8 | UINT_16 | UINT_32 | UINT_64)
}

/// Repeated values take almost no room, but every table here has a column of keys, which differ.
const ROWS_PER_BYTE: u64 = 1000;

/// A Parquet file opened for reading.
pub struct Reader {
    pub(super) path: PathBuf,
    n_bytes: u64,
    pub(super) file: SerializedFileReader<FileBytes>,
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

    /// Whether there is a column of this name; one in a group has the group's name and a dot before it.
    pub fn has(&self, name: &str) -> bool {
        self.columns().iter().any(|column| column.path().string() == name)
    }

    /// What the file's metadata says under a key.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        let pairs = self.file.metadata().file_metadata().key_value_metadata()?;
        pairs.iter().find(|pair| pair.key == key)?.value.as_deref()
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
        let visit = |columns| {
            visit(columns);
            ControlFlow::Continue(())
        };
        self.read_in_parts(wanted, usize::MAX, visit)
    }

    /// As [`Reader::read`], at most `n_at_once` rows of a row group at a time, until `visit` breaks: for columns that do not fit in memory.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub fn read_in_parts(
        &self,
        wanted: &[(&str, Kind)],
        n_at_once: usize,
        mut visit: impl FnMut(Vec<Column>) -> ControlFlow<()>,
    ) -> Result<()> {
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
                let at = At { reader: self, name, kind, idx, first_row };
                columns.push(at.open(group_idx, n_rows)?);
            }
            let mut n_left = n_rows;
            loop {
                let n = n_left.min(n_at_once);
                let part = columns.iter_mut().map(|column| column.next(n)).collect::<Result<_>>()?;
                if visit(part).is_break() {
                    return Ok(());
                }
                n_left -= n;
                if n_left == 0 {
                    break;
                }
            }
            first_row += n_rows;
        }
        Ok(())
    }

    pub(super) fn columns(&self) -> &[std::sync::Arc<ColumnDescriptor>] {
        self.file.metadata().file_metadata().schema_descr().columns()
    }

    /// Where a column is, which must be of this kind.
    fn index_of(&self, name: &str, kind: Kind) -> Result<usize> {
        let is_named = |column: &ColumnDescriptor| column.path().string() == name;
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

    pub(super) fn unlike(&self, expected: impl Into<String>, found: impl ToString) -> FilesError {
        FilesError::layout(&self.path, expected, found.to_string())
    }
}
