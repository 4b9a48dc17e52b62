//! The two products of a pass, for a handful of weight vectors, in the widest vectors that the processor has.
//!
//! General matrix products first copy their operands into an order of their own, which for ten columns costs as much as
//! the multiplication. These read the features where they lie, row by row.

use ndarray::ArrayView1;
use pulp::{Simd, WithSimd};

use crate::storage::Feature;

/// Columns of a few rows that all weight vectors meet, or all combinations of a run, before the next columns: they stay in the nearest cache,
/// while memory is read row by row.
const COLUMNS: usize = 512;
/// Weight vectors, or combinations, whose sums or factors are held in registers at once.
const VECTORS: usize = 5;
/// Combinations whose rows without a factor are passed over together.
const RUN: usize = 2 * VECTORS;

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
        Some(from) => dcgan_vectors::arch().dispatch(|| {
            to.iter_mut().zip(from).for_each(|(to, value)| *to = value.wide());
        }),
        None => to.iter_mut().zip(from).for_each(|(to, value)| *to = value.wide()),
    }
}

/// Adds the inner products of each row of a panel with each row of `weights`, a panel of the same columns, to `sums`.
///
/// `sums` (height, n_out) is row-major. Products are added in f32 over [`COLUMNS`]: in each lane of a vector, then over the lanes.
pub(crate) fn add_dots(panel: Panel<'_>, weights: Panel<'_>, sums: &mut [f64]) {
    dcgan_vectors::arch().dispatch(Dots { panel, weights, sums });
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
        // Twenty sums where there are registers for them.
        if S::REGISTER_COUNT >= 32 { self.add::<S, 4>(simd) } else { self.add::<S, 2>(simd) }
    }
}

impl Dots<'_> {
    /// `R` rows at a time.
    #[inline(always)]
    fn add<S: Simd, const R: usize>(self, simd: S) {
        let height = self.panel.height();
        let n_out = self.sums.len() / height;
        for top in (0..height).step_by(R) {
            for start in (0..self.panel.width).step_by(COLUMNS) {
                let width = COLUMNS.min(self.panel.width - start);
                // A tile at the edge repeats the last row or vector, and what it gives is left out.
                let mut rows: [&[f32]; R] = [&[]; R];
                for (offset, row) in rows.iter_mut().enumerate() {
                    *row = &self.panel.row((top + offset).min(height - 1))[start..][..width];
                }
                for left in (0..n_out).step_by(VECTORS) {
                    let mut vectors: [&[f32]; VECTORS] = [&[]; VECTORS];
                    for (offset, vector) in vectors.iter_mut().enumerate() {
                        *vector = &self.weights.row((left + offset).min(n_out - 1))[start..][..width];
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
}

#[inline(always)]
fn dot_tile<S: Simd, const R: usize>(
    simd: S,
    rows: [&[f32]; R],
    vectors: [&[f32]; VECTORS],
) -> [[f32; VECTORS]; R] {
    let n_whole = rows[0].len() / S::F32_LANES;
    let tail = n_whole * S::F32_LANES;
    let xs = rows.map(|row| &S::as_simd_f32s(row).0[..n_whole]);
    let ws = vectors.map(|vector| &S::as_simd_f32s(vector).0[..n_whole]);
    let mut sums = [[simd.splat_f32s(0.0); VECTORS]; R];
    for idx in 0..n_whole {
        let mut x = [simd.splat_f32s(0.0); R];
        for row in 0..R {
            x[row] = xs[row][idx];
        }
        for vector in 0..VECTORS {
            let w = ws[vector][idx];
            for row in 0..R {
                sums[row][vector] = simd.mul_add_e_f32s(x[row], w, sums[row][vector]);
            }
        }
    }
    let mut out = [[0.0; VECTORS]; R];
    for row in 0..R {
        for vector in 0..VECTORS {
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
/// `factors` (height, n_out) is row-major, and so is `sums` (n_out, as many as the panel is wide). `groups` divides the n_out
/// combinations, in their order, into runs of so many: rows that have no factor in a run are passed over there. Products are added in
/// f32 within the panel.
pub(crate) fn add_combination(panel: Panel<'_>, factors: &[f32], groups: &[usize], sums: &mut [f64]) {
    let n_out = factors.len() / panel.height();
    let mut start = 0;
    for group in groups {
        for left in (start..start + group).step_by(RUN) {
            let run = left..(start + group).min(left + RUN);
            let mut rows = Vec::with_capacity(panel.height());
            for (row, factors) in factors.chunks_exact(n_out).enumerate() {
                let own = &factors[run.clone()];
                if own.iter().any(|factor| *factor != 0.0) {
                    let mut padded = [0.0; RUN];
                    padded[..own.len()].copy_from_slice(own);
                    rows.push((panel.row(row), padded));
                }
            }
            let sums = &mut sums[run.start * panel.width..run.end * panel.width];
            dcgan_vectors::arch().dispatch(Combination { width: panel.width, rows, sums });
        }
        start += group;
    }
}

/// Up to [`RUN`] combinations.
struct Combination<'a> {
    width: usize,
    /// The rows that have factors, and these; zero beyond the combinations.
    rows: Vec<(&'a [f32], [f32; RUN])>,
    sums: &'a mut [f64],
}

impl WithSimd for Combination<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // Twenty factors where there are registers for them.
        if S::REGISTER_COUNT >= 32 { self.add::<S, 4>(simd) } else { self.add::<S, 2>(simd) }
    }
}

impl Combination<'_> {
    #[inline(always)]
    fn add<S: Simd, const R: usize>(mut self, simd: S) {
        let n_out = self.sums.len() / self.width;
        // Rows that are left over go with rows of zeros.
        while !self.rows.len().is_multiple_of(R) {
            self.rows.push((self.rows[0].0, [0.0; RUN]));
        }
        let mut all = vec![0.0; n_out.next_multiple_of(VECTORS) * self.width];
        for rows in self.rows.as_chunks::<R>().0 {
            for start in (0..self.width).step_by(COLUMNS) {
                let width = COLUMNS.min(self.width - start);
                let tail = width - width % S::F32_LANES;
                let xs = rows.each_ref().map(|(row, _)| &row[start..start + width]);
                for (run, all) in all.chunks_exact_mut(VECTORS * self.width).enumerate() {
                    let mut sums: [&mut [f32]; VECTORS] = Default::default();
                    for (sums, all) in sums.iter_mut().zip(all.chunks_exact_mut(self.width)) {
                        *sums = &mut all[start..start + width];
                    }
                    let factors = rows.each_ref().map(|(_, factors)| &factors[run * VECTORS..][..VECTORS]);
                    add_rows::<S, R>(simd, xs, factors, &mut sums);
                    for (k, sum) in sums.iter_mut().enumerate() {
                        for (x, factors) in xs.iter().zip(&factors) {
                            let rest = sum[tail..].iter_mut().zip(&x[tail..]);
                            rest.for_each(|(sum, x)| *sum += factors[k] * x);
                        }
                    }
                }
            }
        }
        self.sums.iter_mut().zip(all).for_each(|(sum, value)| *sum += f64::from(value));
    }
}

/// Adds rows times their factors to [`VECTORS`] combinations, the whole vectors of them.
#[inline(always)]
fn add_rows<S: Simd, const R: usize>(
    simd: S,
    rows: [&[f32]; R],
    factors: [&[f32]; R],
    sums: &mut [&mut [f32]; VECTORS],
) {
    let n_whole = rows[0].len() / S::F32_LANES;
    let xs = rows.map(|row| &S::as_simd_f32s(row).0[..n_whole]);
    let sums = sums.each_mut().map(|sums| &mut S::as_mut_simd_f32s(sums).0[..n_whole]);
    let mut splat = [[simd.splat_f32s(0.0); VECTORS]; R];
    for row in 0..R {
        for k in 0..VECTORS {
            splat[row][k] = simd.splat_f32s(factors[row][k]);
        }
    }
    for idx in 0..n_whole {
        let mut x = [simd.splat_f32s(0.0); R];
        for row in 0..R {
            x[row] = xs[row][idx];
        }
        for k in 0..VECTORS {
            let mut sum = sums[k][idx];
            for row in 0..R {
                sum = simd.mul_add_e_f32s(splat[row][k], x[row], sum);
            }
            sums[k][idx] = sum;
        }
    }
}
