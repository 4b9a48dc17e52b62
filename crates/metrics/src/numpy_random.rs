//! NumPy's `RandomState`, as far as torch-fidelity draws with it: the same subsets give the same digits.
//!
//! MT19937 (Matsumoto and Nishimura, 1998) seeded by one number, and the shuffle of `numpy/random/mtrand.pyx`: from the last place
//! on, each place is exchanged with one up to it, drawn by masked rejection.

const N: usize = 624;
const M: usize = 397;

/// `numpy.random.RandomState(seed)`.
#[derive(Debug, Clone)]
pub struct RandomState {
    state: Vec<u32>,
    next: usize,
}

impl RandomState {
    /// Seeds it.
    pub fn new(seed: u32) -> Self {
        let mut state = vec![seed; N];
        for i in 1..N {
            let before: u32 = state[i - 1];
            state[i] = 1_812_433_253_u32.wrapping_mul(before ^ (before >> 30)).wrapping_add(i as u32);
        }
        Self { state, next: N }
    }

    fn u32(&mut self) -> u32 {
        if self.next == N {
            for i in 0..N {
                let y = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % N] & 0x7fff_ffff);
                let odd = if y & 1 == 1 { 0x9908_b0df } else { 0 };
                self.state[i] = self.state[(i + M) % N] ^ (y >> 1) ^ odd;
            }
            self.next = 0;
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    /// From 0 to `most`.
    fn up_to(&mut self, most: u32) -> u32 {
        if most == 0 {
            return 0;
        }
        let mask = u32::MAX >> most.leading_zeros();
        loop {
            let value = self.u32() & mask;
            if value <= most {
                return value;
            }
        }
    }

    /// `permutation(n)`.
    pub fn permutation(&mut self, n: u32) -> Vec<u32> {
        let mut all: Vec<u32> = (0..n).collect();
        for i in (1..n).rev() {
            all.swap(i as usize, self.up_to(i) as usize);
        }
        all
    }

    /// `choice(n, size, replace=False)`.
    pub fn choice(&mut self, n: u32, size: usize) -> Vec<u32> {
        let mut all = self.permutation(n);
        all.truncate(size);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // import numpy as np
    // r = np.random.RandomState(2020); print(r.permutation(10), r.choice(1000, 5, replace=False), r.permutation(70000)[:4])
    #[test]
    fn permutations_are_numpys() {
        let mut random = RandomState::new(2020);
        assert_eq!(random.permutation(10), [2, 4, 9, 1, 5, 7, 6, 3, 8, 0]);
        assert_eq!(random.choice(1000, 5), [358, 763, 430, 530, 677]);
        assert_eq!(random.permutation(70_000)[..4], [19629, 54640, 2561, 49256]);
    }
}
