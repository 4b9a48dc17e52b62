//! The measures see what people see: a set is at no distance from itself, and ever further with more noise, more blur and fewer classes.
#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;

use dcgan_metrics::Features;
use dcgan_metrics::frechet::frechet;
use dcgan_metrics::kernel::{KernelConfig, kernel_distance};
use dcgan_metrics::prdc::prdc;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

const SIDE: usize = 8;
const N_PIXELS: usize = SIDE * SIDE;
const N: usize = 600;

/// Grey pictures of bars: class c is a bar at one of five places and two directions, of any brightness.
fn bars(n: usize, classes: std::ops::Range<usize>, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut pictures = Vec::with_capacity(n * N_PIXELS);
    for i in 0..n {
        let class = classes.start + i % classes.len();
        let (place, brightness, slope) =
            (1 + class % 5, rng.random_range(0.5..1.0), rng.random_range(0.0..0.3));
        pictures.extend((0..N_PIXELS).map(|at| {
            let (row, column) = (at / SIDE, at % SIDE);
            let (along, across) = if class < 5 { (column, row) } else { (row, column) };
            let is_on = across == place || across == place + 1;
            if is_on { brightness - slope * along as f32 / SIDE as f32 } else { 0.1 * slope }
        }));
    }
    pictures
}

fn noisy(pictures: &[f32], strength: f32) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    pictures.iter().map(|x| x + strength * (rng.random::<f32>() - 0.5)).collect()
}

/// Each pixel mixed with the mean of its neighbours.
fn blurred(pictures: &[f32], n_times: usize) -> Vec<f32> {
    let mut pictures = pictures.to_vec();
    for _ in 0..n_times {
        for picture in pictures.chunks_exact_mut(N_PIXELS) {
            let old = picture.to_vec();
            for (at, value) in picture.iter_mut().enumerate() {
                let (row, column) = (at / SIDE, at % SIDE);
                let near = [
                    (row.saturating_sub(1), column),
                    ((row + 1).min(SIDE - 1), column),
                    (row, column.saturating_sub(1)),
                    (row, (column + 1).min(SIDE - 1)),
                ];
                let mean = near.iter().map(|(row, column)| old[row * SIDE + column]).sum::<f32>() / 4.0;
                *value = 0.5 * old[at] + 0.5 * mean;
            }
        }
    }
    pictures
}

/// Fréchet distance, kernel distance and coverage.
fn measures(real: &[f32], generated: &[f32]) -> [f64; 3] {
    let [real, generated] =
        [real, generated].map(|values| Features::new("pictures", values, N_PIXELS).unwrap());
    let mut go_on = |_, _| ControlFlow::Continue(());
    let kernel = KernelConfig { subset_size: N, ..KernelConfig::default() };
    [
        frechet(&real, &generated).unwrap().distance,
        kernel_distance(&real, &generated, &kernel, &mut go_on).unwrap().mean,
        prdc(&real, &generated, 5, (0, 0), &mut go_on).unwrap().coverage,
    ]
}

/// The Fréchet distance grows and coverage falls along a series; the kernel distance, which hardly sees noise that is independent from
/// pixel to pixel, is larger in the end.
fn gets_worse(what: &str, series: &[[f64; 3]]) {
    for pair in series.windows(2) {
        assert!(pair[0][0] < pair[1][0] && pair[0][2] >= pair[1][2], "{what}: {series:?}");
    }
    assert!(series[0][1] < series[series.len() - 1][1], "{what}: {series:?}");
}

#[test]
fn distances_grow_with_noise_blur_and_dropped_classes() {
    let (real, fresh) = (bars(N, 0..10, 0), bars(N, 0..10, 1));
    let itself = measures(&real, &real);
    assert!(itself[0].abs() < 1e-6 && itself[2] == 1.0, "{itself:?}");
    let none = measures(&real, &fresh);
    assert!(none[0] < 0.1 && none[1].abs() < 1e-3 && none[2] > 0.9, "{none:?}");
    let noise = [0.2, 0.5, 1.0, 2.0].map(|strength| measures(&real, &noisy(&fresh, strength)));
    gets_worse("noise", &[&[none][..], &noise].concat());
    let blur = [1, 2, 4].map(|n_times| measures(&real, &blurred(&fresh, n_times)));
    gets_worse("blur", &[&[none][..], &blur].concat());
    let dropped = [8, 5, 2].map(|n| measures(&real, &bars(N, 0..n, 1)));
    gets_worse("dropped classes", &[&[none][..], &dropped].concat());
    // Half of the classes are half of what is covered.
    assert!((0.4..0.6).contains(&dropped[1][2]), "{dropped:?}");
}
