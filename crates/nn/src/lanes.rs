//! What the innermost loops multiply: f32, or pairs of bf16 whose two products are added to a sum of f32 at once (`vdpbf16ps`).

use pulp::{Simd, WithSimd};

use dcgan_vectors as vectors;

/// Right-hand rows are whole vectors of the widest kind: f32s of it.
pub(crate) const LANES: usize = 16;

/// Two bf16 that lie together: neighbouring channels of maps in memory, or two rows of a matrix packed so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(transparent)]
pub(crate) struct Pair(pub(crate) [u16; 2]);

/// A value on the left side of a product, which meets vectors of them on the right.
pub(crate) trait Value: Copy + Send + Sync + Default {
    /// Runs a block's products with the widest vectors that there are for such values.
    fn run(work: impl Work<Self>);
}

/// What [`Value::run`] runs.
pub(crate) trait Work<V> {
    fn run<L: Lanes<Value = V>>(self, lanes: L);
}

/// Vectors of sums, and how a value meets a vector of the right side.
pub(crate) trait Lanes: Copy {
    type Value: Copy;
    /// What the sums are computed with. Vectors of the right side are held in its f32s, bit by bit.
    type Simd: Simd;

    fn simd(self) -> Self::Simd;

    /// A value in every lane.
    fn splat(self, value: Self::Value) -> <Self::Simd as Simd>::f32s;

    /// sum + left·right, lane by lane.
    fn multiply_add(
        self,
        left: <Self::Simd as Simd>::f32s,
        right: <Self::Simd as Simd>::f32s,
        sum: <Self::Simd as Simd>::f32s,
    ) -> <Self::Simd as Simd>::f32s;
}

/// f32 times f32.
#[derive(Clone, Copy)]
struct Plain<S>(S);

impl<S: Simd> Lanes for Plain<S> {
    type Value = f32;
    type Simd = S;

    #[inline(always)]
    fn simd(self) -> S {
        self.0
    }

    #[inline(always)]
    fn splat(self, value: f32) -> S::f32s {
        self.0.splat_f32s(value)
    }

    #[inline(always)]
    fn multiply_add(self, left: S::f32s, right: S::f32s, sum: S::f32s) -> S::f32s {
        self.0.mul_add_e_f32s(left, right, sum)
    }
}

impl Value for f32 {
    #[inline(always)]
    fn run(work: impl Work<Self>) {
        struct Run<W>(W);
        impl<W: Work<f32>> WithSimd for Run<W> {
            type Output = ();
            #[inline(always)]
            fn with_simd<S: Simd>(self, simd: S) {
                self.0.run(Plain(simd));
            }
        }
        vectors::arch().dispatch(Run(work));
    }
}

impl Value for Pair {
    #[inline(always)]
    fn run(work: impl Work<Self>) {
        #[cfg(target_arch = "x86_64")]
        if let Some(lanes) = x86::Pairs::new() {
            return lanes.run(work);
        }
        let _ = work;
        unreachable!("maps are bf16 only on a device that was opened so")
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{__m512, __m512bh, _mm512_dpbf16_ps};
    use std::mem::transmute;

    use pulp::{Simd, x86::V4};

    use super::{Lanes, Pair, Work};
    use dcgan_vectors as vectors;

    type Vector = <V4 as Simd>::f32s;

    /// AVX512_BF16 is there.
    #[derive(Clone, Copy)]
    pub(super) struct Pairs(V4);

    impl Pairs {
        #[inline(always)]
        pub(super) fn new() -> Option<Self> {
            V4::try_new().filter(|_| vectors::multiplies_bf16().is_ok()).map(Self)
        }

        #[inline(always)]
        pub(super) fn run(self, work: impl Work<Pair>) {
            // SAFETY: `new` saw all of these features.
            #[allow(unsafe_code)]
            unsafe {
                run(self, work);
            }
        }
    }

    #[target_feature(
        enable = "avx2,bmi1,bmi2,fma,lzcnt,popcnt,avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512bf16"
    )]
    fn run(lanes: Pairs, work: impl Work<Pair>) {
        work.run(lanes);
    }

    impl Lanes for Pairs {
        type Value = Pair;
        type Simd = V4;

        #[inline(always)]
        fn simd(self) -> V4 {
            self.0
        }

        #[inline(always)]
        fn splat(self, Pair([first, second]): Pair) -> Vector {
            self.0.splat_f32s(f32::from_bits(u32::from(first) | u32::from(second) << 16))
        }

        #[inline(always)]
        #[allow(unsafe_code)]
        fn multiply_add(self, left: Vector, right: Vector, sum: Vector) -> Vector {
            // SAFETY: the vectors are the same 64 bytes by other names; `new` saw the feature.
            unsafe {
                let [left, right] = [left, right].map(|vector| transmute::<Vector, __m512bh>(vector));
                transmute::<__m512, Vector>(_mm512_dpbf16_ps(transmute::<Vector, __m512>(sum), left, right))
            }
        }
    }
}
