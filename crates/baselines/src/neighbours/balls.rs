//! Which rows of two sets lie in balls about the rows of the other.

use std::sync::atomic::{AtomicBool, Ordering};

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::bound::limit;
use super::distance::{Metric, dot, squared};
use super::search::check_rows;
use crate::error::{BaselinesError, Result};
use crate::product::{BLOCK, Blocks, PANEL, Panels, tile};

/// Bytes of left rows that are compared with all right rows at a time.
const TILE_BYTES: usize = 8 << 20;

/// What was counted of left rows and right rows, with a ball about each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balls {
    /// For each right row, how many left balls it lies in.
    pub n_around_right: Vec<u32>,
    /// For each left row, whether its ball holds a right row.
    pub left_holds: Vec<bool>,
    /// For each left row, whether it lies in a right ball.
    pub left_is_held: Vec<bool>,
}

/// Rows of one side and the radius about each.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// Rows, one after another.
    pub rows: &'a [f32],
    /// |radius|², one a row.
    pub squared_radii: &'a [f64],
}

/// Compares all left rows with all right ones; a row lies in a ball where its distance is less than the radius. Exact, as
/// [`NearestNeighbours`](super::NearestNeighbours) is: pairs that products of f32 do not decide are measured in f64.
///
/// `observe` is told left rows done and all there are.
///
/// # Errors
/// [`BaselinesError::Rows`] where rows are cut off or have another number of radii; [`BaselinesError::NotFinite`];
/// [`BaselinesError::Interrupted`].
pub fn balls(
    left: Side<'_>,
    right: Side<'_>,
    n_columns: usize,
    observe: super::Observe<'_>,
) -> Result<Balls> {
    for (name, side) in [("left", left), ("right", right)] {
        check_rows(name, side.rows, n_columns, 0)?;
        if side.rows.len() != side.squared_radii.len() * n_columns {
            return Err(BaselinesError::Rows {
                side: name,
                expected: format!("{} rows, one a radius", side.squared_radii.len()),
                found: (side.rows.len() / n_columns).to_string(),
            });
        }
    }
    let norms = |rows: &[f32]| -> Vec<f64> {
        rows.par_chunks_exact(n_columns).map(|row| dot(row, row).sqrt()).collect()
    };
    let flags = || (0..left.squared_radii.len()).map(|_| AtomicBool::new(false)).collect::<Vec<_>>();
    let (panels, right_norms, left_norms) =
        (Panels::new(right.rows, n_columns), norms(right.rows), norms(left.rows));
    let (holds, is_held) = (flags(), flags());
    let mut n_around_right = vec![0; right.squared_radii.len()];
    let mut blocks = Blocks::empty(n_columns);
    let n_at_once = (TILE_BYTES / size_of::<f32>() / n_columns).next_multiple_of(BLOCK).max(BLOCK);
    for first in (0..left.squared_radii.len()).step_by(n_at_once) {
        if observe(first as u64, left.squared_radii.len() as u64).is_break() {
            return Err(BaselinesError::Interrupted);
        }
        let n = n_at_once.min(left.squared_radii.len() - first);
        blocks.fill_on_all_threads(&left.rows[first * n_columns..][..n * n_columns]);
        let of_tile = Tile {
            left: Side {
                rows: &left.rows[first * n_columns..][..n * n_columns],
                squared_radii: &left.squared_radii[first..][..n],
            },
            right,
            n_columns,
            panels: &panels,
            blocks: &blocks,
            norms: [&left_norms[first..][..n], &right_norms],
            lengths: lengths(&left_norms[first..][..n]),
            holds: &holds[first..][..n],
            is_held: &is_held[first..][..n],
        };
        n_around_right.par_chunks_mut(PANEL).enumerate().for_each(|(panel_idx, n_around)| {
            dcgan_vectors::arch().dispatch(Count { tile: &of_tile, panel_idx, n_around });
        });
    }
    let taken = |flags: Vec<AtomicBool>| flags.into_iter().map(AtomicBool::into_inner).collect();
    Ok(Balls { n_around_right, left_holds: taken(holds), left_is_held: taken(is_held) })
}

/// The lengths of the shortest and the longest row that is not 0.
fn lengths(norms: &[f64]) -> [f64; 2] {
    let lengths = norms.iter().filter(|norm| **norm > 0.0);
    lengths.fold([f64::INFINITY, 0.0], |[least, most], norm| [norm.min(least), norm.max(most)])
}

/// Some left rows, and all right ones.
struct Tile<'a> {
    left: Side<'a>,
    right: Side<'a>,
    n_columns: usize,
    panels: &'a Panels,
    blocks: &'a Blocks,
    norms: [&'a [f64]; 2],
    lengths: [f64; 2],
    holds: &'a [AtomicBool],
    is_held: &'a [AtomicBool],
}

impl Tile<'_> {
    fn squared(&self, left: usize, right: usize) -> f64 {
        let d = self.n_columns;
        squared(&self.left.rows[left * d..][..d], &self.right.rows[right * d..][..d])
    }
}

/// All left rows of a tile against one panel of right rows.
struct Count<'a> {
    tile: &'a Tile<'a>,
    panel_idx: usize,
    n_around: &'a mut [u32],
}

impl WithSimd for Count<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { tile: of, panel_idx, n_around } = self;
        let first = panel_idx * PANEL;
        let n_lanes = n_around.len();
        // What rounding may add to |a − b|², in any pair of the tile.
        let mut margins = [0.0_f64; PANEL];
        for (lane, margin) in margins.iter_mut().enumerate().take(n_lanes) {
            let norm = of.norms[1][first + lane];
            // The limit above a distance of |b|², less |b|², is the margin alone.
            *margin = f64::from(limit(Metric::Euclidean, norm * norm, norm, of.lengths, of.n_columns));
        }
        let mut sums = [[0.0; PANEL]; BLOCK];
        for (block_idx, block) in of.blocks.iter().enumerate() {
            tile(simd, block, of.panels.panel(panel_idx), &mut sums);
            let rows = block_idx * BLOCK..of.left.squared_radii.len();
            for (row, sums) in rows.zip(&sums) {
                let square = of.norms[0][row] * of.norms[0][row];
                let radius = of.left.squared_radii[row];
                let (mut holds, mut is_held) = (false, of.is_held[row].load(Ordering::Relaxed));
                for lane in 0..n_lanes {
                    let norm = of.norms[1][first + lane];
                    let about = square + norm * norm - 2.0 * f64::from(sums[lane]);
                    let margin = margins[lane];
                    let mut exact = None;
                    let mut is_within = |radius: f64| {
                        let off = about - radius;
                        // Not "at least": of what is not a number, nothing is known.
                        if off.abs() > margin && off.is_finite() {
                            return off < 0.0;
                        }
                        *exact.get_or_insert_with(|| of.squared(row, first + lane)) < radius
                    };
                    if is_within(radius) {
                        holds = true;
                        n_around[lane] += 1;
                    }
                    if !is_held && is_within(of.right.squared_radii[first + lane]) {
                        is_held = true;
                    }
                }
                if holds {
                    of.holds[row].store(true, Ordering::Relaxed);
                }
                if is_held {
                    of.is_held[row].store(true, Ordering::Relaxed);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;

    /// Whole numbers, so that many rows lie on the edge of a ball, which is not in it.
    #[test]
    fn counts_are_those_of_all_pairs() {
        let value = |i: usize| ((i * 7919 + i * i) % 5) as f32 - 2.0;
        for (n_left, n_right, d) in [(1, 1, 1), (40, 70, 3), (25, 33, 6)] {
            let left: Vec<f32> = (0..n_left * d).map(value).collect();
            let right: Vec<f32> = (0..n_right * d).map(|i| value(i + 3)).collect();
            let radii = |n: usize| (0..n).map(|i| (i % 7) as f64 * d as f64 / 3.0).collect::<Vec<f64>>();
            let (of_left, of_right) = (radii(n_left), radii(n_right));
            let found = balls(
                Side { rows: &left, squared_radii: &of_left },
                Side { rows: &right, squared_radii: &of_right },
                d,
                &mut |_, _| ControlFlow::Continue(()),
            )
            .unwrap();
            let mut expected = Balls {
                n_around_right: vec![0; n_right],
                left_holds: vec![false; n_left],
                left_is_held: vec![false; n_left],
            };
            for (i, a) in left.chunks(d).enumerate() {
                for (j, b) in right.chunks(d).enumerate() {
                    let distance: f64 = a.iter().zip(b).map(|(a, b)| f64::from((a - b) * (a - b))).sum();
                    expected.n_around_right[j] += u32::from(distance < of_left[i]);
                    expected.left_holds[i] |= distance < of_left[i];
                    expected.left_is_held[i] |= distance < of_right[j];
                }
            }
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let side = |rows: &'static [f32], squared_radii: &'static [f64]| Side { rows, squared_radii };
        let mut stop = |_, _| ControlFlow::Break(());
        let found = balls(side(&[0.0; 4], &[1.0; 2]), side(&[0.0; 4], &[1.0; 1]), 2, &mut stop);
        assert_eq!(found.unwrap_err().to_string(), "right: expected 1 rows, one a radius, found 2");
        let found = balls(side(&[0.0; 4], &[1.0; 2]), side(&[0.0; 4], &[1.0; 2]), 2, &mut stop);
        assert!(matches!(found, Err(BaselinesError::Interrupted)));
    }
}
