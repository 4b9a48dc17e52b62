//! Mutations of bytes, the same for the same seed.

use rand::Rng;

const INTERESTING: [u64; 14] = [
    0,
    1,
    2,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    u64::MAX,
];
/// Inputs do not grow beyond this.
const MAX_LEN: usize = 1 << 16;

/// Changes an input in one to eight places; `others` are inputs to take pieces from.
pub fn mutate(input: &[u8], others: &[Vec<u8>], rng: &mut impl Rng) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..1 << rng.random_range(0..4) {
        change(&mut bytes, others, rng);
    }
    bytes.truncate(MAX_LEN.max(input.len()));
    bytes
}

fn change(bytes: &mut Vec<u8>, others: &[Vec<u8>], rng: &mut impl Rng) {
    if bytes.is_empty() {
        bytes.push(rng.random());
        return;
    }
    let at = rng.random_range(0..bytes.len());
    match rng.random_range(0..10) {
        0 => bytes[at] ^= 1 << rng.random_range(0..8),
        1 => bytes[at] = rng.random(),
        2 => bytes[at] = bytes[at].wrapping_add(if rng.random() { 1 } else { 0xff }),
        3 | 4 => overwrite_number(bytes, at, rng),
        5 => {
            let end = at + piece(bytes.len() - at, rng);
            bytes.drain(at..end);
        }
        6 => {
            let copy = bytes[at..at + piece(bytes.len() - at, rng)].to_vec();
            let to = rng.random_range(0..=bytes.len());
            bytes.splice(to..to, copy);
        }
        7 => {
            let new: Vec<u8> = (0..rng.random_range(1..9)).map(|_| rng.random()).collect();
            bytes.splice(at..at, new);
        }
        8 if rng.random_range(0..4) == 0 => bytes.truncate(at),
        _ => {
            let Some(other) = others.get(rng.random_range(0..others.len().max(1))) else { return };
            if other.is_empty() {
                return;
            }
            let from = rng.random_range(0..other.len());
            let copy = &other[from..from + piece(other.len() - from, rng)];
            let end = (at + copy.len()).min(bytes.len());
            bytes.splice(at..end, copy.iter().copied());
        }
    }
}

/// The length of a piece: mostly short.
fn piece(most: usize, rng: &mut impl Rng) -> usize {
    let limit = 1usize << rng.random_range(0..13);
    rng.random_range(1..=most.min(limit))
}

/// Writes a number on a border of its type, in either byte order, or one near the number that is there.
fn overwrite_number(bytes: &mut [u8], at: usize, rng: &mut impl Rng) {
    let width = 1usize << rng.random_range(0..4);
    let Some(place) = bytes.get_mut(at..at + width) else { return };
    let number = INTERESTING[rng.random_range(0..INTERESTING.len())];
    let mut digits = number.to_le_bytes()[..width].to_vec();
    if rng.random() {
        digits.reverse();
    }
    place.copy_from_slice(&digits);
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_bytes_and_most_differ() {
        let all = |seed| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            (0..200).map(|_| mutate(b"some input", &[b"another".to_vec()], &mut rng)).collect::<Vec<_>>()
        };
        assert_eq!(all(1), all(1));
        let different: std::collections::HashSet<Vec<u8>> = all(1).into_iter().collect();
        assert!(different.len() > 150, "{}", different.len());
    }
}
