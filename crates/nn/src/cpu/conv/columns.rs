//! Patches of images as rows of a matrix, and back.
//!
//! One row is one map position: its patch in the order (kh, kw, c), so that a row is made of kh runs of kw·c values that
//! lie together in an NHWC image. Only images of few channels are treated so; see `micro`.

use std::ops::Range;

use crate::{element::Element, geometry::Geometry};

/// Channels below which a patch is copied into one row before it is multiplied.
pub(super) const FEW_CHANNELS: usize = 8;

/// The kernel rows and columns that fall inside the image at map position `(oy, ox)`, and the image position of the
/// patch's corner (which may lie outside).
struct Patch {
    y: isize,
    x: isize,
    rows: Range<usize>,
    columns: Range<usize>,
}

impl Patch {
    fn at(g: &Geometry, position: usize) -> Self {
        let corner = |p: usize| (p * g.stride) as isize - g.padding as isize;
        let inside = |corner: isize, k: usize, size: usize| {
            let first = (-corner).clamp(0, k as isize) as usize;
            let last = (size as isize - corner).clamp(0, k as isize) as usize;
            first..last.max(first)
        };
        let (y, x) = (corner(position / g.ow), corner(position % g.ow));
        Self { y, x, rows: inside(y, g.kh, g.h), columns: inside(x, g.kw, g.w) }
    }

    /// Where row `ky` of the patch lies in the image and in the patch.
    fn run(&self, g: &Geometry, ky: usize) -> (Range<usize>, Range<usize>) {
        let y = (self.y + ky as isize) as usize;
        let x = (self.x + self.columns.start as isize) as usize;
        let len = self.columns.len() * g.c;
        let image = (y * g.w + x) * g.c;
        let column = (ky * g.kw + self.columns.start) * g.c;
        (image..image + len, column..column + len)
    }
}

/// Copies the patches of the map positions `first..` of one image into the rows of `columns`; outside the image is 0.
pub(super) fn gather<E: Element>(g: &Geometry, image: &[E], first: usize, columns: &mut [E]) {
    for (i, row) in columns.chunks_exact_mut(g.patch()).enumerate() {
        let patch = Patch::at(g, first + i);
        let whole = patch.rows.len() == g.kh && patch.columns.len() == g.kw;
        if !whole {
            row.fill(E::narrow(0.0));
        }
        for ky in patch.rows.clone() {
            let (from, to) = patch.run(g, ky);
            row[to].copy_from_slice(&image[from]);
        }
    }
}

/// Adds the rows of `columns`, one every `step` values, to the places in one image that [`gather`] takes them from.
pub(super) fn scatter(g: &Geometry, columns: &[f32], step: usize, first: usize, image: &mut [f32]) {
    for (i, row) in columns.chunks_exact(step).enumerate() {
        let patch = Patch::at(g, first + i);
        for ky in patch.rows.clone() {
            let (to, from) = patch.run(g, ky);
            for (sum, value) in image[to].iter_mut().zip(&row[from]) {
                *sum += value;
            }
        }
    }
}
