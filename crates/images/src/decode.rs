//! From encoded bytes to a [`Picture`], with an eye to hostile and broken files.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use crate::{ImagesError, Picture, Result};

/// Decodes a JPEG, PNG or WebP file, recognised by its first bytes whatever its name.
///
/// The picture is turned upright as its EXIF orientation says. Grey stays one channel; colour, palettes and CMYK become
/// three. 16-bit values are rounded to 8. An alpha channel is dropped, not blended with a background, as by Pillow's
/// `convert("RGB")`. Of an animation the first frame is taken.
///
/// # Errors
/// [`ImagesError::BadPicture`] for anything else than such a file, for one that breaks off, and for one of more than
/// `max_pixels` pixels, which is refused by its header, before memory is taken for it.
pub fn decode(bytes: &[u8], max_pixels: u64) -> Result<Picture> {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    let format = match reader.format() {
        Some(format @ (ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::WebP)) => format,
        _ => return Err(ImagesError::bad(format!("neither JPEG, PNG nor WebP: {}", first_bytes(bytes)))),
    };
    let undecodable = |e: image::ImageError| ImagesError::bad(format!("cannot be decoded: {e}"));
    let mut decoder = reader.into_decoder().map_err(undecodable)?;
    let (width, height) = decoder.dimensions();
    let n_pixels = u64::from(width) * u64::from(height);
    if n_pixels == 0 || n_pixels > max_pixels {
        return Err(ImagesError::bad(format!("expected 1 to {max_pixels} pixels, found {width}×{height}")));
    }
    if format == ImageFormat::Jpeg && !has_end_of_image(bytes) {
        return Err(ImagesError::bad("breaks off: a JPEG without its end-of-image marker"));
    }
    // 16-bit RGBA, the widest pixel, and a working copy of it.
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(n_pixels.saturating_mul(16).saturating_add(1 << 24));
    decoder.set_limits(limits).map_err(undecodable)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(undecodable)?;
    image.apply_orientation(orientation);
    to_picture(image)
}

fn to_picture(image: DynamicImage) -> Result<Picture> {
    let (height, width) = (image.height() as usize, image.width() as usize);
    match image {
        DynamicImage::ImageLuma8(_)
        | DynamicImage::ImageLumaA8(_)
        | DynamicImage::ImageLuma16(_)
        | DynamicImage::ImageLumaA16(_) => {
            Picture::from_interleaved(1, height, width, &image.into_luma8().into_raw())
        }
        _ => Picture::from_interleaved(3, height, width, &image.into_rgb8().into_raw()),
    }
}

/// Whether an end-of-image marker follows the last start of a scan. Both markers are impossible inside a scan, and the
/// decoder fills what is missing of a broken-off file with grey instead of refusing it.
fn has_end_of_image(jpeg: &[u8]) -> bool {
    let last_marker = jpeg.windows(2).rev().find(|pair| pair[0] == 0xff && matches!(pair[1], 0xd9 | 0xda));
    last_marker.is_some_and(|pair| pair[1] == 0xd9)
}

fn first_bytes(bytes: &[u8]) -> String {
    match bytes.get(..bytes.len().min(8)) {
        Some([]) | None => "the file is empty".into(),
        Some(head) => format!("it begins with \"{}\"", head.escape_ascii()),
    }
}
