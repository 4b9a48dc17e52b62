//! The search of [`near_pairs`](super::near_pairs) cut into groups of codes, each of which can be searched by itself, on whatever machine.

use serde::{Deserialize, Serialize};

use super::bands::{self, Bands, bucket};
use super::near::{Limits, Pair, Search, SearchReport, search_some};
use crate::Code;

/// How codes are put into groups, and what is looked for in each: all groups of all parts together make the same comparisons as one
/// search of all codes.
///
/// A band without slack is one part, and its groups are its buckets. Of a band with slack, two codes that differ in at most one bit
/// agree in one half of the bits at least: it is two parts, whose groups are the codes that agree in one half. The first part compares
/// codes that differ nowhere or in a bit of the second half, the second those that differ in a bit of the first.
///
/// ```
/// use dcgan_dedup::Code;
/// use dcgan_dedup::group::{Pair, SearchApart};
///
/// let codes = [Code([7, 0]), Code([1 << 40, 9]), Code([6, 0])];
/// let search = SearchApart::new(&codes, codes.len(), 2, 16384);
/// let mut pairs = Vec::new();
/// for part in 0..search.n_parts() {
///     // The groups of a part: here two, of which one is of a single code.
///     for key in [search.key(part, codes[0]), search.key(part, codes[1])] {
///         let images: Vec<u32> = (0..3).filter(|&i| search.key(part, codes[i as usize]) == key).collect();
///         let group: Vec<Code> = images.iter().map(|&i| codes[i as usize]).collect();
///         for pair in search.pairs(part, &group).0 {
///             pairs.push((images[pair.first as usize], images[pair.second as usize], pair.distance));
///         }
///     }
/// }
/// pairs.sort();
/// pairs.dedup();
/// assert_eq!(pairs, [(0, 2, 1)]);
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SearchApart {
    bands: Bands,
    limits: Limits,
}

/// A band, or half of one.
struct Part<'a> {
    band: usize,
    /// Bits in which the codes of a group agree.
    key: &'a [u32],
    /// The band's others.
    others: &'a [u32],
    is_within: bool,
}

impl SearchApart {
    /// That of `n` codes, of which `sample` is every [`Self::sample_step`]th.
    pub fn new(sample: &[Code], n: usize, radius: u32, cap: usize) -> Self {
        Self { bands: Bands::of_sample(sample, n, radius), limits: Limits { radius, cap } }
    }

    /// Of `n` codes each so-manieth is in the sample.
    pub fn sample_step(n: usize) -> usize {
        bands::sample_step(n)
    }

    /// Bands, of which [`SearchReport::n_bands`] tells.
    pub fn n_bands(&self) -> usize {
        self.bands.bits.len()
    }

    /// Bands and halves of bands.
    pub fn n_parts(&self) -> usize {
        self.n_bands() * if self.bands.slack > 0 { 2 } else { 1 }
    }

    fn part(&self, part: usize) -> Part<'_> {
        if self.bands.slack == 0 {
            return Part { band: part, key: &self.bands.bits[part], others: &[], is_within: true };
        }
        let bits = &self.bands.bits[part / 2];
        let (first, second) = bits.split_at(bits.len() / 2);
        match part % 2 {
            0 => Part { band: part / 2, key: first, others: second, is_within: true },
            _ => Part { band: part / 2, key: second, others: first, is_within: false },
        }
    }

    /// The group of a code in a part, below [`Self::n_parts`].
    pub fn key(&self, part: usize, code: Code) -> u32 {
        bucket(self.part(part).key, code)
    }

    /// The pairs of a group of a part, by the codes' places in `codes`, which stand in the order of the set.
    pub fn pairs(&self, part: usize, codes: &[Code]) -> (Vec<Pair>, SearchReport) {
        self.search(part, codes, None)
    }

    /// The pairs of a code of a group and a query of the same group.
    pub fn queries(&self, part: usize, codes: &[Code], queries: &[Code]) -> (Vec<Pair>, SearchReport) {
        self.search(part, codes, Some(queries))
    }

    fn search(&self, part: usize, codes: &[Code], queries: Option<&[Code]>) -> (Vec<Pair>, SearchReport) {
        let Part { band, others, is_within, .. } = self.part(part);
        search_some(codes, queries, &Search::new(&self.bands, band, others, is_within, self.limits))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::near::{near_pairs, near_queries};
    use super::*;
    use crate::testing::random_codes;

    /// All groups of all parts, one after another.
    fn apart(search: &SearchApart, codes: &[Code], queries: Option<&[Code]>) -> (Vec<Pair>, SearchReport) {
        let mut all = (Vec::new(), SearchReport { n_bands: search.n_bands(), ..SearchReport::default() });
        for part in 0..search.n_parts() {
            let mut groups: BTreeMap<u32, [Vec<u32>; 2]> = BTreeMap::new();
            for (side, codes) in [Some(codes), queries].into_iter().enumerate() {
                for (image, &code) in (0..).zip(codes.unwrap_or_default()) {
                    groups.entry(search.key(part, code)).or_default()[side].push(image);
                }
            }
            for [images, asked] in groups.into_values() {
                let of = |images: &[u32], codes: &[Code]| -> Vec<Code> {
                    images.iter().map(|&image| codes[image as usize]).collect()
                };
                let group = of(&images, codes);
                let (pairs, report) = match queries {
                    None => search.pairs(part, &group),
                    Some(queries) => search.queries(part, &group, &of(&asked, queries)),
                };
                let others = if queries.is_some() { &asked } else { &images };
                all.0.extend(pairs.into_iter().map(|pair| Pair {
                    first: images[pair.first as usize],
                    second: others[pair.second as usize],
                    distance: pair.distance,
                }));
                all.1.add(&report);
            }
        }
        all.0.sort();
        all
    }

    #[test]
    fn makes_the_comparisons_of_one_search() {
        let mut slacks = [0, 0];
        // With few different codes some buckets are over the cap.
        for (radius, n, n_different, cap) in [
            (2, 3_000, 900, 16384),
            (8, 3_000, 900, 16384),
            (12, 4_000, 5, 100),
            (8, 2_000, 4, 30),
            (0, 500, 3, 20),
            (24, 12_000, 9_000, 16384),
            (24, 12_000, 6, 100),
        ] {
            let codes = random_codes(n, n_different, 6, n as u64);
            let step = SearchApart::sample_step(n);
            assert_eq!(step, 1);
            let search = SearchApart::new(&codes, n, radius, cap);
            slacks[search.bands.slack as usize] += 1;
            let mut pairs = Vec::new();
            let report = near_pairs(&codes, radius, cap, &mut |portion| pairs.extend(portion));
            pairs.sort();
            assert_eq!(apart(&search, &codes, None), (pairs, report), "{radius} {cap}");
            let queries = random_codes(700, 300, 4, 8);
            let queries = [&queries[..], &codes[..200]].concat();
            let mut pairs = Vec::new();
            let report = near_queries(&codes, &queries, radius, cap, &mut |portion| pairs.extend(portion));
            pairs.sort();
            assert_eq!(apart(&search, &codes, Some(&queries)), (pairs, report), "{radius} {cap}");
        }
        assert!(slacks[0] > 0 && slacks[1] > 0, "{slacks:?}");
    }
}
