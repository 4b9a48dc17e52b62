//! A step of training, written out.
//!
//! With a₁ and a₂ the pre-activations of the two copies, B pictures, D = 3072 inputs, H = 128 units, σ of each unit over both
//! copies (held fixed), δ = V·(m ∘ relu(a₁)) + c − x and the loss of [the module above](super), the gradients are
//!
//! - dδ = 2δ/(B·D), dV = (m ∘ relu(a₁))ᵀ·dδ, dc = Σ dδ
//! - da₁ = m ∘ [a₁ > 0] ∘ (dδ·Vᵀ) + together·2(a₁ − a₂)/(B·H·σ²) + balance·2·mean(a₁)/(B·H·σ²)
//! - da₂ = −together·2(a₁ − a₂)/(B·H·σ²), dW = x₁ᵀ·da₁ + x₂ᵀ·da₂, db = Σ da₁ + Σ da₂
//!
//! The inputs are cut into slabs, whose weights, gradients and moments lie together: each slab is one task in every phase, and what
//! is summed over slabs is summed in their order. The bits do not depend on the number of threads.

use std::path::Path;

use candle_core::{Device, Tensor};
use dcgan_nn::adam::{self, AdamConfig};
use dcgan_nn::checkpoint::Checkpoint;
use dcgan_nn::matrix::{Matrix, multiply};
use rayon::prelude::*;

use super::copies::Batch;
use crate::code::CODE_BITS;
use crate::preprocess::N_INPUTS;
use crate::{DedupError, Result};

/// Inputs of a slab.
const WIDTH: usize = 192;
/// Added to the units' scale.
const LEAST_SCALE: f32 = 1e-3;

/// What a step minimises.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weights {
    pub(super) together: f32,
    pub(super) balance: f32,
}

/// Reconstruction, together, balance.
pub(super) type Terms = [f64; 3];

/// Values with their gradient and Adam's two moments, in one piece of memory. A kilobyte more or less of a multiple of 4096 bytes
/// lies between them: at the same place of a page each, a store to one would hold up the loads of the others.
#[derive(Clone, Debug)]
struct Parameter {
    numbers: Vec<f32>,
    len: usize,
}

/// Numbers of a page, and by how many of them the parts of a [`Parameter`] are apart beyond whole pages.
const PAGE: usize = 1024;
const APART: usize = 256;
/// The parts of a [`Parameter`].
const VALUE: usize = 0;
const GRADIENT: usize = 1;
const MEAN: usize = 2;
const SQUARE: usize = 3;

impl Parameter {
    fn new(value: &[f32]) -> Self {
        let len = value.len();
        let mut new = Self { numbers: vec![0.0; 4 * (len.next_multiple_of(PAGE) + APART)], len };
        new.part_mut(VALUE).copy_from_slice(value);
        new
    }

    fn stride(&self) -> usize {
        self.len.next_multiple_of(PAGE) + APART
    }

    fn part(&self, part: usize) -> &[f32] {
        &self.numbers[part * self.stride()..][..self.len]
    }

    fn part_mut(&mut self, part: usize) -> &mut [f32] {
        let start = part * self.stride();
        &mut self.numbers[start..][..self.len]
    }

    fn update(&mut self, config: &AdamConfig, n_steps: u64) {
        let (stride, len) = (self.stride(), self.len);
        let mut parts = self.numbers.chunks_exact_mut(stride).map(|part| &mut part[..len]);
        if let [Some(value), Some(gradient), Some(mean), Some(square)] = [(); 4].map(|()| parts.next()) {
            adam::update(config, n_steps, [value, mean, square], gradient);
        }
    }
}

/// Some of the inputs.
struct Slab {
    first: usize,
    /// (192, 128).
    encoder: Parameter,
    /// (128, 192).
    decoder: Parameter,
    /// (192).
    bias: Parameter,
    /// This slab's part of both copies' pre-activations, then of the gradient of the units.
    part: Vec<f32>,
    /// dδ, (n, 192).
    off: Vec<f32>,
    squares: f64,
}

/// The autoencoder's weights as they are trained.
pub(super) struct Network {
    slabs: Vec<Slab>,
    bias: Parameter,
    adam: AdamConfig,
    pub(super) n_steps: u64,
}

fn view(values: &[f32], rows: usize, columns: usize, row_stride: usize) -> Matrix<'_> {
    Matrix::new(values, [rows, columns], row_stride)
}

impl Network {
    /// From the encoder's weights (3072, 128) and bias, the decoder's (128, 3072) and bias.
    pub(super) fn new([encoder, bias, decoder, out]: [Vec<f32>; 4], adam: AdamConfig) -> Self {
        let slab = |first: usize| Slab {
            first,
            encoder: Parameter::new(&encoder[first * CODE_BITS..(first + WIDTH) * CODE_BITS]),
            decoder: Parameter::new(&columns(&decoder, first)),
            bias: Parameter::new(&out[first..first + WIDTH]),
            part: Vec::new(),
            off: Vec::new(),
            squares: 0.0,
        };
        let slabs = (0..N_INPUTS).step_by(WIDTH).map(slab).collect();
        Self { slabs, bias: Parameter::new(&bias), adam, n_steps: 0 }
    }

    /// One update; `mask` is 0 for units that are dropped, (n, 128), and 1/(1 − dropout) for the others.
    pub(super) fn step(
        &mut self,
        batch: &Batch,
        mask: &[f32],
        weights: Weights,
        learning_rate: f64,
    ) -> Terms {
        let terms = self.gradients(batch, mask, weights);
        self.n_steps += 1;
        self.adam.learning_rate = learning_rate;
        let (adam, n_steps) = (self.adam, self.n_steps);
        self.slabs.par_iter_mut().for_each(|slab| {
            [&mut slab.encoder, &mut slab.decoder, &mut slab.bias]
                .into_iter()
                .for_each(|parameter| parameter.update(&adam, n_steps));
        });
        self.bias.update(&adam, n_steps);
        terms
    }

    /// Leaves the gradients with the parameters.
    fn gradients(&mut self, batch: &Batch, mask: &[f32], weights: Weights) -> Terms {
        let n = mask.len() / CODE_BITS;
        let units = self.pre_activations(&batch.copies, 2 * n);
        let kept: Vec<f32> = units.iter().zip(mask).map(|(a, mask)| a.max(0.0) * mask).collect();
        let (reconstruction, from_outputs) = self.decode(&batch.clean, &kept, n);
        let (mut gradient, [together, balance]) = hold_together(&units, weights);
        for (((gradient, from), a), mask) in gradient.iter_mut().zip(&from_outputs).zip(&units).zip(mask) {
            *gradient += if *a > 0.0 { mask * from } else { 0.0 };
        }
        let sums = self.bias.part_mut(GRADIENT);
        sums.fill(0.0);
        for row in gradient.chunks_exact(CODE_BITS) {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        self.slabs.par_iter_mut().for_each(|slab| {
            let inputs = view(&batch.copies[slab.first..], 2 * n, WIDTH, N_INPUTS).transposed();
            multiply(
                inputs,
                view(&gradient, 2 * n, CODE_BITS, CODE_BITS),
                slab.encoder.part_mut(GRADIENT),
                false,
            );
        });
        [reconstruction, together, balance]
    }

    /// (n, 3072) → (n, 128).
    fn pre_activations(&mut self, inputs: &[f32], n: usize) -> Vec<f32> {
        self.slabs.par_iter_mut().for_each(|slab| {
            slab.part.resize(n * CODE_BITS, 0.0);
            let weights = view(slab.encoder.part(VALUE), WIDTH, CODE_BITS, CODE_BITS);
            multiply(view(&inputs[slab.first..], n, WIDTH, N_INPUTS), weights, &mut slab.part, false);
        });
        let mut units: Vec<f32> = self.bias.part(VALUE).iter().copied().cycle().take(n * CODE_BITS).collect();
        self.add_parts(&mut units);
        units
    }

    /// The reconstruction term, and its gradient to the units that were kept; the decoder's gradients stay in the slabs.
    fn decode(&mut self, clean: &[f32], kept: &[f32], n: usize) -> (f64, Vec<f32>) {
        let scale = 2.0 / (n * N_INPUTS) as f32;
        let kept = view(kept, n, CODE_BITS, CODE_BITS);
        self.slabs.par_iter_mut().for_each(|slab| {
            slab.off.resize(n * WIDTH, 0.0);
            slab.part.resize(n * CODE_BITS, 0.0);
            multiply(kept, view(slab.decoder.part(VALUE), CODE_BITS, WIDTH, WIDTH), &mut slab.off, false);
            slab.compare(clean, scale);
            let off = view(&slab.off, n, WIDTH, WIDTH);
            multiply(kept.transposed(), off, slab.decoder.part_mut(GRADIENT), false);
            let weights = view(slab.decoder.part(VALUE), CODE_BITS, WIDTH, WIDTH);
            multiply(off, weights.transposed(), &mut slab.part, false);
        });
        let squares: f64 = self.slabs.iter().map(|slab| slab.squares).sum();
        let mut units = vec![0.0; n * CODE_BITS];
        self.add_parts(&mut units);
        (squares / (n * N_INPUTS) as f64, units)
    }

    fn add_parts(&self, sum: &mut [f32]) {
        sum.par_chunks_mut(1 << 11).enumerate().for_each(|(k, sum)| {
            for slab in &self.slabs {
                sum.iter_mut().zip(&slab.part[k << 11..]).for_each(|(sum, part)| *sum += part);
            }
        });
    }

    /// Values of the four parameters, as [`Self::new`] takes them.
    pub(super) fn values(&self) -> [Vec<f32>; 4] {
        self.whole(VALUE)
    }

    fn whole(&self, part: usize) -> [Vec<f32>; 4] {
        let mut decoder = vec![0.0; CODE_BITS * N_INPUTS];
        for slab in &self.slabs {
            let rows = decoder.chunks_exact_mut(N_INPUTS).zip(slab.decoder.part(part).chunks_exact(WIDTH));
            rows.for_each(|(row, part)| row[slab.first..slab.first + WIDTH].copy_from_slice(part));
        }
        let encoder = self.slabs.iter().flat_map(|slab| slab.encoder.part(part)).copied().collect();
        let out = self.slabs.iter().flat_map(|slab| slab.bias.part(part)).copied().collect();
        [encoder, self.bias.part(part).to_vec(), decoder, out]
    }

    /// Adds Adam's moments to a checkpoint, under `adam.` and the parameter's name.
    pub(super) fn store_moments(
        &self,
        names: &[(&str, &[usize]); 4],
        checkpoint: &mut Checkpoint,
    ) -> Result<()> {
        let moments = [("mean", self.whole(MEAN)), ("square", self.whole(SQUARE))];
        for (part, values) in moments {
            for (values, (name, shape)) in values.into_iter().zip(names) {
                let tensor = Tensor::from_vec(values, *shape, &Device::Cpu)?;
                checkpoint.insert(format!("adam.{name}.{part}"), &tensor);
            }
        }
        checkpoint.describe("adam.n_steps", self.n_steps.to_string());
        Ok(())
    }

    /// Takes moments and the number of steps back from a checkpoint read from `path`.
    pub(super) fn load_moments(
        &mut self,
        names: &[(&str, &[usize]); 4],
        checkpoint: &Checkpoint,
        path: &Path,
    ) -> Result<()> {
        let read = |part: &str| -> Result<Self> {
            let mut values = [const { Vec::new() }; 4];
            for (values, (name, shape)) in values.iter_mut().zip(names) {
                let tensor = checkpoint.require(path, &format!("adam.{name}.{part}"), shape)?;
                *values = tensor.flatten_all()?.to_vec1()?;
            }
            Ok(Self::new(values, self.adam))
        };
        let (means, squares) = (read("mean")?, read("square")?);
        let set = |parameter: &mut Parameter, mean: &Parameter, square: &Parameter| {
            parameter.part_mut(MEAN).copy_from_slice(mean.part(VALUE));
            parameter.part_mut(SQUARE).copy_from_slice(square.part(VALUE));
        };
        for ((slab, mean), square) in self.slabs.iter_mut().zip(&means.slabs).zip(&squares.slabs) {
            set(&mut slab.encoder, &mean.encoder, &square.encoder);
            set(&mut slab.decoder, &mean.decoder, &square.decoder);
            set(&mut slab.bias, &mean.bias, &square.bias);
        }
        set(&mut self.bias, &means.bias, &squares.bias);
        let n_steps = checkpoint.metadata("adam.n_steps").unwrap_or_default();
        let wrong =
            |_| DedupError::file(path, "a number of steps under `adam.n_steps`", format!("{n_steps:?}"));
        self.n_steps = n_steps.parse().map_err(wrong)?;
        Ok(())
    }
}

/// The columns of a slab of (128, 3072).
fn columns(decoder: &[f32], first: usize) -> Vec<f32> {
    decoder.chunks_exact(N_INPUTS).flat_map(|row| &row[first..first + WIDTH]).copied().collect()
}

impl Slab {
    /// Turns outputs without their bias into dδ, and sums δ² and dδ.
    fn compare(&mut self, clean: &[f32], scale: f32) {
        self.squares = 0.0;
        let bias = self.bias.part(VALUE).to_vec();
        let sums = self.bias.part_mut(GRADIENT);
        sums.fill(0.0);
        for (off, clean) in self.off.chunks_exact_mut(WIDTH).zip(clean.chunks_exact(N_INPUTS)) {
            let clean = &clean[self.first..self.first + WIDTH];
            let mut squares = [0.0f32; 16];
            let rows = off.chunks_exact_mut(16).zip(clean.chunks_exact(16)).zip(bias.chunks_exact(16));
            for (((off, clean), bias), sums) in rows.zip(sums.chunks_exact_mut(16)) {
                for k in 0..16 {
                    let difference = off[k] + bias[k] - clean[k];
                    squares[k] += difference * difference;
                    off[k] = scale * difference;
                    sums[k] += off[k];
                }
            }
            self.squares += f64::from(squares.iter().sum::<f32>());
        }
    }
}

/// The gradient of the two terms over the pre-activations (both copies, 2n × 128), and the terms.
fn hold_together(units: &[f32], weights: Weights) -> (Vec<f32>, [f64; 2]) {
    let (first, second) = units.split_at(units.len() / 2);
    let n = (first.len() / CODE_BITS) as f32;
    let column_sums = |units: &[f32], of: &dyn Fn(usize, f32) -> f32| {
        let mut sums = [0.0f32; CODE_BITS];
        for row in units.chunks_exact(CODE_BITS) {
            sums.iter_mut().zip(row).enumerate().for_each(|(unit, (sum, &a))| *sum += of(unit, a));
        }
        sums
    };
    let means = column_sums(units, &|_, a| a).map(|sum| sum / (2.0 * n));
    let variances = column_sums(units, &|unit, a| (a - means[unit]).powi(2)).map(|sum| sum / (2.0 * n));
    let scales = variances.map(|variance| variance.sqrt() + LEAST_SCALE);
    let first_means = column_sums(first, &|_, a| a).map(|sum| sum / n);
    let per_unit = scales.map(|scale| 2.0 / (n * CODE_BITS as f32 * scale * scale));
    let mut gradient = vec![0.0; units.len()];
    let (to_first, to_second) = gradient.split_at_mut(units.len() / 2);
    let mut together = 0.0;
    let pairs = first.chunks_exact(CODE_BITS).zip(second.chunks_exact(CODE_BITS));
    let gradients = to_first.chunks_exact_mut(CODE_BITS).zip(to_second.chunks_exact_mut(CODE_BITS));
    for ((first, second), (to_first, to_second)) in pairs.zip(gradients) {
        let mut row = 0.0;
        for unit in 0..CODE_BITS {
            let apart = first[unit] - second[unit];
            row += (apart / scales[unit]).powi(2);
            to_second[unit] = -weights.together * per_unit[unit] * apart;
            to_first[unit] = weights.balance * per_unit[unit] * first_means[unit] - to_second[unit];
        }
        together += f64::from(row);
    }
    let off = first_means.iter().zip(&scales).map(|(mean, scale)| f64::from((mean / scale).powi(2)));
    let balance = off.sum::<f64>() / CODE_BITS as f64;
    (gradient, [together / first.len() as f64, balance])
}

#[cfg(test)]
mod tests;
