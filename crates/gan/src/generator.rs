//! The generator.

use std::{ops::Range, path::Path};

use candle_core::{Device, Module, Tensor, Var};
use dcgan_nn::{
    activation::Activation,
    batch_norm::Statistics,
    checkpoint::Checkpoint,
    conv::Convolution,
    layer::{Gradients, Layer, Map},
};

use crate::{
    GeneratorConfig, Result,
    parameters::{self, Kind, Parameters, Source, check_labels},
};

const NETWORK: &str = "generator";

/// z (n, nz) → linear → batch norm per unit → ReLU → (n, 4, 4, c) → transposed convolutions, each but the last with
/// batch norm and ReLU → tanh → pictures (n, h, w, c) in [-1, 1]; or the sigmoid, for pictures in [0, 1]. A conditional one has
/// one-hot labels joined to the input of every layer.
///
/// Batch norm uses the batch's own statistics, also when sampling: a picture depends on the batch it is drawn in
/// ([`Sampler`](crate::Sampler) can also draw with statistics of many batches).
#[derive(Debug, Clone)]
pub struct Generator {
    config: GeneratorConfig,
    layers: Vec<Layer>,
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
        let (config, checkpoint) = parameters::load(NETWORK, path, device, GeneratorConfig::is_sound)?;
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
        let mut parameters = Parameters::of_norms(config.gain_and_bias);
        let relu = Activation::Leaky(0.0);
        let first = config.base_channels * config.bottom * config.bottom;
        let hidden = (config.hidden > 0).then_some(("hidden", config.hidden));
        let (mut layers, mut inputs) = (Vec::new(), config.nz);
        for (name, units) in hidden.into_iter().chain([("project", first)]) {
            let by_channel = config.first_norm_by_channel && name == "project";
            let shape = [inputs + config.classes, units];
            let raster = [config.bottom, config.bottom, config.base_channels, inputs + config.classes];
            let (map, shape, normed) = match by_channel {
                // z is one place of as many channels.
                true => (Map::Convolution(Convolution::TO_RASTER), &raster[..], config.base_channels),
                false => (Map::Linear, &shape[..], units),
            };
            let kernel = parameters.make(&mut source, &format!("{name}.weight"), shape, Kind::Weight)?;
            let norm = Some(parameters.make_norm(&mut source, name, normed)?);
            layers.push(Layer { map, kernel, norm, activation: relu });
            inputs = units;
        }
        let mut channels = config.base_channels;
        for (i, layer) in config.layers.iter().enumerate() {
            let shape = [config.kernel, config.kernel, layer.channels, channels + config.classes];
            let kernel = parameters.make(&mut source, &format!("deconv{i}.kernel"), &shape, Kind::Weight)?;
            let norm = match i + 1 < config.layers.len() {
                true => Some(parameters.make_norm(&mut source, &format!("deconv{i}"), layer.channels)?),
                false => None,
            };
            let convolution = Convolution::enlarging(config.kernel, layer.stride);
            let activation = if norm.is_some() { relu } else { config.output.activation() };
            layers.push(Layer { map: Map::Convolution(convolution), kernel, norm, activation });
            channels = layer.channels;
        }
        Ok(Self { config, layers, parameters })
    }

    /// Its sizes.
    pub fn config(&self) -> &GeneratorConfig {
        &self.config
    }

    /// Where its weights are.
    pub fn device(&self) -> &Device {
        self.layers[0].kernel.device()
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
    pub(crate) fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// How many layers come before the transposed convolutions that enlarge the maps.
    pub(crate) fn n_linear(&self) -> usize {
        self.layers.len() - self.config.layers.len()
    }

    /// Room for the gradients of its parameters.
    pub(crate) fn gradients(&self) -> Result<Vec<Gradients>> {
        self.parameters.gradients(&self.layers)
    }

    /// The pictures (n, h, w, c) of z (n, nz), by the batch's own statistics. A conditional generator takes one-hot labels
    /// (n, classes) with it, another takes none.
    ///
    /// # Errors
    /// Where the shapes do not fit, or labels are missing or of no use.
    pub fn draw(&self, z: &Tensor, labels: Option<&Tensor>) -> Result<Tensor> {
        self.draw_with(z, labels, None)
    }

    /// [`Self::draw`], by given statistics, an entry a layer, where there are.
    pub(crate) fn draw_with(
        &self,
        z: &Tensor,
        labels: Option<&Tensor>,
        given: Option<&[Option<Statistics>]>,
    ) -> Result<Tensor> {
        check_labels(NETWORK, self.config.classes, labels)?;
        let mut layers = self.layers.iter().enumerate();
        layers.try_fold(z.clone(), |x, (i, layer)| {
            Ok(layer.output_joined(&x, labels, given.and_then(|given| given.get(i)?.as_ref()))?)
        })
    }

    /// Passes `x` through some of the layers (0 is the first linear one), and says which statistics their batch norms used: the
    /// given ones, one entry for each layer of the network, or else the batch's own.
    pub(crate) fn pass(
        &self,
        x: &Tensor,
        labels: Option<&Tensor>,
        layers: Range<usize>,
        given: Option<&[Option<Statistics>]>,
    ) -> Result<(Tensor, Vec<Option<Statistics>>)> {
        check_labels(NETWORK, self.config.classes, labels)?;
        let (mut x, mut all) = (x.clone(), Vec::new());
        for i in layers {
            let given = given.and_then(|given| given.get(i)?.as_ref());
            let (y, used) = self.layers[i].output_and_statistics(&x, labels, given)?;
            x = y;
            all.push(used);
        }
        Ok((x, all))
    }
}

/// z (n, nz) → pictures (n, h, w, c); an error where the network is conditional.
impl Module for Generator {
    fn forward(&self, z: &Tensor) -> candle_core::Result<Tensor> {
        Ok(self.draw(z, None)?)
    }
}
