//! The types of maps in memory, and what of them is multiplied.

use std::mem::MaybeUninit;

use candle_core::{CpuStorage, WithDType};
use half::bf16;

use crate::{
    lanes::{Pair, Value},
    vectorised,
};

/// f32, or bf16, which is multiplied in pairs: what is summed over comes in steps of [`Self::PER`].
pub(crate) trait Element: WithDType + Default + Send + Sync {
    /// What products multiply.
    type Value: Value;
    /// Elements in such a value.
    const PER: usize;
    /// The points of Winograd's tiles are 0, ±this, ±twice this, and ∞. Of bf16, 0.75 halves the error that 1 leaves; f32 needs no
    /// multiplication with 1.
    const POINT: f32;

    /// As f32, exactly.
    fn wide(self) -> f32;

    /// The nearest; of two as near, the even one.
    fn narrow(value: f32) -> Self;

    /// Neighbouring elements as values; an odd one at the end is left out.
    fn values(elements: &[Self]) -> &[Self::Value];

    /// Values of the elements of two rows; of one and zeros where there is no second. Where a value is an element, of the first.
    fn join(first: &[Self], second: Option<&[Self]>, to: &mut [Self::Value]);

    /// The elements of a storage, to be written.
    fn of_storage(storage: &mut CpuStorage) -> Option<&mut [Self]>;
}

impl Element for f32 {
    type Value = f32;
    const PER: usize = 1;
    const POINT: f32 = 1.0;

    #[inline(always)]
    fn wide(self) -> f32 {
        self
    }

    #[inline(always)]
    fn narrow(value: f32) -> Self {
        value
    }

    fn values(elements: &[Self]) -> &[f32] {
        elements
    }

    fn join(first: &[Self], _: Option<&[Self]>, to: &mut [f32]) {
        to.copy_from_slice(first);
    }

    fn of_storage(storage: &mut CpuStorage) -> Option<&mut [Self]> {
        match storage {
            CpuStorage::F32(values) => Some(values),
            _ => None,
        }
    }
}

impl Element for bf16 {
    type Value = Pair;
    const PER: usize = 2;
    const POINT: f32 = 0.75;

    #[inline(always)]
    fn wide(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }

    /// Without a branch, so that it is done for whole vectors.
    #[inline(always)]
    fn narrow(value: f32) -> Self {
        let bits = value.to_bits();
        let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
        // A NaN stays one, a quiet one.
        let bits = if value.is_nan() { bits >> 16 | 0x40 } else { rounded };
        Self::from_bits(bits as u16)
    }

    #[allow(unsafe_code)]
    fn values(elements: &[Self]) -> &[Pair] {
        // SAFETY: a pair is two numbers of 16 bits, aligned as such, and any bits are one.
        unsafe { std::slice::from_raw_parts(elements.as_ptr().cast(), elements.len() / 2) }
    }

    fn join(first: &[Self], second: Option<&[Self]>, to: &mut [Pair]) {
        vectorised(|| match second {
            Some(second) => to.iter_mut().zip(first).zip(second).for_each(|((to, first), second)| {
                *to = Pair([first.to_bits(), second.to_bits()]);
            }),
            None => to.iter_mut().zip(first).for_each(|(to, first)| *to = Pair([first.to_bits(), 0])),
        });
    }

    fn of_storage(storage: &mut CpuStorage) -> Option<&mut [Self]> {
        match storage {
            CpuStorage::BF16(values) => Some(values),
            _ => None,
        }
    }
}

/// Rounds all, and writes as many.
pub(crate) fn narrow_to<E: Element>(from: &[f32], to: &mut [MaybeUninit<E>]) {
    assert_eq!(from.len(), to.len());
    vectorised(|| {
        to.iter_mut().zip(from).for_each(|(to, from)| {
            to.write(E::narrow(*from));
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `half` rounds to the nearest even as well, by another computation.
    #[test]
    fn bf16_is_rounded_to_the_nearest_even() {
        let odd =
            [0.0, -0.0, 1.0, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN_POSITIVE, 1e-42, f32::NAN];
        let ties = (0..400_u32).map(|i| f32::from_bits(0x3f80_0000 + i * 0x800));
        let spread = (0..4000_u32).map(|i| f32::from_bits(i.wrapping_mul(1_073_807)));
        for value in odd.into_iter().chain(ties).chain(spread) {
            let (ours, expected) = (bf16::narrow(value), bf16::from_f32(value));
            assert_eq!(ours.is_nan(), value.is_nan(), "{value}");
            assert!(value.is_nan() || ours.to_bits() == expected.to_bits(), "{value}: {ours} {expected}");
            assert!(value.is_nan() || ours.wide().to_bits() == expected.to_f32().to_bits());
        }
    }
}
