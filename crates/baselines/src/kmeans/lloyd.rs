//! A pass of K-means (Lloyd): each row to its nearest centroid, each centroid to the mean of its rows.

use std::ops::ControlFlow;

use pulp::{Simd, WithSimd};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::error::{BaselinesError, Result};
use crate::product::{BLOCK, Blocks, PANEL, Panels, tile};

/// Rows that one thread compares with all centroids at a time.
const ROWS: usize = 8 * BLOCK;
/// Rows between two looks at whether to stop.
const STRETCH: usize = 256 * ROWS;

/// Told as rows are done; [`ControlFlow::Break`] asks to stop.
pub(super) type Observe<'a> = &'a mut dyn FnMut(u64) -> ControlFlow<()>;

/// Which centroid each row is nearest to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Assignment {
    /// The centroid of each row; of equally near ones the first.
    pub(super) nearest: Vec<u32>,
    /// Σ of the squared distances.
    pub(super) inertia: f64,
}

/// Assigns `rows` of `n_columns` numbers to the nearest of `centroids`.
///
/// Distances are compared as |c|² − 2·x·c, of f32: which of two nearly equally near centroids a row goes to may depend on its last
/// digits, but not on the number of threads.
pub(super) fn assign(
    rows: &[f32],
    centroids: &[f32],
    n_columns: usize,
    observe: Observe<'_>,
) -> Result<Assignment> {
    let panels = Panels::new(centroids, n_columns);
    let mut norms = vec![f32::INFINITY; panels.len() * PANEL];
    norms.iter_mut().zip(centroids.chunks_exact(n_columns)).for_each(|(norm, c)| *norm = square(c) as f32);
    let n_rows = rows.len() / n_columns;
    let mut nearest = vec![0; n_rows];
    let mut squares = vec![0.0_f64; n_rows.div_ceil(ROWS)];
    let stretches = rows.chunks(STRETCH * n_columns);
    let outs = nearest.chunks_mut(STRETCH).zip(squares.chunks_mut(STRETCH / ROWS));
    for (stretch_idx, (rows, (nearest, squares))) in stretches.zip(outs).enumerate() {
        if observe((stretch_idx * STRETCH) as u64).is_break() {
            return Err(BaselinesError::Interrupted);
        }
        let tiles = rows.par_chunks(ROWS * n_columns).zip(nearest.par_chunks_mut(ROWS)).zip(squares);
        tiles.for_each_init(
            || Blocks::empty(n_columns),
            |blocks, ((rows, nearest), square)| {
                blocks.fill(rows);
                let least = dcgan_vectors::arch().dispatch(Nearest {
                    blocks,
                    panels: &panels,
                    norms: &norms,
                    nearest,
                });
                let own: f64 = rows.chunks_exact(n_columns).map(self::square).sum();
                *square = own + least;
            },
        );
    }
    Ok(Assignment { nearest, inertia: squares.iter().sum() })
}

/// |x|².
#[inline(always)]
pub(crate) fn square(row: &[f32]) -> f64 {
    // Sums that go on side by side.
    let (chunks, rest) = row.as_chunks::<16>();
    let mut sums = [0.0; 16];
    for chunk in chunks {
        sums.iter_mut().zip(chunk).for_each(|(sum, value)| *sum += f64::from(*value) * f64::from(*value));
    }
    let rest: f64 = rest.iter().map(|value| f64::from(*value) * f64::from(*value)).sum();
    sums.iter().sum::<f64>() + rest
}

struct Nearest<'a> {
    blocks: &'a Blocks,
    panels: &'a Panels,
    norms: &'a [f32],
    nearest: &'a mut [u32],
}

impl WithSimd for Nearest<'_> {
    /// Σ of the least |c|² − 2·x·c.
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        // Of each row and each lane of the panels the least so far, and in which panel.
        let mut least = [[f32::INFINITY; PANEL]; ROWS];
        let mut of_panel = [[0_u32; PANEL]; ROWS];
        let mut sums = [[0.0; PANEL]; BLOCK];
        for (panel_idx, norms) in (0..self.panels.len()).zip(self.norms.chunks_exact(PANEL)) {
            let panel = self.panels.panel(panel_idx);
            let state = least.chunks_exact_mut(BLOCK).zip(of_panel.chunks_exact_mut(BLOCK));
            for (block, (least, of_panel)) in self.blocks.iter().zip(state) {
                tile(simd, block, panel, &mut sums);
                for (sums, (least, of_panel)) in sums.iter().zip(least.iter_mut().zip(of_panel)) {
                    for lane in 0..PANEL {
                        let score = norms[lane] - 2.0 * sums[lane];
                        let is_less = score < least[lane];
                        least[lane] = if is_less { score } else { least[lane] };
                        of_panel[lane] = if is_less { panel_idx as u32 } else { of_panel[lane] };
                    }
                }
            }
        }
        let mut sum = 0.0;
        for (nearest, (least, of_panel)) in self.nearest.iter_mut().zip(least.iter().zip(&of_panel)) {
            let lanes = (0..PANEL).map(|lane| (least[lane], of_panel[lane] * PANEL as u32 + lane as u32));
            let first = (f32::INFINITY, u32::MAX);
            let (score, centroid) = lanes.fold(first, |best, lane| {
                if lane.0 < best.0 || (lane.0 == best.0 && lane.1 < best.1) { lane } else { best }
            });
            *nearest = centroid;
            sum += f64::from(score);
        }
        sum
    }
}

/// Moves each centroid to the mean of its rows, and one that has none to a random row. Returns how many rows each has, and
/// how many were drawn anew.
pub(super) fn update(
    rows: &[f32],
    nearest: &[u32],
    centroids: &mut [f32],
    n_columns: usize,
    rng: &mut ChaCha8Rng,
) -> (Vec<u32>, usize) {
    let n_centroids = centroids.len() / n_columns;
    let mut counts = vec![0_u32; n_centroids];
    nearest.iter().for_each(|&centroid| counts[centroid as usize] += 1);
    // The rows of each centroid one after another, each centroid's ascending: sums are in that order.
    let mut next: Vec<usize> =
        counts.iter().scan(0, |end, &n| Some(std::mem::replace(end, *end + n as usize))).collect();
    let mut order = vec![0_u32; nearest.len()];
    for (row, &centroid) in nearest.iter().enumerate() {
        order[next[centroid as usize]] = row as u32;
        next[centroid as usize] += 1;
    }
    centroids.par_chunks_exact_mut(n_columns).zip(&next).zip(&counts).for_each(|((centroid, &end), &n)| {
        if n > 0 {
            let mut sums = vec![0.0_f64; n_columns];
            for &row in &order[end - n as usize..end] {
                let row = &rows[row as usize * n_columns..][..n_columns];
                sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
            }
            centroid.iter_mut().zip(&sums).for_each(|(to, sum)| *to = (sum / f64::from(n)) as f32);
        }
    });
    let mut n_drawn = 0;
    for (centroid, _) in centroids.chunks_exact_mut(n_columns).zip(&counts).filter(|(_, n)| **n == 0) {
        let row = rng.random_range(0..nearest.len() as u32) as usize;
        centroid.copy_from_slice(&rows[row * n_columns..][..n_columns]);
        n_drawn += 1;
    }
    (counts, n_drawn)
}
