//! A copy of the features in the order in which a search passes over them.

use ndarray::{ArrayView2, s};
use rayon::prelude::*;

use crate::kernels::{self, Panel, Weights};
use crate::storage::Feature;
use crate::sweep::{PADDING, Part, add_parts};
use crate::{Result, SvmError};

/// Rows of a panel.
const HEIGHT: usize = 128;
/// Columns of a panel.
const WIDTH: usize = 1024;
/// Numbers from one row of a panel to the next.
const STRIDE: usize = WIDTH + PADDING;
/// Bands of [`HEIGHT`] rows that one task adds up. Fixed, so that sums are taken in one order whatever the number of threads.
const SUM_BANDS: usize = 32;

/// All features as f32, in panels of [`HEIGHT`] rows and [`WIDTH`] columns, each in one piece.
///
/// A panel fits into the second cache, and is read there for each run of combinations; from memory it comes as one stream. Rows where
/// they lie are many kilobytes apart, and a pass over a few columns of each waits for memory. The copy costs about two passes, and 4·n_rows·n_columns bytes.
pub(crate) struct Panels {
    n_rows: usize,
    n_columns: usize,
    /// [`HEIGHT`] rows each; one panel after the other from left to right.
    bands: Vec<Vec<f32>>,
}

impl Panels {
    /// Copies the features.
    ///
    /// # Errors
    /// [`SvmError::Memory`].
    pub(crate) fn new<T: Feature>(features: ArrayView2<'_, T>) -> Result<Self> {
        let (n_rows, n_columns) = features.dim();
        let n_panels = n_columns.div_ceil(WIDTH);
        let band = |top: usize| {
            let rows = features.slice(s![top..(top + HEIGHT).min(n_rows), ..]);
            let size = n_panels * rows.nrows() * STRIDE;
            let mut band = Vec::new();
            let n_bytes = n_rows.saturating_mul(n_columns).saturating_mul(size_of::<f32>());
            band.try_reserve_exact(size).map_err(|_| SvmError::Memory { n_bytes })?;
            band.resize(size, 0.0);
            for (panel_idx, panel) in band.chunks_exact_mut(rows.nrows() * STRIDE).enumerate() {
                let (left, width) = columns(panel_idx, n_columns);
                let part = rows.slice(s![.., left..left + width]);
                for (copy, row) in panel.chunks_exact_mut(STRIDE).zip(part.outer_iter()) {
                    kernels::widen(row, &mut copy[..width]);
                }
            }
            Ok(band)
        };
        let tops: Vec<usize> = (0..n_rows).step_by(HEIGHT).collect();
        let bands = tops.into_par_iter().map(band).collect::<Result<_>>()?;
        Ok(Self { n_rows, n_columns, bands })
    }

    fn panel<'a>(&self, band: &'a [f32], panel_idx: usize) -> Panel<'a> {
        let (_, width) = columns(panel_idx, self.n_columns);
        let size = band.len() / self.n_columns.div_ceil(WIDTH);
        let rows = &band[panel_idx * size..][..size];
        Panel { rows, n_columns: STRIDE, start: 0, width }
    }

    /// As [`sweep::values`](crate::sweep::values).
    pub(crate) fn values(&self, weights: &[&[f64]]) -> Vec<f64> {
        let (n_columns, n_out) = (self.n_columns, weights.len());
        let narrow = Weights::new(weights, n_columns);
        let bias = weights.iter().map(|weights| f64::from(weights[n_columns] as f32));
        let mut values: Vec<f64> = bias.cycle().take(self.n_rows * n_out).collect();
        values.par_chunks_mut(HEIGHT * n_out.max(1)).zip(&self.bands).for_each(|(values, band)| {
            for panel_idx in 0..n_columns.div_ceil(WIDTH) {
                let (start, _) = columns(panel_idx, n_columns);
                kernels::add_dots(self.panel(band, panel_idx), &narrow, start, values);
            }
        });
        values
    }

    /// As [`sweep::combinations`](crate::sweep::combinations).
    pub(crate) fn combinations(&self, factors: &[f64], groups: &[usize]) -> Vec<Vec<f64>> {
        let n_out: usize = groups.iter().sum();
        let narrow: Vec<f32> = factors.iter().map(|&factor| factor as f32).collect();
        let tasks: Vec<(usize, usize)> = (0..self.n_columns.div_ceil(WIDTH))
            .flat_map(|panel_idx| (0..self.bands.len()).step_by(SUM_BANDS).map(move |band| (band, panel_idx)))
            .collect();
        let add_up = |&(first, panel_idx): &(usize, usize)| {
            let (left, width) = columns(panel_idx, self.n_columns);
            let mut sums = vec![0.0; n_out * width];
            let factors = narrow[first * HEIGHT * n_out..].chunks(HEIGHT * n_out);
            for (band, factors) in self.bands[first..].iter().zip(factors).take(SUM_BANDS) {
                kernels::add_combination(self.panel(band, panel_idx), factors, groups, &mut sums);
            }
            Part { left, sums }
        };
        let parts: Vec<Part> = tasks.par_iter().map(add_up).collect();
        add_parts(&parts, factors, n_out, self.n_columns)
    }
}

/// First column and width of a panel.
fn columns(panel_idx: usize, n_columns: usize) -> (usize, usize) {
    (panel_idx * WIDTH, WIDTH.min(n_columns - panel_idx * WIDTH))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, aview1};

    /// The same passes by ndarray in f64, some classes' factors being zero, on more rows than one task takes.
    #[test]
    fn passes_are_products() {
        let features =
            Array2::from_shape_fn((4203, 1507), |(i, j)| ((i * 29 + j * 11) % 31) as f32 / 16.0 - 1.0);
        let mut wide = Array2::ones((4203, 1508));
        wide.slice_mut(s![.., ..1507]).assign(&features.mapv(f64::from));
        let panels = Panels::new(features.view()).unwrap();
        let weights: Vec<Vec<f64>> =
            (0..9).map(|k| (0..1508).map(|j| ((j * (k + 3)) % 13) as f64 / 8.0 - 0.75).collect()).collect();
        let mut values = panels.values(&weights.iter().map(Vec::as_slice).collect::<Vec<_>>());
        for (k, weights) in weights.iter().enumerate() {
            let expected = wide.dot(&aview1(weights));
            let own = values.iter().skip(k).step_by(9);
            assert!(own.zip(&expected).all(|(a, b)| (a - b).abs() < 1e-3));
        }
        values.iter_mut().for_each(|value| *value = value.max(0.0));
        values[..9 * 700].fill(0.0);
        for groups in [vec![9], vec![4, 4, 1], vec![1, 7, 1]] {
            let combined = panels.combinations(&values, &groups);
            for (k, combined) in combined.iter().enumerate() {
                let own: Vec<f64> = values.iter().skip(k).step_by(9).copied().collect();
                let expected = wide.t().dot(&aview1(&own));
                let scale = expected.iter().fold(0.0_f64, |max, value| max.max(value.abs()));
                assert!(combined.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6 * scale));
            }
        }
    }
}
