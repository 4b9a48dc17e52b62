//! The two products of a pass, for a handful of weight vectors, in the widest vectors that the processor has.
//!
//! General matrix products first copy their operands into an order of their own, which for ten columns costs as much as
//! the multiplication. These read the features where they lie, and keep 20 sums in registers.

use std::ops::Range;

use ndarray::ArrayView1;
use pulp::{Arch, Simd, WithSimd};

use crate::storage::Feature;

/// Rows of features whose inner products are summed at once.
const DOT_ROWS: usize = 4;
/// Weight vectors whose inner products are summed at once.
const DOT_VECTORS: usize = 5;

/// A stretch of columns of consecutive rows of features.
#[derive(Clone, Copy)]
pub(crate) struct Panel<'a> {
    /// Whole rows, one after the other.
    pub(crate) rows: &'a [f32],
    /// Numbers in a row.
    pub(crate) n_columns: usize,
    /// First column of the stretch.
    pub(crate) start: usize,
    /// Columns of the stretch.
    pub(crate) width: usize,
}

impl<'a> Panel<'a> {
    fn height(self) -> usize {
        self.rows.len() / self.n_columns
    }

    #[inline(always)]
    fn row(self, row: usize) -> &'a [f32] {
        &self.rows[row * self.n_columns + self.start..][..self.width]
    }
}

/// Copies a row of features as f32.
pub(crate) fn widen<T: Feature>(from: ArrayView1<'_, T>, to: &mut [f32]) {
    match from.as_slice() {
        Some(from) => Arch::new().dispatch(|| {
            to.iter_mut().zip(from).for_each(|(to, value)| *to = value.wide());
        }),
        None => to.iter_mut().zip(from).for_each(|(to, value)| *to = value.wide()),
    }
}

/// Adds the inner products of each row of a panel with each row of `weights`, a panel of the same columns, to `sums`.
///
/// `sums` (height, n_out) is row-major. Products are added in f32 within the panel: in each
/// lane of a vector, then over the lanes.
pub(crate) fn add_dots(panel: Panel<'_>, weights: Panel<'_>, sums: &mut [f64]) {
    Arch::new().dispatch(Dots { panel, weights, sums });
}

struct Dots<'a> {
    panel: Panel<'a>,
    weights: Panel<'a>,
    sums: &'a mut [f64],
}

impl WithSimd for Dots<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let height = self.panel.height();
        let n_out = self.sums.len() / height;
        for top in (0..height).step_by(DOT_ROWS) {
            // A tile at the edge repeats the last row or vector, and what it gives is left out.
            let mut rows: [&[f32]; DOT_ROWS] = [&[]; DOT_ROWS];
            for (offset, row) in rows.iter_mut().enumerate() {
                *row = self.panel.row((top + offset).min(height - 1));
            }
            for left in (0..n_out).step_by(DOT_VECTORS) {
                let mut vectors: [&[f32]; DOT_VECTORS] = [&[]; DOT_VECTORS];
                for (offset, vector) in vectors.iter_mut().enumerate() {
                    *vector = self.weights.row((left + offset).min(n_out - 1));
                }
                let tile = dot_tile(simd, rows, vectors);
                for (row, tile) in (top..height).zip(&tile) {
                    let sums = &mut self.sums[row * n_out..][left..n_out];
                    sums.iter_mut().zip(tile).for_each(|(sum, dot)| *sum += f64::from(*dot));
                }
            }
        }
    }
}

#[inline(always)]
fn dot_tile<S: Simd>(
    simd: S,
    rows: [&[f32]; DOT_ROWS],
    vectors: [&[f32]; DOT_VECTORS],
) -> [[f32; DOT_VECTORS]; DOT_ROWS] {
    let n_whole = rows[0].len() / S::F32_LANES;
    let tail = n_whole * S::F32_LANES;
    let mut xs: [&[S::f32s]; DOT_ROWS] = [&[]; DOT_ROWS];
    for (x, row) in xs.iter_mut().zip(rows) {
        *x = &S::as_simd_f32s(row).0[..n_whole];
    }
    let mut ws: [&[S::f32s]; DOT_VECTORS] = [&[]; DOT_VECTORS];
    for (w, vector) in ws.iter_mut().zip(vectors) {
        *w = &S::as_simd_f32s(vector).0[..n_whole];
    }
    let mut sums = [[simd.splat_f32s(0.0); DOT_VECTORS]; DOT_ROWS];
    for idx in 0..n_whole {
        let mut x = [simd.splat_f32s(0.0); DOT_ROWS];
        for (x, row) in x.iter_mut().zip(xs) {
            *x = row[idx];
        }
        for vector in 0..DOT_VECTORS {
            let w = ws[vector][idx];
            for row in 0..DOT_ROWS {
                sums[row][vector] = simd.mul_add_e_f32s(x[row], w, sums[row][vector]);
            }
        }
    }
    let mut out = [[0.0; DOT_VECTORS]; DOT_ROWS];
    for row in 0..DOT_ROWS {
        for vector in 0..DOT_VECTORS {
            out[row][vector] = simd.reduce_sum_f32s(sums[row][vector]);
            for (x, w) in rows[row][tail..].iter().zip(&vectors[vector][tail..]) {
                out[row][vector] += x * w;
            }
        }
    }
    out
}

/// Adds Σ r·x over the rows x of a panel to the same columns of `sums`, r being each row's factors.
///
/// `factors` (height, n_out) and `sums` (n_out, n_columns) are row-major. `groups` divides the n_out combinations, in their
/// order, into runs of so many: rows that have no factor in a run are passed over there. Products are added in f32 within
/// the panel.
pub(crate) fn add_combination(panel: Panel<'_>, factors: &[f32], groups: &[usize], sums: &mut [f64]) {
    let arch = Arch::new();
    let mut start = 0;
    for group in groups {
        let (mut left, end) = (start, start + group);
        while left < end {
            let sums = &mut sums[left * panel.n_columns..];
            if end - left > 5 {
                arch.dispatch(Combination::<10, 2>::new(panel, factors, left..end.min(left + 10), sums));
                left += 10;
            } else {
                arch.dispatch(Combination::<5, 4>::new(panel, factors, left..end, sums));
                left += 5;
            }
        }
        start = end;
    }
}

/// Up to `K` combinations, `N` vectors of columns at a time.
struct Combination<'a, const K: usize, const N: usize> {
    panel: Panel<'a>,
    /// The rows that have factors, and these; zero where there are fewer than `K`.
    rows: Vec<(&'a [f32], [f32; K])>,
    n_out: usize,
    sums: &'a mut [f64],
}

impl<'a, const K: usize, const N: usize> Combination<'a, K, N> {
    fn new(panel: Panel<'a>, factors: &[f32], which: Range<usize>, sums: &'a mut [f64]) -> Self {
        let n_all = factors.len() / panel.height();
        let mut rows = Vec::with_capacity(panel.height());
        for (row, factors) in panel.rows.chunks_exact(panel.n_columns).zip(factors.chunks_exact(n_all)) {
            let own = &factors[which.clone()];
            if own.iter().any(|factor| *factor != 0.0) {
                let mut padded = [0.0; K];
                padded[..own.len()].copy_from_slice(own);
                rows.push((row, padded));
            }
        }
        Self { panel, rows, n_out: which.len(), sums }
    }
}

impl<const K: usize, const N: usize> WithSimd for Combination<'_, K, N> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Panel { n_columns, start, width, .. } = self.panel;
        let end = start + width;
        let tile_width = N * S::F32_LANES;
        let mut left = start;
        while left + tile_width <= end {
            let mut tile = [[simd.splat_f32s(0.0); N]; K];
            for (row, factors) in &self.rows {
                let xs = &S::as_simd_f32s(&row[left..left + tile_width]).0[..N];
                for k in 0..K {
                    let factor = simd.splat_f32s(factors[k]);
                    for n in 0..N {
                        tile[k][n] = simd.mul_add_e_f32s(factor, xs[n], tile[k][n]);
                    }
                }
            }
            for (k, tile) in tile[..self.n_out].iter().enumerate() {
                let sums = &mut self.sums[k * n_columns + left..][..tile_width];
                let tile: &[f32] = bytemuck::cast_slice(tile);
                sums.iter_mut().zip(tile).for_each(|(sum, value)| *sum += f64::from(*value));
            }
            left += tile_width;
        }
        for column in left..end {
            let mut tile = [0.0_f32; K];
            for (row, factors) in &self.rows {
                tile.iter_mut().zip(factors).for_each(|(sum, factor)| *sum += factor * row[column]);
            }
            for (k, value) in tile[..self.n_out].iter().enumerate() {
                self.sums[k * n_columns + column] += f64::from(*value);
            }
        }
    }
}
