//! The kernel's gradient: for every tap, the sum over map positions of the outer product of what it meets in the image and the map.
//!
//! Where elements are multiplied in pairs, a pair is two neighbouring positions of a map row. Images and maps are copied so that
//! such two lie together: of the image, whatever two positions lie a stride apart.

use std::{borrow::Cow, ops::Range};

use rayon::prelude::*;

use super::{
    columns::{self, FEW_CHANNELS},
    micro::{OuterProducts, PANEL, register_panel},
    packing::Multiplied,
    shared::Shared,
    winograd::Winograd,
};
use crate::{geometry::Geometry, lanes::LANES};

/// Map positions, or pairs of them, whose outer products are summed before the sums go back to memory: a panel of their maps stays in L1.
const POSITIONS: usize = 128;
/// Channels so many that the same ones of neighbouring positions lie in few places of a cache.
const MANY_CHANNELS: usize = 256;
/// Least number of pieces that a kernel gradient is cut into, for many cores.
const PIECES: usize = 16;

/// Images (n, h, w, c) and maps' gradient (n, oh, ow, o) → kernel's gradient (kh, kw, c, o), written to `gradient` or added.
pub(crate) fn kernel_gradient<E: Multiplied>(
    g: &Geometry,
    images: &[E],
    maps: &[E],
    gradient: &mut [f32],
    adds: bool,
) {
    if let Some(winograd) = Winograd::forward(g) {
        return winograd.kernel_gradient(images, maps, gradient, adds);
    }
    let gathers = g.c < FEW_CHANNELS;
    let packs = !gathers && g.c >= MANY_CHANNELS;
    let layout = Layout { g, per: E::PER, lead: (E::PER - 1) * g.stride, row: g.ow.div_ceil(E::PER) };
    let maps = joined_maps(g, maps);
    let joined = if gathers { Cow::Borrowed(&[][..]) } else { layout.joined_images(images) };
    // Offsets are 32 bits wide.
    assert!(images.len().max(maps.len()).max(joined.len()) < u32::MAX as usize);
    let n_positions = g.n * g.oh * layout.row;
    // Taps of one row of the kernel meet much the same of an image.
    let ([tap_rows, row_taps], rows) = if gathers { ([1, 1], g.patch()) } else { ([g.kh, g.kw], g.c) };
    let panels = g.o.div_ceil(PANEL);
    // By the registers' width: how sums are cut into parts, and with that their bits, depends on it.
    let pieces = tap_rows * g.o.div_ceil(register_panel());
    let parts = PIECES.div_ceil(pieces).min(n_positions.div_ceil(POSITIONS)).max(1);
    let part = n_positions.div_ceil(parts).next_multiple_of(POSITIONS);
    let len = g.patch() * g.o;
    assert_eq!(gradient.len(), len);
    let mut others = vec![0.0; (parts - 1) * len];
    let out = [Shared::new(gradient), Shared::new(&mut others)];
    (0..parts * tap_rows * panels).into_par_iter().for_each_init(Scratch::<E>::default, |scratch, piece| {
        let (first_column, tap_row, part_idx) =
            (piece % panels * PANEL, piece / panels % tap_rows, piece / panels / tap_rows);
        let columns = PANEL.min(g.o - first_column);
        let step = g.o.next_multiple_of(LANES);
        let end = ((part_idx + 1) * part).min(n_positions);
        let mut block = part_idx * part;
        let mut add = adds && part_idx == 0;
        loop {
            let positions = block..(block + POSITIONS).min(end).max(block);
            for tap in tap_row * row_taps..(tap_row + 1) * row_taps {
                scratch.pairs.clear();
                if gathers {
                    scratch.gather(&layout, images, positions.clone());
                } else {
                    layout.pair(tap, positions.clone(), &mut scratch.pairs);
                    if packs {
                        scratch.pack_images(&joined, rows);
                    }
                }
                scratch.pack_maps(|map| &maps[map * step + first_column..], columns.next_multiple_of(LANES));
                let products = OuterProducts {
                    left: if gathers || packs { &scratch.columns } else { joined.as_ref() },
                    rows,
                    right: &scratch.maps,
                    columns,
                    pairs: &scratch.pairs,
                    out: out[part_idx.min(1)],
                    out_offset: part_idx.saturating_sub(1) * len + tap * rows * g.o + first_column,
                    out_step: g.o,
                    add,
                };
                // SAFETY: a piece is a kernel row's taps and one panel's columns of one part's sums, all inside `gradient` or `others`.
                #[allow(unsafe_code)]
                unsafe {
                    products.run();
                }
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

/// Maps' rows as values, each position (or pair of positions of a map row) whole vectors of channels.
fn joined_maps<'a, E: Multiplied>(g: &Geometry, maps: &'a [E]) -> Cow<'a, [E::Value]> {
    let step = g.o.next_multiple_of(LANES);
    if E::PER == 1 && step == g.o {
        return Cow::Borrowed(E::values(maps));
    }
    let row = g.ow.div_ceil(E::PER) * step;
    let mut joined = vec![E::Value::default(); g.n * g.oh * row];
    joined.par_chunks_exact_mut(row).zip(maps.par_chunks_exact(g.ow * g.o)).for_each(|(joined, maps)| {
        for (joined, maps) in joined.chunks_exact_mut(step).zip(maps.chunks(E::PER * g.o)) {
            let (first, second) = maps.split_at(g.o);
            E::join(first, (!second.is_empty()).then_some(second), &mut joined[..g.o]);
        }
    });
    Cow::Owned(joined)
}

/// How positions are numbered, and where an image's values of a position begin.
struct Layout<'a> {
    g: &'a Geometry,
    /// Map positions in one.
    per: usize,
    /// Image positions left of the image, whose partner lies in it.
    lead: usize,
    /// Positions, or pairs of them, in a map row.
    row: usize,
}

impl Layout<'_> {
    /// Of every image row the positions from `lead` before it, each with the one that lies a stride to the right.
    fn joined_images<'a, E: Multiplied>(&self, images: &'a [E]) -> Cow<'a, [E::Value]> {
        if E::PER == 1 {
            return Cow::Borrowed(E::values(images));
        }
        let Geometry { n, h, w, c, .. } = *self.g;
        let outside = vec![E::default(); c];
        let mut joined = vec![E::Value::default(); n * h * (w + self.lead) * c];
        let rows = joined.par_chunks_exact_mut((w + self.lead) * c).zip(images.par_chunks_exact(w * c));
        rows.for_each(|(joined, row)| {
            let at = |x: usize| (x < w).then(|| &row[x * c..][..c]);
            for (x, joined) in joined.chunks_exact_mut(c).enumerate() {
                let first = x.checked_sub(self.lead).and_then(at);
                E::join(first.unwrap_or(&outside), at(x), joined);
            }
        });
        Cow::Owned(joined)
    }

    /// For every one of `positions` that meets the image under `tap`: where its values begin, and its number.
    fn pair(&self, tap: usize, positions: Range<usize>, pairs: &mut Vec<(u32, u32)>) {
        let (g, row, lead) = (self.g, self.row, self.lead);
        let (ky, kx) = (tap / g.kw, tap % g.kw);
        let (mut n, mut oy, mut i) =
            (positions.start / (g.oh * row), positions.start / row % g.oh, positions.start % row);
        for position in positions {
            let y = (oy * g.stride + ky).checked_sub(g.padding).filter(|&y| y < g.h);
            let x = (i * self.per * g.stride + kx + lead).checked_sub(g.padding).filter(|&x| x < g.w + lead);
            if let (Some(y), Some(x)) = (y, x) {
                pairs.push(((((n * g.h + y) * (g.w + lead) + x) * g.c) as u32, position as u32));
            }
            i += 1;
            if i == row {
                (i, oy) = (0, oy + 1);
                if oy == g.oh {
                    (oy, n) = (0, n + 1);
                }
            }
        }
    }
}

/// What one thread fills again and again.
struct Scratch<E: Multiplied> {
    columns: Vec<E::Value>,
    maps: Vec<E::Value>,
    patches: [Vec<E>; 2],
    pairs: Vec<(u32, u32)>,
}

impl<E: Multiplied> Default for Scratch<E> {
    fn default() -> Self {
        Self { columns: Vec::new(), maps: Vec::new(), patches: Default::default(), pairs: Vec::new() }
    }
}

impl<E: Multiplied> Scratch<E> {
    /// Copies what each pair meets in the images, so that it lies in few pages and in all places of a cache.
    fn pack_images(&mut self, images: &[E::Value], rows: usize) {
        self.columns.clear();
        for (image, _) in &mut self.pairs {
            let from = *image as usize;
            *image = self.columns.len() as u32;
            self.columns.extend_from_slice(&images[from..from + rows]);
            self.columns.extend_from_slice(&[E::Value::default(); LANES]);
        }
    }

    /// Copies a panel of each pair's map.
    fn pack_maps<'a>(&mut self, map: impl Fn(usize) -> &'a [E::Value], columns: usize) {
        self.maps.clear();
        for (_, position) in &mut self.pairs {
            let from = map(*position as usize);
            *position = self.maps.len() as u32;
            self.maps.extend_from_slice(&from[..columns]);
        }
    }

    /// The patches at `positions`, a row each, and the number of each position.
    fn gather(&mut self, layout: &Layout<'_>, images: &[E], positions: Range<usize>) {
        let (g, row) = (layout.g, layout.row);
        let patch = g.patch();
        self.columns.resize(positions.len() * patch, E::Value::default());
        self.patches.iter_mut().for_each(|patches| patches.resize(patch, E::default()));
        self.pairs.extend(positions.clone().enumerate().map(|(i, p)| ((i * patch) as u32, p as u32)));
        for (position, columns) in positions.zip(self.columns.chunks_exact_mut(patch)) {
            let (n, oy, ox) = (position / (g.oh * row), position / row % g.oh, position % row * E::PER);
            let image = &images[n * g.image_len()..][..g.image_len()];
            let [first, second] = &mut self.patches;
            columns::gather(g, image, oy * g.ow + ox, first);
            let has_second = E::PER > 1 && ox + 1 < g.ow;
            if has_second {
                columns::gather(g, image, oy * g.ow + ox + 1, second);
            }
            E::join(first, has_second.then_some(second), columns);
        }
    }
}
