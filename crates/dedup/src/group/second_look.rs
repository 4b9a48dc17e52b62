//! A second look at two pictures: their distance once one is aligned with the other.

use pulp::{Simd, WithSimd};
use serde::Serialize;

use super::align::{Alignment, Mover, Template, inner};
use super::planes::{
    Inside, PLANE, Plane, Rows, channels, contrast, details, is_grey, luminance, sharpness, smoothed, sum,
    sum_of_squares, without_slope,
};
use crate::preprocess::SIDE;

/// Side of the small pictures that are aligned first.
const COARSE: usize = 16;
/// Smoothings before they are made.
const COARSE_SMOOTHINGS: usize = 2;
/// Steps of the alignment of small pictures, then of whole ones.
const STEPS: [usize; 2] = [6, 4];
/// Distance of small pictures beyond which two are not looked at any closer.
const HOPELESS: f32 = 0.6;
/// Share of a picture's variance that its small one must have, to tell anything.
const TELLING: f32 = 0.02;
/// Smoothings before pictures are compared: a copy that was blurred or enlarged has lost what is finer.
const COMPARED: usize = 1;
/// Smoothings of the sharper of two pictures, until it is no sharper than the other.
const BLURS: [usize; 4] = [1, 2, 3, 3];
/// By so much sharper a picture may be than another.
const SHARPER: f32 = 1.5;
/// Pictures of a smaller distance than this are the same, and not looked at in another way.
const ALIKE: f32 = 0.1;
/// Contrast below which a picture is flat.
const FLAT: f32 = 0.012;
/// Largest difference of two flat pictures' colours, as a share of white.
const SAME_COLOUR: f32 = 0.012;
/// Share of a picture's variance that its details must have, else it is plain: a horizon, a gradient.
const PLAIN: f32 = 0.02;
/// Largest difference of two plain pictures' colours, as a share of white, root mean square.
const SAME_COLOURS: f32 = 0.08;
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
/// everything by a pixel or two of 32, which alone makes a large difference. The smaller of the distances with and without it counts.
///
/// - The alignment is found on small, smooth pictures first; most unlike pairs end there, with the distance of those.
/// - Where one of the two is sharper, it is also smoothed until they are alike in that; where one is grey, both are compared in grey.
/// - Details are compared once more by themselves: what is left of both when the mean of each row and each column is taken out, so
///   that one horizon is not enough to be alike. The distance is at least 0.65 of theirs. Details fainter than noise are alike.
/// - Plain pictures, of one horizon or gradient without details, must also have about the same colours where they overlap; flat ones
///   are alike if their colours are.
pub fn pixel_distance(a: &[u8], b: &[u8]) -> f32 {
    let [a, b] = [a, b].map(Prepared::new);
    distance_from(&a, &b, Alignment::NONE)
}

/// A picture with what all its comparisons need.
pub(crate) struct Prepared {
    pixels: Vec<u8>,
    is_grey: bool,
    /// In colour and in grey.
    contrasts: [f32; 2],
    /// Small, smoothed and without slopes.
    coarse: Rows<COARSE>,
    /// The variance of the small picture as a share of the whole one's.
    telling: f32,
}

impl Prepared {
    /// Of 3072 bytes.
    pub(crate) fn new(pixels: &[u8]) -> Self {
        dcgan_vectors::arch().dispatch(Prepare { pixels })
    }

    /// 3072 bytes.
    pub(crate) fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// One plane of grey or three, from 0 to 1.
    #[inline(always)]
    fn colours(&self, in_grey: bool) -> Vec<Plane> {
        let planes = channels(&self.pixels);
        if in_grey { vec![luminance(&planes)] } else { planes }
    }

    fn contrast(&self, in_grey: bool) -> f32 {
        self.contrasts[usize::from(in_grey)]
    }
}

/// Compiled for the vector instructions at hand.
struct Prepare<'a> {
    pixels: &'a [u8],
}

impl WithSimd for Prepare<'_> {
    type Output = Prepared;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Prepared {
        let planes = channels(self.pixels);
        let grey = without_slope(&luminance(&planes), &Inside::all::<SIDE>());
        let contrasts = [contrast(&planes), contrast(&[luminance(&planes)])];
        let level: Vec<Plane> =
            planes.iter().map(|plane| without_slope(plane, &Inside::all::<SIDE>())).collect();
        let smooth = smoothed(&grey, COARSE_SMOOTHINGS);
        let mut coarse = [[0.0; COARSE]; COARSE];
        for (row, lines) in coarse.iter_mut().zip(smooth.chunks_exact(2)) {
            for (i, value) in row.iter_mut().enumerate() {
                *value =
                    0.25 * (lines[0][2 * i] + lines[0][2 * i + 1] + lines[1][2 * i] + lines[1][2 * i + 1]);
            }
        }
        let variance = contrast(&level).powi(2).max(1e-12);
        let telling = sum_of_squares(&coarse, 0.0) / (COARSE * COARSE) as f32 / variance;
        // The alignment is steadied by what is small beside a contrast of 1.
        let scale = (COARSE * COARSE) as f32 / sum_of_squares(&coarse, 0.0).max(1e-12);
        coarse.iter_mut().flatten().for_each(|value| *value *= scale.sqrt());
        Prepared { pixels: self.pixels.to_vec(), is_grey: is_grey(&planes), contrasts, coarse, telling }
    }
}

/// [`pixel_distance`] where `start` says about where `template` lies in `moved`.
pub(super) fn distance_from(template: &Prepared, moved: &Prepared, start: Alignment) -> f32 {
    dcgan_vectors::arch().dispatch(Comparison { template, moved, start })
}

struct Comparison<'a> {
    template: &'a Prepared,
    moved: &'a Prepared,
    start: Alignment,
}

impl WithSimd for Comparison<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f32 {
        let Self { template, moved, start } = self;
        let in_grey = template.is_grey || moved.is_grey;
        let contrasts = [template, moved].map(|picture| picture.contrast(in_grey));
        match contrasts.map(|contrast| contrast < FLAT) {
            [true, true] => return flat_distance(template, moved, in_grey),
            [false, false] => {}
            _ => return UNLIKE,
        }
        let is_telling = template.telling.min(moved.telling) > TELLING;
        let small = Template::new(&template.coarse);
        let unaligned = small.distance(&moved.coarse, start);
        let (mut from, mut coarse) = (start, unaligned);
        if let Some((alignment, distance)) = small.align(&moved.coarse, start, start, STEPS[0])
            && distance < unaligned
        {
            (from, coarse) = (alignment, distance);
        }
        if is_telling && coarse > HOPELESS {
            return coarse;
        }
        let [a, b] = [template, moved].map(|picture| standardised(picture.colours(in_grey)));
        let noise = contrasts.map(|contrast| (NOISE / contrast).powi(2));
        let fine = Template::new(&luminance(&a));
        let found =
            fine.align(&luminance(&b), from, start, STEPS[1]).map_or(from, |(alignment, _)| alignment);
        let is_plain = [&a, &b].iter().all(|planes| is_plain(planes));
        let measured = |alignment: Alignment| {
            let distance = measured(&a, &b, alignment, noise);
            // One edge can be moved onto any other.
            let is_other = is_plain && distance < UNLIKE && {
                let [a, b] = [template, moved].map(|picture| picture.colours(in_grey));
                colour_difference(&a, &b, alignment) > SAME_COLOURS
            };
            if is_other { UNLIKE } else { distance }
        };
        let distance = measured(found);
        if distance < ALIKE || (is_telling && unaligned > HOPELESS) {
            return distance;
        }
        distance.min(measured(start))
    }
}

/// Whether standardised planes hold nothing but what their rows and columns have in common.
#[inline(always)]
fn is_plain(planes: &[Plane]) -> bool {
    let all = Inside::all::<SIDE>();
    let left: f32 = planes.iter().map(|plane| sum_of_squares(&details(plane, &all), 0.0)).sum();
    left / ((PLANE * planes.len()) as f32) < PLAIN
}

/// Root mean square difference where two pictures overlap.
#[inline(always)]
fn colour_difference(a: &[Plane], b: &[Plane], alignment: Alignment) -> f32 {
    let mover = Mover::<SIDE>::new(alignment);
    let mask = mover.inside.mask::<SIDE>();
    let mut sum = 0.0;
    for (a, b) in a.iter().zip(b) {
        let b = mover.moved(b);
        for row in mover.inside.rows.clone() {
            let off = |k: usize| mask[k] * (a[row][k] - b[row][k]).powi(2);
            sum += (0..SIDE).map(off).sum::<f32>();
        }
    }
    (sum / (mover.inside.n() * a.len()).max(1) as f32).sqrt()
}

/// Of two flat pictures.
#[inline(always)]
fn flat_distance(a: &Prepared, b: &Prepared, in_grey: bool) -> f32 {
    let means = [a, b].map(|picture| {
        picture.colours(in_grey).iter().map(|plane| sum(plane) / PLANE as f32).collect::<Vec<f32>>()
    });
    let off = means[0].iter().zip(&means[1]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    if off <= SAME_COLOUR { 0.0 } else { UNLIKE }
}

/// Without slopes, of mean 0 and contrast 1 over all channels, slightly smoothed.
#[inline(always)]
fn standardised(mut planes: Vec<Plane>) -> Vec<Plane> {
    planes.iter_mut().for_each(|plane| *plane = without_slope(plane, &Inside::all::<SIDE>()));
    let scale = 1.0 / contrast(&planes).max(1e-6);
    planes.iter_mut().flatten().flatten().for_each(|value| *value *= scale);
    planes.iter().map(|plane| smoothed(plane, COMPARED)).collect()
}

/// The distance as the pictures are; or, if that is smaller, once the sharper one is smoothed.
#[inline(always)]
fn measured(a: &[Plane], b: &[Plane], alignment: Alignment, noise: [f32; 2]) -> f32 {
    let mover = Mover::new(alignment);
    if !mover.is_enough() {
        return UNLIKE;
    }
    let distance = distance(a, b, &mover, noise);
    if distance < ALIKE {
        return distance;
    }
    match alike_in_sharpness(a, b, &mover) {
        Some([a, b]) => distance.min(self::distance(&a, &b, &mover, noise)),
        None => distance,
    }
}

/// Smooths the sharper of two pictures, where they overlap, if there is one.
#[inline(always)]
fn alike_in_sharpness(a: &[Plane], b: &[Plane], mover: &Mover<SIDE>) -> Option<[Vec<Plane>; 2]> {
    let of_a = |a: &[Plane]| sharpness(&luminance(a), &mover.inside);
    let of_b = |b: &[Plane]| sharpness(&mover.moved(&luminance(b)), &mover.inside);
    let first = [of_a(a), of_b(b)];
    let is_a = first[0] > first[1];
    let goal = SHARPER * first[0].min(first[1]);
    if first[0].max(first[1]) <= goal {
        return None;
    }
    let (mut a, mut b) = (a.to_vec(), b.to_vec());
    for n in BLURS {
        let sharper = if is_a { &mut a } else { &mut b };
        sharper.iter_mut().for_each(|plane| *plane = smoothed(plane, n));
        if (if is_a { of_a(&a) } else { of_b(&b) }) <= goal {
            break;
        }
    }
    Some([a, b])
}

/// The larger of the distance over the overlap, each part standardised by itself, and of the weighed distance of details.
#[inline(always)]
fn distance(a: &[Plane], b: &[Plane], mover: &Mover<SIDE>, noise: [f32; 2]) -> f32 {
    let (mut whole, mut fine) = (Products::default(), Products::default());
    for (a, b) in a.iter().zip(b) {
        // The slope of a part is not that of the whole.
        let [a, b] = [a, &mover.moved(b)].map(|plane| without_slope(plane, &mover.inside));
        whole.add(&a, &b);
        let [a, b] = [&a, &b].map(|plane| details(plane, &mover.inside));
        fine.add(&a, &b);
    }
    let n = (mover.inside.n() * a.len()) as f32;
    whole.distance(n, [1e-6; 2]).max(DETAIL * fine.distance(n, noise))
}

/// Sums of products of the values of two pictures, each of mean 0.
#[derive(Default)]
struct Products {
    aa: f32,
    bb: f32,
    ab: f32,
}

impl Products {
    #[inline(always)]
    fn add(&mut self, a: &Plane, b: &Plane) {
        self.aa += sum_of_squares(a, 0.0);
        self.bb += sum_of_squares(b, 0.0);
        self.ab += inner(a, b);
    }

    /// √(2(1 − r)); to r, the correlation over `n` values, both have `floor` in common.
    #[inline(always)]
    fn distance(&self, n: f32, floor: [f32; 2]) -> f32 {
        let variances = [self.aa / n + floor[0], self.bb / n + floor[1]];
        let covariance = self.ab / n + (floor[0] * floor[1]).sqrt();
        (2.0 * (1.0 - covariance / (variances[0] * variances[1]).sqrt())).max(0.0).sqrt()
    }
}

#[cfg(test)]
mod tests;
