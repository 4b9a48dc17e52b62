//! The two products of a pass, for a handful of weight vectors, in the widest vectors that the processor has.
//!
//! General matrix products first copy their operands into an order of their own, which for ten columns costs as much as
//! the multiplication. These read the features where they lie, row by row.

use std::ops::Range;

use ndarray::ArrayView1;
use pulp::{Simd, WithSimd};

use crate::storage::Feature;

/// Columns of a few rows that all weight vectors meet, or all combinations of a run, before the next columns: they stay in the nearest cache,
/// while memory is read row by row.
const COLUMNS: usize = 1024;
/// Weight vectors, or combinations, whose sums or factors are held in registers at once.
const VECTORS: usize = 5;
/// Neighbouring columns of a vector that lie together: as many as the widest registers hold.
const CHUNK: usize = 16;
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

/// How several vectors of `n_columns` numbers lie for those who go through the columns of all of them: [`CHUNK`] columns of a vector, the same of the
/// next of [`VECTORS`], and so on.
///
/// One place is then gone through, not a row for each vector; rows of a matrix that are a multiple of 4 KiB apart would compete for the same
/// lines of the nearest cache.
#[derive(Clone, Copy)]
struct Interleaved {
    n_columns: usize,
    n_runs: usize,
}

impl Interleaved {
    fn new(n_columns: usize, n_vectors: usize) -> Self {
        Self { n_columns, n_runs: n_vectors.div_ceil(VECTORS) }
    }

    fn len(self) -> usize {
        self.n_columns.next_multiple_of(CHUNK) * self.n_runs * VECTORS
    }

    /// Where the columns from `start` on, a multiple of [`COLUMNS`], up to the next lie of a run of vectors.
    #[inline(always)]
    fn stretch(self, start: usize, run: usize) -> Range<usize> {
        let width = COLUMNS.min(self.n_columns - start).next_multiple_of(CHUNK);
        let first = (start * self.n_runs + run * width) * VECTORS;
        first..first + width * VECTORS
    }

    /// The columns of a vector in pieces of up to [`CHUNK`]: the first column and where it lies.
    #[inline(always)]
    fn pieces(self, vector: usize) -> impl Iterator<Item = (Range<usize>, usize)> {
        (0..self.n_columns).step_by(COLUMNS).flat_map(move |start| {
            let first = self.stretch(start, vector / VECTORS).start + vector % VECTORS * CHUNK;
            let end = self.n_columns.min(start + COLUMNS);
            (start..end).step_by(CHUNK).enumerate().map(move |(chunk, column)| {
                (column..end.min(column + CHUNK), first + chunk * VECTORS * CHUNK)
            })
        })
    }
}

/// Where a column of a stretch lies in it.
#[inline(always)]
fn within(vector: usize, column: usize) -> usize {
    (column / CHUNK * VECTORS + vector) * CHUNK + column % CHUNK
}

/// Weight vectors as [`add_dots`] reads them.
pub(crate) struct Weights {
    lie: Interleaved,
    n_out: usize,
    values: Vec<f32>,
}

impl Weights {
    /// `n_columns` numbers of each vector, rounded to f32.
    pub(crate) fn new(vectors: &[&[f64]], n_columns: usize) -> Self {
        let lie = Interleaved::new(n_columns, vectors.len());
        let mut values = vec![0.0; lie.len()];
        for (k, vector) in vectors.iter().enumerate() {
            for (columns, place) in lie.pieces(k) {
                let narrow = values[place..].iter_mut().zip(&vector[columns]);
                narrow.for_each(|(narrow, &weight)| *narrow = weight as f32);
            }
        }
        Self { lie, n_out: vectors.len(), values }
    }
}

/// Adds the inner products of each row of a panel with each vector to `sums`; `first`, a multiple of [`COLUMNS`], is the vectors' column that
/// the panel's first one meets. The panel is as wide as the vectors from there on, or a multiple of [`COLUMNS`] wide.
///
/// `sums` (height, n_out) is row-major. Products are added in f32 over [`COLUMNS`]: in each lane of a vector, then over the lanes.
pub(crate) fn add_dots(panel: Panel<'_>, weights: &Weights, first: usize, sums: &mut [f64]) {
    let left = weights.lie.n_columns - first;
    assert!(first.is_multiple_of(COLUMNS) && (panel.width == left || panel.width.is_multiple_of(COLUMNS)));
    dcgan_vectors::arch().dispatch(Dots { panel, weights, first, sums });
}

struct Dots<'a> {
    panel: Panel<'a>,
    weights: &'a Weights,
    first: usize,
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
        let (height, n_out, lie) = (self.panel.height(), self.weights.n_out, self.weights.lie);
        for top in (0..height).step_by(R) {
            // A tile at the edge repeats the last row, and what that gives is left out.
            let mut rows: [&[f32]; R] = [&[]; R];
            for (offset, row) in rows.iter_mut().enumerate() {
                *row = self.panel.row((top + offset).min(height - 1));
            }
            for start in (0..self.panel.width).step_by(COLUMNS) {
                let width = COLUMNS.min(self.panel.width - start);
                for run in 0..lie.n_runs {
                    let vectors = &self.weights.values[lie.stretch(self.first + start, run)];
                    let tile = dot_tile(simd, rows.map(|row| &row[start..start + width]), vectors);
                    let left = run * VECTORS;
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
fn dot_tile<S: Simd, const R: usize>(simd: S, rows: [&[f32]; R], vectors: &[f32]) -> [[f32; VECTORS]; R] {
    let tail = rows[0].len() - rows[0].len() % CHUNK;
    let xs = rows.map(|row| &S::as_simd_f32s(&row[..tail]).0[..tail / S::F32_LANES]);
    let per = CHUNK / S::F32_LANES;
    let ws = S::as_simd_f32s(&vectors[..tail * VECTORS]).0.chunks_exact(per * VECTORS);
    let mut sums = [[simd.splat_f32s(0.0); VECTORS]; R];
    for (chunk, ws) in ws.enumerate() {
        for idx in 0..per {
            let mut x = [simd.splat_f32s(0.0); R];
            for row in 0..R {
                x[row] = xs[row][chunk * per + idx];
            }
            for vector in 0..VECTORS {
                let w = ws[vector * per + idx];
                for row in 0..R {
                    sums[row][vector] = simd.mul_add_e_f32s(x[row], w, sums[row][vector]);
                }
            }
        }
    }
    let mut out = [[0.0; VECTORS]; R];
    for row in 0..R {
        for vector in 0..VECTORS {
            out[row][vector] = simd.reduce_sum_f32s(sums[row][vector]);
            for (column, x) in rows[row].iter().enumerate().skip(tail) {
                out[row][vector] += x * vectors[within(vector, column)];
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
        let lie = Interleaved::new(self.width, self.sums.len() / self.width);
        // Rows that are left over go with rows of zeros.
        while !self.rows.len().is_multiple_of(R) {
            self.rows.push((self.rows[0].0, [0.0; RUN]));
        }
        let mut all = vec![0.0; lie.len()];
        for rows in self.rows.as_chunks::<R>().0 {
            for start in (0..self.width).step_by(COLUMNS) {
                let width = COLUMNS.min(self.width - start);
                let xs = rows.each_ref().map(|(row, _)| &row[start..start + width]);
                for run in 0..lie.n_runs {
                    let factors = rows.each_ref().map(|(_, factors)| &factors[run * VECTORS..][..VECTORS]);
                    add_rows::<S, R>(simd, xs, factors, &mut all[lie.stretch(start, run)]);
                }
            }
        }
        for (k, sums) in self.sums.chunks_exact_mut(self.width).enumerate() {
            for (columns, place) in lie.pieces(k) {
                let values = sums[columns].iter_mut().zip(&all[place..]);
                values.for_each(|(sum, value)| *sum += f64::from(*value));
            }
        }
    }
}

/// Adds rows times their factors to [`VECTORS`] combinations.
#[inline(always)]
fn add_rows<S: Simd, const R: usize>(simd: S, rows: [&[f32]; R], factors: [&[f32]; R], sums: &mut [f32]) {
    let tail = rows[0].len() - rows[0].len() % CHUNK;
    let xs = rows.map(|row| &S::as_simd_f32s(&row[..tail]).0[..tail / S::F32_LANES]);
    let per = CHUNK / S::F32_LANES;
    let mut splat = [[simd.splat_f32s(0.0); VECTORS]; R];
    for row in 0..R {
        for k in 0..VECTORS {
            splat[row][k] = simd.splat_f32s(factors[row][k]);
        }
    }
    let whole = S::as_mut_simd_f32s(&mut sums[..tail * VECTORS]).0.chunks_exact_mut(per * VECTORS);
    for (chunk, sums) in whole.enumerate() {
        for idx in 0..per {
            let mut x = [simd.splat_f32s(0.0); R];
            for row in 0..R {
                x[row] = xs[row][chunk * per + idx];
            }
            for k in 0..VECTORS {
                let mut sum = sums[k * per + idx];
                for row in 0..R {
                    sum = simd.mul_add_e_f32s(splat[row][k], x[row], sum);
                }
                sums[k * per + idx] = sum;
            }
        }
    }
    for (row, factors) in rows.iter().zip(&factors) {
        for (column, x) in row.iter().enumerate().skip(tail) {
            for (k, factor) in factors.iter().enumerate() {
                sums[within(k, column)] += factor * x;
            }
        }
    }
}
