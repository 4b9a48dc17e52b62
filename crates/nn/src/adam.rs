//! Adam with coupled l2.

use std::sync::Mutex;

use candle_core::{CpuStorage, Device, InplaceOp2, Layout, Tensor, Var, backprop::GradStore};
use rayon::prelude::*;

use crate::{Result, checkpoint::Checkpoint, storage::slice, vectorised};

/// Values a task handles.
const CHUNK: usize = 1 << 14;

/// Settings of [`Adam`]; the default is the paper's (section 4, and the released code for `l2`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamConfig {
    /// Learning rate.
    pub learning_rate: f64,
    /// Decay of the mean of gradients; the paper found 0.9 unstable and took 0.5.
    pub beta1: f64,
    /// Decay of the mean of squared gradients.
    pub beta2: f64,
    /// Added to the root of the mean of squared gradients.
    pub eps: f64,
    /// Weight of ½‖p‖² in the loss: l2·p is added to the gradient before anything else (not AdamW's decay).
    pub l2: f64,
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self { learning_rate: 2e-4, beta1: 0.5, beta2: 0.999, eps: 1e-8, l2: 1e-5 }
    }
}

/// Adam (Kingma and Ba 2015) over named parameters.
///
/// g ← g + l2·p; m ← β₁m + (1−β₁)g; v ← β₂v + (1−β₂)g²;
/// p ← p − lr · (m / (1−β₁ᵗ)) / (√(v / (1−β₂ᵗ)) + eps).
/// The released code lets β₁ decay by a factor 1 − 10⁻⁸ a step, which is left out.
#[derive(Debug)]
pub struct Adam {
    config: AdamConfig,
    parameters: Vec<Parameter>,
    n_steps: u64,
}

#[derive(Debug)]
struct Parameter {
    name: String,
    var: Var,
    moments: Moments,
}

/// Running means of gradients and of their squares.
#[derive(Debug)]
enum Moments {
    Host(Mutex<HostMoments>),
    /// Both on the parameter's own device, from the first step on.
    #[cfg(feature = "cuda")]
    Gpu(Option<[Tensor; 2]>),
}

#[derive(Debug)]
struct HostMoments {
    mean: Vec<f32>,
    square: Vec<f32>,
}

impl Moments {
    fn zero(var: &Var) -> Self {
        #[cfg(feature = "cuda")]
        if var.device().is_cuda() {
            return Self::Gpu(None);
        }
        let zeros = vec![0.0; var.elem_count()];
        Self::Host(Mutex::new(HostMoments { mean: zeros.clone(), square: zeros }))
    }

    /// From tensors on the parameter's device.
    fn of([mean, square]: [Tensor; 2]) -> Result<Self> {
        #[cfg(feature = "cuda")]
        if mean.device().is_cuda() {
            return Ok(Self::Gpu(Some([mean.copy()?, square.copy()?])));
        }
        let values = |tensor: Tensor| tensor.flatten_all()?.to_vec1();
        Ok(Self::Host(Mutex::new(HostMoments { mean: values(mean)?, square: values(square)? })))
    }

    /// Both, of the shape of `var`.
    fn tensors(&self, var: &Var) -> Result<[Tensor; 2]> {
        match self {
            Self::Host(moments) => {
                let moments = moments.lock().unwrap_or_else(|e| e.into_inner());
                let tensor = |values: &[f32]| Tensor::from_slice(values, var.shape(), &Device::Cpu);
                Ok([tensor(&moments.mean)?, tensor(&moments.square)?])
            }
            #[cfg(feature = "cuda")]
            Self::Gpu(Some(moments)) => Ok(moments.clone()),
            #[cfg(feature = "cuda")]
            Self::Gpu(None) => {
                let zeros = Tensor::zeros(var.shape(), var.dtype(), &Device::Cpu)?;
                Ok([zeros.clone(), zeros])
            }
        }
    }
}

impl Adam {
    /// An optimiser whose moments are zero.
    pub fn new(parameters: Vec<(String, Var)>, config: AdamConfig) -> Self {
        let parameters = parameters
            .into_iter()
            .map(|(name, var)| Parameter { name, moments: Moments::zero(&var), var })
            .collect();
        Self { config, parameters, n_steps: 0 }
    }

    /// Updates every parameter that `gradients` holds a gradient for.
    pub fn step(&mut self, gradients: &GradStore) -> Result<()> {
        let gradients: Vec<Option<Tensor>> =
            self.parameters.iter().map(|p| gradients.get(&p.var).cloned()).collect();
        self.step_with(gradients.iter().map(Option::as_ref))
    }

    /// Updates every parameter that has a gradient; `gradients` come in the parameters' order.
    pub fn step_with<'a>(&mut self, gradients: impl IntoIterator<Item = Option<&'a Tensor>>) -> Result<()> {
        self.n_steps += 1;
        let t = self.n_steps as f64;
        for (parameter, gradient) in self.parameters.iter_mut().zip(gradients) {
            let Some(gradient) = gradient else { continue };
            match &mut parameter.moments {
                Moments::Host(moments) => {
                    let update = Update {
                        config: self.config,
                        mean_scale: 1.0 / (1.0 - self.config.beta1.powf(t)),
                        square_scale: 1.0 / (1.0 - self.config.beta2.powf(t)),
                        moments,
                    };
                    parameter.var.inplace_op2(&gradient.contiguous()?, &update)?;
                }
                #[cfg(feature = "cuda")]
                Moments::Gpu(moments) => {
                    let zeros = || {
                        Tensor::zeros(parameter.var.shape(), parameter.var.dtype(), parameter.var.device())
                    };
                    let [mean, square] = match moments {
                        Some(moments) => moments,
                        None => moments.insert([zeros()?, zeros()?]),
                    };
                    let tensors = [parameter.var.as_tensor(), &gradient.contiguous()?, mean, square];
                    crate::cuda::adam(tensors, self.config, self.n_steps)?;
                }
            }
        }
        Ok(())
    }

    /// Changes the learning rate of the steps to come.
    pub fn set_learning_rate(&mut self, learning_rate: f64) {
        self.config.learning_rate = learning_rate;
    }

    /// Updates made so far.
    pub fn n_steps(&self) -> u64 {
        self.n_steps
    }

    /// Adds the moments to a checkpoint as `{prefix}.{parameter}.mean` and `….square`, and the number of steps.
    pub fn save(&self, prefix: &str, checkpoint: &mut Checkpoint) -> Result<()> {
        for Parameter { name, var, moments } in &self.parameters {
            for (part, tensor) in ["mean", "square"].into_iter().zip(moments.tensors(var)?) {
                checkpoint.insert(format!("{prefix}.{name}.{part}"), &tensor);
            }
        }
        checkpoint.describe(&format!("{prefix}.n_steps"), self.n_steps.to_string());
        Ok(())
    }

    /// Takes the moments and the number of steps back from a checkpoint read from `path`.
    ///
    /// # Errors
    /// Where something is missing or has another shape.
    pub fn load(&mut self, prefix: &str, checkpoint: &Checkpoint, path: &std::path::Path) -> Result<()> {
        for Parameter { name, var, moments } in &mut self.parameters {
            let part = |part: &str| -> Result<Tensor> {
                let tensor = checkpoint.require(path, &format!("{prefix}.{name}.{part}"), var.dims())?;
                Ok(tensor.to_device(var.device())?)
            };
            *moments = Moments::of([part("mean")?, part("square")?])?;
        }
        let key = format!("{prefix}.n_steps");
        let n_steps = checkpoint.metadata(&key).and_then(|n| n.parse().ok());
        self.n_steps = n_steps.ok_or_else(|| crate::NnError::Checkpoint {
            path: path.to_path_buf(),
            expected: format!("a number of steps under `{key}`"),
            found: format!("{:?}", checkpoint.metadata(&key)),
        })?;
        Ok(())
    }
}

/// One parameter's update as an operation in place.
struct Update<'a> {
    config: AdamConfig,
    mean_scale: f64,
    square_scale: f64,
    moments: &'a Mutex<HostMoments>,
}

impl InplaceOp2 for Update<'_> {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn cpu_fwd(
        &self,
        parameter: &mut CpuStorage,
        layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> candle_core::Result<()> {
        let gradient = slice(gradient, gradient_layout, self.name())?;
        let CpuStorage::F32(values) = parameter else { candle_core::bail!("adam: expected f32 parameters") };
        let Some((start, end)) = layout.contiguous_offsets() else {
            candle_core::bail!("adam: expected a contiguous parameter")
        };
        let mut moments = self.moments.lock().unwrap_or_else(|e| e.into_inner());
        let HostMoments { mean, square } = &mut *moments;
        let AdamConfig { learning_rate, beta1, beta2, eps, l2 } = self.config;
        let (beta1, beta2, eps, l2) = (beta1 as f32, beta2 as f32, eps as f32, l2 as f32);
        let rate = (learning_rate * self.mean_scale) as f32;
        let square_scale = self.square_scale as f32;
        values[start..end]
            .par_chunks_mut(CHUNK)
            .zip(gradient.par_chunks(CHUNK))
            .zip(mean.par_chunks_mut(CHUNK))
            .zip(square.par_chunks_mut(CHUNK))
            .for_each(|(((p, g), m), v)| {
                vectorised(|| {
                    for (((p, &g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
                        let g = g + l2 * *p;
                        *m = beta1 * *m + (1.0 - beta1) * g;
                        *v = beta2 * *v + (1.0 - beta2) * g * g;
                        *p -= rate * *m / ((*v * square_scale).sqrt() + eps);
                    }
                });
            });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
