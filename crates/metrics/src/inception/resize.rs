//! To 299×299, as each of the programs that people compare with does it.

use dcgan_images::Picture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::graph::SIDE;

/// How a picture of any size becomes the 299×299 numbers that the network reads. Distances by one way are not comparable with
/// those by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Resize {
    /// pytorch-fid's: bilinear between pixel centres, without antialiasing.
    #[default]
    PytorchFid,
    /// torch-fidelity's: TensorFlow 1's bilinear, which aligns the pixels' upper left corners, without antialiasing.
    TorchFidelity,
    /// clean-fid's mode `clean`: Pillow's bicubic with antialiasing, in f32, cut to 0 to 255 and not rounded.
    Clean,
}

impl Resize {
    /// Writes the picture resized, (299, 299, 3), as the network reads it: -1 to 1 from pytorch-fid, and as (x − 128) / 128 from
    /// the other two. A grey picture's values are repeated.
    pub(crate) fn write(self, picture: &Picture, out: &mut [f32]) {
        let [rows, columns] = [picture.height, picture.width].map(|size| self.axis(size));
        let n_pixels = picture.height * picture.width;
        for channel in 0..3 {
            let plane = &picture.pixels[channel.min(picture.channels - 1) * n_pixels..][..n_pixels];
            let resized = resample(plane, picture.width, &rows, &columns);
            for (to, value) in out.iter_mut().skip(channel).step_by(3).zip(resized) {
                *to = match self {
                    Self::PytorchFid => 2.0 * (value / 255.0) - 1.0,
                    Self::TorchFidelity => (value - 128.0) / 128.0,
                    Self::Clean => (value.clamp(0.0, 255.0) - 128.0) / 128.0,
                };
            }
        }
    }

    fn axis(self, size: usize) -> Vec<Window> {
        (0..SIDE).map(|target| self.window(target, size)).collect()
    }

    fn window(self, target: usize, size: usize) -> Window {
        // f32 where PyTorch computes in it.
        let scale = size as f32 / SIDE as f32;
        match self {
            Self::PytorchFid => linear((scale * (target as f32 + 0.5) - 0.5).max(0.0), size),
            Self::TorchFidelity => linear(target as f32 * scale, size),
            Self::Clean => cubic(target, size),
        }
    }
}

/// The neighbouring source values that a target value is made of.
struct Window {
    first: usize,
    weights: Vec<f64>,
}

/// Between the two neighbours of a place.
fn linear(place: f32, size: usize) -> Window {
    let first = (place as usize).min(size - 1);
    let second = f64::from(place - first as f32);
    let weights = if first + 1 < size { vec![1.0 - second, second] } else { vec![1.0] };
    Window { first, weights }
}

/// Pillow's windows: the cubic kernel, as much wider as the picture becomes smaller.
fn cubic(target: usize, size: usize) -> Window {
    /// The kernel's reach on either side.
    const SUPPORT: f64 = 2.0;
    let scale = size as f64 / SIDE as f64;
    let width = scale.max(1.0);
    let centre = (target as f64 + 0.5) * scale;
    let first = (centre - SUPPORT * width + 0.5).max(0.0) as usize;
    let end = ((centre + SUPPORT * width + 0.5) as usize).min(size);
    let weight = |source: usize| kernel(((source as f64) - centre + 0.5) / width);
    let mut weights: Vec<f64> = (first..end).map(weight).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|weight| *weight /= sum);
    Window { first, weights }
}

/// Keys' cubic with a = -0.5.
fn kernel(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    match x {
        _ if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        _ if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
        _ => 0.0,
    }
}

/// First along rows, then along columns; sums of f64, rounded to f32 after each.
fn resample(plane: &[u8], width: usize, rows: &[Window], columns: &[Window]) -> Vec<f32> {
    let mut wide = vec![0.0_f32; plane.len() / width * SIDE];
    for (to, from) in wide.chunks_exact_mut(SIDE).zip(plane.chunks_exact(width)) {
        for (to, window) in to.iter_mut().zip(columns) {
            let values = window.weights.iter().zip(&from[window.first..]);
            *to = values.map(|(weight, &value)| weight * f64::from(value)).sum::<f64>() as f32;
        }
    }
    let mut out = vec![0.0_f32; SIDE * SIDE];
    for (to, window) in out.chunks_exact_mut(SIDE).zip(rows) {
        let mut sums = [0.0_f64; SIDE];
        for (weight, from) in window.weights.iter().zip(wide.chunks_exact(SIDE).skip(window.first)) {
            sums.iter_mut().zip(from).for_each(|(sum, &value)| *sum += weight * f64::from(value));
        }
        to.iter_mut().zip(sums).for_each(|(to, sum)| *to = sum as f32);
    }
    out
}

#[cfg(test)]
mod tests;
