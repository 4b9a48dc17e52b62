//! Max-pooling for features.

use candle_core::Tensor;
use rayon::prelude::*;

use crate::{Result, storage::with_slice};

/// Every layer's maps max-pooled to a `grid`×`grid` raster and joined: maps `(n, h, w, c)` → n rows of Σ c·grid² values, each
/// layer in NCHW order. Carries no gradient.
///
/// # Errors
/// Where maps' sides are no multiples of `grid`.
pub fn max_pool_rows(maps: &[Tensor], grid: usize) -> Result<Vec<f32>> {
    #[cfg(feature = "cuda")]
    if maps.first().is_some_and(|maps| maps.device().is_cuda()) {
        return Ok(crate::cuda::max_pool(maps, grid)?.flatten_all()?.to_vec1()?);
    }
    let pooled: Vec<Vec<Vec<f32>>> =
        maps.iter().map(|maps| max_pool_flat(maps, grid)).collect::<Result<_>>()?;
    let n = pooled.first().map_or(0, Vec::len);
    let mut rows =
        Vec::with_capacity(n * pooled.iter().map(|layer| layer.first().map_or(0, Vec::len)).sum::<usize>());
    for image in 0..n {
        pooled.iter().for_each(|layer| rows.extend_from_slice(&layer[image]));
    }
    Ok(rows)
}

/// [`max_pool_rows`] as a tensor (n, Σ c·grid²) on the maps' device, which is not waited for.
pub fn max_pool_tensor(maps: &[Tensor], grid: usize) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if maps.first().is_some_and(|maps| maps.device().is_cuda()) {
        return Ok(crate::cuda::max_pool(maps, grid)?);
    }
    let rows = max_pool_rows(maps, grid)?;
    let n = maps.first().map_or(0, |maps| maps.dims()[0]);
    Ok(Tensor::from_vec(rows, (n, ()), &candle_core::Device::Cpu)?)
}

/// Max-pools maps to a `grid`×`grid` raster and flattens them in NCHW order: `(n, h, w, c)` → n rows of
/// c·grid² values. Each cell is the maximum of a (h/grid)×(w/grid) window. Carries no gradient.
///
/// # Errors
/// Where the maps' sides are no multiples of `grid`.
pub fn max_pool_flat(maps: &Tensor, grid: usize) -> Result<Vec<Vec<f32>>> {
    let (_, h, w, c) = maps.dims4()?;
    if grid == 0 || h % grid != 0 || w % grid != 0 || h * w == 0 {
        return Err(candle_core::Error::Msg(format!("cannot pool {h}x{w} maps to {grid}x{grid}")).into());
    }
    let pool = |maps: &[f32]| {
        Ok(maps.par_chunks_exact(h * w * c).map(|image| pool_image(image, [h, w, c], grid)).collect())
    };
    let maps = maps.contiguous()?;
    Ok(with_slice(&maps, "max_pool", pool)?)
}

fn pool_image(image: &[f32], [h, w, c]: [usize; 3], grid: usize) -> Vec<f32> {
    let mut out = vec![f32::NEG_INFINITY; c * grid * grid];
    for (position, values) in image.chunks_exact(c).enumerate() {
        let (y, x) = (position / w, position % w);
        let cell = y / (h / grid) * grid + x / (w / grid);
        for (channel, &value) in values.iter().enumerate() {
            let max = &mut out[channel * grid * grid + cell];
            *max = max.max(value);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::tensor;

    #[test]
    fn agrees_with_candles_max_pool() {
        for (h, w, window) in [(4, 4, 1), (8, 8, 2), (32, 32, 8)] {
            let maps = tensor(&[2, h, w, 3]);
            let pooled = max_pool_flat(&maps, 4).unwrap();
            let expected = maps.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap();
            let expected = expected.max_pool2d(window).unwrap().flatten_from(1).unwrap();
            assert_eq!(pooled, expected.to_vec2::<f32>().unwrap());
        }
        assert!(max_pool_flat(&tensor(&[1, 6, 8, 1]), 4).is_err());
    }

    #[test]
    fn rows_hold_one_layer_after_the_other() {
        let maps = [tensor(&[3, 8, 8, 2]), tensor(&[3, 4, 4, 5])];
        let rows = max_pool_rows(&maps, 4).unwrap();
        let [first, second] = [0, 1].map(|layer| max_pool_flat(&maps[layer], 4).unwrap());
        assert_eq!(rows[(32 + 80)..(32 + 80) + 32], first[1]);
        assert_eq!(rows[(32 + 80) + 32..2 * (32 + 80)], second[1]);
        assert_eq!(max_pool_tensor(&maps, 4).unwrap().dims(), [3, 32 + 80]);
    }
}
