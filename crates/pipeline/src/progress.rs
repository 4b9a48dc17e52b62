//! The one place that writes progress, all of it to stderr.

use std::fmt::Display;
use std::io::IsTerminal as _;
use std::ops::ControlFlow;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::interrupt::Interrupt;

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
}

impl Progress {
    /// Bars are shown where stderr is a terminal.
    pub fn new(verbosity: Verbosity, interrupt: Interrupt) -> Self {
        let shows_bars = verbosity != Verbosity::Quiet && std::io::stderr().is_terminal();
        Self { verbosity, interrupt, shows_bars, bars: MultiProgress::new(), stage: None }
    }

    /// The same for one of several stages that run at once: its bars and warnings name it.
    pub fn of_stage(&self, id: &str) -> Self {
        Self { stage: Some(id.to_owned()), ..self.clone() }
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
        self.bars.suspend(|| eprintln!("{line}"));
    }

    /// Starts a bar; `unit` is what is counted, in the plural.
    pub fn task(&self, what: &str, unit: &'static str) -> Task {
        let bar =
            if self.shows_bars { self.bars.add(ProgressBar::new_spinner()) } else { ProgressBar::hidden() };
        let prefix = self.stage.as_ref().map(|stage| format!("{stage}: ")).unwrap_or_default();
        bar.set_message(format!("{prefix}{what}"));
        bar.set_style(spinner_style(unit));
        bar.enable_steady_tick(Duration::from_millis(200));
        Task { bar, prefix, unit, interrupt: self.interrupt.clone(), knows_total: false }
    }
}

/// One bar; it disappears when dropped.
#[derive(Debug)]
pub struct Task {
    bar: ProgressBar,
    /// The stage's id, where several run at once.
    prefix: String,
    unit: &'static str,
    interrupt: Interrupt,
    knows_total: bool,
}

impl Task {
    /// Notes that `done` of `total` are done (`total` 0: unknown); breaks if the run was interrupted.
    pub fn observe(&mut self, done: u64, total: u64) -> ControlFlow<()> {
        if total > 0 && !self.knows_total {
            self.knows_total = true;
            self.bar.set_style(bar_style(self.unit));
        }
        if total > 0 {
            self.bar.set_length(total);
        }
        self.bar.set_position(done);
        self.interrupt.flow()
    }

    /// Changes the words before the bar.
    pub fn describe(&self, what: String) {
        self.bar.set_message(format!("{}{what}", self.prefix));
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn spinner_style(unit: &str) -> ProgressStyle {
    let template = format!("  {{spinner}} {{msg}} {{human_pos}} {unit} ({{per_sec}})");
    ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn bar_style(unit: &str) -> ProgressStyle {
    let template =
        format!("  {{msg}} [{{wide_bar}}] {{human_pos}}/{{human_len}} {unit} ({{per_sec}}, {{eta}} left)");
    ProgressStyle::with_template(&template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}
