//! The discriminator.

use std::path::Path;

use candle_core::{Device, Tensor, Var};
use dcgan_nn::{
    activation::leaky_relu,
    batch_norm::{Statistics, batch_norm, batch_norm_with, statistics},
    checkpoint::Checkpoint,
    conv::conv2d,
};

use crate::{
    DiscriminatorConfig, IMAGE_CHANNELS, LEAKY_SLOPE, Result,
    parameters::{self, Kind, Parameters, Source},
};

const NETWORK: &str = "discriminator";

/// Pictures (n, h, w, 3) in [-1, 1] → convolutions, each but the first with batch norm, each with LeakyReLU → linear → one
/// logit a picture.
#[derive(Debug, Clone)]
pub struct Discriminator {
    config: DiscriminatorConfig,
    layers: Vec<(Tensor, Option<(Tensor, Tensor)>)>,
    head: Option<Tensor>,
    parameters: Parameters,
}

impl Discriminator {
    /// A discriminator with the paper's initial weights, drawn from `seed`.
    pub fn random(config: DiscriminatorConfig, seed: u64, device: &Device) -> Result<Self> {
        Self::build(config, Source::Random(&mut parameters::weights_rng(seed, 1), device))
    }

    /// Reads a file that [`Self::save`] wrote.
    ///
    /// # Errors
    /// Where the file cannot be read, is no discriminator, or a tensor is missing or has another shape.
    pub fn load(path: &Path, device: &Device) -> Result<Self> {
        let (config, checkpoint) = parameters::load(NETWORK, path, device)?;
        Self::from_checkpoint(config, &checkpoint, path, "")
    }

    pub(crate) fn from_checkpoint(
        config: DiscriminatorConfig,
        checkpoint: &Checkpoint,
        path: &Path,
        prefix: &str,
    ) -> Result<Self> {
        Self::build(config, Source::Checkpoint(checkpoint, path, prefix))
    }

    fn build(config: DiscriminatorConfig, mut source: Source) -> Result<Self> {
        let mut parameters = Parameters::default();
        let mut make = |name: &str, shape: &[usize], kind| parameters.make(&mut source, name, shape, kind);
        let mut layers = Vec::new();
        let mut channels = IMAGE_CHANNELS;
        for (i, layer) in config.layers.iter().enumerate() {
            let shape = [config.kernel, config.kernel, channels, layer.channels];
            let kernel = make(&format!("conv{i}.kernel"), &shape, Kind::Weight)?;
            let c = [layer.channels];
            let norm = match i > 0 {
                true => Some((
                    make(&format!("conv{i}.gain"), &c, Kind::Gain)?,
                    make(&format!("conv{i}.bias"), &c, Kind::Bias)?,
                )),
                false => None,
            };
            layers.push((kernel, norm));
            channels = layer.channels;
        }
        let units = channels * config.last_size() * config.last_size();
        let head = match config.head {
            true => Some(make("head.weight", &[units, 1], Kind::Weight)?),
            false => None,
        };
        Ok(Self { config, layers, head, parameters })
    }

    /// Its sizes.
    pub fn config(&self) -> &DiscriminatorConfig {
        &self.config
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
            layers: self.layers.iter().map(|(k, norm)| (k.detach(), norm.as_ref().map(pair))).collect(),
            head: self.head.as_ref().map(Tensor::detach),
            parameters: Parameters::default(),
        }
    }

    /// Pictures (n, h, w, 3) → logits (n, 1), with the batch's own statistics.
    ///
    /// # Errors
    /// Where the pictures do not fit, or the network has no head.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let Some(head) = &self.head else {
            return Err(candle_core::Error::Msg(
                "this discriminator has no last layer: it only gives features".into(),
            )
            .into());
        };
        let mut x = x.clone();
        for i in 0..self.layers.len() {
            x = self.layer(i, &x, |convolved, (gain, bias)| {
                Ok(batch_norm(convolved, gain, bias, LEAKY_SLOPE)?)
            })?;
        }
        // The linear layer's inputs are in the order (c, y, x), as in the released weights.
        let flat = x.permute((0, 3, 1, 2))?.contiguous()?.flatten_from(1)?;
        Ok(flat.matmul(head)?)
    }

    /// Every layer's maps after its LeakyReLU with the batch's own statistics, and those statistics (none for the first
    /// layer, which has no batch norm). For weights without gradients.
    pub(crate) fn maps_and_statistics(&self, x: &Tensor) -> Result<(Vec<Tensor>, Vec<Option<Statistics>>)> {
        let (mut maps, mut all) = (Vec::new(), Vec::new());
        for i in 0..self.layers.len() {
            let mut own = None;
            let map = self.layer(i, maps.last().unwrap_or(x), |convolved, (gain, bias)| {
                let statistics = own.insert(statistics(convolved)?);
                Ok(batch_norm_with(convolved, gain, bias, statistics, LEAKY_SLOPE)?)
            })?;
            maps.push(map);
            all.push(own);
        }
        Ok((maps, all))
    }

    /// Every layer's maps after its LeakyReLU with given statistics, one entry a layer.
    pub(crate) fn maps_with(&self, x: &Tensor, statistics: &[Option<Statistics>]) -> Result<Vec<Tensor>> {
        let mut maps = Vec::new();
        for (i, given) in statistics.iter().enumerate() {
            let map = self.layer(i, maps.last().unwrap_or(x), |convolved, (gain, bias)| match given {
                Some(given) => Ok(batch_norm_with(convolved, gain, bias, given, LEAKY_SLOPE)?),
                None => Ok(batch_norm(convolved, gain, bias, LEAKY_SLOPE)?),
            })?;
            maps.push(map);
        }
        Ok(maps)
    }

    fn layer(
        &self,
        i: usize,
        x: &Tensor,
        normalise: impl FnOnce(&Tensor, &(Tensor, Tensor)) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let (kernel, norm) = &self.layers[i];
        let convolved = conv2d(x, kernel, self.config.layers[i].stride, self.config.kernel / 2)?;
        match norm {
            Some(norm) => normalise(&convolved, norm),
            None => Ok(leaky_relu(&convolved, LEAKY_SLOPE)?),
        }
    }
}
