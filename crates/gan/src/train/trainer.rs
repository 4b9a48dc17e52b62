//! Both networks with their optimisers, one minibatch at a time.

use std::path::Path;

use candle_core::{Device, Tensor};
use dcgan_images::ImageStore;
use dcgan_nn::{
    adam::{Adam, AdamConfig},
    checkpoint::Checkpoint,
    loss::bce_with_logits,
    pixels::to_activations,
    rng::Purpose,
};

use super::config::{Schedule, TrainSettings};
use crate::{Discriminator, GanError, Generator, IMAGE_CHANNELS, Result, parameters::json, sample::draw_z};

/// What an update of D saw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DiscriminatorUpdate {
    /// Cross-entropy of the real minibatch against 1 plus that of the generated one against 0, in nats.
    pub loss: f64,
    /// Mean of σ(D(x)).
    pub real: f64,
    /// Mean of σ(D(G(z))).
    pub fake: f64,
}

/// What an update of G saw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GeneratorUpdate {
    /// Cross-entropy of D(G(z)) against 1 (the non-saturating loss), in nats.
    pub loss: f64,
}

/// Two networks, two optimisers and the step.
#[derive(Debug)]
pub struct Trainer {
    settings: TrainSettings,
    device: Device,
    generator: Generator,
    discriminator: Discriminator,
    generator_adam: Adam,
    discriminator_adam: Adam,
    step: u64,
    last: (DiscriminatorUpdate, GeneratorUpdate),
}

impl Trainer {
    /// Networks with fresh weights.
    pub fn new(settings: &TrainSettings, device: &Device) -> Result<Self> {
        let architecture = settings.architecture;
        let generator = Generator::random(architecture.generator(), settings.seed, device)?;
        let discriminator = Discriminator::random(architecture.discriminator(), settings.seed, device)?;
        Ok(Self::with_networks(settings, device, generator, discriminator))
    }

    /// Goes on from `checkpoint` if there is such a file, else starts with fresh weights.
    ///
    /// # Errors
    /// As [`Self::resume`].
    pub fn resume_or_new(settings: &TrainSettings, checkpoint: &Path, device: &Device) -> Result<Self> {
        match checkpoint.exists() {
            true => Self::resume(settings, checkpoint, device),
            false => Self::new(settings, device),
        }
    }

    fn with_networks(
        settings: &TrainSettings,
        device: &Device,
        generator: Generator,
        discriminator: Discriminator,
    ) -> Self {
        let config = AdamConfig {
            learning_rate: settings.learning_rate,
            beta1: settings.beta1,
            l2: settings.l2,
            ..AdamConfig::default()
        };
        let none = f64::NAN;
        Self {
            settings: settings.clone(),
            device: device.clone(),
            generator_adam: Adam::new(generator.parameters().to_vec(), config),
            discriminator_adam: Adam::new(discriminator.parameters().to_vec(), config),
            generator,
            discriminator,
            step: 0,
            last: (
                DiscriminatorUpdate { loss: none, real: none, fake: none },
                GeneratorUpdate { loss: none },
            ),
        }
    }

    /// Goes on from a file that [`Self::save`] wrote.
    ///
    /// # Errors
    /// Where the file is damaged or was written under other settings (the number of epochs and what is only written
    /// may differ).
    pub fn resume(settings: &TrainSettings, path: &Path, device: &Device) -> Result<Self> {
        let checkpoint = Checkpoint::load(path, device)?;
        let expected = json(&trajectory(settings))?;
        let found = checkpoint.metadata("settings").unwrap_or_default();
        if found != expected {
            return Err(GanError::File { path: path.to_path_buf(), expected, found: found.to_string() });
        }
        let architecture = settings.architecture;
        let mut trainer = Self::with_networks(
            settings,
            device,
            Generator::from_checkpoint(architecture.generator(), &checkpoint, path, "generator.")?,
            Discriminator::from_checkpoint(
                architecture.discriminator(),
                &checkpoint,
                path,
                "discriminator.",
            )?,
        );
        trainer.generator_adam.load("generator_adam", &checkpoint, path)?;
        trainer.discriminator_adam.load("discriminator_adam", &checkpoint, path)?;
        let number = |key: &str| {
            checkpoint.metadata(key).and_then(|text| text.parse::<f64>().ok()).ok_or_else(|| GanError::File {
                path: path.to_path_buf(),
                expected: format!("a number under `{key}`"),
                found: format!("{:?}", checkpoint.metadata(key)),
            })
        };
        trainer.step = number("step")? as u64;
        let discriminator =
            DiscriminatorUpdate { loss: number("d_loss")?, real: number("d_real")?, fake: number("d_fake")? };
        trainer.last = (discriminator, GeneratorUpdate { loss: number("g_loss")? });
        Ok(trainer)
    }

    /// Writes everything [`Self::resume`] needs, whole or not at all.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut checkpoint = Checkpoint::default();
        self.generator.store("generator.", &mut checkpoint);
        self.discriminator.store("discriminator.", &mut checkpoint);
        self.generator_adam.save("generator_adam", &mut checkpoint)?;
        self.discriminator_adam.save("discriminator_adam", &mut checkpoint)?;
        checkpoint.describe("settings", json(&trajectory(&self.settings))?);
        checkpoint.describe("step", self.step.to_string());
        let (d, g) = self.last;
        for (key, value) in [("d_loss", d.loss), ("d_real", d.real), ("d_fake", d.fake), ("g_loss", g.loss)] {
            checkpoint.describe(key, value.to_string());
        }
        Ok(checkpoint.save(path)?)
    }

    /// One step of the schedule on the pictures `indices` of `store`.
    pub fn minibatch(&mut self, store: &ImageStore, indices: &[u32]) -> Result<()> {
        let schedule = self.settings.schedule;
        // The released code begins with G.
        if schedule == Schedule::Both || !self.step.is_multiple_of(2) {
            let mut pixels = Vec::new();
            store.gather(indices, &mut pixels);
            let shape = [indices.len(), IMAGE_CHANNELS, store.height(), store.width()];
            let real = to_activations(&pixels, shape, &self.device)?;
            self.last.0 = self.update_discriminator(&real)?;
        }
        if schedule == Schedule::Both || self.step.is_multiple_of(2) {
            self.last.1 = self.update_generator()?;
        }
        self.step += 1;
        Ok(())
    }

    /// Updates D on real pictures (n, h, w, 3) in [-1, 1] and as many generated ones; the two pass through D separately,
    /// each with its own batch statistics.
    pub fn update_discriminator(&mut self, real: &Tensor) -> Result<DiscriminatorUpdate> {
        let fake = self.generator.frozen().forward(&self.draw_z(Purpose::DiscriminatorZ, real.dim(0)?)?)?;
        let (real, fake) = (self.discriminator.forward(real)?, self.discriminator.forward(&fake)?);
        let loss = (bce_with_logits(&real, 1.0)? + bce_with_logits(&fake, 0.0)?)?;
        let update = DiscriminatorUpdate {
            loss: self.finite(&loss, "discriminator")?,
            real: mean_sigmoid(&real)?,
            fake: mean_sigmoid(&fake)?,
        };
        self.discriminator_adam.step(&loss.backward()?)?;
        Ok(update)
    }

    /// Updates G on freshly drawn z.
    pub fn update_generator(&mut self) -> Result<GeneratorUpdate> {
        let pictures =
            self.generator.forward(&self.draw_z(Purpose::GeneratorZ, self.settings.batch_size)?)?;
        let loss = bce_with_logits(&self.discriminator.frozen().forward(&pictures)?, 1.0)?;
        let update = GeneratorUpdate { loss: self.finite(&loss, "generator")? };
        self.generator_adam.step(&loss.backward()?)?;
        Ok(update)
    }

    fn draw_z(&self, purpose: Purpose, n: usize) -> Result<Tensor> {
        draw_z(self.generator.config(), n, (self.settings.seed, purpose, self.step), &self.device)
    }

    fn finite(&self, loss: &Tensor, network: &'static str) -> Result<f64> {
        let loss = f64::from(loss.to_scalar::<f32>()?);
        match loss.is_finite() {
            true => Ok(loss),
            false => Err(GanError::Diverged { step: self.step, network, loss }),
        }
    }

    /// The generator.
    pub fn generator(&self) -> &Generator {
        &self.generator
    }

    /// The discriminator.
    pub fn discriminator(&self) -> &Discriminator {
        &self.discriminator
    }

    /// Minibatches seen.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// What the last updates of D and of G saw; NaN before the first.
    pub fn last_updates(&self) -> (DiscriminatorUpdate, GeneratorUpdate) {
        self.last
    }

    /// The settings.
    pub fn settings(&self) -> &TrainSettings {
        &self.settings
    }
}

/// The settings a resumed run must share with the one that wrote the checkpoint: all that decide its weights.
fn trajectory(settings: &TrainSettings) -> TrainSettings {
    TrainSettings {
        epochs: 0,
        max_steps: None,
        log_every: 0,
        sample_every_epochs: 0,
        checkpoint_minutes: 0.0,
        ..settings.clone()
    }
}

fn mean_sigmoid(logits: &Tensor) -> Result<f64> {
    Ok(f64::from(candle_nn::ops::sigmoid(&logits.detach())?.mean_all()?.to_scalar::<f32>()?))
}
