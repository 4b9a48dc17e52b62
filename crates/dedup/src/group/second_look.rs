//! A second look at two pictures: their distance once one is aligned with the other.

use serde::Serialize;

use crate::preprocess::{N_INPUTS, Preprocessing, SIDE};

const PLANE: usize = SIDE * SIDE;
/// Smoothings before pictures are compared: a copy that was blurred or enlarged has lost what is finer.
const COMPARED: usize = 1;
/// Pictures of a smaller distance than this are not aligned any better: they are the same.
const ALIKE: f32 = 0.1;
/// Steps of the alignment on strongly smoothed pictures, then on lightly smoothed ones.
const STEPS: [(usize, usize); 2] = [(3, 8), (0, 6)];
/// Largest change of size that is followed, as a share.
const MAX_ZOOM: f32 = 0.2;
/// Largest shift that is followed, in pixels of 32.
const MAX_SHIFT: f32 = 5.0;

/// Where a point of one picture lies in the other, about the middle: x ↦ zoom·x + shift.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Alignment {
    zoom: f32,
    shift: [f32; 2],
}

impl Alignment {
    const NONE: Self = Self { zoom: 1.0, shift: [0.0; 2] };

    fn is_small(self) -> bool {
        (self.zoom - 1.0).abs() <= MAX_ZOOM && self.shift.iter().all(|shift| shift.abs() <= MAX_SHIFT)
    }
}

/// A pair that had its second look.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ComparedPair {
    /// The smaller image index.
    pub first: u32,
    /// The larger image index.
    pub second: u32,
    /// Bits in which the codes differ.
    pub distance: u32,
    /// [`pixel_distance`] of the pictures.
    pub pixel_distance: f32,
}

/// The root mean square difference of two pictures (3072 bytes each), without
/// their slopes from one side to the other, slightly smoothed and standardised, where they overlap after the
/// best small change of size and place has been found: 0 for the same picture, √2 for unrelated ones. A crop of the same
/// photo moves everything by a pixel or two of 32, which alone makes a large difference.
///
/// The alignment is found by Gauss-Newton steps (Lucas and Kanade 1981; the template's gradients serve for all steps, as in
/// Baker and Matthews 2004), from coarse to fine. The smaller of the distances with and without it is returned.
pub fn pixel_distance(a: &[u8], b: &[u8]) -> f32 {
    let (a, b) = (Standardised::new(a).smoothed(COMPARED), Standardised::new(b).smoothed(COMPARED));
    let plain = a.distance(&b, Alignment::NONE);
    if plain < ALIKE {
        return plain;
    }
    let mut alignment = Alignment::NONE;
    for (n_smoothings, n_steps) in STEPS {
        alignment = align(&a.smoothed(n_smoothings), &b.smoothed(n_smoothings), alignment, n_steps);
    }
    plain.min(a.distance(&b, alignment))
}

struct Standardised {
    values: Vec<f32>,
}

impl Standardised {
    fn new(pixels: &[u8]) -> Self {
        let mut values = vec![0.0; N_INPUTS];
        for (value, &pixel) in values.iter_mut().zip(pixels) {
            *value = f32::from(pixel) / 255.0;
        }
        values.chunks_exact_mut(PLANE).for_each(remove_slope);
        Preprocessing { standardise: true }.apply(&mut values);
        Self { values }
    }

    /// Smoothed `n` times by [1, 2, 1]/4 in both directions; edges are repeated.
    fn smoothed(&self, n: usize) -> Self {
        let mut values = self.values.clone();
        let mut other = vec![0.0; N_INPUTS];
        for _ in 0..n {
            for stride in [1, SIDE] {
                for (i, out) in other.iter_mut().enumerate() {
                    let place = i / stride % SIDE;
                    let before = if place > 0 { values[i - stride] } else { values[i] };
                    let after = if place + 1 < SIDE { values[i + stride] } else { values[i] };
                    *out = 0.25 * before + 0.5 * values[i] + 0.25 * after;
                }
                std::mem::swap(&mut values, &mut other);
            }
        }
        Self { values }
    }

    /// Calls `visit(place, values here, values of `moved` there)` for every pixel whose place in `moved` lies inside it.
    fn overlap(&self, moved: &Self, alignment: Alignment, visit: &mut dyn FnMut(usize, [f32; 3], [f32; 3])) {
        let middle = (SIDE as f32 - 1.0) / 2.0;
        let most = SIDE as f32 - 1.0;
        for y in 0..SIDE {
            let from_y = alignment.zoom * (y as f32 - middle) + middle + alignment.shift[1];
            if !(0.0..=most).contains(&from_y) {
                continue;
            }
            let (row, down) = (from_y as usize, from_y.fract());
            let below = (row + 1).min(SIDE - 1);
            for x in 0..SIDE {
                let from_x = alignment.zoom * (x as f32 - middle) + middle + alignment.shift[0];
                if !(0.0..=most).contains(&from_x) {
                    continue;
                }
                let (column, right) = (from_x as usize, from_x.fract());
                let beside = (column + 1).min(SIDE - 1);
                let place = y * SIDE + x;
                let value = |channel: usize| {
                    let at = |y: usize, x: usize| moved.values[channel * PLANE + y * SIDE + x];
                    let upper = at(row, column) * (1.0 - right) + at(row, beside) * right;
                    let lower = at(below, column) * (1.0 - right) + at(below, beside) * right;
                    upper * (1.0 - down) + lower * down
                };
                let here = [0, 1, 2].map(|channel| self.values[channel * PLANE + place]);
                visit(place, here, [0, 1, 2].map(value));
            }
        }
    }

    /// The root mean square difference over the overlap, each part standardised by itself.
    fn distance(&self, moved: &Self, alignment: Alignment) -> f32 {
        let [mut n, mut sum_a, mut sum_b, mut sum_aa, mut sum_bb, mut sum_ab] = [0.0f64; 6];
        self.overlap(moved, alignment, &mut |_, a, b| {
            for (a, b) in a.map(f64::from).into_iter().zip(b.map(f64::from)) {
                n += 1.0;
                sum_a += a;
                sum_b += b;
                sum_aa += a * a;
                sum_bb += b * b;
                sum_ab += a * b;
            }
        });
        if n == 0.0 {
            return f32::INFINITY;
        }
        let (var_a, var_b) = (sum_aa / n - (sum_a / n).powi(2), sum_bb / n - (sum_b / n).powi(2));
        let covariance = sum_ab / n - sum_a / n * (sum_b / n);
        // Two parts without any contrast are alike; one without and one with are not.
        let correlation = match (var_a < 1e-6, var_b < 1e-6) {
            (true, true) => 1.0,
            (false, false) => covariance / (var_a * var_b).sqrt(),
            _ => 0.0,
        };
        (2.0 * (1.0 - correlation)).max(0.0).sqrt() as f32
    }
}

/// Takes the mean and the best linear slope out of a channel: skies and walls of one shade running into another are alike
/// whatever stands before them.
fn remove_slope(channel: &mut [f32]) {
    let middle = (SIDE as f32 - 1.0) / 2.0;
    let place = |i: usize| ((i % SIDE) as f32 - middle, (i / SIDE) as f32 - middle);
    let (mut mean, mut along_x, mut along_y) = (0.0, 0.0, 0.0);
    for (i, &value) in channel.iter().enumerate() {
        let (x, y) = place(i);
        mean += value;
        along_x += value * x;
        along_y += value * y;
    }
    let n = PLANE as f32;
    // The mean square of a place along one direction.
    let spread = n * ((SIDE * SIDE) as f32 - 1.0) / 12.0;
    for (i, value) in channel.iter_mut().enumerate() {
        let (x, y) = place(i);
        *value -= mean / n + x * along_x / spread + y * along_y / spread;
    }
}

/// Improves `alignment` of `moved` with `template`; gives back the old one where the steps run away.
fn align(template: &Standardised, moved: &Standardised, start: Alignment, n_steps: usize) -> Alignment {
    let gradients = gradients(template);
    let mut alignment = start;
    for _ in 0..n_steps {
        let (mut hessian, mut slope) = ([[0.0f32; 3]; 3], [0.0f32; 3]);
        template.overlap(moved, alignment, &mut |place, here, there| {
            let x = (place % SIDE) as f32 - (SIDE as f32 - 1.0) / 2.0;
            let y = (place / SIDE) as f32 - (SIDE as f32 - 1.0) / 2.0;
            for channel in 0..3 {
                let [gx, gy] = gradients[channel * PLANE + place];
                let direction = [gx * x + gy * y, gx, gy];
                let off = there[channel] - here[channel];
                for i in 0..3 {
                    slope[i] += direction[i] * off;
                    for j in 0..3 {
                        hessian[i][j] += direction[i] * direction[j];
                    }
                }
            }
        });
        let Some([zoom, x, y]) = solve(hessian, slope) else { return alignment };
        // The step moves the template; its inverse, to first order, moves the picture.
        let next = Alignment {
            zoom: alignment.zoom * (1.0 - zoom),
            shift: [alignment.shift[0] - alignment.zoom * x, alignment.shift[1] - alignment.zoom * y],
        };
        if !next.is_small() {
            return start;
        }
        alignment = next;
    }
    alignment
}

/// Central differences along x and y.
fn gradients(picture: &Standardised) -> Vec<[f32; 2]> {
    let difference = |i: usize, stride: usize| {
        let place = i / stride % SIDE;
        let (before, after) =
            (if place > 0 { i - stride } else { i }, if place + 1 < SIDE { i + stride } else { i });
        (picture.values[after] - picture.values[before]) * stride as f32 / (after - before) as f32
    };
    (0..N_INPUTS).map(|i| [difference(i, 1), difference(i, SIDE)]).collect()
}

/// Cramer's rule; none for a singular matrix.
fn solve(m: [[f32; 3]; 3], v: [f32; 3]) -> Option<[f32; 3]> {
    let determinant = |m: [[f32; 3]; 3]| {
        m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
            + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
    };
    let whole = determinant(m);
    let size = m[0][0] * m[1][1] * m[2][2];
    (whole.abs() > 1e-9 * size.abs() && whole.is_finite()).then(|| {
        [0, 1, 2].map(|column| {
            let mut replaced = m;
            (0..3).for_each(|row| replaced[row][column] = v[row]);
            determinant(replaced) / whole
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A smooth picture, of which the square window of `side` (in shares) at (left, top) fills the 32×32 pixels.
    fn scene(seed: f32, left: f32, top: f32, side: f32) -> Vec<u8> {
        let value = |channel: usize, x: f32, y: f32| {
            let k = channel as f32 + seed;
            let waves =
                (7.0 * x + 3.0 * k).sin() + (9.0 * y - 2.0 * k).cos() + (13.0 * (x + y) + k * k).sin();
            let finer = 0.5 * (25.0 * x - 11.0 * y + k).sin();
            (128.0 + 30.0 * (waves + finer)) as u8
        };
        (0..N_INPUTS)
            .map(|i| {
                let at = |k: usize, start: f32| start + side * (k as f32 + 0.5) / SIDE as f32;
                value(i / PLANE, at(i % SIDE, left), at(i / SIDE % SIDE, top))
            })
            .collect()
    }

    #[test]
    fn crops_are_aligned() {
        let whole = scene(1.0, 0.0, 0.0, 1.0);
        assert!(pixel_distance(&whole, &whole) < 1e-3);
        for (left, top, side) in [(0.0, 0.02, 0.98), (0.05, 0.0, 0.95), (0.1, 0.0, 0.9), (0.03, 0.06, 0.9)] {
            let crop = scene(1.0, left, top, side);
            let plain = Standardised::new(&whole).distance(&Standardised::new(&crop), Alignment::NONE);
            let (found, other) = (pixel_distance(&whole, &crop), pixel_distance(&crop, &whole));
            assert!(found < 0.2 && other < 0.2, "{side}: {found} {other} instead of {plain}");
            assert!(side > 0.95 || plain > 0.25, "{plain}");
        }
    }

    #[test]
    fn slopes_are_removed() {
        let mut channel: Vec<f32> =
            (0..PLANE).map(|i| 0.3 + 0.01 * (i % SIDE) as f32 - 0.02 * (i / SIDE) as f32).collect();
        channel[5 * SIDE + 7] += 1.0;
        remove_slope(&mut channel);
        let others = channel.iter().enumerate().filter(|(i, _)| *i != 5 * SIDE + 7);
        let largest = others.map(|(_, value)| value.abs()).fold(0.0, f32::max);
        assert!(largest < 0.02 && channel[5 * SIDE + 7] > 0.98, "{largest}");
    }

    #[test]
    fn brightness_is_not_seen_and_other_pictures_stay_apart() {
        let whole = scene(1.0, 0.0, 0.0, 1.0);
        let brighter: Vec<u8> = whole.iter().map(|&p| (f32::from(p) * 1.1).min(255.0) as u8).collect();
        assert!(pixel_distance(&whole, &brighter) < 0.05);
        for seed in [2.0, 3.5, 5.2, 7.7] {
            let distance = pixel_distance(&whole, &scene(seed, 0.0, 0.0, 1.0));
            assert!(distance > 0.5, "{seed}: {distance}");
        }
        assert!(pixel_distance(&vec![9; N_INPUTS], &vec![9; N_INPUTS]) < 1e-3);
        assert!(pixel_distance(&vec![9; N_INPUTS], &whole) > 1.0);
    }
}
