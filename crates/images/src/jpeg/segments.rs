//! The segments of a JPEG file, walked from the front: what the header says, and where the picture ends.

use image::metadata::Orientation;

/// More scans than any encoder writes; each may cost as much time as decoding the whole picture.
const MAX_SCANS: usize = 500;

/// What the segments say.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Segments {
    /// Rows and columns; none where no frame was found.
    pub(super) size: Option<[usize; 2]>,
    /// How EXIF says that the picture is to be turned.
    pub(super) orientation: Orientation,
    /// The byte behind the end-of-image marker; none where the file breaks off before.
    pub(super) end: Option<usize>,
    /// Whether there are so many scans that decoding might take hours.
    pub(super) has_too_many_scans: bool,
}

/// Walks the segments up to the first end-of-image marker. What lies behind it, as the video of a motion photo does, is not
/// read. Bytes between segments are passed over, as libjpeg does.
pub(super) fn walk(bytes: &[u8]) -> Segments {
    let mut found =
        Segments { size: None, orientation: Orientation::NoTransforms, end: None, has_too_many_scans: false };
    let (mut at, mut n_scans, mut has_exif) = (2, 0, false);
    while let Some((marker, behind)) = next_marker(bytes, at) {
        at = behind;
        match marker {
            0xd9 => {
                found.end = Some(at);
                break;
            }
            // Without a length: temporary marker, restarts, a second start.
            0x01 | 0xd0..=0xd8 => continue,
            _ => {}
        }
        let Some(body) = body(bytes, at) else { break };
        at += 2 + body.len();
        match marker {
            // Start of frame, but for the tables that lie between.
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) && body.len() >= 5 => {
                let side = |at: usize| usize::from(u16::from_be_bytes([body[at], body[at + 1]]));
                found.size.get_or_insert([side(1), side(3)]);
            }
            0xe1 if body.starts_with(b"Exif\0\0") && !has_exif && n_scans == 0 => {
                has_exif = true;
                found.orientation =
                    Orientation::from_exif_chunk(&body[6..]).unwrap_or(Orientation::NoTransforms);
            }
            0xda => {
                n_scans += 1;
                found.has_too_many_scans = n_scans > MAX_SCANS;
            }
            _ => {}
        }
    }
    found
}

/// The next marker from `at` on, and the byte behind it. Within a scan, 0xff 0x00 stands for the byte 0xff.
pub(super) fn next_marker(bytes: &[u8], mut at: usize) -> Option<(u8, usize)> {
    loop {
        at += bytes.get(at..)?.iter().position(|&byte| byte == 0xff)?;
        // Any number of 0xff may stand before a marker.
        at += bytes[at..].iter().position(|&byte| byte != 0xff)?;
        let marker = bytes[at];
        at += 1;
        if marker != 0 {
            return Some((marker, at));
        }
    }
}

/// The bytes of the segment whose length stands at `at`.
pub(super) fn body(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let length = usize::from(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    bytes.get(at + 2..at + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(marker: u8, body: &[u8]) -> Vec<u8> {
        let length = (body.len() as u16 + 2).to_be_bytes();
        [&[0xff, marker][..], &length, body].concat()
    }

    /// A frame of 3 rows and 4 columns with one scan; `tail` stands behind the scan's data.
    fn file(tail: &[u8]) -> Vec<u8> {
        let exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let frame = segment(0xc0, &[8, 0, 3, 0, 4, 1, 1, 0x11, 0]);
        let scan = [segment(0xda, &[1, 1, 0, 0, 63, 0]), vec![1, 0xff, 0, 2, 0xff, 0xd0, 3]].concat();
        // A comment that holds what would be markers elsewhere.
        let comment = segment(0xfe, b"\xff\xd9\xff\xda");
        [&[0xff, 0xd8][..], &segment(0xe1, exif), &comment, &frame, &scan, tail].concat()
    }

    #[test]
    fn the_first_end_of_image_counts_whatever_follows() {
        let whole = file(&[0xff, 0xff, 0xd9]);
        let expected = Segments {
            size: Some([3, 4]),
            orientation: Orientation::Rotate90,
            end: Some(whole.len()),
            has_too_many_scans: false,
        };
        assert_eq!(walk(&whole), expected);
        assert_eq!(walk(&[&whole[..], b"xx\xff\xdaxx"].concat()), expected);
    }

    #[test]
    fn a_file_without_an_end_breaks_off() {
        for tail in [&[][..], &[0xff], &[0xff, 0xfe, 0, 9, 1], &[0xff, 0xfe, 0, 1, 0xff, 0xd9]] {
            assert_eq!(walk(&file(tail)).end, None, "{tail:?}");
        }
        assert_eq!(walk(b"\xff\xd8\xff").end, None);
        assert_eq!(walk(b"").end, None);
    }

    #[test]
    fn scans_are_counted() {
        let scans: Vec<u8> = segment(0xda, &[0; 6]).repeat(600);
        assert!(walk(&file(&scans)).has_too_many_scans);
    }
}
