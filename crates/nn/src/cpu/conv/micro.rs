//! The innermost loops: a small block of sums held in registers while one long dot product after another runs through it.
//!
//! Both read their left side in place, one broadcast value at a time, so that no matrix of patches is ever written; the right
//! side is a row of neighbouring outputs. Both are compiled for every row of [`dcgan_vectors`], and for f32 and [pairs](crate::lanes) of bf16.

use pulp::{Simd, WithSimd};

use super::shared::Shared;
use crate::lanes::{LANES, Lanes, Value, Work};

/// Output columns of one piece of work: as many as the widest registers hold at once, and several times those of others. What a piece
/// prepares is then shared by as many columns everywhere.
pub(super) const PANEL: usize = 4 * LANES;

/// Output columns that one block of registers holds on this machine.
pub(super) fn register_panel() -> usize {
    struct Width;
    impl WithSimd for Width {
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES * vectors::<S>()
        }
    }
    dcgan_vectors::arch().dispatch(Width)
}

/// Vectors in a row of the block: with a register for each sum, the right side and the broadcast value.
#[inline(always)]
const fn vectors<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { 4 } else { 2 }
}

/// Products whose sums are held M rows by N vectors at a time.
trait Block<V> {
    /// The sums of rows `row..row + M` and the N vectors from `column` on, and their writing.
    fn block<L: Lanes<Value = V>, const M: usize, const N: usize>(&self, lanes: L, row: usize, column: usize);
}

/// The rows and columns of a product's output, or as much of them as is wanted.
struct Blocks<B> {
    products: B,
    rows: usize,
    columns: usize,
}

impl<V, B: Block<V>> Work<V> for Blocks<B> {
    #[inline(always)]
    fn run<L: Lanes<Value = V>>(self, lanes: L) {
        all_rows(lanes, &self.products, self.rows, self.columns);
    }
}

/// All rows, by the blocks whose sums, one row of vectors and one value fill the registers without spilling.
#[inline(always)]
fn all_rows<L: Lanes>(lanes: L, products: &impl Block<L::Value>, rows: usize, columns: usize) {
    let width = L::Simd::F32_LANES * vectors::<L::Simd>();
    for column in (0..columns).step_by(width) {
        let n_vectors = width.min(columns - column).div_ceil(L::Simd::F32_LANES);
        match (n_vectors, L::Simd::REGISTER_COUNT >= 32) {
            (1, true) => blocks::<L, 12, 1>(lanes, products, rows, column),
            (2, true) => blocks::<L, 8, 2>(lanes, products, rows, column),
            (3, true) => blocks::<L, 8, 3>(lanes, products, rows, column),
            (4, true) => blocks::<L, 6, 4>(lanes, products, rows, column),
            (1, false) => blocks::<L, 6, 1>(lanes, products, rows, column),
            (2, false) => blocks::<L, 6, 2>(lanes, products, rows, column),
            (n, _) => unreachable!("a block of {n} vectors"),
        }
    }
}

#[inline(always)]
fn blocks<L: Lanes, const M: usize, const N: usize>(
    lanes: L,
    products: &impl Block<L::Value>,
    rows: usize,
    column: usize,
) {
    let mut row = 0;
    while row + M <= rows {
        products.block::<L, M, N>(lanes, row, column);
        row += M;
    }
    if row + 4 <= rows {
        products.block::<L, 4, N>(lanes, row, column);
        row += 4;
    }
    if row + 2 <= rows {
        products.block::<L, 2, N>(lanes, row, column);
        row += 2;
    }
    while row < rows {
        products.block::<L, 1, N>(lanes, row, column);
        row += 1;
    }
}

/// A run of left-hand values that lie together, and the right-hand row that its first value meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) len: usize,
    pub(super) right_row: usize,
}

/// out\[row\]\[column\] (+)= Σ over runs, over k: left\[run\]\[row\]\[k\] · right\[`right_row` + k\]\[column\].
pub(super) struct Correlate<'a, V> {
    /// Left-hand values.
    pub(super) left: &'a [V],
    /// Where each row's values of each run begin: `rows` offsets a run; [`NOTHING`] is a run of zeros.
    pub(super) offsets: &'a [u32],
    pub(super) runs: &'a [Run],
    /// Zeros, as many as the longest run.
    pub(super) zeros: &'a [V],
    /// Right-hand rows of `step` values, whole vectors of [`LANES`] from the first column on.
    pub(super) right: &'a [V],
    pub(super) step: usize,
    /// The block's first column, and how many.
    pub(super) first_column: usize,
    pub(super) columns: usize,
    pub(super) out: Shared,
    /// Where each row of the output begins.
    pub(super) out_offsets: &'a [u32],
    /// Adds to what is there.
    pub(super) add: bool,
    /// A value for each column that is added at last, after which nothing is below 0.
    pub(super) bias: Option<&'a [f32]>,
}

/// The offset of a run that lies outside the image.
pub(super) const NOTHING: u32 = u32::MAX;

impl<V: Value> Correlate<'_, V> {
    /// # Safety
    /// Nothing else may touch the output's rows meanwhile.
    #[allow(unsafe_code)]
    pub(super) unsafe fn run(self) {
        let rows = self.out_offsets.len();
        assert_eq!(self.offsets.len(), self.runs.len() * rows);
        assert!(self.out_offsets.iter().all(|&offset| self.out.holds(offset as usize, self.columns)));
        let padded = self.columns.next_multiple_of(LANES);
        assert!(self.bias.is_none_or(|bias| padded <= bias.len()));
        for (run, offsets) in self.runs.iter().zip(self.offsets.chunks_exact(rows.max(1))) {
            let last = self.left.len() - run.len.min(self.left.len());
            assert!(run.len <= self.zeros.len() && run.len <= self.left.len());
            assert!(offsets.iter().all(|&o| o == NOTHING || o as usize <= last));
            let last_row = run.right_row + run.len - 1;
            assert!(last_row * self.step + self.first_column + padded <= self.right.len());
        }
        let columns = self.columns;
        V::run(Blocks { products: self, rows, columns });
    }
}

#[allow(clippy::needless_range_loop, reason = "constant ranges unroll, iterators may not")]
impl<V: Copy> Block<V> for Correlate<'_, V> {
    #[inline(always)]
    #[allow(unsafe_code)]
    fn block<L: Lanes<Value = V>, const M: usize, const N: usize>(
        &self,
        lanes: L,
        row: usize,
        column: usize,
    ) {
        let simd = lanes.simd();
        let columns = (self.columns - column).min(N * L::Simd::F32_LANES);
        let rows = self.out_offsets.len();
        let mut sums = [[simd.splat_f32s(0.0); N]; M];
        // SAFETY: `run` checked that every run lies inside `left` (or `zeros`), every right-hand row, in whole vectors,
        // inside `right`, and every row of the output inside `out`; `row + M` is at most the number of rows.
        unsafe {
            for (r, run) in self.runs.iter().enumerate() {
                let left: [*const V; M] =
                    std::array::from_fn(|m| match *self.offsets.get_unchecked(r * rows + row + m) {
                        NOTHING => self.zeros.as_ptr(),
                        offset => self.left.as_ptr().add(offset as usize),
                    });
                let mut right =
                    self.right.as_ptr().add(run.right_row * self.step + self.first_column + column);
                for k in 0..run.len {
                    let vectors = row_of_vectors::<L, N>(right);
                    for m in 0..M {
                        let value = lanes.splat(*left[m].add(k));
                        for n in 0..N {
                            sums[m][n] = lanes.multiply_add(value, vectors[n], sums[m][n]);
                        }
                    }
                    right = right.add(self.step);
                }
            }
            for m in 0..M {
                let out = self.out.0.add(*self.out_offsets.get_unchecked(row + m) as usize + column);
                let bias = self.bias.map(|bias| bias.as_ptr().add(column));
                store(simd, sums[m], out, columns, self.add, bias);
            }
        }
    }
}

/// out\[m\]\[column\] (+)= Σ over pairs (a, b): left\[a + m\] · right\[b + column\].
pub(super) struct OuterProducts<'a, V> {
    pub(super) left: &'a [V],
    /// Rows of the output: neighbouring values on the left.
    pub(super) rows: usize,
    pub(super) right: &'a [V],
    pub(super) columns: usize,
    pub(super) pairs: &'a [(u32, u32)],
    pub(super) out: Shared,
    /// Where the output begins, and how far apart its rows are.
    pub(super) out_offset: usize,
    pub(super) out_step: usize,
    pub(super) add: bool,
}

impl<V: Value> OuterProducts<'_, V> {
    /// # Safety
    /// Nothing else may touch the output's rows meanwhile.
    #[allow(unsafe_code)]
    pub(super) unsafe fn run(self) {
        let padded = self.columns.next_multiple_of(LANES);
        let last_row = self.rows.saturating_sub(1) * self.out_step;
        assert!(self.out.holds(self.out_offset + last_row, self.columns));
        assert!(self.pairs.iter().all(|&(a, b)| {
            a as usize + self.rows <= self.left.len() && b as usize + padded <= self.right.len()
        }));
        let (rows, columns) = (self.rows, self.columns);
        V::run(Blocks { products: self, rows, columns });
    }
}

#[allow(clippy::needless_range_loop, reason = "constant ranges unroll, iterators may not")]
impl<V: Copy> Block<V> for OuterProducts<'_, V> {
    #[inline(always)]
    #[allow(unsafe_code)]
    fn block<L: Lanes<Value = V>, const M: usize, const N: usize>(
        &self,
        lanes: L,
        row: usize,
        column: usize,
    ) {
        let simd = lanes.simd();
        let columns = (self.columns - column).min(N * L::Simd::F32_LANES);
        let mut sums = [[simd.splat_f32s(0.0); N]; M];
        // SAFETY: `run` checked that `rows` values at every left and whole vectors at every right offset lie inside, and
        // that the output's last row does.
        unsafe {
            for &(a, b) in self.pairs {
                let left = self.left.as_ptr().add(a as usize + row);
                let right = self.right.as_ptr().add(b as usize + column);
                let vectors = row_of_vectors::<L, N>(right);
                for m in 0..M {
                    let value = lanes.splat(*left.add(m));
                    for n in 0..N {
                        sums[m][n] = lanes.multiply_add(value, vectors[n], sums[m][n]);
                    }
                }
            }
            for m in 0..M {
                let out = self.out.0.add(self.out_offset + (row + m) * self.out_step + column);
                store(simd, sums[m], out, columns, self.add, None);
            }
        }
    }
}

/// N vectors of right-hand values, bit by bit.
///
/// # Safety
/// They must lie at `from`, values of 32 bits each.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn row_of_vectors<L: Lanes, const N: usize>(from: *const L::Value) -> [<L::Simd as Simd>::f32s; N] {
    const { assert!(size_of::<L::Value>() == size_of::<f32>()) };
    // SAFETY: the caller's promise.
    std::array::from_fn(|n| unsafe { load::<L::Simd>(from.cast::<f32>().add(n * L::Simd::F32_LANES)) })
}

/// # Safety
/// A vector of values must lie at `from`.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn load<S: Simd>(from: *const f32) -> S::f32s {
    // SAFETY: the caller's promise; any bits are f32s.
    unsafe { from.cast::<S::f32s>().read_unaligned() }
}

/// Writes the first `columns` of a row of sums, or adds them; then adds the bias, if there is one, and takes nothing below 0.
///
/// # Safety
/// `columns` values must lie at `out`, no more than the sums have, and nobody else may touch them; as many as the sums at `bias`.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn store<S: Simd, const N: usize>(
    simd: S,
    mut sums: [S::f32s; N],
    out: *mut f32,
    columns: usize,
    add: bool,
    bias: Option<*const f32>,
) {
    // SAFETY: the caller's promise; `copy` has room for the most vectors of the widest kind.
    unsafe {
        if columns == N * S::F32_LANES {
            finish(simd, &mut sums, add.then_some(out.cast_const()), bias);
            for (n, sum) in sums.into_iter().enumerate() {
                out.add(n * S::F32_LANES).cast::<S::f32s>().write_unaligned(sum);
            }
        } else {
            // A copy through memory: were the sums themselves addressed, they would not stay in registers.
            let mut copy = [0.0_f32; 4 * LANES];
            if add {
                copy.as_mut_ptr().copy_from_nonoverlapping(out, columns);
            }
            finish(simd, &mut sums, add.then_some(copy.as_ptr()), bias);
            for (n, sum) in sums.into_iter().enumerate() {
                copy.as_mut_ptr().add(n * S::F32_LANES).cast::<S::f32s>().write_unaligned(sum);
            }
            out.copy_from_nonoverlapping(copy.as_ptr(), columns);
        }
    }
}

/// Adds what was there and the bias, and takes nothing below 0 where there is a bias.
///
/// # Safety
/// As many values as the sums must lie at each place.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn finish<S: Simd, const N: usize>(
    simd: S,
    sums: &mut [S::f32s; N],
    there: Option<*const f32>,
    bias: Option<*const f32>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        if let Some(there) = there {
            for (n, sum) in sums.iter_mut().enumerate() {
                *sum = simd.add_f32s(load::<S>(there.add(n * S::F32_LANES)), *sum);
            }
        }
        if let Some(bias) = bias {
            let zero = simd.splat_f32s(0.0);
            for (n, sum) in sums.iter_mut().enumerate() {
                *sum = simd.add_f32s(*sum, load::<S>(bias.add(n * S::F32_LANES)));
                // In this order NaN stays NaN.
                *sum = simd.max_f32s(zero, *sum);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_refuse_rows_outside_their_output() {
        let (left, right, mut out) = ([1.0; 4], [1.0; 4 * LANES], [0.0; 40]);
        let run = |offsets: [u32; 2], out: Shared| {
            let block = Correlate {
                left: &left,
                offsets: &[0, 0],
                runs: &[Run { len: 4, right_row: 0 }],
                zeros: &[0.0; 4],
                right: &right,
                step: LANES,
                first_column: 0,
                columns: LANES,
                out,
                out_offsets: &offsets,
                add: false,
                bias: None,
            };
            // SAFETY: nothing else touches `out`.
            #[allow(unsafe_code)]
            unsafe {
                block.run();
            }
        };
        let shared = Shared::new(&mut out);
        run([0, 24], shared);
        assert!(std::panic::catch_unwind(|| run([0, 25], shared)).is_err());
        let products = |out_offset| OuterProducts {
            left: &left,
            rows: 2,
            right: &right,
            columns: LANES,
            pairs: &[(0, 0)],
            out: shared,
            out_offset,
            out_step: LANES,
            add: false,
        };
        for (out_offset, is_inside) in [(8, true), (9, false)] {
            // SAFETY: nothing else touches `out`.
            #[allow(unsafe_code)]
            let outcome = std::panic::catch_unwind(|| unsafe { products(out_offset).run() });
            assert_eq!(outcome.is_ok(), is_inside, "{out_offset}");
        }
        assert_eq!(out[24..], [1.0; LANES]);
        assert_eq!(out[8..24], [1.0; LANES]);
    }
}
