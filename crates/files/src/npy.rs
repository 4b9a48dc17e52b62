//! NumPy's `.npy`, version 1.0 (`numpy/lib/format.py`): the one writer, and the check of a file's head before a library takes
//! memory for what it announces.

use std::io::{BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::Path;

/// Bytes of a header that is read, at most; NumPy itself refuses longer ones than 10,000.
pub const MOST_HEAD_BYTES: usize = 1 << 16;

/// Bytes of the header that is written, whatever the shape, so that it can be written again in place; a multiple of 64, as NumPy
/// aligns data.
pub const HEAD_BYTES: usize = 128;

/// The head of a C-ordered array; `descr` is NumPy's name of its type, such as `<f4` or `|u1`.
pub fn head(descr: &str, shape: &[u64]) -> Vec<u8> {
    let sides: Vec<String> = shape.iter().map(u64::to_string).collect();
    let comma = if shape.len() == 1 { "," } else { "" };
    let text =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}{comma}), }}", sides.join(", "));
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(((HEAD_BYTES - 10) as u16).to_le_bytes());
    bytes.extend(text.bytes());
    bytes.resize(HEAD_BYTES - 1, b' ');
    bytes.push(b'\n');
    bytes
}

/// Streams an array whose shape is known at the end.
#[derive(Debug)]
pub struct Writer {
    file: BufWriter<fs_err::File>,
    descr: &'static str,
}

impl Writer {
    /// Creates the file, with room for its head; `descr` is the type of its items.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn create(path: &Path, descr: &'static str) -> std::io::Result<Self> {
        let mut file = BufWriter::with_capacity(1 << 20, fs_err::File::create(path)?);
        file.write_all(&head(descr, &[0]))?;
        Ok(Self { file, descr })
    }

    /// Appends items as they stand in the file, little-endian.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Writes the head of an array of this shape, and everything to disk.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(mut self, shape: &[u64]) -> std::io::Result<()> {
        self.file.flush()?;
        let file = self.file.get_mut();
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&head(self.descr, shape))?;
        file.sync_all()
    }
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

/// Checks that a NumPy file is long enough for the header and the array that it announces. `ndarray-npy` reserves memory
/// for both as soon as it has read their sizes, so that a damaged number ends the process.
///
/// `bytes` is the whole file. Format: `numpy/lib/format.py`.
///
/// # Errors
/// Where the magic string, the header's length, or `descr` or `shape` in it are not those of a file of this length.
pub fn check_head(bytes: &[u8]) -> Result<(), Mismatch> {
    let (header, data) = split_head(bytes)?;
    let header = String::from_utf8_lossy(header);
    let (expected, found) = match announced_bytes(&header) {
        Some(n_announced) if n_announced <= data.len() as u64 => return Ok(()),
        Some(n_announced) => (
            "all the data that its header announces",
            format!("{} of {n_announced} bytes: the file is truncated", data.len()),
        ),
        None => ("one `descr` and one `shape` in its header", format!("{:?}", header.trim_end())),
    };
    Err(Mismatch { expected: expected.to_owned(), found })
}

/// The header's text and what follows it; enough of a check where the array is only mapped, not read into memory.
///
/// # Errors
/// Where the magic string, the version or the header's length are not those of a file of this length.
pub fn split_head(bytes: &[u8]) -> Result<(&[u8], &[u8]), Mismatch> {
    let wrong = |expected: &str, found: String| Err(Mismatch { expected: expected.to_owned(), found });
    let Some(([version, _], rest)) =
        bytes.strip_prefix(b"\x93NUMPY").and_then(|rest| rest.split_first_chunk())
    else {
        let head = bytes.get(..bytes.len().min(8)).unwrap_or_default();
        return wrong(
            "a NumPy file, which begins with \"\\x93NUMPY\"",
            format!("\"{}\"", head.escape_ascii()),
        );
    };
    let (n_header, rest) = match (version, rest) {
        (1, [a, b, rest @ ..]) => (usize::from(u16::from_le_bytes([*a, *b])), rest),
        (2 | 3, [a, b, c, d, rest @ ..]) => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
        _ => return wrong("the version 1, 2 or 3 and a length", format!("version {version}")),
    };
    if n_header > MOST_HEAD_BYTES {
        return wrong("a header of at most 65536 bytes", format!("one of {n_header} bytes"));
    }
    match rest.split_at_checked(n_header) {
        Some((header, _)) if !is_countable(&String::from_utf8_lossy(header)) => {
            let found = String::from_utf8_lossy(header).trim_end().escape_debug().to_string();
            wrong("a shape whose sides, but for those of 0, have a product below 2^63", found)
        }
        Some(parts) => Ok(parts),
        None => wrong("all of its header", format!("one of {n_header} bytes in a file of {}", bytes.len())),
    }
}

/// Bytes of the array of `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }`.
fn announced_bytes(header: &str) -> Option<u64> {
    let only = |key: &str| {
        let (_, behind) = header.split_once(key)?;
        (!behind.contains(key)).then_some(behind)
    };
    let descr = only("descr")?.split_once(':')?.1.trim_start();
    let quote = descr.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    let kind = descr[1..].split(quote).next()?;
    let digits = kind.trim_start_matches(|c: char| !c.is_ascii_digit());
    // Items of no bytes would be any number of them, for which `ndarray-npy` takes memory before it looks at their type.
    let n_item_bytes: u64 = if digits.is_empty() { 1 } else { digits.parse::<u64>().ok()?.max(1) };
    sides(only("shape")?)?.into_iter().try_fold(n_item_bytes, u64::checked_mul)
}

/// The numbers of `: (3, 2), }`.
fn sides(shape: &str) -> Option<Vec<u64>> {
    let shape = shape.split_once('(')?.1.split(')').next()?;
    let sides = shape.split(',').map(str::trim).filter(|side| !side.is_empty());
    sides.map(|side| side.trim_end_matches('L').parse().ok()).collect()
}

/// False where `ndarray-npy` panics: an array may be empty and have sides that nothing can be counted by.
fn is_countable(header: &str) -> bool {
    let Some(sides) = header.split_once("shape").and_then(|(_, behind)| sides(behind)) else { return true };
    let product = sides.iter().try_fold(1_u64, |product, &side| product.checked_mul(side.max(1)));
    product.is_some_and(|product| product <= i64::MAX as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes that `np.save` writes for `np.zeros((12345, 3, 64, 64), np.uint8)`, up to the data:
    /// ```python
    /// f = io.BytesIO(); np.lib.format.write_array_header_1_0(f, np.lib.format.header_data_from_array_1_0(a)); f.getvalue()
    /// ```
    #[test]
    fn the_head_is_numpys() {
        let mut expected = b"\x93NUMPY\x01\x00v\x00".to_vec();
        expected.extend(b"{'descr': '|u1', 'fortran_order': False, 'shape': (12345, 3, 64, 64), }");
        expected.resize(127, b' ');
        expected.push(b'\n');
        assert_eq!(head("|u1", &[12345, 3, 64, 64]), expected);
        let row = String::from_utf8_lossy(&head("<i8", &[7])).into_owned();
        assert!(row.contains("'shape': (7,), }"), "{row}");
    }

    #[test]
    fn what_is_streamed_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        let mut writer = Writer::create(&path, "<f4").unwrap();
        for value in [1.5_f32, 2.0, -3.0] {
            writer.append(&value.to_le_bytes()).unwrap();
        }
        writer.finish(&[3, 1]).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(check_head(&bytes), Ok(()));
        assert_eq!((&bytes[..HEAD_BYTES], bytes.len()), (&head("<f4", &[3, 1])[..], HEAD_BYTES + 12));
    }

    fn file(version: u8, dictionary: &str, n_data: usize) -> Vec<u8> {
        let mut bytes = [&b"\x93NUMPY"[..], &[version, 0]].concat();
        match version {
            1 => bytes.extend((dictionary.len() as u16).to_le_bytes()),
            _ => bytes.extend((dictionary.len() as u32).to_le_bytes()),
        }
        bytes.extend(dictionary.as_bytes());
        bytes.resize(bytes.len() + n_data, 0);
        bytes
    }

    #[test]
    fn files_that_are_long_enough_pass() {
        let matrix = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }  \n";
        assert_eq!(check_head(&file(1, matrix, 24)), Ok(()));
        assert_eq!(check_head(&file(3, matrix, 25)), Ok(()));
        assert_eq!(check_head(&file(2, "{'shape': (), 'descr': '|u1'}", 1)), Ok(()));
    }

    #[test]
    fn wild_numbers_are_refused() {
        let found = |bytes: &[u8]| check_head(bytes).unwrap_err().found;
        let matrix =
            |shape: &str| format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}");
        assert_eq!(found(&file(1, &matrix("3, 2"), 23)), "23 of 24 bytes: the file is truncated");
        assert!(found(&file(1, &matrix("99999999999, 2"), 24)).contains("of 799999999992 bytes"));
        assert!(found(&file(1, &matrix("99999999999, 99999999999"), 24)).contains("shape"));
        let of_no_bytes = matrix("99999999999,").replace("<f4", "<f0");
        assert_eq!(found(&file(1, &of_no_bytes, 24)), "24 of 99999999999 bytes: the file is truncated");
        assert!(found(b"\x93NUMPY\x02\x00\xff\x00\x00\x00{}").contains("one of 255 bytes in a file of 14"));
        for empty in ["18446744073709551615, 0", "0, 9223372036854775808", "0, 3, 9223372036854775807, 4"] {
            let bytes = file(1, &matrix(empty), 0);
            assert!(found(&bytes).contains(empty) && split_head(&bytes).is_err(), "{empty}");
        }
        assert!(split_head(&file(1, &matrix("0, 9223372036854775807"), 0)).is_ok());
        // Also one that is there: a library would read it all before it looks at it.
        let mut huge = b"\x93NUMPY\x02\x00\x00\x00\x00\x01".to_vec();
        huge.resize(huge.len() + (1 << 24), b' ');
        assert_eq!(found(&huge), "one of 16777216 bytes");
        assert_eq!(found(b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}"), "one of 4294967295 bytes");
        for junk in
            [&b""[..], b"PK\x03\x04", b"\x93NUMPY", b"\x93NUMPY\x01\x00\x00", b"\x93NUMPY\x09\x00\x00\x00"]
        {
            assert!(check_head(junk).is_err());
        }
    }
}
