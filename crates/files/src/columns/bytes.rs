//! The bytes of a Parquet file, whose end is an error to read past.

use std::fs::File;
use std::io::{self, BufReader, Read};

use parquet::errors::Result;
use parquet::file::reader::{ChunkReader, Length};

/// A file. The `parquet` crate passes over the fields of a page's header one by one and does not notice that the file has ended:
/// a header that claims a list of two billion elements would take minutes.
pub(super) struct FileBytes(pub(super) File);

impl Length for FileBytes {
    fn len(&self) -> u64 {
        Length::len(&self.0)
    }
}

impl ChunkReader for FileBytes {
    type T = EndIsAnError<BufReader<File>>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(EndIsAnError(self.0.get_read(start)?))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<bytes::Bytes> {
        self.0.get_bytes(start, length)
    }
}

/// Reads as the reader within; [`io::ErrorKind::UnexpectedEof`] at its end.
pub(super) struct EndIsAnError<R>(R);

impl<R: Read> Read for EndIsAnError<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buf)? {
            0 if !buf.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
            n => Ok(n),
        }
    }
}
