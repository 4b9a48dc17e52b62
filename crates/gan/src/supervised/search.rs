//! Random search: many trainings, each of parameters drawn at random.

use dcgan_nn::device::Device;
use std::{
    ops::ControlFlow,
    path::Path,
    sync::{
        atomic::{AtomicBool, AtomicU32, Ordering},
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use dcgan_files::threads;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::{
    config::SearchConfig,
    fit::{Examples, Fitted},
    trials::{Outcome, Trained, Trial},
};
use crate::{GanError, Result};

/// How often the observer is asked while trials run.
const ASKED_EVERY: Duration = Duration::from_millis(50);

/// All trials, and which of them is the best.
#[derive(Debug, Clone)]
pub struct Found {
    /// In their order.
    pub trials: Vec<Trial>,
    /// The one of the lowest validation error, of equal ones the first.
    pub best: u32,
}

/// Runs all trials of `config` that are not in `folder` already, each of which is kept there as it ends. Trials run side by side,
/// each on a thread of its own, on a GPU one by one; what comes out depends on neither. `observe` is told the trials that are done
/// and their number.
///
/// # Errors
/// Settings out of range; pictures that do not fit the network or are of one class; [`GanError::AllDiverged`] where no trial is
/// left to choose; [`GanError::Interrupted`]; reading and writing.
pub fn search(
    examples: &Examples<'_>,
    config: &SearchConfig,
    folder: &Path,
    device: &Device,
    observe: &mut dyn FnMut(&[Trial], u64) -> ControlFlow<()>,
) -> Result<Found> {
    config.validate()?;
    examples.check()?;
    fs_err::create_dir_all(folder)?;
    let (mut trials, mut missing) = (Vec::new(), Vec::new());
    for trial in 0..config.n_trials {
        match Trial::read(folder, trial, &config.parameters(trial)) {
            Some(trial) => trials.push(trial),
            None => missing.push(trial),
        }
    }
    let work = Work {
        examples,
        config,
        folder,
        device,
        missing: &missing,
        next: AtomicU32::new(0),
        stops: AtomicBool::new(false),
    };
    work.run(&mut trials, observe)?;
    trials.sort_by_key(|trial| trial.trial);
    let errors =
        trials.iter().filter_map(|trial| Some((trial.trained()?.validation.error_rate, trial.trial)));
    match errors.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))) {
        Some((_, best)) => Ok(Found { trials, best }),
        None => Err(GanError::AllDiverged { n_trials: trials.len() }),
    }
}

/// What threads share.
struct Work<'a> {
    examples: &'a Examples<'a>,
    config: &'a SearchConfig,
    folder: &'a Path,
    device: &'a Device,
    /// Trials to run.
    missing: &'a [u32],
    /// Index of the next of these.
    next: AtomicU32,
    /// Whether to stop.
    stops: AtomicBool,
}

impl Work<'_> {
    /// Runs them; what ends is added to `trials`.
    fn run(
        &self,
        trials: &mut Vec<Trial>,
        observe: &mut dyn FnMut(&[Trial], u64) -> ControlFlow<()>,
    ) -> Result<()> {
        let (n_workers, n_threads) = self.workers();
        let n_trials = u64::from(self.config.n_trials);
        let (sender, ended) = mpsc::channel();
        let pools = (0..n_workers).map(|_| pool(n_threads)).collect::<Result<Vec<_>>>()?;
        thread::scope(|scope| {
            let mut result = Ok(());
            for pool in pools {
                let sender = sender.clone();
                let started = threads::spawn(scope, "trials", move || pool.install(|| self.work(&sender)));
                result = result.and(started.map_err(GanError::Io));
            }
            drop(sender);
            self.stops.store(result.is_err(), Ordering::Relaxed);
            let mut fail = |error| {
                self.stops.store(true, Ordering::Relaxed);
                // The first one is why the others stopped.
                if result.is_ok() {
                    result = Err(error);
                }
            };
            loop {
                match ended.recv_timeout(ASKED_EVERY) {
                    Ok(Ok(trial)) => trials.push(trial),
                    Ok(Err(error)) => fail(error),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return result,
                }
                if observe(trials, n_trials).is_break() {
                    fail(GanError::Interrupted);
                }
            }
        })
    }

    /// Trials at once, and the threads of each. Kernels of few rows leave a second thread idle for part of the time, so that two
    /// trials on one thread each are done before two, one after the other, on both.
    fn workers(&self) -> (usize, usize) {
        let n_threads = rayon::current_num_threads();
        let n_workers = if self.device.is_cpu() { n_threads.min(self.missing.len()) } else { 1 };
        (n_workers.min(self.missing.len()), (n_threads / n_workers.max(1)).max(1))
    }

    /// One thread: the next trial, until there is none.
    fn work(&self, ended: &Sender<Result<Trial>>) {
        while let Some(&trial) = self.missing.get(self.next.fetch_add(1, Ordering::Relaxed) as usize) {
            let result = self.trial(trial);
            let fails = result.is_err();
            // The receiver outlives all threads.
            let _ = ended.send(result);
            if fails || self.stops.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    fn trial(&self, trial: u32) -> Result<Trial> {
        let (start, parameters) = (Instant::now(), self.config.parameters(trial));
        let mut observe = || match self.stops.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let outcome = match self.config.fit(self.examples, &parameters, self.device, &mut observe) {
            Ok(Fitted { validation, training_cross_entropy, best_epoch, n_epochs, .. }) => {
                Outcome::Trained(Trained { validation, training_cross_entropy, best_epoch, n_epochs })
            }
            Err(GanError::Diverged { step, what, .. }) => Outcome::Diverged { step, what: what.to_owned() },
            Err(error) => return Err(error),
        };
        let trial = Trial { trial, parameters, outcome, seconds: start.elapsed().as_secs_f64() };
        trial.write(self.folder)?;
        Ok(trial)
    }
}

fn pool(n_threads: usize) -> Result<ThreadPool> {
    let pool = ThreadPoolBuilder::new().num_threads(n_threads).build();
    pool.map_err(|e| {
        GanError::Io(std::io::Error::other(format!("expected to start another thread, found {e}")))
    })
}

#[cfg(test)]
mod tests;
