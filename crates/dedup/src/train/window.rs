//! Cutting a window out of a picture and scaling it to 32×32.

use crate::preprocess::SIDE;

/// A square window of a square picture, in shares of its side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Window {
    pub(crate) left: f32,
    pub(crate) top: f32,
    pub(crate) side: f32,
}

impl Window {
    /// The whole picture.
    pub(crate) const WHOLE: Self = Self { left: 0.0, top: 0.0, side: 1.0 };

    /// Scales the window of `pixels` (3 planes of `side`×`side` bytes) to 32×32 values in [0, 1]: a triangle filter, as
    /// wide as a target pixel where the picture shrinks.
    pub(crate) fn resample(self, pixels: &[u8], side: usize, values: &mut [f32]) {
        let columns = Taps::new(self.left, self.side, side);
        let rows = Taps::new(self.top, self.side, side);
        let mut narrow = vec![0.0; side * SIDE];
        for (plane, values) in pixels.chunks_exact(side * side).zip(values.chunks_exact_mut(SIDE * SIDE)) {
            for (row, narrow) in plane.chunks_exact(side).zip(narrow.chunks_exact_mut(SIDE)) {
                for (value, (first, weights)) in narrow.iter_mut().zip(columns.iter()) {
                    *value = weights.iter().zip(&row[first..]).map(|(w, &pixel)| w * f32::from(pixel)).sum();
                }
            }
            for (line, (first, weights)) in values.chunks_exact_mut(SIDE).zip(rows.iter()) {
                line.fill(0.0);
                for (weight, row) in weights.iter().zip(narrow[first * SIDE..].chunks_exact(SIDE)) {
                    for (value, &pixel) in line.iter_mut().zip(row) {
                        *value += weight / 255.0 * pixel;
                    }
                }
            }
        }
    }
}

/// For each of the 32 target pixels of one direction the first source pixel and the weights from it on.
struct Taps {
    firsts: Vec<usize>,
    weights: Vec<f32>,
    n_weights: usize,
}

impl Taps {
    fn new(start: f32, length: f32, side: usize) -> Self {
        let scale = length * side as f32 / SIDE as f32;
        let radius = scale.max(1.0);
        let n_weights = ((2.0 * radius).ceil() as usize + 1).min(side);
        let (mut firsts, mut weights) = (Vec::with_capacity(SIDE), Vec::with_capacity(SIDE * n_weights));
        for i in 0..SIDE {
            let centre = start * side as f32 + (i as f32 + 0.5) * scale;
            let first = (centre - radius).floor().clamp(0.0, (side - n_weights) as f32) as usize;
            let weight = |j: usize| (1.0 - ((first + j) as f32 + 0.5 - centre).abs() / radius).max(0.0);
            let sum: f32 = (0..n_weights).map(weight).sum();
            firsts.push(first);
            weights.extend((0..n_weights).map(|j| weight(j) / sum));
        }
        Self { firsts, weights, n_weights }
    }

    fn iter(&self) -> impl Iterator<Item = (usize, &[f32])> {
        self.firsts.iter().copied().zip(self.weights.chunks_exact(self.n_weights))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(side: usize) -> Vec<u8> {
        (0..3 * side * side).map(|i| (i % side * 240 / side) as u8).collect()
    }

    #[test]
    fn the_whole_of_a_32_pixel_picture_is_itself() {
        let pixels: Vec<u8> = (0..3 * 32 * 32).map(|i| (i * 37 % 251) as u8).collect();
        let mut values = vec![0.0; 3072];
        Window::WHOLE.resample(&pixels, 32, &mut values);
        assert!(values.iter().zip(&pixels).all(|(v, &p)| (v * 255.0 - f32::from(p)).abs() < 1e-3));
    }

    /// A linear ramp stays linear under any symmetric filter, away from the edges.
    #[test]
    fn a_window_of_a_ramp_is_a_ramp() {
        for side in [32, 48, 64, 128] {
            let window = Window { left: 0.1, top: 0.05, side: 0.8 };
            let mut values = vec![0.0; 3072];
            window.resample(&ramp(side), side, &mut values);
            for x in 2..30 {
                let position = 0.1 + 0.8 * (x as f32 + 0.5) / 32.0 - 0.5 / side as f32;
                let found = values[1024 + 7 * 32 + x] * 255.0;
                assert!((found - position * 240.0).abs() < 1.0, "{side} {x}: {found} {}", position * 240.0);
            }
        }
    }
}
