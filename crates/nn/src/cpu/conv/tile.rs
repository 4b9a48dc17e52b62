//! Winograd's transforms of one tile, for many neighbouring channels at a time.

use std::marker::PhantomData;

use pulp::{Arch, Simd, WithSimd};

use super::micro::LANES;

/// One of the matrices, C columns and R rows, times a column of vectors.
pub(super) trait Matrix<const C: usize, const R: usize> {
    fn apply<S: Simd>(simd: S, x: [S::f32s; C]) -> [S::f32s; R];
}

pub(super) struct Bt;
impl Matrix<6, 6> for Bt {
    #[inline(always)]
    fn apply<S: Simd>(simd: S, [x0, x1, x2, x3, x4, x5]: [S::f32s; 6]) -> [S::f32s; 6] {
        let times = |w: f32, x, y| simd.mul_add_f32s(simd.splat_f32s(w), x, y);
        let (even, odd) = (times(-4.0, x2, x4), times(-4.0, x1, x3));
        let (even2, odd2) = (simd.sub_f32s(x4, x2), simd.sub_f32s(x3, x1));
        [
            times(4.0, x0, times(-5.0, x2, x4)),
            simd.add_f32s(even, odd),
            simd.sub_f32s(even, odd),
            times(2.0, odd2, even2),
            times(-2.0, odd2, even2),
            times(4.0, x1, times(-5.0, x3, x5)),
        ]
    }
}

pub(super) struct G;
impl Matrix<3, 6> for G {
    #[inline(always)]
    fn apply<S: Simd>(simd: S, [x0, x1, x2]: [S::f32s; 3]) -> [S::f32s; 6] {
        let scaled = |w: f32, x| simd.mul_f32s(simd.splat_f32s(w), x);
        let (even, odd) = (scaled(-1.0 / 6.0, simd.add_f32s(x0, x2)), scaled(-1.0 / 6.0, x1));
        let even2 = simd.add_f32s(scaled(1.0 / 24.0, x0), scaled(1.0 / 6.0, x2));
        let odd2 = scaled(1.0 / 12.0, x1);
        [
            scaled(0.25, x0),
            simd.add_f32s(even, odd),
            simd.sub_f32s(even, odd),
            simd.add_f32s(even2, odd2),
            simd.sub_f32s(even2, odd2),
            x2,
        ]
    }
}

pub(super) struct Gt;
impl Matrix<6, 3> for Gt {
    #[inline(always)]
    fn apply<S: Simd>(simd: S, [x0, x1, x2, x3, x4, x5]: [S::f32s; 6]) -> [S::f32s; 3] {
        let times = |w: f32, x, y| simd.mul_add_f32s(simd.splat_f32s(w), x, y);
        let scaled = |w: f32, x| simd.mul_f32s(simd.splat_f32s(w), x);
        let (sum1, sum2) = (simd.add_f32s(x1, x2), simd.add_f32s(x3, x4));
        let first = times(-1.0 / 6.0, sum1, times(0.25, x0, scaled(1.0 / 24.0, sum2)));
        let second = times(1.0 / 12.0, simd.sub_f32s(x3, x4), scaled(1.0 / 6.0, simd.sub_f32s(x2, x1)));
        let third = times(1.0 / 6.0, simd.sub_f32s(sum2, sum1), x5);
        [first, second, third]
    }
}

pub(super) struct At;
impl Matrix<6, 4> for At {
    #[inline(always)]
    fn apply<S: Simd>(simd: S, [x0, x1, x2, x3, x4, x5]: [S::f32s; 6]) -> [S::f32s; 4] {
        let times = |w: f32, x, y| simd.mul_add_f32s(simd.splat_f32s(w), x, y);
        let (sum1, sum2) = (simd.add_f32s(x1, x2), simd.add_f32s(x3, x4));
        let (difference1, difference2) = (simd.sub_f32s(x1, x2), simd.sub_f32s(x3, x4));
        [
            simd.add_f32s(x0, simd.add_f32s(sum1, sum2)),
            times(2.0, difference2, difference1),
            times(4.0, sum2, sum1),
            simd.add_f32s(times(8.0, difference2, difference1), x5),
        ]
    }
}

pub(super) struct A;
impl Matrix<4, 6> for A {
    #[inline(always)]
    fn apply<S: Simd>(simd: S, [x0, x1, x2, x3]: [S::f32s; 4]) -> [S::f32s; 6] {
        let times = |w: f32, x, y| simd.mul_add_f32s(simd.splat_f32s(w), x, y);
        let (even, odd) = (simd.add_f32s(x0, x2), simd.add_f32s(x1, x3));
        let even2 = times(4.0, x2, x0);
        let odd2 = times(4.0, x3, x1);
        [
            x0,
            simd.add_f32s(even, odd),
            simd.sub_f32s(even, odd),
            times(2.0, odd2, even2),
            times(-2.0, odd2, even2),
            x3,
        ]
    }
}

/// M·x·Mᵀ for `channels` neighbouring values at each of C×C places, written to (or added at) R×R places.
pub(super) struct Sandwich<'a, M, const C: usize, const R: usize> {
    /// Null is zeros.
    from: [[*const f32; C]; C],
    /// Null is nowhere.
    to: [[*mut f32; R]; R],
    channels: usize,
    adds: bool,
    /// A value for each channel that is added at last, after which nothing is below 0.
    bias: Option<&'a [f32]>,
    matrix: PhantomData<M>,
}

impl<M: Matrix<C, R>, const C: usize, const R: usize> Sandwich<'_, M, C, R> {
    /// # Safety
    /// `channels`, a multiple of [`LANES`], values lie at each place that is not null, and nobody else touches those of `to`.
    #[allow(unsafe_code)]
    pub(super) unsafe fn run(
        from: [[*const f32; C]; C],
        to: [[*mut f32; R]; R],
        channels: usize,
        adds: bool,
    ) {
        // SAFETY: the caller's promise.
        unsafe { Self::run_with(from, to, channels, adds, None) }
    }

    /// [`Self::run`], then the bias.
    ///
    /// # Safety
    /// As [`Self::run`].
    #[allow(unsafe_code)]
    pub(super) unsafe fn run_with(
        from: [[*const f32; C]; C],
        to: [[*mut f32; R]; R],
        channels: usize,
        adds: bool,
        bias: Option<&[f32]>,
    ) {
        assert!(channels.is_multiple_of(LANES) && bias.is_none_or(|bias| bias.len() == channels));
        Arch::new().dispatch(Sandwich { from, to, channels, adds, bias, matrix: PhantomData::<M> });
    }
}

impl<M: Matrix<C, R>, const C: usize, const R: usize> WithSimd for Sandwich<'_, M, C, R> {
    type Output = ();

    #[inline(always)]
    #[allow(unsafe_code, clippy::needless_range_loop)]
    fn with_simd<S: Simd>(self, simd: S) {
        let zero = simd.splat_f32s(0.0);
        for channel in (0..self.channels).step_by(S::F32_LANES) {
            let mut half = [[zero; C]; R];
            for j in 0..C {
                let mut column = [zero; C];
                for i in 0..C {
                    let place = self.from[i][j];
                    if !place.is_null() {
                        // SAFETY: `run`'s promise.
                        column[i] = unsafe { place.add(channel).cast::<S::f32s>().read_unaligned() };
                    }
                }
                let column = M::apply(simd, column);
                for i in 0..R {
                    half[i][j] = column[i];
                }
            }
            // SAFETY: as many values as channels.
            let bias = self
                .bias
                .map(|bias| unsafe { bias.as_ptr().add(channel).cast::<S::f32s>().read_unaligned() });
            for i in 0..R {
                let mut row = M::apply(simd, half[i]);
                if let Some(bias) = bias {
                    // In this order NaN stays NaN.
                    row = row.map(|value| simd.max_f32s(zero, simd.add_f32s(value, bias)));
                }
                for j in 0..R {
                    if self.to[i][j].is_null() {
                        continue;
                    }
                    // SAFETY: `run`'s promise.
                    unsafe {
                        let place = self.to[i][j].add(channel).cast::<S::f32s>();
                        let sum =
                            if self.adds { simd.add_f32s(place.read_unaligned(), row[j]) } else { row[j] };
                        place.write_unaligned(sum);
                    }
                }
            }
        }
    }
}

pub(super) fn grid<T, const R: usize, const C: usize>(at: impl Fn(usize, usize) -> T) -> [[T; C]; R] {
    std::array::from_fn(|i| std::array::from_fn(|j| at(i, j)))
}
