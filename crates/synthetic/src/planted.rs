//! Near-duplicates: the ways a picture is changed before it is planted among the others.

use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::imageops::{self, FilterType};
use image::{ExtendedColorType, RgbImage};
use rand::Rng;

use super::Result;

/// One change, with its amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Through JPEG at this quality, 1..=100.
    Recompressed(u32),
    /// Both sides scaled to this percentage of their length.
    Resized(u32),
    /// This percentage of both sides cut off, shared at random between the opposite edges.
    Cropped(u32),
    /// Every value raised by this percentage, clipped at white.
    Brightened(u32),
}

impl Change {
    /// Change number `idx`: the kinds take turns, the amount is drawn.
    pub(super) fn draw(idx: usize, rng: &mut impl Rng) -> Self {
        let step = rng.random_range(0..3);
        match idx % 4 {
            0 => Self::Recompressed([30, 50, 75][step]),
            1 => Self::Resized([50, 66, 75][step]),
            2 => Self::Cropped([2, 3, 5][step]),
            _ => Self::Brightened([5, 10, 15][step]),
        }
    }

    /// The name and the amount, as they stand in `planted.csv`.
    pub(super) fn describe(self) -> (&'static str, u32) {
        match self {
            Self::Recompressed(quality) => ("recompressed", quality),
            Self::Resized(percent) => ("resized", percent),
            Self::Cropped(percent) => ("cropped", percent),
            Self::Brightened(percent) => ("brightened", percent),
        }
    }

    /// The changed picture, encoded: JPEG where that is the change, WebP without loss elsewhere.
    pub(super) fn apply(self, picture: &RgbImage, rng: &mut impl Rng) -> Result<Vec<u8>> {
        let (width, height) = picture.dimensions();
        match self {
            Self::Recompressed(quality) => jpeg(picture, quality as u8),
            Self::Resized(percent) => {
                let scaled = |side: u32| (side * percent / 100).max(1);
                webp(&imageops::resize(picture, scaled(width), scaled(height), FilterType::CatmullRom))
            }
            Self::Cropped(percent) => {
                let cut = [width, height].map(|side| (side * percent).div_ceil(100));
                let [x, y] = cut.map(|cut| rng.random_range(0..=cut));
                webp(&imageops::crop_imm(picture, x, y, width - cut[0], height - cut[1]).to_image())
            }
            Self::Brightened(percent) => {
                let mut brighter = picture.clone();
                for value in brighter.iter_mut() {
                    *value = (u32::from(*value) * (100 + percent) / 100).min(255) as u8;
                }
                webp(&brighter)
            }
        }
    }
}

/// The picture as lossless WebP, the only kind the `image` crate writes.
pub(super) fn webp(picture: &RgbImage) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let (width, height) = picture.dimensions();
    WebPEncoder::new_lossless(&mut bytes).encode(picture, width, height, ExtendedColorType::Rgb8)?;
    Ok(bytes)
}

/// The picture as JPEG of the given quality (1..=100).
pub(super) fn jpeg(picture: &RgbImage, quality: u8) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality).encode_image(picture)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn each_change_does_what_it_says() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let picture = RgbImage::from_fn(100, 80, |x, y| image::Rgb([x as u8, 2 * y as u8, 200]));
        let mut changed = |change: Change| {
            let bytes = change.apply(&picture, &mut rng).unwrap();
            let format = image::guess_format(&bytes).unwrap();
            (image::load_from_memory(&bytes).unwrap().to_rgb8(), format)
        };
        let (jpeg, format) = changed(Change::Recompressed(50));
        assert_eq!((jpeg.dimensions(), format), ((100, 80), image::ImageFormat::Jpeg));
        assert_ne!(jpeg, picture);
        let (small, format) = changed(Change::Resized(66));
        assert_eq!((small.dimensions(), format), ((66, 52), image::ImageFormat::WebP));
        let (cropped, _) = changed(Change::Cropped(5));
        assert_eq!(cropped.dimensions(), (95, 76));
        let corner = cropped.get_pixel(0, 0);
        assert!(corner[0] <= 5 && corner[1] <= 8);
        let (bright, _) = changed(Change::Brightened(10));
        assert_eq!(*bright.get_pixel(50, 60), image::Rgb([55, 132, 220]));
        assert_eq!(Change::Cropped(5).describe(), ("cropped", 5));
    }
}
