//! Pixels as decoders give them, and turning them upright.

use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, RgbImage};

use crate::{ImagesError, Result};

/// A picture as decoders give it: `values[(y · width + x) · channels + channel]`.
pub(crate) struct Interleaved {
    pub(crate) values: Vec<u8>,
    /// 1 or 3.
    pub(crate) channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
}

/// The orientation that EXIF data names. Some writers put the prefix that JPEG asks for before it elsewhere too.
pub(crate) fn of_exif(exif: &[u8]) -> Orientation {
    let exif = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
    Orientation::from_exif_chunk(exif).unwrap_or(Orientation::NoTransforms)
}

/// The pixels of a decoded picture: grey stays one channel, all else becomes three.
pub(crate) fn interleaved(image: DynamicImage) -> Interleaved {
    let (height, width) = (image.height() as usize, image.width() as usize);
    let (values, channels) = match image {
        DynamicImage::ImageLuma8(_)
        | DynamicImage::ImageLumaA8(_)
        | DynamicImage::ImageLuma16(_)
        | DynamicImage::ImageLumaA16(_) => (image.into_luma8().into_raw(), 1),
        _ => (image.into_rgb8().into_raw(), 3),
    };
    Interleaved { values, channels, height, width }
}

impl Interleaved {
    /// The picture turned as `orientation` says.
    pub(crate) fn upright(self, orientation: Orientation) -> Result<Self> {
        if orientation == Orientation::NoTransforms {
            return Ok(self);
        }
        let Self { values, channels, height, width } = self;
        let (rows, columns) = (height as u32, width as u32);
        let image = match channels {
            1 => GrayImage::from_raw(columns, rows, values).map(DynamicImage::ImageLuma8),
            _ => RgbImage::from_raw(columns, rows, values).map(DynamicImage::ImageRgb8),
        };
        let mut image = image.ok_or_else(|| ImagesError::bad("cannot be turned upright"))?;
        image.apply_orientation(orientation);
        Ok(interleaved(image))
    }
}
