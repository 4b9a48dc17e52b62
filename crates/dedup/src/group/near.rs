//! Codes within a Hamming radius, by multi-index hashing.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::bands::{Bands, bucket};
use super::buckets::Buckets;
use crate::Code;

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

/// Buckets searched before their pairs are handed on.
const BUCKETS_AT_ONCE: usize = 1 << 15;
/// Buckets that a task searches.
const BUCKETS_A_TASK: usize = 1 << 7;
/// Codes, or buckets, of which a table is made by one thread alone: to hand them to others would cost more.
const FOR_ONE: usize = 1 << 14;
/// Codes compared at once, so that only where one of them is near they are compared singly.
const LANES: usize = 32;

/// Hands every pair of codes at a distance of at most `radius` to `visit`, each once, in portions whose order depends on
/// the codes alone.
///
/// The codes are cut into bands of bits; two codes within the radius differ in at most one bit of at least one of `radius / 2 + 1`
/// bands, so only codes in the same bucket of a band, or in two whose numbers differ in one bit, are compared (Norouzi, Punjani and
/// Fleet 2012). Bands are made of the bits that tell most codes apart. In a bucket of more than `cap` images, sorted by their codes,
/// each is compared with `cap` others only; what is lost by that is in the report.
pub fn near_pairs(codes: &[Code], radius: u32, cap: usize, visit: &mut dyn FnMut(Vec<Pair>)) -> SearchReport {
    let bands = Bands::new(codes, radius);
    search_all(codes, None, &bands, Limits { radius, cap }, visit)
}

/// The same of every pair of a code and a query: `first` is the code's number, `second` the query's.
pub(crate) fn near_queries(
    codes: &[Code],
    queries: &[Code],
    radius: u32,
    cap: usize,
    visit: &mut dyn FnMut(Vec<Pair>),
) -> SearchReport {
    let bands = Bands::new(codes, radius);
    search_all(codes, Some(queries), &bands, Limits { radius, cap }, visit)
}

/// How far codes may be apart, and with how many others of a bucket each is compared.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Limits {
    pub(super) radius: u32,
    pub(super) cap: usize,
}

fn search_all(
    codes: &[Code],
    queries: Option<&[Code]>,
    bands: &Bands,
    limits: Limits,
    visit: &mut dyn FnMut(Vec<Pair>),
) -> SearchReport {
    let mut report = SearchReport { n_bands: bands.bits.len(), ..SearchReport::default() };
    for (band, bits) in bands.bits.iter().enumerate() {
        let search = &Search::new(bands, band, bits, true, limits);
        let table = Table::new(codes, search);
        let asked = queries.map(|queries| Table::new(queries, search));
        for start in (0..table.buckets.len()).step_by(BUCKETS_AT_ONCE) {
            let buckets = start..table.buckets.len().min(start + BUCKETS_AT_ONCE);
            let tasks: Vec<usize> = buckets.clone().step_by(BUCKETS_A_TASK).collect();
            let task = |&first: &usize| {
                let buckets = first..buckets.end.min(first + BUCKETS_A_TASK);
                dcgan_vectors::arch().dispatch(Task { search, table: &table, asked: asked.as_ref(), buckets })
            };
            let found: Vec<Found> = tasks.par_iter().map(task).collect();
            let mut pairs = Vec::new();
            for found in found {
                pairs.extend(found.pairs);
                report.add(&found.report);
            }
            if !pairs.is_empty() {
                visit(pairs);
            }
        }
    }
    report
}

/// What a search finds among some codes, or between queries and them, on one core. Of the report the number of bands is left at 0.
pub(super) fn search_some(
    codes: &[Code],
    queries: Option<&[Code]>,
    search: &Search<'_>,
) -> (Vec<Pair>, SearchReport) {
    let table = Table::new(codes, search);
    let asked = queries.map(|queries| Table::new(queries, search));
    let buckets = 0..table.buckets.len();
    let found =
        dcgan_vectors::arch().dispatch(Task { search, table: &table, asked: asked.as_ref(), buckets });
    (found.pairs, found.report)
}

impl SearchReport {
    pub(super) fn add(&mut self, met: &Self) {
        self.n_compared += met.n_compared;
        self.largest_bucket = self.largest_bucket.max(met.largest_bucket);
        self.n_hot_buckets += met.n_hot_buckets;
        self.n_skipped += met.n_skipped;
    }
}

/// Codes in the buckets of a band.
struct Table<'a> {
    codes: &'a [Code],
    buckets: Buckets,
    /// One word of each code, in the order of the buckets: nearly all pairs are already too far apart in it.
    words: Vec<u64>,
}

impl<'a> Table<'a> {
    fn new(codes: &'a [Code], search: &Search<'_>) -> Self {
        let numbers = codes.par_iter().with_min_len(FOR_ONE).map(|code| bucket(search.bits, *code));
        let numbers: Vec<u32> = numbers.collect();
        let mut buckets =
            Buckets::new(codes.len() as u32, 1 << search.bits.len(), |image| numbers[image as usize]);
        drop(numbers);
        let hot = buckets.each_mut().into_par_iter().with_min_len(FOR_ONE);
        hot.filter(|bucket| bucket.len() > search.limits.cap).for_each(|bucket| {
            bucket.sort_unstable_by_key(|&image| (codes[image as usize], image));
        });
        let order = buckets.order().par_iter().with_min_len(FOR_ONE);
        let words = order.map(|&image| codes[image as usize].0[search.bands.word]).collect();
        Self { codes, buckets, words }
    }

    fn image(&self, place: usize) -> u32 {
        self.buckets.order()[place]
    }

    fn code(&self, place: usize) -> Code {
        self.codes[self.image(place) as usize]
    }

    /// Places of a bucket with which `code` is compared, `cap` of them at most: those about its own place among them.
    fn near(&self, bucket: usize, code: Code, cap: usize) -> Range<usize> {
        let places = self.buckets.places(bucket);
        if places.len() <= cap {
            return places;
        }
        let order = &self.buckets.order()[places.clone()];
        let own = order.partition_point(|&image| self.codes[image as usize] < code);
        let first = own.saturating_sub(cap / 2).min(places.len() - cap);
        places.start + first..places.start + first + cap
    }
}

/// Some buckets of a band.
struct Task<'a> {
    search: &'a Search<'a>,
    table: &'a Table<'a>,
    asked: Option<&'a Table<'a>>,
    buckets: Range<usize>,
}

/// Compiled for the vector instructions at hand.
impl WithSimd for Task<'_> {
    type Output = Found;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Found {
        let Self { search, table, asked, buckets } = self;
        let mut found = Found::default();
        for bucket in buckets {
            match asked {
                None => search.within(table, bucket, &mut found),
                Some(asked) => search.between(table, asked, bucket, &mut found),
            }
        }
        found
    }
}

#[derive(Default)]
struct Found {
    pairs: Vec<Pair>,
    report: SearchReport,
}

/// What is looked for: pairs that a band finds.
pub(super) struct Search<'a> {
    bands: &'a Bands,
    masks: Vec<u128>,
    band: usize,
    /// Bits of the band by which codes are put into buckets; in its others all codes at hand are the same.
    bits: &'a [u32],
    /// Whether codes of one bucket are compared, or only those of two.
    is_within: bool,
    limits: Limits,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        bands: &'a Bands,
        band: usize,
        bits: &'a [u32],
        is_within: bool,
        limits: Limits,
    ) -> Self {
        Self { bands, masks: bands.masks(), band, bits, is_within, limits }
    }

    /// Pairs of a bucket, and of it and those above it that are near.
    #[inline(always)]
    fn within(&self, table: &Table<'_>, bucket: usize, found: &mut Found) {
        let (places, cap) = (table.buckets.places(bucket), self.limits.cap);
        if self.is_within {
            found.note(places.len(), cap);
            for place in places.clone() {
                let end = places.end.min((place + 1).saturating_add(cap));
                found.report.n_skipped += (places.end - end) as u64;
                self.compare([table, table], place, place + 1..end, found);
            }
        }
        for flipped in self.flips() {
            let other = bucket ^ flipped;
            if other > bucket {
                self.across([table, table], places.clone(), other, found);
            }
        }
    }

    /// Pairs of the queries of a bucket and the codes of it and of those that are near.
    #[inline(always)]
    fn between(&self, table: &Table<'_>, asked: &Table<'_>, bucket: usize, found: &mut Found) {
        let places = asked.buckets.places(bucket);
        if self.is_within {
            found.note(table.buckets.places(bucket).len(), self.limits.cap);
            self.across([asked, table], places.clone(), bucket, found);
        }
        for flipped in self.flips() {
            self.across([asked, table], places.clone(), bucket ^ flipped, found);
        }
    }

    fn flips(&self) -> impl Iterator<Item = usize> {
        let n_bits = if self.bands.slack > 0 { self.bits.len() } else { 0 };
        (0..n_bits).map(|bit| 1 << bit)
    }

    #[inline(always)]
    fn across(&self, [from, to]: [&Table<'_>; 2], places: Range<usize>, other: usize, found: &mut Found) {
        let n_others = to.buckets.places(other).len();
        if n_others == 0 {
            return;
        }
        for place in places {
            let near = to.near(other, from.code(place), self.limits.cap);
            found.report.n_skipped += (n_others - near.len()) as u64;
            self.compare([from, to], place, near, found);
        }
    }

    /// Compares a code with those at `places` of another table.
    #[inline(always)]
    fn compare(&self, [from, to]: [&Table<'_>; 2], place: usize, places: Range<usize>, found: &mut Found) {
        found.report.n_compared += places.len() as u64;
        let word = from.words[place];
        for start in places.clone().step_by(LANES) {
            let lanes = start..places.end.min(start + LANES);
            if any_within(&to.words[lanes.clone()], word, self.limits.radius) {
                found.pairs.extend(lanes.filter_map(|other| self.pair([from, to], [place, other])));
            }
        }
    }

    /// The pair, if it is within the radius and this is the first band in which the two are near.
    fn pair(&self, tables: [&Table<'_>; 2], places: [usize; 2]) -> Option<Pair> {
        let [a, b] = [0, 1].map(|k| tables[k].code(places[k]));
        let distance = a.distance(b);
        let is_found = distance <= self.limits.radius && self.first_near(a, b) == Some(self.band);
        let [i, j] = [0, 1].map(|k| tables[k].image(places[k]));
        let is_same = std::ptr::eq(tables[0], tables[1]);
        let (first, second) = if is_same { (i.min(j), i.max(j)) } else { (j, i) };
        is_found.then_some(Pair { first, second, distance })
    }

    /// The first band in which two codes differ in no more than the slack.
    fn first_near(&self, a: Code, b: Code) -> Option<usize> {
        let off = a.joined() ^ b.joined();
        self.masks.iter().position(|mask| (off & mask).count_ones() <= self.bands.slack)
    }
}

impl Found {
    fn note(&mut self, n: usize, cap: usize) {
        self.report.largest_bucket = self.report.largest_bucket.max(n);
        self.report.n_hot_buckets += usize::from(n > cap);
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
    fn queries_agree_with_comparing_all() {
        for radius in [0, 3, 8, 12] {
            let all = random_codes(500, 150, 12, 40 + u64::from(radius));
            let (codes, queries) = all.split_at(300);
            let mut expected = Vec::new();
            for (first, code) in (0..).zip(codes) {
                for (second, query) in (0..).zip(queries) {
                    let distance = code.distance(*query);
                    expected.extend((distance <= radius).then_some(Pair { first, second, distance }));
                }
            }
            let mut pairs = Vec::new();
            near_queries(codes, queries, radius, usize::MAX, &mut |portion| pairs.extend(portion));
            pairs.sort();
            assert!(pairs == expected && (radius < 3 || !pairs.is_empty()), "{radius}");
        }
    }

    #[test]
    fn a_hot_bucket_is_capped_and_reported() {
        // Copies of four codes, with at most one bit changed.
        let codes = random_codes(400, 4, 1, 3);
        let expected = all_pairs(&codes, 2);
        let (pairs, report) = found(&codes, 2, 20);
        assert!(
            report.n_hot_buckets >= 1 && report.n_skipped > 0 && report.largest_bucket > 50,
            "{report:?}"
        );
        let n_buckets_each = 1 + 22;
        assert!(report.n_compared <= 400 * 20 * 2 * n_buckets_each, "{report:?}");
        assert!(pairs.len() * 20 > expected.len(), "{} of {}", pairs.len(), expected.len());
        assert!(pairs.iter().all(|pair| expected.contains(pair)));
        let mut once = pairs.clone();
        once.dedup();
        assert_eq!(once, pairs);
    }
}
