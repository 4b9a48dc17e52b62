//! Passes over the features: every one serves all weight vectors at once.

use ndarray::{ArrayView2, s};
use rayon::prelude::*;

use crate::kernels::{self, Panel};

/// Rows multiplied at a time, by one task.
const BLOCK: usize = 64;
/// Columns over which inner products are summed in f32 before they go on in f64.
const DOT_COLUMNS: usize = 4096;
/// Columns of which one task adds up rows.
const SUM_COLUMNS: usize = 1024;
/// Rows that one task adds up. Fixed, so that sums are taken in one order whatever the number of threads.
const SUM_ROWS: usize = 4096;
/// Numbers left free after each row of a copied panel: without them every row would compete for the same cache lines.
const PADDING: usize = 16;

/// uᵢ = xᵢ·w + b for each weight vector (n_columns + 1 numbers, bias last) and each row: (n_rows, n_out), row-major.
///
/// Weights count as rounded to f32. Products are added in f32 over a short stretch, and stretches in f64.
pub(crate) fn values(features: ArrayView2<'_, f32>, weights: &[&[f64]]) -> Vec<f64> {
    let (n_rows, n_columns) = features.dim();
    let n_out = weights.len();
    let narrow: Vec<f32> =
        weights.iter().flat_map(|weights| weights[..n_columns].iter().map(|&weight| weight as f32)).collect();
    let bias: Vec<f64> = weights.iter().map(|weights| f64::from(weights[n_columns] as f32)).collect();
    let mut values: Vec<f64> = bias.iter().copied().cycle().take(n_rows * n_out).collect();
    values.par_chunks_mut(BLOCK * n_out.max(1)).enumerate().for_each(|(block, values)| {
        let start = block * BLOCK;
        let rows = features.slice(s![start..(start + BLOCK).min(n_rows), ..]);
        let contiguous = rows.as_standard_layout();
        let Some(rows) = contiguous.as_slice() else { return };
        for start in (0..n_columns).step_by(DOT_COLUMNS) {
            let width = DOT_COLUMNS.min(n_columns - start);
            kernels::add_dots(Panel { rows, n_columns, start, width }, &narrow, values);
        }
    });
    values
}

/// Σᵢ rᵢ (xᵢ, 1) for each column r of `factors` (n_rows, n_out; row-major): n_out vectors of n_columns + 1 numbers, the
/// bias's last.
///
/// Products, of factors rounded to f32, are added in f32 over [`BLOCK`] rows, and blocks in f64.
pub(crate) fn combinations(features: ArrayView2<'_, f32>, factors: &[f64], n_out: usize) -> Vec<Vec<f64>> {
    let (n_rows, n_columns) = features.dim();
    let narrow: Vec<f32> = factors.iter().map(|&factor| factor as f32).collect();
    let tasks: Vec<(usize, usize)> = (0..n_columns)
        .step_by(SUM_COLUMNS)
        .flat_map(|left| (0..n_rows).step_by(SUM_ROWS).map(move |top| (top, left)))
        .collect();
    let parts: Vec<Vec<f64>> = tasks
        .par_iter()
        .map(|&(top, left)| {
            let (bottom, right) = ((top + SUM_ROWS).min(n_rows), (left + SUM_COLUMNS).min(n_columns));
            let part = features.slice(s![top..bottom, left..right]);
            add_up(part, &narrow[top * n_out..bottom * n_out], n_out)
        })
        .collect();
    let mut sums = vec![vec![0.0; n_columns + 1]; n_out];
    for (&(_, left), part) in tasks.iter().zip(&parts) {
        for (sums, part) in sums.iter_mut().zip(part.chunks_exact(part.len() / n_out)) {
            sums[left..left + part.len()].iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
        }
    }
    for factors in factors.chunks_exact(n_out.max(1)) {
        sums.iter_mut().zip(factors).for_each(|(sums, factor)| sums[n_columns] += factor);
    }
    sums
}

/// The combinations of one task's rows and columns: (n_out, n_columns), row-major.
fn add_up(part: ArrayView2<'_, f32>, factors: &[f32], n_out: usize) -> Vec<f64> {
    let width = part.ncols();
    let n_columns = width + PADDING;
    let mut sums = vec![0.0; n_out * n_columns];
    let mut copy = vec![0.0; BLOCK * n_columns];
    for (start, factors) in (0..part.nrows()).step_by(BLOCK).zip(factors.chunks(BLOCK * n_out)) {
        let rows = part.slice(s![start..(start + BLOCK).min(part.nrows()), ..]);
        let height = rows.nrows();
        for (copy, row) in copy.chunks_exact_mut(n_columns).zip(rows.outer_iter()) {
            match row.as_slice() {
                Some(row) => copy[..width].copy_from_slice(row),
                None => copy.iter_mut().zip(row).for_each(|(copy, value)| *copy = *value),
            }
        }
        let panel = Panel { rows: &copy[..height * n_columns], n_columns, start: 0, width };
        kernels::add_combination(panel, factors, &mut sums);
    }
    sums.chunks_exact(n_columns).flat_map(|sums| &sums[..width]).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, Array2};

    /// The same passes by ndarray in f64.
    #[test]
    fn passes_are_products() {
        let features =
            Array2::from_shape_fn((333, 1507), |(i, j)| ((i * 29 + j * 11) % 31) as f32 / 16.0 - 1.0);
        let mut wide = Array2::ones((333, 1508));
        wide.slice_mut(s![.., ..1507]).assign(&features.mapv(f64::from));
        for n_out in [1, 5, 7, 13] {
            let weights: Vec<Vec<f64>> = (0..n_out)
                .map(|k| (0..1508).map(|j| ((j * (k + 3)) % 13) as f64 / 8.0 - 0.75).collect())
                .collect();
            let views: Vec<&[f64]> = weights.iter().map(Vec::as_slice).collect();
            let found = values(features.view(), &views);
            let combined = combinations(features.view(), &found, n_out);
            let transposed = features.t().as_standard_layout().into_owned();
            assert_eq!(found, values(transposed.t(), &views));
            for k in 0..n_out {
                let expected = wide.dot(&ndarray::aview1(&weights[k]));
                let own: Array1<f64> = found.iter().skip(k).step_by(n_out).copied().collect();
                assert!(own.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-3));
                let expected = wide.t().dot(&own);
                let scale = expected.iter().fold(0.0_f64, |max, value| max.max(value.abs()));
                assert!(combined[k].iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6 * scale));
            }
        }
    }
    /// More rows and columns than one task takes.
    #[test]
    fn the_bits_do_not_depend_on_the_threads() {
        let features = Array2::from_shape_fn((4200, 1100), |(i, j)| ((i * 29 + j * 11) % 31) as f32 / 7.0);
        let weights: Vec<f64> = (0..1101).map(|j| (j % 17) as f64 / 3.0).collect();
        let on = |n_threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
            pool.install(|| {
                let found = values(features.view(), &[&weights, &weights[..]]);
                let combined = combinations(features.view(), &found, 2);
                (found, combined)
            })
        };
        assert_eq!(on(1), on(3));
    }
}
