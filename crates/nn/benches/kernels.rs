//! Convolutions and their gradients at the paper's layer shapes, beside `gemm` on 2048³ and candle's own convolution.
//!
//! The throughput that Criterion prints as elements a second is floating-point operations a second. `DCGAN_BENCH_BATCH=16` takes other than 32
//! pictures, `DCGAN_BENCH_BF16=1` maps of bf16, without candle's.

#![allow(clippy::expect_used, reason = "a benchmark that cannot run should say why and stop")]

use std::hint::black_box;

use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use dcgan_nn::candle::{DType, Device, Tensor, Var};
use dcgan_nn::conv::Convolution;
use dcgan_nn::{init, rng};

/// Side, channels in and out, kernel, stride.
const LAYERS: [[usize; 5]; 13] = [
    [32, 3, 64, 5, 2],
    [16, 64, 128, 5, 2],
    [8, 128, 256, 5, 2],
    [32, 3, 128, 3, 1],
    [32, 128, 128, 3, 2],
    [16, 128, 256, 3, 1],
    [16, 256, 256, 3, 2],
    [8, 256, 512, 3, 1],
    [8, 512, 512, 3, 2],
    [64, 3, 128, 5, 2],
    [32, 128, 256, 5, 2],
    [16, 256, 512, 5, 2],
    [8, 512, 1024, 5, 2],
];

fn noise(shape: &[usize]) -> Tensor {
    let mut rng = rng::stream(0, rng::Purpose::Weights, 0);
    init::normal(shape, 0.0, 1.0, &mut rng, &Device::Cpu).expect("a CPU tensor")
}

fn layers(criterion: &mut Criterion) {
    dcgan_engine::memory::keep_freed();
    let is_bf16 = std::env::var_os("DCGAN_BENCH_BF16").is_some();
    let batch =
        std::env::var("DCGAN_BENCH_BATCH").map_or(32, |batch| batch.parse().expect("a number of pictures"));
    for [side, c, o, k, stride] in LAYERS {
        let mut group = criterion.benchmark_group(format!("{c}→{o} @{side} {k}x{k} s{stride}"));
        let maps = side / stride;
        group.throughput(Throughput::Elements((2 * batch * maps * maps * c * k * k * o) as u64));
        group.sample_size(10).warm_up_time(std::time::Duration::from_millis(300));
        group.measurement_time(std::time::Duration::from_secs(1));
        let convolution = Convolution { stride, padding: k / 2, transposed: None };
        let (x, kernel) = (noise(&[batch, side, side, c]), noise(&[k, k, c, o]));
        let dy = noise(&[batch, maps, maps, o]);
        let gradient = kernel.copy().expect("a CPU tensor");
        let maps_of =
            |x: &Tensor| if is_bf16 { x.to_dtype(DType::BF16).expect("a CPU tensor") } else { x.clone() };
        let (x, dy) = (maps_of(&x), maps_of(&dy));
        group.bench_function("forward", |b| {
            b.iter(|| convolution.forward(black_box(&x), &kernel).expect("shapes fit"))
        });
        group.bench_function("input gradient", |b| {
            b.iter(|| convolution.input_gradient(x.dims(), &kernel, black_box(&dy)).expect("shapes fit"))
        });
        group.bench_function("kernel gradient", |b| {
            b.iter(|| convolution.kernel_gradient(&x, black_box(&dy), &gradient, false).expect("shapes fit"))
        });
        if !is_bf16 {
            let x = x.permute((0, 3, 1, 2)).and_then(|x| x.contiguous()).expect("a CPU tensor");
            let kernel = kernel.permute((3, 2, 0, 1)).and_then(|w| w.contiguous()).expect("a CPU tensor");
            candles(&mut group, &x, &kernel, stride);
        }
        group.finish();
    }
}

/// candle's own convolution: forward, and its backward pass to one operand alone.
fn candles(group: &mut BenchmarkGroup<WallTime>, x: &Tensor, kernel: &Tensor, stride: usize) {
    let conv = |x: &Tensor, w: &Tensor| x.conv2d(w, w.dims()[2] / 2, stride, 1, 1).expect("shapes fit");
    let var = |t: &Tensor| Var::from_tensor(t).expect("a CPU tensor");
    let (x_var, kernel_var) = (var(x), var(kernel));
    let backward = |x: &Tensor, w: &Tensor| {
        let y = conv(x, w);
        let start = std::time::Instant::now();
        black_box(y.backward().expect("a gradient"));
        start.elapsed()
    };
    group.bench_function("candle/forward", |b| b.iter(|| conv(black_box(x), kernel)));
    group.bench_function("candle/input gradient", |b| {
        b.iter_custom(|n| (0..n).map(|_| backward(&x_var, kernel)).sum())
    });
    group.bench_function("candle/kernel gradient", |b| {
        b.iter_custom(|n| (0..n).map(|_| backward(x, &kernel_var)).sum())
    });
}

fn product(criterion: &mut Criterion) {
    const SIDE: usize = 2048;
    let mut group = criterion.benchmark_group("gemm");
    group.throughput(Throughput::Elements(2 * (SIDE * SIDE * SIDE) as u64)).sample_size(10);
    let (a, b) = (noise(&[SIDE, SIDE]), noise(&[SIDE, SIDE]));
    group.bench_function("2048³", |bench| bench.iter(|| black_box(&a).matmul(&b).expect("shapes fit")));
    group.finish();
}

criterion_group!(benches, product, layers);
criterion_main!(benches);
