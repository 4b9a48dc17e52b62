//! Max-pooling for features.

use candle_core::Tensor;

use crate::{Result, device};

/// Every layer's maps max-pooled to a `grid`×`grid` raster and joined: maps `(n, h, w, c)` → (n, Σ c·grid²), each layer in NCHW
/// order, on the maps' device, which is not waited for. Carries no gradient.
///
/// # Errors
/// Where there are no maps, or their sides are no multiples of `grid`.
pub fn max_pool(maps: &[Tensor], grid: usize) -> Result<Tensor> {
    match maps.first() {
        Some(first) => Ok(device::kernels(first.device())?.max_pool(maps, grid)?),
        None => Err(candle_core::Error::Msg("no maps to pool".into()).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::tensor;

    fn rows(pooled: &Tensor) -> Vec<Vec<f32>> {
        pooled.to_vec2().unwrap()
    }

    #[test]
    fn agrees_with_candles_max_pool() {
        for (h, w, window) in [(4, 4, 1), (8, 8, 2), (32, 32, 8)] {
            let maps = tensor(&[2, h, w, 3]);
            let pooled = max_pool(std::slice::from_ref(&maps), 4).unwrap();
            let expected = maps.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap();
            let expected = expected.max_pool2d(window).unwrap().flatten_from(1).unwrap();
            assert_eq!(rows(&pooled), rows(&expected));
        }
        assert!(max_pool(&[tensor(&[1, 6, 8, 1])], 4).is_err());
        assert!(max_pool(&[], 4).is_err());
    }

    #[test]
    fn rows_hold_one_layer_after_the_other() {
        let maps = [tensor(&[3, 8, 8, 2]), tensor(&[3, 4, 4, 5])];
        let joined = rows(&max_pool(&maps, 4).unwrap());
        let [first, second] = maps.map(|maps| rows(&max_pool(&[maps], 4).unwrap()));
        assert_eq!(joined[1], [first[1].clone(), second[1].clone()].concat());
    }
}
