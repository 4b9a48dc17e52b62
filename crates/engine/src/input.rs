//! What stages hand to each other: artifacts, and inputs that name them.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What a stage's folder holds, as far as other stages can use it. Two are the same if they have the same name.
#[derive(Debug, Clone, Copy)]
pub struct Artifact {
    /// With its article: "a generator".
    pub name: &'static str,
    /// Files by which a folder that holds it is known, where no stage may have made it.
    pub files: &'static [&'static str],
    /// What to do about a folder that holds something else, where there is advice.
    pub advice: fn(&Path) -> Option<String>,
    /// For what a stage needs: any of these serves. Its own name is then for people, and it has no files of its own.
    pub any_of: &'static [Artifact],
}

impl Artifact {
    /// One that nothing more is known of than its files.
    pub const fn new(name: &'static str, files: &'static [&'static str]) -> Self {
        Self { name, files, advice: |_| None, any_of: &[] }
    }

    /// What is needed where any of several serves.
    pub const fn any_of(name: &'static str, any_of: &'static [Artifact]) -> Self {
        Self { any_of, ..Self::new(name, &[]) }
    }

    /// True for a stage that yields it, or one of those that serve.
    pub fn is_among(&self, yields: &[Artifact]) -> bool {
        yields.contains(self) || self.any_of.iter().any(|one| one.is_among(yields))
    }

    /// The file that a folder which is to hold it lacks; of alternatives a file of each.
    pub(crate) fn missing_in(&self, folder: &Path) -> Option<String> {
        if let Some(own) = self.files.iter().find(|file| !folder.join(file).exists()) {
            return Some((*own).to_owned());
        }
        let each: Vec<String> =
            self.any_of.iter().map(|one| one.missing_in(folder)).collect::<Option<Vec<_>>>()?;
        match each.split_last() {
            None => None,
            Some((only, [])) => Some(only.clone()),
            Some((last, others)) => Some(format!("{} or {last}", others.join(", "))),
        }
    }
}

/// What a stage yields, in words.
pub(crate) fn in_words(yields: &[Artifact]) -> String {
    let names: Vec<&str> = yields.iter().map(|artifact| artifact.name).collect();
    if names.is_empty() { "nothing that stages read".to_owned() } else { names.join(" and ") }
}

impl PartialEq for Artifact {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl fmt::Display for Artifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// An input: in a manifest another stage's id or the path of a finished one's folder, for a stage run alone such a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Input(String);

/// The `format` by which the schema of an [`Input`] is known.
pub const STAGE_FORMAT: &str = "stage";

impl schemars::JsonSchema for Input {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Input".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "format": STAGE_FORMAT})
    }
}

impl Input {
    /// The id or path as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True for a path. A path has a separator, which an id has not; a manifest's reader puts `./` before a bare name.
    pub fn is_path(&self) -> bool {
        self.0.contains(std::path::is_separator)
    }

    /// The input read as a path.
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }

    /// The folder it names. `run` is the folder in which the folders of ids lie; without one, all inputs are paths.
    pub fn folder(&self, run: Option<&Path>) -> PathBuf {
        match run {
            Some(run) if !self.is_path() => run.join(&self.0),
            _ => self.as_path().to_owned(),
        }
    }
}

/// An input as the checks and the runner see it.
#[derive(Debug, Clone)]
pub struct InputRef<'a> {
    /// Dotted key it is written at.
    pub key: &'static str,
    /// The id or path.
    pub name: &'a Input,
    /// What its folder must hold.
    pub needs: Artifact,
}
