//! Places that many threads write.

use std::{cell::RefCell, marker::PhantomData, mem::MaybeUninit};

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

/// Has the cache line of a value read, where there is such a value and an instruction for it.
pub(super) fn fetch(values: &[f32], at: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(value) = values.get(at) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every processor of this architecture has the instruction, which changes nothing that a program sees.
        #[allow(unsafe_code)]
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (values, at);
}

/// A cache line, in memory as in the cache.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line(#[expect(dead_code, reason = "read and written as values of other types")] [u8; 64]);

/// Values that any bits are.
pub(crate) trait Plain: Copy + Send + Sync {}
impl Plain for f32 {}
impl Plain for half::bf16 {}
impl Plain for crate::lanes::Pair {}

/// Room for values that begins where a cache line does. It holds what was there before: a thread's small rooms are used again.
pub(crate) struct Room<T> {
    lines: Vec<Line>,
    len: usize,
    values: PhantomData<T>,
}

thread_local! {
    static ROOMS: RefCell<Vec<Vec<Line>>> = const { RefCell::new(Vec::new()) };
}

/// Rooms that a thread keeps, and the most lines of one.
const ROOMS_KEPT: usize = 4;
const LINES_KEPT: usize = 1 << 16;

impl<T: Plain> Room<T> {
    pub(super) fn new(len: usize) -> Self {
        let n_lines = (len * size_of::<T>()).div_ceil(size_of::<Line>());
        let fits = |lines: &Vec<Line>| (n_lines..=2 * n_lines).contains(&lines.len());
        let kept = ROOMS.with_borrow_mut(|rooms| {
            let position = rooms.iter().position(fits)?;
            Some(rooms.swap_remove(position))
        });
        let mut lines = kept.unwrap_or_else(|| vec![Line([0; 64]); n_lines]);
        if cfg!(debug_assertions) {
            // What is read before it is written is seen in the results.
            lines.fill(Line([0xff; 64]));
        }
        Self { lines, len, values: PhantomData }
    }

    pub(super) fn get(&self) -> &[T] {
        // SAFETY: `new` made room for as many values, which any bits are, and lines are aligned for more than them.
        #[allow(unsafe_code)]
        unsafe {
            std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len)
        }
    }

    pub(super) fn values(&mut self) -> &mut [T] {
        // SAFETY: as above.
        #[allow(unsafe_code)]
        unsafe {
            std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len)
        }
    }
}

impl<T> Drop for Room<T> {
    fn drop(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        if (1..=LINES_KEPT).contains(&lines.len()) {
            // A thread that ends has none any more.
            let _ = ROOMS.try_with(|rooms| {
                let mut rooms = rooms.borrow_mut();
                if rooms.len() == ROOMS_KEPT {
                    rooms.remove(0);
                }
                rooms.push(lines);
            });
        }
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
