//! `metrics.jsonl`: the training curves.

use std::{io::Write, path::Path, time::Instant};

use serde::{Deserialize, Serialize};

use super::events::Events;
use super::trainer::Trainer;
use crate::{Result, parameters::json};

/// One line. What no update has measured yet is `null`.
#[derive(Debug, Serialize)]
struct Line {
    step: u64,
    epoch: f64,
    d_loss: f64,
    g_loss: f64,
    /// Mean of σ(D(x)) over the last real minibatch.
    d_real: f64,
    /// Mean of σ(D(G(z))) over the last generated minibatch of a D update.
    d_fake: f64,
    /// Share of those two minibatches that D labels rightly.
    d_accuracy: f64,
    /// Norms of the last updates' gradients.
    d_gradient_norm: f64,
    g_gradient_norm: f64,
    /// The lower, the better; only where it was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
    /// Minibatches a second times their size, since the line before.
    images_per_s: f64,
    /// Of training, earlier runs' included.
    elapsed_s: f64,
}

/// What is read of a line again.
#[derive(Debug, Deserialize)]
struct Step {
    step: u64,
    score: Option<f64>,
}

/// The open file.
pub(super) struct Log {
    file: fs_err::File,
    events: Events,
    since: (Instant, u64),
}

impl Log {
    /// Opens the file of a training that is at `step`, and drops the lines beyond `last`, such as a killed run wrote after its
    /// last checkpoint.
    pub(super) fn open(path: &Path, step: u64, last: u64) -> Result<Self> {
        let text = read(path)?;
        let kept = keep(&text, last);
        let events = Events::open(path.parent().unwrap_or(path), kept, last)?;
        // Cut, not written anew: killed here, the lines before stay.
        let file = fs_err::OpenOptions::new().create(true).append(true).open(path)?;
        file.set_len(kept.len() as u64)?;
        Ok(Self { file, events, since: (Instant::now(), step) })
    }

    /// Notes a grid of samples that was written to `path`.
    pub(super) fn grid(&mut self, name: &str, step: u64, elapsed_s: f64, path: &Path) -> Result<()> {
        self.events.grid(name, step, elapsed_s, path)
    }

    /// Notes histograms of the weights of both networks.
    pub(super) fn histograms(&mut self, trainer: &Trainer, elapsed_s: f64) -> Result<()> {
        let networks = [
            ("generator", trainer.generator().parameters()),
            ("discriminator", trainer.discriminator().parameters()),
        ];
        let mut weights = Vec::new();
        for (network, parameters) in networks {
            for (name, var) in parameters {
                weights.push((format!("{network}/{name}"), var.flatten_all()?.to_vec1::<f32>()?));
            }
        }
        self.events.histograms(trainer.step(), elapsed_s, weights.into_iter())
    }

    /// Whether the line of `step` has a score, as the one that ends a training has.
    pub(super) fn has_score(path: &Path, step: u64) -> Result<bool> {
        let text = read(path)?;
        let last = text.lines().last().and_then(|line| serde_json::from_str::<Step>(line).ok());
        Ok(last.is_some_and(|line| line.step == step && line.score.is_some()))
    }

    pub(super) fn write(
        &mut self,
        trainer: &Trainer,
        epoch: f64,
        elapsed_s: f64,
        score: Option<f64>,
    ) -> Result<()> {
        let step = trainer.step();
        let (discriminator, generator) = trainer.last_updates();
        let (instant, first) = std::mem::replace(&mut self.since, (Instant::now(), step));
        let n_images = ((step - first) as usize * trainer.settings().batch_size) as f64;
        let line = Line {
            step,
            epoch,
            d_loss: discriminator.loss,
            g_loss: generator.loss,
            d_real: discriminator.real,
            d_fake: discriminator.fake,
            d_accuracy: discriminator.accuracy,
            d_gradient_norm: discriminator.gradient_norm,
            g_gradient_norm: generator.gradient_norm,
            score,
            images_per_s: n_images / instant.elapsed().as_secs_f64(),
            elapsed_s,
        };
        writeln!(self.file, "{}", json(&line)?)?;
        self.events.scalars(&serde_json::to_value(&line).unwrap_or_default())
    }
}

fn read(path: &Path) -> Result<String> {
    match fs_err::read_to_string(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        text => Ok(text?),
    }
}

/// The whole lines up to `step`.
fn keep(text: &str, step: u64) -> &str {
    let is_kept = |line: &&str| {
        line.ends_with('\n') && serde_json::from_str::<Step>(line).is_ok_and(|line| line.step <= step)
    };
    let n_bytes = text.split_inclusive('\n').take_while(is_kept).map(str::len).sum();
    &text[..n_bytes]
}
