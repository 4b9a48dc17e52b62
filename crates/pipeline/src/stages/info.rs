//! What a stage kind is, for people: the text behind `dcgan stage KIND --help`.

use std::fmt::Write as _;

use super::{
    cifar10_protocol, extract_features, fit_svm, import_images, import_weights, report, sample, svhn_protocol,
    synthesize, train_gan,
};

/// A stage kind, as far as it does not depend on a configuration.
#[derive(Debug)]
pub struct KindInfo {
    /// Its name in manifests.
    pub name: &'static str,
    /// Raised whenever the kind's output changes for the same input, so that old output counts as stale.
    pub version: u32,
    /// One line.
    pub summary: &'static str,
    /// What it reads, does and writes.
    pub details: &'static str,
    /// Every key.
    pub keys: &'static [KeyInfo],
    /// Arguments of a run alone that work.
    pub example: &'static [&'static str],
    /// True if an interrupted run is taken up where it was left.
    pub is_resumable: bool,
    /// True if it reads the records of all stages before it.
    pub reads_records: bool,
    /// True if `--device` changes where it runs.
    pub uses_device: bool,
}

/// One key of a kind.
#[derive(Debug)]
pub struct KeyInfo {
    /// Dotted path.
    pub key: &'static str,
    /// What values it takes.
    pub takes: &'static str,
    /// Its default as TOML; none for a key that must be given; "" for one that may be left out.
    pub default: Option<&'static str>,
    /// What it means.
    pub meaning: &'static str,
}

/// A key that must be given.
pub(super) const fn required(key: &'static str, takes: &'static str, meaning: &'static str) -> KeyInfo {
    KeyInfo { key, takes, default: None, meaning }
}

/// A key with a default; "" if leaving it out is a meaning of its own.
pub(super) const fn optional(
    key: &'static str,
    takes: &'static str,
    default: &'static str,
    meaning: &'static str,
) -> KeyInfo {
    KeyInfo { key, takes, default: Some(default), meaning }
}

/// All kinds, in the order in which a pipeline uses them.
pub const KINDS: [&KindInfo; 10] = [
    &synthesize::INFO,
    &import_images::INFO,
    &train_gan::INFO,
    &import_weights::INFO,
    &sample::INFO,
    &extract_features::INFO,
    &fit_svm::INFO,
    &svhn_protocol::INFO,
    &cifar10_protocol::INFO,
    &report::INFO,
];

/// The kind of a name.
pub fn kind(name: &str) -> Option<&'static KindInfo> {
    KINDS.into_iter().find(|info| info.name == name)
}

/// The list of kinds, a line each.
pub fn list() -> String {
    let mut text = String::new();
    for info in KINDS {
        let _ = writeln!(text, "{:<18} {}", info.name, info.summary);
    }
    text
}

impl KindInfo {
    /// The help of the kind, as `dcgan stage KIND --help` prints it.
    pub fn help(&self) -> String {
        let mut text = format!("{}: {}\n\n{}\n", self.name, self.summary, wrap(self.details, 100, ""));
        text.push_str("\nKeys:\n");
        for key in self.keys {
            let default = match key.default {
                None => "required".to_owned(),
                Some("") => "optional".to_owned(),
                Some(default) => format!("default {default}"),
            };
            let _ = writeln!(text, "  {}  ({}; {default})", key.key, key.takes);
            let _ = writeln!(text, "{}", wrap(key.meaning, 94, "      "));
        }
        let _ = write!(
            text,
            "\nAlone (inputs are folders of earlier stages; dotted keys go into tables):\n  dcgan stage {} --out DIR",
            self.name
        );
        for argument in self.example {
            let _ = write!(text, " \\\n      {}", shell_quoted(argument));
        }
        let _ = writeln!(text, "\n\nIn a manifest (inputs are ids of other stages):");
        let _ = writeln!(text, "  [[stage]]\n  id = \"my-{}\"\n  [stage.{}]", self.name.replace('_', "-"), self.name);
        for argument in self.example {
            let (key, value) = argument.split_once('=').unwrap_or((argument, ""));
            let _ = writeln!(text, "  {key} = {}", as_toml(value));
        }
        text
    }
}

/// A value as it must be written in a manifest: bare strings get quotes.
fn as_toml(value: &str) -> String {
    match toml::de::DeValue::parse(value) {
        Ok(_) => value.to_owned(),
        Err(_) => format!("{value:?}"),
    }
}

fn shell_quoted(argument: &str) -> String {
    let is_plain = argument.chars().all(|c| c.is_ascii_alphanumeric() || "=._-/:,".contains(c));
    if is_plain { argument.to_owned() } else { format!("'{argument}'") }
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
