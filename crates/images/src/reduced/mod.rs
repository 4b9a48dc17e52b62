//! Decoding at reduced size: what hashing needs, as decoding is nearly all of its time.

mod jpeg;
mod webp;

use crate::resize::{Window, scale_interleaved};
use crate::{Filter, Picture, Resize, Result, decode};

/// The middle of a picture, made small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thumbnail {
    /// n×n pixels, 1 or 3 channels.
    pub picture: Picture,
    /// Rows of the whole picture at its full size.
    pub height: usize,
    /// Columns of the whole picture at its full size.
    pub width: usize,
}

/// A picture, perhaps smaller than in its file.
#[derive(Clone, Debug, PartialEq)]
pub struct ReducedPicture {
    /// 1 or 3 channels.
    pub picture: Picture,
    /// Rows of the whole picture at its full size.
    pub height: usize,
    /// Columns of the whole picture at its full size.
    pub width: usize,
    /// Rows and columns of `picture` for one of the full size, at most 1.
    pub scale: [f64; 2],
}

/// A picture decoded at reduced size.
struct Reduced {
    /// Interleaved values of the picture at reduced size.
    values: Vec<u8>,
    /// 1 or 3.
    channels: usize,
    /// Rows and columns at reduced size.
    size: [usize; 2],
    /// Size of the picture in the file.
    height: usize,
    width: usize,
    /// Rows and columns at reduced size for one of the file's.
    scale: [f64; 2],
}

/// Decodes as [`decode`] does and scales the central square to n×n, as [`Resize::MinResizeCentreCrop`] does, but decodes no
/// more than that takes: of a JPEG only the low frequencies of each block are transformed (to 1/8, 1/4 or 1/2 of the size,
/// never to less than n), and a WebP is shrunk before it becomes RGB. PNG, and what neither can do (CMYK, pictures to be
/// turned upright, animations), are decoded in full.
///
/// # Errors
/// As [`decode`].
pub fn decode_thumbnail(bytes: &[u8], n: usize, filter: Filter, max_pixels: u64) -> Result<Thumbnail> {
    match reduced(bytes, &|_, _| n, 2, max_pixels)? {
        Some(reduced) => reduced.thumbnail(n, filter),
        None => thumbnail(decode(bytes, max_pixels)?, n, filter),
    }
}

/// Decodes as [`decode`] does, at reduced size where [`decode_thumbnail`] could, but all of the picture and no smaller than
/// `least_scale` of (height, width) says: the share of the full size that suffices.
///
/// # Errors
/// As [`decode`].
pub fn decode_reduced(
    bytes: &[u8],
    least_scale: &dyn Fn(usize, usize) -> f64,
    max_pixels: u64,
) -> Result<ReducedPicture> {
    let least_side = |height: usize, width: usize| {
        let side = height.min(width) as f64;
        (least_scale(height, width) * side).ceil().min(side) as usize
    };
    match reduced(bytes, &least_side, 1, max_pixels)? {
        Some(Reduced { values, channels, size, height, width, scale }) => {
            let picture = Picture::from_interleaved(channels, size[0], size[1], &values)?;
            Ok(ReducedPicture { picture, height, width, scale })
        }
        None => Ok(decode(bytes, max_pixels)?.into()),
    }
}

impl From<Picture> for ReducedPicture {
    fn from(picture: Picture) -> Self {
        let (height, width) = (picture.height, picture.width);
        Self { picture, height, width, scale: [1.0; 2] }
    }
}

/// The shorter side that a picture of (height, width) must have at least.
type LeastSide<'a> = &'a dyn Fn(usize, usize) -> usize;

/// The picture at reduced size, if it is of a kind that can be decoded so. WebP, which is shrunk by a coarse filter, is left
/// `webp_margin` times as large.
fn reduced(
    bytes: &[u8],
    least_side: LeastSide<'_>,
    webp_margin: usize,
    max_pixels: u64,
) -> Result<Option<Reduced>> {
    if bytes.starts_with(b"\xff\xd8\xff") {
        jpeg::decode(bytes, least_side, max_pixels)
    } else if webp::is_simple(bytes) {
        webp::decode(bytes, &|height, width| webp_margin * least_side(height, width), max_pixels).map(Some)
    } else {
        Ok(None)
    }
}

/// The thumbnail of a picture of full size.
pub(crate) fn thumbnail(picture: Picture, n: usize, filter: Filter) -> Result<Thumbnail> {
    let (height, width) = (picture.height, picture.width);
    Ok(Thumbnail { picture: Resize::MinResizeCentreCrop(n).apply(picture, filter)?, height, width })
}

impl Reduced {
    fn thumbnail(self, n: usize, filter: Filter) -> Result<Thumbnail> {
        let Self { values, channels, size, height, width, scale } = self;
        let side = height.min(width) as f64;
        // A picture whose sides are no multiples of the blocks covers a little less than its last row and column.
        let span = |length: usize, scale: f64, reduced: usize| {
            let start = (length as f64 - side) / 2.0 * scale;
            (start, (side * scale).min(reduced as f64 - start))
        };
        let (top, window_height) = span(height, scale[0], size[0]);
        let (left, window_width) = span(width, scale[1], size[1]);
        let window = Window { left, top, width: window_width, height: window_height };
        let picture = scale_interleaved(&values, size, channels, window, n, filter)?;
        Ok(Thumbnail { picture, height, width })
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
