//! WebP through libwebp, shrunk while it is decoded.

use libwebp_sys::{
    VP8StatusCode, WEBP_CSP_MODE, WebPDecode, WebPDecoderConfig, WebPFreeDecBuffer, WebPGetFeatures,
};

use super::{LeastSide, Reduced, check_size};
use crate::{ImagesError, Result};

/// Flags of an extended file's header: an animation, EXIF metadata.
const ANIMATION: u8 = 0x02;
const EXIF: u8 = 0x08;

/// Whether this is a WebP file with neither animation nor EXIF.
pub(super) fn is_simple(bytes: &[u8]) -> bool {
    let is_webp = bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP");
    let is_extended = bytes.get(12..16) == Some(b"VP8X");
    is_webp && !(is_extended && bytes.get(20).is_none_or(|flags| flags & (ANIMATION | EXIF) != 0))
}

/// The picture in three channels; an alpha channel is dropped.
pub(super) fn decode(bytes: &[u8], least_side: LeastSide<'_>, max_pixels: u64) -> Result<Reduced> {
    let refused =
        |status: VP8StatusCode| ImagesError::bad(format!("cannot be decoded: libwebp says {status:?}"));
    let Ok(mut config) = WebPDecoderConfig::new() else {
        return Err(ImagesError::bad("cannot be decoded: libwebp of another version"));
    };
    // SAFETY: the pointer and the length are those of `bytes`, and `config.input` is a structure of libwebp's own making.
    #[allow(unsafe_code)]
    let status = unsafe { WebPGetFeatures(bytes.as_ptr(), bytes.len(), &mut config.input) };
    if status != VP8StatusCode::VP8_STATUS_OK {
        return Err(refused(status));
    }
    let (height, width) = (config.input.height as usize, config.input.width as usize);
    check_size(height, width, max_pixels)?;
    let (shorter, least_side) = (height.min(width), least_side(height, width));
    if shorter > least_side {
        config.options.use_scaling = 1;
        config.options.scaled_width = (width * least_side).div_ceil(shorter) as i32;
        config.options.scaled_height = (height * least_side).div_ceil(shorter) as i32;
    }
    config.output.colorspace = WEBP_CSP_MODE::MODE_RGB;
    // SAFETY: as above; the output buffer is allocated by libwebp, is valid for `stride · height` bytes when it says so,
    // and is freed below, once, whatever the status.
    #[allow(unsafe_code)]
    let decoded = unsafe {
        let status = WebPDecode(bytes.as_ptr(), bytes.len(), &mut config);
        let decoded = if status == VP8StatusCode::VP8_STATUS_OK {
            let buffer = config.output.u.RGBA;
            let rows = std::slice::from_raw_parts(buffer.rgba, buffer.size);
            let size = [config.output.height as usize, config.output.width as usize];
            let rows = rows.chunks(buffer.stride as usize).take(size[0]);
            Ok((rows.flat_map(|row| row[..3 * size[1]].iter().copied()).collect(), size))
        } else {
            Err(refused(status))
        };
        WebPFreeDecBuffer(&mut config.output);
        decoded
    };
    let (values, size): (Vec<u8>, [usize; 2]) = decoded?;
    let scale = [size[0] as f64 / height as f64, size[1] as f64 / width as f64];
    Ok(Reduced { values, channels: 3, size, height, width, scale })
}
