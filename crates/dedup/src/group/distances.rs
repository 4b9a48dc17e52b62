//! How many bits the codes of near-duplicates and of unrelated pictures differ in.

use dcgan_nn::rng::{self, Purpose};
use rand::Rng as _;
use serde::{Deserialize, Serialize};

use super::second_look::ComparedPair;
use crate::Code;
use crate::code::CODE_BITS;

/// Pairs drawn at random.
const N_RANDOM: u64 = 1_000_000;

/// Pairs by the number of bits in which their codes differ: entry `d` counts those that differ in `d`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DistanceCounts {
    /// Bits in which two codes may differ.
    pub radius: u32,
    /// Pairs within the radius that the second look found alike, 0 to `radius`.
    pub alike: Vec<u64>,
    /// The other pairs within the radius.
    pub unlike: Vec<u64>,
    /// A million pairs drawn at random, with a fixed seed, 0 to 128; empty where there are fewer than two pictures.
    pub random: Vec<u64>,
}

impl DistanceCounts {
    pub(super) fn new(codes: &[Code], radius: u32) -> Self {
        let within = vec![0; radius as usize + 1];
        Self { radius, alike: within.clone(), unlike: within, random: random(codes, N_RANDOM) }
    }

    pub(super) fn add(&mut self, pair: &ComparedPair, is_alike: bool) {
        let counts = if is_alike { &mut self.alike } else { &mut self.unlike };
        if let Some(count) = counts.get_mut(pair.distance as usize) {
            *count += 1;
        }
    }
}

fn random(codes: &[Code], n_pairs: u64) -> Vec<u64> {
    let n = codes.len();
    if n < 2 {
        return Vec::new();
    }
    let mut rng = rng::stream(0, Purpose::Corruption, 0);
    let mut counts = vec![0; CODE_BITS + 1];
    for _ in 0..n_pairs {
        let first = rng.random_range(0..n);
        // One of the others, each as likely.
        let second = (first + rng.random_range(1..n)) % n;
        counts[codes[first].distance(codes[second]) as usize] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_pairs_are_of_two_different_pictures_and_differ_in_half_of_the_bits() {
        let mut rng = rng::stream(7, Purpose::Corruption, 1);
        let codes: Vec<Code> =
            (0..500).map(|_| Code::from_bits((0..CODE_BITS).map(|_| rng.random::<bool>()))).collect();
        let counts = random(&codes, 100_000);
        assert_eq!((counts.len(), counts.iter().sum::<u64>()), (129, 100_000));
        assert_eq!(counts[0], 0, "no code is paired with itself");
        // The binomial distribution of 128 fair bits: mean 64, variance 32.
        let moment = |of: &dyn Fn(f64) -> f64| {
            (0..).zip(&counts).map(|(d, n)| of(f64::from(d)) * *n as f64).sum::<f64>() / 100_000.0
        };
        let mean = moment(&|d| d);
        assert!((mean - 64.0).abs() < 0.5 && (moment(&|d| (d - mean).powi(2)) - 32.0).abs() < 2.0);
        assert_eq!(random(&codes[..1], 10), Vec::<u64>::new());
    }
}
