//! JPEG through mozjpeg's DCT scaling.

use std::panic::{AssertUnwindSafe, catch_unwind};

use image::metadata::Orientation;

use super::{LeastSide, Reduced, check_size};
use crate::decode::has_end_of_image;
use crate::{ImagesError, Result};

/// What the markers before the first scan say.
struct Header {
    height: usize,
    width: usize,
    n_components: u8,
    bits: u8,
    /// EXIF says that the picture is not upright.
    is_turned: bool,
}

/// The picture; none where it is of a kind that is not decoded here.
pub(super) fn decode(bytes: &[u8], least_side: LeastSide<'_>, max_pixels: u64) -> Result<Option<Reduced>> {
    let Some(header) = header(bytes) else { return Ok(None) };
    if header.bits != 8 || !matches!(header.n_components, 1 | 3) || header.is_turned {
        return Ok(None);
    }
    check_size(header.height, header.width, max_pixels)?;
    if !has_end_of_image(bytes) {
        return Err(ImagesError::bad("breaks off: a JPEG without its end-of-image marker"));
    }
    let eighths = eighths(&header, least_side(header.height, header.width));
    let channels = usize::from(header.n_components);
    let (values, size) = scaled(bytes, eighths, channels == 1)?;
    let Header { height, width, .. } = header;
    Ok(Some(Reduced { values, channels, size, height, width, scale: [f64::from(eighths) / 8.0; 2] }))
}

/// The smallest scale, in eighths, that leaves the shorter side at least `least_side` pixels.
fn eighths(header: &Header, least_side: usize) -> u8 {
    let shorter = header.height.min(header.width);
    [1, 2, 4].into_iter().find(|&n| (shorter * usize::from(n)).div_ceil(8) >= least_side).unwrap_or(8)
}

/// Interleaved values, height and width.
fn scaled(bytes: &[u8], eighths: u8, is_grey: bool) -> Result<(Vec<u8>, [usize; 2])> {
    let decode = || -> std::io::Result<(Vec<u8>, [usize; 2])> {
        let mut decoder = mozjpeg::Decompress::new_mem(bytes)?;
        decoder.scale(eighths);
        let mut started = if is_grey { decoder.grayscale()? } else { decoder.rgb()? };
        let size = [started.height(), started.width()];
        Ok((started.read_scanlines::<u8>()?, size))
    };
    // mozjpeg hands the C library's errors on by unwinding, without the panic hook.
    let reason = match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(Ok(decoded)) => return Ok(decoded),
        Ok(Err(e)) => e.to_string(),
        Err(payload) => match payload.downcast::<String>() {
            Ok(message) => *message,
            Err(_) => "mozjpeg gave up".to_owned(),
        },
    };
    Err(ImagesError::bad(format!("cannot be decoded: {reason}")))
}

/// Walks the markers up to the first scan.
fn header(bytes: &[u8]) -> Option<Header> {
    let mut rest = bytes.get(2..)?;
    let mut is_turned = false;
    let mut frame = None;
    loop {
        // Any number of 0xff may stand before a marker.
        let marker = match rest {
            [0xff, 0xff, ..] => {
                rest = &rest[1..];
                continue;
            }
            [0xff, marker, ..] => *marker,
            _ => return None,
        };
        let length = usize::from(u16::from_be_bytes([*rest.get(2)?, *rest.get(3)?]));
        let body = rest.get(4..2 + length)?;
        match marker {
            // Start of frame, but for tables of Huffman and arithmetic codes that lie between.
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => frame = Some(body),
            0xe1 if body.starts_with(b"Exif\0\0") => {
                let orientation = Orientation::from_exif_chunk(&body[6..]);
                is_turned = orientation.is_some_and(|o| o != Orientation::NoTransforms);
            }
            0xda => break,
            _ => {}
        }
        rest = &rest[2 + length..];
    }
    let frame = frame?;
    let side = |at: usize| Some(usize::from(u16::from_be_bytes([*frame.get(at)?, *frame.get(at + 1)?])));
    Some(Header {
        bits: *frame.first()?,
        height: side(1)?,
        width: side(3)?,
        n_components: *frame.get(5)?,
        is_turned,
    })
}
