//! The matrix product under both baselines, a tile at a time: what becomes of a tile is decided while it is in registers.
//!
//! One side lies in [`Panels`] of 32 rows, the other in [`Blocks`] of 12; both have their numbers in the order in which the
//! product reads them. General products pack both sides anew for each call, and write the product out; here one side is packed once,
//! and a tile of 12×32 sums goes to its user as it is. Each sum is over all columns in order, whatever the number of
//! threads.

use pulp::Simd;
use rayon::prelude::*;

/// Rows of a block.
pub(crate) const BLOCK: usize = 12;
/// Rows of a panel.
pub(crate) const PANEL: usize = 32;
/// Vectors of 16 numbers begin at multiples of these bytes.
const ALIGNMENT: usize = 64;

/// Numbers that begin at a multiple of 64 bytes.
#[derive(Debug, Clone)]
struct Aligned {
    values: Vec<f32>,
    start: usize,
    len: usize,
}

impl Aligned {
    fn zeros(len: usize) -> Self {
        let values = vec![0.0_f32; len + ALIGNMENT / size_of::<f32>()];
        let offset = values.as_ptr().align_offset(ALIGNMENT);
        // `align_offset` may decline; then vectors are read across lines, which only costs time.
        let start = if offset <= ALIGNMENT / size_of::<f32>() { offset } else { 0 };
        Self { values, start, len }
    }

    fn values(&self) -> &[f32] {
        &self.values[self.start..][..self.len]
    }

    fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values[self.start..][..self.len]
    }
}

/// Rows in groups of 32: of each group first all first numbers, then all second ones. Rows that a last group lacks are 0.
#[derive(Debug)]
pub(crate) struct Panels {
    values: Aligned,
    n_columns: usize,
    n_rows: usize,
}

impl Panels {
    /// Packs rows of `n_columns` numbers, at least one, which lie one after another.
    pub(crate) fn new(rows: &[f32], n_columns: usize) -> Self {
        let n_rows = rows.len() / n_columns;
        let mut values = Aligned::zeros(n_rows.div_ceil(PANEL) * PANEL * n_columns);
        let panels = values.values_mut().chunks_exact_mut(PANEL * n_columns);
        for (panel, rows) in panels.zip(rows.chunks(PANEL * n_columns)) {
            for (lane, row) in rows.chunks_exact(n_columns).enumerate() {
                panel.iter_mut().skip(lane).step_by(PANEL).zip(row).for_each(|(to, value)| *to = *value);
            }
        }
        Self { values, n_columns, n_rows }
    }

    /// Groups of 32 rows.
    pub(crate) fn len(&self) -> usize {
        self.n_rows.div_ceil(PANEL)
    }

    /// One group: `n_columns` times 32 numbers.
    pub(crate) fn panel(&self, panel_idx: usize) -> &[f32] {
        let len = PANEL * self.n_columns;
        &self.values.values()[panel_idx * len..][..len]
    }
}

/// Rows in groups of 12: of each group first all first numbers, then all second ones. Rows that a last group lacks are 0.
#[derive(Debug)]
pub(crate) struct Blocks {
    values: Vec<[f32; BLOCK]>,
    n_columns: usize,
    n_rows: usize,
}

impl Blocks {
    /// Room for rows of `n_columns` numbers.
    pub(crate) fn empty(n_columns: usize) -> Self {
        Self { values: Vec::new(), n_columns, n_rows: 0 }
    }

    /// Packs rows which lie one after another in place of those that are there.
    pub(crate) fn fill(&mut self, rows: &[f32]) {
        self.make_room(rows);
        let blocks = self.values.chunks_exact_mut(self.n_columns);
        blocks.zip(rows.chunks(BLOCK * self.n_columns)).for_each(|(block, rows)| pack(block, rows));
    }

    /// [`Self::fill`] on all threads, for many rows.
    pub(crate) fn fill_on_all_threads(&mut self, rows: &[f32]) {
        self.make_room(rows);
        let blocks = self.values.par_chunks_exact_mut(self.n_columns);
        blocks.zip(rows.par_chunks(BLOCK * self.n_columns)).for_each(|(block, rows)| pack(block, rows));
    }

    fn make_room(&mut self, rows: &[f32]) {
        self.n_rows = rows.len() / self.n_columns;
        self.values.clear();
        self.values.resize(self.n_rows.div_ceil(BLOCK) * self.n_columns, [0.0; BLOCK]);
    }

    /// Groups of 12 rows.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &[[f32; BLOCK]]> {
        self.values.chunks_exact(self.n_columns)
    }
}

/// Packs at most 12 rows of as many numbers as `block` has.
fn pack(block: &mut [[f32; BLOCK]], rows: &[f32]) {
    let n_columns = block.len();
    let mut each: [&[f32]; BLOCK] = [&[]; BLOCK];
    each.iter_mut().zip(rows.chunks_exact(n_columns)).for_each(|(each, row)| *each = row);
    if rows.len() == BLOCK * n_columns {
        for (column, to) in block.iter_mut().enumerate() {
            *to = each.map(|row| row[column]);
        }
        return;
    }
    for (lane, row) in each.iter().enumerate() {
        block.iter_mut().zip(*row).for_each(|(to, value)| to[lane] = *value);
    }
}

/// 12×32 sums in the order of [`tile`]: rows of the block, and of each the lanes of the panel.
pub(crate) type Rows<'a> = &'a mut [[f32; PANEL]; BLOCK];

/// The inner products of a block's rows with a panel's, to `sums`.
#[inline(always)]
pub(crate) fn tile<S: Simd>(simd: S, block: &[[f32; BLOCK]], panel: &[f32], sums: Rows<'_>) {
    // As many sums at once as there are registers for: 24 of 32 with AVX-512, 12 of 16 with AVX2.
    if S::F32_LANES >= 16 {
        part::<S, BLOCK>(simd, block, panel, 0, sums);
    } else {
        part::<S, { BLOCK / 2 }>(simd, block, panel, 0, sums);
        part::<S, { BLOCK / 2 }>(simd, block, panel, BLOCK / 2, sums);
    }
}

/// `R` rows of a tile, from row `first` on, two vectors of the panel at a time.
#[inline(always)]
fn part<S: Simd, const R: usize>(
    simd: S,
    block: &[[f32; BLOCK]],
    panel: &[f32],
    first: usize,
    out: Rows<'_>,
) {
    let width = PANEL / S::F32_LANES;
    let (vectors, _) = S::as_simd_f32s(panel);
    for left in (0..width).step_by(2) {
        let mut sums = [[simd.splat_f32s(0.0); 2]; R];
        for (values, vectors) in block.iter().zip(vectors.chunks_exact(width)) {
            let right = [vectors[left], vectors[left + 1]];
            for (sums, value) in sums.iter_mut().zip(&values[first..first + R]) {
                let value = simd.splat_f32s(*value);
                sums[0] = simd.mul_add_e_f32s(value, right[0], sums[0]);
                sums[1] = simd.mul_add_e_f32s(value, right[1], sums[1]);
            }
        }
        for (out, sums) in out[first..first + R].iter_mut().zip(&sums) {
            let (out, _) = S::as_mut_simd_f32s(out);
            out[left] = sums[0];
            out[left + 1] = sums[1];
        }
    }
}

#[cfg(test)]
mod tests {
    use pulp::WithSimd;

    use super::*;

    struct All<'a> {
        blocks: &'a Blocks,
        panels: &'a Panels,
        out: &'a mut [f32],
    }

    impl WithSimd for All<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let mut sums = [[0.0; PANEL]; BLOCK];
            for panel_idx in 0..self.panels.len() {
                for (block_idx, block) in self.blocks.iter().enumerate() {
                    tile(simd, block, self.panels.panel(panel_idx), &mut sums);
                    for (i, j) in (0..BLOCK).flat_map(|i| (0..PANEL).map(move |j| (i, j))) {
                        let (row, column) = (block_idx * BLOCK + i, panel_idx * PANEL + j);
                        if row < self.blocks.n_rows && column < self.panels.n_rows {
                            self.out[row * self.panels.n_rows + column] = sums[i][j];
                        }
                    }
                }
            }
        }
    }

    /// Whole numbers, whose sums are exact: every sum is the right one, also where the last groups are not full.
    #[test]
    fn products_are_right() {
        let value = |i: usize| ((i * 7919) % 23) as f32 - 11.0;
        for (n_left, n_right, n_columns) in [(1, 1, 1), (12, 32, 5), (31, 70, 108), (25, 33, 17)] {
            let left: Vec<f32> = (0..n_left * n_columns).map(value).collect();
            let right: Vec<f32> = (0..n_right * n_columns).map(|i| value(i + 5)).collect();
            let mut blocks = Blocks::empty(n_columns);
            blocks.fill(&left);
            let panels = Panels::new(&right, n_columns);
            let mut out = vec![0.0; n_left * n_right];
            dcgan_vectors::arch().dispatch(All { blocks: &blocks, panels: &panels, out: &mut out });
            for (i, row) in left.chunks(n_columns).enumerate() {
                for (j, other) in right.chunks(n_columns).enumerate() {
                    let expected: f32 = row.iter().zip(other).map(|(a, b)| a * b).sum();
                    assert_eq!(out[i * n_right + j], expected, "{i} {j}");
                }
            }
        }
    }
}
