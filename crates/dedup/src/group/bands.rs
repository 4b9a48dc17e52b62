//! The bits by which codes are put into buckets.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::Code;
use crate::code::CODE_BITS;

/// Bits of a bucket's number, at most.
const MAX_BITS: u32 = 22;
/// Codes over which the bits' balance is measured, at most.
const MAX_MEASURED: usize = 100_000;
/// What it costs to turn to a bucket, which is seldom in the cache, and to begin with a code in it, in comparisons of two codes: as
/// measured with 3 million.
const VISIT: f64 = 12.0;
const BEGIN: f64 = 11.0;

/// Disjoint sets of bits. Two codes within the radius differ in at most `slack` bits of one of them: with m bands of slack t, codes
/// that differ in more than t bits of every band differ in at least m·(t + 1) bits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bands {
    /// Of each band its bits.
    pub(super) bits: Vec<Vec<u32>>,
    /// Bits of a band in which two codes that are compared may differ, 0 or 1.
    pub(super) slack: u32,
    /// The word whose bits tell codes apart best.
    pub(super) word: usize,
}

impl Bands {
    /// The bands that cost least. Bits are dealt in the order of their entropy over the codes, so that every band has some of the
    /// best, and a band takes its best ones alone: those it leaves out cost nothing.
    pub(super) fn new(codes: &[Code], radius: u32) -> Self {
        let sample: Vec<Code> = codes.iter().step_by(sample_step(codes.len())).copied().collect();
        Self::of_sample(&sample, codes.len(), radius)
    }

    /// The same of `n` codes of which every [`sample_step`]th is at hand.
    pub(super) fn of_sample(sample: &[Code], n: usize, radius: u32) -> Self {
        let entropies = entropies(sample);
        let mut order: Vec<u32> = (0..CODE_BITS as u32).collect();
        order.sort_by(|&a, &b| entropies[b as usize].total_cmp(&entropies[a as usize]).then(a.cmp(&b)));
        let n_telling = entropies.iter().filter(|&&entropy| entropy > 0.05).count().max(1);
        let Shape { slack, n_bands, n_bits } = Shape::cheapest(n, n_telling as u32, radius);
        let deal =
            |band: usize| order[band..].iter().step_by(n_bands).take(n_bits as usize).copied().collect();
        let bits: Vec<Vec<u32>> = (0..n_bands).map(deal).collect();
        let sum = |word: usize| entropies[64 * word..64 * word + 64].iter().sum::<f64>();
        Self { bits, slack, word: usize::from(sum(1) > sum(0)) }
    }

    /// The bits of each band as a mask.
    pub(super) fn masks(&self) -> Vec<u128> {
        self.bits.iter().map(|bits| bits.iter().fold(0, |mask, bit| mask | 1 << bit)).collect()
    }
}

/// The number that some bits of a code make.
pub(super) fn bucket(bits: &[u32], code: Code) -> u32 {
    let bit = |bit: u32| (code.0[bit as usize / 64] >> (bit % 64)) as u32 & 1;
    bits.iter().rev().fold(0, |number, &place| number << 1 | bit(place))
}

/// Of `n` codes each so-manieth is looked at where bands are made.
pub(super) fn sample_step(n: usize) -> usize {
    n.div_ceil(MAX_MEASURED).max(1)
}

/// How many bands there are, of how many bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    slack: u32,
    n_bands: usize,
    n_bits: u32,
}

impl Shape {
    fn cheapest(n: usize, n_telling: u32, radius: u32) -> Self {
        let of = |slack: u32| {
            let n_bands = (radius / (slack + 1) + 1) as usize;
            let most = (n_telling / n_bands as u32).clamp(1, MAX_BITS);
            (1..=most).map(move |n_bits| Self { slack, n_bands, n_bits })
        };
        let cost = |shape: &Self| {
            cost(n as f64, shape.n_bands as f64, f64::from(shape.n_bits), f64::from(shape.slack))
        };
        let cheapest = of(0).chain(of(1)).min_by(|a, b| cost(a).total_cmp(&cost(b)));
        cheapest.unwrap_or(Self { slack: 0, n_bands: 1, n_bits: 1 })
    }
}

/// Comparisons among n codes of evenly drawn bits.
fn cost(n: f64, n_bands: f64, n_bits: f64, slack: f64) -> f64 {
    let n_buckets = n_bits.exp2();
    let n_near = 1.0 + slack * n_bits;
    n_bands * n_near * (0.5 * n * n / n_buckets + BEGIN * 0.5 * n + VISIT * n_buckets)
}

/// Of each bit, in bits.
fn entropies(codes: &[Code]) -> Vec<f64> {
    let n = codes.len().max(1) as f64;
    let of = |bit: usize| {
        let n_set = codes.iter().filter(|code| code.bit(bit)).count() as f64;
        let term = |p: f64| if p > 0.0 { -p * p.log2() } else { 0.0 };
        term(n_set / n) + term(1.0 - n_set / n)
    };
    (0..CODE_BITS).into_par_iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random_codes;

    #[test]
    fn codes_within_the_radius_are_near_in_one_band_at_least() {
        for radius in [0, 1, 2, 5, 8, 12, 16, 24] {
            let codes = random_codes(3_000, 1_000, radius as usize, u64::from(radius));
            let bands = Bands::new(&codes, radius);
            assert!(bands.bits.len() as u32 * (bands.slack + 1) > radius);
            let mut all: Vec<u32> = bands.bits.iter().flatten().copied().collect();
            all.sort_unstable();
            assert!(all.windows(2).all(|pair| pair[0] < pair[1]), "no bit is in two bands");
            for (a, b) in (0..2_000).map(|k| (codes[k * 7 % 3_000], codes[k * 11 % 3_000])) {
                let off = a.joined() ^ b.joined();
                let is_near = |mask: &u128| (off & mask).count_ones() <= bands.slack;
                assert!(a.distance(b) > radius || bands.masks().iter().any(is_near));
            }
        }
    }

    #[test]
    fn the_cheapest_bands_are_those_that_were_measured_to_be() {
        // 3 million codes within 8 bits take 2.3 s of a core without slack and 3.1 to 4.5 s with it, within 12 bits 28 s and 4 s.
        let plain = Shape::cheapest(3_000_000, 128, 8);
        assert_eq!(plain, Shape { slack: 0, n_bands: 9, n_bits: 14 });
        let slack = Shape::cheapest(3_000_000, 128, 12);
        assert_eq!((slack.slack, slack.n_bands), (1, 7));
        assert_eq!(Shape::cheapest(30_000_000, 128, 8).slack, 1);
        assert_eq!(Shape::cheapest(0, 1, 0).n_bands, 1);
    }

    #[test]
    fn bits_that_tell_nothing_apart_are_left_out() {
        // Only bits 3 to 66 vary.
        let codes: Vec<Code> = random_codes(5_000, 5_000, 0, 1)
            .iter()
            .map(|code| Code([code.0[0] & !0b111, code.0[1] & 0b111]))
            .collect();
        let bands = Bands::new(&codes, 8);
        assert!(bands.bits.iter().flatten().all(|bit| (3..67).contains(bit)), "{bands:?}");
        assert_eq!(bands.word, 0);
        let bucket = bucket(&bands.bits[1], codes[9]);
        let expected: u32 = bands.bits[1]
            .iter()
            .enumerate()
            .map(|(k, &bit)| u32::from(codes[9].bit(bit as usize)) << k)
            .sum();
        assert_eq!(bucket, expected);
    }
}
