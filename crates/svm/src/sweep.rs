//! Passes over the features: every one serves all weight vectors at once.

use ndarray::{ArrayView2, s};
use rayon::prelude::*;

use crate::kernels::{self, Panel, Weights};
use crate::storage::Feature;

/// Rows multiplied at a time, by one task.
const BLOCK: usize = 64;
/// Columns of which one task adds up rows.
const SUM_COLUMNS: usize = 2048;
/// Rows that one task adds up. Fixed, so that sums are taken in one order whatever the number of threads.
const SUM_ROWS: usize = 4096;
/// Numbers left free after each row of a copied panel: without them every row would compete for the same cache lines.
pub(crate) const PADDING: usize = 16;

/// uᵢ = xᵢ·w + b for each weight vector (n_columns + 1 numbers, bias last) and each row: (n_rows, n_out), row-major.
///
/// Weights count as rounded to f32. Products are added in f32 over a short stretch, and stretches in f64.
pub(crate) fn values<T: Feature>(features: ArrayView2<'_, T>, weights: &[&[f64]]) -> Vec<f64> {
    let (n_rows, n_columns) = features.dim();
    let n_out = weights.len();
    let narrow = Weights::new(weights, n_columns);
    let bias: Vec<f64> = weights.iter().map(|weights| f64::from(weights[n_columns] as f32)).collect();
    let mut values: Vec<f64> = bias.iter().copied().cycle().take(n_rows * n_out).collect();
    values.par_chunks_mut(BLOCK * n_out.max(1)).enumerate().for_each(|(block, values)| {
        let start = block * BLOCK;
        let rows = features.slice(s![start..(start + BLOCK).min(n_rows), ..]);
        match rows.to_slice().and_then(T::as_f32s) {
            Some(rows) => {
                kernels::add_dots(Panel { rows, n_columns, start: 0, width: n_columns }, &narrow, 0, values);
            }
            None => {
                let mut copy = Copy::default();
                for start in (0..n_columns).step_by(SUM_COLUMNS) {
                    let width = SUM_COLUMNS.min(n_columns - start);
                    let panel = copy.panel(rows.slice(s![.., start..start + width]));
                    kernels::add_dots(panel, &narrow, start, values);
                }
            }
        }
    });
    values
}

/// Room for some rows and columns as f32, close together.
#[derive(Default)]
struct Copy(Vec<f32>);

impl Copy {
    fn panel<T: Feature>(&mut self, rows: ArrayView2<'_, T>) -> Panel<'_> {
        let (height, width) = rows.dim();
        let n_columns = width + PADDING;
        self.0.resize(height * n_columns, 0.0);
        for (copy, row) in self.0.chunks_exact_mut(n_columns).zip(rows.outer_iter()) {
            kernels::widen(row, &mut copy[..width]);
        }
        Panel { rows: &self.0, n_columns, start: 0, width }
    }
}

/// Σᵢ rᵢ (xᵢ, 1) for each column r of `factors` (n_rows, n_out; row-major): n_out vectors of n_columns + 1 numbers, the
/// bias's last.
///
/// `groups` divides the n_out columns into runs of so many; rows all of whose factors in a run are zero are passed over there.
/// Products, of factors rounded to f32, are added in f32 over [`BLOCK`] rows, and blocks in f64.
pub(crate) fn combinations<T: Feature>(
    features: ArrayView2<'_, T>,
    factors: &[f64],
    groups: &[usize],
) -> Vec<Vec<f64>> {
    let (n_rows, n_columns) = features.dim();
    let n_out: usize = groups.iter().sum();
    let narrow: Vec<f32> = factors.iter().map(|&factor| factor as f32).collect();
    let tasks: Vec<(usize, usize)> = (0..n_columns)
        .step_by(SUM_COLUMNS)
        .flat_map(|left| (0..n_rows).step_by(SUM_ROWS).map(move |top| (top, left)))
        .collect();
    let parts: Vec<Part> = tasks
        .par_iter()
        .map(|&(top, left)| {
            let (bottom, right) = ((top + SUM_ROWS).min(n_rows), (left + SUM_COLUMNS).min(n_columns));
            let rows = features.slice(s![top..bottom, ..]);
            Part { left, sums: add_up(rows, (left, right), &narrow[top * n_out..bottom * n_out], groups) }
        })
        .collect();
    add_parts(&parts, factors, n_out, n_columns)
}

/// What one task has added up.
pub(crate) struct Part {
    /// Its first column.
    pub(crate) left: usize,
    /// The combinations of its columns: (n_out, n_columns), row-major.
    pub(crate) sums: Vec<f64>,
}

/// All combinations from the parts, in their order, and from the factors, which add up to the bias's.
pub(crate) fn add_parts(parts: &[Part], factors: &[f64], n_out: usize, n_columns: usize) -> Vec<Vec<f64>> {
    let mut sums = vec![vec![0.0; n_columns + 1]; n_out];
    for Part { left, sums: part } in parts {
        for (sums, part) in sums.iter_mut().zip(part.chunks_exact(part.len() / n_out)) {
            sums[*left..left + part.len()].iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
        }
    }
    for factors in factors.chunks_exact(n_out.max(1)) {
        sums.iter_mut().zip(factors).for_each(|(sums, factor)| sums[n_columns] += factor);
    }
    sums
}

/// The combinations of one task's rows, columns `left..right` of them: (n_out, right − left), row-major.
fn add_up<T: Feature>(
    rows: ArrayView2<'_, T>,
    (left, right): (usize, usize),
    factors: &[f32],
    groups: &[usize],
) -> Vec<f64> {
    let n_out: usize = groups.iter().sum();
    let mut sums = vec![0.0; n_out * (right - left)];
    let mut copy = Copy::default();
    for (start, factors) in (0..rows.nrows()).step_by(BLOCK).zip(factors.chunks(BLOCK * n_out)) {
        let block = rows.slice(s![start..(start + BLOCK).min(rows.nrows()), ..]);
        let panel = match block.to_slice().and_then(T::as_f32s) {
            Some(rows) => Panel { rows, n_columns: block.ncols(), start: left, width: right - left },
            None => copy.panel(block.slice(s![.., left..right])),
        };
        kernels::add_combination(panel, factors, groups, &mut sums);
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::bf16;
    use ndarray::{Array1, Array2};

    /// The same passes by ndarray in f64.
    #[test]
    fn passes_are_products() {
        let features =
            Array2::from_shape_fn((333, 2507), |(i, j)| ((i * 29 + j * 11) % 31) as f32 / 16.0 - 1.0);
        let mut wide = Array2::ones((333, 2508));
        wide.slice_mut(s![.., ..2507]).assign(&features.mapv(f64::from));
        for n_out in [1, 5, 7, 13] {
            let weights: Vec<Vec<f64>> = (0..n_out)
                .map(|k| (0..2508).map(|j| ((j * (k + 3)) % 13) as f64 / 8.0 - 0.75).collect())
                .collect();
            let views: Vec<&[f64]> = weights.iter().map(Vec::as_slice).collect();
            let found = values(features.view(), &views);
            let combined = combinations(features.view(), &found, &[n_out]);
            let transposed = features.t().as_standard_layout().into_owned();
            let copied = values(transposed.t(), &views);
            assert!(found.iter().zip(&copied).all(|(a, b)| (a - b).abs() < 1e-3));
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
    #[test]
    fn bf16_is_multiplied_as_the_f32_it_stands_for() {
        let features =
            Array2::from_shape_fn((70, 2100), |(i, j)| bf16::from_f32((i * 29 + j * 11) as f32 / 7.0));
        let wide = features.mapv(bf16::to_f32);
        let weights: Vec<f64> = (0..2101).map(|j| f64::from(j % 17) / 3.0).collect();
        let found = values(features.view(), &[&weights]);
        let expected = values(wide.view(), &[&weights]);
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6 * b.abs()));
        assert_eq!(combinations(features.view(), &found, &[1]), combinations(wide.view(), &found, &[1]));
    }

    /// More rows and columns than one task takes.
    #[test]
    fn the_bits_do_not_depend_on_the_threads() {
        let features = Array2::from_shape_fn((4200, 2100), |(i, j)| ((i * 29 + j * 11) % 31) as f32 / 7.0);
        let weights: Vec<f64> = (0..2101).map(|j| (j % 17) as f64 / 3.0).collect();
        let on = |n_threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
            pool.install(|| {
                let found = values(features.view(), &[&weights, &weights[..]]);
                let combined = combinations(features.view(), &found, &[2]);
                (found, combined)
            })
        };
        assert_eq!(on(1), on(3));
    }
}
