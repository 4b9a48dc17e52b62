//! What several tests need.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::Code;

/// `n` codes, of which about the last `n − n_originals` are earlier ones with up to `n_flipped` bits changed.
pub(crate) fn random_codes(n: usize, n_originals: usize, n_flipped: usize, seed: u64) -> Vec<Code> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut codes: Vec<Code> = Vec::with_capacity(n);
    for i in 0..n {
        let mut code = match i < n_originals {
            true => Code([rng.random(), rng.random()]),
            false => codes[rng.random_range(0..i)],
        };
        if i >= n_originals && n_flipped > 0 {
            for _ in 0..rng.random_range(0..=n_flipped) {
                code.0[rng.random_range(0..2)] ^= 1 << rng.random_range(0..64);
            }
        }
        codes.push(code);
    }
    codes
}
