//! What is said of a run while it goes on, all of it on stderr.

use std::fmt::Display;
use std::io::IsTerminal as _;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dcgan_files::words::plain;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::bar::Shown;
use crate::interrupt::Interrupt;
use crate::pulse::{self, Pulse};
use crate::terminal::{self, say};

/// Times a second that bars are drawn, at most.
const DRAWN_PER_S: u8 = 10;

/// How much is said on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Verbosity {
    /// Warnings and errors.
    Quiet,
    /// Also a line as each stage starts and ends, and bars on a terminal.
    #[default]
    Normal,
    /// Also why each stage runs, and what it read and wrote.
    Verbose,
}

/// Says what is going on.
#[derive(Debug, Clone)]
pub struct Progress {
    verbosity: Verbosity,
    interrupt: Interrupt,
    shows_bars: bool,
    /// All bars, so that lines are written above them.
    bars: MultiProgress,
    /// The stage that speaks, where several run at once.
    stage: Option<String>,
    /// Where it is written down how far a stage is, and which.
    pulse: Option<(Pulse, String)>,
}

impl Progress {
    /// Bars are shown where stderr is a terminal.
    pub fn new(verbosity: Verbosity, interrupt: Interrupt) -> Self {
        let shows_bars = verbosity != Verbosity::Quiet && std::io::stderr().is_terminal();
        let target = match shows_bars {
            true => ProgressDrawTarget::term_like_with_hz(Box::new(terminal::Bars::new()), DRAWN_PER_S),
            false => ProgressDrawTarget::hidden(),
        };
        let bars = MultiProgress::with_draw_target(target);
        Self { verbosity, interrupt, shows_bars, bars, stage: None, pulse: None }
    }

    /// The same for one of several stages that run at once: its bars and warnings name it.
    pub fn of_stage(&self, id: &str) -> Self {
        Self { stage: Some(id.to_owned()), ..self.clone() }
    }

    /// The same for a stage of a run that writes down how far it is.
    pub fn with_pulse(&self, pulse: &Pulse, id: &str) -> Self {
        Self { pulse: Some((pulse.clone(), id.to_owned())), ..self.clone() }
    }

    /// The flag that the tasks listen to.
    pub fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// A line of the usual kind.
    pub fn note(&self, line: impl Display) {
        if self.verbosity >= Verbosity::Normal {
            self.line(line);
        }
    }

    /// A line for those who asked for more.
    pub fn detail(&self, line: impl Display) {
        if self.verbosity >= Verbosity::Verbose {
            self.line(line);
        }
    }

    /// A line that is not left out by `--quiet`.
    pub fn warn(&self, line: impl Display) {
        match &self.stage {
            Some(stage) => self.line(format_args!("warning: {stage}: {line}")),
            None => self.line(format_args!("warning: {line}")),
        }
    }

    /// What went wrong in a run that goes on.
    pub fn error(&self, line: impl Display) {
        self.line(format_args!("error: {line}"));
    }

    fn line(&self, line: impl Display) {
        self.bars.suspend(|| say(line));
    }

    /// Starts a bar; `unit` is what is counted, in the plural.
    pub fn task(&self, what: &str, unit: &'static str) -> Task {
        let prefix = self.stage.as_ref().map(|stage| format!("{stage}: ")).unwrap_or_default();
        let shown = Arc::new(Mutex::new(Shown::new(plain(&format!("{prefix}{what}")).into_owned(), unit)));
        let bar = match self.shows_bars {
            // It is drawn from here on: before, it would be drawn on a target of its own.
            true => self.bars.add(ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden())),
            false => ProgressBar::hidden(),
        };
        if self.shows_bars {
            bar.set_style(style(shown.clone()));
            tick(&bar);
        }
        let says = (!self.shows_bars && self.verbosity >= Verbosity::Normal).then(Instant::now);
        let pulse = self.pulse.clone().map(|(pulse, stage)| (pulse, stage, None));
        Task { bar, shown, says, prefix, pulse, interrupt: self.interrupt.clone() }
    }
}

/// How often it is said how far a task is, where no bar shows it.
const SAID_EVERY: Duration = Duration::from_secs(60);
/// How often a bar is drawn anew.
const TICK: Duration = Duration::from_millis(250);

/// Draws a bar anew as long as it lives. Where no thread can be started, it is drawn when it is updated.
fn tick(bar: &ProgressBar) {
    let bar = bar.downgrade();
    let draw = move || {
        while let Some(bar) = bar.upgrade() {
            bar.tick();
            drop(bar);
            std::thread::sleep(TICK);
        }
    };
    let _ = std::thread::Builder::new().name("progress".into()).spawn(draw);
}

/// One bar; it disappears when dropped.
#[derive(Debug)]
pub struct Task {
    bar: ProgressBar,
    shown: Arc<Mutex<Shown>>,
    /// Without a terminal, when it was last said how far it is.
    says: Option<Instant>,
    /// The stage's id, where several run at once.
    prefix: String,
    /// Where it is written down how far the stage is, and when that was done last.
    pulse: Option<(Pulse, String, Option<Instant>)>,
    interrupt: Interrupt,
}

impl Task {
    /// Notes that `done` of `total` are done (`total` 0: unknown); breaks if the run was interrupted.
    pub fn observe(&mut self, done: u64, total: u64) -> ControlFlow<()> {
        let now = Instant::now();
        let mut shown = locked(&self.shown);
        shown.observe(done, total, now);
        if let Some(last) = self.says.filter(|last| now.duration_since(*last) >= SAID_EVERY) {
            // Less and less often: a night's log stays short.
            self.says = Some(now + now.duration_since(last).min(10 * SAID_EVERY) - SAID_EVERY);
            say(format_args!("  {}", shown.words(now)));
        }
        if let Some((pulse, stage, last)) = &mut self.pulse
            && last.is_none_or(|last| now.duration_since(last) >= pulse::EVERY)
        {
            *last = Some(now);
            pulse.beat(stage, shown.beat(now));
        }
        drop(shown);
        self.interrupt.flow()
    }

    /// Changes the words before the bar.
    pub fn describe(&self, what: impl Display) {
        locked(&self.shown).what = plain(&format!("{}{what}", self.prefix)).into_owned();
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        if let Some((pulse, stage, Some(_))) = &self.pulse {
            pulse.ended(stage);
        }
    }
}

fn locked(shown: &Mutex<Shown>) -> MutexGuard<'_, Shown> {
    shown.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The whole line is our own: indicatif's do not shrink to a narrow terminal, and what wraps is not wiped away.
fn style(shown: Arc<Mutex<Shown>>) -> ProgressStyle {
    let line = move |_: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
        let _ = out.write_str(&locked(&shown).line(terminal::width(), Instant::now()));
    };
    let style = ProgressStyle::with_template("{line}").unwrap_or_else(|_| ProgressStyle::default_spinner());
    style.with_key("line", line)
}
