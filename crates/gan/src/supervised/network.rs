//! The network: D's convolutions and a linear layer to the classes.

use std::path::Path;

use candle_core::{Tensor, Var};
use dcgan_images::ImageStore;
use dcgan_nn::device::Device;
use dcgan_nn::{
    activation::Activation,
    batch_norm::Statistics,
    checkpoint::Checkpoint,
    layer::{Gradients, Layer, Map},
};
use serde::{Deserialize, Serialize};

use crate::{
    Discriminator, DiscriminatorConfig, FeatureExtractor, GanError, Result,
    architecture::Output,
    features::{STATISTICS_BATCH, load_statistics, store_statistics},
    parameters::{self, Kind, Parameters, Source, json},
};

/// What [`GanError`] and files call it.
pub(super) const NETWORK: &str = "supervised network";

/// Its sizes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    discriminator: DiscriminatorConfig,
    n_classes: usize,
}

impl Config {
    fn is_sound(&self) -> bool {
        /// Beyond this it is a damaged file.
        const MAX_CLASSES: usize = 1 << 20;
        self.discriminator.is_sound() && (1..=MAX_CLASSES).contains(&self.n_classes)
    }
}

/// Layers with weights to be trained.
#[derive(Debug)]
pub(super) struct Network {
    config: Config,
    discriminator: Discriminator,
    head: Layer,
    parameters: Parameters,
}

impl Network {
    /// The paper's initial weights, drawn from `seed`: the convolutions' are those of a discriminator of that seed.
    pub(super) fn random(
        discriminator: DiscriminatorConfig,
        n_classes: usize,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        let config =
            Config { discriminator: DiscriminatorConfig { head: false, ..discriminator }, n_classes };
        let discriminator = Discriminator::random(config.discriminator.clone(), seed, device)?;
        // Streams 0 and 1 are G's and D's.
        Self::with(config, discriminator, Source::Random(&mut parameters::weights_rng(seed, 2), device))
    }

    fn from_checkpoint(config: Config, checkpoint: &Checkpoint, path: &Path) -> Result<Self> {
        let discriminator =
            Discriminator::from_checkpoint(config.discriminator.clone(), checkpoint, path, "")?;
        Self::with(config, discriminator, Source::Checkpoint(checkpoint, path, ""))
    }

    fn with(config: Config, discriminator: Discriminator, mut source: Source) -> Result<Self> {
        let last = config.discriminator.layers.last().map_or(0, |layer| layer.channels);
        let shape = [last * config.discriminator.last_size().pow(2), config.n_classes];
        let mut parameters = Parameters::of_norms(config.discriminator.gain_and_bias);
        let kernel = parameters.make(&mut source, "head.weight", &shape, Kind::Weight)?;
        let head = Layer { map: Map::Linear, kernel, norm: None, activation: Activation::Leaky(1.0) };
        Ok(Self { config, discriminator, head, parameters })
    }

    /// The convolutions, then the linear layer.
    pub(super) fn layers(&self) -> Vec<Layer> {
        [self.discriminator.convolutions(), std::slice::from_ref(&self.head)].concat()
    }

    /// Room for the gradients of the layers.
    pub(super) fn gradients(&self) -> Result<Vec<Gradients>> {
        self.parameters.gradients(&self.layers())
    }

    /// How pictures are scaled for it.
    pub(super) fn output(&self) -> Output {
        self.config.discriminator.output
    }

    /// Those of the layers, in their order.
    pub(super) fn parameters(&self) -> Vec<(String, Var)> {
        [self.discriminator.parameters(), self.parameters.vars()].concat()
    }

    /// What it is now, with the batch-norm statistics of some pictures. Later training changes its weights too.
    pub(super) fn with_statistics_of(
        &self,
        store: &ImageStore,
        rows: &[u32],
        device: &Device,
    ) -> Result<Supervised> {
        let mut observe = |_, _| std::ops::ControlFlow::Continue(());
        let extractor =
            FeatureExtractor::infer_over_rows(&self.discriminator, store, rows, device, &mut observe)?;
        let (config, head, parameters) = (self.config.clone(), self.head.clone(), self.parameters.clone());
        Ok(Supervised { config, extractor, head, parameters })
    }
}

/// A trained network with the batch-norm statistics of its training pictures.
#[derive(Debug, Clone)]
pub struct Supervised {
    config: Config,
    extractor: FeatureExtractor,
    head: Layer,
    parameters: Parameters,
}

impl Supervised {
    /// Classes that it tells apart.
    pub fn n_classes(&self) -> usize {
        self.config.n_classes
    }

    /// Logits (n, classes) of uint8 NCHW pixels, on the CPU; those of a picture do not depend on the pictures beside it.
    ///
    /// # Errors
    /// Where the pixels do not fit the network.
    pub fn logits(&self, pixels: &[u8], n: usize) -> Result<Tensor> {
        let x = self.extractor.activations(pixels, n)?;
        let maps = self.extractor.discriminator().maps_with(&x, self.extractor.statistics())?;
        let logits = self.head.output(maps.last().unwrap_or(&x), None)?;
        Ok(logits.to_device(&Device::CPU)?.to_dtype(candle_core::DType::F32)?)
    }

    /// For pictures of a store their logits, a batch at a time, with the batch's rows.
    pub(super) fn over(
        &self,
        store: &ImageStore,
        rows: &[u32],
        see: &mut dyn FnMut(&[u32], &Tensor) -> Result<()>,
    ) -> Result<()> {
        let mut pixels = Vec::new();
        for rows in rows.chunks(STATISTICS_BATCH) {
            store.gather(rows, &mut pixels);
            see(rows, &self.logits(&pixels, rows.len())?)?;
        }
        Ok(())
    }

    /// The class that each picture of a store is taken for.
    ///
    /// # Errors
    /// Where the pictures do not fit the network.
    pub fn predict(&self, store: &ImageStore) -> Result<Vec<u32>> {
        crate::features::check_size(self.extractor.discriminator(), store)?;
        let all: Vec<u32> = (0..store.len() as u32).collect();
        let mut classes = Vec::with_capacity(all.len());
        self.over(store, &all, &mut |_, logits| {
            classes.extend(logits.argmax(1)?.to_vec1::<u32>()?);
            Ok(())
        })?;
        Ok(classes)
    }

    /// A copy that training does not change.
    pub(super) fn copy(&self, device: &Device) -> Result<Self> {
        Self::of(&self.checkpoint()?, Path::new("memory"), self.config.clone(), device)
    }

    fn checkpoint(&self) -> Result<Checkpoint> {
        let mut checkpoint = Checkpoint::default();
        self.extractor.discriminator().store("", &mut checkpoint);
        self.parameters.store("", &mut checkpoint);
        store_statistics(self.extractor.statistics(), &mut checkpoint)?;
        checkpoint.describe("network", NETWORK);
        checkpoint.describe("config", json(&self.config)?);
        Ok(checkpoint)
    }

    fn of(checkpoint: &Checkpoint, path: &Path, config: Config, device: &Device) -> Result<Self> {
        let statistics: Vec<Option<Statistics>> = load_statistics(&config.discriminator, checkpoint, path)?;
        let Network { config, discriminator, head, parameters } =
            Network::from_checkpoint(config, checkpoint, path)?;
        Ok(Self {
            config,
            extractor: FeatureExtractor::with(discriminator, statistics, device),
            head,
            parameters,
        })
    }

    /// Writes network and statistics to a `.safetensors` file, whole or not at all.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        Ok(self.checkpoint()?.save(path)?)
    }

    /// Reads a file that [`Self::save`] wrote.
    ///
    /// # Errors
    /// Where the file cannot be read, is no such network, or a tensor is missing or has another shape.
    pub fn load(path: &Path, device: &Device) -> Result<Self> {
        let (config, checkpoint) = parameters::load(NETWORK, path, device, Config::is_sound)?;
        Self::of(&checkpoint, path, config, device)
    }
}

/// Refuses pictures that do not fit.
pub(super) fn check_pictures(network: &Network, store: &ImageStore) -> Result<()> {
    crate::features::check_size(&network.discriminator, store)
}

/// Says what is wrong with a setting.
pub(super) fn wrong(key: &'static str, expected: impl Into<String>, found: impl Into<String>) -> GanError {
    GanError::Setting { key, expected: expected.into(), found: found.into() }
}
