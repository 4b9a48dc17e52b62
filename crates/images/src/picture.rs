//! A decoded picture.

use std::borrow::Cow;

use crate::{ImagesError, Result};

/// An 8-bit picture, planes first: `pixels[(channel · height + y) · width + x]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// `channels · height · width` values, 0 to 255.
    pub pixels: Vec<u8>,
}

impl Picture {
    /// A picture from interleaved values (`pixels[(y · width + x) · channels + channel]`), as decoders give them.
    ///
    /// # Errors
    /// [`ImagesError::BadPicture`] where the number of values is not `channels · height · width`.
    pub fn from_interleaved(channels: usize, height: usize, width: usize, values: &[u8]) -> Result<Self> {
        let n_pixels = height * width;
        if values.len() != channels * n_pixels || values.is_empty() {
            return Err(ImagesError::bad(format!(
                "expected {channels}×{height}×{width} values, found {}",
                values.len()
            )));
        }
        let mut pixels = vec![0; values.len()];
        match channels {
            1 => pixels.copy_from_slice(values),
            3 => {
                let (red, rest) = pixels.split_at_mut(n_pixels);
                let (green, blue) = rest.split_at_mut(n_pixels);
                for (i, value) in values.chunks_exact(3).enumerate() {
                    (red[i], green[i], blue[i]) = (value[0], value[1], value[2]);
                }
            }
            _ => return Err(ImagesError::bad(format!("expected 1 or 3 channels, found {channels}"))),
        }
        Ok(Self { channels, height, width, pixels })
    }

    /// The values interleaved, `(y · width + x) · channels + channel`, as encoders take them.
    pub fn to_interleaved(&self) -> Vec<u8> {
        let n_pixels = self.height * self.width;
        (0..self.pixels.len())
            .map(|i| self.pixels[i % self.channels * n_pixels + i / self.channels])
            .collect()
    }

    /// Height · width values: luma by ITU-R 601, `0.299 R + 0.587 G + 0.114 B`, in the fixed-point form of Pillow's
    /// `convert("L")`; of a grey picture its own values.
    pub fn luma(&self) -> Cow<'_, [u8]> {
        let (red, rest) = self.pixels.split_at(self.height * self.width);
        if self.channels == 1 {
            return Cow::Borrowed(red);
        }
        let (green, blue) = rest.split_at(self.height * self.width);
        let weighted = |((&r, &g), &b): ((&u8, &u8), &u8)| {
            ((u32::from(r) * 19_595 + u32::from(g) * 38_470 + u32::from(b) * 7_471 + 0x8000) >> 16) as u8
        };
        Cow::Owned(red.iter().zip(green).zip(blue).map(weighted).collect())
    }

    /// The same picture with `channels` channels, 1 or 3. Grey becomes three equal channels, colour its [luma](Self::luma).
    ///
    /// # Errors
    /// [`ImagesError::BadPicture`] for any other number of channels.
    pub fn with_channels(self, channels: usize) -> Result<Self> {
        let pixels = match (self.channels, channels) {
            (1, 1) | (3, 3) => self.pixels,
            (1, 3) => self.pixels.repeat(3),
            (3, 1) => self.luma().into_owned(),
            (found, wanted) => {
                return Err(ImagesError::bad(format!("expected 1 or 3 channels, found {found} → {wanted}")));
            }
        };
        Ok(Self { channels, pixels, ..self })
    }

    /// The window of `height` × `width` pixels whose upper left corner is (`top`, `left`); it must lie inside.
    pub(crate) fn window(&self, top: usize, left: usize, height: usize, width: usize) -> Self {
        let mut pixels = Vec::with_capacity(self.channels * height * width);
        for channel in 0..self.channels {
            for y in top..top + height {
                let start = (channel * self.height + y) * self.width + left;
                pixels.extend_from_slice(&self.pixels[start..start + width]);
            }
        }
        Self { channels: self.channels, height, width, pixels }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interleaved_values_become_planes_and_return() {
        let values: Vec<u8> = (0..18).collect();
        let picture = Picture::from_interleaved(3, 2, 3, &values).unwrap();
        assert_eq!(picture.pixels, [0, 3, 6, 9, 12, 15, 1, 4, 7, 10, 13, 16, 2, 5, 8, 11, 14, 17]);
        assert_eq!(picture.to_interleaved(), values);
        assert!(Picture::from_interleaved(3, 2, 2, &values).is_err());
    }

    /// Expected values from Pillow:
    /// ```python
    /// [Image.new("RGB", (1, 1), c).convert("L").getpixel((0, 0)) for c in [(255, 0, 0), (0, 255, 0), (0, 0, 255), (12, 200, 77), (255, 255, 255)]]
    /// ```
    #[test]
    fn colour_becomes_luma_as_in_pillow() {
        let colours = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [12, 200, 77], [255, 255, 255]];
        let picture = Picture::from_interleaved(3, 1, 5, colours.as_flattened()).unwrap();
        assert_eq!(picture.with_channels(1).unwrap().pixels, [76, 150, 29, 130, 255]);
    }

    #[test]
    fn grey_becomes_three_equal_channels() {
        let grey = Picture { channels: 1, height: 1, width: 2, pixels: vec![7, 9] };
        assert_eq!(grey.with_channels(3).unwrap().pixels, [7, 9, 7, 9, 7, 9]);
    }

    #[test]
    fn a_window_is_cut_from_every_plane() {
        let picture = Picture { channels: 3, height: 3, width: 3, pixels: (0..27).collect() };
        assert_eq!(picture.window(1, 1, 2, 2).pixels, [4, 5, 7, 8, 13, 14, 16, 17, 22, 23, 25, 26]);
    }
}
