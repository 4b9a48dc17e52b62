//! Layers with a backward pass of their own.
//!
//! A training step writes each layer's maps once and each gradient once: kernels' gradients are added up in place, and
//! batch norm's gradient replaces the one that it is made of. (candle's own backward pass makes and adds a tensor of zeros for
//! every tensor of the graph.)

mod in_place;
#[cfg(feature = "cuda")]
mod on_gpu;

use candle_core::Tensor;

use self::in_place::{Accumulate, Activate, ActivateBackward, AddChannels, Normalise, NormaliseBackward};
use crate::{
    Result,
    batch_norm::{Scaling, Statistics, statistics},
    conv::Convolution,
    storage::with_slice,
};

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
    mapped: Option<(Tensor, Measured)>,
    output: Tensor,
}

/// Statistics where they are needed.
#[derive(Debug)]
enum Measured {
    Host(Statistics),
    /// As the GPU's kernels take them.
    #[cfg(feature = "cuda")]
    Gpu(Tensor),
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
    /// The layer as its device takes it best, for several passes with the same parameters: on a GPU the kernel is in
    /// cuDNN's order and of the precision networks compute with there, else it is the layer itself.
    pub fn prepared(&self) -> Result<Self> {
        #[cfg(feature = "cuda")]
        if self.kernel.device().is_cuda() {
            return self.prepared_on_gpu();
        }
        Ok(self.clone())
    }

    /// The output alone, by the given statistics or, without, the batch's own; does not wait for a GPU.
    pub fn output(&self, x: &Tensor, given: Option<&Statistics>) -> Result<Tensor> {
        #[cfg(feature = "cuda")]
        if x.device().is_cuda() {
            return Ok(self.forward_on_gpu(x, given)?.0);
        }
        Ok(self.forward(x, given)?.0)
    }

    /// The output alone, and the statistics its batch norm used: the given ones or, without, the batch's own.
    pub fn forward(&self, x: &Tensor, given: Option<&Statistics>) -> Result<(Tensor, Option<Statistics>)> {
        #[cfg(feature = "cuda")]
        if x.device().is_cuda() {
            let (y, used) = self.forward_on_gpu(x, given)?;
            return Ok((y, used.as_ref().map(crate::cuda::statistics_to_host).transpose()?));
        }
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
        #[cfg(feature = "cuda")]
        if x.device().is_cuda() {
            return self.trace_on_gpu(input);
        }
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
        Ok(Trace { input, mapped: Some((y, Measured::Host(statistics))), output })
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
        #[cfg(feature = "cuda")]
        if dy.device().is_cuda() {
            return self.backward_on_gpu(trace, &dy, gradients, wants_input);
        }
        let (mut dgain, mut dbias) = (Vec::new(), Vec::new());
        match (&self.norm, &trace.mapped) {
            (Some((gain, _)), Some((mapped, Measured::Host(statistics)))) => {
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

/// [`Layer::prepared`] of each.
pub fn prepare(layers: &[Layer]) -> Result<Vec<Layer>> {
    layers.iter().map(Layer::prepared).collect()
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

#[cfg(test)]
mod tests;
