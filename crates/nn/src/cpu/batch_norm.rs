//! Batch norm on the CPU, in sums of f64 whose order does not depend on the number of threads.

use std::ops::Range;

use candle_core::{Result, bail};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::{
    batch_norm::{EPS, Statistics},
    element::Element,
    kernels::Mean,
    vectorised,
};

/// Values a task handles; fixed, so that sums do not depend on the number of threads.
const CHUNK: usize = 1 << 14;

/// The last dimension of `dims`.
pub(super) fn channels(dims: &[usize]) -> Result<usize> {
    match dims.last() {
        Some(&c) if c > 0 && dims.iter().product::<usize>() > 0 => Ok(c),
        _ => bail!("batch_norm: empty input {dims:?}"),
    }
}

/// Rows of c values in one task.
fn chunk_len(c: usize) -> usize {
    (CHUNK / c).max(1) * c
}

/// The terms of two sums for each channel. (A trait, as a closure would not be compiled for wide vectors.)
trait Terms: Sync {
    /// Adds those of the row of c values at `row`.
    fn add(&self, row: Range<usize>, first: &mut [f64], second: &mut [f64]);
}

/// The sums over some rows. (No closure, which might not be compiled for wide vectors where it is a long one.)
struct Sums<'a, T> {
    terms: &'a T,
    rows: Range<usize>,
    c: usize,
    first: &'a mut [f64],
    second: &'a mut [f64],
}

impl<T: Terms> WithSimd for Sums<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for row in self.rows.step_by(self.c) {
            self.terms.add(row..row + self.c, self.first, self.second);
        }
    }
}

/// Both sums in f64 over `n` values in rows of c.
fn sums(n: usize, c: usize, terms: &impl Terms) -> (Vec<f64>, Vec<f64>) {
    let chunk = chunk_len(c);
    let parts: Vec<(Vec<f64>, Vec<f64>)> = (0..n.div_ceil(chunk))
        .into_par_iter()
        .map(|part| {
            let (mut first, mut second) = (vec![0.0; c], vec![0.0; c]);
            let rows = part * chunk..n.min((part + 1) * chunk);
            dcgan_vectors::arch().dispatch(Sums { terms, rows, c, first: &mut first, second: &mut second });
            (first, second)
        })
        .collect();
    let mut total = (vec![0.0; c], vec![0.0; c]);
    for (first, second) in parts {
        total.0.iter_mut().zip(first).for_each(|(t, v)| *t += v);
        total.1.iter_mut().zip(second).for_each(|(t, v)| *t += v);
    }
    total
}

/// Σ (x − shift) and Σ (x − shift)².
struct Moments<'a, E> {
    x: &'a [E],
    shift: &'a [f32],
}

impl<E: Element> Terms for Moments<'_, E> {
    #[inline(always)]
    fn add(&self, row: Range<usize>, first: &mut [f64], second: &mut [f64]) {
        let channels = self.x[row].iter().zip(self.shift).zip(first.iter_mut().zip(second));
        for ((&x, &shift), (first, second)) in channels {
            let d = f64::from(x.wide()) - f64::from(shift);
            *first += d;
            *second += d * d;
        }
    }
}

/// Σ du and Σ du·(x − mean), with du = dy·a′(u).
struct GradientSums<'a, E> {
    x: &'a [E],
    y: &'a [E],
    dy: &'a [E],
    mean: &'a [f32],
    slope: f32,
}

impl<E: Element> Terms for GradientSums<'_, E> {
    #[inline(always)]
    fn add(&self, row: Range<usize>, first: &mut [f64], second: &mut [f64]) {
        let values = self.x[row.clone()].iter().zip(&self.y[row.clone()]).zip(&self.dy[row]);
        let channels = self.mean.iter().zip(first.iter_mut().zip(second));
        for (((&x, &y), &dy), (&mean, (first, second))) in values.zip(channels) {
            let du = before_activation(y.wide(), dy.wide(), self.slope);
            *first += f64::from(du);
            *second += f64::from(du * (x.wide() - mean));
        }
    }
}

/// dy·a′(u); y has the sign of u, or is 0 where a ReLU cut u off.
#[inline(always)]
fn before_activation(y: f32, dy: f32, slope: f32) -> f32 {
    if y > 0.0 { dy } else { slope * dy }
}

pub(super) fn measure<E: Element>(x: &[E], c: usize) -> Statistics {
    let rows = (x.len() / c) as f64;
    // Shifted by the first row, so that a mean far from 0 costs the variance no digits.
    let shift: &[f32] = &x[..c].iter().map(|x| x.wide()).collect::<Vec<f32>>();
    let (shifted, squares) = sums(x.len(), c, &Moments { x, shift });
    let mean = shifted.iter().zip(shift).map(|(s, &first)| s / rows + f64::from(first)).collect();
    let variance =
        shifted.iter().zip(&squares).map(|(s, q)| (q / rows - (s / rows).powi(2)).max(0.0)).collect();
    Statistics { mean, variance }
}

/// What turns x into y: the mean, gain/σ and the bias of each channel, and the slope.
pub(super) struct Scaling {
    mean: Vec<f32>,
    scale: Vec<f32>,
    bias: Vec<f32>,
    slope: f32,
}

impl Scaling {
    pub(super) fn new(statistics: &Statistics, gain: &[f32], bias: &[f32], slope: f32) -> Result<Self> {
        let c = statistics.mean.len();
        if gain.len() != c || bias.len() != c {
            bail!("batch_norm: statistics of {c} channels, but {} gains, {} biases", gain.len(), bias.len())
        }
        let scale = gain.iter().zip(&statistics.variance);
        Ok(Self {
            mean: statistics.mean.iter().map(|&m| m as f32).collect(),
            scale: scale.map(|(&gain, v)| (f64::from(gain) / (v + EPS).sqrt()) as f32).collect(),
            bias: bias.to_vec(),
            slope,
        })
    }

    pub(super) fn apply<E: Element>(&self, x: &[E]) -> Vec<E> {
        let (c, chunk) = (self.mean.len(), chunk_len(self.mean.len()));
        let mut y = Vec::with_capacity(x.len());
        let room = &mut y.spare_capacity_mut()[..x.len()];
        room.par_chunks_mut(chunk).zip(x.par_chunks(chunk)).for_each(|(y, x)| {
            vectorised(|| {
                for (y, x) in y.chunks_exact_mut(c).zip(x.chunks_exact(c)) {
                    let channels = self.mean.iter().zip(&self.scale).zip(&self.bias);
                    for ((y, &x), channel) in y.iter_mut().zip(x).zip(channels) {
                        y.write(E::narrow(self.value(x.wide(), channel)));
                    }
                }
            });
        });
        // SAFETY: x is whole rows of c values, each of which was written to the same place of y.
        #[allow(unsafe_code)]
        unsafe {
            y.set_len(x.len());
        }
        y
    }

    pub(super) fn apply_in_place<E: Element>(&self, values: &mut [E]) {
        let (c, chunk) = (self.mean.len(), chunk_len(self.mean.len()));
        values.par_chunks_mut(chunk).for_each(|values| {
            vectorised(|| {
                for row in values.chunks_exact_mut(c) {
                    let channels = self.mean.iter().zip(&self.scale).zip(&self.bias);
                    for (value, channel) in row.iter_mut().zip(channels) {
                        *value = E::narrow(self.value(value.wide(), channel));
                    }
                }
            });
        });
    }

    #[inline(always)]
    fn value(&self, x: f32, ((mean, scale), bias): ((&f32, &f32), &f32)) -> f32 {
        let u = scale * (x - mean) + bias;
        if u > 0.0 { u } else { self.slope * u }
    }
}

/// Turns dy into dx in place and returns dgain and dbias. With u the value before the activation, x̂ the normalised value
/// and du = dy·a′(u), over m rows: dbias = Σ du, dgain = Σ du·x̂, dx = gain/σ · (du − dbias/m − x̂·dgain/m).
pub(super) fn backward<E: Element>(
    slope: f32,
    statistics: &Statistics,
    gain: &[f32],
    [x, y]: [&[E]; 2],
    gradient: &mut [E],
    across: Option<Mean<'_>>,
) -> Result<(Vec<f64>, Vec<f64>)> {
    let c = gain.len();
    let inverse: Vec<f32> = statistics.variance.iter().map(|v| (1.0 / (v + EPS).sqrt()) as f32).collect();
    let mean: Vec<f32> = statistics.mean.iter().map(|&m| m as f32).collect();
    let terms = GradientSums { x, y, dy: gradient, mean: &mean, slope };
    let (dbias, dux) = sums(x.len(), c, &terms);
    let dgain: Vec<f64> = dux.iter().zip(&inverse).map(|(d, &i)| d * f64::from(i)).collect();
    let rows = (x.len() / c) as f64;
    // What dx takes of the sums over all parts is a mean over them: each has as many rows.
    let mut means = [dbias.as_slice(), &dgain].concat();
    across.map_or(Ok(()), |mean| mean(&mut means))?;
    let (dbias_mean, dgain_mean) = means.split_at(c);
    // dx = scale·du + slant·(x − mean) + shift.
    let scale: Vec<f32> = gain.iter().zip(&inverse).map(|(g, i)| g * i).collect();
    let shift: Vec<f32> = dbias_mean.iter().zip(&scale).map(|(d, s)| -s * (d / rows) as f32).collect();
    let slant: Vec<f32> =
        dgain_mean.iter().zip(&scale).zip(&inverse).map(|((d, s), i)| -s * i * (d / rows) as f32).collect();
    let chunk = chunk_len(c);
    let chunks = gradient.par_chunks_mut(chunk).zip(x.par_chunks(chunk)).zip(y.par_chunks(chunk));
    let factors = Factors { mean: &mean, scale: &scale, shift: &shift, slant: &slant, slope };
    chunks
        .for_each(|((gradient, x), y)| dcgan_vectors::arch().dispatch(Backward { factors, x, y, gradient }));
    Ok((dgain, dbias))
}

/// What turns dy into dx, a number a channel.
#[derive(Clone, Copy)]
struct Factors<'a> {
    mean: &'a [f32],
    scale: &'a [f32],
    shift: &'a [f32],
    slant: &'a [f32],
    slope: f32,
}

/// Some rows' dx.
struct Backward<'a, E> {
    factors: Factors<'a>,
    x: &'a [E],
    y: &'a [E],
    gradient: &'a mut [E],
}

impl<E: Element> WithSimd for Backward<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Factors { mean, scale, shift, slant, slope } = self.factors;
        let c = mean.len();
        let rows = self.gradient.chunks_exact_mut(c).zip(self.x.chunks_exact(c)).zip(self.y.chunks_exact(c));
        for ((gradient, x), y) in rows {
            let channels = mean.iter().zip(scale).zip(shift.iter().zip(slant));
            let values = gradient.iter_mut().zip(x).zip(y);
            for (((gradient, &x), &y), ((mean, scale), (shift, slant))) in values.zip(channels) {
                let du = before_activation(y.wide(), gradient.wide(), slope);
                *gradient = E::narrow(scale * du + (slant * (x.wide() - mean) + shift));
            }
        }
    }
}

#[cfg(test)]
mod tests;
