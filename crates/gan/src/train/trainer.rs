//! Both networks with their optimisers, one minibatch at a time.

use std::sync::Arc;

use candle_core::Tensor;
use dcgan_nn::device::Device;
use dcgan_nn::parts::Part;
use dcgan_nn::{
    adam::{Adam, AdamConfig},
    layer::{Gradients, Trace, prepare, stack_backward, stack_trace_across},
    loss::{bce_gradient, bce_with_gradient},
    norm::norm,
    rng::Purpose,
};

use super::average::Average;
use super::collapse::Collapse;
use super::config::{StatisticsOver, TrainSettings};
use super::prepare::Minibatch;
use super::updates::{DiscriminatorUpdate, GeneratorUpdate};
use crate::{Discriminator, GanError, Generator, Result, sample::draw_z};

/// What [`GanError::Diverged`] calls it.
const GRADIENT_NORM: &str = "gradient's norm";

/// Room for the gradients of both networks.
#[derive(Debug)]
struct NetworkGradients {
    generator: Vec<Gradients>,
    discriminator: Vec<Gradients>,
}

/// Two networks, two optimisers and the step.
#[derive(Debug)]
pub struct Trainer {
    pub(super) settings: TrainSettings,
    device: Device,
    /// This process's, of a training on several devices.
    pub(super) part: Option<Arc<Part>>,
    pub(super) generator: Generator,
    pub(super) discriminator: Discriminator,
    pub(super) generator_adam: Adam,
    pub(super) discriminator_adam: Adam,
    gradients: NetworkGradients,
    /// The average of G, if one is kept.
    pub(super) average: Option<Average>,
    pub(super) collapse: Collapse,
    pub(super) step: u64,
    pub(super) last: (DiscriminatorUpdate, GeneratorUpdate),
}

impl Trainer {
    /// Networks with fresh weights.
    pub fn new(settings: &TrainSettings, device: &Device) -> Result<Self> {
        let architecture = settings.architecture;
        let generator = Generator::random(architecture.generator(), settings.seed, device)?;
        let discriminator = Discriminator::random(architecture.discriminator(), settings.seed, device)?;
        Self::with_networks(settings, device, generator, discriminator)
    }

    pub(super) fn with_networks(
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
        Ok(Self {
            gradients: NetworkGradients {
                generator: generator.gradients()?,
                discriminator: discriminator.gradients()?,
            },
            settings: settings.clone(),
            device: device.clone(),
            part: None,
            average: match settings.ema_decay {
                Some(decay) => Some(Average::of(&generator, decay)?),
                None => None,
            },
            collapse: Collapse::default(),
            generator_adam: Adam::new(generator.parameters().to_vec(), config),
            discriminator_adam: Adam::new(discriminator.parameters().to_vec(), config),
            generator,
            discriminator,
            step: 0,
            last: (DiscriminatorUpdate::NONE, GeneratorUpdate::NONE),
        })
    }

    /// Whether this step's updates are measured. Reading a number waits for a GPU: there only the last two steps before a
    /// line of the log are, and the first two.
    fn measures(&self) -> bool {
        let left = self.settings.log_every - self.step % self.settings.log_every;
        self.device.is_cpu() || self.step < 2 || left <= 2
    }

    /// One step of the schedule; `next` is asked for a minibatch if it updates D, or if the networks are conditional.
    ///
    /// # Errors
    /// [`GanError::Diverged`] where a loss or a gradient is no longer finite; the weights are then as they were before the
    /// update. On a GPU it is noticed only at a step that is measured.
    pub fn minibatch(&mut self, next: &mut dyn FnMut() -> Result<Minibatch>) -> Result<()> {
        let (schedule, measures) = (self.settings.schedule, self.measures());
        let updates_discriminator = schedule.updates_discriminator(self.step);
        let batch = match updates_discriminator || self.generator.config().classes > 0 {
            true => next()?,
            false => Minibatch::default(),
        };
        let labels = batch.labels.as_ref();
        if let (true, Some(pictures)) = (updates_discriminator, &batch.pictures) {
            let update = self.update_discriminator(pictures, labels, measures)?;
            self.last.0 = update.unwrap_or(self.last.0);
        }
        if schedule.updates_generator(self.step) {
            self.last.1 = self.update_generator(labels, measures)?.unwrap_or(self.last.1);
        }
        self.step += 1;
        self.collapse.observe(self.step, &self.last.0, &self.last.1);
        Ok(())
    }

    /// Updates D on real pictures (n, h, w, c) and as many generated ones, with the same labels (n, classes) where the networks are
    /// conditional; the two pass through D separately,
    /// each with its own batch statistics. What it saw is returned if it is to be measured; else no number is looked at, and
    /// a GPU is not waited for.
    pub fn update_discriminator(
        &mut self,
        real: &Tensor,
        labels: Option<&Tensor>,
        measures: bool,
    ) -> Result<Option<DiscriminatorUpdate>> {
        let n = real.dim(0)? * self.part.as_ref().map_or(1, |part| part.count());
        let z = self.draw_z(Purpose::DiscriminatorZ, n)?;
        let across = self.across();
        let fake = match across {
            Some(_) => {
                drawn(&stack_trace_across(&prepare(self.generator.layers())?, &z, labels, across)?, &z)
            }
            None => self.generator.draw(&z, labels)?,
        };
        let across = across.cloned();
        let layers = &prepare(self.discriminator.layers()?)?;
        let gradients = &mut self.gradients.discriminator;
        gradients.iter_mut().for_each(Gradients::clear);
        let mut pass = |pictures: &Tensor, target: f32| -> Result<Option<(f64, f64, f64)>> {
            let traces = stack_trace_across(layers, pictures, labels, across.as_ref())?;
            let logits = logits(&traces)?;
            if !measures {
                stack_backward(layers, traces, &bce_gradient(&logits, target)?, Some(gradients), false)?;
                return Ok(None);
            }
            let (loss, dlogits) = bce_with_gradient(&logits, target)?;
            stack_backward(layers, traces, &dlogits, Some(gradients), false)?;
            let logits = logits.to_device(&Device::CPU)?.to_dtype(candle_core::DType::F32)?;
            Ok(Some((loss, mean_sigmoid(&logits)?, share_positive(&logits)?)))
        };
        let passes = (pass(real, 1.0)?, pass(&fake, 0.0)?);
        self.average_gradients(&self.gradients.discriminator)?;
        let (Some((real_loss, real, found)), Some((fake_loss, fake, taken_in))) = passes else {
            let gradients = self.gradients.discriminator.iter().flat_map(Gradients::tensors);
            self.discriminator_adam.step_with(gradients.map(Some))?;
            return Ok(None);
        };
        let seen = self.averaged([real_loss, real, found, fake_loss, fake, taken_in])?;
        let [real_loss, real, found, fake_loss, fake, taken_in] = seen;
        let loss = self.finite(real_loss + fake_loss, "discriminator", "loss")?;
        let gradients = || self.gradients.discriminator.iter().flat_map(Gradients::tensors);
        let gradient_norm = self.finite(norm(gradients())?, "discriminator", GRADIENT_NORM)?;
        self.discriminator_adam.step_with(gradients().map(Some))?;
        let accuracy = 0.5 * (found + 1.0 - taken_in);
        Ok(Some(DiscriminatorUpdate { loss, real, fake, accuracy, gradient_norm }))
    }

    /// Updates G on freshly drawn z, with labels (n, classes) where the networks are conditional. What it saw is returned if it is to be measured, as with [`Self::update_discriminator`].
    pub fn update_generator(
        &mut self,
        labels: Option<&Tensor>,
        measures: bool,
    ) -> Result<Option<GeneratorUpdate>> {
        let z = self.draw_z(Purpose::GeneratorZ, self.settings.batch_size)?;
        let (layers, critic) = (&prepare(self.generator.layers())?, &prepare(self.discriminator.layers()?)?);
        let traces = stack_trace_across(layers, &z, labels, self.across())?;
        let critic_traces = stack_trace_across(critic, &drawn(&traces, &z), labels, self.across())?;
        let logits = logits(&critic_traces)?;
        let (loss, dlogits) = match measures {
            true => {
                let (loss, dlogits) = bce_with_gradient(&logits, 1.0)?;
                let [loss] = self.averaged([loss])?;
                (Some(self.finite(loss, "generator", "loss")?), dlogits)
            }
            false => (None, bce_gradient(&logits, 1.0)?),
        };
        let gradients = &mut self.gradients.generator;
        gradients.iter_mut().for_each(Gradients::clear);
        if let Some(dpictures) = stack_backward(critic, critic_traces, &dlogits, None, true)? {
            stack_backward(layers, traces, &dpictures, Some(gradients), false)?;
        }
        self.average_gradients(&self.gradients.generator)?;
        let gradients = || self.gradients.generator.iter().flat_map(Gradients::tensors);
        let update = match loss {
            Some(loss) => {
                let gradient_norm = self.finite(norm(gradients())?, "generator", GRADIENT_NORM)?;
                Some(GeneratorUpdate { loss, gradient_norm })
            }
            None => None,
        };
        self.generator_adam.step_with(gradients().map(Some))?;
        if let Some(average) = &mut self.average {
            average.update(&self.generator)?;
        }
        Ok(update)
    }

    /// This part's rows of `n` z.
    fn draw_z(&self, purpose: Purpose, n: usize) -> Result<Tensor> {
        let z = draw_z(self.generator.config(), n, (self.settings.seed, purpose, self.step), &self.device)?;
        let z = match &self.part {
            Some(part) => z.narrow(0, part.rows(n).start, part.rows(n).len())?,
            None => z,
        };
        Ok(self.device.network_input(&z)?)
    }

    /// The part whose statistics are those of the whole minibatch, where that is asked for.
    fn across(&self) -> Option<&Arc<Part>> {
        self.part.as_ref().filter(|_| self.settings.statistics_over == StatisticsOver::Minibatch)
    }

    /// Those of the whole minibatch, where this process has a part of it.
    fn average_gradients(&self, gradients: &[Gradients]) -> Result<()> {
        match &self.part {
            Some(part) => Ok(part.mean(&gradients.iter().flat_map(Gradients::tensors).collect::<Vec<_>>())?),
            None => Ok(()),
        }
    }

    /// The same of means over pictures.
    fn averaged<const N: usize>(&self, mut means: [f64; N]) -> Result<[f64; N]> {
        if let Some(part) = &self.part {
            part.mean_of(&mut means)?;
        }
        Ok(means)
    }

    fn finite(&self, value: f64, network: &'static str, what: &'static str) -> Result<f64> {
        match value.is_finite() {
            true => Ok(value),
            false => Err(GanError::Diverged { step: self.step, network, what, value, checkpoint: None }),
        }
    }

    /// Refuses weights that are no longer finite.
    pub(super) fn check_weights(&self) -> Result<()> {
        let networks =
            [("generator", self.generator.parameters()), ("discriminator", self.discriminator.parameters())];
        for (network, parameters) in networks {
            self.finite(norm(parameters.iter().map(|(_, var)| var.as_tensor()))?, network, "weights' norm")?;
        }
        Ok(())
    }

    /// Sets the learning rate of the updates to come, where it is not the same for all.
    pub(super) fn set_learning_rate(&mut self, learning_rate: f64) {
        self.generator_adam.set_learning_rate(learning_rate);
        self.discriminator_adam.set_learning_rate(learning_rate);
    }

    pub(super) fn device(&self) -> &Device {
        &self.device
    }

    /// The generator.
    pub fn generator(&self) -> &Generator {
        &self.generator
    }

    /// The average of the generator, if one is kept (`ema_decay`).
    pub fn average(&self) -> Option<&Generator> {
        self.average.as_ref().map(Average::generator)
    }

    /// The discriminator.
    pub fn discriminator(&self) -> &Discriminator {
        &self.discriminator
    }

    /// Minibatches seen.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// What the last measured updates of D and of G saw; NaN before the first.
    pub fn last_updates(&self) -> (DiscriminatorUpdate, GeneratorUpdate) {
        self.last
    }

    /// The settings.
    pub fn settings(&self) -> &TrainSettings {
        &self.settings
    }
}

/// What a generator's last layer gave.
fn drawn(traces: &[Trace], z: &Tensor) -> Tensor {
    traces.last().map_or(z, Trace::output).clone()
}

/// What a discriminator's last layer gave.
fn logits(traces: &[Trace]) -> Result<Tensor> {
    match traces.last() {
        Some(trace) => Ok(trace.output().clone()),
        None => Err(candle_core::Error::Msg("a network without layers".into()).into()),
    }
}

/// Share of pictures that D takes for real ones.
fn share_positive(logits: &Tensor) -> Result<f64> {
    let logits = logits.flatten_all()?.to_vec1::<f32>()?;
    Ok(logits.iter().filter(|&&logit| logit > 0.0).count() as f64 / logits.len() as f64)
}

fn mean_sigmoid(logits: &Tensor) -> Result<f64> {
    Ok(f64::from(candle_nn::ops::sigmoid(&logits.detach())?.mean_all()?.to_scalar::<f32>()?))
}

#[cfg(test)]
mod tests;
