//! Room on the disk, looked at before a stage writes much.

use std::path::Path;

use anyhow::bail;

/// Fails if the file system of a folder has not so many bytes free.
///
/// # Errors
/// If there is too little room, or the file system cannot be asked.
pub fn check(folder: &Path, needed: u64) -> anyhow::Result<()> {
    let free = free(folder)?;
    if free < needed {
        bail!(
            "too little room: {} are needed and {} are free on the file system of {}",
            bytes(needed),
            bytes(free),
            folder.display()
        );
    }
    Ok(())
}

/// The free bytes of the file system of a folder.
///
/// # Errors
/// If it cannot be asked.
pub fn free(folder: &Path) -> std::io::Result<u64> {
    fs4::available_space(folder)
}

/// So many bytes, for people: `512 B`, `3.2 MB`, `37.3 GB`.
pub fn bytes(n_bytes: u64) -> String {
    let units = [("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)];
    match units.iter().find(|(_, size)| n_bytes as f64 >= *size) {
        Some((unit, size)) => format!("{:.1} {unit}", n_bytes as f64 / size),
        None => format!("{n_bytes} B"),
    }
}

/// Reads a number of bytes such as `500MB`, `20GB`, `1.5TB` or `0`.
///
/// # Errors
/// What was expected, for anything else.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let units = [("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("B", 1.0), ("", 1.0)];
    let read = |(unit, size): (&str, f64)| {
        let number: f64 = text.strip_suffix(unit)?.trim_end().parse().ok()?;
        Some(number * size).filter(|bytes| (0.0..1e18).contains(bytes)).map(|bytes| bytes as u64)
    };
    let expected =
        || format!("expected a number with kB, MB, GB or TB behind it, such as 20GB, found `{text}`");
    units.into_iter().find_map(read).ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read() {
        let read = ["0", "12 B", "500MB", "20 GB", "1.5TB"].map(|text| parse_bytes(text).unwrap());
        assert_eq!(read, [0, 12, 500_000_000, 20_000_000_000, 1_500_000_000_000]);
        for wrong in ["", "GB", "-1GB", "20G", "nan", "infTB", "9e9TB"] {
            assert!(parse_bytes(wrong).unwrap_err().contains("such as 20GB"), "{wrong}");
        }
    }

    #[test]
    fn too_little_room_is_told_with_both_figures() {
        let dir = tempfile::tempdir().unwrap();
        check(dir.path(), 1).unwrap();
        let message = check(dir.path(), u64::MAX).unwrap_err().to_string();
        assert!(message.starts_with("too little room: 18446744.1 TB are needed and "), "{message}");
        assert_eq!([bytes(999), bytes(3_210_000), bytes(37_300_000_000)], ["999 B", "3.2 MB", "37.3 GB"]);
    }
}
