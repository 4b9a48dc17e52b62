//! The types of maps in memory, and what of them is multiplied.

use std::{borrow::Cow, mem::MaybeUninit};

use candle_core::{CpuStorage, WithDType};
use half::bf16;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::conv::{
    LANES, Pair, Shared, Value, transform_kernel, transform_kernel_in_pairs, transposed_f32, widen,
    widen_transposed,
};
use crate::{vectorised, vectors};

/// Rows of a matrix that a task packs.
const ROWS: usize = 16;
/// Values a task converts.
const CHUNK: usize = 1 << 14;

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

    /// A matrix's rows of `columns` numbers, those that make a value joined, whole vectors each.
    fn pack(matrix: &[f32], columns: usize) -> Cow<'_, [Self::Value]>;

    /// Matrices (c, o), one a tap, turned and packed so: rows (tap, o) of c numbers.
    fn pack_transposed(kernel: &[f32], sizes: [usize; 3]) -> Vec<Self::Value>;

    /// Winograd's 36 points of a kernel (3, 3, c, o), or of it turned by 180 degrees, as the right side of products.
    fn transform_kernel(kernel: &[f32], channels: [usize; 2], turned: bool) -> Vec<Self::Value>;

    /// The place of elements, where a value is one.
    fn as_elements(place: Shared<Self::Value>) -> Option<Shared<Self>>;

    /// The elements of a storage, to be written.
    fn of_storage(storage: &mut CpuStorage) -> Option<&mut [Self]>;

    /// All as elements.
    fn all_narrow(values: Vec<f32>) -> Vec<Self>;

    /// What sums are written to, where it is f32 itself.
    fn as_sums(place: Shared<Self>) -> Option<Shared<f32>>;
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

    fn pack(matrix: &[f32], columns: usize) -> Cow<'_, [f32]> {
        widen(matrix, columns)
    }

    fn pack_transposed(kernel: &[f32], sizes: [usize; 3]) -> Vec<f32> {
        transposed_f32(kernel, sizes)
    }

    fn transform_kernel(kernel: &[f32], [c, o]: [usize; 2], turned: bool) -> Vec<f32> {
        transform_kernel(kernel, c * o, turned)
    }

    fn as_elements(place: Shared<f32>) -> Option<Shared<Self>> {
        Some(place)
    }

    fn of_storage(storage: &mut CpuStorage) -> Option<&mut [Self]> {
        match storage {
            CpuStorage::F32(values) => Some(values),
            _ => None,
        }
    }

    fn all_narrow(values: Vec<f32>) -> Vec<Self> {
        values
    }

    fn as_sums(place: Shared<Self>) -> Option<Shared<f32>> {
        Some(place)
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

    fn pack(matrix: &[f32], columns: usize) -> Cow<'_, [Pair]> {
        let step = columns.next_multiple_of(LANES);
        let n_pairs = (matrix.len() / columns).div_ceil(2);
        let mut pairs = vec![Pair::default(); n_pairs * step];
        let rows = matrix.par_chunks(2 * ROWS * columns);
        pairs.par_chunks_mut(ROWS * step).zip(rows).for_each(|(pairs, rows)| {
            for (pairs, rows) in pairs.chunks_exact_mut(step).zip(rows.chunks(2 * columns)) {
                let (first, second) = rows.split_at(columns);
                vectors::arch().dispatch(PairUp { first, second, to: &mut pairs[..columns] });
            }
        });
        Cow::Owned(pairs)
    }

    fn pack_transposed(kernel: &[f32], [taps, c, o]: [usize; 3]) -> Vec<Pair> {
        if o.is_multiple_of(2) {
            return widen_transposed([taps, c, o / 2], |at, row: &mut [Pair]| {
                let from = kernel[2 * at..][..2 * row.len()].as_chunks::<2>().0;
                vectorised(|| row.iter_mut().zip(from).for_each(|(to, pair)| *to = rounded(*pair)));
            });
        }
        let turned = transposed_f32(kernel, [taps, c, o]);
        Self::pack(&turned, c.next_multiple_of(LANES)).into_owned()
    }

    fn transform_kernel(kernel: &[f32], channels: [usize; 2], turned: bool) -> Vec<Pair> {
        transform_kernel_in_pairs::<Self>(kernel, channels, turned)
    }

    fn as_elements(_: Shared<Pair>) -> Option<Shared<Self>> {
        None
    }

    fn of_storage(storage: &mut CpuStorage) -> Option<&mut [Self]> {
        match storage {
            CpuStorage::BF16(values) => Some(values),
            _ => None,
        }
    }

    fn all_narrow(values: Vec<f32>) -> Vec<Self> {
        let mut narrow = Vec::with_capacity(values.len());
        let room = &mut narrow.spare_capacity_mut()[..values.len()];
        let chunks = room.par_chunks_mut(CHUNK).zip(values.par_chunks(CHUNK));
        chunks.for_each(|(to, from)| narrow_to(from, to));
        // SAFETY: each of as many values was written.
        #[allow(unsafe_code)]
        unsafe {
            narrow.set_len(values.len());
        }
        narrow
    }

    fn as_sums(_: Shared<Self>) -> Option<Shared<f32>> {
        None
    }
}

/// Two numbers that lie together, rounded.
#[inline(always)]
fn rounded(pair: [f32; 2]) -> Pair {
    Pair(pair.map(|value| bf16::narrow(value).to_bits()))
}

/// Joins two rows of numbers, rounded; with zeros where there is no second. (No closure, which might not be compiled for wide vectors.)
struct PairUp<'a> {
    first: &'a [f32],
    second: &'a [f32],
    to: &'a mut [Pair],
}

impl WithSimd for PairUp<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { first, second, to } = self;
        if second.is_empty() {
            to.iter_mut().zip(first).for_each(|(to, &first)| *to = rounded([first, 0.0]));
        } else {
            let rows = first.iter().zip(second);
            to.iter_mut().zip(rows).for_each(|(to, (&first, &second))| *to = rounded([first, second]));
        }
    }
}

/// Rounds all, and writes as many.
pub(super) fn narrow_to<E: Element>(from: &[f32], to: &mut [MaybeUninit<E>]) {
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

    #[test]
    fn rows_are_packed_in_pairs() {
        let matrix: Vec<f32> = (0..15).map(|i| i as f32).collect();
        let packed = bf16::pack(&matrix, 5);
        assert_eq!(packed.len(), 2 * 16);
        let bits = |value: f32| bf16::from_f32(value).to_bits();
        assert_eq!(packed[3], Pair([bits(3.0), bits(8.0)]));
        assert_eq!(packed[16 + 4], Pair([bits(14.0), 0]));
        assert_eq!(packed[5..16], [Pair::default(); 11]);
    }
}
