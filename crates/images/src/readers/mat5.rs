//! MATLAB's MAT-file, level 5: where each array is and what it is, without reading the arrays.
//!
//! The crate `matfile` reads such a file whole: for the 531,131 images of SVHN's `extra` set (1.6 GB unpacked) it needs
//! 4.4 GB of memory. So the large array is streamed from here (30 MB), and `matfile` is given the small one. It also
//! cannot say where a file is damaged, which is found out here.
//!
//! Format: <https://www.mathworks.com/help/pdf_doc/matlab/matfile_format.pdf>, chapter 1.

use std::io::{BufReader, Cursor, Read, Seek, SeekFrom, Take};
use std::path::{Path, PathBuf};

use flate2::read::ZlibDecoder;
use matfile::{MatFile, NumericData};

use super::read_up_to;
use crate::{ImagesError, Result, regular};

const HEADER_LEN: usize = 128;
/// `miMATRIX` and `miCOMPRESSED`.
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;
/// An array's tags, flags, dimensions and name fit in here: names have at most 63 characters, and arrays of more than
/// sixteen dimensions are not looked for.
const MAX_ARRAY_HEADER: usize = 256;
/// `mxUINT8_CLASS`, and `miUINT8`, the type it is stored as.
pub(crate) const UINT8_CLASS: u8 = 9;
pub(crate) const UINT8_TYPE: u32 = 2;
/// The values are true or false, whatever the class.
pub(crate) const LOGICAL: u8 = 0x02;
/// Imaginary parts follow the values.
pub(crate) const COMPLEX: u8 = 0x08;

/// One array of a file.
#[derive(Clone, Debug)]
pub(crate) struct MatArray {
    pub(crate) path: PathBuf,
    pub(crate) name: String,
    /// `mxUINT8_CLASS` and so on.
    pub(crate) class: u8,
    /// [`LOGICAL`], [`COMPLEX`] and others.
    pub(crate) flags: u8,
    pub(crate) dims: Vec<u64>,
    /// `miUINT8` and so on: how the values are stored.
    pub(crate) data_type: u32,
    /// The bytes of the values.
    pub(crate) n_data_bytes: u64,
    /// Where in the file the element's contents begin, after its tag.
    pub(crate) offset: u64,
    n_bytes: u64,
    is_compressed: bool,
    /// Bytes of the (unpacked) element before the values.
    n_header_bytes: usize,
}

/// All arrays of a file, in their order. Elements of other kinds are passed over.
pub(crate) fn arrays(path: &Path) -> Result<Vec<MatArray>> {
    let mut file = regular::open(path)?;
    let n_file_bytes = file.metadata()?.len();
    check_header(path, &mut file)?;
    let mut arrays = Vec::new();
    let mut offset = HEADER_LEN as u64;
    while offset < n_file_bytes {
        let mut tag = [0; 8];
        file.seek(SeekFrom::Start(offset))?;
        let n_read = read_up_to(&mut file, &mut tag)?;
        if n_read < tag.len() {
            return Err(broken_off(path, offset, 8, n_read as u64));
        }
        let (kind, n_bytes) = (u32_at(&tag, 0), u64::from(u32_at(&tag, 4)));
        offset += 8;
        if n_bytes > n_file_bytes - offset {
            return Err(broken_off(path, offset, n_bytes, n_file_bytes - offset));
        }
        if matches!(kind, MATRIX | COMPRESSED) {
            arrays.push(array_at(path, offset, n_bytes, kind == COMPRESSED)?);
        }
        // Compressed elements are not padded; a writer may still have padded them (none of MATLAB and SciPy does).
        offset += if kind == COMPRESSED { n_bytes } else { n_bytes.next_multiple_of(8) };
    }
    Ok(arrays)
}

fn broken_off(path: &Path, offset: u64, expected: u64, found: u64) -> ImagesError {
    let found = format!("{found} and the end of the file");
    ImagesError::malformed(path, offset, format!("{expected} more bytes"), found)
}

fn check_header(path: &Path, file: &mut fs_err::File) -> Result<()> {
    let mut header = [0; HEADER_LEN];
    let n_read = read_up_to(file, &mut header)?;
    let expected = "a MAT-file of level 5 (version 0x0100, little-endian)";
    let malformed = |offset, found: String| Err(ImagesError::malformed(path, offset, expected, found));
    if header.starts_with(b"MATLAB 7.3") {
        return malformed(0, "version 7.3, which is HDF5; save it again with -v7".into());
    }
    if n_read < HEADER_LEN {
        return malformed(n_read as u64, "the end of the file".into());
    }
    if header[124..] != [0x00, 0x01, b'I', b'M'] {
        return malformed(124, format!("\"{}\"", header[124..].escape_ascii()));
    }
    Ok(())
}

fn array_at(path: &Path, offset: u64, n_bytes: u64, is_compressed: bool) -> Result<MatArray> {
    let mut contents = Contents::open(path, offset, n_bytes, is_compressed)?;
    let mut buffer = vec![0; MAX_ARRAY_HEADER];
    let n_read = contents.read(path, &mut buffer)?;
    buffer.truncate(n_read);
    let malformed = |what: &str| {
        let packed = if is_compressed { ", unpacked," } else { "" };
        let found = format!("\"{}\"", buffer[..n_read.min(96)].escape_ascii());
        ImagesError::malformed(path, offset, format!("an array{packed} with {what}"), found)
    };
    let mut parser = Parser { bytes: &buffer, position: 0 };
    if is_compressed {
        match parser.tag() {
            Some((MATRIX, _)) => {}
            _ => return Err(malformed("the tag of a matrix")),
        }
    }
    let flags = parser.element(6).filter(|flags| flags.len() == 8);
    let flags = flags.ok_or_else(|| malformed("8 bytes of flags"))?;
    let dims = parser.element(5).ok_or_else(|| malformed("dimensions of 32-bit integers"))?;
    let name = parser.element(1).ok_or_else(|| malformed("a name"))?;
    let (data_type, n_data_bytes) = parser.tag().ok_or_else(|| malformed("values"))?;
    Ok(MatArray {
        path: path.to_path_buf(),
        name: String::from_utf8_lossy(name).into_owned(),
        class: flags[0],
        flags: flags[1],
        dims: dims.chunks_exact(4).map(|dim| u64::from(u32_at(dim, 0))).collect(),
        data_type,
        n_data_bytes: u64::from(n_data_bytes),
        offset,
        n_bytes,
        is_compressed,
        n_header_bytes: parser.position,
    })
}

impl MatArray {
    /// The array's values as they are stored, as a stream.
    pub(crate) fn stream(&self) -> Result<Contents> {
        let mut contents = Contents::open(&self.path, self.offset, self.n_bytes, self.is_compressed)?;
        contents.read(&self.path, &mut vec![0; self.n_header_bytes])?;
        Ok(contents)
    }

    /// The values as floating-point numbers, in MATLAB's column-major order. At most `max_values` are unpacked.
    pub(crate) fn numbers(&self, max_values: u64) -> Result<Vec<f64>> {
        let malformed = |found: String| {
            ImagesError::malformed(&self.path, self.offset, format!("numbers in array {}", self.name), found)
        };
        let n_values = self.dims.iter().try_fold(1u64, |product, &dim| product.checked_mul(dim));
        if n_values.is_none_or(|n| n > max_values) || self.n_data_bytes > max_values.saturating_mul(8) {
            return Err(malformed(format!("dimensions {:?}", self.dims)));
        }
        let mut contents = Contents::open(&self.path, self.offset, self.n_bytes, self.is_compressed)?;
        let n_tag_bytes = if self.is_compressed { 8 } else { 0 };
        // 8 bytes of tolerance for the padding of the values.
        let mut element = vec![0; self.n_header_bytes + self.n_data_bytes as usize + 8];
        contents.read(&self.path, &mut element[..n_tag_bytes])?;
        let n_read = contents.read(&self.path, &mut element)?;
        element.truncate(n_read);
        let file = small_file(&element);
        let file = MatFile::parse(Cursor::new(file)).map_err(|e| malformed(e.to_string()))?;
        let numbers = file.find_by_name(&self.name).and_then(|array| real_numbers(array.data()));
        numbers.ok_or_else(|| malformed("none that can be read".into()))
    }
}

/// A MAT-file of one array.
fn small_file(matrix: &[u8]) -> Vec<u8> {
    let mut file = vec![b' '; HEADER_LEN - 4];
    file.extend([0x00, 0x01, b'I', b'M']);
    file.extend(MATRIX.to_le_bytes());
    file.extend((matrix.len() as u32).to_le_bytes());
    file.extend(matrix);
    file
}

fn real_numbers(data: &NumericData) -> Option<Vec<f64>> {
    Some(match data {
        NumericData::Int8 { real, .. } => real.iter().map(|&x| x.into()).collect(),
        NumericData::UInt8 { real, .. } => real.iter().map(|&x| x.into()).collect(),
        NumericData::Int16 { real, .. } => real.iter().map(|&x| x.into()).collect(),
        NumericData::UInt16 { real, .. } => real.iter().map(|&x| x.into()).collect(),
        NumericData::Int32 { real, .. } => real.iter().map(|&x| x.into()).collect(),
        NumericData::UInt32 { real, .. } => real.iter().map(|&x| x.into()).collect(),
        NumericData::Single { real, .. } => real.iter().map(|&x| x.into()).collect(),
        NumericData::Double { real, .. } => real.clone(),
        NumericData::Int64 { .. } | NumericData::UInt64 { .. } => return None,
    })
}

/// An element's bytes, unpacked where they are compressed.
pub(crate) enum Contents {
    Plain(BufReader<Take<fs_err::File>>),
    Compressed(ZlibDecoder<BufReader<Take<fs_err::File>>>, u64),
}

impl Contents {
    fn open(path: &Path, offset: u64, n_bytes: u64, is_compressed: bool) -> Result<Self> {
        let mut file = regular::open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        let file = BufReader::with_capacity(1 << 16, file.take(n_bytes));
        Ok(if is_compressed { Self::Compressed(ZlibDecoder::new(file), offset) } else { Self::Plain(file) })
    }

    /// Fills `buffer` as far as there are bytes; damage is an error with its place in the file.
    pub(crate) fn read(&mut self, path: &Path, buffer: &mut [u8]) -> Result<usize> {
        match self {
            Self::Plain(file) => Ok(read_up_to(file, buffer)?),
            Self::Compressed(decoder, offset) => read_up_to(decoder, buffer).map_err(|e| {
                let place = *offset + decoder.total_in();
                ImagesError::malformed(path, place, "zlib-compressed data", e.to_string())
            }),
        }
    }
}

struct Parser<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Parser<'a> {
    /// The type and the number of bytes of the next element. The small form keeps both in four bytes.
    fn tag(&mut self) -> Option<(u32, u32)> {
        let first = u32_at(self.bytes.get(self.position..self.position + 4)?, 0);
        self.position += 4;
        if first >> 16 != 0 {
            return Some((first & 0xffff, first >> 16));
        }
        let n_bytes = u32_at(self.bytes.get(self.position..self.position + 4)?, 0);
        self.position += 4;
        Some((first, n_bytes))
    }

    /// The contents of the next element, which must be of the given type.
    fn element(&mut self, kind: u32) -> Option<&'a [u8]> {
        let start = self.position;
        let (found, n_bytes) = self.tag()?;
        let is_small = self.position - start == 4;
        let n_bytes = n_bytes as usize;
        let contents = self.bytes.get(self.position..self.position.checked_add(n_bytes)?)?;
        self.position += if is_small { 4 } else { n_bytes.next_multiple_of(8) };
        (found == kind).then_some(contents)
    }
}

fn u32_at(bytes: &[u8], start: usize) -> u32 {
    u32::from_le_bytes([bytes[start], bytes[start + 1], bytes[start + 2], bytes[start + 3]])
}
