//! Convolutions by Winograd's minimal filtering F(4×4, 3×3) (Lavin and Gray 2016): a 4×4 tile of outputs is 36 products where the
//! direct way of a 3×3 kernel takes 144.
//!
//! With the matrices Bᵀ, G and Aᵀ of the points 0, ±1, ±2 and ∞, a tile is Aᵀ((G·g·Gᵀ) ⊙ (Bᵀ·d·B))A for the kernel g and the 6×6
//! source d; ⊙, summed over channels, is a matrix product for each of the 36 points. The kernel's gradient is the same bilinear
//! map read the other way: Gᵀ(Σ over tiles (Bᵀ·d·B) ⊙ (A·dy·Aᵀ))G.
//!
//! A kernel of up to 5×5 with stride 2 is one of 3×3 with stride 1 over a [folded](Raster) picture, some of whose taps are 0: 144 products
//! a tile and channel where the direct way of a 5×5 kernel takes 400.

use std::{ops::Range, ptr};

use rayon::prelude::*;

use super::micro::{Correlate, OuterProducts, PANEL, Run};
use super::packing::Multiplied;
use super::shared::Shared;
use super::tile::{A, At, Bt, G, Gt, Sandwich, grid};
use crate::geometry::Geometry;
use crate::lanes::LANES;

const POINTS: usize = 36;
/// Tiles whose products are made together: a multiple of the rows that the products hold in registers.
const BLOCK: usize = 48;
/// Channels that are transformed together, and whose products are then summed: with [`BLOCK`] tiles they stay in L2.
const DEPTH: usize = 64;
/// Panels of target channels for which a source is transformed once.
const PANELS: usize = 2;
/// Tiles, or pairs of them, whose outer products are summed before a kernel gradient's sums leave the registers.
const GRADIENT_BLOCK: usize = 64;

/// Rasters of which some neighbouring channels are meant.
///
/// Folded by f, each f×f positions are one of f² times the channels: what is f apart becomes neighbours. Each of these f² phases has all
/// channels that are meant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Raster {
    /// Rows, columns and the channels that are meant.
    pub(super) size: [usize; 3],
    /// All channels that there are.
    pub(super) step: usize,
    /// The first that is meant.
    pub(super) first: usize,
    /// Rows, and columns, that are folded into one.
    pub(super) fold: usize,
}

impl Raster {
    /// All channels.
    pub(super) fn whole(size: [usize; 3], fold: usize) -> Self {
        Self { size, step: size[2], first: 0, fold }
    }

    fn phases(&self) -> usize {
        self.fold * self.fold
    }

    /// Rows and columns of the folded raster.
    fn folded(&self) -> [usize; 2] {
        [self.size[0].div_ceil(self.fold), self.size[1].div_ceil(self.fold)]
    }

    /// Where a phase's values of a picture's folded position begin; none outside.
    fn at(&self, n: usize, phase: usize, y: Option<usize>, x: Option<usize>) -> Option<usize> {
        let (y, x) = (y? * self.fold + phase / self.fold, x? * self.fold + phase % self.fold);
        let inside = y < self.size[0] && x < self.size[1];
        inside.then(|| ((n * self.size[0] + y) * self.size[1] + x) * self.step + self.first)
    }
}

/// Which tap of a convolution's kernel each tap of each phase's 3×3 kernel is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taps {
    /// Rows and columns of the kernel.
    size: usize,
    fold: usize,
    /// Positions of the folded raster before the first.
    padding: usize,
    /// Rows of the first phase's first tap above the kernel.
    shift: usize,
    /// The 3×3 kernels are turned by 180 degrees.
    turned: bool,
}

impl Taps {
    /// Of a kernel whose phases' taps are no more than 3×3.
    pub(super) fn of([kh, kw]: [usize; 2], fold: usize, padding: usize) -> Option<Self> {
        let folded = padding.div_ceil(fold);
        let shift = folded * fold - padding;
        // The last tap's place in its phase.
        let last = (kh + shift).saturating_sub(1) / fold;
        (kh == kw && last < 3 && folded < 3).then_some(Self {
            size: kh,
            fold,
            padding: folded,
            shift,
            turned: false,
        })
    }

    fn tap(&self, phase: usize, i: usize, j: usize) -> Option<usize> {
        let of = |i: usize, phase: usize| {
            let i = if self.turned { 2 - i } else { i };
            (i * self.fold + phase).checked_sub(self.shift).filter(|&tap| tap < self.size)
        };
        Some(of(i, phase / self.fold)? * self.size + of(j, phase % self.fold)?)
    }
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
        let taps = Taps { turned: true, ..taps };
        Some(Self { n, source: target, padding: 2 - padding, target: source, taps })
    }

    /// Whether it pays: channels fill whole vectors, and there are enough to hide the transforms.
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

    /// Picture and first row and column of a tile.
    fn tile(&self, t: usize) -> [usize; 3] {
        let [rows, columns] = self.tiles();
        [t / (rows * columns), t / columns % rows * 4, t % columns * 4]
    }

    /// Kernel (kh, kw, source channels, target channels) → target.
    pub(super) fn correlate<E: Multiplied>(&self, source: &[E], kernel: &[f32], out: Shared<E>) {
        let (sources, targets) = (self.source.phases(), self.target.phases());
        let channels = [self.source.size[2], self.target.size[2]];
        let kernel = transform_kernel::<E>(kernel, self.taps, channels, [sources, targets]);
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
        let [c, o] = [self.source.size[2], self.target.size[2]];
        let depth = self.source.phases() * c / E::PER;
        let n_tiles = self.n_tiles();
        let zeros = vec![E::Value::default(); DEPTH / E::PER];
        let panels = panels(self.target.phases(), o);
        let blocks = n_tiles.div_ceil(BLOCK);
        let groups = panels.len().div_ceil(PANELS);
        (0..blocks * groups).into_par_iter().for_each_init(
            || (vec![E::default(); POINTS * BLOCK * DEPTH], vec![0.0; POINTS * BLOCK * PANELS * PANEL]),
            |(values, products), task| {
                let first = task / groups * BLOCK;
                let tiles = first..(first + BLOCK).min(n_tiles);
                let rows = tiles.len();
                let group = task % groups * PANELS;
                let panels = &panels[group..(group + PANELS).min(panels.len())];
                let mut k = 0;
                for (phase, channels) in chunks(self.source.phases(), c) {
                    let len = channels.len();
                    let place = Shared::new(values);
                    for (row, t) in tiles.clone().enumerate() {
                        self.transform_source(source, t, (phase, &channels), place, row * len, rows * len);
                    }
                    let offsets: Vec<u32> = (0..rows).map(|row| (row * len / E::PER) as u32).collect();
                    let runs = [Run { len: len / E::PER, right_row: k }];
                    for point in 0..POINTS {
                        for (i, panel) in panels.iter().enumerate() {
                            let products =
                                &mut products[(i * POINTS + point) * BLOCK * PANEL..][..BLOCK * PANEL];
                            let out_offsets: Vec<u32> = (0..rows).map(|row| (row * PANEL) as u32).collect();
                            let block = Correlate {
                                left: E::values(&values[point * rows * len..][..rows * len]),
                                offsets: &offsets,
                                runs: &runs,
                                zeros: &zeros,
                                right: &kernel[(panel.phase * POINTS + point) * depth * o..][..depth * o],
                                step: o,
                                first_column: panel.first,
                                columns: panel.columns,
                                out: Shared::new(products),
                                out_offsets: &out_offsets,
                                add: k > 0,
                                bias: None,
                            };
                            // SAFETY: the products are this task's own.
                            #[allow(unsafe_code)]
                            unsafe {
                                block.run();
                            }
                        }
                    }
                    k += len / E::PER;
                }
                for (row, t) in tiles.clone().enumerate() {
                    for (panel, products) in panels.iter().zip(products.chunks_exact(POINTS * BLOCK * PANEL))
                    {
                        let bias = bias.map(|bias| &bias[panel.first..][..panel.columns]);
                        self.write_target(&products[row * PANEL..], t, *panel, bias, out);
                    }
                }
            },
        );
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
        let chunks: Vec<_> = chunks(self.source.phases(), c).collect();
        let scratch = || {
            let values = vec![E::Value::default(); POINTS * rows * DEPTH];
            let slopes = vec![E::Value::default(); POINTS * rows * PANEL];
            (values, slopes, vec![0.0; POINTS * DEPTH * PANEL], Vec::new())
        };
        (0..chunks.len() * panels.len()).into_par_iter().for_each_init(scratch, |scratch, task| {
            let (values, slopes, sums, elements) = scratch;
            let ((phase, channels), panel) = (&chunks[task / panels.len()], panels[task % panels.len()]);
            let (depth, columns) = (channels.len(), panel.columns);
            for first in (0..n_rows).step_by(rows) {
                let len = rows.min(n_rows - first);
                let (all_values, all_slopes) = (Shared::new(values), Shared::new(slopes));
                for row in 0..len {
                    let place = (all_values, row, rows);
                    self.transform_row(first + row, place, depth, elements, |t, out, first, step| {
                        self.transform_source(source, t, (*phase, channels), out, first, step);
                    });
                    let place = (all_slopes, row, rows);
                    self.transform_row(first + row, place, columns, elements, |t, out, first, step| {
                        self.transform_slopes(dy, t, panel, out, first, step);
                    });
                }
                let pairs: Vec<(u32, u32)> =
                    (0..len).map(|row| ((row * depth) as u32, (row * columns) as u32)).collect();
                for point in 0..POINTS {
                    let products = OuterProducts {
                        left: &values[point * rows * depth..][..rows * depth],
                        rows: depth,
                        right: &slopes[point * rows * columns..][..rows * columns],
                        columns,
                        pairs: &pairs,
                        out: Shared::new(sums),
                        out_offset: point * depth * columns,
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
                let from = grid(|y, x| sums[((y * 6 + x) * depth + i) * columns..][..columns].as_ptr());
                let to = grid(|y, x| match self.taps.tap(*phase, y, x) {
                    Some(tap) => out.at((tap * c + channel) * o + panel.first, columns),
                    None => ptr::null_mut(),
                });
                // SAFETY: as many sums of each point; target channels of a source channel and of taps of one phase, which are this task's.
                #[allow(unsafe_code)]
                unsafe {
                    Sandwich::<Gt<E>, f32, f32, 6, 3>::run(from, to, columns, adds);
                }
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
            // SAFETY: a row of each point's matrix is written by one task, and all of it was set when it was made.
            #[allow(unsafe_code)]
            let to = unsafe { out.slice((point * rows + row) * channels, channels) };
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
        let [n, y0, x0] = self.tile(t);
        let len = channels.len();
        let from = grid(|i, j| {
            let (y, x) = ((y0 + i).checked_sub(self.padding), (x0 + j).checked_sub(self.padding));
            match self.source.at(n, phase, y, x) {
                Some(at) => source[at + channels.start..][..len].as_ptr(),
                None => ptr::null(),
            }
        });
        let to = grid(|i, j| out.at(first + (i * 6 + j) * step, len));
        // SAFETY: as many values each; a tile's row of each point's matrix is written by one task.
        #[allow(unsafe_code)]
        unsafe {
            Sandwich::<Bt<E>, E, E, 6, 6>::run(from, to, len, false);
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
        let [n, y0, x0] = self.tile(t);
        let from = grid(|i, j| match self.target.at(n, panel.phase, Some(y0 + i), Some(x0 + j)) {
            Some(at) => dy[at + panel.first..][..panel.columns].as_ptr(),
            None => ptr::null(),
        });
        let to = grid(|i, j| out.at(first + (i * 6 + j) * step, panel.columns));
        // SAFETY: as for the source.
        #[allow(unsafe_code)]
        unsafe {
            Sandwich::<A<E>, E, E, 4, 6>::run(from, to, panel.columns, false);
        }
    }

    /// Aᵀ·m·A of a tile's products, point p of which is at `products[p·BLOCK·PANEL..]`.
    fn write_target<E: Multiplied>(
        &self,
        products: &[f32],
        t: usize,
        panel: Panel,
        bias: Option<&[f32]>,
        out: Shared<E>,
    ) {
        let [n, y0, x0] = self.tile(t);
        let from = grid(|i, j| products[(i * 6 + j) * BLOCK * PANEL..][..panel.columns].as_ptr());
        let to = grid(|i, j| match self.target.at(n, panel.phase, Some(y0 + i), Some(x0 + j)) {
            Some(at) => out.at(at + panel.first, panel.columns),
            None => ptr::null_mut(),
        });
        // SAFETY: as many products each; places inside the target, and no other task has this panel of this tile.
        #[allow(unsafe_code)]
        unsafe {
            Sandwich::<At<E>, f32, E, 6, 4>::run_with(from, to, panel.columns, false, bias);
        }
    }
}

/// G·g·Gᵀ for each pair of channels of each phase, of the kernel (kh, kw, c source channels, o target channels), as the right sides of
/// products: (target phase, point, (source phase, source channel), target channel), source channels joined where they are
/// multiplied so.
pub(super) fn transform_kernel<E: Multiplied>(
    kernel: &[f32],
    taps: Taps,
    [c, o]: [usize; 2],
    [sources, targets]: [usize; 2],
) -> Vec<E::Value> {
    let mut values = vec![E::Value::default(); sources * targets * POINTS * c / E::PER * o];
    let out = Shared::new(&mut values);
    (0..sources * targets * c / E::PER).into_par_iter().for_each_init(
        Vec::new,
        |scratch: &mut Vec<E>, row| {
            // Of values: of one channel, or of two.
            let (phase, channel) = (row / (c / E::PER), row % (c / E::PER));
            let depth = sources * c / E::PER;
            let matrix = |point| phase / sources * POINTS + point;
            let place = |point| (matrix(point) * depth + phase % sources * c / E::PER + channel) * o;
            let from = |channel: usize| {
                grid(|i, j| match taps.tap(phase, i, j) {
                    Some(tap) => kernel[(tap * c + channel) * o..][..o].as_ptr(),
                    None => ptr::null(),
                })
            };
            if let Some(out) = E::as_elements(out) {
                let to = grid(|i, j| out.at(place(i * 6 + j), o));
                // SAFETY: o numbers of each point, which are this task's.
                #[allow(unsafe_code)]
                unsafe {
                    Sandwich::<G<E>, f32, E, 3, 6>::run(from(channel), to, o, false);
                }
                return;
            }
            scratch.resize(2 * POINTS * o, E::default());
            let own = Shared::new(scratch);
            for i in 0..2 {
                let to = grid(|y, x| own.at((i * POINTS + y * 6 + x) * o, o));
                // SAFETY: o numbers of a source channel; the scratch is this task's.
                #[allow(unsafe_code)]
                unsafe {
                    Sandwich::<G<E>, f32, E, 3, 6>::run(from(2 * channel + i), to, o, false);
                }
            }
            let (first, second) = scratch.split_at(POINTS * o);
            for (point, (first, second)) in first.chunks_exact(o).zip(second.chunks_exact(o)).enumerate() {
                // SAFETY: a pair of source channels is one task's, and all of it was set when it was made.
                #[allow(unsafe_code)]
                let to = unsafe { out.slice(place(point), o) };
                E::join(first, Some(second), to);
            }
        },
    );
    values
}

/// Some neighbouring target channels of one phase.
#[derive(Debug, Clone, Copy)]
struct Panel {
    phase: usize,
    first: usize,
    columns: usize,
}

/// All of them, no more than [`PANEL`] at a time.
fn panels(phases: usize, channels: usize) -> Vec<Panel> {
    let of = |phase| {
        let firsts = (0..channels).step_by(PANEL);
        firsts.map(move |first| Panel { phase, first, columns: PANEL.min(channels - first) })
    };
    (0..phases).flat_map(of).collect()
}

/// Source channels of each phase, no more than [`DEPTH`] at a time.
fn chunks(phases: usize, channels: usize) -> impl Iterator<Item = (usize, Range<usize>)> {
    let of = move |phase| {
        let firsts = (0..channels).step_by(DEPTH);
        firsts.map(move |first| (phase, first..(first + DEPTH).min(channels)))
    };
    (0..phases).flat_map(of)
}
