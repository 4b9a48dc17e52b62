//! A network's named parameters: where their first values come from, and where they go.

use std::path::Path;

use candle_core::{Device, Tensor, Var};
use dcgan_nn::{
    checkpoint::Checkpoint,
    init,
    layer::{Gradients, Layer},
    rng,
};
use rand::RngCore;

use crate::{GanError, Result};

/// Standard deviation of initial weights and gains (section 4).
const INITIAL_STD: f32 = 0.02;

/// What a parameter is, which decides how it is drawn.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// N(0, 0.02²).
    Weight,
    /// Batch-norm gain, N(1, 0.02²).
    Gain,
    /// Batch-norm bias, 0.
    Bias,
}

/// Where a network's parameters come from.
pub(crate) enum Source<'a> {
    Random(&'a mut dyn RngCore, &'a Device),
    /// A checkpoint read from a file, and the prefix of the names in it.
    Checkpoint(&'a Checkpoint, &'a Path, &'a str),
}

/// A network's parameters in the order they were made.
#[derive(Debug, Clone)]
pub(crate) struct Parameters {
    vars: Vec<(String, Var)>,
    /// Batch norms have a gain and a bias that are learnt.
    gain_and_bias: bool,
}

impl Parameters {
    /// None yet, of a network whose batch norms learn a gain and a bias, or do not.
    pub(crate) fn of_norms(gain_and_bias: bool) -> Self {
        Self { vars: Vec::new(), gain_and_bias }
    }

    /// Makes one parameter and keeps it.
    pub(crate) fn make(
        &mut self,
        source: &mut Source,
        name: &str,
        shape: &[usize],
        kind: Kind,
    ) -> Result<Tensor> {
        let value = match source {
            Source::Checkpoint(checkpoint, path, prefix) => {
                checkpoint.require(path, &format!("{prefix}{name}"), shape)?
            }
            Source::Random(rng, device) => match kind {
                Kind::Weight => init::normal(shape, 0.0, INITIAL_STD, *rng, device)?,
                Kind::Gain => init::normal(shape, 1.0, INITIAL_STD, *rng, device)?,
                Kind::Bias => Tensor::zeros(shape, candle_core::DType::F32, device)?,
            },
        };
        let var = Var::from_tensor(&value)?;
        self.vars.push((name.to_string(), var.clone()));
        Ok(var.into_inner())
    }

    /// Gain and bias of `c` channels: the constants 1 and 0 where they are not learnt.
    pub(crate) fn make_norm(
        &mut self,
        source: &mut Source,
        name: &str,
        c: usize,
    ) -> Result<(Tensor, Tensor)> {
        if !self.gain_and_bias {
            // Where the kernel is, which is made before.
            let device = self.vars.last().map_or(Device::Cpu, |(_, kernel)| kernel.device().clone());
            let constant = |value: f32| dcgan_nn::device::tensor(vec![value; c], &[c], &device);
            return Ok((constant(1.0)?, constant(0.0)?));
        }
        let mut make = |part: &str, kind| self.make(source, &format!("{name}.{part}"), &[c], kind);
        Ok((make("gain", Kind::Gain)?, make("bias", Kind::Bias)?))
    }

    /// Room for the gradients of the network's `layers`.
    pub(crate) fn gradients(&self, layers: &[Layer]) -> Result<Vec<Gradients>> {
        let of = if self.gain_and_bias { Gradients::of } else { Gradients::of_kernel };
        Ok(layers.iter().map(of).collect::<dcgan_nn::Result<_>>()?)
    }

    pub(crate) fn vars(&self) -> &[(String, Var)] {
        &self.vars
    }

    /// Adds all parameters to a checkpoint under `prefix`.
    pub(crate) fn store(&self, prefix: &str, checkpoint: &mut Checkpoint) {
        for (name, var) in &self.vars {
            checkpoint.insert(format!("{prefix}{name}"), var);
        }
    }
}

/// Refuses labels of which a network has no use, and none where it needs them.
pub(crate) fn check_labels(network: &str, classes: usize, labels: Option<&Tensor>) -> Result<()> {
    let wrong = |message: String| Err(candle_core::Error::Msg(message).into());
    match labels.map(Tensor::dims) {
        None if classes == 0 => Ok(()),
        Some(&[_, found]) if classes > 0 && found == classes => Ok(()),
        None => wrong(format!("this {network} is conditional on {classes} classes: it needs labels")),
        Some(_) if classes == 0 => wrong(format!("this {network} is not conditional: it takes no labels")),
        Some(found) => {
            wrong(format!("this {network} is conditional on {classes} classes, the labels are {found:?}"))
        }
    }
}

/// The generator that draws a network's initial weights; `network` tells G's from D's.
pub(crate) fn weights_rng(seed: u64, network: u64) -> impl RngCore {
    rng::stream(seed, rng::Purpose::Weights, network)
}

/// Saves a network with its configuration as JSON.
pub(crate) fn save(
    parameters: &Parameters,
    network: &str,
    config: &impl serde::Serialize,
    path: &Path,
) -> Result<()> {
    let mut checkpoint = Checkpoint::default();
    parameters.store("", &mut checkpoint);
    checkpoint.describe("network", network);
    checkpoint.describe("config", json(config)?);
    Ok(checkpoint.save(path)?)
}

/// Reads a file that [`save`] wrote for the same kind of network, of sizes that `is_sound` takes.
pub(crate) fn load<C: serde::de::DeserializeOwned + std::fmt::Debug>(
    network: &str,
    path: &Path,
    device: &Device,
    is_sound: fn(&C) -> bool,
) -> Result<(C, Checkpoint)> {
    let checkpoint = Checkpoint::load(path, device)?;
    let expected = |what: &str, found| GanError::File {
        path: path.to_path_buf(),
        expected: format!("a {network} {what}"),
        found,
    };
    let wrong = |found| expected("with its configuration", found);
    match checkpoint.metadata("network") {
        Some(found) if found == network => {}
        found => return Err(wrong(format!("network {found:?}"))),
    }
    let config = checkpoint.metadata("config").unwrap_or_default();
    let config = serde_json::from_str(config).map_err(|e| wrong(e.to_string()))?;
    match is_sound(&config) {
        true => Ok((config, checkpoint)),
        false => Err(expected("of possible sizes", format!("{config:?}"))),
    }
}

/// Plain structs of numbers and strings always have a JSON form; the error is kept all the same.
pub(crate) fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| GanError::Io(e.into()))
}
