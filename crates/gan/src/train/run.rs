//! One run of a training: the loop, and what it writes when.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc::Receiver};
use std::time::{Duration, Instant};

use dcgan_images::{ImageStore, grid::write_grid};
use dcgan_nn::checkpoint::Checkpoint;
use dcgan_nn::device::Device;
use dcgan_nn::parts::Part;

use super::checkpoints::{Checkpoints, steps_in};
use super::config::TrainSettings;
use super::log::Log;
use super::prepare::{Minibatch, next_of};
use super::score::{Judge, Scorer};
use super::start::Start;
use super::trainer::Trainer;
use super::{Event, TrainSummary, files, metrics_table, parts};
use crate::{GanError, Generator, Result, features::check_size, sample};

/// Pictures in a sample grid, and columns of it.
const GRID: (usize, usize) = (64, 8);
/// Columns of a conditional generator's grid, which has a row a class.
const COLUMNS_OF_CLASSES: usize = 10;
/// What a checkpoint notes of the training beside its state.
const SECONDS: &str = "seconds";
const SCORE: &str = "score";

/// A training under way.
pub(super) struct Run<'a> {
    store: &'a ImageStore,
    settings: &'a TrainSettings,
    steps_per_epoch: u64,
    n_steps: u64,
    dir: &'a Path,
    device: &'a Device,
    checkpoints: Checkpoints,
    trainer: Trainer,
    log: Log,
    scorer: Option<Scorer>,
    /// In place of the scorer.
    pub(super) judge: Option<&'a dyn Judge>,
    /// The newest of this run.
    score: Option<f64>,
    /// Step and score.
    best: Option<(u64, f64)>,
    resumed_from: u64,
    /// Seconds of earlier runs.
    earlier: f64,
    started: Instant,
    saved: Instant,
    /// Step of the last checkpoint.
    saved_at: u64,
}

impl<'a> Run<'a> {
    /// Goes on from the newest checkpoint in `dir`, or begins.
    pub(super) fn open(
        store: &'a ImageStore,
        (settings, start): (&'a TrainSettings, &Start),
        steps_per_epoch: u64,
        n_steps: u64,
        dir: &'a Path,
        device: &'a Device,
        observe: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<Self> {
        let mut warn = |message: &str| {
            // A wish to stop is heard at the first minibatch.
            let _ = observe(Event::Warning(message));
        };
        let checkpoints = Checkpoints::open(dir.join(files::CHECKPOINTS), settings.keep_checkpoints)?;
        let trainer = checkpoints.resume_or_new((settings, start), n_steps, device, &mut warn)?;
        check_size(trainer.discriminator(), store)?;
        let step = trainer.step();
        let grids = [Some(files::SAMPLES), settings.ema_decay.map(|_| files::SAMPLES_EMA)];
        for name in grids.into_iter().flatten() {
            fs_err::create_dir_all(dir.join(name))?;
            let mut later = steps_in(&dir.join(name))?.into_iter().filter(|(of, _)| *of > step);
            later.try_for_each(|(_, path)| fs_err::remove_file(path))?;
        }
        let log = Log::open(&dir.join(files::METRICS), step, step)?;
        let best = read_best(&checkpoints.best(), n_steps, device)?;
        let earlier = match step {
            0 => 0.0,
            _ => note(&checkpoints.newest().unwrap_or_default(), SECONDS, device).unwrap_or(0.0),
        };
        let now = Instant::now();
        Ok(Self {
            store,
            settings,
            steps_per_epoch,
            n_steps,
            dir,
            device,
            checkpoints,
            trainer,
            log,
            scorer: None,
            judge: None,
            score: None,
            best,
            resumed_from: step,
            earlier,
            started: now,
            saved: now,
            saved_at: step,
        })
    }

    /// Leads the other parts of a training on several devices.
    pub(super) fn lead(
        &mut self,
        part: &Arc<Part>,
        observe: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        let (steps, state) = ((self.steps_per_epoch, self.n_steps), self.checkpoints.shared());
        // A wish to stop is heard at the first minibatch.
        let mut warn = |message: &str| {
            let _ = observe(Event::Warning(message));
        };
        parts::lead(part, &mut self.trainer, self.store, steps, &state, &mut warn)
    }

    /// Minibatches done.
    pub(super) fn step(&self) -> u64 {
        self.trainer.step()
    }

    pub(super) fn newest_checkpoint(&self) -> Option<PathBuf> {
        self.checkpoints.newest()
    }

    fn seconds(&self) -> f64 {
        self.earlier + self.started.elapsed().as_secs_f64()
    }

    fn is_over(&self) -> bool {
        let is_out_of_time = |minutes: f64| self.seconds() >= 60.0 * minutes;
        self.step() >= self.n_steps || self.settings.max_minutes.is_some_and(is_out_of_time)
    }

    /// Trains to the end.
    pub(super) fn train(
        &mut self,
        batches: Receiver<Result<Minibatch>>,
        observe: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        let mut next = next_of(&batches);
        let mut is_over = self.is_over();
        if is_over {
            self.write_end_if_due()?;
        }
        while !is_over {
            if observe(Event::Minibatch { done: self.step(), total: self.n_steps }).is_break() {
                self.save()?;
                return Err(GanError::Interrupted);
            }
            let had_collapsed = self.trainer.collapse.since.is_some();
            let learning_rate = self.settings.learning_rate_in(self.step() / self.steps_per_epoch);
            self.trainer.set_learning_rate(learning_rate);
            if let Some(part) = &self.trainer.part {
                parts::tell_of_minibatch(part, learning_rate)?;
            }
            self.trainer.minibatch(&mut next)?;
            if let (false, Some(since)) = (had_collapsed, self.trainer.collapse.since) {
                let _ = observe(Event::Warning(&format!(
                    "from minibatch {since} on the discriminator is always right and its gradient or the generator's has vanished"
                )));
            }
            // Asked once a minibatch: what ends a training is written by the one that ends it.
            is_over = self.is_over();
            if self.write_what_is_due(is_over)? {
                let (discriminator, generator) = self.trainer.last_updates();
                let (d_loss, g_loss) = (discriminator.loss, generator.loss);
                let _ = observe(Event::Logged { d_loss, g_loss, score: self.score });
            }
        }
        Ok(())
    }

    /// Ends a training that is over before its first minibatch, where the run that wrote its checkpoint was to go on or was killed.
    fn write_end_if_due(&mut self) -> Result<()> {
        let (step, metrics) = (self.step(), self.dir.join(files::METRICS));
        let grid = self.dir.join(files::SAMPLES).join(grid_name(step));
        if step > 0 && !(Log::has_score(&metrics, step)? && grid.exists()) {
            self.log = Log::open(&metrics, step, step - 1)?;
            self.write_what_is_due(true)?;
        }
        Ok(())
    }

    /// True if a line of the log was.
    fn write_what_is_due(&mut self, is_last: bool) -> Result<bool> {
        let done = self.step();
        let settings = self.settings;
        let score = match is_last || done.is_multiple_of(settings.score_every_steps) {
            true => Some(self.score()?),
            false => None,
        };
        self.score = score.or(self.score);
        let is_logged = is_last || score.is_some() || done.is_multiple_of(settings.log_every);
        if is_logged {
            let epoch = done as f64 / self.steps_per_epoch as f64;
            self.log.write(&self.trainer, epoch, self.seconds(), score)?;
        }
        if is_last || settings.samples_at(done, self.steps_per_epoch) {
            self.write_samples()?;
        }
        if settings.histograms_every_steps.is_some_and(|every| is_last || done.is_multiple_of(every)) {
            let seconds = self.seconds();
            self.log.histograms(&self.trainer, seconds)?;
        }
        let minutes = Duration::from_secs_f64(60.0 * settings.checkpoint_minutes);
        let is_due = settings.checkpoint_steps.is_some_and(|every| done.is_multiple_of(every));
        if is_last || is_due || self.saved.elapsed() > minutes {
            self.save()?;
        }
        Ok(is_logged)
    }

    /// The score of the present generator; if it is the lowest so far, the state is kept as the best.
    fn score(&mut self) -> Result<f64> {
        let score = match self.judge {
            Some(judge) => judge.score(shown(&self.trainer))?,
            None => self.built_in_score()?,
        };
        if self.best.is_none_or(|(_, best)| score < best) {
            let notes = [(SECONDS, self.seconds()), (SCORE, score)];
            self.trainer.save(&self.checkpoints.best(), &notes)?;
            self.best = Some((self.step(), score));
        }
        Ok(score)
    }

    fn built_in_score(&mut self) -> Result<f64> {
        let scorer = match self.scorer.take() {
            Some(scorer) => scorer,
            None => Scorer::new(self.store, self.settings, self.device)?,
        };
        let score = scorer.score(shown(&self.trainer));
        self.scorer = Some(scorer);
        score
    }

    fn save(&mut self) -> Result<()> {
        if self.saved_at != self.step() {
            self.checkpoints.save(&self.trainer, &[(SECONDS, self.seconds())])?;
            self.saved_at = self.step();
        }
        self.saved = Instant::now();
        Ok(())
    }

    fn write_samples(&mut self) -> Result<()> {
        let (step, seconds) = (self.step(), self.seconds());
        let drawn =
            [(files::SAMPLES, Some(self.trainer.generator())), (files::SAMPLES_EMA, self.trainer.average())];
        for (name, generator) in drawn {
            let Some(generator) = generator else { continue };
            let path = self.dir.join(name).join(grid_name(step));
            write_samples(generator, self.settings.seed, &path)?;
            self.log.grid(name, step, seconds, &path)?;
        }
        Ok(())
    }

    /// Writes the networks, and the curves as a table.
    pub(super) fn finish(self) -> Result<TrainSummary> {
        let Self { dir, trainer, .. } = &self;
        trainer.generator().save(&dir.join(files::GENERATOR))?;
        trainer.discriminator().save(&dir.join(files::DISCRIMINATOR))?;
        if let Some(average) = trainer.average() {
            average.save(&dir.join(files::GENERATOR_EMA))?;
        }
        if self.best.is_some() {
            let best = Trainer::resume(self.settings, &self.checkpoints.best(), self.device)?;
            shown(&best).save(&dir.join(files::GENERATOR_BEST))?;
        }
        metrics_table::write(dir)?;
        let (discriminator, generator) = trainer.last_updates();
        Ok(TrainSummary {
            n_steps: trainer.step(),
            steps_per_epoch: self.steps_per_epoch,
            discriminator,
            generator,
            resumed_from: self.resumed_from,
            best: self.best,
            collapsed_at: trainer.collapse.since,
            seconds: self.seconds(),
        })
    }
}

fn grid_name(step: u64) -> String {
    format!("step_{step:07}.png")
}

/// The generator whose samples count: the average where one is kept.
fn shown(trainer: &Trainer) -> &Generator {
    trainer.average().unwrap_or(trainer.generator())
}

/// Step and score of the best checkpoint; one that cannot be read or lies beyond the end is removed.
fn read_best(path: &Path, n_steps: u64, device: &Device) -> Result<Option<(u64, f64)>> {
    if !path.exists() {
        return Ok(None);
    }
    match (note(path, "step", device), note(path, SCORE, device)) {
        (Some(step), Some(score)) if step as u64 <= n_steps => Ok(Some((step as u64, score))),
        _ => {
            fs_err::remove_file(path)?;
            Ok(None)
        }
    }
}

/// A number that a checkpoint notes; none where it cannot be read.
fn note(path: &Path, key: &str, device: &Device) -> Option<f64> {
    Checkpoint::load(path, device).ok()?.metadata(key)?.parse().ok()
}

fn write_samples(generator: &Generator, seed: u64, path: &Path) -> Result<()> {
    let (mut n, mut columns) = GRID;
    let pixels = match generator.config().classes {
        0 => sample::generate(generator, n, seed)?,
        n_classes => {
            (n, columns) = (COLUMNS_OF_CLASSES * n_classes, COLUMNS_OF_CLASSES);
            sample::generate_classes(generator, COLUMNS_OF_CLASSES, seed)?
        }
    };
    let [c, h, w] = generator.config().picture();
    Ok(write_grid(path, &pixels, [n, c, h, w], columns)?)
}
