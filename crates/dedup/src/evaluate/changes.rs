//! Changes that make near-duplicates.

use std::fmt;
use std::str::FromStr;

use dcgan_images::{ImagesError, Payload, Picture};
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use image::{DynamicImage, RgbImage};
use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{DedupError, Result};

/// A change; written `jpeg(30)`, `resize(50)`, `crop(2)`, `brightness(-10)`, `blur(1)`, `grey`, `squeeze`, `turn(3)`,
/// `flip`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend(
    "pattern" = r"^(flip|grey|squeeze|(jpeg|resize|crop|brightness|blur|turn)\(-?[0-9]+\))$",
    "takes" = "jpeg(Q), resize(%), crop(%), brightness(%), blur(SIGMA), grey, squeeze, turn(DEGREES) or flip"
))]
pub enum Change {
    /// Through JPEG at this quality, 1 to 100.
    Jpeg(u8),
    /// Both sides scaled to this percentage of their length.
    Resize(u32),
    /// This percentage of both sides cut off, shared at random between the opposite edges.
    Crop(u32),
    /// Every value raised by this percentage, clipped at white.
    Brightness(i32),
    /// A Gaussian blur of this standard deviation in pixels.
    Blur(u32),
    /// Without its colours.
    Grey,
    /// Squeezed to a square of its shorter side.
    Squeeze,
    /// Turned by so many degrees, to either side at random, and cut to the largest upright part of the same shape.
    Turn(u32),
    /// Mirrored, left to right. Neither the paper's hash nor the others are made to find it.
    Flip,
}

impl Change {
    /// The changes that are measured where nothing else is asked for.
    pub const ALL: [Self; 20] = [
        Self::Jpeg(95),
        Self::Jpeg(75),
        Self::Jpeg(50),
        Self::Jpeg(30),
        Self::Resize(75),
        Self::Resize(50),
        Self::Brightness(-10),
        Self::Brightness(5),
        Self::Brightness(10),
        Self::Blur(1),
        Self::Blur(2),
        Self::Crop(1),
        Self::Crop(2),
        Self::Crop(3),
        Self::Crop(5),
        Self::Crop(10),
        Self::Grey,
        Self::Squeeze,
        Self::Turn(3),
        Self::Flip,
    ];

    /// The changed picture: as JPEG where that is the change, else as pixels.
    pub(super) fn apply(self, picture: &RgbImage, rng: &mut impl Rng) -> Result<Payload> {
        let (width, height) = picture.dimensions();
        let changed = match self {
            Self::Jpeg(quality) => {
                let mut bytes = Vec::new();
                let encoded = JpegEncoder::new_with_quality(&mut bytes, quality).encode_image(picture);
                encoded.map_err(|e| ImagesError::BadPicture { reason: e.to_string() })?;
                return Ok(Payload::Encoded(bytes));
            }
            Self::Resize(percent) => {
                let scaled = |side: u32| (side * percent / 100).max(1);
                imageops::resize(picture, scaled(width), scaled(height), FilterType::CatmullRom)
            }
            Self::Crop(percent) => {
                let cut = [width, height].map(|side| (side * percent).div_ceil(100).min(side - 1));
                let [x, y] = cut.map(|cut| rng.random_range(0..=cut));
                imageops::crop_imm(picture, x, y, width - cut[0], height - cut[1]).to_image()
            }
            Self::Brightness(percent) => {
                let mut brighter = picture.clone();
                for value in brighter.iter_mut() {
                    *value = (i32::from(*value) * (100 + percent) / 100).clamp(0, 255) as u8;
                }
                brighter
            }
            Self::Blur(sigma) => imageops::blur(picture, sigma as f32),
            Self::Grey => DynamicImage::ImageLuma8(imageops::grayscale(picture)).to_rgb8(),
            Self::Squeeze => {
                let side = width.min(height);
                imageops::resize(picture, side, side, FilterType::CatmullRom)
            }
            Self::Turn(degrees) => {
                let angle = (degrees as f32).to_radians();
                turned(picture, if rng.random() { angle } else { -angle })
            }
            Self::Flip => imageops::flip_horizontal(picture),
        };
        Ok(Payload::Pixels(to_picture(&changed)?))
    }
}

/// The picture turned by an angle, in radians to the right, and cut to the largest part of its shape that has no empty corners.
fn turned(picture: &RgbImage, angle: f32) -> RgbImage {
    let (sin, cos) = angle.sin_cos();
    let sides = [picture.width(), picture.height()].map(|side| side as f32);
    let share = |a: usize, b: usize| sides[a] / (sides[a] * cos + sides[b] * sin.abs());
    let share = share(0, 1).min(share(1, 0));
    let [width, height] = sides.map(|side| (side * share).max(1.0) as u32);
    RgbImage::from_fn(width, height, |x, y| {
        let at = |i: u32, side: u32| i as f32 - (side as f32 - 1.0) / 2.0;
        let (x, y) = (at(x, width), at(y, height));
        let place = [x * cos + y * sin + (sides[0] - 1.0) / 2.0, y * cos - x * sin + (sides[1] - 1.0) / 2.0];
        let inside = [0, 1].map(|axis| place[axis].clamp(0.0, sides[axis] - 1.0));
        imageops::interpolate_bilinear(picture, inside[0], inside[1]).unwrap_or(image::Rgb([0; 3]))
    })
}

/// A picture of the `image` crate in planes.
fn to_picture(picture: &RgbImage) -> Result<Picture> {
    let (height, width) = (picture.height() as usize, picture.width() as usize);
    Ok(Picture::from_interleaved(3, height, width, picture.as_raw())?)
}

/// The picture as the `image` crate holds it.
pub(super) fn to_image(picture: &Picture) -> Option<RgbImage> {
    let (width, height) = (picture.width as u32, picture.height as u32);
    match picture.channels {
        1 => Some(
            DynamicImage::ImageLuma8(image::GrayImage::from_raw(width, height, picture.to_interleaved())?)
                .to_rgb8(),
        ),
        _ => RgbImage::from_raw(width, height, picture.to_interleaved()),
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Jpeg(quality) => write!(f, "jpeg({quality})"),
            Self::Resize(percent) => write!(f, "resize({percent})"),
            Self::Crop(percent) => write!(f, "crop({percent})"),
            Self::Brightness(percent) => write!(f, "brightness({percent})"),
            Self::Blur(sigma) => write!(f, "blur({sigma})"),
            Self::Grey => f.write_str("grey"),
            Self::Squeeze => f.write_str("squeeze"),
            Self::Turn(degrees) => write!(f, "turn({degrees})"),
            Self::Flip => f.write_str("flip"),
        }
    }
}

impl FromStr for Change {
    type Err = DedupError;

    fn from_str(text: &str) -> Result<Self> {
        let (name, amount) = text.strip_suffix(')').and_then(|t| t.split_once('(')).unwrap_or((text, "0"));
        let amount: Option<i32> = amount.parse().ok();
        match (name, amount) {
            ("jpeg", Some(quality @ 1..=100)) => Ok(Self::Jpeg(quality as u8)),
            ("resize", Some(percent @ 1..=400)) => Ok(Self::Resize(percent as u32)),
            ("crop", Some(percent @ 1..=50)) => Ok(Self::Crop(percent as u32)),
            ("brightness", Some(percent @ -90..=400)) => Ok(Self::Brightness(percent)),
            ("blur", Some(sigma @ 1..=20)) => Ok(Self::Blur(sigma as u32)),
            ("grey", Some(0)) => Ok(Self::Grey),
            ("squeeze", Some(0)) => Ok(Self::Squeeze),
            ("turn", Some(degrees @ 1..=30)) => Ok(Self::Turn(degrees as u32)),
            ("flip", Some(0)) => Ok(Self::Flip),
            _ => Err(DedupError::Setting {
                key: "changes",
                expected: "jpeg(1–100), resize(1–400), crop(1–50), brightness(-90–400), blur(1–20), grey, squeeze, turn(1–30) or flip"
                    .into(),
                found: format!("{text:?}"),
            }),
        }
    }
}

impl TryFrom<String> for Change {
    type Error = DedupError;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Change> for String {
    fn from(change: Change) -> Self {
        change.to_string()
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn each_change_does_what_it_says() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let picture = RgbImage::from_fn(100, 80, |x, y| image::Rgb([x as u8, 2 * y as u8, 200]));
        let mut pixels = |change: Change| match change.apply(&picture, &mut rng).unwrap() {
            Payload::Pixels(picture) => picture,
            other => panic!("{other:?}"),
        };
        let half = pixels(Change::Resize(50));
        assert_eq!((half.width, half.height), (50, 40));
        let crop = pixels(Change::Crop(5));
        assert_eq!((crop.width, crop.height), (95, 76));
        assert!(crop.pixels[0] <= 5 && crop.pixels[95 * 76] <= 8);
        let bright = pixels(Change::Brightness(10));
        assert_eq!([0, 1, 2].map(|c| bright.pixels[c * 8000 + 60 * 100 + 50]), [55, 132, 220]);
        let grey = pixels(Change::Grey);
        assert!((0..8000).all(|i| grey.pixels[i] == grey.pixels[8000 + i] && grey.pixels[i] == grey.pixels[16_000 + i]));
        let squeezed = pixels(Change::Squeeze);
        assert_eq!((squeezed.width, squeezed.height), (80, 80));
        assert!(squeezed.pixels[0] <= 1 && squeezed.pixels[79] >= 98, "all of the width is there");
        let turned = pixels(Change::Turn(10));
        let share = 80.0 / (80.0 * 10f32.to_radians().cos() + 100.0 * 10f32.to_radians().sin());
        assert_eq!([turned.width, turned.height], [100.0 * share, 80.0 * share].map(|side| side as usize));
        // Along a line the value changes by the cosine for a pixel to the right.
        let across = f32::from(turned.pixels[30 * turned.width + 70])
            - f32::from(turned.pixels[30 * turned.width + 10]);
        assert!((across - 60.0 * 10f32.to_radians().cos()).abs() <= 1.0, "{across}");
        let flipped = pixels(Change::Flip);
        assert_eq!(flipped.pixels[..3], [99, 98, 97]);
        assert!(matches!(Change::Jpeg(30).apply(&picture, &mut rng), Ok(Payload::Encoded(_))));
    }

    #[test]
    fn names_are_parsed_and_written() {
        for change in Change::ALL {
            assert_eq!(change.to_string().parse::<Change>().unwrap(), change);
        }
        for text in [
            "",
            "jpeg",
            "jpeg(0)",
            "crop(99)",
            "flip(1)",
            "grey(1)",
            "squeeze(50)",
            "turn(0)",
            "turn(45)",
            "blur(x)",
        ] {
            assert!(text.parse::<Change>().is_err(), "{text}");
        }
    }
}
