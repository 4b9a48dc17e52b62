//! Where a training's first weights come from.

use dcgan_nn::device::Device;
use std::path::{Path, PathBuf};

use candle_core::Var;
use serde::Serialize;

use super::config::TrainSettings;
use super::trainer::Trainer;
use crate::architecture::{Shapes, unlike_keys, unlike_tensors};
use crate::{Discriminator, GanError, Generator, Result};

/// Files of trained networks that a training begins with; a network without one is drawn anew.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Start {
    /// The generator's.
    pub generator: Option<PathBuf>,
    /// The discriminator's.
    pub discriminator: Option<PathBuf>,
}

impl Start {
    /// A trainer at its first minibatch.
    ///
    /// # Errors
    /// Where a file cannot be read; [`GanError::OtherNetwork`] where its network is not that of the settings.
    pub(super) fn trainer(&self, settings: &TrainSettings, device: &Device) -> Result<Trainer> {
        let fresh = Trainer::new(settings, device)?;
        if *self == Self::default() {
            return Ok(fresh);
        }
        let (mut generator, mut discriminator) = (fresh.generator.clone(), fresh.discriminator.clone());
        if let Some(path) = &self.generator {
            let found = Generator::load(path, device)?;
            check(path, fresh.generator.parameters(), found.parameters())?;
            check_config(path, generator.config(), found.config())?;
            generator = found;
        }
        if let Some(path) = &self.discriminator {
            let found = Discriminator::load(path, device)?;
            check(path, fresh.discriminator.parameters(), found.parameters())?;
            check_config(path, discriminator.config(), found.config())?;
            discriminator = found;
        }
        Trainer::with_networks(settings, device, generator, discriminator)
    }
}

/// Refuses tensors of other shapes, tensor by tensor.
fn check(path: &Path, expected: &[(String, Var)], found: &[(String, Var)]) -> Result<()> {
    let shapes = |all: &[(String, Var)]| -> Shapes {
        all.iter().map(|(name, var)| (name.clone(), var.dims().to_vec())).collect()
    };
    refuse(path, unlike_tensors(&shapes(expected), &shapes(found)))
}

/// Refuses what the shapes of tensors do not tell, such as strides, key by key.
fn check_config<C: Serialize>(path: &Path, expected: &C, found: &C) -> Result<()> {
    refuse(path, unlike_keys(expected, found))
}

fn refuse(path: &Path, unlike: Option<String>) -> Result<()> {
    match unlike {
        None => Ok(()),
        Some(unlike) => Err(GanError::OtherNetwork { path: path.to_path_buf(), unlike }),
    }
}
