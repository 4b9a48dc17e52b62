//! What a stage is made from, as a name: the kind and its version, the settings, the content of the inputs.

use std::path::Path;

use serde_json::Value;

use crate::fingerprint::{combine, short};
use crate::kind::{Registry, StageConfig};
use crate::record::{InputRecord, Record};

/// One making of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Without the settings that are free to change; by it a half-done stage is known to serve to go on.
    pub making: String,
    /// With all settings.
    whole: String,
    /// The name that earlier programs gave it, which counted settings that are left out.
    earlier: String,
    /// With all settings, whatever the stages that it reads are called: another stage of the same content has the same files.
    pub content: String,
}

impl Version {
    /// What a stage would be made from now.
    ///
    /// # Errors
    /// If the configuration cannot be written as JSON.
    pub fn of(config: &StageConfig, inputs: &[InputRecord]) -> anyhow::Result<Self> {
        let settings = serde_json::to_value(config)?;
        Ok(Self::new(&settings, config.kind().version, &keys_free_to_change(config), inputs))
    }

    /// What a complete stage was made from.
    pub fn of_record(record: &Record, registry: &'static Registry) -> Self {
        // Settings that this program no longer has are all taken to decide.
        let config = registry.recorded(&record.config);
        let free = config.as_ref().map(keys_free_to_change).unwrap_or_default();
        // Keys that it has got since then are as they are where they are left out.
        let filled = config.filter(|config| config.kind().version == record.stage_version);
        let filled = filled.and_then(|config| serde_json::to_value(config).ok());
        Self::new(filled.as_ref().unwrap_or(&record.config), record.stage_version, &free, &record.inputs)
    }

    fn new(settings: &Value, version: u32, free: &[String], inputs: &[InputRecord]) -> Self {
        let mut deciding = settings.clone();
        for pointer in free {
            if let Some(value) = deciding.pointer_mut(pointer) {
                *value = Value::Null;
            }
        }
        let mut nameless = settings.clone();
        for input in inputs.iter().filter(|input| input.is_stage) {
            let settings = nameless.as_object_mut().and_then(|kinds| kinds.values_mut().next());
            let pointer = format!("/{}", input.key.replace('.', "/"));
            if let Some(name) = settings.and_then(|settings| settings.pointer_mut(&pointer)) {
                *name = Value::Null;
            }
        }
        let name = |input: &InputRecord| input.name.clone();
        let key = |input: &InputRecord| if input.is_stage { input.key.clone() } else { input.name.clone() };
        let of = |settings: &Value| digest(settings, version, inputs, &name);
        Self {
            making: of(&given(&deciding)),
            whole: of(&given(settings)),
            content: digest(&given(&nameless), version, inputs, &key),
            earlier: in_short(&of(&deciding), &of(settings)),
        }
    }

    /// The name of its folder in [`Hidden`](crate::hidden::Hidden).
    pub fn name(&self) -> String {
        in_short(&self.making, &self.whole)
    }

    /// True for the folder of this version, or of one that differs in nothing but free settings.
    pub fn has_making_of(&self, folder: &Path) -> bool {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let making = |name: &str| name.split_once('-').map(|(making, _)| making.to_owned());
        making(&name)
            .is_some_and(|found| found == short(&self.making) || making(&self.earlier) == Some(found))
    }

    /// True for the folder of this version, or another one made from the same.
    pub fn is_of(&self, folder: &Path) -> bool {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        name.split('.').next().is_some_and(|found| found == self.name() || found == self.earlier)
    }
}

fn in_short(making: &str, whole: &str) -> String {
    format!("{}-{}", short(making), short(whole))
}

/// The settings without those that are left out, so that a key that a later program takes too changes nothing.
fn given(settings: &Value) -> Value {
    match settings {
        Value::Object(entries) => {
            let entries = entries.iter().filter(|(_, value)| !value.is_null());
            Value::Object(entries.map(|(key, value)| (key.clone(), given(value))).collect())
        }
        other => other.clone(),
    }
}

fn digest(
    settings: &Value,
    version: u32,
    inputs: &[InputRecord],
    name: &dyn Fn(&InputRecord) -> String,
) -> String {
    let (json, version) = (settings.to_string(), version.to_string());
    let head = [("config", json.as_str()), ("version", version.as_str())];
    let inputs: Vec<(String, &str)> =
        inputs.iter().map(|input| (name(input), input.fingerprint.as_str())).collect();
    combine(head.into_iter().chain(inputs.iter().map(|(name, fingerprint)| (name.as_str(), *fingerprint))))
}

/// JSON pointers to the settings that are free to change.
fn keys_free_to_change(config: &StageConfig) -> Vec<String> {
    let keys = config.stage().keys_free_to_change().into_iter();
    keys.map(|key| format!("/{}/{}", config.kind().name, key.replace('.', "/"))).collect()
}

/// True if the stage ran to its end with other values of its free keys only: what it left serves to go on.
///
/// # Errors
/// If the configuration cannot be written as JSON.
pub fn extends(
    record: &Record,
    config: &StageConfig,
    inputs: &[InputRecord],
    device: &str,
) -> anyhow::Result<bool> {
    let kind = config.kind();
    Ok(kind.traits.is_resumable
        && (record.kind.as_str(), record.stage_version) == (kind.name, kind.version)
        && record.environment.device == device
        && record.config != serde_json::to_value(config)?
        && Version::of_record(record, config.registry()).making == Version::of(config, inputs)?.making)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_that_is_left_out_changes_no_name_and_earlier_names_are_known() {
        let before = json!({"toy": {"n": 3, "table": {"a": 1}}});
        let since = json!({"toy": {"n": 3, "limit": null, "table": {"a": 1, "b": null}}});
        let of = |settings: &Value, free: &[String]| Version::new(settings, 1, free, &[]);
        assert_eq!(of(&before, &[]).name(), of(&since, &[]).name());
        assert_ne!(
            of(&before, &[]).name(),
            of(&json!({"toy": {"n": 3, "limit": 5, "table": {"a": 1}}}), &[]).name()
        );
        // A program that had both keys, but counted what is left out.
        let earlier = in_short(
            &digest(&since, 1, &[], &|_| String::new()),
            &digest(&since, 1, &[], &|_| String::new()),
        );
        let folder = Path::new("kept").join(&earlier);
        let version = of(&since, &[]);
        assert!(version.name() != earlier && version.is_of(&folder) && version.has_making_of(&folder));
        assert!(!of(&json!({"toy": {"n": 4, "limit": null}}), &[]).is_of(&folder));
        let free = ["/toy/n".to_owned()];
        let (three, four) = (of(&json!({"toy": {"n": 3}}), &free), of(&json!({"toy": {"n": 4}}), &free));
        assert!(three.has_making_of(Path::new(&four.name())) && !three.is_of(Path::new(&four.name())));
    }
}
