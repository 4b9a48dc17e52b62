//! A sheet on which pictures, enlarged, stand wherever a figure needs them.

use std::path::Path;

use image::ExtendedColorType;

use crate::{Result, grid::write_png};

/// Space between neighbouring cells, in pixels.
const GAP: usize = 4;
/// Pictures are enlarged by whole numbers up to this side.
const SHOWN_SIDE: usize = 64;
/// White, so that the sheet goes with a page's text; dark pages show it as a card.
const GROUND: u8 = 255;

/// Grey or colour pictures of one size in rows and columns of cells; the place between cells holds signs.
#[derive(Debug, Clone)]
pub struct Sheet {
    /// Side of the pictures, before they are enlarged.
    side: usize,
    zoom: usize,
    height: usize,
    width: usize,
    /// (height, width, 3).
    pixels: Vec<u8>,
}

impl Sheet {
    /// An empty sheet for `n_rows`×`n_columns` pictures of `side`×`side` pixels, which are enlarged to 64 or a little less.
    /// Both may be fractions.
    pub fn new(side: usize, n_rows: f64, n_columns: f64) -> Self {
        let zoom = (SHOWN_SIDE / side.max(1)).max(1);
        let length = |cells: f64| GAP + (cells * (side * zoom + GAP) as f64).round() as usize;
        let (height, width) = (length(n_rows), length(n_columns));
        Self { side, zoom, height, width, pixels: vec![GROUND; height * width * 3] }
    }

    /// Puts a picture of 3·side·side values, planes first, or a grey one of side·side, into a cell. `row` and `column` may be fractions: 0.5 is half a
    /// cell on. What reaches beyond the sheet is cut off.
    pub fn place(&mut self, picture: &[u8], row: f64, column: f64) {
        let (top, left) = self.corner(row, column);
        let plane = if picture.len() == self.side * self.side { 0 } else { self.side * self.side };
        for y in 0..self.side * self.zoom {
            for x in 0..self.side * self.zoom {
                let from = y / self.zoom * self.side + x / self.zoom;
                let colour =
                    [0, 1, 2].map(|channel| picture.get(channel * plane + from).copied().unwrap_or(0));
                self.set(top + y, left + x, colour);
            }
        }
    }

    /// Puts a black sign into the middle of a cell.
    pub fn sign(&mut self, sign: Sign, row: f64, column: f64) {
        let (top, left) = self.corner(row, column);
        let middle = self.side * self.zoom / 2;
        let reach = middle / 3;
        // Each bar's distance from the middle, and its half sides, down and across.
        let bars: &[(isize, usize, usize)] = match sign {
            Sign::Minus => &[(0, 1, reach)],
            Sign::Plus => &[(0, 1, reach), (0, reach, 1)],
            Sign::Equals => &[(-5, 1, reach), (5, 1, reach)],
        };
        for &(down, half_height, half_width) in bars {
            let y = (top + middle).saturating_add_signed(down);
            for y in y - half_height..=y + half_height {
                for x in left + middle - half_width..=left + middle + half_width {
                    self.set(y, x, [0; 3]);
                }
            }
        }
    }

    /// Writes the sheet as a PNG, whole or not at all.
    ///
    /// # Errors
    /// [`ImagesError::Io`](crate::ImagesError::Io) and [`ImagesError::Encode`](crate::ImagesError::Encode).
    pub fn write(&self, path: &Path) -> Result<()> {
        write_png(path, &self.pixels, [self.height, self.width], ExtendedColorType::Rgb8)
    }
}

impl Sheet {
    /// Row and column of a cell's first pixel.
    fn corner(&self, row: f64, column: f64) -> (usize, usize) {
        let pitch = (self.side * self.zoom + GAP) as f64;
        let start = |cells: f64| GAP + (cells * pitch).round().max(0.0) as usize;
        (start(row), start(column))
    }

    fn set(&mut self, y: usize, x: usize, colour: [u8; 3]) {
        if y < self.height && x < self.width {
            let start = (y * self.width + x) * 3;
            self.pixels[start..start + 3].copy_from_slice(&colour);
        }
    }
}

/// A sign between pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// −
    Minus,
    /// +
    Plus,
    /// =
    Equals,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_enlarged_into_their_cells() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sheet.png");
        let mut sheet = Sheet::new(32, 1.0, 3.0);
        let mut picture = vec![0; 3 * 32 * 32];
        // Its last pixel is red, 10 of 255.
        picture[32 * 32 - 1] = 10;
        sheet.place(&picture, 0.0, 1.0);
        sheet.sign(Sign::Minus, 0.0, 0.0);
        sheet.write(&path).unwrap();
        let sheet = image::open(&path).unwrap().into_rgb8();
        assert_eq!(sheet.dimensions(), (4 + 3 * 68, 4 + 68));
        let colour = |x, y| sheet.get_pixel(x, y).0;
        assert_eq!(
            [colour(71, 4), colour(72, 4), colour(135, 4), colour(136, 4)].map(|c| c[1]),
            [255, 0, 0, 255]
        );
        assert_eq!([colour(134, 66), colour(135, 67), colour(133, 67)].map(|c| c[0]), [10, 10, 0]);
        // The minus: 3 rows in the middle of the first cell.
        let dark = (0..72).filter(|&y| colour(36, y) == [0; 3]).collect::<Vec<_>>();
        assert_eq!(dark, [35, 36, 37]);
    }

    #[test]
    fn what_reaches_beyond_the_sheet_is_cut_off() {
        let mut sheet = Sheet::new(64, 1.0, 1.0);
        sheet.place(&[7; 3 * 64 * 64], 0.5, 0.5);
        sheet.sign(Sign::Equals, 3.0, 3.0);
        let n_dark = sheet.pixels.iter().filter(|&&value| value == 7).count();
        assert_eq!(n_dark, 3 * (72 - 38) * (72 - 38));
    }
}
