//! The generator.

use std::path::Path;

use candle_core::{Device, Tensor, Var};
use dcgan_nn::{batch_norm::batch_norm, checkpoint::Checkpoint, conv::conv_transpose2d};

use crate::{
    BASE_SIZE, GeneratorConfig, Result,
    parameters::{self, Kind, Parameters, Source},
};

const NETWORK: &str = "generator";

/// z (n, nz) → linear → batch norm per unit → ReLU → (n, 4, 4, c) → transposed convolutions, each but the last with
/// batch norm and ReLU → tanh → pictures (n, h, w, 3) in [-1, 1].
///
/// Batch norm uses the batch's own statistics, also when sampling: a picture depends on the batch it is drawn in.
#[derive(Debug, Clone)]
pub struct Generator {
    config: GeneratorConfig,
    project: Tensor,
    project_norm: (Tensor, Tensor),
    layers: Vec<(Tensor, Option<(Tensor, Tensor)>)>,
    parameters: Parameters,
}

impl Generator {
    /// A generator with the paper's initial weights, drawn from `seed`.
    pub fn random(config: GeneratorConfig, seed: u64, device: &Device) -> Result<Self> {
        Self::build(config, Source::Random(&mut parameters::weights_rng(seed, 0), device))
    }

    /// Reads a file that [`Self::save`] wrote.
    ///
    /// # Errors
    /// Where the file cannot be read, is no generator, or a tensor is missing or has another shape.
    pub fn load(path: &Path, device: &Device) -> Result<Self> {
        let (config, checkpoint) = parameters::load(NETWORK, path, device)?;
        Self::from_checkpoint(config, &checkpoint, path, "")
    }

    pub(crate) fn from_checkpoint(
        config: GeneratorConfig,
        checkpoint: &Checkpoint,
        path: &Path,
        prefix: &str,
    ) -> Result<Self> {
        Self::build(config, Source::Checkpoint(checkpoint, path, prefix))
    }

    fn build(config: GeneratorConfig, mut source: Source) -> Result<Self> {
        let mut parameters = Parameters::default();
        let units = config.base_channels * BASE_SIZE * BASE_SIZE;
        let mut make = |name: &str, shape: &[usize], kind| parameters.make(&mut source, name, shape, kind);
        let project = make("project.weight", &[config.nz, units], Kind::Weight)?;
        let project_norm =
            (make("project.gain", &[units], Kind::Gain)?, make("project.bias", &[units], Kind::Bias)?);
        let mut layers = Vec::new();
        let mut channels = config.base_channels;
        for (i, layer) in config.layers.iter().enumerate() {
            let shape = [config.kernel, config.kernel, layer.channels, channels];
            let kernel = make(&format!("deconv{i}.kernel"), &shape, Kind::Weight)?;
            let c = [layer.channels];
            let norm = match i + 1 < config.layers.len() {
                true => Some((
                    make(&format!("deconv{i}.gain"), &c, Kind::Gain)?,
                    make(&format!("deconv{i}.bias"), &c, Kind::Bias)?,
                )),
                false => None,
            };
            layers.push((kernel, norm));
            channels = layer.channels;
        }
        Ok(Self { config, project, project_norm, layers, parameters })
    }

    /// Its sizes.
    pub fn config(&self) -> &GeneratorConfig {
        &self.config
    }

    /// Where its weights are.
    pub fn device(&self) -> &Device {
        self.project.device()
    }

    /// Its named parameters.
    pub fn parameters(&self) -> &[(String, Var)] {
        self.parameters.vars()
    }

    pub(crate) fn store(&self, prefix: &str, checkpoint: &mut Checkpoint) {
        self.parameters.store(prefix, checkpoint);
    }

    /// Writes parameters and configuration to a `.safetensors` file, whole or not at all.
    pub fn save(&self, path: &Path) -> Result<()> {
        parameters::save(&self.parameters, NETWORK, &self.config, path)
    }

    /// The same weights without gradients; it follows later updates of this one.
    pub fn frozen(&self) -> Self {
        let pair = |(a, b): &(Tensor, Tensor)| (a.detach(), b.detach());
        Self {
            config: self.config.clone(),
            project: self.project.detach(),
            project_norm: pair(&self.project_norm),
            layers: self.layers.iter().map(|(k, norm)| (k.detach(), norm.as_ref().map(pair))).collect(),
            parameters: Parameters::default(),
        }
    }

    /// z (n, nz) → pictures (n, h, w, 3) in [-1, 1].
    pub fn forward(&self, z: &Tensor) -> Result<Tensor> {
        let (gain, bias) = &self.project_norm;
        let hidden = batch_norm(&z.matmul(&self.project)?, gain, bias, 0.0)?;
        // The linear layer's units are in the order (c, y, x), as in the released weights.
        let mut x = hidden
            .reshape(((), self.config.base_channels, BASE_SIZE, BASE_SIZE))?
            .permute((0, 2, 3, 1))?
            .contiguous()?;
        for ((kernel, norm), layer) in self.layers.iter().zip(&self.config.layers) {
            x = conv_transpose2d(&x, kernel, layer.stride, self.config.kernel / 2, layer.stride - 1)?;
            x = match norm {
                Some((gain, bias)) => batch_norm(&x, gain, bias, 0.0)?,
                None => x.tanh()?,
            };
        }
        Ok(x)
    }
}
