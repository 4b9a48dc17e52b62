//! 3×3 convolutions of stride 1 by Winograd's minimal filtering F(4×4, 3×3) (Lavin and Gray 2016): a 4×4 tile of outputs
//! is 36 products where the direct way takes 144.
//!
//! With the matrices Bᵀ, G and Aᵀ of the points 0, ±1, ±2 and ∞, a tile is Aᵀ((G·g·Gᵀ) ⊙ (Bᵀ·d·B))A for the kernel g and the 6×6
//! source d; ⊙, summed over channels, is a matrix product for each of the 36 points. The kernel's gradient is the same bilinear
//! map read the other way: Gᵀ(Σ over tiles (Bᵀ·d·B) ⊙ (A·dy·Aᵀ))G.

use rayon::prelude::*;

use super::micro::{Correlate, LANES, OuterProducts, Run, Shared, panel};
use crate::vectorised;

const POINTS: usize = 36;
/// Tiles transformed together: a multiple of the rows that the products hold in registers.
const BLOCK: usize = 24;
/// Tiles whose products are summed before a kernel gradient's sums go back to memory.
const GRADIENT_BLOCK: usize = 512;

type Lane = [f32; LANES];

#[rustfmt::skip]
const BT: [[f32; 6]; 6] = [
    [4.0, 0.0, -5.0, 0.0, 1.0, 0.0],
    [0.0, -4.0, -4.0, 1.0, 1.0, 0.0],
    [0.0, 4.0, -4.0, -1.0, 1.0, 0.0],
    [0.0, -2.0, -1.0, 2.0, 1.0, 0.0],
    [0.0, 2.0, -1.0, -2.0, 1.0, 0.0],
    [0.0, 4.0, 0.0, -5.0, 0.0, 1.0],
];
const G: [[f32; 3]; 6] = [
    [1.0 / 4.0, 0.0, 0.0],
    [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
    [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
    [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
    [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
    [0.0, 0.0, 1.0],
];
#[rustfmt::skip]
const AT: [[f32; 6]; 4] = [
    [1.0, 1.0, 1.0, 1.0, 1.0, 0.0],
    [0.0, 1.0, -1.0, 2.0, -2.0, 0.0],
    [0.0, 1.0, 1.0, 4.0, 4.0, 0.0],
    [0.0, 1.0, -1.0, 8.0, -8.0, 1.0],
];
const A: [[f32; 4]; 6] = transposed(&AT);
const GT: [[f32; 6]; 3] = transposed(&G);

const fn transposed<const R: usize, const C: usize>(m: &[[f32; C]; R]) -> [[f32; R]; C] {
    let mut out = [[0.0; R]; C];
    let mut i = 0;
    while i < R * C {
        out[i % C][i / C] = m[i / C][i % C];
        i += 1;
    }
    out
}

/// A 3×3 correlation of stride 1: target(y, x) = Σ kernel(ky, kx) · source(y + ky − padding, x + kx − padding).
#[derive(Debug, Clone, Copy)]
pub(super) struct Winograd {
    pub(super) n: usize,
    /// Rows, columns and channels.
    pub(super) source: [usize; 3],
    pub(super) padding: usize,
    /// Rows, columns and channels.
    pub(super) target: [usize; 3],
}

impl Winograd {
    /// Whether it pays: channels fill whole vectors, and there are enough to hide the transforms.
    pub(super) fn pays(kernel: [usize; 2], stride: usize, padding: usize, channels: [usize; 2]) -> bool {
        let fills = |c: usize| c % LANES == 0 && c >= 2 * LANES;
        kernel == [3, 3] && stride == 1 && padding <= 2 && channels.into_iter().all(fills)
    }

    fn tiles(&self) -> [usize; 2] {
        [self.target[0].div_ceil(4), self.target[1].div_ceil(4)]
    }

    fn n_tiles(&self) -> usize {
        self.n * self.tiles()[0] * self.tiles()[1]
    }

    /// Picture and first row and column of a tile.
    fn tile(&self, t: usize) -> [usize; 3] {
        let [rows, columns] = self.tiles();
        [t / (rows * columns), t / columns % rows * 4, t % columns * 4]
    }

    /// Kernel (3, 3, source channels, target channels) → target.
    pub(super) fn correlate(&self, source: &[f32], kernel: &[f32], out: Shared) {
        let [c, o] = [self.source[2], self.target[2]];
        let kernel = transform_kernel(kernel, c * o);
        let n_tiles = self.n_tiles();
        let panel = panel();
        // Fewer tiles a task where there are few: every core should have some.
        let block = if n_tiles < 16 * BLOCK { BLOCK / 2 } else { BLOCK };
        let runs = [Run { len: c, right_row: 0 }];
        let zeros = vec![0.0; c];
        (0..n_tiles.div_ceil(block)).into_par_iter().for_each_init(
            || (vec![0.0; POINTS * block * c], vec![0.0; POINTS * block * panel]),
            |(values, products), task| {
                let tiles = task * block..((task + 1) * block).min(n_tiles);
                let rows = tiles.len();
                vectorised(|| {
                    for (row, t) in tiles.clone().enumerate() {
                        self.transform_source(source, t, &mut values[row * c..], rows * c);
                    }
                });
                let offsets: Vec<u32> = (0..rows).map(|row| (row * c) as u32).collect();
                for first_column in (0..o).step_by(panel) {
                    let columns = panel.min(o - first_column);
                    let out_offsets: Vec<u32> = (0..rows).map(|row| (row * columns) as u32).collect();
                    let products = &mut products[..POINTS * rows * columns];
                    for (point, products) in products.chunks_exact_mut(rows * columns).enumerate() {
                        let block = Correlate {
                            left: &values[point * rows * c..][..rows * c],
                            offsets: &offsets,
                            runs: &runs,
                            zeros: &zeros,
                            right: &kernel[point * c * o..][..c * o],
                            step: o,
                            first_column,
                            columns,
                            out: Shared::new(products),
                            out_offsets: &out_offsets,
                            add: false,
                        };
                        // SAFETY: rows·columns products, all this task's own.
                        #[allow(unsafe_code)]
                        unsafe {
                            block.run();
                        }
                    }
                    vectorised(|| {
                        for (row, t) in tiles.clone().enumerate() {
                            let products = &products[row * columns..];
                            self.write_target(products, rows * columns, columns, t, first_column, out);
                        }
                    });
                }
            },
        );
    }

    /// Source and target's gradient → kernel's gradient (3, 3, source channels, target channels), written or added.
    pub(super) fn kernel_gradient(&self, source: &[f32], dy: &[f32], gradient: &mut [f32], adds: bool) {
        let [c, o] = [self.source[2], self.target[2]];
        let n_tiles = self.n_tiles();
        let panel = panel();
        let panels = o.div_ceil(panel);
        let rows = GRADIENT_BLOCK.min(n_tiles);
        let mut values = vec![0.0; POINTS * rows * c];
        let mut slopes = vec![0.0; POINTS * rows * o];
        let mut sums = vec![0.0; POINTS * c * o];
        for first in (0..n_tiles).step_by(rows) {
            let len = rows.min(n_tiles - first);
            let (all_values, all_slopes) = (Shared::new(&mut values), Shared::new(&mut slopes));
            (0..len).into_par_iter().for_each(|row| {
                vectorised(|| {
                    // SAFETY: each row of each point's matrix is one task's; both vectors hold POINTS·rows of them.
                    #[allow(unsafe_code)]
                    unsafe {
                        let values = all_values.from(row * c, (POINTS - 1) * rows * c + c);
                        self.transform_source(source, first + row, values, rows * c);
                        let slopes = all_slopes.from(row * o, (POINTS - 1) * rows * o + o);
                        self.transform_slopes(dy, first + row, slopes, rows * o);
                    }
                });
            });
            let out = Shared::new(&mut sums);
            (0..POINTS * panels).into_par_iter().for_each(|piece| {
                let (point, first_column) = (piece / panels, piece % panels * panel);
                let columns = panel.min(o - first_column);
                let pairs: Vec<(u32, u32)> =
                    (0..len).map(|row| ((row * c) as u32, (row * o + first_column) as u32)).collect();
                let products = OuterProducts {
                    left: &values[point * rows * c..][..rows * c],
                    rows: c,
                    right: &slopes[point * rows * o..][..rows * o],
                    columns,
                    pairs: &pairs,
                    out,
                    out_offset: point * c * o + first_column,
                    out_step: o,
                    add: first > 0,
                };
                // SAFETY: a piece is one panel's columns of one point's sums.
                #[allow(unsafe_code)]
                unsafe {
                    products.run();
                }
            });
        }
        let out = Shared::new(gradient);
        (0..c).into_par_iter().for_each(|channel| {
            vectorised(|| {
                for first in (0..o).step_by(LANES) {
                    let at = channel * o + first;
                    let sum = |i: usize, j: usize| lane(&sums[(i * 6 + j) * c * o + at..]);
                    let kernel = sandwich(&GT, &grid(sum));
                    for (k, value) in kernel.as_flattened().iter().enumerate() {
                        // SAFETY: LANES target channels of one source channel, which are this task's.
                        #[allow(unsafe_code)]
                        let place = unsafe { out.from(k * c * o + at, LANES) };
                        match adds {
                            true => place.iter_mut().zip(value).for_each(|(p, v)| *p += v),
                            false => place.copy_from_slice(value),
                        }
                    }
                }
            });
        });
    }

    /// Bᵀ·d·B of a tile: point p of the channels at `out[p·step..]`.
    #[inline(always)]
    fn transform_source(&self, source: &[f32], t: usize, out: &mut [f32], step: usize) {
        let [h, w, c] = self.source;
        let [n, y0, x0] = self.tile(t);
        let at = |i: usize, j: usize| {
            let y = (y0 + i).checked_sub(self.padding).filter(|&y| y < h)?;
            let x = (x0 + j).checked_sub(self.padding).filter(|&x| x < w)?;
            Some(((n * h + y) * w + x) * c)
        };
        let places: [[Option<usize>; 6]; 6] = grid(at);
        for channel in (0..c).step_by(LANES) {
            let value = |i: usize, j: usize| match places[i][j] {
                Some(place) => lane(&source[place + channel..]),
                None => [0.0; LANES],
            };
            let points = sandwich(&BT, &grid(value));
            for (p, value) in points.as_flattened().iter().enumerate() {
                out[p * step + channel..][..LANES].copy_from_slice(value);
            }
        }
    }

    /// A·dy·Aᵀ of a tile, as [`Self::transform_source`].
    #[inline(always)]
    fn transform_slopes(&self, dy: &[f32], t: usize, out: &mut [f32], step: usize) {
        let [h, w, o] = self.target;
        let [n, y0, x0] = self.tile(t);
        for channel in (0..o).step_by(LANES) {
            let value = |i: usize, j: usize| match y0 + i < h && x0 + j < w {
                true => lane(&dy[((n * h + y0 + i) * w + x0 + j) * o + channel..]),
                false => [0.0; LANES],
            };
            let points = sandwich(&A, &grid(value));
            for (p, value) in points.as_flattened().iter().enumerate() {
                out[p * step + channel..][..LANES].copy_from_slice(value);
            }
        }
    }

    /// Aᵀ·m·A of a tile's products, point p of which is at `products[p·step..]`.
    #[inline(always)]
    fn write_target(
        &self,
        products: &[f32],
        step: usize,
        columns: usize,
        t: usize,
        first_column: usize,
        out: Shared,
    ) {
        let [h, w, o] = self.target;
        let [n, y0, x0] = self.tile(t);
        for column in (0..columns).step_by(LANES) {
            let product = |i: usize, j: usize| lane(&products[(i * 6 + j) * step + column..]);
            let tile = sandwich(&AT, &grid(product));
            for (i, row) in tile.iter().enumerate().take(h - y0) {
                for (j, value) in row.iter().enumerate().take(w - x0) {
                    let place = ((n * h + y0 + i) * w + x0 + j) * o + first_column + column;
                    // SAFETY: inside the target by the two bounds; no other task has this tile.
                    #[allow(unsafe_code)]
                    unsafe { out.from(place, LANES) }.copy_from_slice(value);
                }
            }
        }
    }
}

/// G·g·Gᵀ for each of `channels` pairs: (3, 3, channels) → (36, channels).
fn transform_kernel(kernel: &[f32], channels: usize) -> Vec<f32> {
    const CHUNK: usize = 1 << 10;
    let write = |out: Shared| {
        (0..channels.div_ceil(CHUNK)).into_par_iter().for_each(|chunk| {
            vectorised(|| {
                for first in (chunk * CHUNK..channels.min((chunk + 1) * CHUNK)).step_by(LANES) {
                    let value = |i: usize, j: usize| lane(&kernel[(i * 3 + j) * channels + first..]);
                    let points = sandwich(&G, &grid(value));
                    for (p, value) in points.as_flattened().iter().enumerate() {
                        // SAFETY: LANES pairs of each point, which are this task's.
                        #[allow(unsafe_code)]
                        unsafe { out.from(p * channels + first, LANES) }.copy_from_slice(value);
                    }
                }
            });
        });
    };
    // SAFETY: every pair of every point is written.
    #[allow(unsafe_code)]
    unsafe {
        Shared::fill(POINTS * channels, write)
    }
}

#[inline(always)]
fn lane(values: &[f32]) -> Lane {
    std::array::from_fn(|i| values[..LANES][i])
}

#[inline(always)]
fn grid<T, const R: usize, const C: usize>(at: impl Fn(usize, usize) -> T) -> [[T; C]; R] {
    std::array::from_fn(|i| std::array::from_fn(|j| at(i, j)))
}

/// m·x·mᵀ, lane by lane.
#[inline(always)]
fn sandwich<const R: usize, const C: usize>(m: &[[f32; C]; R], x: &[[Lane; C]; C]) -> [[Lane; R]; R] {
    let half: [[Lane; C]; R] = grid(|i, j| combine(&m[i], |k| &x[k][j]));
    grid(|i, j| combine(&m[j], |k| &half[i][k]))
}

/// Σ over k of weights\[k\]·x(k); weights are known as this is compiled, so zeros cost nothing.
#[inline(always)]
fn combine<'a, const C: usize>(weights: &[f32; C], x: impl Fn(usize) -> &'a Lane) -> Lane {
    let mut sum = [0.0; LANES];
    for (k, &weight) in weights.iter().enumerate() {
        if weight != 0.0 {
            let x = x(k);
            for (s, &x) in sum.iter_mut().zip(x) {
                *s += weight * x;
            }
        }
    }
    sum
}
