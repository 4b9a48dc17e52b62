//! To PyTorch.

use std::path::Path;

use candle_core::{Device, Tensor};
use dcgan_nn::batch_norm::Statistics;
use dcgan_nn::checkpoint::Checkpoint;
use dcgan_nn::conv::{Convolution, to_pytorch};
use dcgan_nn::layer::{Layer, Map};

use super::module::{Kernel, Module};
use super::{CONFIG, NETWORK, channels_first};
use crate::parameters::json;
use crate::{Discriminator, FeatureExtractor, GanError, Generator, LEAKY_SLOPE, Output, Result, Sampler};

/// A network for PyTorch.
#[derive(Debug)]
pub struct Exported {
    checkpoint: Checkpoint,
    modules: Vec<Module>,
    /// What goes in and what comes out.
    ends: [End; 2],
}

/// What goes into a network or comes out.
#[derive(Debug, Clone)]
pub(super) struct End {
    pub(super) name: &'static str,
    /// Its shape, without the batch.
    pub(super) shape: Vec<usize>,
}

impl Exported {
    fn new(network: &str, config: String, ends: [End; 2]) -> Self {
        let mut checkpoint = Checkpoint::default();
        checkpoint.describe(NETWORK, network);
        checkpoint.describe(CONFIG, config);
        Self { checkpoint, modules: Vec::new(), ends }
    }

    /// The modules of the `nn.Sequential`.
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// What goes in and what comes out.
    pub(super) fn ends(&self) -> &[End; 2] {
        &self.ends
    }

    /// A tensor of module number `i`.
    pub(super) fn tensor(&self, i: usize, name: &str) -> Option<&Tensor> {
        self.checkpoint.get(&name_of(i, name))
    }

    /// Writes the state dict, whole or not at all.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        Ok(self.checkpoint.save(path)?)
    }

    fn push(&mut self, module: Module) {
        self.modules.push(module);
    }

    /// Adds a tensor of the module that was pushed last.
    fn insert(&mut self, name: &str, tensor: &Tensor) {
        self.checkpoint.insert(name_of(self.modules.len() - 1, name), tensor);
    }

    fn push_map(&mut self, layer: &Layer, places: [usize; 2]) -> Result<()> {
        let kernel = layer.kernel.to_device(&Device::Cpu)?;
        match (layer.map, kernel.dims()) {
            (Map::Convolution(convolution), &[side, _, to, from]) if convolution.transposed.is_some() => {
                self.push(Module::ConvTranspose2d(Kernel { channels: [from, to], side, convolution }));
                self.insert("weight", &to_pytorch(&kernel)?);
            }
            (Map::Convolution(convolution), &[side, _, from, to]) => {
                self.push(Module::Conv2d(Kernel { channels: [from, to], side, convolution }));
                self.insert("weight", &to_pytorch(&kernel)?);
            }
            (_, &[from, to]) => {
                // (from, to), whose units are places of so many channels.
                let by_input = channels_first(&kernel.t()?.contiguous()?, from / places[0])?.t()?;
                let weight = channels_first(&by_input.contiguous()?, to / places[1])?.t()?;
                self.push(Module::Linear([from, to]));
                self.insert("weight", &weight.contiguous()?);
            }
            (_, other) => {
                let message = format!("expected a kernel of 2 or 4 dimensions, found {other:?}");
                return Err(candle_core::Error::Msg(message).into());
            }
        }
        Ok(())
    }

    /// Batch norm, where a layer has one; its units are `places` of so many channels.
    fn push_norm(&mut self, layer: &Layer, statistics: Option<&Statistics>, places: usize) -> Result<()> {
        let (Some((gain, bias)), Some(statistics)) = (&layer.norm, statistics) else { return Ok(()) };
        let n = gain.dims1()?;
        self.push(if layer.map == Map::Linear { Module::BatchNorm1d(n) } else { Module::BatchNorm2d(n) });
        let floats = |values: &[f64]| {
            let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
            Tensor::from_vec(values, n, &Device::Cpu)
        };
        let tensors = [
            ("weight", gain.to_device(&Device::Cpu)?),
            ("bias", bias.to_device(&Device::Cpu)?),
            ("running_mean", floats(&statistics.mean)?),
            ("running_var", floats(&statistics.variance)?),
        ];
        for (name, tensor) in tensors {
            self.insert(name, &channels_first(&tensor, n / places)?);
        }
        self.insert("num_batches_tracked", &Tensor::new(0_i64, &Device::Cpu)?);
        Ok(())
    }
}

fn name_of(module: usize, tensor: &str) -> String {
    format!("main.{module}.{tensor}")
}

fn refuse(expected: &str, found: String) -> GanError {
    GanError::Setting { key: "model", expected: expected.into(), found }
}

/// A generator, with the statistics that `sampler` draws by.
///
/// # Errors
/// Where it is conditional, or `sampler` has no inferred statistics.
pub fn export_generator(generator: &Generator, sampler: Sampler<'_>) -> Result<Exported> {
    let config = generator.config();
    if config.classes > 0 {
        let found = format!("one conditional on {} classes", config.classes);
        return Err(refuse("a generator that takes no labels", found));
    }
    let given = sampler.given_statistics();
    let given = given.ok_or_else(|| refuse("inferred statistics", "those of batches".into()))?;
    let input = if config.first_norm_by_channel { vec![config.nz, 1, 1] } else { vec![config.nz] };
    let ends = [End { name: "z", shape: input }, End { name: "pictures", shape: config.picture().to_vec() }];
    let mut exported = Exported::new("generator", json(config)?, ends);
    let places = config.bottom * config.bottom;
    for (i, layer) in generator.layers().iter().enumerate() {
        let is_first_map = i + 1 == generator.n_linear();
        let to = if is_first_map && layer.map == Map::Linear { places } else { 1 };
        exported.push_map(layer, [1, to])?;
        exported.push_norm(layer, given.get(i).and_then(Option::as_ref), to)?;
        match layer.norm {
            Some(_) => exported.push(Module::Relu),
            None if config.output == Output::Tanh => exported.push(Module::Tanh),
            None => exported.push(Module::Sigmoid),
        }
        if to > 1 {
            let (c, side) = (config.base_channels, config.bottom);
            exported.push(Module::Unflatten([c, side, side]));
        }
    }
    Ok(exported)
}

/// The discriminator of `features`, with the statistics it has inferred.
///
/// # Errors
/// Where it is conditional or has a linear layer before its last.
pub fn export_discriminator(features: &FeatureExtractor) -> Result<Exported> {
    let discriminator: &Discriminator = features.discriminator();
    let config = discriminator.config();
    if config.classes > 0 || config.hidden > 0 {
        let found = format!("{} classes and {} hidden units", config.classes, config.hidden);
        return Err(refuse("a discriminator of convolutions alone, that takes no labels", found));
    }
    let last = config.layers.last().map_or(0, |layer| layer.channels);
    let output = match config.head {
        true => End { name: "logits", shape: vec![1] },
        false => End { name: "maps", shape: vec![last, config.last_size(), config.last_size()] },
    };
    let ends = [End { name: "pictures", shape: config.picture().to_vec() }, output];
    let mut exported = Exported::new("discriminator", json(config)?, ends);
    for (layer, statistics) in discriminator.convolutions().iter().zip(features.statistics()) {
        exported.push_map(layer, [1, 1])?;
        exported.push_norm(layer, statistics.as_ref(), 1)?;
        exported.push(Module::LeakyRelu(LEAKY_SLOPE));
    }
    if let Some(head) = discriminator.head() {
        let side = config.last_size();
        let channels = head.kernel.dim(0)? / (side * side);
        let convolution = Convolution { stride: 1, padding: 0, transposed: None };
        exported.push(Module::Conv2d(Kernel { channels: [channels, 1], side, convolution }));
        let kernel = head.kernel.to_device(&Device::Cpu)?.reshape((side, side, channels, 1))?;
        exported.insert("weight", &to_pytorch(&kernel)?);
        exported.push(Module::Flatten);
    }
    Ok(exported)
}
