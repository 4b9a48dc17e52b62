//! Batch normalisation fused with the activation behind it.
//!
//! y = a(gain·(x − mean) / √(var + eps) + bias) for each channel, where a(u) = max(u, slope·u): slope 0.2 for the
//! discriminator's LeakyReLU, 0 for the generator's ReLU, 1 for none. eps is 1e-8 and the variance is the biased one, as
//! in the released code; there are no running statistics.

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp3, Layout, Shape, Tensor, bail};
use rayon::prelude::*;

use crate::{
    Result,
    storage::{slice, with_slice},
};

/// Added to the variance.
pub const EPS: f64 = 1e-8;
/// Values a task handles; fixed, so that sums do not depend on the number of threads.
const CHUNK: usize = 1 << 14;

/// Per-channel mean and biased variance.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// One mean a channel.
    pub mean: Vec<f64>,
    /// One biased variance a channel.
    pub variance: Vec<f64>,
}

/// Normalises by the batch's own statistics. `x`: (…, c) with the channels last; `gain`, `bias`: (c).
pub fn batch_norm(x: &Tensor, gain: &Tensor, bias: &Tensor, slope: f32) -> Result<Tensor> {
    let op = BatchNorm { slope, given: None, used: OnceLock::new() };
    Ok(x.contiguous()?.apply_op3(&gain.contiguous()?, &bias.contiguous()?, op)?)
}

/// Normalises by given statistics, those of a whole data set. Carries no gradient.
pub fn batch_norm_with(
    x: &Tensor,
    gain: &Tensor,
    bias: &Tensor,
    statistics: &Statistics,
    slope: f32,
) -> Result<Tensor> {
    let op = BatchNorm { slope, given: Some(statistics.clone()), used: OnceLock::new() };
    Ok(x.contiguous()?.apply_op3_no_bwd(&gain.contiguous()?, &bias.contiguous()?, &op)?)
}

/// The statistics of `x`: (…, c) over everything but its last dimension.
pub fn statistics(x: &Tensor) -> Result<Statistics> {
    let c = channels(x.dims())?;
    Ok(with_slice(&x.contiguous()?, "batch_norm", |x| Ok(measure(x, c)))?)
}

fn channels(dims: &[usize]) -> candle_core::Result<usize> {
    match dims.last() {
        Some(&c) if c > 0 && dims.iter().product::<usize>() > 0 => Ok(c),
        _ => bail!("batch_norm: empty input {dims:?}"),
    }
}

/// Rows of c values in one task.
fn chunk_len(c: usize) -> usize {
    (CHUNK / c).max(1) * c
}

/// Σ a and Σ a·b for each channel in f64, where `terms` yields (a, b) for a value's index and channel.
fn sums(n: usize, c: usize, terms: impl Fn(usize, usize) -> (f64, f64) + Sync) -> (Vec<f64>, Vec<f64>) {
    let chunk = chunk_len(c);
    let parts: Vec<(Vec<f64>, Vec<f64>)> = (0..n.div_ceil(chunk))
        .into_par_iter()
        .map(|part| {
            let (mut first, mut second) = (vec![0.0; c], vec![0.0; c]);
            for row in (part * chunk..n.min((part + 1) * chunk)).step_by(c) {
                for channel in 0..c {
                    let (a, b) = terms(row + channel, channel);
                    first[channel] += a;
                    second[channel] += a * b;
                }
            }
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

fn measure(x: &[f32], c: usize) -> Statistics {
    let rows = (x.len() / c) as f64;
    // Shifted by the first row, so that a mean far from 0 costs the variance no digits.
    let (shifted, squares) = sums(x.len(), c, |i, channel| {
        let d = f64::from(x[i]) - f64::from(x[channel]);
        (d, d)
    });
    let mean = shifted.iter().zip(x).map(|(s, &first)| s / rows + f64::from(first)).collect();
    let variance =
        shifted.iter().zip(&squares).map(|(s, q)| (q / rows - (s / rows).powi(2)).max(0.0)).collect();
    Statistics { mean, variance }
}

struct BatchNorm {
    slope: f32,
    given: Option<Statistics>,
    used: OnceLock<Statistics>,
}

impl CustomOp3 for BatchNorm {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        layout: &Layout,
        gain: &CpuStorage,
        gain_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let c = channels(layout.dims())?;
        let x = slice(x, layout, self.name())?;
        let gain = slice(gain, gain_layout, self.name())?;
        let bias = slice(bias, bias_layout, self.name())?;
        let statistics = self.given.clone().unwrap_or_else(|| measure(x, c));
        if gain.len() != c || bias.len() != c || statistics.mean.len() != c {
            bail!(
                "batch_norm: {c} channels, but {} gains, {} biases, statistics of {}",
                gain.len(),
                bias.len(),
                statistics.mean.len()
            )
        }
        let scale: Vec<f32> =
            (0..c).map(|i| (f64::from(gain[i]) / (statistics.variance[i] + EPS).sqrt()) as f32).collect();
        let mean: Vec<f32> = statistics.mean.iter().map(|&m| m as f32).collect();
        let mut y = vec![0.0; x.len()];
        let chunk = chunk_len(c);
        y.par_chunks_mut(chunk).zip(x.par_chunks(chunk)).for_each(|(y, x)| {
            for (y, x) in y.chunks_exact_mut(c).zip(x.chunks_exact(c)) {
                for i in 0..c {
                    let u = scale[i] * (x[i] - mean[i]) + bias[i];
                    y[i] = if u > 0.0 { u } else { self.slope * u };
                }
            }
        });
        // Set once: candle calls the forward pass of an operation it records only once.
        let _ = self.used.set(statistics);
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        gain: &Tensor,
        bias: &Tensor,
        y: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let Some(statistics) = self.used.get() else { bail!("batch_norm: backward before forward") };
        let dy = gradient.contiguous()?;
        let name = self.name();
        let (dx, dgain, dbias) = with_slice(x, name, |xs| {
            with_slice(y, name, |ys| {
                with_slice(&dy, name, |dys| {
                    with_slice(gain, name, |gains| {
                        Ok(backward(self.slope, statistics, gains, [xs, ys, dys], x.track_op()))
                    })
                })
            })
        })?;
        let device = x.device();
        let dx = dx.map(|dx| Tensor::from_vec(dx, x.shape(), device)).transpose()?;
        let channel = |wanted: &Tensor, values: Vec<f64>| {
            let values: Vec<f32> = values.iter().map(|&v| v as f32).collect();
            wanted.track_op().then(|| Tensor::from_vec(values, wanted.shape(), device)).transpose()
        };
        Ok((dx, channel(gain, dgain)?, channel(bias, dbias)?))
    }
}

type Gradients = (Option<Vec<f32>>, Vec<f64>, Vec<f64>);

/// With u the value before the activation, x̂ the normalised value and du = dy·a′(u), over m rows:
/// dbias = Σ du, dgain = Σ du·x̂, dx = gain/σ · (du − dbias/m − x̂·dgain/m).
fn backward(
    slope: f32,
    statistics: &Statistics,
    gain: &[f32],
    [x, y, dy]: [&[f32]; 3],
    wants_dx: bool,
) -> Gradients {
    let c = gain.len();
    let inverse: Vec<f32> = statistics.variance.iter().map(|v| (1.0 / (v + EPS).sqrt()) as f32).collect();
    let mean: Vec<f32> = statistics.mean.iter().map(|&m| m as f32).collect();
    // y has the sign of u, or is 0 where a ReLU cut u off.
    let du = |i: usize| if y[i] > 0.0 { dy[i] } else { slope * dy[i] };
    let (dbias, dgain) = sums(x.len(), c, |i, channel| {
        (f64::from(du(i)), f64::from((x[i] - mean[channel]) * inverse[channel]))
    });
    let dx = wants_dx.then(|| {
        let rows = (x.len() / c) as f64;
        let scale: Vec<f32> = gain.iter().zip(&inverse).map(|(g, i)| g * i).collect();
        let mean_du: Vec<f32> = dbias.iter().map(|s| (s / rows) as f32).collect();
        let mean_dux: Vec<f32> = dgain.iter().map(|s| (s / rows) as f32).collect();
        let mut dx = vec![0.0; x.len()];
        let chunk = chunk_len(c);
        dx.par_chunks_mut(chunk).enumerate().for_each(|(part, dx)| {
            for (row, dx) in dx.chunks_exact_mut(c).enumerate() {
                let start = part * chunk + row * c;
                for (i, dx) in dx.iter_mut().enumerate() {
                    let normalised = (x[start + i] - mean[i]) * inverse[i];
                    *dx = scale[i] * (du(start + i) - mean_du[i] - normalised * mean_dux[i]);
                }
            }
        });
        dx
    });
    (dx, dgain, dbias)
}

#[cfg(test)]
mod tests;
