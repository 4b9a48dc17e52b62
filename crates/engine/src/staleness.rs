//! Why a stage has to run, or need not.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

use fs_err as fs;
use serde::Serialize;
use serde_json::Value;

use crate::cache::FingerprintCache;
use crate::fingerprint::{path_of, short};
use crate::progress::Progress;
use crate::record::{InputRecord, Record};
use crate::seal::Edited;

/// One reason for a stage to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Reason {
    /// There is no complete output.
    NeverRan,
    /// A run of it was interrupted or failed; `resumes` if what it had done will be used.
    Interrupted {
        /// True if it goes on from its last checkpoint.
        resumes: bool,
    },
    /// The record in its folder cannot be read.
    BadRecord {
        /// Why.
        message: String,
    },
    /// The record in its folder is there and cannot be opened.
    RecordUnreadable {
        /// Why.
        message: String,
    },
    /// The record in its folder is not as the stage wrote it.
    RecordEdited,
    /// Its record names no output, which every kind has.
    NoOutputs,
    /// The program's code for this kind has changed.
    StageVersion {
        /// The version that ran.
        from: u32,
        /// The version now.
        to: u32,
    },
    /// A parameter differs.
    Parameter {
        /// Dotted key.
        key: String,
        /// The value it ran with.
        from: String,
        /// The value now.
        to: String,
    },
    /// An input's content differs.
    Input {
        /// The key that names the input.
        key: String,
        /// The stage's id or the path.
        name: String,
        /// The fingerprint it ran with.
        from: String,
        /// The fingerprint now.
        to: String,
    },
    /// A stage it reads from will run first.
    Upstream {
        /// That stage.
        id: String,
    },
    /// Something outside the pipeline that it reads cannot be read.
    Unreadable {
        /// What, and why.
        message: String,
    },
    /// One of its files is gone.
    OutputMissing {
        /// The file.
        file: String,
    },
    /// One of its files was changed by someone else.
    OutputChanged {
        /// The file.
        file: String,
    },
    /// One of its files is there and cannot be read.
    OutputUnreadable {
        /// The file.
        file: String,
        /// Why.
        message: String,
    },
    /// It ran on another device than the one asked for.
    Device {
        /// The device it ran on.
        from: String,
        /// The device asked for.
        to: String,
    },
    /// It was asked for with `--force`.
    Forced,
}

impl Reason {
    /// True if the stage's folder no longer holds what its record says.
    pub fn is_damage(&self) -> bool {
        self.is_unreadable()
            || matches!(self, Self::BadRecord { .. } | Self::RecordEdited | Self::NoOutputs)
            || matches!(self, Self::OutputMissing { .. } | Self::OutputChanged { .. })
    }

    /// True if something of the stage's is there and cannot be read, which may pass: it is no reason to make it anew.
    pub fn is_unreadable(&self) -> bool {
        matches!(self, Self::RecordUnreadable { .. } | Self::OutputUnreadable { .. })
    }

    /// The reason for which a record was not read.
    pub fn of_record(error: &anyhow::Error) -> Self {
        if error.is::<Edited>() {
            return Self::RecordEdited;
        }
        let message = format!("{error:#}");
        match error.downcast_ref::<std::io::Error>() {
            Some(_) => Self::RecordUnreadable { message },
            None => Self::BadRecord { message },
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverRan => write!(f, "it has not run yet"),
            Self::Interrupted { resumes: true } => write!(f, "a run of it did not end; it will be resumed"),
            Self::Interrupted { resumes: false } => write!(
                f,
                "a run of it did not end; it will start afresh, and what was done with other settings or inputs is kept"
            ),
            Self::BadRecord { message } => write!(f, "its record cannot be read: {message}"),
            Self::RecordUnreadable { message } => write!(f, "its record cannot be opened: {message}"),
            Self::RecordEdited => write!(
                f,
                "its record, stage.json, is not as a program of this version wrote it: edited, or written by another version"
            ),
            Self::NoOutputs => write!(f, "its record, stage.json, names none of its outputs"),
            Self::StageVersion { from, to } => {
                write!(f, "the program's code for it changed: version {from} → {to}")
            }
            Self::Parameter { key, from, to } => write!(f, "parameter `{key}` changed: {from} → {to}"),
            Self::Input { key, name, from, to } => {
                write!(f, "input `{key}` ({name}) changed: {} → {}", short(from), short(to))
            }
            Self::Upstream { id } => write!(f, "input stage `{id}` will run first"),
            Self::Unreadable { message } => write!(f, "an input cannot be read: {message}"),
            Self::OutputMissing { file } => write!(f, "its output {file} is missing"),
            Self::OutputChanged { file } => write!(f, "its output {file} was changed after it ran"),
            Self::OutputUnreadable { file, message } => {
                write!(f, "its output {file} cannot be read: {message}")
            }
            Self::Device { from, to } => write!(f, "device changed: {from} → {to}"),
            Self::Forced => write!(f, "asked for with --force"),
        }
    }
}

/// What a stage would be made from now.
#[derive(Debug, Clone)]
pub struct Current {
    /// The kind's version.
    pub stage_version: u32,
    /// Resolved configuration.
    pub config: Value,
    /// Inputs with their fingerprints.
    pub inputs: Vec<InputRecord>,
    /// The device, where one was asked for and the kind uses one.
    pub device: Option<String>,
}

/// What differs between what a complete stage was made from and what it would be made from now.
pub fn differences(record: &Record, now: &Current) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if record.stage_version != now.stage_version {
        reasons.push(Reason::StageVersion { from: record.stage_version, to: now.stage_version });
    }
    reasons.extend(changed_parameters(&record.config, &now.config));
    // Stages of several runs may have one name: the first is compared with the first.
    let mut ran_with: BTreeMap<(&str, &str), VecDeque<&InputRecord>> = BTreeMap::new();
    for old in &record.inputs {
        ran_with.entry((&old.key, &old.name)).or_default().push_back(old);
    }
    for input in &now.inputs {
        let old = ran_with.get_mut(&(input.key.as_str(), input.name.as_str())).and_then(VecDeque::pop_front);
        // An input of another name is already reported as a changed parameter.
        if let Some(old) = old
            && old.fingerprint != input.fingerprint
        {
            reasons.push(Reason::Input {
                key: input.key.clone(),
                name: input.name.clone(),
                from: old.fingerprint.clone(),
                to: input.fingerprint.clone(),
            });
        }
    }
    if let Some(device) = &now.device
        && record.environment.device != *device
    {
        reasons.push(Reason::Device { from: record.environment.device.clone(), to: device.clone() });
    }
    reasons
}

fn changed_parameters(old: &Value, new: &Value) -> Vec<Reason> {
    let (old, new) = (flatten(old), flatten(new));
    let show = |value: Option<&Value>| value.map_or_else(|| "(not given)".to_owned(), Value::to_string);
    let keys: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    keys.into_iter()
        .filter(|key| old.get(*key) != new.get(*key))
        .map(|key| Reason::Parameter {
            // The first segment is the kind.
            key: key.split_once('.').map_or(key.as_str(), |(_, rest)| rest).to_owned(),
            from: show(old.get(key)),
            to: show(new.get(key)),
        })
        .collect()
}

/// Leaves of a JSON tree by dotted path.
pub(crate) fn flatten(value: &Value) -> BTreeMap<String, Value> {
    fn walk(value: &Value, path: &str, found: &mut BTreeMap<String, Value>) {
        match value {
            Value::Object(map) => {
                for (key, inner) in map {
                    let dot = if path.is_empty() { "" } else { "." };
                    walk(inner, &format!("{path}{dot}{key}"), found);
                }
            }
            Value::Null => {}
            other => {
                found.insert(path.to_owned(), other.clone());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(value, "", &mut found);
    found
}

/// Files of a complete stage that are gone, were changed or cannot be read.
///
/// # Errors
/// If the run was interrupted.
pub fn damage(
    folder: &Path,
    record: &Record,
    cache: &FingerprintCache,
    progress: &Progress,
) -> anyhow::Result<Vec<Reason>> {
    let mut reasons = Vec::new();
    if record.outputs.is_empty() {
        reasons.push(Reason::NoOutputs);
    }
    for (file, output) in &record.outputs {
        let path = path_of(folder, file);
        let found = match fs::metadata(&path) {
            Ok(metadata) if metadata.len() != output.bytes => Ok(false),
            Ok(_) => cache.fingerprint(&path, progress).map(|found| found == output.blake3),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                reasons.push(Reason::OutputMissing { file: file.clone() });
                continue;
            }
            Err(error) => Err(error.into()),
        };
        match found {
            Ok(true) => {}
            Ok(false) => reasons.push(Reason::OutputChanged { file: file.clone() }),
            Err(error) if progress.interrupt().is_requested() => return Err(error),
            Err(error) => {
                let message = format!("{error:#}");
                reasons.push(Reason::OutputUnreadable { file: file.clone(), message });
            }
        }
    }
    Ok(reasons)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_changed_parameter_is_told_from_what_to_what() {
        let old = json!({"train_gan": {"epochs": 3, "seed": 1, "limit": null}});
        let new = json!({"train_gan": {"epochs": 5, "seed": 1, "limit": 10}});
        let message: Vec<String> = changed_parameters(&old, &new).iter().map(ToString::to_string).collect();
        assert_eq!(
            message,
            ["parameter `epochs` changed: 3 → 5", "parameter `limit` changed: (not given) → 10"]
        );
    }
}
