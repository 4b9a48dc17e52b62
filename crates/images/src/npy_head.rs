//! The head of a NumPy file, checked before a library takes memory for what it announces.

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NpyMismatch {
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
pub fn check_npy_head(bytes: &[u8]) -> Result<(), NpyMismatch> {
    let (header, data) = split_npy_head(bytes)?;
    let header = String::from_utf8_lossy(header);
    let (expected, found) = match announced_bytes(&header) {
        Some(n_announced) if n_announced <= data.len() as u64 => return Ok(()),
        Some(n_announced) => (
            "all the data that its header announces",
            format!("{} of {n_announced} bytes: the file is truncated", data.len()),
        ),
        None => ("one `descr` and one `shape` in its header", format!("{:?}", header.trim_end())),
    };
    Err(NpyMismatch { expected: expected.to_owned(), found })
}

/// The header's text and what follows it; enough of a check where the array is only looked at, not read into memory.
///
/// # Errors
/// Where the magic string, the version or the header's length are not those of a file of this length.
pub fn split_npy_head(bytes: &[u8]) -> Result<(&[u8], &[u8]), NpyMismatch> {
    let wrong = |expected: &str, found: String| Err(NpyMismatch { expected: expected.to_owned(), found });
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
    match rest.split_at_checked(n_header) {
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
    let shape = only("shape")?.split_once('(')?.1.split(')').next()?;
    let mut sides = shape.split(',').map(str::trim).filter(|side| !side.is_empty());
    sides.try_fold(n_item_bytes, |product, side| {
        product.checked_mul(side.trim_end_matches('L').parse::<u64>().ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(check_npy_head(&file(1, matrix, 24)), Ok(()));
        assert_eq!(check_npy_head(&file(3, matrix, 25)), Ok(()));
        assert_eq!(check_npy_head(&file(2, "{'shape': (), 'descr': '|u1'}", 1)), Ok(()));
    }

    #[test]
    fn wild_numbers_are_told() {
        let told = |bytes: &[u8]| check_npy_head(bytes).unwrap_err().found;
        let matrix =
            |shape: &str| format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}");
        assert_eq!(told(&file(1, &matrix("3, 2"), 23)), "23 of 24 bytes: the file is truncated");
        assert!(told(&file(1, &matrix("99999999999, 2"), 24)).contains("of 799999999992 bytes"));
        assert!(told(&file(1, &matrix("99999999999, 99999999999"), 24)).contains("shape"));
        let of_no_bytes = matrix("99999999999,").replace("<f4", "<f0");
        assert_eq!(told(&file(1, &of_no_bytes, 24)), "24 of 99999999999 bytes: the file is truncated");
        assert!(
            told(b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}").contains("one of 4294967295 bytes in a file of 14")
        );
        for junk in
            [&b""[..], b"PK\x03\x04", b"\x93NUMPY", b"\x93NUMPY\x01\x00\x00", b"\x93NUMPY\x09\x00\x00\x00"]
        {
            assert!(check_npy_head(junk).is_err());
        }
    }
}
