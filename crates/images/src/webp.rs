//! WebP through libwebp, shrunk while it is decoded where that is asked for.

use image::metadata::Orientation;
use libwebp_sys::{VP8StatusCode, WEBP_CSP_MODE, WebPDecode, WebPDecoderConfig, WebPGetFeatures};

use crate::decode_config::{DecodeConfig, LeastSide};
use crate::interleaved::{Interleaved, of_exif};
use crate::{ImagesError, Result};

/// The flag of an extended file's header that says animation.
const ANIMATION: u8 = 0x02;

/// A decoded WebP.
pub(crate) struct WebP {
    /// The picture at reduced size, in three channels, not turned upright.
    pub(crate) picture: Interleaved,
    /// Rows in the file.
    pub(crate) height: usize,
    /// Columns in the file.
    pub(crate) width: usize,
}

fn is_webp(bytes: &[u8]) -> bool {
    bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP")
}

/// Whether this is a WebP file of a single picture.
pub(crate) fn is_still(bytes: &[u8]) -> bool {
    let is_extended = bytes.get(12..16) == Some(b"VP8X");
    is_webp(bytes) && !(is_extended && bytes.get(20).is_none_or(|flags| flags & ANIMATION != 0))
}

/// How EXIF says that the picture is to be turned.
pub(crate) fn orientation(bytes: &[u8]) -> Orientation {
    let mut rest = bytes.get(12..).unwrap_or_default();
    while let Some((head, behind)) = rest.split_at_checked(8) {
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        if &head[..4] == b"EXIF" {
            return of_exif(behind.get(..length).unwrap_or(behind));
        }
        // Chunks begin at even bytes.
        rest = behind.get(length.saturating_add(length % 2)..).unwrap_or_default();
    }
    Orientation::NoTransforms
}

/// Decodes a WebP of a single picture: so that its shorter side is what `least_side` says, or in full. An alpha channel is
/// dropped.
///
/// # Errors
/// [`ImagesError::BadPicture`] where it is none, is damaged or has too many pixels; [`ImagesError::Memory`].
pub(crate) fn decode(bytes: &[u8], least_side: Option<LeastSide<'_>>, config: DecodeConfig) -> Result<WebP> {
    let refused =
        |status: VP8StatusCode| ImagesError::bad(format!("cannot be decoded: libwebp says {status:?}"));
    let no_memory =
        |n_bytes: usize| ImagesError::Memory { what: "a WebP picture".into(), n_bytes: n_bytes as u64 };
    let Ok(mut decoder) = WebPDecoderConfig::new() else {
        return Err(ImagesError::bad("cannot be decoded: libwebp of another version"));
    };
    // SAFETY: the pointer and the length are those of `bytes`, and `input` is a structure of libwebp's own making.
    #[allow(unsafe_code)]
    let status = unsafe { WebPGetFeatures(bytes.as_ptr(), bytes.len(), &mut decoder.input) };
    if status != VP8StatusCode::VP8_STATUS_OK {
        return Err(refused(status));
    }
    let (height, width) = (decoder.input.height as usize, decoder.input.width as usize);
    config.check_size(height, width)?;
    let mut size = [height, width];
    let shorter = height.min(width);
    if let Some(least_side) = least_side.map(|least_side| least_side(height, width))
        && shorter > least_side
    {
        size = size.map(|length| (length * least_side).div_ceil(shorter));
        decoder.options.use_scaling = 1;
        decoder.options.scaled_width = size[1] as i32;
        decoder.options.scaled_height = size[0] as i32;
    }
    let n_bytes = 3 * size[0] * size[1];
    let mut values: Vec<u8> = Vec::new();
    values.try_reserve_exact(n_bytes).map_err(|_| no_memory(n_bytes))?;
    values.resize(n_bytes, 0);
    decoder.output.colorspace = WEBP_CSP_MODE::MODE_RGB;
    decoder.output.is_external_memory = 1;
    // SAFETY: as above; the output is `size[0]` rows of `3 · size[1]` bytes in `values`, which libwebp checks against the size
    // that it decodes to, and which it neither frees nor keeps.
    #[allow(unsafe_code)]
    let status = unsafe {
        decoder.output.u.RGBA.rgba = values.as_mut_ptr();
        decoder.output.u.RGBA.stride = (3 * size[1]) as i32;
        decoder.output.u.RGBA.size = n_bytes;
        WebPDecode(bytes.as_ptr(), bytes.len(), &mut decoder)
    };
    match status {
        VP8StatusCode::VP8_STATUS_OK => {
            let [rows, columns] = size;
            let picture = Interleaved { values, channels: 3, height: rows, width: columns };
            Ok(WebP { picture, height, width })
        }
        VP8StatusCode::VP8_STATUS_OUT_OF_MEMORY => Err(no_memory(n_bytes)),
        status => Err(refused(status)),
    }
}

#[cfg(test)]
mod tests {
    use image::codecs::webp::WebPEncoder;
    use image::{ExtendedColorType, ImageEncoder};

    use super::*;
    use crate::{Filter, ImagesError, decode, decode_thumbnail};

    /// 6 wide and 4 high, red growing to the right, with EXIF: orientation 6, so that left becomes top.
    fn turned(prefix: &[u8]) -> Vec<u8> {
        let values: Vec<u8> = (0..24).flat_map(|i| [i % 6 * 40, 7, 9]).collect();
        let mut simple = Vec::new();
        WebPEncoder::new_lossless(&mut simple).write_image(&values, 6, 4, ExtendedColorType::Rgb8).unwrap();
        let exif = [prefix, b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"].concat();
        let chunk = |name: &[u8], body: &[u8]| {
            let padding = vec![0; body.len() % 2];
            [name, &(body.len() as u32).to_le_bytes()[..], body, &padding].concat()
        };
        // Flags (EXIF), then width − 1 and height − 1 in 24 bits each.
        let extended = chunk(b"VP8X", &[0x08, 0, 0, 0, 5, 0, 0, 3, 0, 0]);
        // An unknown chunk of odd length before it.
        let body = [&b"WEBP"[..], &extended, &simple[12..], &chunk(b"note", b"odd"), &chunk(b"EXIF", &exif)]
            .concat();
        chunk(b"RIFF", &body)
    }

    #[test]
    fn exif_turns_the_picture_with_and_without_jpeg_s_prefix() {
        for prefix in [&b""[..], b"Exif\0\0"] {
            let file = turned(prefix);
            let picture = decode(&file, DecodeConfig::default()).unwrap();
            assert_eq!((picture.height, picture.width), (6, 4));
            assert!(
                (0..6).all(|y| picture.pixels[y * 4..y * 4 + 4] == [y as u8 * 40; 4]),
                "{:?}",
                picture.pixels
            );
            let thumbnail = decode_thumbnail(&file, 2, Filter::default(), DecodeConfig::default()).unwrap();
            assert_eq!((thumbnail.height, thumbnail.width), (6, 4));
            assert!(thumbnail.picture.pixels[0] < thumbnail.picture.pixels[2]);
        }
    }

    #[test]
    fn a_file_that_breaks_off_is_bad() {
        let file = turned(b"");
        for n_bytes in [20, 30, 50] {
            assert!(matches!(
                decode(&file[..n_bytes], DecodeConfig::default()),
                Err(ImagesError::BadPicture { .. })
            ));
        }
    }
}
