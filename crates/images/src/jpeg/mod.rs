//! JPEG files, at their full size or reduced: one decoder, so that every stage judges a file alike. Data that is missing, left over
//! or impossible is found; a changed bit that leaves a valid stream of codes is not, as the format has no checksums: pixels are
//! then wrong from there to the next restart marker or the end.

mod libjpeg;
mod segments;
mod surplus;

use image::metadata::Orientation;

use crate::decode_config::{Damaged, DecodeConfig, LeastSide};
use crate::interleaved::Interleaved;
use crate::{ImagesError, Result};

/// A decoded JPEG.
pub(crate) struct Jpeg {
    /// The picture at reduced size, not turned upright.
    pub(crate) picture: Interleaved,
    /// Rows in the file.
    pub(crate) height: usize,
    /// Columns in the file.
    pub(crate) width: usize,
    /// The picture's size for one of the file's, in eighths.
    pub(crate) eighths: u8,
    /// How it is to be turned.
    pub(crate) orientation: Orientation,
}

/// Whether this is a JPEG file.
pub(crate) fn is_jpeg(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\xff\xd8\xff")
}

/// Decodes a JPEG file: in full where it has to be turned or `least_side` is none; else to 1/8, 1/4 or 1/2 of its size where
/// that leaves its shorter side no shorter than `least_side` says, of which the low frequencies of each block suffice.
///
/// # Errors
/// [`ImagesError::BadPicture`] where it is none, has too many pixels, or, unless damaged pictures are allowed, where data was
/// lost. [`ImagesError::Memory`].
pub(crate) fn decode(bytes: &[u8], least_side: Option<LeastSide<'_>>, config: DecodeConfig) -> Result<Jpeg> {
    let segments = segments::walk(bytes);
    let orientation = segments.orientation;
    let [height, width] = segments.size.unwrap_or_default();
    if segments.size.is_some() {
        config.check_size(height, width)?;
    }
    if segments.has_too_many_scans {
        return Err(ImagesError::bad("cannot be decoded: a JPEG of more than 500 scans"));
    }
    let bytes = match (segments.end, config.damaged) {
        (Some(end), _) => &bytes[..end],
        (None, Damaged::Allow) => bytes,
        (None, Damaged::Refuse) => {
            return Err(ImagesError::bad("breaks off: a JPEG without its end-of-image marker"));
        }
    };
    let eighths = match (least_side, orientation) {
        (Some(least_side), Orientation::NoTransforms) => eighths([height, width], least_side(height, width)),
        _ => 8,
    };
    let decoded = libjpeg::decode(bytes, [height, width], eighths).map_err(|failure| match failure {
        libjpeg::Failure::Refused(words) => ImagesError::bad(format!("cannot be decoded: {words}")),
        libjpeg::Failure::Memory(n_bytes) => ImagesError::Memory { what: "a JPEG picture".into(), n_bytes },
    })?;
    if config.damaged == Damaged::Refuse
        && let Some(words) = lost(&decoded.lost, bytes)
    {
        return Err(ImagesError::bad(format!("damaged: {words}")));
    }
    let libjpeg::Decoded { mut values, mut channels, height: rows, width: columns, .. } = decoded;
    if channels == 4 {
        (values, channels) = (without_black(&values), 3);
    }
    let picture = Interleaved { values, channels, height: rows, width: columns };
    Ok(Jpeg { picture, height, width, eighths, orientation })
}

/// What of the picture is lost, in libjpeg's words.
fn lost<'a>(said: &'a libjpeg::Lost, bytes: &[u8]) -> Option<&'a str> {
    let surplus = || said.surplus.as_deref().filter(|_| !surplus::is_foreign(bytes));
    said.data.as_deref().or_else(surplus)
}

/// The smallest scale, in eighths, that leaves the shorter side at least `least_side` pixels.
fn eighths([height, width]: [usize; 2], least_side: usize) -> u8 {
    let shorter = height.min(width);
    [1, 2, 4].into_iter().find(|&n| (shorter * usize::from(n)).div_ceil(8) >= least_side).unwrap_or(8)
}

/// RGB from CMYK as Adobe stores it, 255 for no ink: each colour times black, as Pillow's `convert("RGB")` has it.
fn without_black(cmyk: &[u8]) -> Vec<u8> {
    let times = |ink: u8, black: u8| {
        let product = u32::from(ink) * u32::from(black) + 128;
        ((product + (product >> 8)) >> 8) as u8
    };
    cmyk.chunks_exact(4).flat_map(|pixel| [0, 1, 2].map(|c| times(pixel[c], pixel[3]))).collect()
}

#[cfg(test)]
mod tests;
