//! The three kernels of a convolution on the CPU.
//!
//! Work is cut by sizes alone, never by the number of threads, and every sum has a fixed order: results do not depend
//! on how many threads there are.

mod columns;
mod correlation;
mod fixed;
mod micro;
mod tile;
mod winograd;

pub(crate) use fixed::{Fixed, Place};

use std::borrow::Cow;

use rayon::prelude::*;

use self::{
    columns::FEW_CHANNELS,
    correlation::{Correlation, Tap},
    micro::{Correlate, LANES, OuterProducts, Run, Shared, panel},
    winograd::{Raster, Winograd},
};
use crate::geometry::Geometry;

/// Map positions whose outer products are summed before the sums go back to memory: a block of maps stays in L2.
const POSITIONS: usize = 512;
/// Map positions whose patches are made before they are added to an image: they stay in L2.
const PATCHES: usize = 240;
/// Least number of pieces that a kernel gradient is cut into, for many cores.
const PIECES: usize = 16;

/// Images (n, h, w, c) and kernel (kh, kw, c, o) → maps (n, oh, ow, o).
pub(super) fn forward(g: &Geometry, images: &[f32], kernel: &[f32]) -> Vec<f32> {
    if let Some(winograd) = winograd(g) {
        // SAFETY: the tiles cover the maps.
        #[allow(unsafe_code)]
        return unsafe { Shared::fill(g.n * g.map_len(), |maps| winograd.correlate(images, kernel, maps)) };
    }
    let kernel = widen(kernel, g.o);
    let taps = (0..g.kh * g.kw).map(|k| {
        let at = |k: usize| k as isize - g.padding as isize;
        Tap { dy: at(k / g.kw), dx: at(k % g.kw), kernel: k }
    });
    let correlation = Correlation {
        n: g.n,
        source: [g.h, g.w, g.c],
        step: g.stride,
        taps: taps.collect(),
        positions: [g.oh, g.ow],
        target: [g.oh, g.ow, g.o],
        target_first: [0, 0],
        target_step: 1,
    };
    // SAFETY: the correlation writes every position of the maps.
    #[allow(unsafe_code)]
    unsafe {
        Shared::fill(g.n * g.map_len(), |maps| correlation.run(images, &kernel, maps))
    }
}

/// Maps' gradient (n, oh, ow, o) and kernel (kh, kw, c, o) → images' gradient (n, h, w, c).
///
/// Image positions of one remainder by the stride meet the same kernel positions: for each of the stride² remainders this is
/// a plain correlation of the maps with those.
pub(super) fn input_gradient(g: &Geometry, maps: &[f32], kernel: &[f32]) -> Vec<f32> {
    if winograd(g).is_some() {
        // The gradient is the correlation of the maps with the kernel turned by 180 degrees.
        let (source, target) = (Raster::whole([g.oh, g.ow, g.o]), Raster::whole([g.h, g.w, g.c]));
        let kernel = widen_transposed(g, kernel);
        let winograd = Winograd { n: g.n, source, padding: 2 - g.padding, target, turned: true };
        // SAFETY: the tiles cover the images.
        #[allow(unsafe_code)]
        return unsafe {
            Shared::fill(g.n * g.image_len(), |images| winograd.correlate(maps, &kernel, images))
        };
    }
    if g.c < FEW_CHANNELS && g.kh * g.kw > 1 {
        return few_channels_gradient(g, maps, kernel);
    }
    let kernel = widen_transposed(g, kernel);
    let write = |images| {
        for phase in 0..g.stride * g.stride {
            let first = [phase / g.stride, phase % g.stride];
            let positions = [0, 1].map(|d| ([g.h, g.w][d] + g.stride - 1 - first[d]) / g.stride);
            // The map position whose kernel position `k` meets the first image position, if there is one.
            let meets = |d: usize, k: usize| {
                let shifted = (first[d] + g.padding) as isize - k as isize;
                (shifted.rem_euclid(g.stride as isize) == 0).then(|| shifted.div_euclid(g.stride as isize))
            };
            let taps = (0..g.kh * g.kw)
                .filter_map(|k| Some(Tap { dy: meets(0, k / g.kw)?, dx: meets(1, k % g.kw)?, kernel: k }));
            let correlation = Correlation {
                n: g.n,
                source: [g.oh, g.ow, g.o],
                step: 1,
                taps: taps.collect(),
                positions,
                target: [g.h, g.w, g.c],
                target_first: first,
                target_step: g.stride,
            };
            correlation.run(maps, &kernel, images);
        }
    };
    // SAFETY: every image position has one of the remainders.
    #[allow(unsafe_code)]
    unsafe {
        Shared::fill(g.n * g.image_len(), write)
    }
}

/// [`input_gradient`] where images have so few channels that they would leave most of a vector empty: each map position's
/// whole patch at once, added to the image.
fn few_channels_gradient(g: &Geometry, maps: &[f32], kernel: &[f32]) -> Vec<f32> {
    let (patch, step) = (g.patch(), g.patch().next_multiple_of(LANES));
    // (kh, kw, c, o) → (o, (kh, kw, c)), rows made whole vectors.
    let mut turned = vec![0.0; g.o * step];
    for (row, values) in kernel.chunks_exact(g.o).enumerate() {
        values.iter().enumerate().for_each(|(o, &value)| turned[o * step + row] = value);
    }
    let runs = [Run { len: g.o, right_row: 0 }];
    let zeros = vec![0.0; g.o];
    let panel = panel();
    let mut images = vec![0.0; g.n * g.image_len()];
    images.par_chunks_exact_mut(g.image_len()).zip(maps.par_chunks_exact(g.map_len())).for_each_init(
        Vec::new,
        |columns: &mut Vec<f32>, (image, map)| {
            for (tile, rows) in map.chunks(PATCHES * g.o).enumerate() {
                let n_rows = rows.len() / g.o;
                columns.resize(n_rows * step, 0.0);
                let offsets: Vec<u32> = (0..n_rows).map(|row| (row * g.o) as u32).collect();
                for first_column in (0..patch).step_by(panel) {
                    let out_offsets: Vec<u32> =
                        (0..n_rows).map(|row| (row * step + first_column) as u32).collect();
                    let block = Correlate {
                        left: rows,
                        offsets: &offsets,
                        runs: &runs,
                        zeros: &zeros,
                        right: &turned,
                        step,
                        first_column,
                        columns: panel.min(step - first_column),
                        out: Shared::new(columns),
                        out_offsets: &out_offsets,
                        add: false,
                        bias: None,
                    };
                    // SAFETY: rows of `step` values of this task's own scratch.
                    #[allow(unsafe_code)]
                    unsafe {
                        block.run();
                    }
                }
                columns::scatter(g, columns, step, tile * PATCHES, image);
            }
        },
    );
    images
}

/// Images (n, h, w, c) and maps' gradient (n, oh, ow, o) → kernel's gradient (kh, kw, c, o), written to `gradient` or added.
pub(super) fn kernel_gradient(g: &Geometry, images: &[f32], maps: &[f32], gradient: &mut [f32], adds: bool) {
    if let Some(winograd) = winograd(g) {
        return winograd.kernel_gradient(images, maps, gradient, adds);
    }
    let maps = widen(maps, g.o);
    // Offsets are 32 bits wide.
    assert!(images.len().max(maps.len()) < u32::MAX as usize);
    let n_positions = g.n * g.oh * g.ow;
    let gathers = g.c < FEW_CHANNELS;
    let (n_taps, rows) = if gathers { (1, g.patch()) } else { (g.kh * g.kw, g.c) };
    let panel = panel();
    let panels = g.o.div_ceil(panel);
    let parts = PIECES.div_ceil(n_taps * panels).min(n_positions.div_ceil(POSITIONS)).max(1);
    let part = n_positions.div_ceil(parts).next_multiple_of(POSITIONS);
    let len = g.patch() * g.o;
    assert_eq!(gradient.len(), len);
    let mut others = vec![0.0; (parts - 1) * len];
    let out = [Shared::new(gradient), Shared::new(&mut others)];
    (0..parts * n_taps * panels).into_par_iter().for_each_init(Scratch::default, |scratch, piece| {
        let (first_column, tap, part_idx) =
            (piece % panels * panel, piece / panels % n_taps, piece / panels / n_taps);
        let end = ((part_idx + 1) * part).min(n_positions);
        let mut block = part_idx * part;
        let mut add = adds && part_idx == 0;
        loop {
            let positions = block..(block + POSITIONS).min(end).max(block);
            scratch.fill(g, images, gathers, tap, positions, first_column);
            let products = OuterProducts {
                left: if gathers { &scratch.columns } else { images },
                rows,
                right: &maps,
                columns: panel.min(g.o - first_column),
                pairs: &scratch.pairs,
                out: out[part_idx.min(1)],
                out_offset: part_idx.saturating_sub(1) * len + tap * rows * g.o + first_column,
                out_step: g.o,
                add,
            };
            // SAFETY: a piece is one tap's rows and one panel's columns of one part's sums, all inside `gradient` or `others`.
            #[allow(unsafe_code)]
            unsafe {
                products.run();
            }
            (block, add) = (block + POSITIONS, true);
            if block >= end {
                break;
            }
        }
    });
    add_parts(gradient, &others);
}

/// Adds the sums of further parts, as long as `gradient` each.
fn add_parts(gradient: &mut [f32], others: &[f32]) {
    const CHUNK: usize = 4096;
    let len = gradient.len();
    gradient.par_chunks_mut(CHUNK).enumerate().for_each(|(i, sum)| {
        for other in others.chunks_exact(len) {
            sum.iter_mut().zip(&other[i * CHUNK..]).for_each(|(s, v)| *s += v);
        }
    });
}

/// The forward pass as tiles, where they pay.
fn winograd(g: &Geometry) -> Option<Winograd> {
    let (source, target) = (Raster::whole([g.h, g.w, g.c]), Raster::whole([g.oh, g.ow, g.o]));
    Winograd::pays([g.kh, g.kw], g.stride, g.padding, [g.c, g.o]).then_some(Winograd {
        n: g.n,
        source,
        padding: g.padding,
        target,
        turned: false,
    })
}

/// What one thread fills again and again.
#[derive(Default)]
struct Scratch {
    columns: Vec<f32>,
    pairs: Vec<(u32, u32)>,
}

impl Scratch {
    /// Pairs what `tap` (or, gathered, all taps) meets at `positions` with the maps' values from `first_column` on.
    fn fill(
        &mut self,
        g: &Geometry,
        images: &[f32],
        gathers: bool,
        tap: usize,
        positions: std::ops::Range<usize>,
        first_column: usize,
    ) {
        if gathers {
            self.gather(g, images, positions);
        } else {
            self.pair(g, tap, positions);
        }
        let step = g.o.next_multiple_of(LANES);
        for (_, map) in &mut self.pairs {
            *map = *map * step as u32 + first_column as u32;
        }
    }

    /// The patches at `positions`, a row each, and the map position of each.
    fn gather(&mut self, g: &Geometry, images: &[f32], positions: std::ops::Range<usize>) {
        self.columns.resize(positions.len() * g.patch(), 0.0);
        self.pairs.clear();
        self.pairs.extend(positions.clone().enumerate().map(|(row, p)| ((row * g.patch()) as u32, p as u32)));
        for (position, row) in positions.zip(self.columns.chunks_exact_mut(g.patch())) {
            let (n, position) = (position / (g.oh * g.ow), position % (g.oh * g.ow));
            columns::gather(g, &images[n * g.image_len()..][..g.image_len()], position, row);
        }
    }

    /// For every one of `positions` whose image position under `tap` is inside the image: where its values begin, and the
    /// map position.
    fn pair(&mut self, g: &Geometry, tap: usize, positions: std::ops::Range<usize>) {
        self.pairs.clear();
        let (ky, kx) = (tap / g.kw, tap % g.kw);
        let (mut n, mut oy, mut ox) =
            (positions.start / (g.oh * g.ow), positions.start / g.ow % g.oh, positions.start % g.ow);
        for position in positions {
            let inside = |o: usize, k: usize, size: usize| {
                (o * g.stride + k).checked_sub(g.padding).filter(|&at| at < size)
            };
            if let (Some(y), Some(x)) = (inside(oy, ky, g.h), inside(ox, kx, g.w)) {
                self.pairs.push(((((n * g.h + y) * g.w + x) * g.c) as u32, position as u32));
            }
            ox += 1;
            if ox == g.ow {
                (ox, oy) = (0, oy + 1);
                if oy == g.oh {
                    (oy, n) = (0, n + 1);
                }
            }
        }
    }
}

/// Rows of `columns` values, made whole vectors with zeros where they are not.
fn widen(values: &[f32], columns: usize) -> Cow<'_, [f32]> {
    let step = columns.next_multiple_of(LANES);
    if step == columns {
        return Cow::Borrowed(values);
    }
    let mut wide = vec![0.0; values.len() / columns * step];
    wide.par_chunks_exact_mut(step)
        .zip(values.par_chunks_exact(columns))
        .for_each(|(wide, row)| wide[..columns].copy_from_slice(row));
    Cow::Owned(wide)
}

/// Kernel (kh, kw, c, o) → (kh, kw, o, c), rows of c made whole vectors.
fn widen_transposed(g: &Geometry, kernel: &[f32]) -> Vec<f32> {
    /// Side of the square that is transposed at a time: its rows and columns both stay in L1.
    const SIDE: usize = 16;
    let step = g.c.next_multiple_of(LANES);
    let mut out = vec![0.0; g.kh * g.kw * g.o * step];
    out.par_chunks_mut(SIDE.min(g.o) * step).enumerate().for_each(|(chunk, out)| {
        // SIDE divides the rows of a tap, or a chunk may span two: rows are found one by one.
        let first = chunk * SIDE.min(g.o);
        for c0 in (0..g.c).step_by(SIDE) {
            for (row, out) in out.chunks_exact_mut(step).enumerate() {
                let (tap, o) = ((first + row) / g.o, (first + row) % g.o);
                let channels = c0..(c0 + SIDE).min(g.c);
                for (value, c) in out[channels.clone()].iter_mut().zip(channels) {
                    *value = kernel[(tap * g.c + c) * g.o + o];
                }
            }
        }
    });
    out
}
