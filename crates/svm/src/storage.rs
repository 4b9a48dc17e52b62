//! The numbers that features are stored in.

use half::bf16;
use ndarray::{ArrayView2, CowArray, Ix2};

/// A number that features are stored in. All arithmetic is on the f32 that it stands for.
pub trait Feature: Copy + Send + Sync + 'static {
    /// The value as f32, exactly.
    fn wide(self) -> f32;

    /// The values as they are, if they are f32.
    fn as_f32s(values: &[Self]) -> Option<&[f32]>;
}

impl Feature for f32 {
    #[inline(always)]
    fn wide(self) -> f32 {
        self
    }

    fn as_f32s(values: &[Self]) -> Option<&[f32]> {
        Some(values)
    }
}

/// The upper half of an f32: 8 significant bits, the same range, half the memory and half the traffic.
impl Feature for bf16 {
    #[inline(always)]
    fn wide(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }

    fn as_f32s(_: &[Self]) -> Option<&[f32]> {
        None
    }
}

/// The features as f32, copied only where they are stored otherwise.
pub(crate) fn widened<T: Feature>(features: ArrayView2<'_, T>) -> CowArray<'_, f32, Ix2> {
    let as_is = features.to_slice().and_then(T::as_f32s);
    match as_is.and_then(|values| ArrayView2::from_shape(features.dim(), values).ok()) {
        Some(view) => view.into(),
        None => features.mapv(T::wide).into(),
    }
}
