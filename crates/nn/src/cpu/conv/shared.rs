//! Places that many threads write.

use std::mem::MaybeUninit;

use crate::element::Element;

/// Values that many threads write, each its own part: where they begin, and how many there are.
pub(crate) struct Shared<T = f32>(pub(super) *mut T, usize);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Shared<T> {}

#[allow(unsafe_code)]
// SAFETY: a raw pointer is only dereferenced in the innermost loops, whose callers promise that no two write the same place.
unsafe impl<T> Send for Shared<T> {}
#[allow(unsafe_code)]
// SAFETY: as above.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    pub(crate) fn new(values: &mut [T]) -> Self {
        Self(values.as_mut_ptr(), values.len())
    }

    /// A vector of `len` values, of which `write` must write every one.
    ///
    /// # Safety
    /// `write` writes all of them.
    #[allow(unsafe_code)]
    pub(crate) unsafe fn fill(len: usize, write: impl FnOnce(Self)) -> Vec<T>
    where
        T: Element,
    {
        let mut values = Vec::with_capacity(len);
        if cfg!(debug_assertions) {
            // What is not written is seen in the results.
            values.resize(len, T::narrow(f32::NAN));
        }
        write(Self(values.as_mut_ptr(), len));
        // SAFETY: the caller's promise; the capacity is at least `len`.
        unsafe { values.set_len(len) };
        values
    }

    /// The place of `len` values from `offset` on, which are there.
    pub(crate) fn at(self, offset: usize, len: usize) -> *mut T {
        assert!(self.holds(offset, len), "values {offset} to {offset} + {len} of {}", self.1);
        self.0.wrapping_add(offset)
    }

    /// `len` values from `offset` on.
    ///
    /// # Safety
    /// They are set, and nothing else touches them for as long as the slice is there.
    #[allow(unsafe_code)]
    pub(crate) unsafe fn slice<'a>(self, offset: usize, len: usize) -> &'a mut [T] {
        // SAFETY: `at` saw that they are there; the rest is the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.at(offset, len), len) }
    }

    /// The room of `len` values from `offset` on.
    ///
    /// # Safety
    /// Nothing else touches it for as long as the slice is there.
    #[allow(unsafe_code)]
    pub(crate) unsafe fn room<'a>(self, offset: usize, len: usize) -> &'a mut [MaybeUninit<T>] {
        // SAFETY: `at` saw that they are there; the rest is the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.at(offset, len).cast(), len) }
    }

    /// True if `len` values are there from `offset` on.
    pub(crate) fn holds(self, offset: usize, len: usize) -> bool {
        offset.checked_add(len).is_some_and(|end| end <= self.1)
    }
}

/// Values that begin where a cache line does.
pub(super) struct Room<T> {
    values: Vec<T>,
    first: usize,
    len: usize,
}

impl<T: Copy + Default> Room<T> {
    /// Bytes of a cache line.
    const LINE: usize = 64;

    pub(super) fn new(len: usize) -> Self {
        let values = vec![T::default(); len + Self::LINE / size_of::<T>()];
        let first = values.as_ptr().align_offset(Self::LINE).min(values.len() - len);
        Self { values, first, len }
    }

    pub(super) fn get(&self) -> &[T] {
        &self.values[self.first..][..self.len]
    }

    pub(super) fn values(&mut self) -> &mut [T] {
        &mut self.values[self.first..][..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_beyond_the_values_are_refused() {
        let mut values = [0.0; 8];
        let shared = Shared::new(&mut values);
        assert_eq!(shared.at(8, 0), shared.at(0, 8).wrapping_add(8));
        for (offset, len) in [(8, 1), (1, 8), (usize::MAX, 2), (0, usize::MAX)] {
            assert!(std::panic::catch_unwind(|| shared.at(offset, len)).is_err(), "{offset} {len}");
        }
    }

    #[cfg(debug_assertions)]
    #[test]
    fn a_value_that_is_not_written_is_seen_in_a_debug_build() {
        // SAFETY: debug builds fill the values first.
        #[allow(unsafe_code)]
        let values = unsafe { Shared::<f32>::fill(3, |_| {}) };
        assert!(values.iter().all(|value| value.is_nan()), "{values:?}");
    }
}
