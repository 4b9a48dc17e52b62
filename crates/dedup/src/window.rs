//! Cutting a window out of a picture and scaling it to 32×32.

use pulp::{Simd, WithSimd};

use crate::preprocess::SIDE;

/// Rows of sums that stand in registers together.
const ROWS: usize = 4;

/// A window of a square picture, in shares of its side, and how wide the filter is that scales it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Window {
    /// From the left and from the top.
    pub(crate) start: [f32; 2],
    /// Width and height.
    pub(crate) size: [f32; 2],
    /// Half the width of the filter in each direction, in pixels of 32, at least 1: beyond that the picture is blurred.
    pub(crate) radius: [f32; 2],
}

impl Window {
    /// The whole picture.
    pub(crate) const WHOLE: Self = Self { start: [0.0; 2], size: [1.0; 2], radius: [1.0; 2] };

    /// Scales the window of `pixels` (3 planes of `side`×`side` bytes) to 32×32 values in [0, 1]: a triangle filter, as
    /// wide as a target pixel where the picture shrinks.
    pub(crate) fn resample(self, pixels: &[u8], side: usize, values: &mut [f32]) {
        let (columns, rows) = (self.taps(0, side), self.taps(1, side));
        let mut across = vec![[0.0; SIDE]; side];
        for (i, (first, weights)) in columns.iter().enumerate() {
            weights.iter().enumerate().for_each(|(j, weight)| across[first + j][i] = *weight);
        }
        let mut low = vec![0.0; SIDE * side];
        for (plane, values) in pixels.chunks_exact(side * side).zip(values.chunks_exact_mut(SIDE * SIDE)) {
            dcgan_vectors::arch().dispatch(Plane {
                plane,
                side,
                rows: &rows,
                across: &across,
                low: &mut low,
                values,
            });
        }
    }

    fn taps(self, axis: usize, side: usize) -> Taps {
        Taps::new(self.start[axis], self.size[axis], self.radius[axis], side)
    }
}

/// One plane to be scaled: its rows first, then, by a small matrix product, its columns.
struct Plane<'a> {
    plane: &'a [u8],
    side: usize,
    rows: &'a Taps,
    /// The weights of each source column in each target column.
    across: &'a [[f32; SIDE]],
    /// Room for the rows: 32×`side`.
    low: &'a mut [f32],
    values: &'a mut [f32],
}

/// Compiled for the vector instructions at hand.
impl WithSimd for Plane<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { plane, side, rows, across, low, values } = self;
        for (line, (first, weights)) in low.chunks_exact_mut(side).zip(rows.iter()) {
            line.fill(0.0);
            for (weight, row) in weights.iter().zip(plane[first * side..].chunks_exact(side)) {
                let weight = weight / 255.0;
                line.iter_mut().zip(row).for_each(|(value, &pixel)| *value += weight * f32::from(pixel));
            }
        }
        for (values, lines) in values.chunks_exact_mut(ROWS * SIDE).zip(low.chunks_exact(ROWS * side)) {
            let mut each: [&[f32]; ROWS] = [&[]; ROWS];
            each.iter_mut().zip(lines.chunks_exact(side)).for_each(|(each, line)| *each = line);
            let width = SIDE / S::F32_LANES;
            for left in (0..width).step_by(2) {
                let mut sums = [[simd.splat_f32s(0.0); 2]; ROWS];
                for (column, weights) in across.iter().enumerate() {
                    let (weights, _) = S::as_simd_f32s(weights);
                    let weights = [weights[left], weights[left + 1]];
                    for (sums, line) in sums.iter_mut().zip(each) {
                        let value = simd.splat_f32s(line[column]);
                        sums[0] = simd.mul_add_e_f32s(value, weights[0], sums[0]);
                        sums[1] = simd.mul_add_e_f32s(value, weights[1], sums[1]);
                    }
                }
                for (row, sums) in values.chunks_exact_mut(SIDE).zip(&sums) {
                    let (row, _) = S::as_mut_simd_f32s(row);
                    row[left] = sums[0];
                    row[left + 1] = sums[1];
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
    fn new(start: f32, length: f32, radius: f32, side: usize) -> Self {
        let scale = length * side as f32 / SIDE as f32;
        let radius = radius * scale.max(1.0);
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
        for (side, radius, edge) in [(32, 1.0, 2), (48, 1.0, 2), (64, 3.0, 4), (128, 1.0, 2)] {
            let window = Window { start: [0.1, 0.05], size: [0.8, 0.6], radius: [radius; 2] };
            let mut values = vec![0.0; 3072];
            window.resample(&ramp(side), side, &mut values);
            for x in edge..SIDE - edge {
                let position = 0.1 + 0.8 * (x as f32 + 0.5) / 32.0 - 0.5 / side as f32;
                let found = values[1024 + 7 * 32 + x] * 255.0;
                assert!((found - position * 240.0).abs() < 1.0, "{side} {x}: {found} {}", position * 240.0);
            }
        }
    }

    #[test]
    fn a_window_has_its_own_width_and_height_and_a_wider_filter_blurs() {
        let side = 64;
        // A white square in the middle of the lower half.
        let pixels: Vec<u8> = (0..3 * side * side)
            .map(|i| if (16..48).contains(&(i % side)) && i / side % side >= 32 { 255 } else { 0 })
            .collect();
        let mut values = vec![0.0; 3072];
        Window { start: [0.25, 0.5], size: [0.5, 0.5], radius: [1.0; 2] }.resample(
            &pixels,
            side,
            &mut values,
        );
        assert!(values[4 * 32 + 4..][..24].iter().all(|v| *v > 0.99), "the square fills the window");
        let edge = |radius: f32| {
            let mut values = vec![0.0; 3072];
            Window { radius: [radius; 2], ..Window::WHOLE }.resample(&pixels, side, &mut values);
            [values[24 * 32 + 5], values[24 * 32 + 16]]
        };
        assert!(edge(1.0)[0] < 1e-6 && edge(5.0)[0] > 0.01 && edge(5.0)[1] > 0.95);
    }
}
