//! What a stage kind is, for people: the text behind `dcgan stage KIND --help`.

use std::fmt::Write as _;

use crate::outside::shell_quoted;

use super::paper::Stated;
use super::{
    arithmetic, cifar10_protocol, crop_faces, dedup_eval, extract_features, fetch, fit_svm, forget,
    group_duplicates, guided_backprop, hash_images, import_images, import_weights, remove_duplicates, report,
    sample, svhn_protocol, synthesize, train_autoencoder, train_classifier, train_gan, turn, walk,
};

/// What a key takes that names one stage; the matrix and the checks go by it.
pub const ONE_STAGE: &str = "stage";
/// What a key takes that names several stages.
pub const STAGES: &str = "list of stages";

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
    /// What the paper says of each key.
    pub paper: &'static [Stated],
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
pub const KINDS: [&KindInfo; 23] = [
    &synthesize::INFO,
    &fetch::INFO,
    &import_images::INFO,
    &crop_faces::INFO,
    &train_autoencoder::INFO,
    &hash_images::INFO,
    &group_duplicates::INFO,
    &remove_duplicates::INFO,
    &dedup_eval::INFO,
    &train_gan::INFO,
    &train_classifier::INFO,
    &import_weights::INFO,
    &sample::INFO,
    &walk::INFO,
    &arithmetic::INFO,
    &turn::INFO,
    &guided_backprop::INFO,
    &forget::INFO,
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
        let _ = writeln!(
            text,
            "\n\nIn a manifest (inputs are ids of other stages, or paths of finished stages' folders as above):"
        );
        text.push_str(&self.snippet());
        text
    }

    /// The example as a stage of a manifest.
    fn snippet(&self) -> String {
        let mut text =
            format!("  [[stage]]\n  id = \"my-{}\"\n  [stage.{}]\n", self.name.replace('_', "-"), self.name);
        for argument in self.example {
            let (key, value) = argument.split_once('=').unwrap_or((argument, ""));
            let takes = self.keys.iter().find(|info| info.key == key).map(|info| info.takes);
            let value = match takes {
                Some(ONE_STAGE) => format!("{:?}", id_of(value)),
                Some(STAGES) => ids_of(value),
                _ => as_toml(value),
            };
            let _ = writeln!(text, "  {key} = {value}");
        }
        text
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Manifest, parse_arguments};
    use crate::stages::Artifact;

    fn arguments(list: &[&str]) -> Vec<String> {
        list.iter().map(|argument| (*argument).to_owned()).collect()
    }

    /// Keys that serde knows at a table, told by its answer to one that it cannot know.
    fn known_keys(info: &KindInfo, table: &str) -> Vec<String> {
        let mut probe = arguments(info.example);
        probe.push(format!("{table}zzz=1"));
        let told = parse_arguments(info.name, &probe).unwrap_err().to_string();
        let expected = told.split_once("expected ").unwrap().1.lines().next().unwrap();
        expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    #[test]
    fn examples_work() {
        for info in KINDS {
            let config = parse_arguments(info.name, &arguments(info.example));
            let config = config.unwrap_or_else(|error| panic!("{}: {error}", info.name));
            assert_eq!(config.info().name, info.name);
            assert!(config.stage().problems().is_empty(), "{}", info.name);
        }
    }

    /// The command that a help prints, as a shell hands it over.
    #[cfg(unix)]
    fn printed_command(help: &str) -> Vec<String> {
        let start = help.find("  dcgan stage ").unwrap();
        let end = start + help[start..].find("\n\n").unwrap();
        let script = format!("dcgan() {{ printf '%s\\n' \"$@\"; }}\n{}", &help[start..end]);
        let told = std::process::Command::new("sh").arg("-c").arg(script).output().unwrap();
        assert!(told.status.success() && told.stderr.is_empty(), "{told:?}");
        String::from_utf8(told.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    /// The stage of a manifest that a help prints, under an id.
    fn printed_stage(help: &str, id: &str) -> String {
        let (_, stage) = help.split_once("In a manifest").unwrap();
        let lines: Vec<&str> = stage.lines().skip(1).collect();
        let own = lines.iter().find_map(|line| line.trim().strip_prefix("id = ")).unwrap();
        lines.join("\n").replacen(own, &format!("{id:?}"), 1) + "\n"
    }

    /// The example of a kind that yields an artifact.
    fn maker(artifact: Artifact) -> &'static KindInfo {
        let name = match artifact {
            Artifact::Dataset => "synthesize",
            Artifact::Images => "import_images",
            Artifact::Generator | Artifact::Discriminator => "train_gan",
            Artifact::Autoencoder => "train_autoencoder",
            Artifact::Classifier => "train_classifier",
            Artifact::Codes => "hash_images",
            Artifact::Groups => "group_duplicates",
            Artifact::Features => "extract_features",
            Artifact::Result => "fit_svm",
            Artifact::Samples => "sample",
            Artifact::Figures => "walk",
            Artifact::Report => "report",
        };
        kind(name).unwrap()
    }

    /// The example of a kind as a stage, with stages for all that it reads, from the examples of other kinds.
    fn with_inputs(info: &KindInfo, id: &str, manifest: &mut String, known: &mut Vec<String>) {
        let config = parse_arguments(info.name, &arguments(info.example)).unwrap();
        for input in config.stage().inputs() {
            let id = id_of(input.name.as_str()).to_owned();
            if !known.contains(&id) {
                known.push(id.clone());
                with_inputs(maker(input.needs), &id, manifest, known);
            }
        }
        manifest.push_str(&printed_stage(&info.help(), id));
    }

    #[test]
    fn every_printed_example_works_in_a_manifest() {
        for info in KINDS {
            let mut text = "name = \"m\"\n".to_owned();
            with_inputs(info, "the-example", &mut text, &mut Vec::new());
            let manifest = Manifest::parse("m.toml".as_ref(), text.clone(), &[]);
            let manifest = manifest.unwrap_or_else(|error| panic!("{}: {error}\n{text}", info.name));
            assert_eq!(manifest.stage("the-example").unwrap().config.info().name, info.name);
        }
    }

    #[cfg(unix)]
    #[test]
    fn every_printed_example_works_on_the_command_line() {
        for info in KINDS {
            let words = printed_command(&info.help());
            assert_eq!(words[..4], ["stage", info.name, "--out", "DIR"]);
            assert_eq!(words[4..], arguments(info.example), "{}", info.name);
        }
    }

    /// What examples read is there under that name once the pipelines of the project have run or `fetch` has put it there.
    #[test]
    fn examples_read_what_the_pipelines_make() {
        let pipelines = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines");
        let fetched: Vec<String> = dcgan_fetch::Set::ALL
            .into_iter()
            .flat_map(dcgan_fetch::Set::files)
            .map(|file| format!("data/{}", file.install.path().display()))
            .collect();
        for info in KINDS {
            let config = parse_arguments(info.name, &arguments(info.example)).unwrap();
            for input in config.stage().inputs() {
                let path = input.name.as_str();
                let Some((name, id)) = path.strip_prefix("runs/").and_then(|rest| rest.split_once('/'))
                else {
                    assert!(path.starts_with("out/"), "{}: {path}", info.name);
                    continue;
                };
                let manifest = Manifest::load(&pipelines.join(format!("{name}.toml")), &[]).unwrap();
                let stage = manifest.stage(id).unwrap_or_else(|| panic!("{}: {path}", info.name));
                assert!(stage.config.stage().yields().contains(&input.needs), "{}: {path}", info.name);
            }
            for external in config.stage().external_paths() {
                let path = external.path.to_str().unwrap();
                let is_told = path == "photos" || path.starts_with("data/authors/");
                assert!(is_told || fetched.iter().any(|place| path.starts_with(place.as_str())), "{path}");
            }
        }
    }

    #[test]
    fn every_key_is_documented_and_every_documented_key_exists() {
        for info in KINDS.into_iter().filter(|info| info.name != "synthesize") {
            let tables: Vec<String> = info
                .keys
                .iter()
                .filter(|key| !key.key.starts_with("source."))
                .map(|key| key.key.rsplit_once('.').map_or(String::new(), |(table, _)| format!("{table}.")))
                .collect();
            for key in known_keys(info, "") {
                let is_documented =
                    info.keys.iter().any(|info| info.key == key || info.key.starts_with(&format!("{key}.")));
                assert!(is_documented, "{}: {key}", info.name);
            }
            for (key, table) in info.keys.iter().filter(|key| !key.key.starts_with("source.")).zip(&tables) {
                let name = key.key.strip_prefix(table.as_str()).unwrap().to_owned();
                assert!(known_keys(info, table).contains(&name), "{}: {}", info.name, key.key);
            }
            for table in tables.iter().filter(|table| !table.is_empty()) {
                for name in known_keys(info, table) {
                    let full = format!("{table}{name}");
                    assert!(info.keys.iter().any(|key| key.key == full), "{}: {full}", info.name);
                }
            }
        }
    }

    #[test]
    fn documented_defaults_are_the_real_ones() {
        for info in KINDS {
            let config = parse_arguments(info.name, &arguments(info.example)).unwrap();
            let json = serde_json::to_value(&config).unwrap();
            for key in info.keys {
                let is_given =
                    info.example.iter().any(|argument| argument.starts_with(&format!("{}=", key.key)));
                let pointer = format!("/{}/{}", info.name, key.key.replace('.', "/"));
                // Keys of the variants that the example does not choose are not there.
                let (Some(default), Some(real), false) = (key.default, json.pointer(&pointer), is_given)
                else {
                    continue;
                };
                let expected = match default {
                    "" => serde_json::Value::Null,
                    default => {
                        let value: toml::Table = format!("v = {default}").parse().unwrap();
                        serde_json::to_value(&value["v"]).unwrap()
                    }
                };
                assert_eq!(*real, expected, "{}: {}", info.name, key.key);
            }
        }
    }

    #[test]
    fn help_teaches_with_an_example() {
        let help = kind("svhn_protocol").unwrap().help();
        assert!(help.contains("protocol.n_validation  (count; default 10000)"), "{help}");
        assert!(help.contains("dcgan stage svhn_protocol --out DIR"), "{help}");
        assert!(help.contains("[stage.svhn_protocol]"), "{help}");
    }

    #[test]
    fn what_names_a_stage_says_so_in_one_of_two_ways() {
        for key in KINDS.iter().flat_map(|info| info.keys).filter(|key| key.takes.contains("stage")) {
            assert!([ONE_STAGE, STAGES].contains(&key.takes), "{}: {}", key.key, key.takes);
        }
    }
}
