//! A trainer's state in a file and back.

use std::path::Path;

use dcgan_nn::checkpoint::Checkpoint;
use dcgan_nn::device::Device;
use serde_json::Value;

use super::config::{FREE_SETTINGS, TrainSettings};
use super::trainer::Trainer;
use super::updates::{DiscriminatorUpdate, GeneratorUpdate};
use crate::{Discriminator, GanError, Generator, Result, parameters::json};

impl Trainer {
    /// Goes on from a file that [`Self::save`] wrote.
    ///
    /// # Errors
    /// Where the file is damaged; [`GanError::OtherSettings`] where it was written under other settings than these, those of
    /// [`FREE_SETTINGS`] left aside.
    pub fn resume(settings: &TrainSettings, path: &Path, device: &Device) -> Result<Self> {
        let checkpoint = Checkpoint::load(path, device)?;
        check_settings(settings, &checkpoint, path)?;
        let architecture = settings.architecture;
        let (g, d) = (architecture.generator(), architecture.discriminator());
        let generator = Generator::from_checkpoint(g, &checkpoint, path, "generator.")?;
        let discriminator = Discriminator::from_checkpoint(d, &checkpoint, path, "discriminator.")?;
        let mut trainer = Self::with_networks(settings, device, generator, discriminator)?;
        trainer.generator_adam.load("generator_adam", &checkpoint, path)?;
        trainer.discriminator_adam.load("discriminator_adam", &checkpoint, path)?;
        if let Some(average) = &mut trainer.average {
            average.load(&checkpoint, path)?;
        }
        let number = |key: &str| {
            checkpoint.metadata(key).and_then(|text| text.parse::<f64>().ok()).ok_or_else(|| GanError::File {
                path: path.to_path_buf(),
                expected: format!("a number under `{key}`"),
                found: format!("{:?}", checkpoint.metadata(key)),
            })
        };
        trainer.step = number("step")? as u64;
        trainer.last = (
            DiscriminatorUpdate {
                loss: number("d_loss")?,
                real: number("d_real")?,
                fake: number("d_fake")?,
                accuracy: number("d_accuracy")?,
                gradient_norm: number("d_gradient_norm")?,
            },
            GeneratorUpdate { loss: number("g_loss")?, gradient_norm: number("g_gradient_norm")? },
        );
        trainer.collapse = serde_json::from_str(checkpoint.metadata("collapse").unwrap_or_default())
            .map_err(|e| GanError::File {
                path: path.to_path_buf(),
                expected: "a description under `collapse`".to_string(),
                found: e.to_string(),
            })?;
        Ok(trainer)
    }

    /// Writes everything [`Self::resume`] needs, whole or not at all: both networks, both optimisers, the average if there is
    /// one, the step and what the last updates saw. There is no state of a random generator: every draw is a function of
    /// seed and step. `notes` are kept as metadata.
    ///
    /// # Errors
    /// [`GanError::Diverged`] where a weight is no longer finite: such a state is of no use.
    pub fn save(&self, path: &Path, notes: &[(&str, f64)]) -> Result<()> {
        self.check_weights()?;
        let mut checkpoint = Checkpoint::default();
        self.generator.store("generator.", &mut checkpoint);
        self.discriminator.store("discriminator.", &mut checkpoint);
        self.generator_adam.save("generator_adam", &mut checkpoint)?;
        self.discriminator_adam.save("discriminator_adam", &mut checkpoint)?;
        if let Some(average) = &self.average {
            average.store(&mut checkpoint);
        }
        checkpoint.describe("settings", json(&self.settings.trajectory()?)?);
        checkpoint.describe("step", self.step.to_string());
        checkpoint.describe("collapse", json(&self.collapse)?);
        let (d, g) = self.last;
        let values = [
            ("d_loss", d.loss),
            ("d_real", d.real),
            ("d_fake", d.fake),
            ("d_accuracy", d.accuracy),
            ("d_gradient_norm", d.gradient_norm),
            ("g_loss", g.loss),
            ("g_gradient_norm", g.gradient_norm),
        ];
        for (key, value) in values.iter().chain(notes) {
            checkpoint.describe(key, value.to_string());
        }
        Ok(checkpoint.save(path)?)
    }
}

/// Refuses the first setting that differs among those that decide the weights.
fn check_settings(settings: &TrainSettings, checkpoint: &Checkpoint, path: &Path) -> Result<()> {
    let expected = settings.trajectory()?;
    let text = checkpoint.metadata("settings").unwrap_or_default();
    let found: Value = serde_json::from_str(text).map_err(|e| GanError::File {
        path: path.to_path_buf(),
        expected: "settings as JSON".to_string(),
        found: e.to_string(),
    })?;
    // Also what is only there: settings are left out where they are as they were before there were such settings.
    let keys = [&expected, &found].into_iter().filter_map(Value::as_object).flat_map(|all| all.keys());
    let is_free = |key: &&String| FREE_SETTINGS.contains(&key.as_str()) && expected[key.as_str()].is_null();
    let mut decisive = keys.filter(|key| !is_free(key));
    match decisive.find(|key| found[*key] != expected[*key]) {
        None => Ok(()),
        Some(key) => Err(GanError::OtherSettings {
            path: path.to_path_buf(),
            key: key.clone(),
            expected: expected[key].to_string(),
            found: found[key].to_string(),
        }),
    }
}
