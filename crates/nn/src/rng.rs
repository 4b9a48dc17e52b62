//! Seeded random streams.
//!
//! Every draw of the project is a function of a seed, of what the draw is for and of a counter (the step, the epoch),
//! never of what was drawn before: a resumed run needs no generator state to give the bits of an uninterrupted one.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What a stream of draws is for. Streams of different purposes are independent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Purpose {
    /// Initial weights.
    Weights = 1,
    /// z of the generator's updates; the counter is the step.
    GeneratorZ = 2,
    /// z of the discriminator's updates; the counter is the step.
    DiscriminatorZ = 3,
    /// z of sample grids.
    SampleZ = 4,
    /// What corrupts an autoencoder's inputs; the counter is the copy, over all steps.
    Corruption = 5,
    /// Dropout; the counter is the step.
    Dropout = 6,
    /// z over which a generator's batch-norm statistics are inferred; the counter is the batch.
    StatisticsZ = 16,
    /// z and noise of the paper's figures; the counter tells their uses apart.
    Figures = 17,
    /// Which places and maps forgetting an object looks at; the counter is the sample.
    Forgetting = 18,
    /// Hyper-parameters of a search; the counter is the trial.
    Trials = 19,
    /// z of labelled pictures that classifiers learn from; the counter is the batch.
    LabelledZ = 20,
    /// Their labels; the counter is the batch.
    Labels = 21,
}

/// The generator of draw number `counter` (below 2⁵⁶) for `purpose` under `seed`.
pub fn stream(seed: u64, purpose: Purpose, counter: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(((purpose as u64) << 56) | counter);
    rng
}

#[cfg(test)]
mod tests {
    use rand::RngCore;

    use super::*;

    #[test]
    fn streams_repeat_and_differ() {
        let first = |seed, purpose, counter| stream(seed, purpose, counter).next_u64();
        assert_eq!(first(1, Purpose::Weights, 0), first(1, Purpose::Weights, 0));
        assert_ne!(first(1, Purpose::Weights, 0), first(2, Purpose::Weights, 0));
        assert_ne!(first(1, Purpose::GeneratorZ, 3), first(1, Purpose::DiscriminatorZ, 3));
        assert_ne!(first(1, Purpose::GeneratorZ, 3), first(1, Purpose::GeneratorZ, 4));
    }
}
