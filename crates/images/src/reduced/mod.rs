//! Decoding at reduced size: what hashing needs, as decoding is nearly all of its time.

mod jpeg;
mod webp;

use crate::{Picture, Result, decode};

/// A picture decoded at reduced size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reduced {
    /// The picture, upright, 1 or 3 channels.
    pub picture: Picture,
    /// Rows of the file's picture, upright.
    pub height: usize,
    /// Columns of the file's picture, upright.
    pub width: usize,
}

/// Decodes like [`decode`], but no larger than it takes for a shorter side of at least `least_side` pixels (smaller
/// pictures keep their size): of a JPEG only the low frequencies of each block are transformed (to 1/8, 1/4 or 1/2 of the
/// size), a WebP is shrunk before it becomes RGB. What neither can do (CMYK, animations, WebP with EXIF) and PNG
/// are decoded in full.
///
/// # Errors
/// As [`decode`].
pub fn decode_reduced(bytes: &[u8], least_side: usize, max_pixels: u64) -> Result<Reduced> {
    let reduced = if bytes.starts_with(b"\xff\xd8\xff") {
        jpeg::decode(bytes, least_side, max_pixels)?
    } else if webp::is_simple(bytes) {
        webp::decode(bytes, least_side, max_pixels)?
    } else {
        None
    };
    match reduced {
        Some(reduced) => Ok(reduced),
        None => {
            let picture = decode(bytes, max_pixels)?;
            Ok(Reduced { height: picture.height, width: picture.width, picture })
        }
    }
}

/// Refuses a picture of no or too many pixels.
fn check_size(height: usize, width: usize, max_pixels: u64) -> Result<()> {
    let n_pixels = height as u64 * width as u64;
    if n_pixels == 0 || n_pixels > max_pixels {
        let found = format!("expected 1 to {max_pixels} pixels, found {width}×{height}");
        return Err(crate::ImagesError::bad(found));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
