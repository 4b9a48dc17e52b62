//! The discriminator.

use std::path::Path;

use candle_core::{Device, Module, Tensor, Var};
use dcgan_nn::{
    activation::Activation,
    batch_norm::Statistics,
    checkpoint::Checkpoint,
    conv::Convolution,
    layer::{Gradients, Layer, Map},
};

use crate::{
    DiscriminatorConfig, LEAKY_SLOPE, Result,
    parameters::{self, Kind, Parameters, Source, check_labels},
};

const NETWORK: &str = "discriminator";

/// Pictures (n, h, w, c) in [-1, 1] → convolutions, each but the first with batch norm, each with LeakyReLU → linear → one
/// logit a picture. A conditional one has one-hot labels joined to the input of every layer.
#[derive(Debug, Clone)]
pub struct Discriminator {
    config: DiscriminatorConfig,
    /// Every convolution, then the linear layers if there are.
    layers: Vec<Layer>,
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
        let (config, checkpoint) = parameters::load(NETWORK, path, device, DiscriminatorConfig::is_sound)?;
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
        let mut parameters = Parameters::of_norms(config.gain_and_bias);
        let mut layers = Vec::new();
        let mut channels = config.channels;
        for (i, layer) in config.layers.iter().enumerate() {
            let shape = [config.kernel, config.kernel, channels + config.classes, layer.channels];
            let kernel = parameters.make(&mut source, &format!("conv{i}.kernel"), &shape, Kind::Weight)?;
            let norm = match i > 0 {
                true => Some(parameters.make_norm(&mut source, &format!("conv{i}"), layer.channels)?),
                false => None,
            };
            let convolution = Convolution::reducing(config.kernel, layer.stride);
            let (map, activation) = (Map::Convolution(convolution), Activation::Leaky(LEAKY_SLOPE));
            layers.push(Layer { map, kernel, norm, activation });
            channels = layer.channels;
        }
        let mut units = channels * config.last_size() * config.last_size();
        if config.head && config.hidden > 0 {
            let shape = [units + config.classes, config.hidden];
            let kernel = parameters.make(&mut source, "hidden.weight", &shape, Kind::Weight)?;
            let norm = Some(parameters.make_norm(&mut source, "hidden", config.hidden)?);
            layers.push(Layer { map: Map::Linear, kernel, norm, activation: Activation::Leaky(LEAKY_SLOPE) });
            units = config.hidden;
        }
        if config.head {
            let shape = [units + config.classes, 1];
            let kernel = parameters.make(&mut source, "head.weight", &shape, Kind::Weight)?;
            layers.push(Layer { map: Map::Linear, kernel, norm: None, activation: Activation::Leaky(1.0) });
        }
        Ok(Self { config, layers, parameters })
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

    /// The layers, for training.
    ///
    /// # Errors
    /// Where the network has no head.
    pub(crate) fn layers(&self) -> Result<&[Layer]> {
        match self.config.head {
            true => Ok(&self.layers),
            false => Err(candle_core::Error::Msg(
                "this discriminator has no last layer: it only gives features".into(),
            )
            .into()),
        }
    }

    /// Room for the gradients of its parameters.
    ///
    /// # Errors
    /// Where the network has no head.
    pub(crate) fn gradients(&self) -> Result<Vec<Gradients>> {
        self.parameters.gradients(self.layers()?)
    }

    /// Logits (n, 1) of pictures, by the batch's own statistics. A conditional discriminator takes one-hot labels (n, classes)
    /// with them, another takes none.
    ///
    /// # Errors
    /// Where the shapes do not fit, labels are missing or of no use, or the network has no head.
    pub fn judge(&self, x: &Tensor, labels: Option<&Tensor>) -> Result<Tensor> {
        check_labels(NETWORK, self.config.classes, labels)?;
        let mut layers = self.layers()?.iter();
        layers.try_fold(x.clone(), |x, layer| Ok(layer.output_joined(&x, labels, None)?))
    }

    /// The convolutions, without the linear layers.
    pub(crate) fn convolutions(&self) -> &[Layer] {
        &self.layers[..self.config.layers.len()]
    }

    /// The linear layer that gives the logit, where there is one.
    pub(crate) fn head(&self) -> Option<&Layer> {
        self.layers.last().filter(|_| self.config.head)
    }

    /// Every convolution's maps after its LeakyReLU, with one entry of given statistics a layer (none for the first, which has
    /// no batch norm).
    pub(crate) fn maps_with(&self, x: &Tensor, given: &[Option<Statistics>]) -> Result<Vec<Tensor>> {
        check_labels(NETWORK, self.config.classes, None)?;
        let mut maps = Vec::new();
        for (i, layer) in self.convolutions().iter().enumerate() {
            let given = given.get(i).and_then(Option::as_ref);
            maps.push(layer.output(maps.last().unwrap_or(x), given)?);
        }
        Ok(maps)
    }

    /// Logits (n, 1) with one entry of given statistics a convolution (none for the first).
    ///
    /// # Errors
    /// Where the pictures do not fit, or the network has no head.
    pub(crate) fn logits_with(&self, x: &Tensor, given: &[Option<Statistics>]) -> Result<Tensor> {
        let mut layers = self.layers()?.iter().enumerate();
        layers
            .try_fold(x.clone(), |x, (i, layer)| Ok(layer.output(&x, given.get(i).and_then(Option::as_ref))?))
    }

    /// The batch's own statistics at every convolution (none at the first), each layer normalised by them.
    pub(crate) fn statistics(&self, x: &Tensor) -> Result<Vec<Option<Statistics>>> {
        check_labels(NETWORK, self.config.classes, None)?;
        let (mut x, mut all) = (x.clone(), Vec::new());
        for layer in self.convolutions() {
            let (map, used) = layer.output_and_statistics(&x, None, None)?;
            x = map;
            all.push(used);
        }
        Ok(all)
    }
}

/// Pictures (n, h, w, c) → logits (n, 1), with the batch's own statistics; an error where the network has no head or is
/// conditional.
impl Module for Discriminator {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        Ok(self.judge(x, None)?)
    }
}
