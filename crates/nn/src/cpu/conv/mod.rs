//! The three kernels of a convolution on the CPU, over maps of f32 or of bf16.
//!
//! Every sum has a fixed order: what is summed is cut by sizes alone, never by the number of threads, on which results do not depend.

mod columns;
mod correlation;
mod fixed;
mod gradient;
mod micro;
mod packing;
mod shared;
mod winograd;

pub(crate) use fixed::{Fixed, Place};
pub(super) use gradient::kernel_gradient;
pub(super) use packing::Multiplied;

use rayon::prelude::*;

use self::{
    columns::FEW_CHANNELS,
    correlation::{Correlation, Tap},
    micro::{Correlate, PANEL, Run},
    packing::Panels,
    shared::Shared,
    winograd::{Kernel, Winograd},
};
use crate::{geometry::Geometry, lanes::LANES};

/// Map positions whose patches are made before they are added to an image: they stay in L2.
const PATCHES: usize = 240;

/// Images (n, h, w, c) and kernel (kh, kw, c, o) → maps (n, oh, ow, o).
pub(super) fn forward<E: Multiplied>(g: &Geometry, images: &[E], kernel: &[f32]) -> Vec<E> {
    if let Some(winograd) = Winograd::forward(g) {
        // SAFETY: the tiles cover the maps.
        #[allow(unsafe_code)]
        return unsafe {
            Shared::fill(g.n * g.map_len(), |maps| {
                winograd.correlate(images, Kernel::Plain(kernel), None, maps)
            })
        };
    }
    let kernel = Panels::new(&E::pack(kernel, g.o), g.o);
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
pub(super) fn input_gradient<E: Multiplied>(g: &Geometry, maps: &[E], kernel: &[f32]) -> Vec<E> {
    if let Some(winograd) = Winograd::input_gradient(g) {
        // SAFETY: the tiles cover the images.
        #[allow(unsafe_code)]
        return unsafe {
            Shared::fill(g.n * g.image_len(), |images| {
                winograd.correlate(maps, Kernel::Plain(kernel), None, images)
            })
        };
    }
    if g.c < FEW_CHANNELS && g.kh * g.kw > 1 && g.o.is_multiple_of(E::PER) {
        return few_channels_gradient(g, maps, kernel);
    }
    let kernel = E::pack_transposed(kernel, [g.kh * g.kw, g.c, g.o]);
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
fn few_channels_gradient<E: Multiplied>(g: &Geometry, maps: &[E], kernel: &[f32]) -> Vec<E> {
    let (patch, step) = (g.patch(), g.patch().next_multiple_of(LANES));
    // (kh, kw, c, o) → (o, (kh, kw, c)), rows made whole vectors.
    let mut turned = vec![0.0; g.o * step];
    for (row, values) in kernel.chunks_exact(g.o).enumerate() {
        values.iter().enumerate().for_each(|(o, &value)| turned[o * step + row] = value);
    }
    let turned = E::pack(&turned, step);
    let len = g.o / E::PER;
    let runs = [Run { len, right_row: 0 }];
    let zeros = vec![E::Value::default(); len];
    let mut images = vec![0.0; g.n * g.image_len()];
    images.par_chunks_exact_mut(g.image_len()).zip(maps.par_chunks_exact(g.map_len())).for_each_init(
        Vec::new,
        |columns: &mut Vec<f32>, (image, map)| {
            for (tile, rows) in map.chunks(PATCHES * g.o).enumerate() {
                let n_rows = rows.len() / g.o;
                columns.resize(n_rows * step, 0.0);
                let offsets: Vec<u32> = (0..n_rows).map(|row| (row * len) as u32).collect();
                for first_column in (0..patch).step_by(PANEL) {
                    let out_offsets: Vec<u32> =
                        (0..n_rows).map(|row| (row * step + first_column) as u32).collect();
                    let block = Correlate {
                        left: E::values(rows),
                        offsets: &offsets,
                        runs: &runs,
                        zeros: &zeros,
                        right: &turned,
                        step,
                        first_column,
                        columns: PANEL.min(step - first_column),
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
    E::all_narrow(images)
}
