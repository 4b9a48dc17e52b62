//! Nearest neighbours of test rows among training rows that come tile by tile.

use std::cmp::Ordering;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::bound::limit;
use super::distance::{Metric, dot, squared};
use crate::error::{BaselinesError, Result};
use crate::product::{BLOCK, Blocks, PANEL, Panels, tile};

/// Bytes of training rows that are compared with all test rows at a time; both threads' share of the last cache.
const TILE_BYTES: usize = 8 << 20;

/// A training row near a test row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Neighbour {
    /// |a − b|² or the cosine distance.
    #[serde(with = "bits")]
    distance: f64,
    /// Number of the training row, counted over all tiles.
    pub row: u64,
    /// Its label.
    pub label: u32,
}

impl Neighbour {
    /// The distance as it was compared: |a − b|², which [`NearestNeighbours::distance`] takes the root of, or the cosine distance.
    pub fn compared(&self) -> f64 {
        self.distance
    }
}

/// A number as its bits: texts of JSON are read back to the nearest number or the one beside it.
mod bits {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(value.to_bits())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        Ok(f64::from_bits(u64::deserialize(deserializer)?))
    }
}

/// Keeps the k nearest of all training rows so far for each test row.
///
/// Memory is that of the test rows, twice, and of the neighbours: a tile of training rows is forgotten once it is
/// added, so that there may be any number of them. Results are exact and depend neither on the tiles nor on the number of threads:
/// products of f32 only rule out rows that cannot be among the nearest, with a bound for their rounding, and the others are measured in
/// f64. Of rows that are equally near, the earlier is the nearer.
///
/// ```
/// use dcgan_baselines::neighbours::{Metric, NearestNeighbours};
///
/// # fn main() -> dcgan_baselines::Result<()> {
/// let test = [0.0, 0.0, 10.0, 10.0];
/// let mut nearest = NearestNeighbours::new(&test, 2, 3, Metric::Euclidean)?;
/// nearest.add(&[1.0, 0.0, 9.0, 9.0], &[7, 8])?;
/// assert_eq!(nearest.predictions(1)?, [7, 8]);
/// nearest.add(&[0.0, 0.5, 0.0, 0.6], &[5, 5])?;
/// assert_eq!((nearest.n_rows(), nearest.predictions(1)?, nearest.predictions(3)?), (4, vec![5, 8], vec![5, 5]));
/// assert_eq!(nearest.neighbours(0)[0].row, 2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct NearestNeighbours<'a> {
    test: &'a [f32],
    panels: Panels,
    n_columns: usize,
    k: usize,
    metric: Metric,
    /// |b| of each test row.
    norms: Vec<f64>,
    /// Of each test row at most k neighbours, nearest first.
    nearest: Vec<Vec<Neighbour>>,
    n_rows: u64,
    blocks: Blocks,
}

impl<'a> NearestNeighbours<'a> {
    /// Makes ready to find the `k` nearest of test rows of `n_columns` numbers, which lie one after another.
    ///
    /// # Errors
    /// [`BaselinesError::Setting`] for k = 0; [`BaselinesError::Rows`] where `test` is not of whole rows, at least one;
    /// [`BaselinesError::NotFinite`].
    pub fn new(test: &'a [f32], n_columns: usize, k: usize, metric: Metric) -> Result<Self> {
        if k == 0 {
            return Err(crate::error::setting("k", "at least 1", k));
        }
        check_rows("test", test, n_columns, 0)?;
        if test.is_empty() {
            let expected = "at least one row".to_owned();
            return Err(BaselinesError::Rows { side: "test", expected, found: "none".to_owned() });
        }
        let norms: Vec<f64> = test.par_chunks_exact(n_columns).map(|row| dot(row, row).sqrt()).collect();
        Ok(Self {
            test,
            panels: Panels::new(test, n_columns),
            n_columns,
            k,
            metric,
            nearest: vec![Vec::with_capacity(k); norms.len()],
            norms,
            n_rows: 0,
            blocks: Blocks::empty(n_columns),
        })
    }

    /// Training rows so far.
    pub fn n_rows(&self) -> u64 {
        self.n_rows
    }

    /// Forgets all training rows.
    pub fn clear(&mut self) {
        self.n_rows = 0;
        self.nearest.iter_mut().for_each(Vec::clear);
    }

    /// Adds training rows, one after another, with a label each. A tile of a few thousand is best; larger ones are cut.
    ///
    /// # Errors
    /// [`BaselinesError::Rows`] where there are not as many rows as labels; [`BaselinesError::NotFinite`], naming the row. Then
    /// none of the rows is added.
    pub fn add(&mut self, rows: &[f32], labels: &[u32]) -> Result<()> {
        check_rows("train", rows, self.n_columns, self.n_rows)?;
        if rows.len() != labels.len() * self.n_columns {
            return Err(BaselinesError::Rows {
                side: "train",
                expected: format!("{} rows, one a label", labels.len()),
                found: (rows.len() / self.n_columns).to_string(),
            });
        }
        let n_at_once = (TILE_BYTES / size_of::<f32>() / self.n_columns).max(BLOCK);
        for (rows, labels) in rows.chunks(n_at_once * self.n_columns).zip(labels.chunks(n_at_once)) {
            self.add_tile(rows, labels);
            self.n_rows += labels.len() as u64;
        }
        Ok(())
    }

    fn add_tile(&mut self, rows: &[f32], labels: &[u32]) {
        self.blocks.fill_on_all_threads(rows);
        let n_columns = self.n_columns;
        let norms: Vec<f64> = rows.par_chunks_exact(n_columns).map(|row| dot(row, row).sqrt()).collect();
        // A score is the first plus the second times a·b.
        let mut scores = vec![[0.0_f32; 2]; labels.len().next_multiple_of(BLOCK)];
        for (score, norm) in scores.iter_mut().zip(&norms) {
            *score = match self.metric {
                Metric::Euclidean => [(norm * norm) as f32, -2.0],
                Metric::Cosine if *norm > 0.0 => [0.0, (-1.0 / norm) as f32],
                Metric::Cosine => [0.0, 0.0],
            };
        }
        let lengths = norms.iter().filter(|norm| **norm > 0.0);
        let lengths =
            lengths.fold([f64::INFINITY, 0.0], |[least, most], norm| [norm.min(least), norm.max(most)]);
        let test = Test {
            rows: self.test,
            panels: &self.panels,
            norms: &self.norms,
            n_columns,
            k: self.k,
            metric: self.metric,
        };
        let of_tile = Tile { of: test, rows, labels, norms: &norms, scores: &scores, lengths };
        let first_row = self.n_rows;
        self.nearest.par_chunks_mut(PANEL).enumerate().for_each(|(panel_idx, nearest)| {
            dcgan_vectors::arch().dispatch(Search {
                tile: &of_tile,
                blocks: &self.blocks,
                panel_idx,
                nearest,
                first_row,
            });
        });
    }

    /// What was found so far, to be kept: as many training rows, and each test row's neighbours.
    pub fn found(&self) -> (u64, &[Vec<Neighbour>]) {
        (self.n_rows, &self.nearest)
    }

    /// Goes on from what [`Self::found`] gave of the same test rows.
    ///
    /// # Errors
    /// [`BaselinesError::Rows`] where it is of other test rows, or of more neighbours than are kept.
    pub fn go_on_from(&mut self, n_rows: u64, nearest: Vec<Vec<Neighbour>>) -> Result<()> {
        let wrong = |expected: String, found: usize| {
            Err(BaselinesError::Rows { side: "test", expected, found: found.to_string() })
        };
        if nearest.len() != self.nearest.len() {
            return wrong(format!("neighbours of {} rows", self.nearest.len()), nearest.len());
        }
        let n_kept = (self.k as u64).min(n_rows) as usize;
        if let Some(found) = nearest.iter().map(Vec::len).find(|&found| found != n_kept) {
            return wrong(format!("{n_kept} neighbours each"), found);
        }
        (self.n_rows, self.nearest) = (n_rows, nearest);
        Ok(())
    }

    /// The neighbours of a test row, nearest first; fewer than k while there are fewer training rows.
    ///
    /// # Panics
    /// Where there is no such test row.
    pub fn neighbours(&self, test_row: usize) -> &[Neighbour] {
        &self.nearest[test_row]
    }

    /// The distance of a neighbour.
    pub fn distance(&self, neighbour: &Neighbour) -> f64 {
        match self.metric {
            Metric::Euclidean => neighbour.distance.sqrt(),
            Metric::Cosine => neighbour.distance,
        }
    }

    /// The label of each test row by the majority of its `k` nearest, which may be fewer than are kept. Of labels that are
    /// equally frequent the smallest wins.
    ///
    /// # Errors
    /// [`BaselinesError::Setting`] where `k` is 0 or above what is kept; [`BaselinesError::Rows`] where there are fewer training
    /// rows than `k`.
    pub fn predictions(&self, k: usize) -> Result<Vec<u32>> {
        if k == 0 || k > self.k {
            return Err(crate::error::setting("k", format!("from 1 to {}", self.k), k));
        }
        if (k as u64) > self.n_rows {
            return Err(BaselinesError::Rows {
                side: "train",
                expected: format!("at least k = {k} rows"),
                found: self.n_rows.to_string(),
            });
        }
        Ok(self.nearest.iter().map(|nearest| majority(&nearest[..k])).collect())
    }
}

/// The smallest of the most frequent labels.
fn majority(nearest: &[Neighbour]) -> u32 {
    let mut labels: Vec<u32> = nearest.iter().map(|neighbour| neighbour.label).collect();
    labels.sort_unstable();
    let runs = labels.chunk_by(|a, b| a == b).map(|run| (run.len(), run[0]));
    let most = runs.reduce(|best, run| if run.0 > best.0 { run } else { best });
    most.map_or(0, |(_, label)| label)
}

/// Refuses rows that are cut off, or not finite; `first` is the number of the first.
pub(super) fn check_rows(side: &'static str, rows: &[f32], n_columns: usize, first: u64) -> Result<()> {
    if n_columns == 0 || !rows.len().is_multiple_of(n_columns) {
        let (expected, found) =
            (format!("whole rows of {n_columns} numbers"), format!("{} numbers", rows.len()));
        return Err(BaselinesError::Rows { side, expected, found });
    }
    // To the end of each row, so that it goes on in vectors.
    let is_bad = |row: &[f32]| !row.iter().fold(true, |all, value| all & value.is_finite());
    let Some(row) = rows.par_chunks(n_columns).position_first(is_bad) else { return Ok(()) };
    let values = &rows[row * n_columns..][..n_columns];
    let column = values.iter().position(|value| !value.is_finite()).unwrap_or(0);
    Err(BaselinesError::NotFinite { side, row: first + row as u64, column, found: values[column] })
}

/// The test rows.
#[derive(Clone, Copy)]
struct Test<'a> {
    rows: &'a [f32],
    panels: &'a Panels,
    norms: &'a [f64],
    n_columns: usize,
    k: usize,
    metric: Metric,
}

/// A tile of training rows.
struct Tile<'a> {
    of: Test<'a>,
    rows: &'a [f32],
    labels: &'a [u32],
    norms: &'a [f64],
    scores: &'a [[f32; 2]],
    /// Of the shortest and the longest row that is not 0.
    lengths: [f64; 2],
}

impl Tile<'_> {
    /// The distance of a row of the tile to a test row.
    fn distance(&self, row: usize, test_row: usize) -> f64 {
        let n_columns = self.of.n_columns;
        let train = &self.rows[row * n_columns..][..n_columns];
        let test = &self.of.rows[test_row * n_columns..][..n_columns];
        match self.of.metric {
            Metric::Euclidean => squared(train, test),
            Metric::Cosine => {
                let norms = self.norms[row] * self.of.norms[test_row];
                if norms > 0.0 { 1.0 - dot(train, test) / norms } else { 1.0 }
            }
        }
    }

    /// What scores must not be above to be among the nearest.
    fn limit(&self, nearest: &[Neighbour], test_row: usize) -> f32 {
        match nearest.get(self.of.k - 1) {
            Some(last) => {
                limit(self.of.metric, last.distance, self.of.norms[test_row], self.lengths, self.of.n_columns)
            }
            None => f32::INFINITY,
        }
    }
}

/// All rows of a tile against one panel of test rows.
struct Search<'a> {
    tile: &'a Tile<'a>,
    blocks: &'a Blocks,
    panel_idx: usize,
    nearest: &'a mut [Vec<Neighbour>],
    first_row: u64,
}

impl WithSimd for Search<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let first_test = self.panel_idx * PANEL;
        // Beyond the last test row nothing is near.
        let mut limits = [f32::NEG_INFINITY; PANEL];
        for (lane, nearest) in self.nearest.iter().enumerate() {
            limits[lane] = self.tile.limit(nearest, first_test + lane);
        }
        let panel = self.tile.of.panels.panel(self.panel_idx);
        let mut sums = [[0.0; PANEL]; BLOCK];
        for ((block_idx, block), scores) in self.blocks.iter().enumerate().zip(self.tile.scores.chunks(BLOCK))
        {
            tile(simd, block, panel, &mut sums);
            let rows = block_idx * BLOCK..self.tile.labels.len();
            for ((row, sums), [base, factor]) in rows.zip(&sums).zip(scores) {
                // Not "at most": of what is not a number, nothing is known.
                let is_above = |sum: f32, limit: f32| base + factor * sum > limit;
                let mut n_above = 0;
                for lane in 0..PANEL {
                    n_above += u32::from(is_above(sums[lane], limits[lane]));
                }
                if n_above < PANEL as u32 {
                    for lane in 0..self.nearest.len() {
                        if !is_above(sums[lane], limits[lane]) && self.insert(row, lane) {
                            limits[lane] = self.tile.limit(&self.nearest[lane], first_test + lane);
                        }
                    }
                }
            }
        }
    }
}

impl Search<'_> {
    /// Measures a row exactly and puts it among the nearest of a test row, if it is; tells so.
    fn insert(&mut self, row: usize, lane: usize) -> bool {
        let distance = self.tile.distance(row, self.panel_idx * PANEL + lane);
        let nearest = &mut self.nearest[lane];
        // Behind those that are as near: they came earlier.
        let at = nearest.partition_point(|other| other.distance.total_cmp(&distance) != Ordering::Greater);
        if at == self.tile.of.k {
            return false;
        }
        nearest.truncate(self.tile.of.k - 1);
        nearest.insert(
            at,
            Neighbour { distance, row: self.first_row + row as u64, label: self.tile.labels[row] },
        );
        true
    }
}
