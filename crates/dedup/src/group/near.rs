//! Codes within a Hamming radius, by multi-index hashing.

use pulp::Arch;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::buckets::Buckets;
use crate::Code;
use crate::code::CODE_BITS;

/// Two images with their codes' distance; `first` is below `second`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    /// The smaller image index.
    pub first: u32,
    /// The larger image index.
    pub second: u32,
    /// Bits in which their codes differ.
    pub distance: u32,
}

/// What a search met on its way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchReport {
    /// Bands the codes were cut into.
    pub n_bands: usize,
    /// Pairs whose codes were compared.
    pub n_compared: u64,
    /// Images in the fullest bucket.
    pub largest_bucket: usize,
    /// Buckets of more images than the cap.
    pub n_hot_buckets: usize,
    /// Pairs in hot buckets that were not compared.
    pub n_skipped: u64,
}

/// Buckets of a band, at most: beyond that the band's bits are mixed down.
const MAX_BUCKET_BITS: u32 = 22;
/// Buckets searched before their pairs are handed on.
const BUCKETS_AT_ONCE: usize = 1 << 12;
/// Codes compared at once, so that only where one of them is near they are compared singly.
const LANES: usize = 32;

/// Hands every pair of codes at a distance of at most `radius` to `visit`, each once, in portions whose order depends on
/// the codes alone.
///
/// The codes are cut into `radius + 1` bands (2 for radius 0). Two codes within the radius agree on at least one whole
/// band, so only codes in the same bucket of a band are compared (Norouzi, Punjani and Fleet 2012): n²/2^(128/(r+1)) of
/// them for balanced bits, and never more than n·(r+1)·`cap`: in a bucket of more than `cap` images, sorted by the bits
/// behind the band, each is compared with the next `cap` only. What is lost by that is in the report.
pub fn near_pairs(codes: &[Code], radius: u32, cap: usize, visit: &mut dyn FnMut(Vec<Pair>)) -> SearchReport {
    let bands = bands(radius);
    let mut report = SearchReport { n_bands: bands.len(), ..SearchReport::default() };
    for band_idx in 0..bands.len() {
        let (start, n_bits) = bands[band_idx];
        let bucket_bits = (n_bits as u32).min(MAX_BUCKET_BITS);
        let bucket_of = |image: u32| bucket(codes[image as usize].band(start, n_bits), bucket_bits, n_bits);
        let mut buckets = Buckets::new(codes.len() as u32, 1 << bucket_bits, bucket_of);
        let search = Search { codes, bands: &bands, band_idx, radius, cap };
        for portion in buckets.each_mut().chunks_mut(BUCKETS_AT_ONCE) {
            let found: Vec<(Vec<Pair>, SearchReport)> = portion
                .par_iter_mut()
                .filter(|bucket| bucket.len() > 1)
                .map(|bucket| search.within(bucket))
                .collect();
            let mut pairs = Vec::new();
            for (found, met) in found {
                pairs.extend(found);
                report.add(&met);
            }
            if !pairs.is_empty() {
                visit(pairs);
            }
        }
    }
    report
}

/// (first bit, number of bits) of every band.
fn bands(radius: u32) -> Vec<(usize, usize)> {
    let n_bands = (radius as usize + 1).max(2);
    let start = |band: usize| band * CODE_BITS / n_bands;
    (0..n_bands).map(|band| (start(band), start(band + 1) - start(band))).collect()
}

fn bucket(band: u64, bucket_bits: u32, n_bits: usize) -> u32 {
    match n_bits as u32 > bucket_bits {
        true => (band.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - bucket_bits)) as u32,
        false => band as u32,
    }
}

impl SearchReport {
    fn add(&mut self, met: &Self) {
        self.n_compared += met.n_compared;
        self.largest_bucket = self.largest_bucket.max(met.largest_bucket);
        self.n_hot_buckets += met.n_hot_buckets;
        self.n_skipped += met.n_skipped;
    }
}

struct Search<'a> {
    codes: &'a [Code],
    bands: &'a [(usize, usize)],
    band_idx: usize,
    radius: u32,
    cap: usize,
}

impl Search<'_> {
    fn within(&self, bucket: &mut [u32]) -> (Vec<Pair>, SearchReport) {
        let n = bucket.len();
        let mut report = SearchReport { largest_bucket: n, ..SearchReport::default() };
        if n > self.cap {
            let behind = (self.bands[self.band_idx].0 + self.bands[self.band_idx].1) as u32;
            bucket.sort_unstable_by_key(|&i| (self.codes[i as usize].rotated(behind), i));
            report.n_hot_buckets = 1;
        }
        // Nearly all pairs are already too far apart in the word that the band, on which they agree, does not begin in.
        let word = usize::from(self.bands[self.band_idx].0 < 64);
        let words: Vec<u64> = bucket.iter().map(|&i| self.codes[i as usize].0[word]).collect();
        let mut pairs = Vec::new();
        // The closure is compiled for the vector instructions at hand.
        Arch::new().dispatch(|| {
            for i in 0..n {
                let end = n.min((i + 1).saturating_add(self.cap));
                report.n_compared += (end - i - 1) as u64;
                report.n_skipped += (n - end) as u64;
                for start in (i + 1..end).step_by(LANES) {
                    let lanes = start..end.min(start + LANES);
                    if any_within(&words[lanes.clone()], words[i], self.radius) {
                        pairs.extend(lanes.filter_map(|j| self.pair(bucket[i], bucket[j])));
                    }
                }
            }
        });
        (pairs, report)
    }

    /// The pair, if it is within the radius and this is the first band on which the two agree.
    fn pair(&self, i: u32, j: u32) -> Option<Pair> {
        let (a, b) = (self.codes[i as usize], self.codes[j as usize]);
        let distance = a.distance(b);
        let agrees = |&(start, n_bits): &(usize, usize)| a.band(start, n_bits) == b.band(start, n_bits);
        let is_first = self.bands.iter().position(agrees) == Some(self.band_idx);
        (distance <= self.radius && is_first).then_some(Pair { first: i.min(j), second: i.max(j), distance })
    }
}

#[inline(always)]
fn any_within(words: &[u64], word: u64, radius: u32) -> bool {
    let n_within: u64 = words.iter().map(|w| u64::from((w ^ word).count_ones() <= radius)).sum();
    n_within > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random_codes;

    fn found(codes: &[Code], radius: u32, cap: usize) -> (Vec<Pair>, SearchReport) {
        let mut pairs = Vec::new();
        let report = near_pairs(codes, radius, cap, &mut |portion| pairs.extend(portion));
        pairs.sort();
        (pairs, report)
    }

    fn all_pairs(codes: &[Code], radius: u32) -> Vec<Pair> {
        let n = codes.len();
        let pairs = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j)));
        pairs
            .map(|(i, j)| Pair { first: i as u32, second: j as u32, distance: codes[i].distance(codes[j]) })
            .filter(|pair| pair.distance <= radius)
            .collect()
    }

    #[test]
    fn agrees_with_comparing_all() {
        for radius in [0, 1, 2, 4, 8, 13, 24] {
            // Copies with up to 12 bits flipped, and copies of copies.
            let codes = random_codes(600, 200, 12, u64::from(radius));
            let expected = all_pairs(&codes, radius);
            let (pairs, report) = found(&codes, radius, usize::MAX);
            assert_eq!(pairs, expected, "{radius}");
            assert_eq!((report.n_hot_buckets, report.n_skipped), (0, 0));
            assert!(radius > 8 || report.n_compared < 600 * 599 / 4, "{report:?}");
        }
    }

    #[test]
    fn a_hot_bucket_is_capped_and_reported() {
        // All agree on their lower word, so every band of it is one bucket.
        let codes: Vec<Code> = random_codes(400, 100, 1, 3).iter().map(|c| Code([7, c.0[1]])).collect();
        let expected = all_pairs(&codes, 2);
        let (pairs, report) = found(&codes, 2, 20);
        assert!(
            report.n_hot_buckets >= 1 && report.n_skipped > 0 && report.largest_bucket == 400,
            "{report:?}"
        );
        assert!(report.n_compared <= 400 * 20 * 3);
        // Sorted by the bits behind the band, near codes are next to each other more often than not.
        assert!(pairs.len() * 2 > expected.len(), "{} of {}", pairs.len(), expected.len());
        assert!(pairs.iter().all(|pair| expected.contains(pair)));
    }

    #[test]
    fn bands_cover_every_bit_once() {
        for radius in 0..=31 {
            let bands = bands(radius);
            assert_eq!(bands.iter().map(|band| band.1).sum::<usize>(), CODE_BITS);
            assert!(bands.windows(2).all(|pair| pair[0].0 + pair[0].1 == pair[1].0));
            assert!(bands.len() > radius as usize);
        }
    }
}
