//! Steps that take each value by itself.

use rayon::prelude::*;

use crate::{activation::Activation, element::Element, kernels::AdamStep, vectorised};

/// Values a task handles.
const CHUNK: usize = 1 << 14;
/// Sums that run side by side.
const LANES: usize = 16;

pub(super) fn activate<E: Element>(x: &mut [E], activation: Activation) {
    x.par_chunks_mut(CHUNK).for_each(|x| match activation {
        Activation::Leaky(1.0) => {}
        Activation::Leaky(slope) => vectorised(|| {
            x.iter_mut().for_each(|x| {
                let value = x.wide();
                *x = if value > 0.0 { *x } else { E::narrow(slope * value) };
            });
        }),
        Activation::Tanh => x.iter_mut().for_each(|x| *x = E::narrow(x.wide().tanh())),
        // (1 + tanh(x/2))/2 is the same and stable at both ends.
        Activation::Sigmoid => x.iter_mut().for_each(|x| *x = E::narrow(0.5 + 0.5 * (0.5 * x.wide()).tanh())),
    });
}

pub(super) fn activate_backward<E: Element>(y: &[E], dy: &mut [E], activation: Activation) {
    dy.par_chunks_mut(CHUNK).zip(y.par_chunks(CHUNK)).for_each(|(dy, y)| {
        let values = dy.iter_mut().zip(y.iter().map(|y| y.wide()));
        vectorised(|| match activation {
            Activation::Leaky(slope) => values.for_each(|(g, y)| {
                *g = if y > 0.0 { *g } else { E::narrow(slope * g.wide()) };
            }),
            Activation::Tanh => values.for_each(|(g, y)| *g = E::narrow(g.wide() * (1.0 - y * y))),
            Activation::Sigmoid => values.for_each(|(g, y)| *g = E::narrow(g.wide() * (y * (1.0 - y)))),
        });
    });
}

pub(super) fn accumulate(sum: &mut [f32], term: &[f32], adds: bool) {
    sum.par_chunks_mut(CHUNK).zip(term.par_chunks(CHUNK)).for_each(|(sum, term)| match adds {
        true => vectorised(|| sum.iter_mut().zip(term).for_each(|(s, t)| *s += t)),
        false => sum.copy_from_slice(term),
    });
}

/// Each value times `factor`, and a term; rounded after each step.
pub(super) fn blend<E: Element>(to: &mut [E], factor: f32, term: impl Fn(usize) -> f32 + Sync) {
    to.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, to)| {
        for (i, to) in to.iter_mut().enumerate() {
            *to = E::narrow(E::narrow(factor * to.wide()).wide() + E::narrow(term(chunk * CHUNK + i)).wide());
        }
    });
}

/// Each row of as many values as `by` has, times those.
pub(super) fn multiply<E: Element>(x: &[E], by: &[E]) -> Vec<E> {
    let mut product = vec![E::default(); x.len()];
    product.par_chunks_mut(by.len()).zip(x.par_chunks(by.len())).for_each(|(product, x)| {
        for ((product, x), by) in product.iter_mut().zip(x).zip(by) {
            *product = E::narrow(x.wide() * by.wide());
        }
    });
    product
}

/// Rows of any number of `c` values, each followed by the `k` labels of its row.
pub(super) fn join<E: Element>(x: &[E], labels: &[E], [n, c, k]: [usize; 3]) -> Vec<E> {
    let positions = x.len() / (n * c);
    let mut joined = vec![E::default(); x.len() + n * positions * k];
    let rows = x.par_chunks_exact(positions * c).zip(labels.par_chunks_exact(k));
    joined.par_chunks_exact_mut(positions * (c + k)).zip(rows).for_each(|(joined, (x, labels))| {
        for (joined, x) in joined.chunks_exact_mut(c + k).zip(x.chunks_exact(c)) {
            joined[..c].copy_from_slice(x);
            joined[c..].copy_from_slice(labels);
        }
    });
    joined
}

/// Writes one value a channel, or adds it.
pub(super) fn add_channels(sum: &mut [f32], values: &[f64], adds: bool) {
    for (sum, &value) in sum.iter_mut().zip(values) {
        *sum = if adds { *sum + value as f32 } else { value as f32 };
    }
}

pub(super) fn sum_of_squares(values: &[f32]) -> f64 {
    let parts: Vec<f64> = values.par_chunks(CHUNK).map(squares).collect();
    parts.iter().sum()
}

fn squares(values: &[f32]) -> f64 {
    vectorised(|| {
        let mut sums = [0.0; LANES];
        let mut lanes = values.chunks_exact(LANES);
        for values in &mut lanes {
            for (sum, &x) in sums.iter_mut().zip(values) {
                *sum += f64::from(x) * f64::from(x);
            }
        }
        let rest: f64 = lanes.remainder().iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        sums.iter().sum::<f64>() + rest
    })
}

/// A parameter, the means of its gradient and of the gradient's square, and its gradient.
pub(crate) fn adam([parameter, mean, square]: [&mut [f32]; 3], gradient: &[f32], step: AdamStep) {
    let AdamStep { rate, beta1, beta2, square_scale, eps, l2 } = step;
    let chunks = parameter.par_chunks_mut(CHUNK).zip(gradient.par_chunks(CHUNK));
    let moments = mean.par_chunks_mut(CHUNK).zip(square.par_chunks_mut(CHUNK));
    chunks.zip(moments).for_each(|((p, g), (m, v))| {
        vectorised(|| {
            for (((p, &g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
                let g = g + l2 * *p;
                *m = beta1 * *m + (1.0 - beta1) * g;
                *v = beta2 * *v + (1.0 - beta2) * g * g;
                *p -= rate * *m / ((*v * square_scale).sqrt() + eps);
            }
        });
    });
}
