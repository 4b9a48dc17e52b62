//! Layers with a backward pass of their own.
//!
//! A training step writes each layer's maps once and each gradient once: kernels' gradients are added up in place, and
//! batch norm's gradient replaces the one that it is made of. (candle's own backward pass makes and adds a tensor of zeros for
//! every tensor of the graph.)
//!
//! A conditional network joins [`labels`](crate::labels) to the input of every layer: kernels take as many inputs more, and the
//! gradient of what was joined is not computed.

use std::sync::Arc;

use candle_core::{Module, Tensor};

use crate::{
    Result,
    activation::Activation,
    batch_norm::Statistics,
    conv::Convolution,
    device,
    kernels::{Mean, Norm, Sum},
    labels::join,
    parts::Part,
};

/// How a layer's input meets its kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Map {
    /// Input (n, …) flattened, kernel (inputs, outputs).
    Linear,
    /// Input (n, h, w, c). A flat input is taken for a square raster of as many channels as the kernel takes.
    Convolution(Convolution),
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
    /// Labels joined to it.
    n_joined: usize,
    /// Before batch norm, and its statistics as the device has them.
    mapped: Option<(Tensor, Tensor)>,
    /// Whose statistics those are, where it is not the batch's alone.
    across: Option<Arc<Part>>,
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

    /// [`Self::of`] a layer whose gain and bias are constants.
    pub fn of_kernel(layer: &Layer) -> Result<Self> {
        Ok(Self { norm: None, ..Self::of(layer)? })
    }

    /// Begins a new sum.
    pub fn clear(&mut self) {
        self.is_set = false;
    }

    /// Where those of gain and bias go.
    fn norm_sums(&self) -> Option<[Sum<'_>; 2]> {
        let (gain, bias) = self.norm.as_ref()?;
        Some([gain, bias].map(|tensor| Sum { tensor, adds: self.is_set }))
    }

    /// In the order kernel, gain, bias.
    pub fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        [Some(&self.kernel), self.norm.as_ref().map(|n| &n.0), self.norm.as_ref().map(|n| &n.1)]
            .into_iter()
            .flatten()
    }
}

impl Layer {
    /// The layer as its device takes it best, for several passes with the same parameters.
    pub fn prepared(&self) -> Result<Self> {
        let (kernels, kernel) = (device::kernels(self.kernel.device())?, self.kernel.detach());
        let kernel = match self.map {
            Map::Linear => kernels.network_input(&kernel)?,
            Map::Convolution(_) => kernels.prepared(&kernel)?,
        };
        Ok(Self { kernel, ..self.clone() })
    }

    /// The output alone, by the given statistics or, without, the batch's own; does not wait for a GPU.
    pub fn output(&self, x: &Tensor, given: Option<&Statistics>) -> Result<Tensor> {
        self.output_joined(x, None, given)
    }

    /// [`Self::output`] of an input with labels (n, k) joined to it, where there are.
    pub fn output_joined(
        &self,
        x: &Tensor,
        labels: Option<&Tensor>,
        given: Option<&Statistics>,
    ) -> Result<Tensor> {
        Ok(self.pass(self.raster(x, labels)?, given, true, None)?.output)
    }

    /// [`Self::output_joined`], and the statistics its batch norm used.
    pub fn output_and_statistics(
        &self,
        x: &Tensor,
        labels: Option<&Tensor>,
        given: Option<&Statistics>,
    ) -> Result<(Tensor, Option<Statistics>)> {
        let Trace { output, mapped, .. } = self.pass(self.raster(x, labels)?, given, true, None)?;
        let to_host = |(_, used)| device::kernels(output.device())?.statistics_to_host(&used);
        let used = mapped.map(to_host).transpose()?;
        Ok((output, used))
    }

    /// The output with what [`Self::backward`] needs, by the batch's own statistics.
    pub fn trace(&self, x: &Tensor) -> Result<Trace> {
        self.trace_joined(x, None)
    }

    /// [`Self::trace`] of an input with labels (n, k) joined to it, where there are.
    pub fn trace_joined(&self, x: &Tensor, labels: Option<&Tensor>) -> Result<Trace> {
        self.trace_across(x, labels, None)
    }

    /// [`Self::trace_joined`] by the statistics of all parts of a minibatch, each on a device of its own, where there are.
    fn trace_across(&self, x: &Tensor, labels: Option<&Tensor>, across: Option<&Arc<Part>>) -> Result<Trace> {
        let trace = self.pass(self.network_input(x, labels)?, None, false, across)?;
        Ok(Trace { n_joined: n_joined(labels), ..trace })
    }

    /// The input as it is in training.
    fn network_input(&self, x: &Tensor, labels: Option<&Tensor>) -> Result<Tensor> {
        let x = self.raster(x, labels)?;
        Ok(device::kernels(x.device())?.network_input(&x)?)
    }

    /// In place, what batch norm was given is overwritten by the output.
    fn pass(
        &self,
        input: Tensor,
        given: Option<&Statistics>,
        in_place: bool,
        across: Option<&Arc<Part>>,
    ) -> Result<Trace> {
        let (kernels, kernel) = (device::kernels(input.device())?, &self.kernel.detach());
        let y = match self.map {
            Map::Linear => kernels.matmul(&input, &kernels.cast(kernel, input.dtype())?)?,
            Map::Convolution(convolution) => convolution.forward(&input, kernel)?,
        };
        let Some((gain, bias)) = &self.norm else {
            kernels.activate(&y, self.activation)?;
            return Ok(Trace { input, n_joined: 0, mapped: None, across: None, output: y });
        };
        let statistics = match given {
            Some(given) => kernels.statistics_from(given)?,
            None => kernels.statistics(&y)?,
        };
        let statistics = match across {
            Some(part) => {
                let own = kernels.statistics_to_host(&statistics)?;
                kernels.statistics_from(&part.statistics(&own)?)?
            }
            None => statistics,
        };
        let norm = Norm { statistics: &statistics, gain, bias, slope: self.slope(), across: None };
        let output = kernels.normalise(&y, norm, in_place)?;
        Ok(Trace { input, n_joined: 0, mapped: Some((y, statistics)), across: across.cloned(), output })
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
        let (kernels, dy) = (device::kernels(dy.device())?, dy.reshape(trace.output.shape())?);
        match (&self.norm, &trace.mapped) {
            (Some((gain, bias)), Some((mapped, statistics))) => {
                let mean =
                    trace.across.as_deref().map(|part| |numbers: &mut [f64]| Ok(part.mean_of(numbers)?));
                let across = mean.as_ref().map(|mean| mean as Mean<'_>);
                let norm = Norm { statistics, gain, bias, slope: self.slope(), across };
                let sums = gradients.as_deref().and_then(Gradients::norm_sums);
                kernels.normalise_backward([mapped, &trace.output, &dy], norm, sums)?;
            }
            _ => kernels.activate_backward(&trace.output, &dy, self.activation)?,
        }
        if let Some(gradients) = gradients {
            let to = Sum { tensor: &gradients.kernel, adds: gradients.is_set };
            match self.map {
                Map::Linear => kernels.accumulate_product(to, &trace.input.t()?, &dy)?,
                Map::Convolution(convolution) => {
                    convolution.kernel_gradient(&trace.input, &dy, to.tensor, to.adds)?;
                }
            }
            gradients.is_set = true;
        }
        let input_gradient = || {
            let (kernel, input) = (self.kernel_of_input(trace.n_joined)?, trace.input.dims());
            match self.map {
                Map::Linear => Ok(kernels.matmul(&dy, &kernels.cast(&kernel, dy.dtype())?.t()?)?),
                Map::Convolution(convolution) => {
                    let (own, c) = (&input[..input.len() - 1], input[input.len() - 1]);
                    convolution.input_gradient(&[own, &[c - trace.n_joined]].concat(), &kernel, &dy)
                }
            }
        };
        wants_input.then(input_gradient).transpose()
    }

    /// The part of the kernel that meets the input's own channels; the last are joined ones.
    fn kernel_of_input(&self, n_joined: usize) -> Result<Tensor> {
        let kernel = self.kernel.detach();
        let dim = match self.map {
            _ if n_joined == 0 => return Ok(kernel),
            Map::Linear => 0,
            Map::Convolution(Convolution { transposed: None, .. }) => 2,
            Map::Convolution(_) => 3,
        };
        Ok(device::kernels(kernel.device())?.front(&kernel, dim, kernel.dim(dim)? - n_joined)?)
    }

    fn slope(&self) -> f32 {
        match self.activation {
            Activation::Leaky(slope) => slope,
            Activation::Tanh | Activation::Sigmoid => 1.0,
        }
    }

    /// The input as the map takes it.
    fn raster(&self, x: &Tensor, labels: Option<&Tensor>) -> Result<Tensor> {
        let x = x.detach().contiguous()?;
        let x = match (self.map, x.dims(), self.kernel.dims()) {
            (Map::Linear, ..) => x.flatten_from(1)?,
            (Map::Convolution(convolution), &[n, units], &[_, _, inner, outer]) => {
                let channels = if convolution.transposed.is_some() { outer } else { inner };
                let channels = channels.saturating_sub(n_joined(labels));
                let side = (units / channels.max(1)).isqrt();
                x.reshape((n, side, side, channels))?
            }
            _ => x,
        };
        match labels {
            Some(labels) => join(&x, labels),
            None => Ok(x),
        }
    }
}

fn n_joined(labels: Option<&Tensor>) -> usize {
    labels.and_then(|labels| labels.dims().last().copied()).unwrap_or(0)
}

/// By the batch's own statistics. What comes out is no part of a graph of candle's: gradients are [`Layer::backward`]'s.
impl Module for Layer {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        Ok(self.output(x, None)?)
    }
}

/// Room for the gradients of each.
pub fn gradients_of(layers: &[Layer]) -> Result<Vec<Gradients>> {
    layers.iter().map(Gradients::of).collect()
}

/// [`Layer::prepared`] of each.
pub fn prepare(layers: &[Layer]) -> Result<Vec<Layer>> {
    layers.iter().map(Layer::prepared).collect()
}

/// Runs `x` through `layers` and keeps what [`backward`](stack_backward) needs.
pub fn stack_trace(layers: &[Layer], x: &Tensor) -> Result<Vec<Trace>> {
    stack_trace_joined(layers, x, None)
}

/// [`stack_trace`] with labels (n, k) joined to every layer's input, where there are.
pub fn stack_trace_joined(layers: &[Layer], x: &Tensor, labels: Option<&Tensor>) -> Result<Vec<Trace>> {
    stack_trace_across(layers, x, labels, None)
}

/// [`stack_trace_joined`] with batch norm by the statistics of the whole minibatch of which `x` is this part, where there are others; its way back
/// takes the same. Waits for all at every batch norm.
pub fn stack_trace_across(
    layers: &[Layer],
    x: &Tensor,
    labels: Option<&Tensor>,
    across: Option<&Arc<Part>>,
) -> Result<Vec<Trace>> {
    let mut traces: Vec<Trace> = Vec::with_capacity(layers.len());
    for layer in layers {
        let trace = layer.trace_across(traces.last().map_or(x, Trace::output), labels, across)?;
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

#[cfg(test)]
mod tests;
