//! Convolutions by Winograd's minimal filtering F(4×4, 3×3) (Lavin and Gray 2016): a 4×4 tile of outputs is 36 products where the
//! direct way of a 3×3 kernel takes 144.
//!
//! With the matrices Bᵀ, G and Aᵀ of the points 0, ±1, ±2 and ∞, a tile is Aᵀ((G·g·Gᵀ) ⊙ (Bᵀ·d·B))A for the kernel g and the 6×6
//! source d; ⊙, summed over channels, is a matrix product for each of the 36 points. The kernel's gradient is the same bilinear
//! map read the other way: Gᵀ(Σ over tiles (Bᵀ·d·B) ⊙ (A·dy·Aᵀ))G.
//!
//! A kernel of up to 5×5 with stride 2 is one of 3×3 with stride 1 over a [folded](Raster) picture, some of whose taps are 0: 144 products
//! a tile and channel where the direct way of a 5×5 kernel takes 400.

mod kernel;
mod raster;
mod tile;

use std::ops::Range;

use rayon::prelude::*;

use self::{
    kernel::KernelTaps,
    raster::{DEPTH, Panel, chunks, panels},
    tile::{A, At, Bt, Gt, POINTS, Sandwich, Window},
};
pub(super) use self::{
    kernel::{Kernel, transform_kernel},
    raster::{Raster, Taps},
};
use super::micro::{Correlate, OuterProducts, PANEL, Run};
use super::packing::Multiplied;
use super::shared::{Room, Shared};
use crate::geometry::Geometry;
use crate::lanes::LANES;

/// Tiles whose products are made together: a multiple of the rows that the products hold in registers.
const BLOCK: usize = 24;
/// Most tiles whose products are summed over all channels before they leave their task.
const GROUP: usize = 256;
/// Tasks for each thread, where there are tiles enough.
const TASKS: usize = 2;
/// Tiles, or pairs of them, whose outer products are summed before a kernel gradient's sums leave the registers.
const GRADIENT_BLOCK: usize = 32;

/// How far apart the matrices of two points are that have `len` values each: neighbouring points' are then not in the same places of a cache.
const fn apart(len: usize) -> usize {
    len + LANES
}

/// A correlation of stride 1 of folded rasters, by 3×3 kernels: target(y, x) = Σ kernel(ky, kx) · source(y + ky − padding, x + kx − padding).
#[derive(Debug, Clone, Copy)]
pub(super) struct Winograd {
    pub(super) n: usize,
    pub(super) source: Raster,
    pub(super) padding: usize,
    pub(super) target: Raster,
    pub(super) taps: Taps,
}

impl Winograd {
    /// A forward pass as tiles, where they pay.
    pub(super) fn forward(g: &Geometry) -> Option<Self> {
        let taps = Self::pays([g.kh, g.kw], g.stride, g.padding, [g.c, g.o])?;
        let (source, target) =
            (Raster::whole([g.h, g.w, g.c], g.stride), Raster::whole([g.oh, g.ow, g.o], 1));
        Some(Self { n: g.n, source, padding: taps.padding, target, taps })
    }

    /// The images' gradient as tiles, where they pay: the correlation of the maps with the turned kernel.
    pub(super) fn input_gradient(g: &Geometry) -> Option<Self> {
        let Self { n, source, padding, target, taps } = Self::forward(g)?;
        let taps = taps.turned();
        Some(Self { n, source: target, padding: 2 - padding, target: source, taps })
    }

    /// The taps of tiles, where they pay: channels fill whole vectors, and there are enough to hide the transforms.
    pub(super) fn pays(
        kernel: [usize; 2],
        stride: usize,
        padding: usize,
        channels: [usize; 2],
    ) -> Option<Taps> {
        let fills = |c: usize| c.is_multiple_of(LANES) && c >= 2 * LANES;
        let pays = match stride {
            1 => kernel == [3, 3],
            2 => kernel[0] > 3,
            _ => false,
        };
        Taps::of(kernel, stride, padding).filter(|_| pays && channels.into_iter().all(fills))
    }

    fn tiles(&self) -> [usize; 2] {
        self.target.folded().map(|size| size.div_ceil(4))
    }

    fn n_tiles(&self) -> usize {
        self.n * self.tiles()[0] * self.tiles()[1]
    }

    /// Picture, and first row and column, of a tile.
    fn tile(&self, t: usize) -> (usize, [usize; 2]) {
        let [rows, columns] = self.tiles();
        (t / (rows * columns), [t / columns % rows * 4, t % columns * 4])
    }

    /// Source and kernel → target; where there is a bias it is added, and nothing is below 0 then.
    pub(super) fn correlate<E: Multiplied>(
        &self,
        source: &[E],
        kernel: Kernel<'_, E::Value>,
        bias: Option<&[f32]>,
        out: Shared<E>,
    ) {
        let [c, o] = [self.source.size[2], self.target.size[2]];
        let depth = self.source.phases() * c / E::PER;
        let n_tiles = self.n_tiles();
        let zeros = vec![E::Value::default(); DEPTH / E::PER];
        let panels = panels(self.target.phases(), o);
        // All sums of a tile and a panel are one task's: however tiles are grouped, the results are the same bits.
        let wanted = (TASKS * rayon::current_num_threads()).div_ceil(panels.len());
        let groups = wanted.min(n_tiles.div_ceil(BLOCK)).max(n_tiles.div_ceil(GROUP));
        let group = n_tiles.div_ceil(groups.max(1)).max(1);
        let groups = n_tiles.div_ceil(group);
        let scratch = || Scratch::<E> {
            values: Room::new(POINTS * apart(BLOCK * DEPTH)),
            products: Room::new(POINTS * apart(group * PANEL)),
            kernel: Room::new(POINTS * apart(DEPTH / E::PER * PANEL)),
            turned: Room::new(if self.taps.is_turned { 9 * DEPTH * PANEL } else { 0 }),
            elements: Vec::new(),
        };
        let out_offsets: Vec<u32> = (0..BLOCK).map(|row| (row * PANEL) as u32).collect();
        (0..groups * panels.len()).into_par_iter().for_each_init(scratch, |scratch, task| {
            let tiles = task / panels.len() * group..((task / panels.len() + 1) * group).min(n_tiles);
            let panel = panels[task % panels.len()];
            let Scratch { values: sources, products, kernel: own, turned, elements } = scratch;
            let (sources, products, own) = (sources.values(), products.values(), own.values());
            let turned = turned.values();
            let mut k = 0;
            for (phase, channels) in chunks(self.source.phases(), c, DEPTH) {
                let (len, values) = (channels.len(), channels.len() / E::PER);
                // Where a point's rows begin, and how far apart the points are.
                let (right, first, step) = match kernel {
                    Kernel::Plain(kernel) => {
                        let phase = phase + panel.phase;
                        let taps = match self.taps.is_turned {
                            true => {
                                KernelTaps::turned(kernel, self.taps, [c, o], phase, panel, &channels, turned)
                            }
                            false => KernelTaps::new(kernel, self.taps, [c, o], phase, panel, channels.start),
                        };
                        let (place, step) = (Shared::new(own), apart(DEPTH / E::PER * PANEL));
                        for value in 0..values {
                            taps.transform::<E>(value, elements, place, value * panel.columns, step);
                        }
                        (&own[..], 0, step)
                    }
                    Kernel::Transformed(kernel) => {
                        let before = POINTS * depth * (panel.phase * o + panel.first);
                        (kernel, before + k * panel.columns, depth * panel.columns)
                    }
                };
                let offsets: Vec<u32> = (0..BLOCK).map(|row| (row * values) as u32).collect();
                for block in tiles.clone().step_by(BLOCK) {
                    let rows = BLOCK.min(tiles.end - block);
                    let place = Shared::new(sources);
                    let source_step = apart(BLOCK * DEPTH);
                    for row in 0..rows {
                        let channels = (phase, &channels);
                        self.transform_source(source, block + row, channels, place, row * len, source_step);
                    }
                    for point in 0..POINTS {
                        let first_product = point * apart(group * PANEL) + (block - tiles.start) * PANEL;
                        let product = Correlate {
                            left: E::values(&sources[point * source_step..][..rows * len]),
                            offsets: &offsets[..rows],
                            runs: &[Run { len: values, right_row: 0 }],
                            zeros: &zeros,
                            right: &right[first + point * step..][..values * panel.columns],
                            step: panel.columns,
                            first_column: 0,
                            columns: panel.columns,
                            out: Shared::new(&mut products[first_product..][..rows * PANEL]),
                            out_offsets: &out_offsets[..rows],
                            add: k > 0,
                            bias: None,
                        };
                        // SAFETY: the products are this task's own.
                        #[allow(unsafe_code)]
                        unsafe {
                            product.run();
                        }
                    }
                }
                k += values;
            }
            let bias = bias.map(|bias| &bias[panel.first..][..panel.columns]);
            for (row, t) in tiles.enumerate() {
                self.write_target((products, row * PANEL, apart(group * PANEL)), t, panel, bias, out);
            }
        });
    }

    /// Source and target's gradient → kernel's gradient (kh, kw, source channels, target channels), written or added.
    pub(super) fn kernel_gradient<E: Multiplied>(
        &self,
        source: &[E],
        dy: &[E],
        gradient: &mut [f32],
        adds: bool,
    ) {
        let [c, o] = [self.source.size[2], self.target.size[2]];
        let n_tiles = self.n_tiles();
        // Tiles, or pairs of them.
        let n_rows = n_tiles.div_ceil(E::PER);
        let rows = GRADIENT_BLOCK.min(n_rows);
        let out = Shared::new(gradient);
        let panels = panels(1, o);
        // Few channels are cut further, for the threads that there are; each sum is one task's, and the same bits, anyway.
        let tasks = |depth: usize| self.source.phases() * c.div_ceil(depth) * panels.len();
        let wanted = TASKS * rayon::current_num_threads();
        let depth = [DEPTH, DEPTH / 2].into_iter().find(|&depth| tasks(depth) >= wanted).unwrap_or(LANES);
        let chunks: Vec<_> = chunks(self.source.phases(), c, depth).collect();
        let scratch = || {
            let values = Room::<E::Value>::new(POINTS * apart(rows * DEPTH));
            let slopes = Room::<E::Value>::new(POINTS * apart(rows * PANEL));
            (values, slopes, Room::<f32>::new(POINTS * apart(DEPTH * PANEL)), Vec::new())
        };
        (0..chunks.len() * panels.len()).into_par_iter().for_each_init(scratch, |scratch, task| {
            let (values, slopes, sums, elements) = scratch;
            let (values, slopes, sums) = (values.values(), slopes.values(), sums.values());
            let ((phase, channels), panel) = (&chunks[task / panels.len()], panels[task % panels.len()]);
            let (depth, columns) = (channels.len(), panel.columns);
            for first in (0..n_rows).step_by(rows) {
                let len = rows.min(n_rows - first);
                let (all_values, all_slopes) = (Shared::new(values), Shared::new(slopes));
                for row in 0..len {
                    let place = (all_values, row * depth, apart(rows * DEPTH));
                    self.transform_row(first + row, place, depth, elements, |t, out, first, step| {
                        self.transform_source(source, t, (*phase, channels), out, first, step);
                    });
                    let place = (all_slopes, row * columns, apart(rows * PANEL));
                    self.transform_row(first + row, place, columns, elements, |t, out, first, step| {
                        self.transform_slopes(dy, t, panel, out, first, step);
                    });
                }
                let pairs: Vec<(u32, u32)> =
                    (0..len).map(|row| ((row * depth) as u32, (row * columns) as u32)).collect();
                for point in 0..POINTS {
                    let products = OuterProducts {
                        left: &values[point * apart(rows * DEPTH)..][..rows * depth],
                        rows: depth,
                        right: &slopes[point * apart(rows * PANEL)..][..rows * columns],
                        columns,
                        pairs: &pairs,
                        out: Shared::new(sums),
                        out_offset: point * apart(DEPTH * PANEL),
                        out_step: columns,
                        add: first > 0,
                    };
                    // SAFETY: the sums are this task's own.
                    #[allow(unsafe_code)]
                    unsafe {
                        products.run();
                    }
                }
            }
            for (i, channel) in channels.clone().enumerate() {
                let from = Window::even(i * columns, apart(DEPTH * PANEL));
                let to = self.taps.window(*phase, channel * o + panel.first, c * o);
                let back = Sandwich::<Gt<E>, f32, f32, 6, 3>::new(sums, from, out, to, columns);
                // SAFETY: target channels of a source channel and of taps of one phase, which are this task's.
                #[allow(unsafe_code)]
                unsafe {
                    back.adding(adds).run();
                }
            }
        });
    }

    /// A row of every point's matrix of values, that of point p at `out[at + p·step..]`: what `transform` makes of one tile, or of two neighbouring ones, joined.
    fn transform_row<E: Multiplied>(
        &self,
        tile: usize,
        (out, at, step): (Shared<E::Value>, usize, usize),
        channels: usize,
        scratch: &mut Vec<E>,
        transform: impl Fn(usize, Shared<E>, usize, usize),
    ) {
        if let Some(out) = E::as_elements(out) {
            return transform(tile, out, at, step);
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
            // SAFETY: a row of each point's matrix is written by one task, and all of it was set when it was made.
            #[allow(unsafe_code)]
            let to = unsafe { out.slice(at + point * step, channels) };
            E::join(&first[point * channels..][..channels], second, to);
        }
    }

    /// Bᵀ·d·B of a tile's channels of one phase: point p at `out[first + p·step..]`.
    fn transform_source<E: Multiplied>(
        &self,
        source: &[E],
        t: usize,
        (phase, channels): (usize, &Range<usize>),
        out: Shared<E>,
        first: usize,
        step: usize,
    ) {
        let (n, at) = self.tile(t);
        let from = self.source.window(n, phase, at, self.padding, channels.start);
        let to = Window::even(first, step);
        let transform = Sandwich::<Bt<E>, E, E, 6, 6>::new(source, from, out, to, channels.len());
        // SAFETY: a tile's row of each point's matrix is written by one task.
        #[allow(unsafe_code)]
        unsafe {
            transform.run();
        }
    }

    /// A·dy·Aᵀ of a tile's channels of one panel, as [`Self::transform_source`].
    fn transform_slopes<E: Multiplied>(
        &self,
        dy: &[E],
        t: usize,
        panel: Panel,
        out: Shared<E>,
        first: usize,
        step: usize,
    ) {
        let (n, at) = self.tile(t);
        let from = self.target.window(n, panel.phase, at, 0, panel.first);
        let to = Window::even(first, step);
        let transform = Sandwich::<A<E>, E, E, 4, 6>::new(dy, from, out, to, panel.columns);
        // SAFETY: as for the source.
        #[allow(unsafe_code)]
        unsafe {
            transform.run();
        }
    }

    /// Aᵀ·m·A of a tile's products, point p of which is at `products[first + p·step..]`.
    fn write_target<E: Multiplied>(
        &self,
        (products, first, step): (&[f32], usize, usize),
        t: usize,
        panel: Panel,
        bias: Option<&[f32]>,
        out: Shared<E>,
    ) {
        let (n, at) = self.tile(t);
        let (from, to) = (Window::even(first, step), self.target.window(n, panel.phase, at, 0, panel.first));
        let back = Sandwich::<At<E>, f32, E, 6, 4>::new(products, from, out, to, panel.columns);
        // SAFETY: no other task has this panel of this tile.
        #[allow(unsafe_code)]
        unsafe {
            back.with_bias(bias).run();
        }
    }
}

/// What one task fills again and again.
struct Scratch<E: Multiplied> {
    values: Room<E>,
    products: Room<f32>,
    kernel: Room<E::Value>,
    turned: Room<f32>,
    elements: Vec<E>,
}
