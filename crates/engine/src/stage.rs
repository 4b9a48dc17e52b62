//! What a stage is to the engine: the trait that each kind implements, and what it is asked for.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use crate::context::Context;
use crate::external::{Advice, External, Form};
use crate::paper::Comparison;

pub use crate::input::{Artifact, Input, InputRef};

/// A value out of range.
#[derive(Debug, Clone)]
pub struct ConfigProblem {
    /// Dotted key.
    pub key: String,
    /// What was expected and found.
    pub message: String,
}

impl ConfigProblem {
    /// The problem of a library's `validate()`, if it found one.
    pub fn of<E: fmt::Display>(key: &str, checked: Result<impl Sized, E>) -> Vec<Self> {
        let problem = |error: E| Self { key: key.to_owned(), message: error.to_string() };
        checked.err().map(problem).into_iter().collect()
    }
}

/// What a stage that ran says of itself; its files are in its folder.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Figures for `stage.json` and the summary.
    pub metrics: Value,
    /// How what the stage read and found compares with the paper; its settings are compared by the runner.
    pub differences: Comparison,
}

/// What only a person can give a stage: something picked by eye. Without it the stage waits, and a plain run leaves it out.
#[derive(Debug, Clone, Copy)]
pub struct Picks<'a> {
    /// The stage on whose page it is picked.
    pub from: &'a Input,
    /// The page's file in that stage's folder.
    pub page: &'static str,
    /// How that stage comes to write it, such as "`sample` writes it with `pages=true`".
    pub made: &'static str,
    /// What is to be picked, such as "three samples of each concept".
    pub what: &'static str,
    /// The keys that take it.
    pub keys: &'static [&'static str],
}

impl Picks<'_> {
    /// Asks for it: `page` is the page's path; `command` what is then to be run, with the keys put behind `before`.
    pub fn ask(&self, page: &Path, command: &str, before: &str) -> String {
        let keys: Vec<String> = self.keys.iter().map(|key| format!(" {before}{key}=[…]'")).collect();
        format!(
            "nobody has picked {}: open {} ({}), copy the lists, then {command}{}",
            self.what,
            page.display(),
            self.made,
            keys.concat()
        )
    }
}

/// What is known of a stage's result before the stage has run; null where nothing is. The engine only hands it on: stages make
/// it, and stages read it.
pub type Facts = Value;

/// What is known of an input.
pub type FactsOf<'a> = dyn Fn(&Input) -> Facts + 'a;

/// What every configuration can do; never implemented by hand.
pub trait Settings {
    /// The configuration as it stands in a manifest.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    fn to_json(&self) -> serde_json::Result<Value>;
}

impl<T: Serialize> Settings for T {
    fn to_json(&self) -> serde_json::Result<Value> {
        serde_json::to_value(self)
    }
}

/// One stage kind's adapter, from configuration to library call. Implemented by the kind's configuration.
pub trait Stage: Settings + fmt::Debug + Send + Sync {
    /// Stages it reads from.
    fn inputs(&self) -> Vec<InputRef<'_>> {
        Vec::new()
    }

    /// What its folder holds when it is complete.
    fn yields(&self) -> Vec<Artifact>;

    /// The same, by what its inputs yield: of them nothing is known where `of` gives nothing. For a stage that hands on what it reads.
    fn yields_of(&self, _of: &dyn Fn(&Input) -> Vec<Artifact>) -> Vec<Artifact> {
        self.yields()
    }

    /// Files and folders outside the pipeline that it reads; their content is fingerprinted.
    fn external_paths(&self) -> Vec<External> {
        Vec::new()
    }

    /// What to say of such a path that is not there (`found` is none) or is something else than was meant.
    fn advice(&self, _external: &External, _found: Option<Form>) -> Advice {
        Advice::default()
    }

    /// The key of such a path for people, where several are recorded under one.
    fn key_of(&self, external: &External) -> &'static str {
        external.key
    }

    /// True for a stage that works in its folder itself, which it shares with what others put there: its files appear one by
    /// one, each whole, and nothing is removed. Else the folder is all the stage's own, and appears as a whole.
    fn shares_folder(&self) -> bool {
        false
    }

    /// Of a folder that is shared, the files that are the stage's.
    ///
    /// # Errors
    /// Where they cannot be found.
    fn own_files(&self, _folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }

    /// What data it brings into the pipeline, in words; none for a stage that works on those of others.
    fn data_name(&self) -> Option<String> {
        None
    }

    /// What is wrong with its settings, beside values out of the ranges that its configuration's schema gives.
    fn problems(&self) -> Vec<ConfigProblem> {
        Vec::new()
    }

    /// What is known of its result before it runs, by what is known of its inputs.
    fn facts(&self, _of: &FactsOf<'_>) -> Facts {
        Facts::Null
    }

    /// What cannot fit, by what is known of its inputs.
    fn misfits(&self, _of: &FactsOf<'_>) -> Vec<ConfigProblem> {
        Vec::new()
    }

    /// What a person has to give before it can run, and has not given.
    fn waits_for(&self) -> Option<Picks<'_>> {
        None
    }

    /// Takes stages out of the lists of those that it reads, where it can do without.
    fn leave_out(&mut self, _ids: &[String]) {}

    /// The seed of everything random in it.
    fn seed(&self) -> Option<u64> {
        None
    }

    /// How many bytes it will write at least, where that is known before it starts and may be much.
    ///
    /// # Errors
    /// If what it reads cannot be read.
    fn bytes_needed(&self, _ctx: &Context<'_>) -> anyhow::Result<Option<u64>> {
        Ok(None)
    }

    /// Dotted keys that do not decide whether what an interrupted run left serves to go on: how long the stage runs, and what
    /// it writes by the way.
    fn keys_free_to_change(&self) -> Vec<String> {
        Vec::new()
    }

    /// How far what lies in a folder of the stage's got, in steps of at most `end`; 0 for a stage that does not say.
    fn reached(&self, _folder: &Path, _end: u64) -> u64 {
        0
    }

    /// At which step it ends at the latest, as far as its settings alone tell.
    fn end(&self) -> u64 {
        u64::MAX
    }

    /// The settings in use, where the configuration leaves some to be resolved; none: as configured.
    ///
    /// # Errors
    /// If a setting is out of range.
    fn settings(&self) -> anyhow::Result<Option<Value>> {
        Ok(None)
    }

    /// The paper's values of the keys for which they depend on other settings.
    ///
    /// # Errors
    /// If a setting is out of range.
    fn papers(&self) -> anyhow::Result<Value> {
        Ok(Value::Null)
    }

    /// Does the work; files go to `ctx.out`.
    ///
    /// # Errors
    /// Whatever the libraries report, and their `Interrupted` when `ctx` was interrupted.
    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome>;
}
