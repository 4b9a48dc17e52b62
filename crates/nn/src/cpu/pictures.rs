//! Pictures to maps, and maps to features.

use candle_core::{Device, Result, Tensor, bail};
use rayon::prelude::*;

use crate::{element::Element, storage::read};

/// uint8 pixels of `c` planes a picture → values in [-1, 1], channels last.
pub(super) fn activations(pixels: &[u8], c: usize, plane: usize) -> Vec<f32> {
    let mut values = vec![0.0; pixels.len()];
    for (picture, out) in pixels.chunks_exact(c * plane).zip(values.chunks_exact_mut(c * plane)) {
        for (position, out) in out.chunks_exact_mut(c).enumerate() {
            for (channel, out) in out.iter_mut().enumerate() {
                *out = f32::from(picture[channel * plane + position]) / 127.5 - 1.0;
            }
        }
    }
    values
}

/// f32 rows: each cell of a layer's grid is the maximum of a (h/grid)×(w/grid) window.
pub(super) fn max_pool<E: Element>(maps: &[Tensor], grid: usize) -> Result<Tensor> {
    let sizes: Vec<(usize, usize, usize, usize)> = maps.iter().map(Tensor::dims4).collect::<Result<_>>()?;
    if let Some((_, h, w, _)) =
        sizes.iter().find(|(_, h, w, _)| grid == 0 || h % grid != 0 || w % grid != 0 || h * w == 0)
    {
        bail!("cannot pool {h}x{w} maps to {grid}x{grid}")
    }
    let (n, row_len) =
        (sizes.first().map_or(0, |size| size.0), sizes.iter().map(|size| size.3 * grid * grid).sum());
    let mut rows = vec![f32::NEG_INFINITY; n * row_len];
    let mut first = 0;
    for (maps, &(_, h, w, c)) in maps.iter().zip(&sizes) {
        let cells = first..first + c * grid * grid;
        first = cells.end;
        read([&maps.contiguous()?], |[maps]: [&[E]; 1]| {
            let images = maps.par_chunks_exact(h * w * c).zip(rows.par_chunks_exact_mut(row_len));
            images.for_each(|(image, row)| pool_image(image, [h, w, c], grid, &mut row[cells.clone()]));
        })?;
    }
    Tensor::from_vec(rows, (n, row_len), &Device::Cpu)
}

fn pool_image<E: Element>(image: &[E], [h, w, c]: [usize; 3], grid: usize, out: &mut [f32]) {
    for (position, values) in image.chunks_exact(c).enumerate() {
        let (y, x) = (position / w, position % w);
        let cell = y / (h / grid) * grid + x / (w / grid);
        for (channel, value) in values.iter().enumerate() {
            let max = &mut out[channel * grid * grid + cell];
            *max = max.max(value.wide());
        }
    }
}
