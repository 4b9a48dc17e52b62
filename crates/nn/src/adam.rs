//! Adam with coupled l2.

use candle_core::{Tensor, Var, backprop::GradStore};

use crate::{Result, checkpoint::Checkpoint, device, kernels::AdamStep};

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

impl AdamConfig {
    /// The numbers of update `t`, from 1.
    fn step(&self, t: u64) -> AdamStep {
        let unbiased = |beta: f64| 1.0 / (1.0 - beta.powf(t as f64));
        AdamStep {
            rate: (self.learning_rate * unbiased(self.beta1)) as f32,
            beta1: self.beta1 as f32,
            beta2: self.beta2 as f32,
            square_scale: unbiased(self.beta2) as f32,
            eps: self.eps as f32,
            l2: self.l2 as f32,
        }
    }
}

/// Update number `n_steps` (from 1) of a parameter, the running means of its gradient and of the gradient's square, in plain memory;
/// the formula is [`Adam`]'s.
pub fn update(config: &AdamConfig, n_steps: u64, values: [&mut [f32]; 3], gradient: &[f32]) {
    crate::cpu::adam(values, gradient, config.step(n_steps));
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
    /// Running means of the gradient and of its square, on the parameter's device; zeros that do not exist before the first step.
    moments: Option<[Tensor; 2]>,
}

impl Parameter {
    fn zeros(&self) -> Result<[Tensor; 2]> {
        let zeros = || Tensor::zeros(self.var.shape(), self.var.dtype(), self.var.device());
        Ok([zeros()?, zeros()?])
    }
}

impl Adam {
    /// An optimiser whose moments are zero.
    pub fn new(parameters: Vec<(String, Var)>, config: AdamConfig) -> Self {
        let parameters =
            parameters.into_iter().map(|(name, var)| Parameter { name, var, moments: None }).collect();
        Self { config, parameters, n_steps: 0 }
    }

    /// Updates every parameter that `gradients`, of a graph of candle's, holds a gradient for.
    pub fn step(&mut self, gradients: &GradStore) -> Result<()> {
        let gradients: Vec<Option<Tensor>> =
            self.parameters.iter().map(|p| gradients.get(&p.var).cloned()).collect();
        self.step_with(gradients.iter().map(Option::as_ref))
    }

    /// Updates every parameter that has a gradient; `gradients` come in the parameters' order.
    pub fn step_with<'a>(&mut self, gradients: impl IntoIterator<Item = Option<&'a Tensor>>) -> Result<()> {
        self.n_steps += 1;
        let step = self.config.step(self.n_steps);
        for (parameter, gradient) in self.parameters.iter_mut().zip(gradients) {
            let Some(gradient) = gradient else { continue };
            let moments = match parameter.moments.take() {
                Some(moments) => moments,
                None => parameter.zeros()?,
            };
            let kernels = device::kernels(parameter.var.device())?;
            kernels.adam(&parameter.var, &gradient.contiguous()?, &moments, step)?;
            parameter.moments = Some(moments);
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
        for parameter in &self.parameters {
            let moments = match &parameter.moments {
                Some(moments) => moments.clone(),
                None => parameter.zeros()?,
            };
            for (part, tensor) in ["mean", "square"].into_iter().zip(moments) {
                checkpoint.insert(format!("{prefix}.{}.{part}", parameter.name), &tensor);
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
                // A copy: the checkpoint's own tensors stay as they are.
                Ok(tensor.to_device(var.device())?.copy()?)
            };
            *moments = Some([part("mean")?, part("square")?]);
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

#[cfg(test)]
mod tests;
