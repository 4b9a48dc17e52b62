//! Equal codes: the paper's rule.

use rayon::prelude::*;

use super::buckets::Buckets;
use crate::Code;

/// Images that a bucket holds on average.
const PER_BUCKET: usize = 16;

/// The groups of two or more images with equal codes, in the order of their first images; the images of each in rising
/// order. Linear in time and memory: codes go into buckets by a mixed number of them, and only a bucket is sorted.
///
/// ```
/// use dcgan_dedup::{Code, group::equal_codes};
/// let codes = [1, 2, 1, 3, 2, 1].map(|word| Code([word, 0]));
/// assert_eq!(equal_codes(&codes), [vec![0, 2, 5], vec![1, 4]]);
/// ```
pub fn equal_codes(codes: &[Code]) -> Vec<Vec<u32>> {
    let n_bits = (codes.len() / PER_BUCKET).next_power_of_two().trailing_zeros().clamp(1, 28);
    let bucket_of = |image: u32| (codes[image as usize].mixed() >> (64 - n_bits)) as u32;
    let mut buckets = Buckets::new(codes.len() as u32, 1 << n_bits, bucket_of);
    let mut groups: Vec<Vec<u32>> = buckets
        .each_mut()
        .into_par_iter()
        .flat_map_iter(|bucket| {
            bucket.sort_unstable_by_key(|&image| (codes[image as usize], image));
            bucket
                .chunk_by(|&i, &j| codes[i as usize] == codes[j as usize])
                .filter(|group| group.len() > 1)
                .map(<[u32]>::to_vec)
        })
        .collect();
    groups.par_sort_unstable_by_key(|group| group[0]);
    groups
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::testing::random_codes;

    #[test]
    fn agrees_with_a_map() {
        for n in [0, 1, 2, 100, 5_000] {
            let codes = random_codes(n, 300, 0, n as u64);
            let mut by_code: BTreeMap<Code, Vec<u32>> = BTreeMap::new();
            for (image, &code) in codes.iter().enumerate() {
                by_code.entry(code).or_default().push(image as u32);
            }
            let mut expected: Vec<Vec<u32>> = by_code.into_values().filter(|group| group.len() > 1).collect();
            expected.sort();
            assert_eq!(equal_codes(&codes), expected, "{n}");
        }
    }
}
