//! The 128-bit semantic hash of a picture.

use std::fmt;

/// Bits in a code: units of the autoencoder's hidden layer.
pub const CODE_BITS: usize = 128;

/// A 128-bit code; bit `i` is bit `i % 64` of word `i / 64`.
///
/// ```
/// use dcgan_dedup::Code;
/// let (a, b) = (Code([0b1011, 0]), Code([0b0001, 1 << 63]));
/// assert_eq!(a.distance(b), 3);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub [u64; 2]);

impl Code {
    /// The code whose bit `i` is `bits[i]`; bits beyond the 128th are left out.
    pub fn from_bits(bits: impl IntoIterator<Item = bool>) -> Self {
        let mut words = [0; 2];
        for (i, bit) in bits.into_iter().take(CODE_BITS).enumerate() {
            words[i / 64] |= u64::from(bit) << (i % 64);
        }
        Self(words)
    }

    /// The number of bits in which two codes differ.
    #[inline]
    pub fn distance(self, other: Self) -> u32 {
        (self.0[0] ^ other.0[0]).count_ones() + (self.0[1] ^ other.0[1]).count_ones()
    }

    /// Bit `i`, below [`CODE_BITS`].
    pub fn bit(self, i: usize) -> bool {
        self.0[i / 64] >> (i % 64) & 1 == 1
    }

    /// Both words as one number.
    #[inline]
    pub(crate) fn joined(self) -> u128 {
        u128::from(self.0[0]) | u128::from(self.0[1]) << 64
    }

    /// A well-mixed 64-bit number of the code (the finaliser of MurmurHash3 over both words).
    pub(crate) fn mixed(self) -> u64 {
        let mut x = self.0[0] ^ self.0[1].rotate_left(32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x = (x ^ x >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
        x = (x ^ x >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        x ^ x >> 33
    }
}

/// 32 hexadecimal digits, bit 127 first.
impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.0[1], self.0[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_and_distances() {
        let code = Code::from_bits((0..CODE_BITS).map(|i| i % 3 == 0));
        assert!((0..CODE_BITS).all(|i| code.bit(i) == (i % 3 == 0)));
        assert!((0..CODE_BITS).all(|i| code.joined() >> i & 1 == u128::from(i % 3 == 0)));
        let flipped = Code([code.0[0] ^ 0b101, code.0[1] ^ 1 << 40]);
        assert_eq!((code.distance(flipped), code.distance(code)), (3, 0));
    }
}
