//! A picture as it is compared: planes of values, without their slopes, smoothed, and how sharp they are.

use std::ops::Range;

use crate::preprocess::{N_INPUTS, SIDE};

pub(super) const PLANE: usize = SIDE * SIDE;
/// Mean difference of the channels, as a share of white, up to which a picture is grey.
const GREY: f32 = 0.012;

/// N×N values, row after row.
pub(crate) type Rows<const N: usize> = [[f32; N]; N];
/// 32×32 values.
pub(crate) type Plane = Rows<SIDE>;

/// The rectangle of a picture that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Inside {
    pub(super) columns: Range<usize>,
    pub(super) rows: Range<usize>,
}

impl Inside {
    /// All of an N×N picture.
    pub(super) fn all<const N: usize>() -> Self {
        Self { columns: 0..N, rows: 0..N }
    }

    pub(super) fn n(&self) -> usize {
        self.columns.len() * self.rows.len()
    }

    /// 1 for the columns inside, else 0: loops over whole rows are vector instructions.
    #[inline(always)]
    pub(super) fn mask<const N: usize>(&self) -> [f32; N] {
        let mut mask = [0.0; N];
        mask[self.columns.clone()].fill(1.0);
        mask
    }
}

/// Smoothed `n` times by [1, 2, 1]/4 in both directions; edges are repeated.
#[inline(always)]
pub(super) fn smoothed<const N: usize>(plane: &Rows<N>, n: usize) -> Rows<N> {
    let (mut values, mut other) = (*plane, [[0.0; N]; N]);
    for _ in 0..n {
        for (row, out) in values.iter().zip(&mut other) {
            for i in 1..N - 1 {
                out[i] = 0.25 * (row[i - 1] + row[i + 1]) + 0.5 * row[i];
            }
            out[0] = 0.75 * row[0] + 0.25 * row[1];
            out[N - 1] = 0.75 * row[N - 1] + 0.25 * row[N - 2];
        }
        for (row, out) in values.iter_mut().enumerate() {
            let (above, here, below) =
                (&other[row.saturating_sub(1)], &other[row], &other[(row + 1).min(N - 1)]);
            for i in 0..N {
                out[i] = 0.25 * (above[i] + below[i]) + 0.5 * here[i];
            }
        }
    }
    values
}

/// The values inside without their mean and their best linear slope, 0 outside: skies and walls of one shade running into another are
/// alike whatever stands before them.
#[inline(always)]
pub(super) fn without_slope<const N: usize>(plane: &Rows<N>, inside: &Inside) -> Rows<N> {
    let mask = inside.mask::<N>();
    let middle = [&inside.columns, &inside.rows].map(|side| (side.start + side.end) as f32 / 2.0 - 0.5);
    let x: [f32; N] = std::array::from_fn(|i| (i as f32 - middle[0]) * mask[i]);
    let (mut columns, mut along_y) = ([0.0f32; N], [0.0f32; N]);
    for (row, values) in plane.iter().enumerate().take(inside.rows.end).skip(inside.rows.start) {
        let y = row as f32 - middle[1];
        for i in 0..N {
            columns[i] += values[i];
            along_y[i] += values[i] * y;
        }
    }
    let inner = |a: &[f32; N], b: &[f32; N]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let n = inside.n() as f32;
    // n times the mean square of a place along one direction.
    let spread = |side: &Range<usize>| (n * ((side.len() * side.len()) as f32 - 1.0) / 12.0).max(1.0);
    let mean = inner(&columns, &mask) / n;
    let slope =
        [inner(&columns, &x) / spread(&inside.columns), inner(&along_y, &mask) / spread(&inside.rows)];
    let mut left = [[0.0; N]; N];
    for row in inside.rows.clone() {
        let base = mean + slope[1] * (row as f32 - middle[1]);
        for i in 0..N {
            left[row][i] = (plane[row][i] - base - slope[0] * x[i]) * mask[i];
        }
    }
    left
}

/// The values inside without the mean of each row and each column, 0 outside.
#[inline(always)]
pub(super) fn details(plane: &Plane, inside: &Inside) -> Plane {
    let mask = inside.mask::<SIDE>();
    let (mut left, mut columns) = ([[0.0; SIDE]; SIDE], [0.0f32; SIDE]);
    for row in inside.rows.clone() {
        let mean =
            plane[row].iter().zip(&mask).map(|(a, b)| a * b).sum::<f32>() / inside.columns.len() as f32;
        for i in 0..SIDE {
            left[row][i] = (plane[row][i] - mean) * mask[i];
            columns[i] += left[row][i];
        }
    }
    for row in inside.rows.clone() {
        for i in 0..SIDE {
            left[row][i] -= columns[i] / inside.rows.len() as f32;
        }
    }
    left
}

/// Three channels of values from 0 to 1.
#[inline(always)]
pub(crate) fn channels(pixels: &[u8]) -> Vec<Plane> {
    let planes = pixels.chunks_exact(PLANE).map(|bytes| {
        let mut plane = [[0.0; SIDE]; SIDE];
        for (values, bytes) in plane.iter_mut().zip(bytes.chunks_exact(SIDE)) {
            values.iter_mut().zip(bytes).for_each(|(value, &byte)| *value = f32::from(byte) / 255.0);
        }
        plane
    });
    planes.collect()
}

/// Whether a picture of 3072 bytes is grey.
pub fn is_grey_picture(pixels: &[u8]) -> bool {
    is_grey(&channels(pixels))
}

/// Whether three channels are one.
#[inline(always)]
pub(crate) fn is_grey(channels: &[Plane]) -> bool {
    let off = |a: &Plane, b: &Plane| {
        let mut sums = [0.0f32; SIDE];
        for (a, b) in a.iter().zip(b) {
            for i in 0..SIDE {
                sums[i] += (a[i] - b[i]).abs();
            }
        }
        sums.iter().sum::<f32>() / PLANE as f32
    };
    channels.windows(2).all(|pair| off(&pair[0], &pair[1]) < GREY)
}

/// ITU-R BT.601.
#[inline(always)]
pub(super) fn luminance(channels: &[Plane]) -> Plane {
    let [red, green, blue] = channels else { return channels[0] };
    let mut plane = [[0.0; SIDE]; SIDE];
    for row in 0..SIDE {
        for i in 0..SIDE {
            plane[row][i] = 0.299 * red[row][i] + 0.587 * green[row][i] + 0.114 * blue[row][i];
        }
    }
    plane
}

/// The standard deviation over all channels, about each one's mean.
#[inline(always)]
pub(super) fn contrast(channels: &[Plane]) -> f32 {
    let squares = |plane: &Plane| {
        let mean = sum(plane) / PLANE as f32;
        sum_of_squares(plane, mean)
    };
    (channels.iter().map(squares).sum::<f32>() / (channels.len() * PLANE) as f32).sqrt()
}

#[inline(always)]
pub(super) fn sum(plane: &Plane) -> f32 {
    let mut sums = [0.0f32; SIDE];
    plane.iter().for_each(|row| (0..SIDE).for_each(|i| sums[i] += row[i]));
    sums.iter().sum()
}

#[inline(always)]
pub(super) fn sum_of_squares<const N: usize>(plane: &Rows<N>, mean: f32) -> f32 {
    let mut sums = [0.0f32; N];
    plane.iter().for_each(|row| (0..N).for_each(|i| sums[i] += (row[i] - mean) * (row[i] - mean)));
    sums.iter().sum()
}

/// Energy in fine structures as a share of all, over the values inside: falls with each smoothing.
#[inline(always)]
pub(super) fn sharpness(plane: &Plane, inside: &Inside) -> f32 {
    let (low, mask) = (smoothed(plane, 1), inside.mask::<SIDE>());
    let (mut fine, mut all) = ([0.0f32; SIDE], [0.0f32; SIDE]);
    for row in inside.rows.clone() {
        for i in 0..SIDE {
            let value = plane[row][i];
            fine[i] += mask[i] * (value - low[row][i]) * (value - low[row][i]);
            all[i] += mask[i] * value * value;
        }
    }
    fine.iter().sum::<f32>() / all.iter().sum::<f32>().max(f32::MIN_POSITIVE)
}

/// Mirrored, left to right: 3072 bytes.
pub(crate) fn mirrored(pixels: &[u8]) -> Vec<u8> {
    debug_assert_eq!(pixels.len() % N_INPUTS, 0);
    pixels.chunks_exact(SIDE).flat_map(|row| row.iter().rev()).copied().collect()
}

/// Turned about the middle by an angle, in radians to the right, of what then fills the square without empty corners: 3072 bytes.
pub(crate) fn turned(pixels: &[u8], angle: f32) -> Vec<u8> {
    debug_assert_eq!(pixels.len(), N_INPUTS);
    let (sin, cos) = angle.sin_cos();
    let share = 1.0 / (cos + sin.abs());
    let middle = (SIDE as f32 - 1.0) / 2.0;
    let mut view = vec![0; pixels.len()];
    for i in 0..PLANE {
        let [x, y] = [i % SIDE, i / SIDE].map(|place| share * (place as f32 - middle));
        let place =
            [x * cos + y * sin, y * cos - x * sin].map(|at| (at + middle).clamp(0.0, SIDE as f32 - 1.0));
        let corner = place.map(|at| (at as usize).min(SIDE - 2));
        let [tx, ty] = [0, 1].map(|axis| place[axis] - corner[axis] as f32);
        for channel in (0..pixels.len()).step_by(PLANE) {
            let at =
                |dx: usize, dy: usize| f32::from(pixels[channel + (corner[1] + dy) * SIDE + corner[0] + dx]);
            let [above, below] = [0, 1].map(|dy| at(0, dy) + tx * (at(1, dy) - at(0, dy)));
            view[channel + i] = (above + ty * (below - above) + 0.5) as u8;
        }
    }
    view
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane(value: impl Fn(usize, usize) -> f32) -> Plane {
        std::array::from_fn(|y| std::array::from_fn(|x| value(x, y)))
    }

    #[test]
    fn slopes_are_removed() {
        let ramp = |x: usize, y: usize| 0.3 + 0.01 * x as f32 - 0.02 * y as f32;
        let spike = plane(|x, y| ramp(x, y) + f32::from(u8::from((x, y) == (7, 5))));
        let left = without_slope(&spike, &Inside::all::<SIDE>());
        let others = (0..PLANE).filter(|i| *i != 5 * SIDE + 7).map(|i| left[i / SIDE][i % SIDE].abs());
        assert!(others.fold(0.0, f32::max) < 0.02 && left[5][7] > 0.98);
        // Of a part alone: what lies outside does not matter.
        let part = Inside { columns: 3..20, rows: 10..29 };
        let bent =
            plane(|x, y| if part.rows.contains(&y) && part.columns.contains(&x) { ramp(x, y) } else { 9.0 });
        let left = without_slope(&bent, &part);
        assert!(left.iter().flatten().all(|value| value.abs() < 1e-4));
    }

    #[test]
    fn details_have_no_mean_in_any_row_or_column() {
        let noise = plane(|x, y| ((x * 31 + y * 17 + x * y * 7) % 23) as f32);
        let inside = Inside { columns: 2..31, rows: 4..20 };
        let found = details(&noise, &inside);
        for row in inside.rows.clone() {
            assert!(found[row].iter().sum::<f32>().abs() < 1e-3);
        }
        for column in 0..SIDE {
            assert!(found.iter().map(|row| row[column]).sum::<f32>().abs() < 1e-3);
        }
        assert!(found[9][9] != 0.0 && found[3] == [0.0; SIDE] && found[9][31] == 0.0);
    }

    #[test]
    fn smoothing_keeps_the_mean_and_lowers_sharpness() {
        let noise = plane(|x, y| (((y * SIDE + x) * 7919) % 23) as f32 - 11.0);
        let once = smoothed(&noise, 1);
        let all = Inside::all::<SIDE>();
        assert!((sum(&noise) - sum(&once)).abs() < 1.0);
        assert!(sharpness(&once, &all) < 0.5 * sharpness(&noise, &all));
        let expected: f32 = (0..3)
            .flat_map(|y| (0..3).map(move |x| (x, y)))
            .map(|(x, y)| noise[4 + y][8 + x] * [0.25, 0.5, 0.25][x] * [0.25, 0.5, 0.25][y])
            .sum();
        assert!((once[5][9] - expected).abs() < 1e-4);
    }
}
