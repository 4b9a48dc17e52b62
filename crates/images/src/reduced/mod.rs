//! Decoding at reduced size: what hashing needs, as decoding is nearly all of its time.

use image::metadata::Orientation;

use crate::decode::decode_interleaved;
use crate::decode_config::{DecodeConfig, LeastSide};
use crate::interleaved::Interleaved;
use crate::jpeg;
use crate::resize::{Window, scale_interleaved};
use crate::{Filter, Picture, Resize, Result, webp};

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
    /// At reduced size.
    picture: Interleaved,
    /// Size of the picture in the file.
    height: usize,
    width: usize,
    /// Rows and columns at reduced size for one of the file's.
    scale: [f64; 2],
}

/// Decodes as [`decode`](crate::decode()) does and scales the central square to n×n, as [`Resize::MinResizeCentreCrop`] does, but
/// decodes no more than that takes: of a JPEG only the low frequencies of each block are transformed (to 1/8, 1/4 or 1/2 of
/// the size, never to less than n), and a WebP is shrunk before it becomes RGB. Other formats, pictures to be turned upright
/// and animations are decoded in full.
///
/// # Errors
/// As [`decode`](crate::decode()).
pub fn decode_thumbnail(bytes: &[u8], n: usize, filter: Filter, config: DecodeConfig) -> Result<Thumbnail> {
    let Reduced { picture, height, width, scale } = reduced(bytes, &|_, _| n, 2, config)?;
    let Interleaved { values, channels, height: rows, width: columns } = picture;
    let side = height.min(width) as f64;
    // A picture whose sides are no multiples of the blocks covers a little less than its last row and column.
    let span = |length: usize, scale: f64, reduced: usize| {
        let start = (length as f64 - side) / 2.0 * scale;
        (start, (side * scale).min(reduced as f64 - start))
    };
    let (top, window_height) = span(height, scale[0], rows);
    let (left, window_width) = span(width, scale[1], columns);
    let window = Window { left, top, width: window_width, height: window_height };
    let picture = scale_interleaved(&values, [rows, columns], channels, window, n, filter)?;
    Ok(Thumbnail { picture, height, width })
}

/// Decodes as [`decode`](crate::decode()) does, at reduced size where [`decode_thumbnail`] could, but all of the picture and no
/// smaller than `least_scale` of (height, width) says: the share of the full size that suffices.
///
/// # Errors
/// As [`decode`](crate::decode()).
pub fn decode_reduced(
    bytes: &[u8],
    least_scale: &dyn Fn(usize, usize) -> f64,
    config: DecodeConfig,
) -> Result<ReducedPicture> {
    let least_side = |height: usize, width: usize| {
        let side = height.min(width) as f64;
        (least_scale(height, width) * side).ceil().min(side) as usize
    };
    let Reduced { picture, height, width, scale } = reduced(bytes, &least_side, 1, config)?;
    let Interleaved { values, channels, height: rows, width: columns } = picture;
    let picture = Picture::from_interleaved(channels, rows, columns, &values)?;
    Ok(ReducedPicture { picture, height, width, scale })
}

impl From<Picture> for ReducedPicture {
    fn from(picture: Picture) -> Self {
        let (height, width) = (picture.height, picture.width);
        Self { picture, height, width, scale: [1.0; 2] }
    }
}

/// The picture at reduced size, or in full where it is of a kind that cannot be reduced or has to be turned. WebP, which is
/// shrunk by a coarse filter, is left `webp_margin` times as large.
fn reduced(
    bytes: &[u8],
    least_side: LeastSide<'_>,
    webp_margin: usize,
    config: DecodeConfig,
) -> Result<Reduced> {
    if jpeg::is_jpeg(bytes) {
        let decoded = jpeg::decode(bytes, Some(least_side), config)?;
        let scale = [f64::from(decoded.eighths) / 8.0; 2];
        let picture = decoded.picture.upright(decoded.orientation)?;
        let [height, width] = match decoded.orientation {
            Orientation::NoTransforms => [decoded.height, decoded.width],
            _ => [picture.height, picture.width],
        };
        return Ok(Reduced { picture, height, width, scale });
    }
    if webp::is_still(bytes) && webp::orientation(bytes) == Orientation::NoTransforms {
        let least_side = |height, width| webp_margin * least_side(height, width);
        let webp::WebP { picture, height, width } = webp::decode(bytes, Some(&least_side), config)?;
        let scale = [picture.height as f64 / height as f64, picture.width as f64 / width as f64];
        return Ok(Reduced { picture, height, width, scale });
    }
    let picture = decode_interleaved(bytes, config)?;
    let (height, width) = (picture.height, picture.width);
    Ok(Reduced { picture, height, width, scale: [1.0; 2] })
}

/// The thumbnail of a picture of full size.
pub(crate) fn thumbnail(picture: Picture, n: usize, filter: Filter) -> Result<Thumbnail> {
    let (height, width) = (picture.height, picture.width);
    Ok(Thumbnail { picture: Resize::MinResizeCentreCrop(n).apply(picture, filter)?, height, width })
}

#[cfg(test)]
mod tests;
