//! Matrices and places as products take them.

use std::borrow::Cow;

use half::bf16;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::micro::PANEL;
use super::shared::{Plain, Room, Shared, fetch};
use crate::{
    element::{Element, narrow_to},
    lanes::{LANES, Pair, Value},
    vectorised,
};

/// Rows of a matrix that a task packs.
const ROWS: usize = 16;
/// Rows of a panel that a task copies.
const PANEL_ROWS: usize = 256;
/// Side of the square that is transposed at a time: a cache line of values.
const SIDE: usize = 16;
/// Values a task converts.
const CHUNK: usize = 1 << 14;

/// Elements whose products are summed.
pub(crate) trait Multiplied: Element<Value: Plain> + Plain {
    /// A matrix's rows of `columns` numbers, those that make a value joined, whole vectors each.
    fn pack(matrix: &[f32], columns: usize) -> Cow<'_, [Self::Value]>;

    /// Matrices (c, o), one a tap, turned and packed so: rows (tap, o) of c numbers.
    fn pack_transposed(kernel: &[f32], sizes: [usize; 3]) -> Panels<Self::Value>;

    /// All as elements.
    fn all_narrow(values: Vec<f32>) -> Vec<Self>;

    /// The place of elements, where a value is one.
    fn as_elements(place: Shared<Self::Value>) -> Option<Shared<Self>>;

    /// What sums are written to, where it is f32 itself.
    fn as_sums(place: Shared<Self>) -> Option<Shared<f32>>;
}

impl Multiplied for f32 {
    fn pack(matrix: &[f32], columns: usize) -> Cow<'_, [f32]> {
        widen(matrix, columns)
    }

    fn pack_transposed(kernel: &[f32], sizes: [usize; 3]) -> Panels<f32> {
        Panels::transposed(sizes, |at, row| row.copy_from_slice(&kernel[at..at + row.len()]))
    }

    fn all_narrow(values: Vec<f32>) -> Vec<Self> {
        values
    }

    fn as_elements(place: Shared<f32>) -> Option<Shared<Self>> {
        Some(place)
    }

    fn as_sums(place: Shared<Self>) -> Option<Shared<f32>> {
        Some(place)
    }
}

impl Multiplied for bf16 {
    fn pack(matrix: &[f32], columns: usize) -> Cow<'_, [Pair]> {
        let step = columns.next_multiple_of(LANES);
        let n_pairs = (matrix.len() / columns).div_ceil(2);
        let mut pairs = vec![Pair::default(); n_pairs * step];
        let rows = matrix.par_chunks(2 * ROWS * columns);
        pairs.par_chunks_mut(ROWS * step).zip(rows).for_each(|(pairs, rows)| {
            for (pairs, rows) in pairs.chunks_exact_mut(step).zip(rows.chunks(2 * columns)) {
                let (first, second) = rows.split_at(columns);
                dcgan_vectors::arch().dispatch(PairUp { first, second, to: &mut pairs[..columns] });
            }
        });
        Cow::Owned(pairs)
    }

    fn pack_transposed(kernel: &[f32], [taps, c, o]: [usize; 3]) -> Panels<Pair> {
        if o.is_multiple_of(2) {
            return Panels::transposed([taps, c, o / 2], |at, row: &mut [Pair]| {
                let from = kernel[2 * at..][..2 * row.len()].as_chunks::<2>().0;
                vectorised(|| row.iter_mut().zip(from).for_each(|(to, pair)| *to = rounded(*pair)));
            });
        }
        let mut turned = vec![0.0; taps * o * c];
        let tasks = turned.par_chunks_exact_mut((o * c).max(1)).zip(kernel.par_chunks_exact((o * c).max(1)));
        tasks.for_each(|(to, from)| turn(from, o, to, c));
        Panels::new(&Self::pack(&turned, c), c)
    }

    fn all_narrow(values: Vec<f32>) -> Vec<Self> {
        let mut narrow = Vec::with_capacity(values.len());
        let room = &mut narrow.spare_capacity_mut()[..values.len()];
        let chunks = room.par_chunks_mut(CHUNK).zip(values.par_chunks(CHUNK));
        chunks.for_each(|(to, from)| narrow_to(from, to));
        // SAFETY: each of as many values was written.
        #[allow(unsafe_code)]
        unsafe {
            narrow.set_len(values.len());
        }
        narrow
    }

    fn as_elements(_: Shared<Pair>) -> Option<Shared<Self>> {
        None
    }

    fn as_sums(_: Shared<Self>) -> Option<Shared<f32>> {
        None
    }
}

/// A packed matrix cut into panels of [`PANEL`] columns, the rows of each of which lie together: however long a whole row is, a panel's
/// lie in all places of a cache.
pub(crate) struct Panels<V> {
    values: Room<V>,
    n_rows: usize,
    /// Columns of all panels, whole vectors.
    width: usize,
}

impl<V: Value + Plain> Panels<V> {
    /// Of matrices (c, o), one a tap, turned: rows (tap, o) of c values. `read` gives the values of a row of c from one of its places on.
    fn transposed([taps, c, o]: [usize; 3], read: impl Fn(usize, &mut [V]) + Sync) -> Self {
        let width = c.next_multiple_of(LANES);
        let n_rows = taps * o;
        let mut values = Room::new(n_rows * width);
        let tasks = values.values().par_chunks_mut((n_rows * PANEL).max(1)).enumerate();
        // A task has the next rows of one tap, the last of which may be fewer.
        let tasks = tasks.flat_map(|(i, out)| {
            let (first, step) = (i * PANEL, PANEL.min(width - i * PANEL));
            out.par_chunks_mut((o * step).max(1)).enumerate().flat_map(move |(tap, out)| {
                let blocks = out.par_chunks_mut(SIDE * step).enumerate();
                blocks.map(move |(block, out)| ([first, step, tap, block], out))
            })
        });
        tasks.for_each(|([first_column, step, tap, block], out)| {
            let mut square = [[V::default(); SIDE]; SIDE];
            let (first, n_rows) = (block * SIDE, out.len() / step);
            let end = c.min(first_column + step);
            for c0 in (first_column..end).step_by(SIDE) {
                let n_columns = SIDE.min(end - c0);
                for (i, row) in square[..n_columns].iter_mut().enumerate() {
                    read((tap * c + c0 + i) * o + first, &mut row[..n_rows]);
                }
                for (j, out) in out.chunks_exact_mut(step).enumerate() {
                    let (to, rest) = out[c0 - first_column..].split_at_mut(n_columns);
                    for (to, row) in to.iter_mut().zip(&square) {
                        *to = row[j];
                    }
                    if end == c && c0 + SIDE >= end {
                        rest.fill(V::default());
                    }
                }
            }
        });
        Self { values, n_rows, width }
    }

    /// Of rows of `columns` values, made whole vectors.
    pub(super) fn new(rows: &[V], columns: usize) -> Self {
        let width = columns.next_multiple_of(LANES);
        let n_rows = rows.len() / width;
        let mut values = Room::new(rows.len());
        let tasks = values.values().par_chunks_mut((n_rows * PANEL).max(1)).enumerate();
        let tasks = tasks.flat_map(|(panel, to)| {
            let step = PANEL.min(width - panel * PANEL);
            to.par_chunks_mut(PANEL_ROWS * step).enumerate().map(move |(block, to)| (panel, block, step, to))
        });
        tasks.for_each(|(panel, block, step, to)| {
            let from = rows[block * PANEL_ROWS * width..].chunks_exact(width);
            for (to, row) in to.chunks_exact_mut(step).zip(from) {
                to.copy_from_slice(&row[panel * PANEL..][..step]);
            }
        });
        Self { values, n_rows, width }
    }

    /// The rows of a panel, and how many columns it has.
    pub(super) fn panel(&self, panel: usize) -> (&[V], usize) {
        let step = PANEL.min(self.width - panel * PANEL);
        (&self.values.get()[panel * PANEL * self.n_rows..][..step * self.n_rows], step)
    }
}

/// Two numbers that lie together, rounded.
#[inline(always)]
fn rounded(pair: [f32; 2]) -> Pair {
    Pair(pair.map(|value| bf16::narrow(value).to_bits()))
}

/// Joins two rows of numbers, rounded; with zeros where there is no second. (No closure, which might not be compiled for wide vectors.)
struct PairUp<'a> {
    first: &'a [f32],
    second: &'a [f32],
    to: &'a mut [Pair],
}

impl WithSimd for PairUp<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { first, second, to } = self;
        if second.is_empty() {
            to.iter_mut().zip(first).for_each(|(to, &first)| *to = rounded([first, 0.0]));
        } else {
            let rows = first.iter().zip(second);
            to.iter_mut().zip(rows).for_each(|(to, (&first, &second))| *to = rounded([first, second]));
        }
    }
}

/// Rows of `columns` values, made whole vectors with zeros where they are not.
pub(super) fn widen(values: &[f32], columns: usize) -> Cow<'_, [f32]> {
    let step = columns.next_multiple_of(LANES);
    if step == columns {
        return Cow::Borrowed(values);
    }
    let mut wide = vec![0.0; values.len() / columns * step];
    wide.par_chunks_exact_mut(step)
        .zip(values.par_chunks_exact(columns))
        .for_each(|(wide, row)| wide[..columns].copy_from_slice(row));
    Cow::Owned(wide)
}

/// Rows that are `step` apart → columns of rows of `columns` values, as many as they fill.
pub(super) fn turn(from: &[f32], step: usize, to: &mut [f32], columns: usize) {
    let n_rows = to.len() / columns;
    for (row, column) in
        (0..n_rows).step_by(SIDE).flat_map(|row| (0..columns).step_by(SIDE).map(move |column| (row, column)))
    {
        let (rows, width) = (SIDE.min(n_rows - row), SIDE.min(columns - column));
        let mut square = [[0.0; SIDE]; SIDE];
        for (i, line) in square[..width].iter_mut().enumerate() {
            line[..rows].copy_from_slice(&from[(column + i) * step + row..][..rows]);
            fetch(from, (column + i + SIDE) * step + row);
        }
        for (j, line) in to.chunks_exact_mut(columns).skip(row).take(rows).enumerate() {
            for (to, square) in line[column..column + width].iter_mut().zip(&square) {
                *to = square[j];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_packed_in_pairs() {
        let matrix: Vec<f32> = (0..15).map(|i| i as f32).collect();
        let packed = bf16::pack(&matrix, 5);
        assert_eq!(packed.len(), 2 * 16);
        let bits = |value: f32| bf16::from_f32(value).to_bits();
        assert_eq!(packed[3], Pair([bits(3.0), bits(8.0)]));
        assert_eq!(packed[16 + 4], Pair([bits(14.0), 0]));
        assert_eq!(packed[5..16], [Pair::default(); 11]);
    }
}
