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
        let hashed = bytes.par_chunks(32 * PICTURE_BYTES).flat_map_iter(|bytes| {
            let hasher = Baseline::PHash.hasher();
            let code = |picture: &[u8]| Code([Baseline::hash(&hasher, &interleaved(picture)), 0]);
            bytes.chunks_exact(PICTURE_BYTES).map(code).collect::<Vec<_>>()
        });
        codes.par_extend(hashed);
    }
    let mut sets = UnionFind::new(n);
    near_pairs(&codes, config.phash_radius, config.bucket_cap, &mut |pairs| {
        for pair in pairs {
            sets.join(pair.first, pair.second);
        }
    });
    Ok(sets.groups())
}

/// A picture in planes as the `image` crate has it.
fn interleaved(planes: &[u8]) -> RgbImage {
    let plane = SIDE * SIDE;
    RgbImage::from_fn(SIDE as u32, SIDE as u32, |x, y| {
        let place = y as usize * SIDE + x as usize;
        image::Rgb([planes[place], planes[plane + place], planes[2 * plane + place]])
    })
}
