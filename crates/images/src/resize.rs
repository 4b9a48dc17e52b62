//! How pictures are brought to one size.

use std::fmt;
use std::str::FromStr;

use fast_image_resize::images::{Image, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x3};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::interleaved::Interleaved;
use crate::{ImagesError, Picture, Result};

/// How a picture is brought to its final size; written `keep`, `centre_crop(64)`, `min_resize_centre_crop(32)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend(
    "pattern" = r"^(keep|centre_crop\([0-9]+\)|min_resize_centre_crop\([0-9]+\))$",
    "takes" = "\"keep\", \"centre_crop(N)\" or \"min_resize_centre_crop(N)\""
))]
pub enum Resize {
    /// As it is.
    #[default]
    Keep,
    /// The n×n pixels in the middle, untouched. A picture that is smaller than that in a direction is bad.
    CentreCrop(usize),
    /// Scaled, up or down, so that the shorter side has n pixels, and the middle n×n pixels of that: the paper's
    /// preparation of ImageNet ("32×32 min-resized centre crops"). The filter is [`Filter`].
    MinResizeCentreCrop(usize),
}

/// The filter of [`Resize::MinResizeCentreCrop`]. When shrinking, its width grows with the scale, so that every source
/// pixel counts and nothing aliases. The paper leaves it unstated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// The mean of the pixels covered.
    Box,
    /// Triangle.
    Bilinear,
    /// Cubic with a = −½, Pillow's `BICUBIC`: nearly as sharp as Lanczos with half its ringing. The default.
    #[default]
    CatmullRom,
    /// Lanczos with three lobes.
    Lanczos3,
}

/// A side beyond which a resize is refused as a slip of the pen.
const MAX_SIDE: usize = 1 << 14;

impl Resize {
    /// The side n of the square result; `None` for [`Resize::Keep`].
    pub fn side(self) -> Option<usize> {
        match self {
            Self::Keep => None,
            Self::CentreCrop(n) | Self::MinResizeCentreCrop(n) => Some(n),
        }
    }

    /// Checks that the side is from 1 to 16,384.
    ///
    /// # Errors
    /// [`ImagesError::Setting`].
    pub fn validate(self) -> Result<()> {
        match self.side() {
            Some(n) if !(1..=MAX_SIDE).contains(&n) => Err(ImagesError::Setting {
                name: "resize",
                expected: format!("a side from 1 to {MAX_SIDE}"),
                found: n.to_string(),
            }),
            _ => Ok(()),
        }
    }

    /// Brings `picture` to its final size.
    ///
    /// [`Resize::MinResizeCentreCrop`] scales the picture's central square directly to n×n: what resizing and then
    /// cropping gives, but with the centre exact instead of rounded to a whole pixel.
    ///
    /// # Errors
    /// [`ImagesError::BadPicture`] for a picture smaller than the crop.
    pub fn apply(self, picture: Picture, filter: Filter) -> Result<Picture> {
        let (height, width) = (picture.height, picture.width);
        match self {
            Self::Keep => Ok(picture),
            Self::CentreCrop(n) if height < n || width < n => Err(ImagesError::bad(format!(
                "expected at least {n}×{n} pixels to crop, found {height}×{width} (height×width)"
            ))),
            Self::CentreCrop(n) => Ok(picture.window((height - n) / 2, (width - n) / 2, n, n)),
            Self::MinResizeCentreCrop(n) if height == n && width == n => Ok(picture),
            Self::MinResizeCentreCrop(n) => scale_central_square(&picture, n, filter),
        }
    }
}

impl Resize {
    /// [`Resize::apply`] to a picture as decoders give it.
    pub(crate) fn apply_to(self, picture: Interleaved, filter: Filter) -> Result<Picture> {
        let Interleaved { values, channels, height, width } = picture;
        match self {
            Self::MinResizeCentreCrop(n) if height != n || width != n => {
                let window = central_square(height, width);
                scale_interleaved(&values, [height, width], channels, window, n, filter)
            }
            _ => self.apply(Picture::from_interleaved(channels, height, width, &values)?, filter),
        }
    }
}

fn scale_central_square(picture: &Picture, n: usize, filter: Filter) -> Result<Picture> {
    picture.scaled(central_square(picture.height, picture.width), [n, n], filter)
}

fn central_square(height: usize, width: usize) -> Window {
    let side = height.min(width) as f64;
    let [left, top] = [width, height].map(|length| (length as f64 - side) / 2.0);
    Window { left, top, width: side, height: side }
}

/// A part of a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// From the picture's left edge.
    pub left: f64,
    /// From its upper edge.
    pub top: f64,
    /// To the right.
    pub width: f64,
    /// Down.
    pub height: f64,
}

impl Picture {
    /// A part of the picture, scaled to `size` (height, width). The part must lie inside.
    ///
    /// # Errors
    /// [`ImagesError::BadPicture`] for a part that does not.
    pub fn scaled(&self, window: Window, size: [usize; 2], filter: Filter) -> Result<Self> {
        let source_size = [self.height, self.width];
        let mut pixels = Vec::with_capacity(self.channels * size[0] * size[1]);
        for plane in self.pixels.chunks_exact(self.height * self.width) {
            pixels.extend(scale::<U8>(plane, source_size, window, size, filter)?);
        }
        Ok(Self { channels: self.channels, height: size[0], width: size[1], pixels })
    }
}

/// The window of a picture of `size` (height, width) whose values are interleaved, scaled to n×n in one pass.
pub(crate) fn scale_interleaved(
    values: &[u8],
    size: [usize; 2],
    channels: usize,
    window: Window,
    n: usize,
    filter: Filter,
) -> Result<Picture> {
    let scaled = match channels {
        1 => scale::<U8>(values, size, window, [n, n], filter)?,
        _ => scale::<U8x3>(values, size, window, [n, n], filter)?,
    };
    Picture::from_interleaved(channels, n, n, &scaled)
}

/// The kind of pixel is known when this is compiled: the library's code for the others is not made.
fn scale<P: PixelTrait>(
    values: &[u8],
    size: [usize; 2],
    window: Window,
    target: [usize; 2],
    filter: Filter,
) -> Result<Vec<u8>> {
    let refused = |reason: String| ImagesError::bad(format!("cannot be resized: {reason}"));
    let side_u32 = |side: usize| u32::try_from(side).map_err(|e| refused(e.to_string()));
    let (height, width) = (side_u32(size[0])?, side_u32(size[1])?);
    let kernel = match filter {
        Filter::Box => FilterType::Box,
        Filter::Bilinear => FilterType::Bilinear,
        Filter::CatmullRom => FilterType::CatmullRom,
        Filter::Lanczos3 => FilterType::Lanczos3,
    };
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(kernel)).crop(
        window.left,
        window.top,
        window.width,
        window.height,
    );
    let source =
        TypedImageRef::<P>::from_buffer(width, height, values).map_err(|e| refused(e.to_string()))?;
    let mut scaled = Image::new(side_u32(target[1])?, side_u32(target[0])?, P::pixel_type());
    if let Some(mut scaled) = scaled.typed_image_mut::<P>() {
        Resizer::new().resize_typed(&source, &mut scaled, &options).map_err(|e| refused(e.to_string()))?;
    }
    Ok(scaled.into_vec())
}

impl fmt::Display for Resize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keep => f.write_str("keep"),
            Self::CentreCrop(n) => write!(f, "centre_crop({n})"),
            Self::MinResizeCentreCrop(n) => write!(f, "min_resize_centre_crop({n})"),
        }
    }
}

impl FromStr for Resize {
    type Err = ImagesError;

    fn from_str(text: &str) -> Result<Self> {
        let side_of = |name: &str| -> Option<usize> {
            text.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')')?.trim().parse().ok()
        };
        let resize = if text == "keep" {
            Some(Self::Keep)
        } else {
            side_of("centre_crop")
                .map(Self::CentreCrop)
                .or_else(|| side_of("min_resize_centre_crop").map(Self::MinResizeCentreCrop))
        };
        let resize = resize.ok_or_else(|| ImagesError::Setting {
            name: "resize",
            expected: "keep, centre_crop(n) or min_resize_centre_crop(n)".into(),
            found: format!("{text:?}"),
        })?;
        resize.validate()?;
        Ok(resize)
    }
}

impl TryFrom<String> for Resize {
    type Error = ImagesError;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Resize> for String {
    fn from(resize: Resize) -> Self {
        resize.to_string()
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Box => "box",
            Self::Bilinear => "bilinear",
            Self::CatmullRom => "catmull_rom",
            Self::Lanczos3 => "lanczos3",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A 12×19 picture of a busy function of x and y, far enough from 0 and 255 for no filter to overshoot them (Pillow
    /// clips between its two passes, in another order than here).
    fn busy() -> Picture {
        let value = |y: usize, x: usize| (64 + (x * x * 7 + y * 31 + x * y * 5) % 128) as u8;
        let pixels = (0..12).flat_map(|y| (0..19).map(move |x| value(y, x))).collect();
        Picture { channels: 1, height: 12, width: 19, pixels }
    }

    /// Expected values from Pillow 13.0:
    /// ```python
    /// y, x = np.mgrid[0:12, 0:19]
    /// im = Image.fromarray((64 + (x * x * 7 + y * 31 + x * y * 5) % 128).astype(np.uint8))
    /// for n in (4, 16):
    ///     for f in ("BOX", "BILINEAR", "BICUBIC", "LANCZOS"):
    ///         print(np.asarray(im.resize((n, n), getattr(Image, f), box=(3.5, 0, 15.5, 12))).ravel().tolist()[:16])
    /// ```
    #[test]
    fn scaling_down_and_up_agrees_with_pillow() {
        let cases = [
            (
                4,
                Filter::Box,
                [143, 119, 134, 134, 126, 118, 122, 138, 138, 146, 138, 114, 121, 132, 126, 147],
            ),
            (
                4,
                Filter::Bilinear,
                [134, 119, 123, 134, 131, 132, 127, 133, 128, 136, 139, 126, 126, 130, 132, 143],
            ),
            (
                4,
                Filter::CatmullRom,
                [137, 119, 123, 134, 130, 130, 125, 134, 130, 140, 142, 126, 123, 128, 131, 145],
            ),
            (
                4,
                Filter::Lanczos3,
                [139, 118, 122, 133, 129, 130, 125, 134, 131, 141, 143, 128, 121, 128, 130, 146],
            ),
            (
                16,
                Filter::Box,
                [127, 176, 111, 188, 188, 151, 128, 119, 119, 124, 143, 176, 176, 95, 156, 103],
            ),
            (
                16,
                Filter::Bilinear,
                [145, 168, 119, 159, 174, 148, 131, 122, 121, 126, 141, 164, 146, 103, 148, 123],
            ),
            (
                16,
                Filter::CatmullRom,
                [149, 176, 110, 162, 186, 150, 133, 124, 122, 128, 142, 174, 147, 92, 154, 129],
            ),
            (
                16,
                Filter::Lanczos3,
                [155, 176, 108, 159, 196, 151, 136, 127, 124, 130, 143, 181, 142, 89, 151, 142],
            ),
        ];
        for (n, filter, expected) in cases {
            let scaled = Resize::MinResizeCentreCrop(n).apply(busy(), filter).unwrap();
            assert_eq!((scaled.height, scaled.width), (n, n));
            for (found, expected) in scaled.pixels.iter().zip(expected) {
                assert!(found.abs_diff(expected) <= 1, "{n} {filter}: {:?}", &scaled.pixels[..16]);
            }
        }
    }

    #[test]
    fn a_centre_crop_takes_the_middle_and_refuses_smaller_pictures() {
        let cropped = Resize::CentreCrop(3).apply(busy(), Filter::default()).unwrap();
        let whole = busy();
        let expected: Vec<u8> = (4..7).flat_map(|y| whole.pixels[y * 19 + 8..y * 19 + 11].to_vec()).collect();
        assert_eq!(cropped.pixels, expected);
        let refusal = Resize::CentreCrop(13).apply(busy(), Filter::default()).unwrap_err();
        assert_eq!(refusal.to_string(), "expected at least 13×13 pixels to crop, found 12×19 (height×width)");
    }

    #[test]
    fn each_plane_is_scaled_by_itself() {
        let grey = busy();
        let colour = grey.clone().with_channels(3).unwrap();
        let resize = Resize::MinResizeCentreCrop(5);
        let (grey, colour) = (
            resize.apply(grey, Filter::default()).unwrap(),
            resize.apply(colour, Filter::default()).unwrap(),
        );
        assert_eq!(colour.pixels, grey.pixels.repeat(3));
    }

    #[test]
    fn names_are_parsed_and_written() {
        for name in ["keep", "centre_crop(64)", "min_resize_centre_crop(32)"] {
            assert_eq!(name.parse::<Resize>().unwrap().to_string(), name);
            let json = format!("{name:?}");
            assert_eq!(serde_json::to_string(&serde_json::from_str::<Resize>(&json).unwrap()).unwrap(), json);
        }
        for name in
            ["", "crop", "centre_crop", "centre_crop(0)", "centre_crop(-3)", "min_resize_centre_crop(99999)"]
        {
            assert!(name.parse::<Resize>().is_err(), "{name}");
        }
    }
}
