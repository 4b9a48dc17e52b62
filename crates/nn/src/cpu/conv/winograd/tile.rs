//! Winograd's transforms of one tile, for many neighbouring channels at a time, by the points 0, ±a, ±2a and ∞, where a is
//! [`Element::POINT`].

use std::{marker::PhantomData, ptr};

use pulp::{Simd, WithSimd};

use super::super::shared::Shared;
use crate::{element::Element, lanes::LANES};
use dcgan_vectors as vectors;

/// Products of a tile.
pub(super) const POINTS: usize = 36;

/// One of the matrices, C columns and R rows, times a column of vectors.
pub(super) trait Matrix<const C: usize, const R: usize> {
    fn apply<S: Simd>(simd: S, x: [S::f32s; C]) -> [S::f32s; R];
}

/// w·x + y.
#[inline(always)]
fn times<S: Simd>(simd: S, w: f32, x: S::f32s, y: S::f32s) -> S::f32s {
    simd.mul_add_f32s(simd.splat_f32s(w), x, y)
}

/// w·x, which is x where w is 1.
#[inline(always)]
fn scaled<S: Simd>(simd: S, w: f32, x: S::f32s) -> S::f32s {
    if w == 1.0 { x } else { simd.mul_f32s(simd.splat_f32s(w), x) }
}

/// a to a power, where a is a point and the power at least −4.
const fn power<E: Element>(n: i32) -> f32 {
    let (mut value, mut i) = (1.0, 0);
    while i < n.abs() {
        value *= E::POINT;
        i += 1;
    }
    if n < 0 { 1.0 / value } else { value }
}

pub(super) struct Bt<E>(PhantomData<E>);
impl<E: Element> Matrix<6, 6> for Bt<E> {
    #[inline(always)]
    fn apply<S: Simd>(simd: S, [x0, x1, x2, x3, x4, x5]: [S::f32s; 6]) -> [S::f32s; 6] {
        let (a, a2, a4) = (power::<E>(1), power::<E>(2), power::<E>(4));
        let (even, odd) = (times(simd, -4.0 * a2, x2, x4), times(simd, -4.0 * a2, x1, x3));
        let (even2, odd2) =
            (scaled_difference::<E, S>(simd, x4, x2), scaled_difference::<E, S>(simd, x3, x1));
        let odd = scaled(simd, a, odd);
        [
            times(simd, 4.0 * a4, x0, times(simd, -5.0 * a2, x2, x4)),
            simd.add_f32s(even, odd),
            simd.sub_f32s(even, odd),
            times(simd, 2.0 * a, odd2, even2),
            times(simd, -2.0 * a, odd2, even2),
            times(simd, 4.0 * a4, x1, times(simd, -5.0 * a2, x3, x5)),
        ]
    }
}

/// x − a²·y.
#[inline(always)]
fn scaled_difference<E: Element, S: Simd>(simd: S, x: S::f32s, y: S::f32s) -> S::f32s {
    if E::POINT == 1.0 { simd.sub_f32s(x, y) } else { times(simd, -power::<E>(2), y, x) }
}

/// x + a²·y.
#[inline(always)]
fn scaled_sum<E: Element, S: Simd>(simd: S, x: S::f32s, y: S::f32s) -> S::f32s {
    if E::POINT == 1.0 { simd.add_f32s(x, y) } else { times(simd, power::<E>(2), y, x) }
}

pub(super) struct G<E>(PhantomData<E>);
impl<E: Element> Matrix<3, 6> for G<E> {
    #[inline(always)]
    fn apply<S: Simd>(simd: S, [x0, x1, x2]: [S::f32s; 3]) -> [S::f32s; 6] {
        // Where a is 1 the first and the last need no scale; what is a power of a here is taken back by Bt and At.
        let (a2, a3, a4) = (power::<E>(-2), power::<E>(-3), power::<E>(-4));
        let sum = if E::POINT == 1.0 {
            scaled(simd, -1.0 / 6.0, simd.add_f32s(x0, x2))
        } else {
            times(simd, -a4 / 6.0, x0, scaled(simd, -a2 / 6.0, x2))
        };
        let (even, odd) = (sum, scaled(simd, -a3 / 6.0, x1));
        let even2 = simd.add_f32s(scaled(simd, a4 * (1.0 / 24.0), x0), scaled(simd, a2 * (1.0 / 6.0), x2));
        let odd2 = scaled(simd, a3 * (1.0 / 12.0), x1);
        [
            scaled(simd, a4 * 0.25, x0),
            simd.add_f32s(even, odd),
            simd.sub_f32s(even, odd),
            simd.add_f32s(even2, odd2),
            simd.sub_f32s(even2, odd2),
            scaled(simd, a3, x2),
        ]
    }
}

pub(super) struct Gt<E>(PhantomData<E>);
impl<E: Element> Matrix<6, 3> for Gt<E> {
    #[inline(always)]
    fn apply<S: Simd>(simd: S, [x0, x1, x2, x3, x4, x5]: [S::f32s; 6]) -> [S::f32s; 3] {
        let (a2, a3, a4) = (power::<E>(-2), power::<E>(-3), power::<E>(-4));
        let (sum1, sum2) = (simd.add_f32s(x1, x2), simd.add_f32s(x3, x4));
        let first = times(simd, -1.0 / 6.0, sum1, times(simd, 0.25, x0, scaled(simd, 1.0 / 24.0, sum2)));
        let second =
            times(simd, 1.0 / 12.0, simd.sub_f32s(x3, x4), scaled(simd, 1.0 / 6.0, simd.sub_f32s(x2, x1)));
        let x5 = scaled(simd, a3, x5);
        let third = times(simd, a2 * (1.0 / 6.0), simd.sub_f32s(sum2, sum1), x5);
        [scaled(simd, a4, first), scaled(simd, a3, second), third]
    }
}

pub(super) struct At<E>(PhantomData<E>);
impl<E: Element> Matrix<6, 4> for At<E> {
    #[inline(always)]
    fn apply<S: Simd>(simd: S, [x0, x1, x2, x3, x4, x5]: [S::f32s; 6]) -> [S::f32s; 4] {
        let (a, a2, a3) = (power::<E>(1), power::<E>(2), power::<E>(3));
        let (sum1, sum2) = (simd.add_f32s(x1, x2), simd.add_f32s(x3, x4));
        let (difference1, difference2) = (simd.sub_f32s(x1, x2), simd.sub_f32s(x3, x4));
        [
            simd.add_f32s(x0, simd.add_f32s(sum1, sum2)),
            scaled(simd, a, times(simd, 2.0, difference2, difference1)),
            scaled(simd, a2, times(simd, 4.0, sum2, sum1)),
            scaled(simd, a3, simd.add_f32s(times(simd, 8.0, difference2, difference1), x5)),
        ]
    }
}

pub(super) struct A<E>(PhantomData<E>);
impl<E: Element> Matrix<4, 6> for A<E> {
    #[inline(always)]
    fn apply<S: Simd>(simd: S, [x0, x1, x2, x3]: [S::f32s; 4]) -> [S::f32s; 6] {
        let (a, a2, a3) = (power::<E>(1), power::<E>(2), power::<E>(3));
        let (even, odd) = (scaled_sum::<E, S>(simd, x0, x2), scaled_sum::<E, S>(simd, x1, x3));
        let even2 = times(simd, 4.0 * a2, x2, x0);
        let odd2 = times(simd, 4.0 * a2, x3, x1);
        let odd = scaled(simd, a, odd);
        [
            x0,
            simd.add_f32s(even, odd),
            simd.sub_f32s(even, odd),
            times(simd, 2.0 * a, odd2, even2),
            times(simd, -2.0 * a, odd2, even2),
            scaled(simd, a3, x3),
        ]
    }
}

/// Neighbouring values at N×N places: those of place (i, j) begin at `rows[i] + columns[j]`; a row or a column may be [`OUTSIDE`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Window<const N: usize> {
    pub(super) rows: [usize; N],
    pub(super) columns: [usize; N],
}

/// No place: zeros to a reader, and nowhere to a writer.
pub(super) const OUTSIDE: usize = usize::MAX;

/// Neighbouring values that are transformed at most at a time.
pub(super) const MOST: usize = 64;

impl<const N: usize> Window<N> {
    /// Places `step` apart, row by row, from `first` on.
    pub(super) fn even(first: usize, step: usize) -> Self {
        Self {
            rows: std::array::from_fn(|i| first + i * N * step),
            columns: std::array::from_fn(|j| j * step),
        }
    }

    /// All places further on.
    pub(super) fn shifted(self, by: usize) -> Self {
        Self { rows: self.rows.map(|place| if place == OUTSIDE { OUTSIDE } else { place + by }), ..self }
    }

    /// Where the last of `channels` values ends.
    fn end(&self, channels: usize) -> usize {
        let last = |places: &[usize; N]| places.iter().copied().filter(|&place| place != OUTSIDE).max();
        match (last(&self.rows), last(&self.columns)) {
            (Some(row), Some(column)) => row + column + channels,
            _ => 0,
        }
    }

    pub(super) fn place(&self, i: usize, j: usize) -> Option<usize> {
        let inside = self.rows[i] != OUTSIDE && self.columns[j] != OUTSIDE;
        inside.then(|| self.rows[i] + self.columns[j])
    }
}

/// M·x·Mᵀ for `channels` neighbouring values at each of C×C places, written to (or added at) R×R places.
pub(super) struct Sandwich<'a, M, F, T, const C: usize, const R: usize> {
    source: &'a [F],
    from: Window<C>,
    target: Shared<T>,
    to: Window<R>,
    channels: usize,
    adds: bool,
    /// A value for each channel that is added at last, after which nothing is below 0.
    bias: Option<&'a [f32]>,
    matrix: PhantomData<M>,
}

impl<'a, M: Matrix<C, R>, F: Element, T: Element, const C: usize, const R: usize>
    Sandwich<'a, M, F, T, C, R>
{
    /// Of `channels` values each: a multiple of [`LANES`], no more than [`MOST`].
    pub(super) fn new(
        source: &'a [F],
        from: Window<C>,
        target: Shared<T>,
        to: Window<R>,
        channels: usize,
    ) -> Self {
        assert!(channels.is_multiple_of(LANES) && channels <= MOST);
        assert!(from.end(channels) <= source.len() && target.holds(0, to.end(channels)));
        Self { source, from, target, to, channels, adds: false, bias: None, matrix: PhantomData }
    }

    /// Adds to what is there.
    pub(super) fn adding(self, adds: bool) -> Self {
        Self { adds, ..self }
    }

    /// Adds a value for each channel, and takes nothing below 0 then.
    pub(super) fn with_bias(self, bias: Option<&'a [f32]>) -> Self {
        assert!(bias.is_none_or(|bias| bias.len() == self.channels));
        Self { bias, ..self }
    }

    /// # Safety
    /// Nobody else touches the target's places.
    #[allow(unsafe_code)]
    pub(super) unsafe fn run(self) {
        vectors::arch().dispatch(self);
    }
}

impl<M: Matrix<C, R>, F: Element, T: Element, const C: usize, const R: usize> WithSimd
    for Sandwich<'_, M, F, T, C, R>
{
    type Output = ();

    #[inline(always)]
    #[allow(unsafe_code, clippy::needless_range_loop)]
    fn with_simd<S: Simd>(self, simd: S) {
        let zeros = [F::default(); MOST];
        let zero = simd.splat_f32s(0.0);
        let from: [[*const F; C]; C] = grid(|i, j| match self.from.place(i, j) {
            Some(place) => self.source.as_ptr().wrapping_add(place),
            None => zeros.as_ptr(),
        });
        let to: [[*mut T; R]; R] = grid(|i, j| match self.to.place(i, j) {
            Some(place) => self.target.at(place, 0),
            None => ptr::null_mut(),
        });
        for channel in (0..self.channels).step_by(S::F32_LANES) {
            let mut half = [[zero; C]; R];
            for j in 0..C {
                let mut column = [zero; C];
                for i in 0..C {
                    // SAFETY: `new` saw that the values of each place are there, and there are zeros enough.
                    column[i] = unsafe { load::<S, F>(from[i][j].add(channel)) };
                }
                let column = M::apply(simd, column);
                for i in 0..R {
                    half[i][j] = column[i];
                }
            }
            // SAFETY: as many values as channels.
            let bias = self.bias.map(|bias| unsafe { load::<S, f32>(bias.as_ptr().add(channel)) });
            for i in 0..R {
                let mut row = M::apply(simd, half[i]);
                if let Some(bias) = bias {
                    // In this order NaN stays NaN.
                    row = row.map(|value| simd.max_f32s(zero, simd.add_f32s(value, bias)));
                }
                for j in 0..R {
                    if to[i][j].is_null() {
                        continue;
                    }
                    // SAFETY: `new` saw that the places are there, and `run` was promised that they are this task's.
                    unsafe {
                        let place = to[i][j].add(channel);
                        let sum = if self.adds { simd.add_f32s(load::<S, T>(place), row[j]) } else { row[j] };
                        store::<S, T>(sum, place);
                    }
                }
            }
        }
    }
}

/// A vector of elements as f32.
///
/// # Safety
/// They lie at `from`.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn load<S: Simd, E: Element>(from: *const E) -> S::f32s {
    let mut values = [0.0_f32; LANES];
    for (i, value) in values[..S::F32_LANES].iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        *value = unsafe { from.add(i).read() }.wide();
    }
    // SAFETY: a vector of any kind is at most that long, and any bits are f32s.
    unsafe { values.as_ptr().cast::<S::f32s>().read_unaligned() }
}

/// A vector as elements.
///
/// # Safety
/// There is room for them at `to`.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn store<S: Simd, E: Element>(vector: S::f32s, to: *mut E) {
    let mut values = [0.0_f32; LANES];
    // SAFETY: a vector of any kind is at most that long.
    unsafe { values.as_mut_ptr().cast::<S::f32s>().write_unaligned(vector) };
    for (i, &value) in values[..S::F32_LANES].iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { to.add(i).write(E::narrow(value)) };
    }
}

fn grid<T, const R: usize, const C: usize>(at: impl Fn(usize, usize) -> T) -> [[T; C]; R] {
    std::array::from_fn(|i| std::array::from_fn(|j| at(i, j)))
}
