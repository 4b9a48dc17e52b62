//! The first judges: boosted sums over LAB features, "locally assembled binary" (Yan, Shan, Chen, Gao 2008).
//!
//! A feature compares the sum of the middle one of 3×3 blocks of 3×3 pixels with the eight around it: a byte. A boosted classifier
//! adds a weight for each of 150 bytes at fixed places of a 40×40 window, and gives up early.

/// The side of the block of pixels that a feature reads.
const SPAN: usize = 9;
/// Where the eight blocks lie, in blocks of three pixels, from the highest bit to the lowest.
const AROUND: [[usize; 2]; 8] = [[0, 0], [1, 0], [2, 0], [0, 1], [2, 1], [0, 2], [1, 2], [2, 2]];

/// The LAB features of a picture, and what it takes to compute them.
#[derive(Clone, Debug, Default)]
pub(super) struct Lab {
    width: usize,
    features: Vec<u8>,
    columns: Vec<i16>,
    sums: Vec<i16>,
}

impl Lab {
    /// The features of `grey`, `width` wide: `features[y · width + x]` belongs to the 9×9 pixels whose first is (x, y). Those of
    /// the last eight rows and columns are of no meaning.
    #[inline(always)]
    pub(super) fn compute(&mut self, grey: &[u8], width: usize) {
        let height = grey.len() / width;
        self.width = width;
        self.features.clear();
        self.features.resize(grey.len(), 0);
        self.sums.resize(grey.len(), 0);
        self.columns.resize(width, 0);
        for y in 0..height.saturating_sub(2) {
            let [a, b, c] = [0, 1, 2].map(|k| &grey[(y + k) * width..(y + k + 1) * width]);
            for (x, sum) in self.columns.iter_mut().enumerate() {
                *sum = i16::from(a[x]) + i16::from(b[x]) + i16::from(c[x]);
            }
            let n = width - 2;
            let [a, b, c] = [0, 1, 2].map(|k| &self.columns[k..k + n]);
            for (x, sum) in self.sums[y * width..y * width + n].iter_mut().enumerate() {
                *sum = a[x] + b[x] + c[x];
            }
        }
        let n = (width + 1).saturating_sub(SPAN);
        for y in 0..(height + 1).saturating_sub(SPAN) {
            let at = |x: usize, row: usize| {
                let start = (y + 3 * row) * width + 3 * x;
                &self.sums[start..start + n]
            };
            let middle = at(1, 1);
            let blocks = AROUND.map(|[x, row]| at(x, row));
            for (x, feature) in self.features[y * width..y * width + n].iter_mut().enumerate() {
                let mut bits = 0;
                for (k, block) in blocks.iter().enumerate() {
                    bits |= u8::from(middle[x] >= block[x]) << (7 - k);
                }
                *feature = bits;
            }
        }
    }
}

/// A boosted classifier of 40×40 windows.
#[derive(Clone, Debug)]
pub(super) struct Boosted {
    /// Column and row in the window.
    offsets: Vec<[u8; 2]>,
    /// The sum after a group below which a window is given up.
    thresholds: Vec<f32>,
    /// 256 weights a feature.
    weights: Vec<[f32; 256]>,
}

impl Boosted {
    /// Features that are added before the sum is compared.
    pub(super) const GROUP: usize = 10;

    /// `weights`: 256 a feature.
    pub(super) fn new(offsets: Vec<[u8; 2]>, thresholds: Vec<f32>, weights: Vec<f32>) -> Self {
        let thresholds = thresholds.chunks_exact(Self::GROUP).map(|group| group[Self::GROUP - 1]).collect();
        Self { offsets, thresholds, weights: weights.as_chunks().0.to_vec() }
    }

    /// The score of the window whose first pixel is (`x`, `y`), if it is not given up.
    #[inline(always)]
    pub(super) fn score(&self, lab: &Lab, x: usize, y: usize) -> Option<f32> {
        let window = &lab.features[y * lab.width + x..];
        let groups = self.offsets.chunks_exact(Self::GROUP).zip(self.weights.chunks_exact(Self::GROUP));
        let mut sum = 0.0;
        for ((offsets, weights), &threshold) in groups.zip(&self.thresholds) {
            for (&[x, y], weights) in offsets.iter().zip(weights) {
                sum += weights[usize::from(window[usize::from(y) * lab.width + usize::from(x)])];
            }
            if sum < threshold {
                return None;
            }
        }
        Some(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_compare_the_middle_block_with_the_eight_around_it() {
        // 10×11 pixels without pattern; block sums straight from the definition.
        let (width, height) = (11, 10);
        let grey: Vec<u8> = (0..width * height).map(|i| (i * i * 37 % 251) as u8).collect();
        let mut lab = Lab::default();
        lab.compute(&grey, width);
        let block = |left: usize, top: usize| -> u32 {
            (0..9).map(|k| u32::from(grey[(top + k / 3) * width + left + k % 3])).sum()
        };
        for (x, y) in [(0, 0), (1, 0), (2, 1), (0, 1)] {
            let mut bits = 0;
            for [i, j] in AROUND {
                bits = bits << 1 | u8::from(block(x + 3, y + 3) >= block(x + 3 * i, y + 3 * j));
            }
            assert_eq!(lab.features[y * width + x], bits, "{x} {y}");
        }
    }
}
