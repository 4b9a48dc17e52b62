//! Pictures into features: every patch's "triangle" max(0, mean distance − distance) to each centroid, summed over the cells of a
//! grid.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::lloyd::square;
use super::model::KMeans;
use super::patches::{Size, check_patch, normalised};
use super::whitening::whiten;
use crate::error::{BaselinesError, Result, setting};
use crate::neighbours::squared;
use crate::product::{BLOCK, Blocks, PANEL, Panels, tile};

/// Patches whose distances to all centroids one thread holds at a time: with 4800 maps 460 kB, which stay in its cache.
const PATCHES: usize = 2 * BLOCK;

/// A model made ready for pictures of one size.
///
/// A picture of H×W has ((H − patch)/stride + 1)·((W − patch)/stride + 1) patches, 27·27 by default, of which no map is ever
/// written out: patches pass 24 at a time through the product with all centroids, its sums become distances as they come out,
/// and the triangles are added to the cells.
///
/// The grid's cell i along a side of n patches begins at patch i·n/pooling, halves rounded up: two cells share 27 as 14 and 13, as
/// in the authors' code.
#[derive(Debug)]
pub struct Encoder<'a> {
    model: &'a KMeans,
    size: Size,
    whitening: Panels,
    centroids: Panels,
    /// |c|² of each centroid; −∞ beyond the last, which makes distances 0.
    norms: Vec<f32>,
    /// (cell, top, left) of each patch, by cell.
    places: Vec<(usize, [usize; 2])>,
}

impl<'a> Encoder<'a> {
    /// Makes ready for pictures of (channels, height, width).
    ///
    /// # Errors
    /// Where pictures have other channels than those that the model was made of, are smaller than a patch, or have fewer patches
    /// along a side than the grid has cells.
    pub fn new(model: &'a KMeans, size: Size) -> Result<Self> {
        let [channels, height, width] = size;
        if channels != model.channels {
            return Err(BaselinesError::Pictures {
                expected: format!(
                    "pictures of {} channel(s), which the centroids are made of",
                    model.channels
                ),
                found: format!("{channels}"),
            });
        }
        let config = &model.config;
        check_patch(config, size)?;
        let n_patches = [height, width].map(|side| (side - config.patch) / config.stride + 1);
        let fewest = n_patches[0].min(n_patches[1]);
        if config.pooling > fewest {
            let expected = format!("at most the number of patches along a side, {fewest}");
            return Err(setting("pooling", expected, config.pooling));
        }
        let cell =
            |place: usize, n: usize| (0..config.pooling).rfind(|i| start(*i, n, config.pooling) <= place);
        let mut places: Vec<(usize, [usize; 2])> = (0..n_patches[0] * n_patches[1])
            .map(|at| {
                let (y, x) = (at / n_patches[1], at % n_patches[1]);
                let row = cell(y, n_patches[0]).unwrap_or(0);
                let column = cell(x, n_patches[1]).unwrap_or(0);
                (row * config.pooling + column, [y * config.stride, x * config.stride])
            })
            .collect();
        places.sort_by_key(|(cell, _)| *cell);
        let n_columns = model.n_columns();
        let centroids = Panels::new(&model.centroids, n_columns);
        let mut norms = vec![f32::NEG_INFINITY; centroids.len() * PANEL];
        let own = model.centroids.chunks_exact(n_columns);
        norms.iter_mut().zip(own).for_each(|(norm, centroid)| *norm = square(centroid) as f32);
        Ok(Self { model, size, whitening: model.whitening.panels(), centroids, norms, places })
    }

    /// Features of a picture.
    pub fn n_features(&self) -> usize {
        self.model.config.n_features()
    }

    /// Multiplications and additions of the product with the centroids for one picture.
    pub fn operations(&self) -> f64 {
        2.0 * (self.places.len() * self.model.config.maps * self.model.n_columns()) as f64
    }

    /// The features of pictures of uint8 pixels (n, C, H, W): n rows, of each first all maps of the first cell. They
    /// are not rescaled, and depend neither on how pictures are batched nor on the number of threads.
    ///
    /// # Errors
    /// Where the pixels are not whole pictures of the size.
    pub fn encode(&self, pixels: &[u8]) -> Result<Vec<f32>> {
        let len: usize = self.size.iter().product();
        if !pixels.len().is_multiple_of(len) {
            let expected = format!("whole pictures of {len} values");
            return Err(BaselinesError::Pictures { expected, found: format!("{} values", pixels.len()) });
        }
        let mut features = vec![0.0; pixels.len() / len * self.n_features()];
        let pictures = pixels.par_chunks_exact(len).zip(features.par_chunks_exact_mut(self.n_features()));
        pictures.for_each_init(
            || Scratch::of(self),
            |scratch, (picture, features)| {
                dcgan_vectors::arch().dispatch(Picture { encoder: self, picture, scratch, features });
            },
        );
        Ok(features)
    }
}

/// Where cell `i` of `n_cells` begins on a side of `n` patches.
fn start(i: usize, n: usize, n_cells: usize) -> usize {
    (2 * i * n + n_cells) / (2 * n_cells)
}

/// Room for one thread.
struct Scratch {
    /// Patches, row by row.
    rows: Vec<f32>,
    blocks: Blocks,
    /// Of each patch the distances to all centroids.
    distances: Vec<f32>,
}

impl Scratch {
    fn of(encoder: &Encoder<'_>) -> Self {
        let n_columns = encoder.model.n_columns();
        Self {
            rows: vec![0.0; PATCHES * n_columns],
            blocks: Blocks::empty(n_columns),
            distances: vec![0.0; PATCHES * encoder.norms.len()],
        }
    }
}

struct Picture<'a> {
    encoder: &'a Encoder<'a>,
    picture: &'a [u8],
    scratch: &'a mut Scratch,
    features: &'a mut [f32],
}

impl WithSimd for Picture<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { encoder, picture, scratch, features } = self;
        let Scratch { rows, blocks, distances } = scratch;
        let config = &encoder.model.config;
        let n_columns = encoder.model.n_columns();
        for places in encoder.places.chunks(PATCHES) {
            let rows = &mut rows[..places.len() * n_columns];
            for (row, (_, place)) in rows.chunks_exact_mut(n_columns).zip(places) {
                normalised(picture, encoder.size, *place, config.patch, config.contrast_epsilon, row);
            }
            whiten(simd, &encoder.model.whitening.mean, &encoder.whitening, blocks, rows);
            blocks.fill(rows);
            let mut norms = [0.0; PATCHES];
            let own = rows.chunks_exact(n_columns);
            norms.iter_mut().zip(own).for_each(|(norm, row)| *norm = square(row) as f32);
            let means = distance(simd, encoder, (rows, blocks), &norms, distances);
            for ((cell, _), (distances, mean)) in
                places.iter().zip(distances.chunks_exact(encoder.norms.len()).zip(means))
            {
                let sums = &mut features[cell * config.maps..][..config.maps];
                sums.iter_mut().zip(distances).for_each(|(sum, distance)| *sum += (mean - distance).max(0.0));
            }
        }
    }
}

/// Below this share of |x|² + |c|², |x|² + |c|² − 2·x·c of f32 has lost too many digits, and |x − c|² is summed from the differences.
/// Few patches are that near to a centroid, most of them the very patch that the centroid is.
const NEAR: f32 = 0.01;

/// Writes the distances of the patches, given as rows and packed, whose |x|² are `norms`, to all centroids, and returns their means.
#[inline(always)]
fn distance<S: Simd>(
    simd: S,
    encoder: &Encoder<'_>,
    (rows, blocks): (&[f32], &Blocks),
    norms: &[f32; PATCHES],
    distances: &mut [f32],
) -> [f32; PATCHES] {
    let mut totals = [[0.0_f32; PANEL]; PATCHES];
    let mut sums = [[0.0; PANEL]; BLOCK];
    let width = encoder.norms.len();
    for (panel_idx, of_centroids) in encoder.norms.chunks_exact(PANEL).enumerate() {
        let panel = encoder.centroids.panel(panel_idx);
        let state = distances.chunks_exact_mut(BLOCK * width).zip(totals.chunks_exact_mut(BLOCK));
        let blocks = blocks.iter().zip(norms.chunks_exact(BLOCK)).enumerate();
        for ((block_idx, (block, norms)), (distances, totals)) in blocks.zip(state) {
            tile(simd, block, panel, &mut sums);
            let of_rows = distances.chunks_exact_mut(width).zip(totals).zip(sums.iter_mut().zip(norms));
            for (row, ((distances, totals), (sums, norm))) in of_rows.enumerate() {
                let mut is_near = false;
                for lane in 0..PANEL {
                    let lengths = norm + of_centroids[lane];
                    sums[lane] = (lengths - 2.0 * sums[lane]).max(0.0);
                    is_near |= sums[lane] < NEAR * lengths;
                }
                if is_near {
                    let row = &rows[(block_idx * BLOCK + row) * encoder.model.n_columns()..];
                    sum_differences(encoder, row, panel_idx, *norm, sums);
                }
                let distances = &mut distances[panel_idx * PANEL..][..PANEL];
                for lane in 0..PANEL {
                    let distance = sums[lane].sqrt();
                    distances[lane] = distance;
                    totals[lane] += distance;
                }
            }
        }
    }
    totals.map(|totals| totals.iter().sum::<f32>() / encoder.model.config.maps as f32)
}

/// Sums |x − c|² anew for the centroids of a panel that the patch at the start of `rows` is near to.
#[cold]
fn sum_differences(
    encoder: &Encoder<'_>,
    rows: &[f32],
    panel_idx: usize,
    norm: f32,
    squares: &mut [f32; PANEL],
) {
    let n_columns = encoder.model.n_columns();
    let first = panel_idx * PANEL;
    let centroids = encoder.model.centroids[first * n_columns..].chunks_exact(n_columns);
    for ((square, of_centroid), centroid) in squares.iter_mut().zip(&encoder.norms[first..]).zip(centroids) {
        if *square < NEAR * (norm + of_centroid) {
            *square = squared(&rows[..n_columns], centroid) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_those_of_the_authors_code() {
        let starts = |n, cells| (0..=cells).map(|i| start(i, n, cells)).collect::<Vec<_>>();
        assert_eq!(starts(27, 2), [0, 14, 27]);
        assert_eq!(starts(9, 2), [0, 5, 9]);
        assert_eq!(starts(10, 3), [0, 3, 7, 10]);
        assert_eq!(starts(4, 1), [0, 4]);
    }
}
