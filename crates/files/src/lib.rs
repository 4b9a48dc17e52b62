//! Files as every crate sees them: formats that several write, walks through folders, keys of names, kinds of files.
//!
//! | module | holds |
//! | --- | --- |
//! | [`npy`] | NumPy's `.npy`: the one writer, and the check of a head before a library takes memory for it |
//! | [`columns`] | Parquet columns, written and read a row group at a time |
//! | [`csv`] | fields of CSV that no spreadsheet runs |
//! | [`walk`], [`regular`], [`key`] | what lies below a folder, what is a file, and names as one line of text |
//! | [`threads`], [`words`], [`dates`] | starting threads; counts, times and names for people; the time of day |

pub mod columns;
pub mod csv;
pub mod dates;
mod error;
pub mod key;
pub mod npy;
mod parquet_guard;
pub mod regular;
pub mod threads;
pub mod walk;
pub mod words;

pub use error::{FilesError, Result};
