//! The layers' element-wise steps on the CPU, as candle operations in place.

use candle_core::{CpuStorage, InplaceOp1, InplaceOp2, InplaceOp3, Layout};
use rayon::prelude::*;

use super::Activation;
use crate::{
    batch_norm::{Scaling, Statistics, backward},
    storage::{slice, slice_mut},
    vectorised,
};

/// Values a task handles.
const CHUNK: usize = 1 << 14;

pub(super) struct Normalise<'a> {
    pub(super) statistics: &'a Statistics,
    pub(super) slope: f32,
}

impl InplaceOp3 for Normalise<'_> {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn cpu_fwd(
        &self,
        x: &mut CpuStorage,
        x_layout: &Layout,
        gain: &CpuStorage,
        gain_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> candle_core::Result<()> {
        let gain = slice(gain, gain_layout, self.name())?;
        let bias = slice(bias, bias_layout, self.name())?;
        let scaling = Scaling::new(self.statistics, gain, bias, self.slope)?;
        scaling.apply_in_place(slice_mut(x, x_layout, self.name())?);
        Ok(())
    }
}

pub(super) struct NormaliseBackward<'a> {
    pub(super) slope: f32,
    pub(super) statistics: &'a Statistics,
    pub(super) gain: &'a [f32],
    pub(super) sums: &'a std::sync::Mutex<(Vec<f64>, Vec<f64>)>,
}

impl InplaceOp3 for NormaliseBackward<'_> {
    fn name(&self) -> &'static str {
        "batch_norm_backward"
    }

    fn cpu_fwd(
        &self,
        gradient: &mut CpuStorage,
        gradient_layout: &Layout,
        x: &CpuStorage,
        x_layout: &Layout,
        y: &CpuStorage,
        y_layout: &Layout,
    ) -> candle_core::Result<()> {
        let values = [slice(x, x_layout, self.name())?, slice(y, y_layout, self.name())?];
        let gradient = slice_mut(gradient, gradient_layout, self.name())?;
        let sums = backward(self.slope, self.statistics, self.gain, values, gradient);
        *self.sums.lock().unwrap_or_else(|e| e.into_inner()) = sums;
        Ok(())
    }
}

pub(super) struct Activate(pub(super) Activation);

impl InplaceOp1 for Activate {
    fn name(&self) -> &'static str {
        "activate"
    }

    fn cpu_fwd(&self, x: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        slice_mut(x, layout, self.name())?.par_chunks_mut(CHUNK).for_each(|x| match self.0 {
            Activation::Leaky(1.0) => {}
            Activation::Leaky(slope) => vectorised(|| {
                x.iter_mut().for_each(|x| *x = if *x > 0.0 { *x } else { slope * *x });
            }),
            Activation::Tanh => x.iter_mut().for_each(|x| *x = x.tanh()),
        });
        Ok(())
    }
}

pub(super) struct ActivateBackward(pub(super) Activation);

impl InplaceOp2 for ActivateBackward {
    fn name(&self) -> &'static str {
        "activate_backward"
    }

    fn cpu_fwd(
        &self,
        gradient: &mut CpuStorage,
        gradient_layout: &Layout,
        y: &CpuStorage,
        y_layout: &Layout,
    ) -> candle_core::Result<()> {
        let y = slice(y, y_layout, self.name())?;
        let gradient = slice_mut(gradient, gradient_layout, self.name())?;
        gradient.par_chunks_mut(CHUNK).zip(y.par_chunks(CHUNK)).for_each(|(gradient, y)| {
            vectorised(|| match self.0 {
                Activation::Leaky(slope) => gradient.iter_mut().zip(y).for_each(|(g, &y)| {
                    *g = if y > 0.0 { *g } else { slope * *g };
                }),
                Activation::Tanh => gradient.iter_mut().zip(y).for_each(|(g, &y)| *g *= 1.0 - y * y),
            });
        });
        Ok(())
    }
}

/// Writes a tensor over another of its shape, or adds it.
pub(super) struct Accumulate {
    pub(super) adds: bool,
}

impl InplaceOp2 for Accumulate {
    fn name(&self) -> &'static str {
        "accumulate"
    }

    fn cpu_fwd(
        &self,
        sum: &mut CpuStorage,
        sum_layout: &Layout,
        term: &CpuStorage,
        term_layout: &Layout,
    ) -> candle_core::Result<()> {
        let term = slice(term, term_layout, self.name())?;
        let sum = slice_mut(sum, sum_layout, self.name())?;
        sum.par_chunks_mut(CHUNK).zip(term.par_chunks(CHUNK)).for_each(|(sum, term)| match self.adds {
            true => vectorised(|| sum.iter_mut().zip(term).for_each(|(s, t)| *s += t)),
            false => sum.copy_from_slice(term),
        });
        Ok(())
    }
}

/// Writes one value a channel, or adds it.
pub(super) struct AddChannels<'a> {
    pub(super) values: &'a [f64],
    pub(super) adds: bool,
}

impl InplaceOp1 for AddChannels<'_> {
    fn name(&self) -> &'static str {
        "add_channels"
    }

    fn cpu_fwd(&self, sum: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        for (sum, &value) in slice_mut(sum, layout, self.name())?.iter_mut().zip(self.values) {
            *sum = if self.adds { *sum + value as f32 } else { value as f32 };
        }
        Ok(())
    }
}
