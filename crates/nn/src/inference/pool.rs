//! Pooling over windows of 3×3, and the mean over whole maps.

use std::ops::Range;

use rayon::prelude::*;

use super::maps::{Maps, wrong};
use crate::{Result, vectorised};

const WINDOW: usize = 3;

/// The largest of each channel under a window of 3×3, to the channels of `target` from `first` on. Padding is never the largest.
///
/// # Errors
/// Where the maps do not fit.
pub fn max_pool(source: &Maps, stride: usize, padding: usize, target: &mut Maps, first: usize) -> Result<()> {
    let size = [0, 1].map(|d| {
        let room = (source.size[d] + 2 * padding).checked_sub(WINDOW);
        room.map_or(0, |room| room / stride.max(1) + 1)
    });
    let c = source.channels;
    windows(source, target, size, first, |values, positions, out| {
        vectorised(|| {
            out.fill(f32::NEG_INFINITY);
            for [y, x] in positions.of(stride, padding, source.size) {
                let from = &values[(y * source.size[1] + x) * c..][..c];
                out.iter_mut().zip(from).for_each(|(most, &value)| {
                    *most = if *most > value { *most } else { value };
                });
            }
        });
    })
}

/// The mean of each channel under a window of 3×3 with stride 1 and padding 1, which is not counted; then a bias for each channel,
/// after which nothing is below 0. To the channels of `target` from `first` on.
///
/// # Errors
/// Where the maps do not fit.
pub fn average_pool(source: &Maps, bias: &[f32], target: &mut Maps, first: usize) -> Result<()> {
    let c = source.channels;
    if bias.len() != c {
        return wrong(format!("average pool: {} biases for {c} channels", bias.len()));
    }
    windows(source, target, source.size, first, |values, positions, out| {
        vectorised(|| {
            out.fill(0.0);
            let mut n = 0.0_f32;
            for [y, x] in positions.of(1, 1, source.size) {
                n += 1.0;
                let from = &values[(y * source.size[1] + x) * c..][..c];
                out.iter_mut().zip(from).for_each(|(sum, value)| *sum += value);
            }
            out.iter_mut().zip(bias).for_each(|(sum, bias)| {
                let value = *sum / n + bias;
                *sum = if value < 0.0 { 0.0 } else { value };
            });
        });
    })
}

/// The mean of each channel over a picture's whole map: n rows of channels.
pub fn mean(source: &Maps) -> Vec<f32> {
    let (c, len) = (source.channels.max(1), source.size[0] * source.size[1] * source.channels);
    let mut out = vec![0.0; source.n * source.channels];
    out.par_chunks_mut(c).zip(source.values.par_chunks(len.max(1))).for_each(|(out, values)| {
        vectorised(|| {
            for row in values.chunks_exact(c) {
                out.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
            }
            let n = (len / c) as f32;
            out.iter_mut().for_each(|sum| *sum /= n);
        });
    });
    out
}

/// A target's row and column.
struct Position([usize; 2]);

impl Position {
    /// The source's rows and columns under the window.
    fn of(&self, stride: usize, padding: usize, size: [usize; 2]) -> impl Iterator<Item = [usize; 2]> {
        let range = |d: usize| -> Range<usize> {
            let corner = self.0[d] * stride;
            corner.saturating_sub(padding)..(corner + WINDOW).saturating_sub(padding).min(size[d])
        };
        let (rows, columns) = (range(0), range(1));
        rows.flat_map(move |y| columns.clone().map(move |x| [y, x]))
    }
}

/// Calls `pool` with a picture's source values, and each of the target's positions and its channels.
fn windows(
    source: &Maps,
    target: &mut Maps,
    size: [usize; 2],
    first: usize,
    pool: impl Fn(&[f32], Position, &mut [f32]) + Sync,
) -> Result<()> {
    let (c, step) = (source.channels, target.channels);
    let is_empty = source.values.is_empty() || size[0] * size[1] == 0;
    if is_empty || target.size != size || target.n != source.n || first + c > step {
        return wrong(format!(
            "pool: {:?} to {size:?}, channels from {first} on, of {:?}",
            source.shape(),
            target.shape()
        ));
    }
    let len = source.size[0] * source.size[1] * c;
    let rows = target.values.par_chunks_mut(size[1] * step).enumerate();
    rows.for_each(|(row, out)| {
        let values = &source.values[row / size[0] * len..][..len];
        for (x, out) in out.chunks_exact_mut(step).enumerate() {
            pool(values, Position([row % size[0], x]), &mut out[first..first + c]);
        }
    });
    Ok(())
}
