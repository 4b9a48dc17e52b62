//! The IDX format of MNIST: `0 0 type n_dims`, the dimensions as big-endian 32-bit integers, the values.
//!
//! Format: <http://yann.lecun.com/exdb/mnist/>.

use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::read_up_to;
use crate::{ImagesError, Result, regular};

/// How many times its own length a gzip file unpacks to at most.
const GZIP_RATIO: u64 = 1032;
const WRONG_ORDER: &str = "the header is in the wrong byte order (little-endian)";

/// An IDX file of bytes, plain or gzip-compressed (recognised by its first bytes), read from its beginning.
pub(crate) struct IdxReader {
    path: PathBuf,
    stream: Box<dyn Read + Send>,
    /// The dimensions, the number of items first.
    pub(crate) dims: Vec<u64>,
    /// Bytes read so far, unpacked.
    offset: u64,
}

impl IdxReader {
    /// Opens a file of unsigned bytes with `n_dims` dimensions.
    pub(crate) fn open(path: &Path, n_dims: u8) -> Result<Self> {
        let mut file = regular::open(path)?;
        let mut magic = [0; 2];
        let is_gzip = read_up_to(&mut file, &mut magic)? == 2 && magic == [0x1f, 0x8b];
        file.rewind()?;
        let max_bytes = file.metadata()?.len().saturating_mul(if is_gzip { GZIP_RATIO } else { 1 });
        let file = BufReader::with_capacity(1 << 16, file);
        let stream: Box<dyn Read + Send> =
            if is_gzip { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
        let mut reader = Self { path: path.to_path_buf(), stream, dims: Vec::new(), offset: 0 };
        reader.read_header(n_dims, max_bytes)?;
        Ok(reader)
    }

    /// Reads the header of a file of at most `max_bytes`.
    fn read_header(&mut self, n_dims: u8, max_bytes: u64) -> Result<()> {
        let magic: [u8; 4] = self.read_array("the magic number")?;
        let expected = [0, 0, 8, n_dims];
        if magic != expected {
            let is_turned = expected.iter().rev().eq(&magic);
            let [expected, found] = [expected, magic].map(|m| format!("{:#010x}", u32::from_be_bytes(m)));
            let found = if is_turned { format!("{found}: {WRONG_ORDER}") } else { found };
            return Err(ImagesError::malformed(&self.path, 0, format!("the magic number {expected}"), found));
        }
        for _ in 0..n_dims {
            let dim = u32::from_be_bytes(self.read_array("a dimension")?);
            self.dims.push(dim.into());
        }
        let turned: Vec<u64> = self.dims.iter().map(|&dim| u64::from((dim as u32).swap_bytes())).collect();
        let fits = |dims: &[u64]| {
            let product = dims.iter().try_fold(1, |product: u64, &dim| product.checked_mul(dim));
            product.is_some_and(|n_values| n_values <= max_bytes)
        };
        if !fits(&self.dims) && fits(&turned) {
            let expected = format!("dimensions for a file of at most {max_bytes} bytes");
            let found = format!("{:?}: {WRONG_ORDER}, in which they are {turned:?}", self.dims);
            return Err(ImagesError::malformed(&self.path, 4, expected, found));
        }
        Ok(())
    }

    fn read_array<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let mut array = [0; N];
        self.fill(&mut array, what)?;
        Ok(array)
    }

    /// Reads the next values; the end of the file is an error.
    pub(crate) fn fill(&mut self, values: &mut [u8], what: &str) -> Result<()> {
        let n_read =
            read_up_to(&mut self.stream, values).map_err(|e| self.malformed("gzip data", e.to_string()))?;
        self.offset += n_read as u64;
        if n_read < values.len() {
            let expected = format!("{} more bytes of {what}", values.len() - n_read);
            return Err(self.malformed(expected, "the end of the file"));
        }
        Ok(())
    }

    /// Checks that nothing follows.
    pub(crate) fn expect_end(&mut self) -> Result<()> {
        match read_up_to(&mut self.stream, &mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(self.malformed("the end of the file", "more bytes")),
            Err(e) => Err(self.malformed("the end of the gzip data", e.to_string())),
        }
    }

    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) fn malformed(&self, expected: impl Into<String>, found: impl Into<String>) -> ImagesError {
        ImagesError::malformed(&self.path, self.offset, expected, found)
    }
}
