//! From encoded bytes to a [`Picture`], with an eye to hostile and broken files.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use crate::decode_config::DecodeConfig;
use crate::interleaved::{Interleaved, interleaved, of_exif};
use crate::{ImagesError, Picture, Result, jpeg, webp};

/// Decodes a JPEG, PNG, WebP, GIF, BMP or TIFF file, recognised by its first bytes whatever its name.
///
/// The picture is turned upright as its EXIF orientation says. Grey stays one channel; colour, palettes and CMYK become
/// three. 16-bit values are rounded to 8. An alpha channel is dropped, not blended with a background, as by Pillow's
/// `convert("RGB")`. Of an animation the first frame is taken, of a TIFF the first page.
///
/// # Errors
/// [`ImagesError::BadPicture`] for anything else than such a file, for one that breaks off or is damaged, and for one of more
/// than `max_pixels` pixels. [`ImagesError::Memory`].
pub fn decode(bytes: &[u8], config: DecodeConfig) -> Result<Picture> {
    let Interleaved { values, channels, height, width } = decode_interleaved(bytes, config)?;
    Picture::from_interleaved(channels, height, width, &values)
}

/// [`decode`], with the channels of a pixel beside one another.
pub(crate) fn decode_interleaved(bytes: &[u8], config: DecodeConfig) -> Result<Interleaved> {
    if jpeg::is_jpeg(bytes) {
        let decoded = jpeg::decode(bytes, None, config)?;
        return decoded.picture.upright(decoded.orientation);
    }
    if webp::is_still(bytes) {
        let decoded = webp::decode(bytes, None, config)?;
        return decoded.picture.upright(webp::orientation(bytes));
    }
    decode_other(bytes, config)
}

/// The formats that have no decoder of their own here.
fn decode_other(bytes: &[u8], config: DecodeConfig) -> Result<Interleaved> {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    let format = match reader.format() {
        Some(
            format @ (ImageFormat::Png
            | ImageFormat::WebP
            | ImageFormat::Gif
            | ImageFormat::Bmp
            | ImageFormat::Tiff),
        ) => format,
        _ => return Err(ImagesError::bad(other_content(bytes))),
    };
    let undecodable = |e: image::ImageError| ImagesError::bad(format!("cannot be decoded: {e}"));
    let mut decoder = reader.into_decoder().map_err(undecodable)?;
    let (width, height) = decoder.dimensions();
    config.check_size(height as usize, width as usize)?;
    // 16-bit RGBA, the widest pixel, and a working copy of it.
    let mut limits = Limits::no_limits();
    limits.max_alloc =
        Some((u64::from(width) * u64::from(height)).saturating_mul(16).saturating_add(1 << 24));
    decoder.set_limits(limits).map_err(undecodable)?;
    let orientation = match format {
        ImageFormat::WebP => webp::orientation(bytes),
        ImageFormat::Png => {
            decoder.exif_metadata().ok().flatten().map_or(Orientation::NoTransforms, |exif| of_exif(&exif))
        }
        _ => decoder.orientation().unwrap_or(Orientation::NoTransforms),
    };
    let mut image = DynamicImage::from_decoder(decoder).map_err(undecodable)?;
    image.apply_orientation(orientation);
    Ok(interleaved(image))
}

/// What a file is that is none of the formats.
fn other_content(bytes: &[u8]) -> String {
    let what = match (bytes.get(4..8), bytes.get(8..12)) {
        (Some(b"ftyp"), Some(b"avif" | b"avis")) => "it is an AVIF picture".to_owned(),
        (Some(b"ftyp"), Some(b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"mif1" | b"msf1")) => {
            "it is a HEIC picture".to_owned()
        }
        _ => match bytes.get(..bytes.len().min(8)) {
            Some([]) | None => "the file is empty".to_owned(),
            Some(head) => format!("it begins with \"{}\"", head.escape_ascii()),
        },
    };
    format!("no JPEG, PNG, WebP, GIF, BMP or TIFF: {what}")
}

#[cfg(test)]
mod tests {
    use image::codecs::bmp::BmpEncoder;
    use image::codecs::gif::GifEncoder;
    use image::codecs::jpeg::JpegEncoder;
    use image::codecs::png::PngEncoder;
    use image::codecs::tiff::TiffEncoder;
    use image::codecs::webp::WebPEncoder;
    use image::{ExtendedColorType, ImageEncoder};

    use super::*;
    use crate::Damaged;

    const CONFIG: DecodeConfig = DecodeConfig { max_pixels: 1 << 20, damaged: Damaged::Refuse };

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
        match decode(bytes, CONFIG) {
            Err(ImagesError::BadPicture { reason }) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn grey_stays_one_channel_and_alpha_is_dropped() {
        let grey = decode(&png(&[1, 2, 3, 4], 2, 2, ExtendedColorType::L8), CONFIG).unwrap();
        assert_eq!((grey.channels, grey.pixels.as_slice()), (1, &[1, 2, 3, 4][..]));
        let grey = decode(&png(&[1, 0, 3, 255], 2, 1, ExtendedColorType::La8), CONFIG).unwrap();
        assert_eq!((grey.channels, grey.pixels.as_slice()), (1, &[1, 3][..]));
        let colour =
            decode(&png(&[1, 2, 3, 0, 4, 5, 6, 255], 2, 1, ExtendedColorType::Rgba8), CONFIG).unwrap();
        assert_eq!((colour.channels, colour.pixels.as_slice()), (3, &[1, 4, 2, 5, 3, 6][..]));
    }

    #[test]
    fn sixteen_bits_become_eight() {
        let values: Vec<u8> = [0u16, 0x8000, 0xffff].iter().flat_map(|v| v.to_ne_bytes()).collect();
        let grey = decode(&png(&values, 3, 1, ExtendedColorType::L16), CONFIG).unwrap();
        assert_eq!(grey.pixels, [0, 128, 255]);
    }

    #[test]
    fn webp_is_read_without_loss_where_it_was_written_so() {
        let mut bytes = Vec::new();
        WebPEncoder::new_lossless(&mut bytes)
            .write_image(&[9, 8, 7, 6, 5, 4], 2, 1, ExtendedColorType::Rgb8)
            .unwrap();
        assert_eq!(decode(&bytes, CONFIG).unwrap().pixels, [9, 6, 8, 5, 7, 4]);
        assert!(refusal(&bytes[..bytes.len() - 6]).starts_with("cannot be decoded"));
    }

    #[test]
    fn gif_bmp_and_tiff_are_read() {
        let values = [9, 8, 7, 200, 100, 50];
        let mut bytes = Vec::new();
        BmpEncoder::new(&mut bytes).write_image(&values, 2, 1, ExtendedColorType::Rgb8).unwrap();
        assert_eq!(decode(&bytes, CONFIG).unwrap().pixels, [9, 200, 8, 100, 7, 50]);
        let mut bytes = Cursor::new(Vec::new());
        TiffEncoder::new(&mut bytes).write_image(&values, 2, 1, ExtendedColorType::Rgb8).unwrap();
        assert_eq!(decode(bytes.get_ref(), CONFIG).unwrap().pixels, [9, 200, 8, 100, 7, 50]);
        let mut bytes = Vec::new();
        // Two frames, of which the first counts.
        let mut encoder = GifEncoder::new(&mut bytes);
        for values in [values, [0; 6]] {
            encoder.encode(&values, 2, 1, ExtendedColorType::Rgb8).unwrap();
        }
        drop(encoder);
        assert_eq!(decode(&bytes, CONFIG).unwrap().pixels, [9, 200, 8, 100, 7, 50]);
        for n_bytes in [8, 20] {
            assert!(refusal(&bytes[..n_bytes]).starts_with("cannot be decoded"), "{n_bytes}");
        }
    }

    #[test]
    fn a_jpeg_is_turned_upright() {
        let flat = decode(&jpeg(1), CONFIG).unwrap();
        assert_eq!((flat.height, flat.width), (8, 16));
        assert!(flat.pixels[0] < 60 && flat.pixels[15] > 180);
        // 6: the camera was turned so that the picture must turn a quarter clockwise; left becomes top.
        let turned = decode(&jpeg(6), CONFIG).unwrap();
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
        assert!(decode(&[jpeg.as_slice(), &[0; 9]].concat(), CONFIG).is_ok());
        let noise: Vec<u8> =
            (0u32..64 * 64).map(|i| (i.wrapping_mul(i).wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let png = png(&noise, 64, 64, ExtendedColorType::L8);
        assert!(refusal(&png[..png.len() / 2]).starts_with("cannot be decoded"));
    }

    #[test]
    fn other_files_are_refused() {
        assert_eq!(
            refusal(b"hello, world"),
            "no JPEG, PNG, WebP, GIF, BMP or TIFF: it begins with \"hello, w\""
        );
        assert_eq!(refusal(b""), "no JPEG, PNG, WebP, GIF, BMP or TIFF: the file is empty");
        let heic = refusal(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic");
        assert_eq!(heic, "no JPEG, PNG, WebP, GIF, BMP or TIFF: it is a HEIC picture");
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
