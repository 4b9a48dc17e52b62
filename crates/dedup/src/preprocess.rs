//! From a 32×32 picture to the autoencoder's input.

use dcgan_images::Filter;
use serde::{Deserialize, Serialize};

/// Side of the pictures that are hashed (section 4.1.1).
pub const SIDE: usize = 32;
/// Values of a picture: 3 × 32 × 32.
pub const N_INPUTS: usize = 3 * SIDE * SIDE;
/// Bytes of a picture: as many, in planes of red, green and blue.
pub const PICTURE_BYTES: usize = N_INPUTS;

/// Contrast below which a picture is not stretched any further, as a share of the range of pixels: what is nearly one
/// colour would else become noise.
const LEAST_CONTRAST: f32 = 0.02;

/// How pixels become inputs; saved with the autoencoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
    /// Each picture brought to mean 0 and contrast 1 over all its values, which brightness and contrast then do not
    /// change; else pixels are scaled to [−2, 2], alike for all.
    pub standardise: bool,
}

/// The filter with which the middle square of a picture is scaled to 32×32 (section 4.1.1; the filter is unstated).
pub const FILTER: Filter = Filter::CatmullRom;

impl Preprocessing {
    /// Writes the inputs of one picture (3072 values in [0, 1], planes first) over it.
    pub fn apply(self, values: &mut [f32]) {
        let (mean, contrast) = match self.standardise {
            true => {
                let n = values.len() as f32;
                let mean = sum_of(values, |v| v) / n;
                let variance = sum_of(values, |v| (v - mean) * (v - mean)) / n;
                (mean, variance.sqrt().max(LEAST_CONTRAST))
            }
            false => (0.5, 0.25),
        };
        values.iter_mut().for_each(|v| *v = (*v - mean) / contrast);
    }

    /// The inputs of a picture of 3072 bytes. The sums are of whole numbers, which are exact in any order, and fast.
    pub fn inputs(self, pixels: &[u8], inputs: &mut [f32]) {
        let (mean, contrast) = match self.standardise {
            true => {
                let sum: u32 = pixels.iter().map(|&p| u32::from(p)).sum();
                let squares: u32 = pixels.iter().map(|&p| u32::from(p) * u32::from(p)).sum();
                let n = pixels.len() as f64;
                let mean = f64::from(sum) / n;
                let variance = f64::from(squares) / n - mean * mean;
                (mean as f32, (variance.max(0.0).sqrt() as f32).max(255.0 * LEAST_CONTRAST))
            }
            false => (127.5, 63.75),
        };
        for (input, &pixel) in inputs.iter_mut().zip(pixels) {
            *input = (f32::from(pixel) - mean) / contrast;
        }
    }
}

/// The sum of `of` over values, in 16 parts side by side.
pub(crate) fn sum_of(values: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let mut parts = [0.0f32; 16];
    for values in values.chunks(parts.len()) {
        parts.iter_mut().zip(values).for_each(|(part, &value)| *part += of(value));
    }
    parts.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brightness_and_contrast_do_not_matter_when_standardised() {
        let pixels: Vec<u8> = (0..N_INPUTS).map(|i| (40 + i * 31 % 90) as u8).collect();
        let other: Vec<u8> = pixels.iter().map(|&p| (u32::from(p) * 3 / 2 + 10) as u8).collect();
        let preprocessing = Preprocessing { standardise: true };
        let (mut a, mut b) = (vec![0.0; N_INPUTS], vec![0.0; N_INPUTS]);
        preprocessing.inputs(&pixels, &mut a);
        preprocessing.inputs(&other, &mut b);
        assert!(a.iter().sum::<f32>().abs() < 0.1);
        let off = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 0.1, "{off}");
        Preprocessing { standardise: false }.inputs(&[0, 255, 0], &mut a[..3]);
        assert_eq!(a[..3], [-2.0, 2.0, -2.0]);
    }
}
