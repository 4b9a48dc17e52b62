//! Stage kinds: what is known of each without a configuration, and the registry of all.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::OnceLock;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use serde_json::Value;
use toml::de::ValueDeserializer;

use crate::keys::{self, Key, KeyDefault, Names};
use crate::paper::{Stated, covers};
use crate::stage::{ConfigProblem, Facts, Stage};
use crate::suggest::shell_quoted;

/// A stage kind, as far as it does not depend on a configuration.
#[derive(Debug)]
pub struct Kind {
    /// Its name in manifests.
    pub name: &'static str,
    /// Raised whenever the kind's output changes for the same input, so that old output counts as stale.
    pub version: u32,
    /// One line.
    pub summary: &'static str,
    /// What it reads, does and writes.
    pub details: &'static str,
    /// Arguments of a run alone that work.
    pub example: &'static [&'static str],
    /// What the paper says of each key.
    pub paper: &'static [Stated],
    /// What sets it apart.
    pub traits: Traits,
    /// Its configuration's type.
    pub config: ConfigType,
}

/// What sets a kind apart from one that reads, computes and is done.
#[derive(Debug, Clone, Copy)]
pub struct Traits {
    /// True if an interrupted run is taken up where it was left.
    pub is_resumable: bool,
    /// True if it reads the records of all stages before it.
    pub reads_records: bool,
    /// True if `--device` changes where it runs.
    pub uses_device: bool,
    /// True if its work can be divided among the machines of a cluster.
    pub uses_cluster: bool,
    /// Files, folders (`checkpoints/`) and metrics that differ each time, for they tell how long something took.
    pub times: &'static [&'static str],
    /// Files and folders beside its outputs that are its own, of a stage that works in its folder itself.
    pub working_files: &'static [&'static str],
    /// The key that takes a path as the one given, for those who leave it out.
    pub key_of_path: fn(&Path) -> Option<&'static str>,
}

impl Traits {
    /// None.
    pub const NONE: Self = Self {
        is_resumable: false,
        reads_records: false,
        uses_device: false,
        uses_cluster: false,
        times: &[],
        working_files: &[],
        key_of_path: |_| None,
    };
}

/// The type of a kind's configuration: how it is read and what keys it has.
#[derive(Debug)]
pub struct ConfigType {
    from_toml: fn(ValueDeserializer<'_>) -> Result<Box<dyn Stage>, toml::de::Error>,
    from_json: fn(Value) -> serde_json::Result<Box<dyn Stage>>,
    schema: fn(&mut SchemaGenerator) -> Schema,
    keys: OnceLock<Vec<Key>>,
}

impl ConfigType {
    /// The type `T`.
    pub const fn of<T: Stage + DeserializeOwned + JsonSchema + 'static>() -> Self {
        Self {
            from_toml: |value| Ok(Box::new(T::deserialize(value)?)),
            from_json: |value| Ok(Box::new(serde_json::from_value::<T>(value)?)),
            schema: T::json_schema,
            keys: OnceLock::new(),
        }
    }
}

/// All kinds of a program, in the order in which a pipeline uses them.
#[derive(Debug)]
pub struct Registry {
    /// The kinds.
    pub kinds: &'static [&'static Kind],
    /// What is known of a folder that no stage of the manifest makes.
    pub facts: fn(&Path) -> Facts,
}

impl Registry {
    /// The kind of a name.
    pub fn kind(&self, name: &str) -> Option<&'static Kind> {
        self.kinds.iter().copied().find(|kind| kind.name == name)
    }

    /// The kinds' names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.kinds.iter().map(|kind| kind.name)
    }

    /// The list of kinds, a line each.
    pub fn list(&self) -> String {
        let mut text = String::new();
        for kind in self.kinds {
            let _ = writeln!(text, "{:<18} {}", kind.name, kind.summary);
        }
        text
    }

    /// The configuration that a record keeps; none where this program has no such kind, or the kind other keys by now.
    pub fn recorded(&'static self, config: &Value) -> Option<StageConfig> {
        let mut entries = config.as_object()?.iter();
        let (name, settings) = entries.next().filter(|_| entries.next().is_none())?;
        let kind = self.kind(name)?;
        let stage = (kind.config.from_json)(settings.clone()).ok()?;
        Some(StageConfig { kind, stage, registry: self })
    }
}

/// The configuration of a stage: in a manifest, the one table beside `id`, named after the kind.
#[derive(Debug)]
pub struct StageConfig {
    kind: &'static Kind,
    stage: Box<dyn Stage>,
    registry: &'static Registry,
}

impl StageConfig {
    /// Reads a kind's table.
    ///
    /// # Errors
    /// What serde found wrong.
    pub(crate) fn from_toml(
        kind: &'static Kind,
        table: ValueDeserializer<'_>,
        registry: &'static Registry,
    ) -> Result<Self, toml::de::Error> {
        Ok(Self { kind, stage: (kind.config.from_toml)(table)?, registry })
    }

    /// The kind.
    pub fn kind(&self) -> &'static Kind {
        self.kind
    }

    /// The adapter.
    pub fn stage(&self) -> &dyn Stage {
        &*self.stage
    }

    /// Values out of range: by the ranges of the keys, and where these are kept, by what the stage itself finds.
    pub fn problems(&self) -> Vec<ConfigProblem> {
        let settings = self.stage.to_json().unwrap_or_default();
        let wrong = |key: &Key| {
            let setting = settings.pointer(&format!("/{}", key.key.replace('.', "/")))?;
            Some(ConfigProblem { key: key.key.clone(), message: key.out_of_range(setting)? })
        };
        let found: Vec<ConfigProblem> = self.kind.keys().iter().filter_map(wrong).collect();
        if found.is_empty() { self.stage.problems() } else { found }
    }

    /// The kinds that it is one of.
    pub fn registry(&self) -> &'static Registry {
        self.registry
    }

    /// Takes stages out of the lists of those that it reads, where it can do without.
    pub(crate) fn leave_out(&mut self, ids: &[String]) {
        self.stage.leave_out(ids);
    }
}

/// `{kind: settings}`, as manifests and records have it.
impl Serialize for StageConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let settings = self.stage.to_json().map_err(serde::ser::Error::custom)?;
        serializer.collect_map([(self.kind.name, settings)])
    }
}

impl Kind {
    /// The JSON Schema of its table.
    pub fn schema(&self) -> Value {
        let mut generator = keys::generator();
        let schema = (self.config.schema)(&mut generator);
        Value::from(schema)
    }

    /// Its keys, in the order in which [`Kind::paper`] has them, then by name.
    pub fn keys(&self) -> &[Key] {
        self.config.keys.get_or_init(|| {
            let mut keys = keys::keys(&self.schema());
            keys.sort_by_key(|key| self.paper.iter().position(|stated| covers(stated.key, &key.key)));
            keys
        })
    }

    /// True for a file or metric that tells how long something took.
    pub fn is_time(&self, name: &str) -> bool {
        is_among(self.traits.times, name)
    }

    /// True for a file of its own beside its outputs.
    pub fn is_working_file(&self, name: &str) -> bool {
        is_among(self.traits.working_files, name)
    }

    /// The help of the kind, as `dcgan stage KIND --help` prints it.
    pub fn help(&self) -> String {
        let mut text = format!("{}: {}\n\n{}\n", self.name, self.summary, wrap(self.details, 100, ""));
        text.push_str("\nKeys:\n");
        for key in self.keys() {
            let default = match &key.default {
                KeyDefault::Required => "required".to_owned(),
                KeyDefault::RequiredInTable => "required in its table".to_owned(),
                KeyDefault::Optional => "optional".to_owned(),
                KeyDefault::Value(_) => format!("default {}", key.default_text()),
            };
            let _ = writeln!(text, "  {}  ({}; {default})", key.key, key.takes());
            let _ = writeln!(text, "{}", wrap(&key.meaning, 94, "      "));
        }
        let _ = write!(
            text,
            "\nAlone (inputs are folders of earlier stages; dotted keys go into tables):\n  dcgan stage {} --out DIR",
            self.name
        );
        for argument in self.example {
            let _ = write!(text, " \\\n      {}", shell_quoted(argument));
        }
        let _ = writeln!(
            text,
            "\n\nIn a manifest (inputs are ids of other stages, or paths of finished stages' folders as above):"
        );
        text.push_str(&self.snippet());
        text
    }

    /// A stage of a manifest with every key: those of the example as they are there, the others as comments with their defaults.
    pub fn commented(&self) -> String {
        let mut text = format!(
            "# {}\n[[stage]]\nid = \"my-{}\"\n[stage.{}]\n",
            self.summary,
            self.name.replace('_', "-"),
            self.name
        );
        let given: Vec<(&str, String)> = self.example_pairs();
        for key in self.keys() {
            let _ = writeln!(text, "{}", wrap(&key.meaning, 100, "# "));
            if let Some((name, value)) = given.iter().find(|(name, _)| *name == key.key) {
                let _ = writeln!(text, "{name} = {value}");
                continue;
            }
            let value = match &key.default {
                KeyDefault::Value(_) => format!("{} = {}", key.key, key.default_text()),
                _ => format!("{} =   # {}", key.key, key.takes()),
            };
            let _ = writeln!(text, "# {value}");
        }
        // What the example has beside the keys, as a table in place of several.
        for (name, value) in &given {
            if !self.keys().iter().any(|key| key.key == *name) {
                let _ = writeln!(text, "{name} = {value}");
            }
        }
        text
    }

    /// The example as a stage of a manifest.
    fn snippet(&self) -> String {
        let mut text =
            format!("  [[stage]]\n  id = \"my-{}\"\n  [stage.{}]\n", self.name.replace('_', "-"), self.name);
        for (key, value) in self.example_pairs() {
            let _ = writeln!(text, "  {key} = {value}");
        }
        text
    }

    /// The example's keys, and their values as a manifest has them.
    fn example_pairs(&self) -> Vec<(&'static str, String)> {
        let pair = |argument: &&'static str| {
            let (key, value) = argument.split_once('=').unwrap_or((argument, ""));
            let names = self.keys().iter().find(|found| found.key == key).map(Key::names);
            let value = match names {
                Some(Names::One) => format!("{:?}", id_of(value)),
                Some(Names::Several) => ids_of(value),
                _ => as_toml(value),
            };
            (key, value)
        };
        self.example.iter().map(pair).collect()
    }
}

/// True if a name is one of the patterns, or lies in a folder that is one (`checkpoints/`).
fn is_among(patterns: &[&str], name: &str) -> bool {
    patterns.iter().any(|pattern| name == *pattern || pattern.ends_with('/') && name.starts_with(pattern))
}

/// The id that the folder of a stage has in its own run.
fn id_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The same of a list.
fn ids_of(list: &str) -> String {
    let paths = list.split('"').skip(1).step_by(2);
    let ids: Vec<String> = paths.map(|path| format!("{:?}", id_of(path))).collect();
    format!("[{}]", ids.join(", "))
}

/// A value as it must be written in a manifest: bare strings get quotes.
fn as_toml(value: &str) -> String {
    match toml::de::DeValue::parse(value) {
        Ok(_) => value.to_owned(),
        Err(_) => format!("{value:?}"),
    }
}

/// Breaks a text into lines of at most `width` characters behind an indent; blank lines part paragraphs.
fn wrap(text: &str, width: usize, indent: &str) -> String {
    let mut lines = Vec::new();
    for paragraph in text.split("\n\n") {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
                lines.push(format!("{indent}{line}"));
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(format!("{indent}{line}"));
    }
    lines.join("\n")
}
