//! Where a training's first weights come from.

use std::path::{Path, PathBuf};

use candle_core::{Device, Var};
use serde::Serialize;
use serde_json::{Map, Value};

use super::config::TrainSettings;
use super::trainer::Trainer;
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
    let shape_in = |all: &[(String, Var)], name: &str| {
        all.iter().find(|(other, _)| other == name).map(|(_, var)| var.dims().to_vec())
    };
    let names = expected.iter().chain(found.iter().filter(|(name, _)| shape_in(expected, name).is_none()));
    let text = |shape: Option<Vec<usize>>| shape.map_or("none".to_owned(), |shape| format!("{shape:?}"));
    let unlike: Vec<String> = names
        .map(|(name, _)| (name, shape_in(expected, name), shape_in(found, name)))
        .filter(|(_, expected, found)| expected != found)
        .map(|(name, expected, found)| {
            format!("`{name}`: expected {}, found {}", text(expected), text(found))
        })
        .collect();
    match unlike.is_empty() {
        true => Ok(()),
        false => Err(GanError::OtherNetwork { path: path.to_path_buf(), unlike: unlike.join("; ") }),
    }
}

/// Refuses what the shapes of tensors do not tell, such as strides, key by key.
fn check_config<C: Serialize>(path: &Path, expected: &C, found: &C) -> Result<()> {
    let keys = |config: &C| match serde_json::to_value(config) {
        Ok(Value::Object(keys)) => keys,
        _ => Map::new(),
    };
    let (expected, found) = (keys(expected), keys(found));
    let names = expected.keys().chain(found.keys().filter(|name| !expected.contains_key(*name)));
    let text = |value: Option<&Value>| value.map_or("none".to_owned(), Value::to_string);
    let unlike: Vec<String> = names
        .map(|name| (name, expected.get(name), found.get(name)))
        .filter(|(_, expected, found)| expected != found)
        .map(|(name, expected, found)| {
            format!("`{name}`: expected {}, found {}", text(expected), text(found))
        })
        .collect();
    match unlike.is_empty() {
        true => Ok(()),
        false => Err(GanError::OtherNetwork { path: path.to_path_buf(), unlike: unlike.join("; ") }),
    }
}
