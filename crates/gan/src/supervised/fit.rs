//! One training: cross-entropy, dropout, early stopping.

use std::ops::ControlFlow;

use candle_core::Tensor;
use dcgan_images::ImageStore;
use dcgan_nn::device::Device;
use dcgan_nn::{adam::AdamConfig, device};
use serde::{Deserialize, Serialize};

use super::network::{NETWORK, Network, Supervised, check_pictures, wrong};
use crate::{
    DiscriminatorConfig, GanError, Result,
    labelled::{Learner, Logits, Pictures},
};

/// What is learned: the class of a picture.
#[derive(Debug, Clone, Copy)]
pub struct Examples<'a> {
    /// The store that both sets of rows are in.
    pub store: &'a ImageStore,
    /// For each picture of the store its class, below `n_classes`.
    pub classes: &'a [u32],
    /// Classes, at least two.
    pub n_classes: usize,
    /// The pictures that are learned from.
    pub rows: &'a [u32],
    /// The pictures that early stopping and the choice among trials look at.
    pub validation: &'a [u32],
}

/// What a trial draws.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Adam's learning rate.
    pub learning_rate: f64,
    /// Adam's beta1.
    pub beta1: f64,
    /// Coupled l2 on every parameter.
    pub l2: f64,
    /// Share of the last feature map's values that each minibatch leaves out; the rest are scaled by 1/(1 − dropout).
    pub dropout: f64,
    /// Pictures in a minibatch; all, where there are fewer.
    pub batch_size: usize,
    /// Seed of the weights, of the order of pictures and of dropout.
    pub seed: u32,
}

/// When a training ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopping {
    /// After so many passes over the training pictures at the latest.
    pub epochs: u64,
    /// After so many passes without a lower validation error.
    pub patience: u64,
    /// Passes between two looks at the validation pictures; there is one after the last pass too.
    pub check_every: u64,
}

/// How a network does on some pictures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Share taken for a wrong class.
    pub error_rate: f64,
    /// Mean cross-entropy in nats.
    pub cross_entropy: f64,
}

/// A training's end.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// The network as it was when the validation error was lowest, at the first of equal ones.
    pub network: Supervised,
    /// Passes after which that was.
    pub best_epoch: u64,
    /// Passes made.
    pub n_epochs: u64,
    /// Its validation error.
    pub validation: Score,
    /// Mean cross-entropy of the minibatches of the last pass, dropout included.
    pub training_cross_entropy: f64,
}

impl Examples<'_> {
    /// Refuses what cannot be learned from.
    pub(super) fn check(&self) -> Result<()> {
        let Self { rows, validation, classes, n_classes, .. } = *self;
        let mut is_there = vec![false; n_classes];
        rows.iter().for_each(|&row| is_there[classes[row as usize] as usize] = true);
        match is_there.iter().filter(|is_there| **is_there).count() {
            0 => Err(wrong("rows", "pictures of two classes at least", "no picture to train on")),
            1 => Err(wrong("rows", "pictures of two classes at least", "of one class only")),
            _ if validation.is_empty() => Err(wrong("n_validation", "at least 1", "0")),
            _ => Ok(()),
        }
    }
}

/// Trains a network from random weights. `observe` is asked before every minibatch whether to go on.
///
/// # Errors
/// Pictures that do not fit the network or are of one class; [`GanError::Diverged`]; [`GanError::Interrupted`].
pub fn fit(
    examples: &Examples<'_>,
    architecture: &DiscriminatorConfig,
    parameters: &Parameters,
    stopping: Stopping,
    device: &Device,
    observe: &mut dyn FnMut() -> ControlFlow<()>,
) -> Result<Fitted> {
    examples.check()?;
    let Examples { store, rows, classes, n_classes, .. } = *examples;
    let seed = u64::from(parameters.seed);
    let network = Network::random(architecture.clone(), n_classes, seed, device)?;
    check_pictures(&network, store)?;
    let adam = AdamConfig {
        learning_rate: parameters.learning_rate,
        beta1: parameters.beta1,
        l2: parameters.l2,
        ..AdamConfig::default()
    };
    let layers = (network.layers(), network.gradients()?);
    let mut learner = Learner::new(layers, network.parameters(), adam, parameters.dropout);
    let batch_size = parameters.batch_size.min(rows.len());
    let pictures = Pictures { store, rows, batch_size, output: network.output(), seed };
    let mut best: Option<(Supervised, u64, Score)> = None;
    let mut n_epochs = 0;
    let mut losses = Vec::new();
    while n_epochs < stopping.epochs {
        losses.clear();
        let mut gradient = |logits: Logits<'_>| {
            let (loss, gradient) = cross_entropy(logits.values, &classes_of(logits.rows, classes))?;
            losses.push(finite(loss, "cross-entropy", logits.step)?);
            Ok(gradient)
        };
        learner.epoch(&pictures, n_epochs, device, &mut gradient, &mut |_| observe())?;
        n_epochs += 1;
        if !n_epochs.is_multiple_of(stopping.check_every) && n_epochs < stopping.epochs {
            continue;
        }
        let now = network.with_statistics_of(store, rows, device)?;
        let score = score(&now, examples, learner.n_steps())?;
        if best.as_ref().is_none_or(|(_, _, best)| score.error_rate < best.error_rate) {
            best = Some((now.copy(device)?, n_epochs, score));
        }
        if best.as_ref().is_some_and(|(_, epoch, _)| n_epochs - epoch >= stopping.patience) {
            break;
        }
    }
    let Some((network, best_epoch, validation)) = best else {
        return Err(wrong("epochs", "at least 1", stopping.epochs.to_string()));
    };
    let training_cross_entropy = losses.iter().sum::<f64>() / losses.len().max(1) as f64;
    Ok(Fitted { network, best_epoch, n_epochs, validation, training_cross_entropy })
}

fn classes_of(rows: &[u32], classes: &[u32]) -> Vec<u32> {
    rows.iter().map(|&row| classes[row as usize]).collect()
}

fn finite(value: f64, what: &'static str, step: u64) -> Result<f64> {
    match value.is_finite() {
        true => Ok(value),
        false => Err(GanError::Diverged { step, network: NETWORK, what, value, checkpoint: None }),
    }
}

/// On the validation pictures.
fn score(network: &Supervised, examples: &Examples<'_>, step: u64) -> Result<Score> {
    let (mut n_wrong, mut sum) = (0, 0.0);
    network.over(examples.store, examples.validation, &mut |rows, logits| {
        let classes = classes_of(rows, examples.classes);
        sum += rows.len() as f64 * cross_entropy(logits, &classes)?.0;
        let predicted = logits.argmax(1)?.to_vec1::<u32>()?;
        n_wrong += predicted.iter().zip(&classes).filter(|(predicted, class)| predicted != class).count();
        Ok(())
    })?;
    let n = examples.validation.len() as f64;
    let cross_entropy = finite(sum / n, "validation cross-entropy", step)?;
    Ok(Score { error_rate: n_wrong as f64 / n, cross_entropy })
}

/// The mean over logits x (n, classes) of −ln softmax(x)ₜ for the class t of each, and its gradient (softmax(x) − onehot(t))/n.
fn cross_entropy(logits: &Tensor, classes: &[u32]) -> Result<(f64, Tensor)> {
    let (dtype, device) = (logits.dtype(), logits.device().clone());
    // Few values, for which a GPU has no kernel here.
    let logits = logits.detach().to_device(&Device::CPU)?.to_dtype(candle_core::DType::F32)?;
    let (n, n_classes) = logits.dims2()?;
    let targets = Tensor::new(classes, logits.device())?;
    let loss = candle_nn::loss::cross_entropy(&logits, &targets)?.to_scalar::<f32>()?;
    let mut one_hot = vec![0.0; n * n_classes];
    classes.iter().enumerate().for_each(|(row, &class)| one_hot[row * n_classes + class as usize] = 1.0);
    let one_hot = device::tensor(one_hot, &[n, n_classes], logits.device())?;
    let gradient = ((candle_nn::ops::softmax(&logits, 1)? - one_hot)? / n as f64)?;
    Ok((f64::from(loss), gradient.to_dtype(dtype)?.to_device(&device)?))
}

#[cfg(test)]
mod tests;
