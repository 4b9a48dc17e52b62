//! Groups by perceptual hashes, for those who want nothing else.

use std::ops::ControlFlow;

use image::RgbImage;
use rayon::prelude::*;

use super::UnionFind;
use super::config::GroupConfig;
use super::near::near_pairs;
use crate::evaluate::Baseline;
use crate::hash::Pictures;
use crate::preprocess::{PICTURE_BYTES, SIDE};
use crate::{Code, DedupError, Result};

/// Pictures that are hashed together.
const AT_ONCE: u32 = 1 << 13;

/// The groups of pictures whose hashes differ in no more bits than is set.
pub(super) fn phash_groups(
    pictures: &Pictures,
    config: &GroupConfig,
    observe: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<Vec<Vec<u32>>> {
    let n = pictures.len() as u32;
    let mut codes = Vec::with_capacity(n as usize);
    for first in (0..n).step_by(AT_ONCE as usize) {
        if observe(u64::from(first), u64::from(n)).is_break() {
            return Err(DedupError::Interrupted);
        }
        let images: Vec<u32> = (first..n.min(first + AT_ONCE)).collect();
        let bytes = pictures.read(&images)?;
        codes.par_extend(bytes.par_chunks(32 * PICTURE_BYTES).flat_map_iter(phashes));
    }
    let mut sets = UnionFind::new(n);
    near_pairs(&codes, config.phash_radius, config.bucket_cap, &mut |pairs| {
        for pair in pairs {
            sets.join(pair.first, pair.second);
        }
    });
    Ok(sets.groups())
}

/// Of pictures of 3072 bytes; the second word of each code is 0.
fn phashes(bytes: &[u8]) -> Vec<Code> {
    let hasher = Baseline::PHash.hasher();
    let code = |picture: &[u8]| Code([Baseline::hash(&hasher, &interleaved(picture)), 0]);
    bytes.chunks_exact(PICTURE_BYTES).map(code).collect()
}

/// A picture in planes as the `image` crate has it.
fn interleaved(planes: &[u8]) -> RgbImage {
    let plane = SIDE * SIDE;
    RgbImage::from_fn(SIDE as u32, SIDE as u32, |x, y| {
        let place = y as usize * SIDE + x as usize;
        image::Rgb([planes[place], planes[plane + place], planes[2 * plane + place]])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The low 8×8 frequencies of the cosine transform of the grey 16×16 picture, against their median:
    ///
    /// ```python
    /// import numpy as np, scipy.fft
    /// def picture(seed):
    ///     y, x = np.mgrid[:32, :32]
    ///     return np.stack([(x * x * (seed + 1) + y * y * 3 + x * y * seed + 60 * c) // 5 % 256 for c in range(3)])
    /// def lanczos(n_in, n_out):
    ///     ratio = n_in / n_out; weights = np.zeros((n_out, n_in))
    ///     for o in range(n_out):
    ///         centre = (o + 0.5) * ratio; support = 3 * ratio
    ///         lo, hi = max(int(np.floor(centre - support)), 0), min(int(np.ceil(centre + support)), n_in)
    ///         t = (np.arange(lo, hi) - (centre - 0.5)) / ratio
    ///         w = np.where(np.abs(t) < 3, np.sinc(t) * np.sinc(t / 3), 0); weights[o, lo:hi] = w / w.sum()
    ///     return weights
    /// for seed in range(4):
    ///     r, g, b = picture(seed)
    ///     grey = (2126 * r + 7152 * g + 722 * b) // 10000
    ///     w = lanczos(32, 16)
    ///     small = np.clip(np.round(w @ grey @ w.T), 0, 255)
    ///     low = scipy.fft.dctn(small, type=2)[:8, :8].ravel()
    ///     print(hex(sum(int(v >= np.median(low)) << k for k, v in enumerate(low))))
    /// ```
    #[test]
    fn hashes_agree_with_scipys_cosine_transform() {
        let picture = |seed: usize| {
            let value = |i: usize| {
                let (c, y, x) = (i / 1024, i / SIDE % SIDE, i % SIDE);
                ((x * x * (seed + 1) + y * y * 3 + x * y * seed + 60 * c) / 5 % 256) as u8
            };
            (0..PICTURE_BYTES).map(value).collect::<Vec<u8>>()
        };
        let pictures: Vec<u8> = (0..4).flat_map(picture).collect();
        let found: Vec<u64> = phashes(&pictures).iter().map(|code| code.0[0]).collect();
        let expected =
            [0x57ac_ab53_5694_1475, 0xdfb0_a76e_4c58_5851, 0x7de0_cf9e_b8b0_30a1, 0xffc0_1f3e_7870_6061];
        assert_eq!(found, expected);
    }
}
