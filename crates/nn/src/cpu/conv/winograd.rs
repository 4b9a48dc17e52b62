//! 3×3 convolutions of stride 1 by Winograd's minimal filtering F(4×4, 3×3) (Lavin and Gray 2016): a 4×4 tile of outputs
//! is 36 products where the direct way takes 144.
//!
//! With the matrices Bᵀ, G and Aᵀ of the points 0, ±1, ±2 and ∞, a tile is Aᵀ((G·g·Gᵀ) ⊙ (Bᵀ·d·B))A for the kernel g and the 6×6
//! source d; ⊙, summed over channels, is a matrix product for each of the 36 points. The kernel's gradient is the same bilinear
//! map read the other way: Gᵀ(Σ over tiles (Bᵀ·d·B) ⊙ (A·dy·Aᵀ))G.

use std::ptr;

use rayon::prelude::*;

use super::micro::{Correlate, OuterProducts, PANEL, Run};
use super::packing::Multiplied;
use super::shared::Shared;
use super::tile::{A, At, Bt, G, Gt, Sandwich, grid};
use crate::lanes::LANES;
use crate::{element::Element, geometry::Geometry};

const POINTS: usize = 36;
/// Tiles transformed together: a multiple of the rows that the products hold in registers.
const BLOCK: usize = 24;
/// Tiles whose products are summed before a kernel gradient's sums go back to memory.
const GRADIENT_BLOCK: usize = 512;

/// Rasters of which some neighbouring channels are meant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Raster {
    /// Rows, columns and the channels that are meant.
    pub(super) size: [usize; 3],
    /// All channels that there are.
    pub(super) step: usize,
    /// The first that is meant.
    pub(super) first: usize,
}

impl Raster {
    /// All channels.
    pub(super) fn whole(size: [usize; 3]) -> Self {
        Self { size, step: size[2], first: 0 }
    }

    /// Where the values of a picture's position begin.
    fn at(&self, n: usize, y: usize, x: usize) -> usize {
        ((n * self.size[0] + y) * self.size[1] + x) * self.step + self.first
    }
}

/// A 3×3 correlation of stride 1: target(y, x) = Σ kernel(ky, kx) · source(y + ky − padding, x + kx − padding).
#[derive(Debug, Clone, Copy)]
pub(super) struct Winograd {
    pub(super) n: usize,
    pub(super) source: Raster,
    pub(super) padding: usize,
    pub(super) target: Raster,
    /// The kernel is turned by 180 degrees.
    pub(super) turned: bool,
}

impl Winograd {
    /// A forward pass as tiles, where they pay.
    pub(super) fn of(g: &Geometry) -> Option<Self> {
        let (source, target) = (Raster::whole([g.h, g.w, g.c]), Raster::whole([g.oh, g.ow, g.o]));
        let pays = Self::pays([g.kh, g.kw], g.stride, g.padding, [g.c, g.o]);
        pays.then_some(Self { n: g.n, source, padding: g.padding, target, turned: false })
    }

    /// Whether it pays: channels fill whole vectors, and there are enough to hide the transforms.
    pub(super) fn pays(kernel: [usize; 2], stride: usize, padding: usize, channels: [usize; 2]) -> bool {
        let fills = |c: usize| c.is_multiple_of(LANES) && c >= 2 * LANES;
        kernel == [3, 3] && stride == 1 && padding <= 2 && channels.into_iter().all(fills)
    }

    fn tiles(&self) -> [usize; 2] {
        [self.target.size[0].div_ceil(4), self.target.size[1].div_ceil(4)]
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
    pub(super) fn correlate<E: Multiplied>(&self, source: &[E], kernel: &[f32], out: Shared<E>) {
        let kernel = transform_kernel::<E>(kernel, [self.source.size[2], self.target.size[2]], self.turned);
        self.correlate_transformed(source, &kernel, None, out);
    }

    /// The same with a kernel from [`transform_kernel`]; where there is a bias it is added, and nothing is below 0 then.
    pub(super) fn correlate_transformed<E: Multiplied>(
        &self,
        source: &[E],
        kernel: &[E::Value],
        bias: Option<&[f32]>,
        out: Shared<E>,
    ) {
        let values_of = |elements: usize| elements / E::PER;
        let [c, o] = [self.source.size[2], self.target.size[2]];
        let n_tiles = self.n_tiles();
        let runs = [Run { len: values_of(c), right_row: 0 }];
        let zeros = vec![E::Value::default(); values_of(c)];
        (0..n_tiles.div_ceil(BLOCK)).into_par_iter().for_each_init(
            || (vec![E::default(); POINTS * BLOCK * c], vec![0.0; POINTS * BLOCK * PANEL]),
            |(values, products), task| {
                let tiles = task * BLOCK..((task + 1) * BLOCK).min(n_tiles);
                let rows = tiles.len();
                let place = Shared::new(values);
                for (row, t) in tiles.clone().enumerate() {
                    self.transform_source(source, t, place, row * c, rows * c);
                }
                let offsets: Vec<u32> = (0..rows).map(|row| values_of(row * c) as u32).collect();
                for first_column in (0..o).step_by(PANEL) {
                    let columns = PANEL.min(o - first_column);
                    let out_offsets: Vec<u32> = (0..rows).map(|row| (row * columns) as u32).collect();
                    let products = &mut products[..POINTS * rows * columns];
                    for (point, products) in products.chunks_exact_mut(rows * columns).enumerate() {
                        let block = Correlate {
                            left: E::values(&values[point * rows * c..][..rows * c]),
                            offsets: &offsets,
                            runs: &runs,
                            zeros: &zeros,
                            right: &kernel[point * values_of(c * o)..][..values_of(c * o)],
                            step: o,
                            first_column,
                            columns,
                            out: Shared::new(products),
                            out_offsets: &out_offsets,
                            add: false,
                            bias: None,
                        };
                        // SAFETY: rows·columns products, all this task's own.
                        #[allow(unsafe_code)]
                        unsafe {
                            block.run();
                        }
                    }
                    for (row, t) in tiles.clone().enumerate() {
                        let products = &products[row * columns..];
                        let bias = bias.map(|bias| &bias[first_column..][..columns]);
                        self.write_target(products, [rows * columns, columns], t, first_column, bias, out);
                    }
                }
            },
        );
    }

    /// Source and target's gradient → kernel's gradient (3, 3, source channels, target channels), written or added.
    pub(super) fn kernel_gradient<E: Multiplied>(
        &self,
        source: &[E],
        dy: &[E],
        gradient: &mut [f32],
        adds: bool,
    ) {
        let [c, o] = [self.source.size[2], self.target.size[2]];
        let n_tiles = self.n_tiles();
        let panels = o.div_ceil(PANEL);
        // Tiles, or pairs of them.
        let n_rows = n_tiles.div_ceil(E::PER);
        let rows = GRADIENT_BLOCK.min(n_rows);
        let mut values = vec![E::Value::default(); POINTS * rows * c];
        let mut slopes = vec![E::Value::default(); POINTS * rows * o];
        let mut sums = vec![0.0; POINTS * c * o];
        for first in (0..n_rows).step_by(rows) {
            let len = rows.min(n_rows - first);
            let (all_values, all_slopes) = (Shared::new(&mut values), Shared::new(&mut slopes));
            (0..len).into_par_iter().for_each_init(Vec::new, |scratch: &mut Vec<E>, row| {
                self.transform_row(
                    first + row,
                    (all_values, row, rows),
                    c,
                    scratch,
                    |t, out, first, step| {
                        self.transform_source(source, t, out, first, step);
                    },
                );
                self.transform_row(
                    first + row,
                    (all_slopes, row, rows),
                    o,
                    scratch,
                    |t, out, first, step| {
                        self.transform_slopes(dy, t, out, first, step);
                    },
                );
            });
            let out = Shared::new(&mut sums);
            (0..POINTS * panels).into_par_iter().for_each(|piece| {
                let (point, first_column) = (piece / panels, piece % panels * PANEL);
                let columns = PANEL.min(o - first_column);
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
            let from = grid(|i, j| sums[(i * 6 + j) * c * o + channel * o..][..o].as_ptr());
            let to = grid(|i, j| out.at((i * 3 + j) * c * o + channel * o, o));
            // SAFETY: o sums of each point; the target channels of one source channel, which are this task's.
            #[allow(unsafe_code)]
            unsafe {
                Sandwich::<Gt<E>, f32, f32, 6, 3>::run(from, to, o, adds);
            }
        });
    }

    /// Row `row` of `rows` of every point's matrix of values: what `transform` makes of one tile, or of two neighbouring ones, joined.
    fn transform_row<E: Multiplied>(
        &self,
        tile: usize,
        (out, row, rows): (Shared<E::Value>, usize, usize),
        channels: usize,
        scratch: &mut Vec<E>,
        transform: impl Fn(usize, Shared<E>, usize, usize),
    ) {
        if let Some(out) = E::as_elements(out) {
            return transform(tile, out, row * channels, rows * channels);
        }
        let len = POINTS * channels;
        scratch.resize(E::PER * len, E::default());
        let tiles = tile * E::PER..((tile + 1) * E::PER).min(self.n_tiles());
        for (i, t) in tiles.clone().enumerate() {
            transform(t, Shared::new(scratch), i * len, channels);
        }
        let (first, second) = scratch.split_at(len);
        for point in 0..POINTS {
            let second = (tiles.len() > 1).then(|| &second[point * channels..][..channels]);
            // SAFETY: a row of each point's matrix is one task's, and all of it was set when it was made.
            #[allow(unsafe_code)]
            let to = unsafe { out.slice((point * rows + row) * channels, channels) };
            E::join(&first[point * channels..][..channels], second, to);
        }
    }

    /// Bᵀ·d·B of a tile: point p of the channels at `out[first + p·step..]`.
    fn transform_source<E: Multiplied>(
        &self,
        source: &[E],
        t: usize,
        out: Shared<E>,
        first: usize,
        step: usize,
    ) {
        let [h, w, c] = self.source.size;
        let [n, y0, x0] = self.tile(t);
        let from = grid(|i, j| {
            let y = (y0 + i).checked_sub(self.padding).filter(|&y| y < h);
            let x = (x0 + j).checked_sub(self.padding).filter(|&x| x < w);
            match (y, x) {
                (Some(y), Some(x)) => source[self.source.at(n, y, x)..][..c].as_ptr(),
                _ => ptr::null(),
            }
        });
        let to = grid(|i, j| out.at(first + (i * 6 + j) * step, c));
        // SAFETY: c values each; a tile's row of each point's matrix is one task's.
        #[allow(unsafe_code)]
        unsafe {
            Sandwich::<Bt<E>, E, E, 6, 6>::run(from, to, c, false);
        }
    }

    /// A·dy·Aᵀ of a tile, as [`Self::transform_source`].
    fn transform_slopes<E: Multiplied>(&self, dy: &[E], t: usize, out: Shared<E>, first: usize, step: usize) {
        let [h, w, o] = self.target.size;
        let [n, y0, x0] = self.tile(t);
        let from = grid(|i, j| match y0 + i < h && x0 + j < w {
            true => dy[self.target.at(n, y0 + i, x0 + j)..][..o].as_ptr(),
            false => ptr::null(),
        });
        let to = grid(|i, j| out.at(first + (i * 6 + j) * step, o));
        // SAFETY: as for the source.
        #[allow(unsafe_code)]
        unsafe {
            Sandwich::<A<E>, E, E, 4, 6>::run(from, to, o, false);
        }
    }

    /// Aᵀ·m·A of a tile's products, point p of which is at `products[p·step..]`.
    fn write_target<E: Multiplied>(
        &self,
        products: &[f32],
        [step, columns]: [usize; 2],
        t: usize,
        first_column: usize,
        bias: Option<&[f32]>,
        out: Shared<E>,
    ) {
        let [h, w, _] = self.target.size;
        let [n, y0, x0] = self.tile(t);
        let from = grid(|i, j| products[(i * 6 + j) * step..][..columns].as_ptr());
        let to = grid(|i, j| match y0 + i < h && x0 + j < w {
            true => out.at(self.target.at(n, y0 + i, x0 + j) + first_column, columns),
            false => ptr::null_mut(),
        });
        // SAFETY: `columns` products each; places inside the target, and no other task has this tile.
        #[allow(unsafe_code)]
        unsafe {
            Sandwich::<At<E>, f32, E, 6, 4>::run_with(from, to, columns, false, bias);
        }
    }
}

/// G·g·Gᵀ for each pair of channels, of the kernel (3, 3, c, o) or of it turned by 180 degrees, as the right side of products:
/// (36, c, o), source channels joined where they are multiplied so.
pub(super) fn transform_kernel<E: Multiplied>(
    kernel: &[f32],
    [c, o]: [usize; 2],
    turned: bool,
) -> Vec<E::Value> {
    let len = POINTS * c / E::PER * o;
    let mut values = vec![E::Value::default(); len];
    let out = Shared::new(&mut values);
    match E::as_elements(out) {
        Some(out) => transform_all(kernel, c * o, turned, out),
        None => transform_in_pairs::<E>(kernel, [c, o], turned, out),
    }
    values
}

/// Point p of all `channels` pairs at `out[p·channels..]`.
fn transform_all<E: Element>(kernel: &[f32], channels: usize, turned: bool, out: Shared<E>) {
    const CHUNK: usize = 1 << 12;
    (0..channels.div_ceil(CHUNK)).into_par_iter().for_each(|chunk| {
        let (first, len) = (chunk * CHUNK, CHUNK.min(channels - chunk * CHUNK));
        let from = grid(|i, j| {
            let position = if turned { 8 - (i * 3 + j) } else { i * 3 + j };
            kernel[position * channels + first..][..len].as_ptr()
        });
        let to = grid(|i, j| out.at((i * 6 + j) * channels + first, len));
        // SAFETY: `len` pairs of each point, which are this task's.
        #[allow(unsafe_code)]
        unsafe {
            Sandwich::<G<E>, f32, E, 3, 6>::run(from, to, len, false);
        }
    });
}

/// Two source channels at a time.
fn transform_in_pairs<E: Element>(kernel: &[f32], [c, o]: [usize; 2], turned: bool, out: Shared<E::Value>) {
    (0..c / 2).into_par_iter().for_each_init(
        || vec![E::default(); 2 * POINTS * o],
        |scratch, pair| {
            let place = Shared::new(scratch);
            for i in 0..2 {
                let from = grid(|y, x| {
                    let position = if turned { 8 - (y * 3 + x) } else { y * 3 + x };
                    kernel[(position * c + 2 * pair + i) * o..][..o].as_ptr()
                });
                let to = grid(|y, x| place.at((i * POINTS + y * 6 + x) * o, o));
                // SAFETY: o numbers of a source channel; the scratch is this task's.
                #[allow(unsafe_code)]
                unsafe {
                    Sandwich::<G<E>, f32, E, 3, 6>::run(from, to, o, false);
                }
            }
            let (first, second) = scratch.split_at(POINTS * o);
            for (point, (first, second)) in first.chunks_exact(o).zip(second.chunks_exact(o)).enumerate() {
                // SAFETY: a pair of source channels is one task's, and all of it was set when it was made.
                #[allow(unsafe_code)]
                let to = unsafe { out.slice((point * c / 2 + pair) * o, o) };
                E::join(first, Some(second), to);
            }
        },
    );
}
