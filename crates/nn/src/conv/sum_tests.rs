//! Convolutions beside sums in f64 over the same numbers, rounded where they are bf16.

use candle_core::{DType, Tensor};

use super::*;
use crate::{device::DeviceChoice, testing::values};

/// A tensor's numbers, as near as `dtype` comes to them.
fn rounded(t: &Tensor, dtype: DType) -> Vec<f64> {
    let t = t.to_dtype(dtype).unwrap().to_dtype(DType::F32).unwrap();
    t.contiguous()
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1::<f32>()
        .unwrap()
        .into_iter()
        .map(f64::from)
        .collect()
}

/// A sum in f64 for each output value, and the sum of its terms' sizes.
struct Sums(Vec<(f64, f64)>);

impl Sums {
    fn add(&mut self, at: usize, term: f64) {
        self.0[at].0 += term;
        self.0[at].1 += term.abs();
    }

    /// Every value is the sum but for f32's rounding of its terms and, as bf16, its own.
    fn check(&self, ours: &Tensor, what: &str) {
        let own = if ours.dtype() == DType::BF16 { 1.0 / 256.0 } else { 0.0 };
        let ours = ours.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(ours.len(), self.0.len(), "{what}");
        for (i, (&ours, (sum, size))) in ours.iter().zip(&self.0).enumerate() {
            let bound = own * sum.abs() + 2e-6 * size + 1e-30;
            assert!((f64::from(ours) - sum).abs() <= bound, "{what} [{i}]: {ours}, expected {sum} ± {bound}");
        }
    }

    /// The error as a share of the values, both as root mean squares.
    fn error(&self, ours: &Tensor) -> f64 {
        let ours = ours.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let error: f64 = ours.iter().zip(&self.0).map(|(&o, (sum, _))| (f64::from(o) - sum).powi(2)).sum();
        (error / self.0.iter().map(|(sum, _)| sum * sum).sum::<f64>()).sqrt()
    }
}

/// Output and gradients of a plain convolution by its definition.
fn expected(g: &Geometry, x: &[f64], kernel: &[f64], dy: &[f64]) -> [Sums; 3] {
    let zeros = |n: usize| Sums(vec![(0.0, 0.0); n]);
    let [mut y, mut dx, mut dkernel] = [zeros(dy.len()), zeros(x.len()), zeros(kernel.len())];
    for (n, oy, ox) in (0..g.n * g.oh * g.ow).map(|p| (p / (g.oh * g.ow), p / g.ow % g.oh, p % g.ow)) {
        for (ky, kx) in (0..g.kh * g.kw).map(|k| (k / g.kw, k % g.kw)) {
            let inside = |o: usize, k: usize, size: usize| {
                (o * g.stride + k).checked_sub(g.padding).filter(|&at| at < size)
            };
            let (Some(iy), Some(ix)) = (inside(oy, ky, g.h), inside(ox, kx, g.w)) else { continue };
            for (c, o) in (0..g.c * g.o).map(|i| (i / g.o, i % g.o)) {
                let x_at = ((n * g.h + iy) * g.w + ix) * g.c + c;
                let k_at = ((ky * g.kw + kx) * g.c + c) * g.o + o;
                let y_at = ((n * g.oh + oy) * g.ow + ox) * g.o + o;
                y.add(y_at, x[x_at] * kernel[k_at]);
                dx.add(x_at, dy[y_at] * kernel[k_at]);
                dkernel.add(k_at, dy[y_at] * x[x_at]);
            }
        }
    }
    [y, dx, dkernel]
}

/// Independent draws: Winograd's sums are of terms much larger than those of the direct way, so they must not cancel by design.
fn noise(shape: &[usize], stream: u64) -> Tensor {
    let mut draws = crate::rng::stream(stream, crate::rng::Purpose::Weights, 0);
    crate::init::normal(shape, 0.0, 1.0, &mut draws, &candle_core::Device::Cpu).unwrap()
}

fn of(values: Vec<f32>, shape: &[usize]) -> Tensor {
    Tensor::from_vec(values, shape, &candle_core::Device::Cpu).unwrap()
}

/// Of maps of a type: output, input's and kernel's gradient, the latter added to ones; and what they should be.
fn both(
    dtype: DType,
    x: [usize; 4],
    o: usize,
    k: [usize; 2],
    stride: usize,
    padding: usize,
) -> ([Tensor; 3], [Sums; 3]) {
    let convolution = Convolution { stride, padding, transposed: None };
    let x = noise(&x, 1).to_dtype(dtype).unwrap();
    let kernel = noise(&[k[0], k[1], x.dims()[3], o], 2);
    let y = convolution.forward(&x, &kernel).unwrap();
    let dy = noise(y.dims(), 3).to_dtype(dtype).unwrap();
    let dx = convolution.input_gradient(x.dims(), &kernel, &dy).unwrap();
    let dkernel = kernel.ones_like().unwrap();
    convolution.kernel_gradient(&x, &dy, &dkernel, true).unwrap();
    assert_eq!([y.dtype(), dx.dtype(), dkernel.dtype()], [dtype, dtype, DType::F32]);
    let twice = kernel.zeros_like().unwrap();
    convolution.kernel_gradient(&x, &dy, &twice, false).unwrap();
    let added = (&dkernel - 1.0).unwrap().sub(&twice).unwrap().abs().unwrap().max_all().unwrap();
    assert!(added.to_scalar::<f32>().unwrap() < 1e-4);
    let g = convolution.geometry(x.dims(), kernel.dims()).unwrap();
    let expected = expected(&g, &rounded(&x, dtype), &rounded(&kernel, dtype), &rounded(&dy, dtype));
    ([y, dx, twice], expected)
}

/// Odd channels, few channels, odd sides, whole and partial panels, taps that lie outside.
#[test]
fn sums_are_those_of_the_rounded_numbers() {
    if DeviceChoice::CpuBf16.open().is_err() {
        return eprintln!("skipped: this processor does not multiply bf16");
    }
    for (x, o, k, stride, padding) in [
        ([2, 8, 8, 3], 4, [5, 5], 2, 2),
        ([2, 8, 8, 3], 5, [5, 5], 2, 2),
        ([1, 7, 5, 1], 2, [3, 3], 1, 1),
        ([3, 9, 6, 2], 3, [4, 2], 3, 0),
        ([2, 5, 5, 4], 1, [1, 1], 2, 0),
        ([1, 6, 7, 2], 2, [3, 5], 2, 2),
        ([2, 7, 9, 9], 17, [3, 3], 1, 1),
        ([2, 7, 9, 10], 18, [5, 5], 2, 2),
        ([3, 8, 8, 32], 70, [5, 5], 2, 2),
        ([1, 3, 3, 8], 20, [2, 2], 3, 1),
        ([5, 4, 4, 130], 66, [3, 3], 2, 1),
        ([1, 2, 2, 2100], 4, [1, 1], 1, 0),
    ] {
        let (ours, expected) = both(DType::BF16, x, o, k, stride, padding);
        for ((ours, expected), part) in ours.iter().zip(&expected).zip(["y", "dx", "dkernel"]) {
            expected.check(ours, &format!("{x:?} to {o}, {k:?}, stride {stride}: {part}"));
        }
    }
}

/// Whole tiles and parts of them, folded and not, more channels than are transformed at a time. Winograd's transforms are rounded to bf16
/// again: by the points 0, ±3/4, ±3/2 and ∞ that costs up to 1.5 % of the values, where the direct way costs 0.2 %.
#[test]
fn tiles_cost_little() {
    for (dtype, most) in [(DType::F32, 3e-6), (DType::BF16, 0.016)] {
        if dtype == DType::BF16 && DeviceChoice::CpuBf16.open().is_err() {
            return eprintln!("skipped: this processor does not multiply bf16");
        }
        for (x, o, k, stride, padding) in [
            ([2, 9, 7, 32], 48, 3, 1, 1),
            ([1, 8, 8, 64], 48, 3, 1, 1),
            ([3, 5, 4, 48], 48, 3, 1, 1),
            ([1, 6, 9, 32], 48, 3, 1, 0),
            ([1, 5, 4, 32], 48, 3, 1, 2),
            ([3, 8, 8, 96], 144, 3, 1, 1),
            ([2, 16, 16, 32], 48, 5, 2, 2),
            ([2, 7, 10, 32], 48, 5, 2, 2),
            ([2, 9, 6, 32], 48, 5, 2, 0),
            ([1, 6, 7, 32], 48, 5, 2, 1),
            ([1, 5, 8, 32], 48, 5, 2, 3),
            ([1, 8, 8, 48], 32, 4, 2, 1),
            ([1, 9, 7, 32], 48, 4, 2, 0),
            ([3, 8, 8, 96], 144, 5, 2, 2),
        ] {
            let (ours, expected) = both(dtype, x, o, [k, k], stride, padding);
            for ((ours, expected), part) in ours.iter().zip(&expected).zip(["y", "dx", "dkernel"]) {
                let error = expected.error(ours);
                let what = format!("{dtype:?}, {x:?} to {o}, {k}x{k}, stride {stride}, padding {padding}");
                assert!(error < most, "{what}: {part}: {error}");
            }
        }
    }
}

/// A transposed convolution is the input gradient of a plain one.
#[test]
fn transposed_ones_are_bf16_as_well() {
    if DeviceChoice::CpuBf16.open().is_err() {
        return eprintln!("skipped: this processor does not multiply bf16");
    }
    for (c, o) in [(34, 20), (12, 3), (7, 3)] {
        let (plain, transposed) = (
            Convolution { stride: 2, padding: 2, transposed: None },
            Convolution { stride: 2, padding: 2, transposed: Some(1) },
        );
        let x = of(values(2 * 16 * c), &[2, 4, 4, c]).to_dtype(DType::BF16).unwrap();
        let kernel = of(values(25 * o * c), &[5, 5, o, c]);
        let y = transposed.forward(&x, &kernel).unwrap();
        assert_eq!((y.dims(), y.dtype()), (&[2, 8, 8, o][..], DType::BF16));
        let g = plain.geometry(y.dims(), kernel.dims()).unwrap();
        let [_, expected, _] =
            expected(&g, &vec![0.0; 2 * 64 * o], &rounded(&kernel, DType::BF16), &rounded(&x, DType::BF16));
        expected.check(&y, &format!("{c} to {o}"));
    }
}
