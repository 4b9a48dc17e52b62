//! The order in which images are seen.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// The indices 0 to n − 1 in the random order of one epoch (a ChaCha8 stream a pair of seed and epoch, so that any
/// epoch's order is known without those before it). Batches are its chunks:
///
/// ```
/// let order = dcgan_images::batches::shuffled(10, 42, 0);
/// let batches: Vec<&[u32]> = order.chunks_exact(4).collect();
/// assert_eq!(batches.len(), 2); // the last two images sit this epoch out
/// assert_ne!(order, dcgan_images::batches::shuffled(10, 42, 1));
/// ```
///
/// A store holds fewer than 2³² images; indices beyond that are left out.
pub fn shuffled(n: usize, seed: u64, epoch: u64) -> Vec<u32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(epoch);
    let mut order: Vec<u32> = (0..u32::try_from(n).unwrap_or(u32::MAX)).collect();
    order.shuffle(&mut rng);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_index_comes_once_and_the_order_is_the_seeds() {
        let order = shuffled(1000, 7, 3);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..1000));
        assert_eq!(order, shuffled(1000, 7, 3));
        assert_ne!(order, shuffled(1000, 7, 4));
        assert_ne!(order, shuffled(1000, 8, 3));
        assert!(shuffled(0, 7, 3).is_empty());
    }

    #[test]
    fn places_are_evenly_distributed() {
        let mut counts = [0u32; 5];
        for epoch in 0..5000 {
            counts[shuffled(5, 1, epoch)[0] as usize] += 1;
        }
        // 1000 expected; six standard deviations are 170.
        assert!(counts.iter().all(|&count| count.abs_diff(1000) < 170), "{counts:?}");
    }
}
