//! Columns by their names, with their types checked, whoever wrote them.

use std::ops::ControlFlow;
use std::path::Path;

use parquet::basic::Repetition;
use parquet::file::reader::FileReader as _;
use parquet::schema::types::ColumnDescriptor;

use super::Column;
use super::file::OpenFile;
use super::kind::Kind;
use super::part::At;
use crate::{Result, regular};

/// Repeated values take almost no room, but every table here has a column of keys, which differ.
const ROWS_PER_BYTE: u64 = 1000;

/// A Parquet file opened for reading.
pub struct Reader {
    n_bytes: u64,
    open: OpenFile,
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
    /// [`FilesError::Io`](crate::FilesError::Io), and [`FilesError::Parquet`](crate::FilesError::Parquet) where it is no Parquet file.
    pub fn open(path: &Path) -> Result<Self> {
        let (file, _) = regular::open(path)?.into_parts();
        let n_bytes = file.metadata()?.len();
        Ok(Self { n_bytes, open: OpenFile::new(path, file)? })
    }

    /// The number of rows that the footer gives.
    ///
    /// # Errors
    /// [`FilesError::Layout`](crate::FilesError::Layout) where it is negative.
    pub fn n_rows(&self) -> Result<u64> {
        let n_rows = self.open.file.metadata().file_metadata().num_rows();
        u64::try_from(n_rows).map_err(|_| self.open.unlike("a number of rows", n_rows))
    }

    /// Whether there is a column of this name; one in a group has the group's name and a dot before it.
    pub fn has(&self, name: &str) -> bool {
        self.open.columns().iter().any(|column| column.path().string() == name)
    }

    /// What the file's metadata says under a key.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        let pairs = self.open.file.metadata().file_metadata().key_value_metadata()?;
        pairs.iter().find(|pair| pair.key == key)?.value.as_deref()
    }

    /// Checks that the columns are there and can be read as what they are wanted as.
    ///
    /// # Errors
    /// [`FilesError::Layout`](crate::FilesError::Layout) with the column, what was expected and what was found.
    pub fn check(&self, wanted: &[(&str, Kind)]) -> Result<()> {
        wanted.iter().try_for_each(|&(name, kind)| self.index_of(name, kind).map(|_| ()))
    }

    /// Calls `visit` with the columns of each row group in turn, as the variants of [`Column`] that are asked for.
    ///
    /// # Errors
    /// [`FilesError::Layout`](crate::FilesError::Layout) where a column is missing, of another type or compressed in a way that is not read, and where a row
    /// has no value or one out of range; [`FilesError::Parquet`](crate::FilesError::Parquet) where the file is damaged.
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
        for group_idx in 0..self.open.file.num_row_groups() {
            let group = self.open.file.metadata().row_group(group_idx);
            let n_rows = usize::try_from(group.num_rows())
                .ok()
                .filter(|&n_rows| first_row.saturating_add(n_rows) as u64 <= most)
                .ok_or_else(|| {
                    self.open
                        .unlike(format!("at most {most} rows in {} bytes", self.n_bytes), group.num_rows())
                })?;
            let mut columns = Vec::with_capacity(wanted.len());
            for (&(name, kind), &idx) in wanted.iter().zip(&indices) {
                let at = At { open: &self.open, name, kind, idx, first_row };
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

    /// Where a column is, which must be of this kind.
    fn index_of(&self, name: &str, kind: Kind) -> Result<usize> {
        let is_named = |column: &ColumnDescriptor| column.path().string() == name;
        let found: Vec<usize> = self
            .open
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
                    self.open.columns().iter().map(|column| column.path().string()).collect::<Vec<_>>()
                ),
                n => format!("{n} of that name"),
            };
            return Err(self.open.unlike(format!("a column `{name}` of {}", kind.expected()), found));
        };
        let column = &self.open.columns()[idx];
        let is_list = column.max_rep_level() > 0
            || column.self_type().get_basic_info().repetition() == Repetition::REPEATED;
        if is_list || !kind.is_of(column) {
            let found = match (is_list, column.logical_type_ref()) {
                (true, _) => format!("lists of {}", column.physical_type()),
                (false, Some(logical)) => format!("{} ({logical:?})", column.physical_type()),
                (false, None) => column.physical_type().to_string(),
            };
            return Err(self.open.unlike(format!("a column `{name}` of {}", kind.expected()), found));
        }
        Ok(idx)
    }
}
