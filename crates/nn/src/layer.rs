//! Layers with a backward pass of their own.
//!
//! A training step writes each layer's maps once and each gradient once: kernels' gradients are added up in place, and
//! batch norm's gradient replaces the one that it is made of. (candle's own backward pass makes and adds a tensor of zeros for
//! every tensor of the graph.)

use candle_core::{CpuStorage, InplaceOp1, InplaceOp2, InplaceOp3, Layout, Tensor};
use rayon::prelude::*;

use crate::{
    Result,
    batch_norm::{Scaling, Statistics, backward, statistics},
    conv::Convolution,
    storage::{slice, slice_mut, with_slice},
    vectorised,
};

/// Values a task handles.
const CHUNK: usize = 1 << 14;

/// How a layer's input meets its kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Map {
    /// Input (n, …) flattened, kernel (inputs, outputs).
    Linear,
    /// Input (n, h, w, c). A flat input is taken for a square raster of as many channels as the kernel takes.
    Convolution(Convolution),
}

/// What follows the map, and the batch norm if there is one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    /// max(x, slope·x): 0.2 for LeakyReLU, 0 for ReLU, 1 for none.
    Leaky(f32),
    /// tanh.
    Tanh,
}

/// A map, batch norm (gain and bias; none after a tanh layer) and an activation.
#[derive(Debug, Clone)]
pub struct Layer {
    /// How the input meets the kernel.
    pub map: Map,
    /// The kernel.
    pub kernel: Tensor,
    /// Gain and bias of the batch norm.
    pub norm: Option<(Tensor, Tensor)>,
    /// The activation.
    pub activation: Activation,
}

/// What a layer's backward pass needs of its forward pass.
#[derive(Debug)]
pub struct Trace {
    input: Tensor,
    /// Before batch norm, and its statistics.
    mapped: Option<(Tensor, Statistics)>,
    output: Tensor,
}

impl Trace {
    /// The layer's output.
    pub fn output(&self) -> &Tensor {
        &self.output
    }
}

/// The gradients of a layer's parameters, in tensors that are used again.
#[derive(Debug)]
pub struct Gradients {
    kernel: Tensor,
    norm: Option<(Tensor, Tensor)>,
    /// Something is in them to be added to.
    is_set: bool,
}

impl Gradients {
    /// Room for a layer's gradients.
    pub fn of(layer: &Layer) -> Result<Self> {
        // Not `zeros_like`, which would be part of a variable's graph.
        let zeros = |t: &Tensor| Tensor::zeros(t.shape(), t.dtype(), t.device());
        let norm = match &layer.norm {
            Some((gain, bias)) => Some((zeros(gain)?, zeros(bias)?)),
            None => None,
        };
        Ok(Self { kernel: zeros(&layer.kernel)?, norm, is_set: false })
    }

    /// Begins a new sum.
    pub fn clear(&mut self) {
        self.is_set = false;
    }

    /// In the order kernel, gain, bias.
    pub fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        [Some(&self.kernel), self.norm.as_ref().map(|n| &n.0), self.norm.as_ref().map(|n| &n.1)]
            .into_iter()
            .flatten()
    }
}

impl Layer {
    /// The output alone, and the statistics its batch norm used: the given ones or, without, the batch's own.
    pub fn forward(&self, x: &Tensor, given: Option<&Statistics>) -> Result<(Tensor, Option<Statistics>)> {
        let y = self.map(&self.raster(x)?)?;
        let used = match &self.norm {
            Some((gain, bias)) => {
                let used = given.cloned().map_or_else(|| statistics(&y), Ok)?;
                y.inplace_op3(gain, bias, &Normalise { statistics: &used, slope: self.slope() })?;
                Some(used)
            }
            None => {
                y.inplace_op1(&Activate(self.activation))?;
                None
            }
        };
        Ok((y, used))
    }

    /// The output with what [`Self::backward`] needs.
    pub fn trace(&self, x: &Tensor) -> Result<Trace> {
        let input = self.raster(x)?;
        let y = self.map(&input)?;
        let Some((gain, bias)) = &self.norm else {
            y.inplace_op1(&Activate(self.activation))?;
            return Ok(Trace { input, mapped: None, output: y });
        };
        let statistics = statistics(&y)?;
        let output = with_slice(&y, "batch_norm", |values| {
            with_slice(gain, "batch_norm", |gain| {
                with_slice(bias, "batch_norm", |bias| {
                    Ok(Scaling::new(&statistics, gain, bias, self.slope())?.apply(values))
                })
            })
        })?;
        let output = Tensor::from_vec(output, y.shape(), y.device())?;
        Ok(Trace { input, mapped: Some((y, statistics)), output })
    }

    /// Turns the output's gradient into the input's, if `wants_input`, and adds the parameters' to `gradients`, if there are.
    /// `dy` is used up: its values are overwritten.
    pub fn backward(
        &self,
        trace: &Trace,
        dy: &Tensor,
        gradients: Option<&mut Gradients>,
        wants_input: bool,
    ) -> Result<Option<Tensor>> {
        let dy = dy.reshape(trace.output.shape())?;
        let (mut dgain, mut dbias) = (Vec::new(), Vec::new());
        match (&self.norm, &trace.mapped) {
            (Some((gain, _)), Some((mapped, statistics))) => {
                (dgain, dbias) = with_slice(gain, "batch_norm", |gain| {
                    let sums = std::sync::Mutex::new((Vec::new(), Vec::new()));
                    let op = NormaliseBackward { slope: self.slope(), statistics, gain, sums: &sums };
                    dy.inplace_op3(mapped, &trace.output, &op)?;
                    Ok(sums.into_inner().unwrap_or_else(|e| e.into_inner()))
                })?;
            }
            _ => dy.inplace_op2(&trace.output, &ActivateBackward(self.activation))?,
        }
        if let Some(gradients) = gradients {
            self.kernel_gradient(&trace.input, &dy, gradients)?;
            if let Some((gain, bias)) = &gradients.norm {
                gain.inplace_op1(&AddChannels { values: &dgain, adds: gradients.is_set })?;
                bias.inplace_op1(&AddChannels { values: &dbias, adds: gradients.is_set })?;
            }
            gradients.is_set = true;
        }
        wants_input.then(|| self.input_gradient(trace.input.dims(), &dy)).transpose()
    }

    fn slope(&self) -> f32 {
        match self.activation {
            Activation::Leaky(slope) => slope,
            Activation::Tanh => 1.0,
        }
    }

    /// The input as the map takes it.
    fn raster(&self, x: &Tensor) -> Result<Tensor> {
        let x = x.detach().contiguous()?;
        Ok(match (self.map, x.dims(), self.kernel.dims()) {
            (Map::Linear, ..) => x.flatten_from(1)?,
            (Map::Convolution(convolution), &[n, units], &[_, _, inner, outer]) => {
                let channels = if convolution.transposed.is_some() { outer } else { inner };
                let side = (units / channels.max(1)).isqrt();
                x.reshape((n, side, side, channels))?
            }
            _ => x,
        })
    }

    fn map(&self, input: &Tensor) -> Result<Tensor> {
        match self.map {
            Map::Linear => Ok(input.matmul(&self.kernel.detach())?),
            Map::Convolution(convolution) => convolution.forward(input, &self.kernel),
        }
    }

    fn input_gradient(&self, x: &[usize], dy: &Tensor) -> Result<Tensor> {
        match self.map {
            Map::Linear => Ok(dy.matmul(&self.kernel.detach().t()?)?),
            Map::Convolution(convolution) => convolution.input_gradient(x, &self.kernel, dy),
        }
    }

    fn kernel_gradient(&self, x: &Tensor, dy: &Tensor, gradients: &Gradients) -> Result<()> {
        match self.map {
            Map::Linear => {
                let gradient = x.t()?.matmul(dy)?;
                Ok(gradients.kernel.inplace_op2(&gradient, &Accumulate { adds: gradients.is_set })?)
            }
            Map::Convolution(convolution) => {
                convolution.kernel_gradient(x, dy, &gradients.kernel, gradients.is_set)
            }
        }
    }
}

/// Runs `x` through `layers` and keeps what [`backward`](stack_backward) needs.
pub fn stack_trace(layers: &[Layer], x: &Tensor) -> Result<Vec<Trace>> {
    let mut traces: Vec<Trace> = Vec::with_capacity(layers.len());
    for layer in layers {
        let trace = layer.trace(traces.last().map_or(x, Trace::output))?;
        traces.push(trace);
    }
    Ok(traces)
}

/// Turns the gradient `dy` of the last layer's output into that of the first one's input, if `wants_input`, and adds the
/// parameters' to `gradients`, if there are; traces are dropped as they are used up.
pub fn stack_backward(
    layers: &[Layer],
    mut traces: Vec<Trace>,
    dy: &Tensor,
    mut gradients: Option<&mut [Gradients]>,
    wants_input: bool,
) -> Result<Option<Tensor>> {
    let mut dy = dy.clone();
    for (i, layer) in layers.iter().enumerate().rev() {
        let Some(trace) = traces.pop() else { break };
        let own = gradients.as_mut().and_then(|g| g.get_mut(i));
        match layer.backward(&trace, &dy, own, i > 0 || wants_input)? {
            Some(dx) => dy = dx,
            None => return Ok(None),
        }
    }
    Ok(Some(dy))
}

struct Normalise<'a> {
    statistics: &'a Statistics,
    slope: f32,
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

struct NormaliseBackward<'a> {
    slope: f32,
    statistics: &'a Statistics,
    gain: &'a [f32],
    sums: &'a std::sync::Mutex<(Vec<f64>, Vec<f64>)>,
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

struct Activate(Activation);

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

struct ActivateBackward(Activation);

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
struct Accumulate {
    adds: bool,
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
struct AddChannels<'a> {
    values: &'a [f64],
    adds: bool,
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

#[cfg(test)]
mod tests;
