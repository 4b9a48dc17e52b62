//! Both networks with their optimisers, one minibatch at a time.

use std::path::Path;

use candle_core::{Device, Tensor};
use dcgan_images::ImageStore;
use dcgan_nn::{
    adam::{Adam, AdamConfig},
    checkpoint::Checkpoint,
    layer::{Gradients, Layer, Trace, stack_backward, stack_trace},
    loss::bce_with_gradient,
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

/// Room for the gradients of both networks.
#[derive(Debug)]
struct NetworkGradients {
    generator: Vec<Gradients>,
    discriminator: Vec<Gradients>,
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
    gradients: NetworkGradients,
    step: u64,
    last: (DiscriminatorUpdate, GeneratorUpdate),
}

impl Trainer {
    /// Networks with fresh weights.
    pub fn new(settings: &TrainSettings, device: &Device) -> Result<Self> {
        let architecture = settings.architecture;
        let generator = Generator::random(architecture.generator(), settings.seed, device)?;
        let discriminator = Discriminator::random(architecture.discriminator(), settings.seed, device)?;
        Self::with_networks(settings, device, generator, discriminator)
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
    ) -> Result<Self> {
        let config = AdamConfig {
            learning_rate: settings.learning_rate,
            beta1: settings.beta1,
            l2: settings.l2,
            ..AdamConfig::default()
        };
        let none = f64::NAN;
        let of =
            |layers: &[Layer]| layers.iter().map(|layer| Ok(Gradients::of(layer)?)).collect::<Result<_>>();
        Ok(Self {
            gradients: NetworkGradients {
                generator: of(generator.layers())?,
                discriminator: of(discriminator.layers()?)?,
            },
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
        })
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
        )?;
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
        let fake = self.generator.forward(&self.draw_z(Purpose::DiscriminatorZ, real.dim(0)?)?)?;
        let layers = self.discriminator.layers()?;
        let gradients = &mut self.gradients.discriminator;
        gradients.iter_mut().for_each(Gradients::clear);
        let mut pass = |pictures: &Tensor, target: f32| -> Result<(f64, f64)> {
            let traces = stack_trace(layers, pictures)?;
            let logits = logits(&traces)?;
            let (loss, dlogits) = bce_with_gradient(&logits, target)?;
            stack_backward(layers, traces, &dlogits, Some(gradients), false)?;
            Ok((loss, mean_sigmoid(&logits)?))
        };
        let ((real_loss, real), (fake_loss, fake)) = (pass(real, 1.0)?, pass(&fake, 0.0)?);
        let loss = self.finite(real_loss + fake_loss, "discriminator")?;
        let gradients = self.gradients.discriminator.iter().flat_map(Gradients::tensors);
        self.discriminator_adam.step_with(gradients.map(Some))?;
        Ok(DiscriminatorUpdate { loss, real, fake })
    }

    /// Updates G on freshly drawn z.
    pub fn update_generator(&mut self) -> Result<GeneratorUpdate> {
        let z = self.draw_z(Purpose::GeneratorZ, self.settings.batch_size)?;
        let (layers, critic) = (self.generator.layers(), self.discriminator.layers()?);
        let traces = stack_trace(layers, &z)?;
        let pictures = traces.last().map_or(&z, Trace::output);
        let critic_traces = stack_trace(critic, pictures)?;
        let (loss, dlogits) = bce_with_gradient(&logits(&critic_traces)?, 1.0)?;
        let loss = self.finite(loss, "generator")?;
        let gradients = &mut self.gradients.generator;
        gradients.iter_mut().for_each(Gradients::clear);
        if let Some(dpictures) = stack_backward(critic, critic_traces, &dlogits, None, true)? {
            stack_backward(layers, traces, &dpictures, Some(gradients), false)?;
        }
        self.generator_adam.step_with(gradients.iter().flat_map(Gradients::tensors).map(Some))?;
        Ok(GeneratorUpdate { loss })
    }

    fn draw_z(&self, purpose: Purpose, n: usize) -> Result<Tensor> {
        draw_z(self.generator.config(), n, (self.settings.seed, purpose, self.step), &self.device)
    }

    fn finite(&self, loss: f64, network: &'static str) -> Result<f64> {
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

/// What a discriminator's last layer gave.
fn logits(traces: &[Trace]) -> Result<Tensor> {
    match traces.last() {
        Some(trace) => Ok(trace.output().clone()),
        None => Err(candle_core::Error::Msg("a network without layers".into()).into()),
    }
}

fn mean_sigmoid(logits: &Tensor) -> Result<f64> {
    Ok(f64::from(candle_nn::ops::sigmoid(&logits.detach())?.mean_all()?.to_scalar::<f32>()?))
}
