//! The keys of a kind's configuration, read from the JSON Schema that `schemars` makes of its type: names and types, defaults by
//! serde, ranges, and the doc comments as their meaning. Help, checks and the manifests' schema all go by these.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use crate::input::STAGE_FORMAT;

/// One key of a kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// Dotted path.
    pub key: String,
    /// What it means.
    pub meaning: String,
    /// Its default as TOML.
    pub default: KeyDefault,
    /// What values it takes, as a JSON Schema.
    pub schema: Value,
}

/// What a key is where it is left out.
#[derive(Debug, Clone, PartialEq)]
pub enum KeyDefault {
    /// It must be given.
    Required,
    /// It must be given where one of its table is.
    RequiredInTable,
    /// It may be left out, which is a meaning of its own.
    Optional,
    /// This.
    Value(Value),
}

/// Whether a key names other stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// It does not.
    No,
    /// One stage.
    One,
    /// A list of stages.
    Several,
}

/// The generator that all schemas are made with: no references, for each key stands where it is.
pub(crate) fn generator() -> SchemaGenerator {
    let mut settings = SchemaSettings::draft07();
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    settings.into_generator()
}

/// The keys in the schema of a configuration, by name.
pub(crate) fn keys(schema: &Value) -> Vec<Key> {
    let mut found = Vec::new();
    collect(schema, "", true, &mut found);
    found.sort_by(|a, b| a.key.cmp(&b.key));
    found
}

/// Adds the keys of the tables in `schema`, whose own path is `path`; `is_required` where the table must be there.
fn collect(schema: &Value, path: &str, is_required: bool, found: &mut Vec<Key>) {
    let at = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    if let Some(variants) = tables(schema) {
        // One of several tables: none of them must be given.
        for (name, table) in variants {
            collect(table, &at(name), false, found);
        }
        return;
    }
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let is_required = is_required && required.iter().any(|other| other == name);
        if property["properties"].is_object() || tables(property).is_some() {
            collect(property, &at(name), is_required, found);
            continue;
        }
        let default = match property.get("default") {
            _ if is_required => KeyDefault::Required,
            _ if required.iter().any(|other| other == name) => KeyDefault::RequiredInTable,
            None | Some(Value::Null) => KeyDefault::Optional,
            Some(default) => KeyDefault::Value(shortest(property, default)),
        };
        let meaning = property["description"].as_str().unwrap_or_default().replace('\n', " ");
        found.push(Key { key: at(name), meaning, default, schema: property.clone() });
        // A name or a table: the table's keys are keys too.
        if let Some(table) = table_among(property) {
            collect(table, &at(name), false, found);
        }
    }
}

/// The tables of which one is to be given, by their names; none for a schema of another kind.
fn tables(schema: &Value) -> Option<Vec<(&str, &Value)>> {
    let variants = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array())?;
    let variants = variants.iter().filter(|variant| variant["type"] != "null");
    let named = variants.map(|variant| {
        let mut properties = variant["properties"].as_object()?.iter();
        let (name, table) = properties.next()?;
        (properties.next().is_none() && table["type"] == "object").then_some((name.as_str(), table))
    });
    named.collect::<Option<Vec<_>>>().filter(|named| !named.is_empty())
}

/// The table of a schema that takes a table or something else.
fn table_among(schema: &Value) -> Option<&Value> {
    schema["anyOf"].as_array()?.iter().find(|variant| variant["properties"].is_object())
}

/// A default of type `f32` without the digits that it has as an `f64`.
fn shortest(schema: &Value, default: &Value) -> Value {
    match (default.as_f64(), schema["format"].as_str()) {
        (Some(number), Some("float")) => {
            (number as f32).to_string().parse::<f64>().map_or(default.clone(), Value::from)
        }
        _ => default.clone(),
    }
}

impl Key {
    /// Whether it names other stages.
    pub fn names(&self) -> Names {
        if self.schema["format"] == STAGE_FORMAT {
            Names::One
        } else if self.schema["items"]["format"] == STAGE_FORMAT {
            Names::Several
        } else {
            Names::No
        }
    }

    /// True for what is or holds a path, in which `~` stands for the home folder.
    pub fn takes_path(&self) -> bool {
        let is_path = |schema: &Value| {
            schema["format"].as_str().is_some_and(|format| {
                ["file", "folder", "file or folder", "path", STAGE_FORMAT].contains(&format)
            })
        };
        is_path(&self.schema) || is_path(&self.schema["items"])
    }

    /// What values it takes, in words.
    pub fn takes(&self) -> String {
        takes(&self.schema)
    }

    /// What is expected and found where a setting is out of the key's range; none for one that is not there.
    pub(crate) fn out_of_range(&self, setting: &Value) -> Option<String> {
        let schema = &self.schema;
        let is_whole = kind(schema) == "integer";
        let bound = |name: &str| schema[name].as_f64();
        let number = match shortest(schema, setting).as_f64() {
            Some(number) => number,
            // NaN and the infinities, which JSON does not have.
            None if schema["type"] == "number" => f64::NAN,
            None => return None,
        };
        let is_one_of = schema["enum"]
            .as_array()
            .is_none_or(|names| names.iter().any(|name| name.as_f64() == Some(number)));
        let is_within = !number.is_nan()
            && bound("minimum").is_none_or(|low| number >= low)
            && bound("exclusiveMinimum").is_none_or(|low| number > low)
            && bound("maximum").is_none_or(|high| number <= high)
            && bound("exclusiveMaximum").is_none_or(|high| number < high);
        let found = if is_whole { setting.to_string() } else { number.to_string() };
        (!is_one_of || !is_within).then(|| format!("expected {}, found {found}", self.takes()))
    }

    /// The values that it takes, as TOML writes them in a command line, where they can be listed.
    pub fn values(&self) -> Vec<String> {
        let schema = if kind(&self.schema) == "array" { &self.schema["items"] } else { &self.schema };
        match kind(schema) {
            "boolean" => vec!["true".to_owned(), "false".to_owned()],
            _ => names(schema)
                .iter()
                .map(|name| name.as_str().map_or_else(|| toml(name), str::to_owned))
                .collect(),
        }
    }

    /// Its default as TOML; empty where there is none.
    pub fn default_text(&self) -> String {
        match &self.default {
            KeyDefault::Value(value) => toml(value),
            _ => String::new(),
        }
    }
}

/// A JSON value as TOML writes it.
fn toml(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(toml).collect::<Vec<_>>().join(", ")),
        Value::Object(entries) if entries.is_empty() => "{}".to_owned(),
        Value::Object(entries) => {
            let entries = entries.iter().map(|(key, value)| format!("{key} = {}", toml(value)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
        // 1e-9 and 1.0 are TOML as they are.
        other => other.to_string(),
    }
}

fn takes(schema: &Value) -> String {
    if let Some(words) = schema["takes"].as_str() {
        return words.to_owned();
    }
    let names = names(schema);
    if !names.is_empty() {
        return alternatives(names.iter().map(toml).collect());
    }
    let format = schema["format"].as_str().unwrap_or_default();
    match kind(schema) {
        "boolean" => "true or false".to_owned(),
        "integer" => whole(schema),
        "number" => number(schema),
        "array" => {
            let items = &schema["items"];
            match (kind(items), items["format"] == STAGE_FORMAT) {
                (_, true) => "list of stages".to_owned(),
                ("number", _) if items["takes"].is_null() => "list of numbers".to_owned(),
                ("integer", _) if items["takes"].is_null() => "list of whole numbers".to_owned(),
                ("string", _) if self::names(items).is_empty() && items["takes"].is_null() => {
                    format!("list of {}", items["format"].as_str().map_or("texts", plural))
                }
                _ => format!("list of {}", takes(items)),
            }
        }
        "object" => "table".to_owned(),
        _ if format.is_empty() => "text".to_owned(),
        _ => format.to_owned(),
    }
}

fn plural(format: &str) -> &str {
    match format {
        "file" => "files",
        "folder" => "folders",
        other => other,
    }
}

/// The type in a schema, of several the first that is not null.
pub(crate) fn kind(schema: &Value) -> &str {
    match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        kind => kind.as_str(),
    }
    .unwrap_or_default()
}

/// The values of which a schema takes one; empty where it takes others too.
pub(crate) fn names(schema: &Value) -> Vec<Value> {
    if let Some(names) = schema["enum"].as_array() {
        return names.iter().filter(|name| !name.is_null()).cloned().collect();
    }
    let variants = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array());
    let variants = variants.into_iter().flatten().filter(|variant| variant["type"] != "null");
    let names = variants.map(|variant| match &variant["const"] {
        Value::Null => {
            let names = self::names(variant);
            (!names.is_empty()).then_some(names)
        }
        name => Some(vec![name.clone()]),
    });
    names.collect::<Option<Vec<_>>>().map(|names| names.concat()).unwrap_or_default()
}

fn alternatives(mut names: Vec<String>) -> String {
    match names.pop() {
        Some(last) if names.is_empty() => last,
        Some(last) => format!("{} or {last}", names.join(", ")),
        None => String::new(),
    }
}

fn whole(schema: &Value) -> String {
    let bound = |name: &str| schema[name].as_u64();
    match (bound("minimum"), bound("maximum")) {
        (Some(low), Some(high)) if schema["format"] != "uint8" || high < 255 => format!("{low} to {high}"),
        (Some(low), _) if low > 0 => format!("whole number, at least {low}"),
        _ => "whole number".to_owned(),
    }
}

fn number(schema: &Value) -> String {
    let bound = |name: &str| schema[name].as_f64();
    let low = bound("exclusiveMinimum").map(|low| ("(", low)).or(bound("minimum").map(|low| ("[", low)));
    let high = bound("exclusiveMaximum").map(|high| (high, ")")).or(bound("maximum").map(|high| (high, "]")));
    match (low, high) {
        (Some((open, low)), Some((high, close))) => format!("number in {open}{low}, {high}{close}"),
        (Some(("(", low)), None) => format!("number above {low}"),
        (Some((_, low)), None) => format!("number, at least {low}"),
        _ => "number".to_owned(),
    }
}

/// A configuration's schema as it is for manifests: where a value stands, a variable may stand instead, and there is no null.
pub(crate) fn in_manifests(schema: &Value) -> Value {
    let variable = serde_json::json!({"$ref": "#/definitions/variable"});
    if let Some(properties) = schema["properties"].as_object() {
        let mut table = schema.clone();
        let properties: Map<String, Value> =
            properties.iter().map(|(name, property)| (name.clone(), in_manifests(property))).collect();
        table["properties"] = properties.into();
        // What is taken for granted comes from the keys.
        if let Some(table) = table.as_object_mut() {
            table.remove("default");
        }
        return table;
    }
    if tables(schema).is_some() {
        let mut choice = schema.clone();
        for variants in ["oneOf", "anyOf"] {
            if let Some(variants) = choice[variants].as_array_mut() {
                variants.iter_mut().for_each(|variant| *variant = in_manifests(variant));
            }
        }
        if let Some(choice) = choice.as_object_mut() {
            choice.retain(|_, value| !value.is_null());
        }
        return choice;
    }
    let mut value = schema.clone();
    let (mut around, mut moved) = (Map::new(), Vec::new());
    for key in ["description", "default"] {
        moved.extend(value.as_object_mut().and_then(|value| Some((key, value.remove(key)?))));
    }
    if value["items"].is_object() {
        value["items"] = in_manifests(&value["items"]);
    }
    for variant in value["anyOf"].as_array_mut().into_iter().flatten() {
        if variant["properties"].is_object() {
            *variant = in_manifests(variant);
        }
    }
    if !schema["type"].is_null() {
        value["type"] = kind(schema).into();
    }
    if let Some(map) = value.as_object_mut() {
        map.retain(|_, value| !value.is_null());
    }
    for (key, moved) in moved {
        let moved = if key == "default" { shortest(schema, &moved) } else { moved };
        if !moved.is_null() {
            around.insert(key.to_owned(), moved);
        }
    }
    let is_free_text = kind(schema) == "string" && names(schema).is_empty() && schema["pattern"].is_null();
    let mut whole = match is_free_text || kind(schema) == "array" {
        true => value,
        false => serde_json::json!({"anyOf": [value, variable]}),
    };
    if let Some(whole) = whole.as_object_mut() {
        whole.extend(around);
    }
    whole
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_key_takes_is_said_in_words() {
        for (schema, words) in [
            (json!({"type": "boolean"}), "true or false"),
            (json!({"type": ["integer", "null"], "minimum": 0}), "whole number"),
            (json!({"type": "integer", "minimum": 1, "maximum": 24}), "1 to 24"),
            (json!({"type": "integer", "enum": [1, 3]}), "1 or 3"),
            (json!({"type": "number", "exclusiveMinimum": 0.0, "maximum": 8}), "number in (0, 8]"),
            (json!({"type": "number", "exclusiveMinimum": 0}), "number above 0"),
            (json!({"oneOf": [{"const": "a"}, {"const": "b"}, {"enum": ["c"]}]}), "\"a\", \"b\" or \"c\""),
            (json!({"type": "string", "format": "stage"}), "stage"),
            (json!({"type": "array", "items": {"type": "string", "format": "stage"}}), "list of stages"),
            (json!({"type": "array", "items": {"type": "string"}}), "list of texts"),
            (json!({"type": "array", "items": {"enum": ["a", "b"]}}), "list of \"a\" or \"b\""),
            (json!({"type": "string", "takes": "\"keep\" or \"crop(N)\""}), "\"keep\" or \"crop(N)\""),
        ] {
            assert_eq!(takes(&schema), words, "{schema}");
        }
    }

    #[test]
    fn settings_are_held_against_their_ranges() {
        let message = |schema: Value, setting: Value| {
            let (key, meaning) = ("x".to_owned(), String::new());
            Key { key, meaning, default: KeyDefault::Optional, schema }.out_of_range(&setting)
        };
        let share = || json!({"type": "number", "format": "float", "exclusiveMinimum": 0.0, "maximum": 0.95});
        assert_eq!(message(share(), json!(f64::from(0.95_f32))), None);
        assert_eq!(message(share(), json!(0.0)).unwrap(), "expected number in (0, 0.95], found 0");
        assert_eq!(message(share(), Value::Null).unwrap(), "expected number in (0, 0.95], found NaN");
        let count = || json!({"type": ["integer", "null"], "minimum": 2, "maximum": 100});
        assert_eq!((message(count(), Value::Null), message(count(), json!(2))), (None, None));
        assert_eq!(message(count(), json!(101)).unwrap(), "expected 2 to 100, found 101");
        let channels = json!({"type": "integer", "minimum": 0, "enum": [1, 3]});
        assert_eq!(message(channels, json!(2)).unwrap(), "expected 1 or 3, found 2");
    }

    #[test]
    fn a_float_has_the_digits_it_was_written_with() {
        let schema = json!({"type": "number", "format": "float"});
        assert_eq!(shortest(&schema, &json!(f64::from(2e-4_f32))), json!(0.0002));
        assert_eq!(toml(&json!(["a", 1.0, 3])), "[\"a\", 1.0, 3]");
    }

    /// Settings and results are compared with what was written of them.
    #[test]
    fn numbers_are_read_back_to_the_last_bit() {
        for number in [0.9090909090909091_f64, 10.0 / 11.0, 0.1 + 0.2, 1.0 / 3.0, f64::MIN_POSITIVE] {
            let text = serde_json::to_string(&number).unwrap();
            assert_eq!(serde_json::from_str::<f64>(&text).unwrap().to_bits(), number.to_bits(), "{text}");
        }
    }
}
