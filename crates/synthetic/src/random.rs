//! Random streams that depend on the seed and the picture's place only, never on threads.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// What a stream of random numbers is for; each use has streams of its own.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// Pictures of the training set, or scenes.
    Train = 0,
    /// Pictures of the test set.
    Test = 1,
    /// Labels of the training set.
    TrainLabels = 2,
    /// Labels of the test set.
    TestLabels = 3,
    /// Keys of pictures.
    Keys = 4,
    /// Which picture is copied, and how.
    Planting = 5,
}

/// The generator of item `idx`: stream `(purpose, idx)` of `ChaCha8` seeded with `seed`.
pub(super) fn stream(seed: u64, purpose: Purpose, idx: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(((purpose as u64) << 56) | idx as u64);
    rng
}

/// `n` labels in `0..10`: every run of ten holds each class once, in random order, so that any head of the
/// list is balanced to within one.
pub(super) fn balanced_labels(n: usize, seed: u64, purpose: Purpose) -> Vec<u8> {
    let mut labels = Vec::with_capacity(n.next_multiple_of(10));
    for block_idx in 0..n.div_ceil(10) {
        let mut block: [u8; 10] = std::array::from_fn(|class| class as u8);
        block.shuffle(&mut stream(seed, purpose, block_idx));
        labels.extend_from_slice(&block);
    }
    labels.truncate(n);
    labels
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn streams_are_repeatable_and_apart() {
        let draw = |seed, purpose, idx| stream(seed, purpose, idx).random::<u64>();
        assert_eq!(draw(1, Purpose::Train, 5), draw(1, Purpose::Train, 5));
        let others = [draw(2, Purpose::Train, 5), draw(1, Purpose::Test, 5), draw(1, Purpose::Train, 6)];
        assert!(others.iter().all(|&other| other != draw(1, Purpose::Train, 5)));
    }

    #[test]
    fn labels_are_balanced_in_every_head() {
        let labels = balanced_labels(47, 3, Purpose::TrainLabels);
        assert_eq!(labels.len(), 47);
        for head in [10, 20, 47] {
            let counts = (0..10).map(|class| labels[..head].iter().filter(|&&label| label == class).count());
            let counts: Vec<usize> = counts.collect();
            assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{counts:?}");
        }
    }
}
