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
pub(crate) fn has_end_of_image(jpeg: &[u8]) -> bool {
    let last_marker = jpeg.windows(2).rev().find(|pair| pair[0] == 0xff && matches!(pair[1], 0xd9 | 0xda));
    last_marker.is_some_and(|pair| pair[1] == 0xd9)
}

fn first_bytes(bytes: &[u8]) -> String {
    match bytes.get(..bytes.len().min(8)) {
        Some([]) | None => "the file is empty".into(),
        Some(head) => format!("it begins with \"{}\"", head.escape_ascii()),
    }
}

#[cfg(test)]
mod tests {
    use image::codecs::jpeg::JpegEncoder;
    use image::codecs::png::PngEncoder;
    use image::codecs::webp::WebPEncoder;
    use image::{ExtendedColorType, ImageEncoder};

    use super::*;

    const MAX_PIXELS: u64 = 1 << 20;

    fn png(values: &[u8], width: u32, height: u32, colour: ExtendedColorType) -> Vec<u8> {
        let mut bytes = Vec::new();
        PngEncoder::new(&mut bytes).write_image(values, width, height, colour).unwrap();
        bytes
    }

    /// A JPEG, 16 wide and 8 high, dark on the left and bright on the right, with an EXIF orientation.
    fn jpeg(orientation: u8) -> Vec<u8> {
        let values: Vec<u8> = (0..16 * 8).map(|i| if i % 16 < 8 { 20 } else { 220 }).collect();
        let mut bytes = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 95);
        // Little-endian TIFF, one entry: tag 0x0112 (orientation), a 16-bit integer.
        let mut exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
        exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
        encoder.set_exif_metadata(exif).unwrap();
        encoder.write_image(&values, 16, 8, ExtendedColorType::L8).unwrap();
        bytes
    }

    fn refusal(bytes: &[u8]) -> String {
        match decode(bytes, MAX_PIXELS) {
            Err(ImagesError::BadPicture { reason }) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn grey_stays_one_channel_and_alpha_is_dropped() {
        let grey = decode(&png(&[1, 2, 3, 4], 2, 2, ExtendedColorType::L8), MAX_PIXELS).unwrap();
        assert_eq!((grey.channels, grey.pixels.as_slice()), (1, &[1, 2, 3, 4][..]));
        let grey = decode(&png(&[1, 0, 3, 255], 2, 1, ExtendedColorType::La8), MAX_PIXELS).unwrap();
        assert_eq!((grey.channels, grey.pixels.as_slice()), (1, &[1, 3][..]));
        let colour =
            decode(&png(&[1, 2, 3, 0, 4, 5, 6, 255], 2, 1, ExtendedColorType::Rgba8), MAX_PIXELS).unwrap();
        assert_eq!((colour.channels, colour.pixels.as_slice()), (3, &[1, 4, 2, 5, 3, 6][..]));
    }

    #[test]
    fn sixteen_bits_become_eight() {
        let values: Vec<u8> = [0u16, 0x8000, 0xffff].iter().flat_map(|v| v.to_ne_bytes()).collect();
        let grey = decode(&png(&values, 3, 1, ExtendedColorType::L16), MAX_PIXELS).unwrap();
        assert_eq!(grey.pixels, [0, 128, 255]);
    }

    #[test]
    fn webp_is_read_without_loss_where_it_was_written_so() {
        let mut bytes = Vec::new();
        WebPEncoder::new_lossless(&mut bytes)
            .write_image(&[9, 8, 7, 6, 5, 4], 2, 1, ExtendedColorType::Rgb8)
            .unwrap();
        assert_eq!(decode(&bytes, MAX_PIXELS).unwrap().pixels, [9, 6, 8, 5, 7, 4]);
        assert!(refusal(&bytes[..bytes.len() - 6]).starts_with("cannot be decoded"));
    }

    #[test]
    fn a_jpeg_is_turned_upright() {
        let flat = decode(&jpeg(1), MAX_PIXELS).unwrap();
        assert_eq!((flat.height, flat.width), (8, 16));
        assert!(flat.pixels[0] < 60 && flat.pixels[15] > 180);
        // 6: the camera was turned so that the picture must turn a quarter clockwise; left becomes top.
        let turned = decode(&jpeg(6), MAX_PIXELS).unwrap();
        assert_eq!((turned.height, turned.width), (16, 8));
        assert!(turned.pixels[0] < 60 && turned.pixels[7] < 60 && turned.pixels[15 * 8] > 180);
    }

    #[test]
    fn what_breaks_off_is_refused() {
        let jpeg = jpeg(1);
        for n_bytes in [jpeg.len() - 2, jpeg.len() - 4] {
            assert!(refusal(&jpeg[..n_bytes]).starts_with("breaks off"), "{n_bytes}");
        }
        // Bytes after the end are no harm.
        assert!(decode(&[jpeg.as_slice(), &[0; 9]].concat(), MAX_PIXELS).is_ok());
        let noise: Vec<u8> =
            (0u32..64 * 64).map(|i| (i.wrapping_mul(i).wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let png = png(&noise, 64, 64, ExtendedColorType::L8);
        assert!(refusal(&png[..png.len() / 2]).starts_with("cannot be decoded"));
    }

    #[test]
    fn other_files_are_refused() {
        assert_eq!(refusal(b"hello, world"), "neither JPEG, PNG nor WebP: it begins with \"hello, w\"");
        assert_eq!(refusal(b""), "neither JPEG, PNG nor WebP: the file is empty");
        assert!(refusal(b"\xff\xd8\xff").starts_with("cannot be decoded"));
    }

    /// 60,000 × 60,000 pixels of one value pack into a few megabytes; here the header alone says so.
    #[test]
    fn a_bomb_is_refused_by_its_header() {
        let mut header = b"IHDR".to_vec();
        header.extend(60_000u32.to_be_bytes());
        header.extend(60_000u32.to_be_bytes());
        header.extend([8, 2, 0, 0, 0]);
        let mut crc = flate2::Crc::new();
        crc.update(&header);
        let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
        bytes.extend(header);
        bytes.extend(crc.sum().to_be_bytes());
        bytes.extend(b"\0\0\0\x10IDAT");
        assert_eq!(refusal(&bytes), "expected 1 to 1048576 pixels, found 60000×60000");
    }
}
