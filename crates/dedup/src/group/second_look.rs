//! A second look at two pictures: their distance once one is aligned with the other.

use serde::Serialize;

use super::planes::{
    Alignment, MIDDLE, PLANE, Plane, channels, contrast, is_grey, luminance, overlap, remove_slope,
    sharpness, smoothed,
};
use crate::preprocess::SIDE;

/// Smoothings before pictures are compared: a copy that was blurred or enlarged has lost what is finer.
const COMPARED: usize = 1;
/// Smoothings of the sharper of two pictures, until it is no sharper than the other.
const BLURS: [usize; 4] = [1, 2, 3, 3];
/// By so much sharper a picture may be than another.
const SHARPER: f32 = 1.5;
/// Pictures of a smaller distance than this are not aligned any better: they are the same.
const ALIKE: f32 = 0.1;
/// Steps of the alignment on strongly smoothed pictures, then on lightly smoothed ones.
const STEPS: [(usize, usize); 2] = [(3, 8), (0, 6)];
/// Distance after the first steps beyond which there are no second ones.
const HOPELESS: f32 = 0.8;
/// Largest change of size that is followed from where the alignment starts, as a share.
const MAX_ZOOM: f32 = 0.25;
/// Largest shift that is followed, in pixels of 32.
const MAX_SHIFT: f32 = 5.0;
/// Contrast below which a picture is flat.
const FLAT: f32 = 0.012;
/// Largest difference of two flat pictures' colours, as a share of white.
const SAME_COLOUR: f32 = 0.012;
/// Noise of a picture's values, as a share of white: details that are fainter say nothing.
const NOISE: f32 = 0.008;
/// Weight of the distance of details.
const DETAIL: f32 = 0.65;
/// Distance of pictures that have nothing in common.
const UNLIKE: f32 = 2.0;

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

/// The distance of two pictures (3072 bytes each): 0 for the same picture, √2 for unrelated ones.
///
/// It is the root mean square difference of the pictures without their slopes from one side to the other, slightly smoothed and
/// standardised, where they overlap after the best small change of size and place has been found. A crop of the same photo moves
/// everything by a pixel or two of 32, which alone makes a large difference. The alignment is found by Gauss-Newton steps (Lucas and
/// Kanade 1981; the template's gradients serve for all steps, as in Baker and Matthews 2004), from coarse to fine, with a size of
/// its own in each direction. The smaller of the distances with and without it counts.
///
/// - Where one of the two is sharper, it is smoothed until they are alike in that; where one is grey, both are compared in grey.
/// - Details are compared once more by themselves: what is left of both when the mean of each row and each column is taken out, so
///   that one horizon is not enough to be alike. The distance is at least 0.65 of theirs. Details fainter than noise are alike.
/// - Flat pictures are alike if their colours are.
pub fn pixel_distance(a: &[u8], b: &[u8]) -> f32 {
    distance_from(a, b, Alignment::NONE)
}

/// [`pixel_distance`] where `start` says about where `template` lies in `moved`.
pub(super) fn distance_from(template: &[u8], moved: &[u8], start: Alignment) -> f32 {
    let (mut a, mut b) = (channels(template), channels(moved));
    if is_grey(&a) || is_grey(&b) {
        (a, b) = (vec![luminance(&a)], vec![luminance(&b)]);
    }
    let contrasts = [contrast(&a), contrast(&b)];
    match contrasts.map(|contrast| contrast < FLAT) {
        [true, true] => return flat_distance(&a, &b),
        [false, false] => {}
        _ => return UNLIKE,
    }
    let (a, b) = alike_in_sharpness(standardised(a), standardised(b), start);
    let noise = contrasts.map(|contrast| (NOISE / contrast).powi(2));
    let measure = |alignment| distance(&a, &b, alignment, noise);
    let plain = measure(start);
    if plain < ALIKE {
        return plain;
    }
    match aligned(&luminance(&a), &luminance(&b), start) {
        Some(alignment) => plain.min(measure(alignment)),
        None => plain,
    }
}

/// Of two flat pictures.
fn flat_distance(a: &[Plane], b: &[Plane]) -> f32 {
    let mean = |plane: &Plane| plane.iter().sum::<f32>() / PLANE as f32;
    let off = a.iter().zip(b).map(|(a, b)| (mean(a) - mean(b)).abs()).fold(0.0, f32::max);
    if off <= SAME_COLOUR { 0.0 } else { UNLIKE }
}

/// Without slopes, of mean 0 and contrast 1 over all channels, slightly smoothed.
fn standardised(mut planes: Vec<Plane>) -> Vec<Plane> {
    planes.iter_mut().for_each(|plane| remove_slope(plane, SIDE));
    let scale = 1.0 / contrast(&planes).max(1e-6);
    planes.iter_mut().flatten().for_each(|value| *value *= scale);
    planes.iter().map(|plane| smoothed(plane, COMPARED)).collect()
}

/// Smooths the sharper of two pictures, as they are where `start` puts the second.
fn alike_in_sharpness(mut a: Vec<Plane>, mut b: Vec<Plane>, start: Alignment) -> (Vec<Plane>, Vec<Plane>) {
    let of_a = |a: &[Plane]| sharpness(&luminance(a));
    let of_b = |b: &[Plane]| sharpness(&overlap(&luminance(b), start).values);
    let first = [of_a(&a), of_b(&b)];
    let (sharper, goal) = if first[0] > first[1] { (&mut a, first[1]) } else { (&mut b, first[0]) };
    for n in BLURS {
        let now = if first[0] > first[1] { of_a(sharper) } else { of_b(sharper) };
        if now <= SHARPER * goal {
            break;
        }
        sharper.iter_mut().for_each(|plane| *plane = smoothed(plane, n));
    }
    (a, b)
}

/// The larger of the distance over the overlap, each part standardised by itself, and of the weighed distance of details.
fn distance(a: &[Plane], b: &[Plane], alignment: Alignment, noise: [f32; 2]) -> f32 {
    let (mut whole, mut details) = (Sums::default(), Sums::default());
    for (a, b) in a.iter().zip(b) {
        let moved = overlap(b, alignment);
        if moved.n() < PLANE / 4 {
            return f32::INFINITY;
        }
        let cut = |values: &[f32]| -> Vec<f32> {
            let rows = values.chunks_exact(SIDE).take(moved.rows.end).skip(moved.rows.start);
            rows.flat_map(|row| &row[moved.columns.clone()]).copied().collect()
        };
        let (mut here, mut there) = (cut(a), cut(&moved.values));
        // The slope of a part is not that of the whole.
        for values in [&mut here, &mut there] {
            remove_slope(values, moved.columns.len());
        }
        whole.add(&here, &there);
        for values in [&mut here, &mut there] {
            keep_details(values, moved.columns.len());
        }
        details.add(&here, &there);
    }
    let floor = noise.map(f64::from);
    whole.distance([1e-6; 2]).max(DETAIL * details.distance(floor))
}

/// Takes the mean of each row and of each column out.
fn keep_details(values: &mut [f32], n_columns: usize) {
    let n_rows = values.len() / n_columns;
    let mut means = vec![0.0; n_columns];
    for row in values.chunks_exact_mut(n_columns) {
        let mean = row.iter().sum::<f32>() / n_columns as f32;
        row.iter_mut().zip(&mut means).for_each(|(value, sum)| {
            *value -= mean;
            *sum += *value;
        });
    }
    means.iter_mut().for_each(|sum| *sum /= n_rows as f32);
    for row in values.chunks_exact_mut(n_columns) {
        row.iter_mut().zip(&means).for_each(|(value, mean)| *value -= mean);
    }
}

/// Sums over the values of two pictures.
#[derive(Default)]
struct Sums {
    n: f64,
    a: f64,
    b: f64,
    aa: f64,
    bb: f64,
    ab: f64,
}

impl Sums {
    fn add(&mut self, a: &[f32], b: &[f32]) {
        let mut parts = [[0.0f32; 8]; 5];
        for (a, b) in a.chunks(8).zip(b.chunks(8)) {
            for (k, (&a, &b)) in a.iter().zip(b).enumerate() {
                for (part, term) in parts.iter_mut().zip([a, b, a * a, b * b, a * b]) {
                    part[k] += term;
                }
            }
        }
        let [a_sum, b_sum, aa, bb, ab] = parts.map(|part| f64::from(part.iter().sum::<f32>()));
        self.n += a.len() as f64;
        self.a += a_sum;
        self.b += b_sum;
        self.aa += aa;
        self.bb += bb;
        self.ab += ab;
    }

    /// √(2(1 − r)); to r, the correlation, both have `floor` in common.
    fn distance(&self, floor: [f64; 2]) -> f32 {
        let var_a = (self.aa / self.n - (self.a / self.n).powi(2)).max(0.0) + floor[0];
        let var_b = (self.bb / self.n - (self.b / self.n).powi(2)).max(0.0) + floor[1];
        let covariance =
            self.ab / self.n - self.a / self.n * (self.b / self.n) + (floor[0] * floor[1]).sqrt();
        (2.0 * (1.0 - covariance / (var_a * var_b).sqrt())).max(0.0).sqrt() as f32
    }
}

/// The best alignment of `moved` with `template` near `start`; none where there is none.
fn aligned(template: &Plane, moved: &Plane, start: Alignment) -> Option<Alignment> {
    let mut alignment = start;
    for (n_smoothings, n_steps) in STEPS {
        let (template, moved) = (smoothed(template, n_smoothings), smoothed(moved, n_smoothings));
        alignment = align(&template, &moved, alignment, start, n_steps);
        if n_smoothings > 0 {
            let there = overlap(&moved, alignment);
            let mut sums = Sums::default();
            for row in there.rows.clone() {
                let of = |values: &[f32]| values[row * SIDE..][there.columns.clone()].to_vec();
                sums.add(&of(&template), &of(&there.values));
            }
            if there.n() < PLANE / 4 || sums.distance([1e-6; 2]) > HOPELESS {
                return None;
            }
        }
    }
    Some(alignment)
}

/// Improves an alignment; gives back the old one where the steps run away from `start`.
fn align(template: &Plane, moved: &Plane, from: Alignment, start: Alignment, n_steps: usize) -> Alignment {
    let directions = directions(template);
    let mut alignment = from;
    for _ in 0..n_steps {
        let there = overlap(moved, alignment);
        let mut sums = [[0.0f32; 5]; 4];
        for row in there.rows.clone() {
            for place in (row * SIDE..(row + 1) * SIDE).take(there.columns.end).skip(there.columns.start) {
                let direction = directions[place];
                let off = there.values[place] - template[place];
                for i in 0..4 {
                    for j in i..4 {
                        sums[i][j] += direction[i] * direction[j];
                    }
                    sums[i][4] += direction[i] * off;
                }
            }
        }
        (0..4).for_each(|i| (0..i).for_each(|j| sums[i][j] = sums[j][i]));
        let Some(step) = solve(sums) else { return alignment };
        // The step moves the template; its inverse, to first order, moves the picture.
        let mut next = alignment;
        for axis in 0..2 {
            next.zoom[axis] *= 1.0 - step[axis];
            next.shift[axis] -= alignment.zoom[axis] * step[2 + axis];
        }
        if !is_near(next, start) {
            return from;
        }
        alignment = next;
    }
    alignment
}

fn is_near(alignment: Alignment, start: Alignment) -> bool {
    (0..2).all(|axis| {
        let zoom = alignment.zoom[axis] / start.zoom[axis];
        (1.0 / (1.0 + MAX_ZOOM)..=1.0 + MAX_ZOOM).contains(&zoom)
            && (alignment.shift[axis] - start.shift[axis]).abs() <= MAX_SHIFT
    })
}

/// By how much each value changes with the size and the place in both directions: central differences along x and y.
fn directions(plane: &Plane) -> Vec<[f32; 4]> {
    let difference = |i: usize, stride: usize| {
        let place = i / stride % SIDE;
        let (before, after) =
            (if place > 0 { i - stride } else { i }, if place + 1 < SIDE { i + stride } else { i });
        (plane[after] - plane[before]) * stride as f32 / (after - before) as f32
    };
    let of = |i: usize| {
        let (x, y) = ((i % SIDE) as f32 - MIDDLE, (i / SIDE) as f32 - MIDDLE);
        let (gx, gy) = (difference(i, 1), difference(i, SIDE));
        [gx * x, gy * y, gx, gy]
    };
    (0..PLANE).map(of).collect()
}

/// Of four equations, the last column their right sides, by elimination; none for a singular matrix.
fn solve(mut m: [[f32; 5]; 4]) -> Option<[f32; 4]> {
    for column in 0..4 {
        let size = m[column][column];
        let pivot = (column..4).max_by(|&a, &b| m[a][column].abs().total_cmp(&m[b][column].abs()))?;
        m.swap(column, pivot);
        let head = m[column];
        let is_singular = head[column].abs() <= 1e-7 * size.abs() || head[column].abs() < 1e-12;
        if is_singular || head[column].is_nan() {
            return None;
        }
        for row in m.iter_mut().skip(column + 1) {
            let share = row[column] / head[column];
            row.iter_mut().zip(head).for_each(|(value, head)| *value -= share * head);
        }
    }
    let mut solution = [0.0; 4];
    for row in (0..4).rev() {
        let known: f32 = (row + 1..4).map(|k| m[row][k] * solution[k]).sum();
        solution[row] = (m[row][4] - known) / m[row][row];
    }
    solution.iter().all(|x| x.is_finite()).then_some(solution)
}

#[cfg(test)]
mod tests;
