//! What can be wrong with a manifest, said so that it can be put right.

use std::collections::BTreeSet;
use std::fmt;

use super::sources::Location;

/// One thing wrong with a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// File and line, or the argument.
    pub location: Location,
    /// The stage's id, where the problem lies in one.
    pub stage: Option<String>,
    /// Dotted path of the key within the stage.
    pub key: Option<String>,
    /// What was found and what was expected.
    pub message: String,
    /// A way out, such as the nearest valid name.
    pub help: Option<String>,
}

impl Problem {
    /// A problem of the manifest as a whole.
    pub(crate) fn new(location: Location, message: impl Into<String>) -> Self {
        Self { location, stage: None, key: None, message: message.into(), help: None }
    }

    /// A problem of an argument, with a way out.
    pub(crate) fn at(location: Location, message: String, help: Option<String>) -> Self {
        Self::new(location, message).with_help(help)
    }

    /// Names the stage it lies in.
    pub(crate) fn in_stage(mut self, id: &str) -> Self {
        self.stage = Some(id.to_owned());
        self
    }

    /// Names the key.
    pub(crate) fn at_key(mut self, key: impl Into<String>) -> Self {
        // The empty key is the stage as a whole.
        self.key = Some(key.into()).filter(|key| !key.is_empty());
        self
    }

    /// Adds a way out.
    pub(crate) fn with_help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.location)?;
        match (&self.stage, &self.key) {
            (Some(stage), Some(key)) => write!(f, "stage `{stage}`, key `{key}`: ")?,
            (Some(stage), None) => write!(f, "stage `{stage}`: ")?,
            (None, Some(key)) => write!(f, "key `{key}`: ")?,
            (None, None) => {}
        }
        write!(f, "{}", self.message)?;
        if let Some(help) = &self.help {
            write!(f, "\n    help: {help}")?;
        }
        Ok(())
    }
}

/// Everything found wrong with a manifest or with the arguments that change it.
#[derive(Debug)]
pub struct Problems {
    /// In the order in which they were found; never empty.
    pub list: Vec<Problem>,
    /// True if the command line is at fault and not the manifest (exit code 2).
    pub is_usage: bool,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (idx, problem) in self.list.iter().enumerate() {
            if idx > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        if self.list.len() > 1 {
            write!(f, "\n{} problems", self.list.len())?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// The cells of a matrix have the problems of one stage: each is reported once, for the first.
pub(crate) fn without_repetition(list: Vec<Problem>) -> Vec<Problem> {
    let mut seen = BTreeSet::new();
    let mut is_new = |problem: &Problem| {
        let Location { source, line } = &problem.location;
        seen.insert((source.clone(), *line, problem.key.clone(), problem.message.clone()))
    };
    list.into_iter().filter(|problem| is_new(problem)).collect()
}

/// Of keys in a table, or anywhere if that is empty, the one that a message names first.
pub(super) fn named_in<'a>(
    message: &str,
    table: &str,
    keys: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let within = |key: &&str| table.is_empty() || (*key != table && is_same_or_within(key, table));
    let keys: Vec<&str> = keys.filter(within).collect();
    let mut words =
        message.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty());
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    words.find_map(|word| keys.iter().copied().find(|key| last(key).eq_ignore_ascii_case(word)))
}

/// True if the dotted `key` is `path` or lies in the table of that name.
pub(super) fn is_same_or_within(key: &str, path: &str) -> bool {
    key == path || key.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'))
}
