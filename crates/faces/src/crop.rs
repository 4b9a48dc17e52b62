//! From a box to a picture.

use dcgan_images::{Filter, Picture, ReducedPicture, Window};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::check;
use crate::{DetectorConfig, Face, Result};

/// What part of a photo becomes a picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CropConfig {
    /// Side of the pictures.
    #[schemars(range(min = 8, max = 1024))]
    pub size: usize,
    /// What is added to the box on each side, as a share of it; below 0 it is made smaller.
    #[schemars(extend("minimum" = -0.4, "maximum" = 2.0))]
    pub margin: f64,
    /// At the photo's edges: a square is moved inside; a tight box is cut off and what remains is stretched.
    pub shape: Shape,
    /// Which faces of a photo.
    pub faces: Which,
    /// The filter with which faces are scaled.
    pub filter: Filter,
}

/// What happens where a box reaches beyond the photo.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// The square around the box is moved into the photo, and made smaller where it is larger than that.
    #[default]
    Square,
    /// The box is cut off at the photo's edges, and what remains is stretched to a square.
    Tight,
}

/// Which faces of a photo are cropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// Each.
    #[default]
    All,
    /// The one with the largest box.
    Largest,
}

impl Default for CropConfig {
    fn default() -> Self {
        Self { size: 64, margin: 0.0, shape: Shape::Square, faces: Which::All, filter: Filter::default() }
    }
}

impl CropConfig {
    /// Checks every range.
    ///
    /// # Errors
    /// [`FacesError::Setting`](crate::FacesError::Setting).
    pub fn validate(&self) -> Result<()> {
        check("size", (8..=1024).contains(&self.size), "8 to 1024", self.size)?;
        check("margin", (-0.4..=2.0).contains(&self.margin), "-0.4 to 2", self.margin)
    }

    /// The scale of a photo, at most 1, at which the crops of its smallest faces lose nothing.
    pub fn least_scale(&self, detector: &DetectorConfig, height: usize, width: usize) -> f64 {
        let smallest = detector.smallest_in(height, width) * (1.0 + 2.0 * self.margin);
        (self.size as f64 / smallest).min(1.0)
    }

    /// The part of the photo, in pixels at its full size, that shows a face.
    fn part(&self, face: &Face, height: usize, width: usize) -> Window {
        let [left, top, across, down] = [face.x, face.y, face.width, face.height].map(f64::from);
        let (photo_width, photo_height) = (width as f64, height as f64);
        let (dx, dy) = (self.margin * across, self.margin * down);
        match self.shape {
            Shape::Square => {
                let side = (across + 2.0 * dx).max(down + 2.0 * dy).min(photo_width).min(photo_height);
                let from =
                    |at: f64, length: f64, photo: f64| (at + (length - side) / 2.0).clamp(0.0, photo - side);
                Window {
                    left: from(left, across, photo_width),
                    top: from(top, down, photo_height),
                    width: side,
                    height: side,
                }
            }
            Shape::Tight => {
                // A box has its middle in the photo; a pixel stays of it in any case.
                let cut = |at: f64, length: f64, photo: f64| {
                    let start = at.clamp(0.0, photo - 1.0);
                    (start, (at + length).clamp(start + 1.0, photo) - start)
                };
                let (left, width) = cut(left - dx, across + 2.0 * dx, photo_width);
                let (top, height) = cut(top - dy, down + 2.0 * dy, photo_height);
                Window { left, top, width, height }
            }
        }
    }

    /// The picture of a face: `size` × `size` pixels in colour.
    ///
    /// # Errors
    /// [`dcgan_images::ImagesError::BadPicture`] where it cannot be scaled.
    pub fn crop(&self, photo: &ReducedPicture, face: &Face) -> Result<Picture> {
        let full = self.part(face, photo.height, photo.width);
        let [rows, columns] = photo.scale;
        let along = |start: f64, length: f64, scale: f64, most: usize| {
            // Reduced pictures may end a fraction of a pixel early.
            let length = (length * scale).min(most as f64);
            ((start * scale).min(most as f64 - length), length)
        };
        let (left, width) = along(full.left, full.width, columns, photo.picture.width);
        let (top, height) = along(full.top, full.height, rows, photo.picture.height);
        let part = Window { left, top, width, height };
        Ok(photo.picture.scaled(part, [self.size, self.size], self.filter)?.with_channels(3)?)
    }
}

/// A crop of a store's bytes.
pub(crate) fn picture(pixels: &[u8], size: usize) -> Picture {
    Picture { channels: 3, height: size, width: size, pixels: pixels.to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(x: f32, y: f32, side: f32) -> Face {
        Face { x, y, width: side, height: side, score: 1.0 }
    }

    #[test]
    fn a_square_stays_within_the_photo_and_a_tight_box_is_cut() {
        let square = CropConfig { margin: 0.25, ..Default::default() };
        let window = |left, top, width, height| Window { left, top, width, height };
        assert_eq!(square.part(&face(40.0, 40.0, 20.0), 100, 200), window(35.0, 35.0, 30.0, 30.0));
        assert_eq!(square.part(&face(-5.0, 85.0, 20.0), 100, 200), window(0.0, 70.0, 30.0, 30.0));
        assert_eq!(square.part(&face(50.0, 5.0, 90.0), 100, 200), window(45.0, 0.0, 100.0, 100.0));
        let tight = CropConfig { shape: Shape::Tight, ..square };
        assert_eq!(tight.part(&face(-5.0, 85.0, 20.0), 100, 200), window(0.0, 80.0, 20.0, 20.0));
    }

    #[test]
    fn a_crop_shows_the_same_part_at_any_scale_of_the_photo() {
        // Red grows to the right, green downwards.
        let photo = |side: usize| {
            let ramp = |i: usize| (i * 256 / side) as u8;
            let red = (0..side * side).map(|i| ramp(i % side));
            let green = (0..side * side).map(|i| ramp(i / side));
            let pixels = red.chain(green).chain(std::iter::repeat_n(0, side * side)).collect();
            let picture = Picture { channels: 3, height: side, width: side, pixels };
            let scale = side as f64 / 256.0;
            ReducedPicture { picture, height: 256, width: 256, scale: [scale; 2] }
        };
        let config = CropConfig { size: 32, ..Default::default() };
        let face = face(64.0, 128.0, 64.0);
        let (full, half) =
            (config.crop(&photo(256), &face).unwrap(), config.crop(&photo(128), &face).unwrap());
        assert_eq!((full.channels, full.height, full.width), (3, 32, 32));
        assert!(full.pixels[0].abs_diff(64) <= 1 && full.pixels[31].abs_diff(127) <= 1);
        assert!(full.pixels[32 * 32].abs_diff(128) <= 1 && full.pixels[2 * 32 * 32 - 1].abs_diff(191) <= 1);
        assert!(full.pixels.iter().zip(&half.pixels).all(|(a, b)| a.abs_diff(*b) <= 2));
    }
}
