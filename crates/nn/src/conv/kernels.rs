//! The three kernels of a convolution on the CPU: im2col in tiles that stay in the cache, one matrix product a tile.
//!
//! Work is cut by sizes alone, never by the number of threads, and every sum has a fixed order: results do not depend
//! on how many threads there are.

use rayon::prelude::*;

use super::{columns, geometry::Geometry};

/// Values in a tile of columns: 512 KiB, half of a core's L2.
const TILE_VALUES: usize = 128 * 1024;
/// Partial sums of a kernel gradient, each over its own images.
const GRADIENT_PARTS: usize = 8;

/// Map positions in a tile.
fn tile_rows(g: &Geometry) -> usize {
    (TILE_VALUES / g.patch().max(1)).clamp(32, 512).min(g.oh * g.ow)
}

/// (o, c, kh, kw) → (kh, kw, c, o): the order of a patch's values, maps last.
fn to_patch_order(g: &Geometry, kernel: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; kernel.len()];
    for o in 0..g.o {
        for c in 0..g.c {
            for k in 0..g.kh * g.kw {
                out[(k * g.c + c) * g.o + o] = kernel[(o * g.c + c) * g.kh * g.kw + k];
            }
        }
    }
    out
}

/// The inverse of [`to_patch_order`].
fn from_patch_order(g: &Geometry, patches: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; patches.len()];
    for o in 0..g.o {
        for c in 0..g.c {
            for k in 0..g.kh * g.kw {
                out[(o * g.c + c) * g.kh * g.kw + k] = patches[(k * g.c + c) * g.o + o];
            }
        }
    }
    out
}

/// Images (n, h, w, c) and kernel (o, c, kh, kw) → maps (n, oh, ow, o).
pub(super) fn forward(g: &Geometry, images: &[f32], kernel: &[f32]) -> Vec<f32> {
    let kernel = to_patch_order(g, kernel);
    let tile = tile_rows(g);
    let mut maps = vec![0.0; g.n * g.map_len()];
    let tiles: Vec<(usize, usize, &mut [f32])> = maps
        .chunks_exact_mut(g.map_len())
        .enumerate()
        .flat_map(|(n, map)| map.chunks_mut(tile * g.o).enumerate().map(move |(t, rows)| (n, t * tile, rows)))
        .collect();
    tiles.into_par_iter().for_each_init(Vec::new, |scratch, (n, first, out)| {
        let rows = out.len() / g.o;
        scratch.resize(rows * g.patch(), 0.0);
        columns::gather(g, &images[n * g.image_len()..][..g.image_len()], first, scratch);
        let product = Product { m: rows, k: g.patch(), n: g.o };
        product.run(Operand::rows(scratch), Operand::rows(&kernel), out, false);
    });
    maps
}

/// Maps' gradient (n, oh, ow, o) and kernel (o, c, kh, kw) → images' gradient (n, h, w, c).
pub(super) fn input_gradient(g: &Geometry, maps: &[f32], kernel: &[f32]) -> Vec<f32> {
    let kernel = to_patch_order(g, kernel);
    let tile = tile_rows(g);
    let mut images = vec![0.0; g.n * g.image_len()];
    images.par_chunks_exact_mut(g.image_len()).zip(maps.par_chunks_exact(g.map_len())).for_each_init(
        Vec::new,
        |scratch, (image, map)| {
            for (t, rows) in map.chunks(tile * g.o).enumerate() {
                let product = Product { m: rows.len() / g.o, k: g.o, n: g.patch() };
                scratch.resize(product.m * g.patch(), 0.0);
                product.run(Operand::rows(rows), Operand::columns(&kernel), scratch, false);
                columns::scatter(g, scratch, t * tile, image);
            }
        },
    );
    images
}

/// Images (n, h, w, c) and maps' gradient (n, oh, ow, o) → kernel's gradient (o, c, kh, kw).
pub(super) fn kernel_gradient(g: &Geometry, images: &[f32], maps: &[f32]) -> Vec<f32> {
    let tile = tile_rows(g);
    let part = g.n.div_ceil(GRADIENT_PARTS).max(1);
    let parts: Vec<Vec<f32>> = images
        .par_chunks(part * g.image_len())
        .zip(maps.par_chunks(part * g.map_len()))
        .map(|(images, maps)| {
            let mut sum = vec![0.0; g.patch() * g.o];
            let mut scratch = Vec::new();
            for (image, map) in images.chunks_exact(g.image_len()).zip(maps.chunks_exact(g.map_len())) {
                for (t, rows) in map.chunks(tile * g.o).enumerate() {
                    let product = Product { m: g.patch(), k: rows.len() / g.o, n: g.o };
                    scratch.resize(product.k * g.patch(), 0.0);
                    columns::gather(g, image, t * tile, &mut scratch);
                    product.run(Operand::columns(&scratch), Operand::rows(rows), &mut sum, true);
                }
            }
            sum
        })
        .collect();
    let mut sum = vec![0.0; g.patch() * g.o];
    sum.par_chunks_mut(4096).enumerate().for_each(|(chunk, out)| {
        for part in &parts {
            out.iter_mut().zip(&part[chunk * 4096..]).for_each(|(s, v)| *s += v);
        }
    });
    from_patch_order(g, &sum)
}

/// A matrix of a [`Product`], stored row after row as itself or as its transpose.
struct Operand<'a> {
    values: &'a [f32],
    transposed: bool,
}

impl<'a> Operand<'a> {
    fn rows(values: &'a [f32]) -> Self {
        Self { values, transposed: false }
    }

    fn columns(values: &'a [f32]) -> Self {
        Self { values, transposed: true }
    }
}

/// (m, k) · (k, n) → (m, n) on the calling thread.
struct Product {
    m: usize,
    k: usize,
    n: usize,
}

impl Product {
    /// Writes the product of `a` and `b` to `out`, or adds it.
    #[allow(unsafe_code)]
    fn run(&self, a: Operand, b: Operand, out: &mut [f32], add: bool) {
        let &Self { m, k, n } = self;
        assert!(a.values.len() == m * k && b.values.len() == k * n && out.len() == m * n);
        let strides = |transposed: bool, rows: usize, columns: usize| -> (isize, isize) {
            if transposed { (rows as isize, 1) } else { (1, columns as isize) }
        };
        let (a_cs, a_rs) = strides(a.transposed, m, k);
        let (b_cs, b_rs) = strides(b.transposed, k, n);
        // SAFETY: the assertion above makes every (row, column) of the three matrices, at these strides, an index
        // inside its slice; `out` is borrowed mutably, so it overlaps neither operand.
        unsafe {
            gemm::gemm(
                m,
                n,
                k,
                out.as_mut_ptr(),
                1,
                n as isize,
                add,
                a.values.as_ptr(),
                a_cs,
                a_rs,
                b.values.as_ptr(),
                b_cs,
                b_rs,
                1.0,
                1.0,
                false,
                false,
                false,
                gemm::Parallelism::None,
            );
        }
    }
}
