//! Patches of pictures, brought to one brightness and contrast.

use dcgan_images::ImageStore;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::config::KMeansConfig;
use crate::error::{BaselinesError, Result, setting};

/// What a random stream is for.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    /// Which patches are drawn.
    Patches = 0,
    /// Which of them are the first centroids.
    First = 1,
    /// Which of them replace centroids that have no patch, in pass `idx`.
    Empty = 2,
}

/// The generator of stream (`purpose`, `idx`) under `seed`.
pub(super) fn stream(seed: u64, purpose: Purpose, idx: u32) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(((purpose as u64) << 32) | u64::from(idx));
    rng
}

/// Size of pictures: channels, height, width.
pub(super) type Size = [usize; 3];

/// The size of a store's pictures.
pub(super) fn size_of_store(store: &ImageStore) -> Size {
    [store.channels(), store.height(), store.width()]
}

/// Refuses a patch that is larger than the pictures.
pub(super) fn check_patch(config: &KMeansConfig, [_, height, width]: Size) -> Result<()> {
    let smallest = height.min(width);
    if config.patch > smallest {
        let expected = format!("at most the pictures' smaller side, {smallest} (of {height}×{width})");
        return Err(setting("patch", expected, config.patch));
    }
    Ok(())
}

/// Writes the patch at (`top`, `left`) of a uint8 picture, planes first: (x − mean)/√(variance + ε), over all of its
/// channels·side² values; the variance divides by one less than their number, as the authors' code does.
pub(super) fn normalised(
    picture: &[u8],
    [channels, height, width]: Size,
    [top, left]: [usize; 2],
    side: usize,
    epsilon: f64,
    out: &mut [f32],
) {
    let (mut sum, mut squares) = (0_u64, 0_u64);
    let mut rows = out.chunks_exact_mut(side);
    for (channel, y) in (0..channels).flat_map(|channel| (0..side).map(move |y| (channel, y))) {
        let start = (channel * height + top + y) * width + left;
        let Some(row) = rows.next() else { break };
        for (to, &pixel) in row.iter_mut().zip(&picture[start..start + side]) {
            sum += u64::from(pixel);
            squares += u64::from(pixel) * u64::from(pixel);
            *to = f32::from(pixel);
        }
    }
    let n = out.len() as u64;
    let mean = sum as f64 / n as f64;
    // Whole numbers: no digits are lost.
    let variance = (n * squares - sum * sum) as f64 / (n * (n - 1)) as f64;
    let scale = 1.0 / (variance + epsilon).sqrt();
    out.iter_mut().for_each(|value| *value = ((f64::from(*value) - mean) * scale) as f32);
}

/// Draws patches from random places of random pictures: rows of channels·side² numbers.
///
/// # Errors
/// Where the patch is larger than the pictures, or each patch is of one value.
pub(super) fn draw(store: &ImageStore, config: &KMeansConfig) -> Result<Vec<f32>> {
    let size @ [channels, height, width] = size_of_store(store);
    check_patch(config, size)?;
    let side = config.patch;
    let mut rng = stream(config.seed, Purpose::Patches, 0);
    let places: Vec<[usize; 3]> = (0..config.patches)
        .map(|_| {
            [
                rng.random_range(0..store.len() as u32) as usize,
                rng.random_range(0..=(height - side) as u32) as usize,
                rng.random_range(0..=(width - side) as u32) as usize,
            ]
        })
        .collect();
    let n_columns = channels * side * side;
    let mut patches = vec![0.0; places.len() * n_columns];
    patches.par_chunks_exact_mut(n_columns).zip(&places).for_each(|(patch, &[image_idx, top, left])| {
        normalised(store.image(image_idx), size, [top, left], side, config.contrast_epsilon, patch);
    });
    if patches.par_iter().all(|value| *value == 0.0) {
        return Err(BaselinesError::Pictures {
            expected: "pictures that vary from pixel to pixel".to_owned(),
            found: format!("{} patches, each of one value", config.patches),
        });
    }
    Ok(patches)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ```python
    /// x = np.array([10., 20, 30, 250, 0, 5, 77, 128])  # two channels of 2×2
    /// (x - x.mean()) / np.sqrt(x.var(ddof=1) + 10)
    /// ```
    #[test]
    fn a_patch_is_normalised_as_numpy_does() {
        // Two channels of 2×3, of which the patch is at the right.
        let picture = [99, 10, 20, 99, 30, 250, 99, 0, 5, 99, 77, 128];
        let mut patch = [0.0; 8];
        normalised(&picture, [2, 2, 3], [0, 1], 2, 10.0, &mut patch);
        let expected =
            [-0.6350369, -0.5195757, -0.4041144, 2.1360333, -0.7504982, -0.6927675, 0.1385535, 0.7274059];
        for (found, expected) in patch.iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-6, "{patch:?}");
        }
    }

    #[test]
    fn a_patch_of_one_value_is_nothing() {
        let mut patch = [1.0; 4];
        normalised(&[7; 9], [1, 3, 3], [1, 1], 2, 10.0, &mut patch);
        assert_eq!(patch, [0.0; 4]);
    }
}
