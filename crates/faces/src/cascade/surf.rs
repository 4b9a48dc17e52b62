//! What the networks read: sums of gradients, as SURF has them, over patches of 2×2 cells (Li, Wang, Zhang 2011).

/// The side of the window.
pub(super) const SIDE: usize = 40;
/// The shapes of patches, width to height.
const SHAPES: [[usize; 2]; 5] = [[1, 1], [1, 2], [2, 1], [2, 3], [3, 2]];
/// The least side of a patch, and the distance between neighbours.
const STEP: usize = 16;
/// Sums of dx and |dx| where dy ≥ 0 and where dy < 0, and of dy and |dy| where dx ≥ 0 and where dx < 0.
const CHANNELS: usize = 8;
/// What dx (four times) and dy (four times) count in the channels, by whether dx < 0 and dy < 0.
const FACTORS: [[[i32; CHANNELS]; 2]; 2] = [
    [[1, 1, 0, 0, 1, 1, 0, 0], [0, 0, 1, 1, 1, -1, 0, 0]],
    [[1, -1, 0, 0, 0, 0, 1, 1], [0, 0, 1, -1, 0, 0, 1, -1]],
];

/// 2×2 cells of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Patch {
    x: usize,
    y: usize,
    width: usize,
    height: usize,
}

/// All patches in the order in which the model file counts them.
pub(super) fn patches() -> Vec<Patch> {
    let mut all = Vec::new();
    for [across, down] in SHAPES {
        for height in (STEP..=SIDE).filter(|h| h.is_multiple_of(2) && h.is_multiple_of(down)) {
            let width = height / down * across;
            if width.is_multiple_of(2) && (STEP..=SIDE).contains(&width) {
                for y in (0..=SIDE - height).step_by(STEP) {
                    all.extend((0..=SIDE - width).step_by(STEP).map(|x| Patch { x, y, width, height }));
                }
            }
        }
    }
    all
}

/// The sums of the gradients of a 40×40 window over all rectangles from its first pixel.
#[derive(Clone, Debug)]
pub(super) struct Gradients {
    dx: Vec<i32>,
    dy: Vec<i32>,
    /// `integral[y · 41 + x]`: over the pixels above and left of (x, y).
    integral: Vec<[i32; CHANNELS]>,
}

impl Default for Gradients {
    fn default() -> Self {
        let n = SIDE * SIDE;
        Self { dx: vec![0; n], dy: vec![0; n], integral: vec![[0; CHANNELS]; (SIDE + 1) * (SIDE + 1)] }
    }
}

impl Gradients {
    /// Takes in a window of 40×40 pixels.
    #[inline(always)]
    pub(super) fn compute(&mut self, window: &[u8; SIDE * SIDE]) {
        for (row, dx) in window.as_chunks::<SIDE>().0.iter().zip(self.dx.as_chunks_mut::<SIDE>().0) {
            for x in 1..SIDE - 1 {
                dx[x] = i32::from(row[x + 1]) - i32::from(row[x - 1]);
            }
            dx[0] = 2 * (i32::from(row[1]) - i32::from(row[0]));
            dx[SIDE - 1] = 2 * (i32::from(row[SIDE - 1]) - i32::from(row[SIDE - 2]));
        }
        let rows = window.as_chunks::<SIDE>().0;
        for (y, dy) in self.dy.as_chunks_mut::<SIDE>().0.iter_mut().enumerate() {
            let (above, below) = (y.saturating_sub(1), (y + 1).min(SIDE - 1));
            let factor = if below - above == 1 { 2 } else { 1 };
            for x in 0..SIDE {
                dy[x] = factor * (i32::from(rows[below][x]) - i32::from(rows[above][x]));
            }
        }
        self.integrate();
    }

    #[inline(always)]
    fn integrate(&mut self) {
        for y in 0..SIDE {
            let (above, row) = self.integral[y * (SIDE + 1)..(y + 2) * (SIDE + 1)].split_at_mut(SIDE + 1);
            let mut sums = [0; CHANNELS];
            for x in 0..SIDE {
                let (dx, dy) = (self.dx[y * SIDE + x], self.dy[y * SIDE + x]);
                let factors = &FACTORS[usize::from(dx < 0)][usize::from(dy < 0)];
                let values = [dx, dx, dx, dx, dy, dy, dy, dy];
                let (above, below) = (&above[x + 1], &mut row[x + 1]);
                for k in 0..CHANNELS {
                    sums[k] += values[k] * factors[k];
                    below[k] = sums[k] + above[k];
                }
            }
        }
    }

    /// The patch's 4 × 8 sums, brought to length 1, cell after cell.
    #[inline(always)]
    pub(super) fn features(&self, patch: Patch, features: &mut [f32; 4 * CHANNELS]) {
        let (width, height) = (patch.width / 2, patch.height / 2);
        let mut squares = [0.0; CHANNELS];
        for (cell, sums) in features.as_chunks_mut::<CHANNELS>().0.iter_mut().enumerate() {
            let (x, y) = (patch.x + cell % 2 * width, patch.y + cell / 2 * height);
            let at = |x: usize, y: usize| &self.integral[y * (SIDE + 1) + x];
            let corners = [at(x, y), at(x + width, y), at(x, y + height), at(x + width, y + height)];
            for k in 0..CHANNELS {
                let sum = corners[3][k] + corners[0][k] - corners[1][k] - corners[2][k];
                sums[k] = sum as f32;
                squares[k] += sums[k] * sums[k];
            }
        }
        let square: f32 = squares.iter().sum();
        let factor = if square > 0.0 { 1.0 / square.sqrt() } else { 0.0 };
        features.iter_mut().for_each(|value| *value *= factor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_are_counted_as_the_model_counts_them() {
        let all = patches();
        // The highest number in the model file is 54; by hand: the first is the smallest square in the corner, the second
        // stands one step right of it.
        assert!(all.len() >= 54, "{}", all.len());
        assert_eq!(all[0], Patch { x: 0, y: 0, width: 16, height: 16 });
        assert_eq!(all[1], Patch { x: 16, y: 0, width: 16, height: 16 });
        assert!(all.iter().all(|p| p.x + p.width <= SIDE && p.y + p.height <= SIDE));
    }

    #[test]
    fn features_are_sums_of_gradients_over_cells() {
        let window: [u8; SIDE * SIDE] = std::array::from_fn(|i| (i * i * 37 % 251) as u8);
        let mut gradients = Gradients::default();
        gradients.compute(&window);
        let pixel = |x: usize, y: usize| i64::from(window[y * SIDE + x]);
        let between = |a: i64, b: i64, is_edge: bool| if is_edge { 2 * (b - a) } else { b - a };
        for patch in patches() {
            let mut expected = [0i64; 32];
            for y in patch.y..patch.y + patch.height {
                for x in patch.x..patch.x + patch.width {
                    let edge = |at: usize| at == 0 || at == SIDE - 1;
                    let dx = between(pixel(x.max(1) - 1, y), pixel((x + 1).min(SIDE - 1), y), edge(x));
                    let dy = between(pixel(x, y.max(1) - 1), pixel(x, (y + 1).min(SIDE - 1)), edge(y));
                    let cell = (y - patch.y) / (patch.height / 2) * 2 + (x - patch.x) / (patch.width / 2);
                    let sums = &mut expected[8 * cell..8 * cell + 8];
                    let k = if dy >= 0 { 0 } else { 2 };
                    sums[k] += dx;
                    sums[k + 1] += dx.abs();
                    let k = if dx >= 0 { 4 } else { 6 };
                    sums[k] += dy;
                    sums[k + 1] += dy.abs();
                }
            }
            let norm = expected.iter().map(|v| (v * v) as f64).sum::<f64>().sqrt();
            let mut found = [0.0; 32];
            gradients.features(patch, &mut found);
            for (found, expected) in found.iter().zip(expected) {
                assert!((f64::from(*found) - expected as f64 / norm).abs() < 1e-6, "{patch:?}");
            }
        }
    }
}
