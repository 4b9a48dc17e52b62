//! A discriminator trained with labels: whether a picture shows an object.
//!
//! It judges the paper's figure of forgotten windows (section 6.3.1) without having had a part in it: it has seen labelled
//! pictures only, never a generator's, and no boxes.

use std::{ops::ControlFlow, path::Path};

use candle_core::Tensor;
use dcgan_images::ImageStore;
use dcgan_nn::adam::AdamConfig;
use dcgan_nn::device::Device;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Architecture, ArchitectureName, Discriminator, FeatureExtractor, GanError, Result,
    features::{STATISTICS_BATCH, check_size, load_statistics, store_statistics},
    labelled::{Learner, Logits, Pictures},
    parameters::{self, json},
    sample::Observe,
};

const NETWORK: &str = "classifier";
/// Name of the file that a classifier is kept in.
pub const FILE: &str = "classifier.safetensors";

/// What is learned, by which network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClassifierConfig {
    /// Whose discriminator; minibatch, learning rate, beta1 and l2 are those of its GAN.
    pub architecture: ArchitectureName,
    /// Scale of every channel count.
    #[serde(default = "quarter")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub width: f64,
    /// Labels of the pictures that show the object.
    pub positive: Vec<u32>,
    /// Passes over the pictures.
    #[serde(default = "ten")]
    pub epochs: u64,
    /// Seed of the weights and of the order of pictures.
    #[serde(default)]
    pub seed: u64,
}

fn quarter() -> f64 {
    0.25
}

fn ten() -> u64 {
    10
}

impl ClassifierConfig {
    /// Checks the ranges that do not depend on the pictures.
    ///
    /// # Errors
    /// [`GanError::Setting`].
    pub fn validate(&self) -> Result<()> {
        self.architecture().validate()?;
        let discriminator = self.architecture().discriminator();
        if discriminator.classes > 0 || discriminator.hidden > 0 {
            return Err(GanError::Setting {
                key: "architecture",
                expected: "a discriminator of convolutions and one linear layer, without labels".into(),
                found: self.architecture.to_string(),
            });
        }
        let wrong = |key, expected: &str| {
            Err(GanError::Setting { key, expected: expected.into(), found: "none".into() })
        };
        match () {
            () if self.positive.is_empty() => wrong("positive", "at least one label"),
            () if self.epochs == 0 => wrong("epochs", "at least 1"),
            () => Ok(()),
        }
    }

    fn architecture(&self) -> Architecture {
        Architecture { name: self.architecture, width: self.width }
    }

    /// For each picture whether its label says that it shows the object.
    ///
    /// # Errors
    /// Where a picture has no label, or all pictures are of one kind.
    pub fn targets(&self, store: &ImageStore) -> Result<Vec<bool>> {
        let labels = store.labels()?;
        let Some(labels) = labels.into_iter().collect::<Option<Vec<u32>>>() else {
            return Err(GanError::Setting {
                key: "images",
                expected: "a label for every picture".into(),
                found: "pictures without one".into(),
            });
        };
        let targets: Vec<bool> = labels.iter().map(|label| self.positive.contains(label)).collect();
        let n_positive = targets.iter().filter(|&&target| target).count();
        if n_positive == 0 || n_positive == targets.len() {
            return Err(GanError::Setting {
                key: "positive",
                expected: "labels of some pictures and not of all".into(),
                found: format!("labels {:?}, of {n_positive} of {} pictures", self.positive, targets.len()),
            });
        }
        Ok(targets)
    }
}

/// A trained network with the batch-norm statistics of the pictures that it was trained on.
#[derive(Debug, Clone)]
pub struct Classifier {
    extractor: FeatureExtractor,
}

/// How a classifier did on pictures that it was not trained on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClassifierErrors {
    /// Pictures.
    pub n_images: usize,
    /// Of these, pictures that show the object.
    pub n_positive: usize,
    /// Share of all pictures that it takes wrongly.
    pub error_rate: f64,
    /// Share of the pictures without the object in which it sees one.
    pub false_positive_rate: f64,
    /// Share of the pictures with the object in which it sees none.
    pub false_negative_rate: f64,
}

/// Trains a classifier by the binary cross-entropy of its logit, with Adam. `observe` gets minibatches done and their total.
///
/// # Errors
/// Settings out of range, pictures that do not fit the network or have no labels, [`GanError::Diverged`],
/// [`GanError::Interrupted`].
pub fn train(
    store: &ImageStore,
    config: &ClassifierConfig,
    device: &Device,
    observe: Observe<'_>,
) -> Result<Classifier> {
    config.validate()?;
    let targets = config.targets(store)?;
    let discriminator = Discriminator::random(config.architecture().discriminator(), config.seed, device)?;
    check_size(&discriminator, store)?;
    let defaults = config.architecture.training_defaults();
    let batch_size = defaults.batch_size.min(store.len());
    let adam = AdamConfig {
        learning_rate: defaults.learning_rate,
        beta1: defaults.beta1,
        l2: defaults.l2,
        ..AdamConfig::default()
    };
    let layers = (discriminator.layers()?.to_vec(), discriminator.gradients()?);
    let mut learner = Learner::new(layers, discriminator.parameters().to_vec(), adam, 0.0);
    let rows: Vec<u32> = (0..store.len() as u32).collect();
    let pictures =
        Pictures { store, rows: &rows, batch_size, output: discriminator.config().output, seed: config.seed };
    let n_steps = config.epochs * (store.len() / batch_size) as u64;
    for epoch in 0..config.epochs {
        let mut gradient = |logits: Logits<'_>| logit_gradient(&logits, &targets);
        learner.epoch(&pictures, epoch, device, &mut gradient, &mut |done| observe(done, n_steps))?;
    }
    let extractor =
        FeatureExtractor::infer(&discriminator, store, device, &mut |_, _| ControlFlow::Continue(()))?;
    Ok(Classifier { extractor })
}

/// The gradient of the mean binary cross-entropy of logits x (n, 1) against targets t: (σ(x) − t)/n.
fn logit_gradient(logits: &Logits<'_>, targets: &[bool]) -> Result<Tensor> {
    let Logits { rows, values: logits, step } = *logits;
    let values = logits.detach().flatten_all()?.to_vec1::<f32>()?;
    if let Some(&value) = values.iter().find(|value| !value.is_finite()) {
        let value = f64::from(value);
        return Err(GanError::Diverged { step, network: NETWORK, what: "logit", value, checkpoint: None });
    }
    let n = values.len() as f64;
    let gradient = values.iter().zip(rows).map(|(&x, &row)| {
        let sigmoid = 1.0 / (1.0 + (-f64::from(x)).exp());
        ((sigmoid - f64::from(u8::from(targets[row as usize]))) / n) as f32
    });
    Ok(Tensor::from_vec(gradient.collect::<Vec<_>>(), logits.shape(), logits.device())?)
}

impl Classifier {
    /// One logit a picture of uint8 NCHW pixels; above 0 where it rather shows the object. A picture's logit does not depend on
    /// the pictures beside it.
    ///
    /// # Errors
    /// Where the pixels do not fit the network.
    pub fn logits(&self, pixels: &[u8]) -> Result<Vec<f32>> {
        let len = self.picture().iter().product::<usize>();
        let mut logits = Vec::with_capacity(pixels.len() / len);
        for pixels in pixels.chunks(STATISTICS_BATCH * len) {
            let pictures = self.extractor.activations(pixels, pixels.len() / len)?;
            let batch = self.extractor.discriminator().logits_with(&pictures, self.extractor.statistics())?;
            logits.extend(batch.flatten_all()?.to_vec1::<f32>()?);
        }
        Ok(logits)
    }

    /// Channels, height and width of the pictures that it takes.
    pub fn picture(&self) -> [usize; 3] {
        self.extractor.discriminator().config().picture()
    }

    /// How it does on the pictures of `store`, of which `targets` says which show the object.
    ///
    /// # Errors
    /// Where the pictures do not fit the network.
    pub fn errors(&self, store: &ImageStore, targets: &[bool]) -> Result<ClassifierErrors> {
        check_size(self.extractor.discriminator(), store)?;
        let logits = self.logits(store.pixels())?;
        let count = |shows: bool, seen: bool| {
            logits.iter().zip(targets).filter(|&(&x, &t)| (t, x > 0.0) == (shows, seen)).count()
        };
        let (missed, invented) = (count(true, false), count(false, true));
        let n_positive = missed + count(true, true);
        let n_images = logits.len();
        let share = |n: usize, of: usize| if of == 0 { 0.0 } else { n as f64 / of as f64 };
        Ok(ClassifierErrors {
            n_images,
            n_positive,
            error_rate: share(missed + invented, n_images),
            false_positive_rate: share(invented, n_images - n_positive),
            false_negative_rate: share(missed, n_positive),
        })
    }

    /// Writes network and statistics to a `.safetensors` file, whole or not at all.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let discriminator = self.extractor.discriminator();
        let mut checkpoint = dcgan_nn::checkpoint::Checkpoint::default();
        discriminator.store("", &mut checkpoint);
        store_statistics(self.extractor.statistics(), &mut checkpoint)?;
        checkpoint.describe("network", NETWORK);
        checkpoint.describe("config", json(discriminator.config())?);
        Ok(checkpoint.save(path)?)
    }

    /// Reads a file that [`Self::save`] wrote.
    ///
    /// # Errors
    /// Where the file cannot be read, is no classifier, or a tensor is missing or has another shape.
    pub fn load(path: &Path, device: &Device) -> Result<Self> {
        let (config, checkpoint) =
            parameters::load(NETWORK, path, device, crate::DiscriminatorConfig::is_sound)?;
        let statistics = load_statistics(&config, &checkpoint, path)?;
        let discriminator = Discriminator::from_checkpoint(config, &checkpoint, path, "")?;
        Ok(Self { extractor: FeatureExtractor::with(discriminator, statistics, device) })
    }
}

#[cfg(test)]
mod tests;
