//! A 32×32 picture as it is compared: planes of values, their sharpness, and how one lies in another.

use std::ops::Range;

use crate::preprocess::{N_INPUTS, SIDE, sum_of};

pub(super) const PLANE: usize = SIDE * SIDE;
/// The middle of a row of pixels.
pub(super) const MIDDLE: f32 = (SIDE as f32 - 1.0) / 2.0;
/// Mean difference of the channels, as a share of white, up to which a picture is grey.
const GREY: f32 = 0.012;

/// 32×32 values.
pub(crate) type Plane = Vec<f32>;

/// Where a point of one picture lies in another, about the middle: x ↦ zoom·x + shift, in each direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Alignment {
    pub(super) zoom: [f32; 2],
    pub(super) shift: [f32; 2],
}

impl Alignment {
    pub(super) const NONE: Self = Self { zoom: [1.0; 2], shift: [0.0; 2] };

    /// For each of 32 places along an axis the pixel before its counterpart, and how far behind that it lies; and the places whose
    /// counterparts lie inside.
    fn along(self, axis: usize) -> ([(usize, f32); SIDE], Range<usize>) {
        let mut places = [(0, 0.0); SIDE];
        let mut inside: Option<Range<usize>> = None;
        for (i, place) in places.iter_mut().enumerate() {
            let from = self.zoom[axis] * (i as f32 - MIDDLE) + MIDDLE + self.shift[axis];
            if (0.0..=SIDE as f32 - 1.0).contains(&from) {
                let before = (from as usize).min(SIDE - 2);
                *place = (before, from - before as f32);
                inside = Some(inside.map_or(i, |inside| inside.start)..i + 1);
            }
        }
        (places, inside.unwrap_or(0..0))
    }
}

/// The rectangle in which two pictures overlap, and the other one's values in it.
pub(super) struct Overlap {
    pub(super) columns: Range<usize>,
    pub(super) rows: Range<usize>,
    pub(super) values: Plane,
}

impl Overlap {
    pub(super) fn n(&self) -> usize {
        self.columns.len() * self.rows.len()
    }
}

/// The values of `plane` where an alignment puts them.
pub(super) fn overlap(plane: &[f32], alignment: Alignment) -> Overlap {
    let ((across, columns), (down, rows)) = (alignment.along(0), alignment.along(1));
    let mut values = vec![0.0; PLANE];
    let mut line = [0.0; SIDE];
    for (row, (before, share)) in down.iter().enumerate().take(rows.end).skip(rows.start) {
        let (upper, lower) = plane[before * SIDE..][..2 * SIDE].split_at(SIDE);
        for ((value, upper), lower) in line.iter_mut().zip(upper).zip(lower) {
            *value = upper + share * (lower - upper);
        }
        let values = &mut values[row * SIDE..][..SIDE];
        for column in columns.clone() {
            let (before, share) = across[column];
            values[column] = line[before] + share * (line[before + 1] - line[before]);
        }
    }
    Overlap { columns, rows, values }
}

/// Smoothed `n` times by [1, 2, 1]/4 in both directions; edges are repeated.
pub(super) fn smoothed(plane: &[f32], n: usize) -> Plane {
    let (mut values, mut other) = (plane.to_vec(), vec![0.0; PLANE]);
    for _ in 0..n {
        for (row, out) in values.chunks_exact(SIDE).zip(other.chunks_exact_mut(SIDE)) {
            for i in 1..SIDE - 1 {
                out[i] = 0.25 * (row[i - 1] + row[i + 1]) + 0.5 * row[i];
            }
            out[0] = 0.75 * row[0] + 0.25 * row[1];
            out[SIDE - 1] = 0.75 * row[SIDE - 1] + 0.25 * row[SIDE - 2];
        }
        for row in 0..SIDE {
            let at = |row: usize| &other[row * SIDE..][..SIDE];
            let (above, here, below) = (at(row.saturating_sub(1)), at(row), at((row + 1).min(SIDE - 1)));
            let out = &mut values[row * SIDE..][..SIDE];
            for i in 0..SIDE {
                out[i] = 0.25 * (above[i] + below[i]) + 0.5 * here[i];
            }
        }
    }
    values
}

/// Takes the mean and the best linear slope out of a rectangle of values: skies and walls of one shade running into another are
/// alike whatever stands before them.
pub(super) fn remove_slope(values: &mut [f32], n_columns: usize) {
    let n_rows = values.len() / n_columns;
    let middle = [n_columns, n_rows].map(|n| (n as f32 - 1.0) / 2.0);
    let (mut sum, mut along_x, mut along_y) = (0.0, 0.0, 0.0);
    for (row, values) in values.chunks_exact(n_columns).enumerate() {
        let y = row as f32 - middle[1];
        let (mut line, mut line_x) = (0.0, 0.0);
        for (column, &value) in values.iter().enumerate() {
            line += value;
            line_x += value * (column as f32 - middle[0]);
        }
        sum += line;
        along_x += line_x;
        along_y += line * y;
    }
    let n = values.len() as f32;
    // n times the mean square of a place along one direction.
    let spread = |side: usize| (n * ((side * side) as f32 - 1.0) / 12.0).max(1.0);
    let (mean, slope) = (sum / n, [along_x / spread(n_columns), along_y / spread(n_rows)]);
    for (row, values) in values.chunks_exact_mut(n_columns).enumerate() {
        let base = mean + slope[1] * (row as f32 - middle[1]);
        for (column, value) in values.iter_mut().enumerate() {
            *value -= base + slope[0] * (column as f32 - middle[0]);
        }
    }
}

/// Three channels of values from 0 to 1, or one where the picture is grey.
pub(crate) fn channels(pixels: &[u8]) -> Vec<Plane> {
    let planes =
        pixels.chunks_exact(PLANE).map(|plane| plane.iter().map(|&p| f32::from(p) / 255.0).collect());
    planes.collect()
}

/// Whether three channels are one.
pub(crate) fn is_grey(channels: &[Plane]) -> bool {
    let off = |a: &Plane, b: &Plane| a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f32>() / PLANE as f32;
    off(&channels[0], &channels[1]).max(off(&channels[1], &channels[2])) < GREY
}

/// ITU-R BT.601.
pub(super) fn luminance(channels: &[Plane]) -> Plane {
    match channels {
        [red, green, blue] => {
            let each = red.iter().zip(green).zip(blue);
            each.map(|((red, green), blue)| 0.299 * red + 0.587 * green + 0.114 * blue).collect()
        }
        _ => channels[0].clone(),
    }
}

/// The standard deviation over all channels, about each one's mean.
pub(super) fn contrast(channels: &[Plane]) -> f32 {
    let squares = |plane: &Plane| {
        let mean = sum_of(plane, |v| v) / PLANE as f32;
        sum_of(plane, |v| (v - mean) * (v - mean))
    };
    (channels.iter().map(squares).sum::<f32>() / (channels.len() * PLANE) as f32).sqrt()
}

/// Energy in fine structures as a share of all: falls with each smoothing.
pub(super) fn sharpness(plane: &[f32]) -> f32 {
    let low = smoothed(plane, 1);
    let fine: f32 = plane.iter().zip(&low).map(|(a, b)| (a - b) * (a - b)).sum();
    fine / sum_of(plane, |v| v * v).max(f32::MIN_POSITIVE)
}

/// Mirrored, left to right: 3072 bytes.
pub(crate) fn mirrored(pixels: &[u8]) -> Vec<u8> {
    debug_assert_eq!(pixels.len() % N_INPUTS, 0);
    pixels.chunks_exact(SIDE).flat_map(|row| row.iter().rev()).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_are_removed() {
        let mut channel: Vec<f32> =
            (0..PLANE).map(|i| 0.3 + 0.01 * (i % SIDE) as f32 - 0.02 * (i / SIDE) as f32).collect();
        channel[5 * SIDE + 7] += 1.0;
        remove_slope(&mut channel, SIDE);
        let others = channel.iter().enumerate().filter(|(i, _)| *i != 5 * SIDE + 7);
        let largest = others.map(|(_, value)| value.abs()).fold(0.0, f32::max);
        assert!(largest < 0.02 && channel[5 * SIDE + 7] > 0.98, "{largest}");
    }

    #[test]
    fn an_overlap_of_a_ramp_is_a_ramp() {
        let ramp: Plane = (0..PLANE).map(|i| (i % SIDE) as f32 + 100.0 * (i / SIDE) as f32).collect();
        let alignment = Alignment { zoom: [0.8, 1.1], shift: [1.5, 0.0] };
        let found = overlap(&ramp, alignment);
        assert_eq!(found.columns, 0..SIDE);
        assert_eq!(found.rows, 2..30, "what lies above and below is not inside");
        for (row, column) in [(2, 0), (17, 9), (29, 31)] {
            let at = |k: usize, axis: usize| {
                alignment.zoom[axis] * (k as f32 - MIDDLE) + MIDDLE + alignment.shift[axis]
            };
            let expected = at(column, 0) + 100.0 * at(row, 1);
            assert!((found.values[row * SIDE + column] - expected).abs() < 0.01 && found.n() == 28 * 32);
        }
    }

    #[test]
    fn smoothing_keeps_the_mean_and_lowers_sharpness() {
        let plane: Plane = (0..PLANE).map(|i| ((i * 7919) % 23) as f32 - 11.0).collect();
        let once = smoothed(&plane, 1);
        let mean = |plane: &[f32]| plane.iter().sum::<f32>() / PLANE as f32;
        assert!((mean(&plane) - mean(&once)).abs() < 1e-3);
        assert!(sharpness(&once) < 0.5 * sharpness(&plane));
        let expected: f32 = (0..3)
            .flat_map(|y| (0..3).map(move |x| (x, y)))
            .map(|(x, y)| plane[(4 + y) * SIDE + 8 + x] * [0.25, 0.5, 0.25][x] * [0.25, 0.5, 0.25][y])
            .sum();
        assert!((once[5 * SIDE + 9] - expected).abs() < 1e-4);
    }
}
