//! The layers' passes on a GPU: cuDNN's and cuBLAS's products, and own kernels for the rest.

use candle_core::Tensor;

use super::{Gradients, Layer, Map, Measured, Trace};
use crate::{
    Result,
    batch_norm::Statistics,
    cuda::{self, Context, Norm},
    device::{Math, network_input},
};

impl Layer {
    pub(super) fn prepared_on_gpu(&self) -> Result<Self> {
        let bf16 = Context::of_tensor(&self.kernel)?.math() == Math::Bf16;
        let dtype = if bf16 { candle_core::DType::BF16 } else { self.kernel.dtype() };
        let kernel = match self.map {
            Map::Linear => cuda::cast(&self.kernel.detach(), dtype)?,
            Map::Convolution(_) => cuda::krsc(&self.kernel, dtype)?,
        };
        Ok(Self { kernel, ..self.clone() })
    }

    /// The output, of the input's type, and the statistics used as the kernels take them.
    pub(super) fn forward_on_gpu(
        &self,
        x: &Tensor,
        given: Option<&Statistics>,
    ) -> Result<(Tensor, Option<Tensor>)> {
        let y = self.map_on_gpu(&self.raster(x)?)?;
        let Some((gain, bias)) = &self.norm else {
            cuda::activate(&y, self.activation)?;
            return Ok((y, None));
        };
        let statistics = match given {
            Some(given) => cuda::statistics_from(given, &y)?,
            None => cuda::statistics(&y)?,
        };
        let norm = Norm { statistics: &statistics, gain, bias, slope: self.slope() };
        cuda::normalise(&y, norm, true)?;
        Ok((y, Some(statistics)))
    }

    pub(super) fn trace_on_gpu(&self, input: Tensor) -> Result<Trace> {
        let input = network_input(&input)?;
        let y = self.map_on_gpu(&input)?;
        let Some((gain, bias)) = &self.norm else {
            cuda::activate(&y, self.activation)?;
            return Ok(Trace { input, mapped: None, output: y });
        };
        let statistics = cuda::statistics(&y)?;
        let norm = Norm { statistics: &statistics, gain, bias, slope: self.slope() };
        let output = cuda::normalise(&y, norm, false)?;
        Ok(Trace { input, mapped: Some((y, Measured::Gpu(statistics))), output })
    }

    pub(super) fn backward_on_gpu(
        &self,
        trace: &Trace,
        dy: &Tensor,
        gradients: Option<&mut Gradients>,
        wants_input: bool,
    ) -> Result<Option<Tensor>> {
        let norm_gradients = gradients
            .as_ref()
            .and_then(|gradients| gradients.norm.as_ref().map(|(gain, bias)| (gain, bias, gradients.is_set)));
        match (&self.norm, &trace.mapped) {
            (Some((gain, bias)), Some((mapped, Measured::Gpu(statistics)))) => {
                let norm = Norm { statistics, gain, bias, slope: self.slope() };
                cuda::normalise_backward(mapped, dy, norm, norm_gradients)?;
            }
            _ => cuda::activate_backward(&trace.output, dy, self.activation)?,
        }
        if let Some(gradients) = gradients {
            match self.map {
                Map::Linear => {
                    let gradient = trace.input.t()?.matmul(dy)?;
                    cuda::accumulate(&gradients.kernel, &gradient, gradients.is_set)?;
                }
                Map::Convolution(convolution) => {
                    convolution.kernel_gradient(&trace.input, dy, &gradients.kernel, gradients.is_set)?;
                }
            }
            gradients.is_set = true;
        }
        let input_gradient = || match self.map {
            Map::Linear => Ok(dy.matmul(&cuda::cast(&self.kernel.detach(), dy.dtype())?.t()?)?),
            Map::Convolution(convolution) => {
                convolution.input_gradient(trace.input.dims(), &self.kernel.detach(), dy)
            }
        };
        wants_input.then(input_gradient).transpose()
    }

    fn map_on_gpu(&self, input: &Tensor) -> Result<Tensor> {
        match self.map {
            Map::Linear => Ok(input.matmul(&cuda::cast(&self.kernel.detach(), input.dtype())?)?),
            Map::Convolution(convolution) => convolution.forward(input, &self.kernel.detach()),
        }
    }
}
