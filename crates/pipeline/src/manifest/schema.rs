//! A JSON Schema of manifests, for editors, made from the kinds' own description of their keys.

use serde_json::{Map, Value, json};

use super::parse::TOP_KEYS;
use crate::stages::info::{KINDS, KeyInfo, KindInfo};

/// The kind whose table `source` lists every data set; others list those they are mostly used with.
const LISTS_SOURCES: &str = "import_images";

/// The schema (draft 7). A variable, `"${x}"`, may stand wherever a single value does.
///
/// It says which keys and kinds there are, what type and range their values have, and what they mean. What one key asks of
/// another (inputs that exist, a data set that fits) only `dcgan check` can tell.
pub fn schema() -> Value {
    let mut kinds = Map::new();
    kinds.insert(
        "id".to_owned(),
        json!({
            "type": "string",
            "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]*$",
            "description": "The stage's name: its folder's, and what other stages call it by.",
        }),
    );
    for info in KINDS {
        kinds.insert(info.name.to_owned(), kind(info));
    }
    let described = top_keys();
    // A key that is not described here may hold anything.
    let top: Map<String, Value> = TOP_KEYS
        .iter()
        .map(|key| ((*key).to_owned(), described.get(*key).cloned().unwrap_or(json!({}))))
        .collect();
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "dcgan manifest",
        "description": "A pipeline of stages; `dcgan check` tells what a schema cannot.",
        "type": "object",
        "additionalProperties": false,
        "required": ["name", "stage"],
        "properties": top,
        "definitions": {
            "variable": {"type": "string", "pattern": "\\$\\{[^}]+\\}"},
            "stage": {
                "type": "object",
                "required": ["id"],
                "minProperties": 2,
                "maxProperties": 2,
                "additionalProperties": false,
                "properties": kinds,
            },
        },
    })
}

/// The keys outside of stages.
fn top_keys() -> Value {
    json!({
        "name": {
            "type": "string",
            "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]*$",
            "description": "The pipeline's name, and that of its folder of runs.",
        },
        "description": {"type": "string", "description": "What it is for."},
        "goals": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Ids of the stages that are wanted; all, where there are none.",
        },
        "vars": {
            "type": "object",
            "additionalProperties": {"type": ["string", "number", "boolean"]},
            "description": "Variables: \"${name}\" stands for the value, and `--set name=value` changes it.",
        },
        "matrix": {
            "type": "object",
            "additionalProperties": {
                "type": "array",
                "minItems": 1,
                "items": {"type": ["string", "number", "boolean"]},
            },
            "description": "Variables of several values: a stage that depends on one is there once for each value.",
        },
        "stage": {
            "type": "array",
            "minItems": 1,
            "items": {"$ref": "#/definitions/stage"},
            "description": "The stages, each with an id and one table named after its kind.",
        },
    })
}

fn kind(info: &KindInfo) -> Value {
    let is_source = |key: &&KeyInfo| key.key.starts_with("source.");
    let own = info.keys.iter().filter(|key| !is_source(key));
    let has_sources = info.keys.iter().any(|key| is_source(&key));
    let lists = KINDS.iter().filter(|kind| has_sources && kind.name == LISTS_SOURCES);
    let sources = lists.flat_map(|kind| kind.keys).filter(is_source);
    let keys: Vec<(Vec<&str>, &KeyInfo)> =
        own.chain(sources).map(|key| (key.key.split('.').collect(), key)).collect();
    let mut table = table(&keys);
    if has_sources {
        table["required"].as_array_mut().into_iter().for_each(|required| required.push(json!("source")));
    }
    table["description"] = json!(format!("{}\n\n{}", info.summary, info.details));
    table
}

/// The table of keys, each with its path from here on.
fn table(keys: &[(Vec<&str>, &KeyInfo)]) -> Value {
    let mut names: Vec<&str> = keys.iter().filter_map(|(path, _)| path.first().copied()).collect();
    names.dedup();
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for name in names {
        let of_name = keys.iter().filter(|(path, _)| path.first() == Some(&name));
        let inner: Vec<(Vec<&str>, &KeyInfo)> =
            of_name.map(|(path, key)| (path[1..].to_vec(), *key)).collect();
        if inner.iter().any(|(_, key)| key.default.is_none()) {
            required.push(name);
        }
        let property = match inner.as_slice() {
            [(path, key)] if path.is_empty() => leaf(key),
            _ => table(&inner),
        };
        properties.insert(name.to_owned(), property);
    }
    // A table of tables alone names one of several: a data set, say.
    let is_choice = properties.values().all(|property| property["type"] == "object");
    let mut table = json!({
        "type": "object",
        "additionalProperties": false,
        "required": required,
        "properties": properties,
    });
    if is_choice {
        table["minProperties"] = json!(1);
        table["maxProperties"] = json!(1);
    }
    table
}

/// One key: its type as its description gives it, or a variable.
fn leaf(key: &KeyInfo) -> Value {
    let value = value(key.takes);
    let mut schema = match value["type"].as_str() {
        // A variable is a string already, and what it makes of one cannot be told here.
        Some("string") if value.get("enum").is_none() && value.get("pattern").is_none() => value,
        Some("array") | None => value,
        _ => json!({"anyOf": [value, {"$ref": "#/definitions/variable"}]}),
    };
    schema["description"] = json!(format!("{} ({})", key.meaning, key.takes));
    let default = key.default.filter(|default| !default.is_empty());
    let default = default.and_then(|default| format!("v = {default}").parse::<toml::Table>().ok());
    if let Some(default) = default.and_then(|table| serde_json::to_value(&table["v"]).ok()) {
        schema["default"] = default;
    }
    schema
}

/// What a description of values, such as "number in (0, 1)", says as a schema; without a type where that is not known.
fn value(takes: &str) -> Value {
    let variable_or = |value: Value| json!({"anyOf": [value, {"$ref": "#/definitions/variable"}]});
    if takes.starts_with('"') {
        return names(takes);
    }
    match takes {
        "true or false" => json!({"type": "boolean"}),
        "count" | "whole number" => json!({"type": "integer", "minimum": 0}),
        "stage" | "folder" | "file" | "file or folder" | "text" => json!({"type": "string"}),
        "list of numbers" => json!({"type": "array", "items": variable_or(json!({"type": "number"}))}),
        "list of whole numbers" => {
            json!({"type": "array", "items": variable_or(json!({"type": "integer", "minimum": 0}))})
        }
        list if list.starts_with("list of \"") => {
            json!({"type": "array", "items": variable_or(names(list))})
        }
        list if list.starts_with("list of ") && !list.contains(['(', ',']) => {
            json!({"type": "array", "items": {"type": "string"}})
        }
        list if list.starts_with("list of ") => calls(list.trim_start_matches("list of ")),
        number if number.starts_with("number") => range(number.trim_start_matches("number").trim()),
        // "1 or 3", "0 to 24"
        other => match (other.split_once(" or "), other.split_once(" to ")) {
            (Some((a, b)), _) if is_whole(a) && is_whole(b) => {
                json!({"type": "integer", "enum": [whole(a), whole(b)]})
            }
            (_, Some((low, high))) if is_whole(low) && is_whole(high) => {
                json!({"type": "integer", "minimum": whole(low), "maximum": whole(high)})
            }
            _ => json!({}),
        },
    }
}

/// "\"a\", \"b(N)\" or \"c\"": the names, N being a whole number.
fn names(takes: &str) -> Value {
    let names: Vec<&str> = takes.split('"').skip(1).step_by(2).collect();
    if names.iter().all(|name| !name.contains('(')) {
        return json!({"type": "string", "enum": names});
    }
    let pattern = names.join("|").replace("(N)", "\\([0-9]+\\)");
    json!({"type": "string", "pattern": format!("^({pattern})$")})
}

/// "jpeg(Q), resize(%), flip": a list of such words, a number in the brackets.
fn calls(names: &str) -> Value {
    let word = |name: &str| match name.split_once('(') {
        Some((word, _)) => format!("{word}\\(-?[0-9.]+\\)"),
        None => name.to_owned(),
    };
    let words: Vec<String> = names.split(", ").map(word).collect();
    json!({"type": "array", "items": {"type": "string", "pattern": format!("^({})$", words.join("|"))}})
}

/// "in (0, 1]", "from 0 to 2", "above 0".
fn range(text: &str) -> Value {
    let mut schema = json!({"type": "number"});
    let mut bound = |name: &str, number: &str| {
        if let Ok(number) = number.trim().parse::<f64>() {
            schema[name] = json!(number);
        }
    };
    let inner = text.trim_start_matches("in ").trim_matches(['(', ')', '[', ']']);
    if let Some(low) = text.strip_prefix("above ") {
        bound("exclusiveMinimum", low);
    } else if let Some((low, high)) = text.strip_prefix("from ").and_then(|text| text.split_once(" to ")) {
        bound("minimum", low);
        bound("maximum", high);
    } else if let Some((low, high)) = inner.split_once(',') {
        bound(if text.contains('(') { "exclusiveMinimum" } else { "minimum" }, low);
        bound(if text.ends_with(')') { "exclusiveMaximum" } else { "maximum" }, high);
    }
    schema
}

fn is_whole(text: &str) -> bool {
    text.trim().parse::<u64>().is_ok()
}

fn whole(text: &str) -> u64 {
    text.trim().parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use jsonschema::Validator;

    use super::*;
    use crate::manifest::{Manifest, read_table};

    fn validator() -> Validator {
        jsonschema::validator_for(&schema()).unwrap()
    }

    fn as_json(toml: &str) -> Value {
        serde_json::to_value(toml.parse::<toml::Table>().unwrap()).unwrap()
    }

    #[test]
    fn every_manifest_of_the_project_is_valid() {
        let validator = validator();
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines");
        let mut n_manifests = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let errors: Vec<String> = validator
                .iter_errors(&as_json(&text))
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
            n_manifests += 1;
        }
        assert!(n_manifests >= 5);
    }

    #[test]
    fn what_the_program_refuses_is_invalid() {
        let validator = validator();
        let good =
            "name = \"m\"\n[[stage]]\nid = \"s\"\n[stage.fit_svm]\ntrain = \"a\"\ntest = \"b\"\nc = 1.0\n";
        assert!(validator.is_valid(&as_json(good)));
        for (from, to) in [
            ("name = \"m\"", "nmae = \"m\""),
            ("name = \"m\"", "name = \"a b\""),
            ("name = \"m\"", "name = \"m\"\ngoals = 3"),
            ("name = \"m\"", "name = \"m\"\nvars = {a = []}"),
            ("fit_svm", "fit_svn"),
            ("id = \"s\"", "id = 3"),
            ("id = \"s\"\n", ""),
            ("c = 1.0", "c = \"1\""),
            ("c = 1.0", "C = 1.0"),
            ("c = 1.0", "c = -1.0"),
            ("c = 1.0\n", ""),
            ("c = 1.0", "c = 1.0\nloss = \"hinges\""),
            ("c = 1.0", "c = 1.0\n[stage.report]\nresults = [\"s\"]"),
        ] {
            let broken = good.replace(from, to);
            assert_ne!(broken, good);
            assert!(!validator.is_valid(&as_json(&broken)), "{broken}");
            assert!(Manifest::parse("m.toml".as_ref(), broken.clone(), &[]).is_err(), "{broken}");
        }
        assert!(validator.is_valid(&as_json(&good.replace("1.0", "\"${c}\""))));
    }

    /// For every key, values of all types: what cannot be read is invalid, and what is invalid the program refuses.
    #[test]
    fn types_and_ranges_are_those_of_the_program() {
        let validator = validator();
        let values = ["\"zzz\"", "3", "-3", "0.5", "true", "[0.5]", "[\"zzz\"]", "{}"];
        let mut n_compared = 0;
        for info in KINDS {
            let example: Vec<String> = info.example.iter().map(|argument| (*argument).to_owned()).collect();
            for key in info.keys.iter().filter(|key| value(key.takes).get("type").is_some()) {
                let table = key.key.rsplit_once('.').map_or("", |(table, _)| table);
                let is_choice = table.starts_with("source") || info.name == "synthesize";
                // Of several data sets only the example's can be tried: each asks for keys of its own.
                if is_choice && !example.iter().any(|argument| argument.starts_with(&format!("{table}."))) {
                    continue;
                }
                for value in values {
                    let mut arguments = example.clone();
                    arguments.retain(|argument| !argument.starts_with(&format!("{}=", key.key)));
                    arguments.push(format!("{}={value}", key.key));
                    let config = read_table(info.name, &lines(&arguments));
                    let errors: Vec<String> = validator
                        .iter_errors(&stage(info.name, &arguments))
                        .map(|error| format!("{}: {error}", error.instance_path()))
                        .collect();
                    let what = format!("{} {}={value}: {errors:?}", info.name, key.key);
                    match config {
                        Err(error) => assert!(!errors.is_empty(), "{what} {error}"),
                        Ok(config) => {
                            assert!(errors.is_empty() || !config.stage().problems().is_empty(), "{what}");
                        }
                    }
                    n_compared += 1;
                }
            }
        }
        assert!(n_compared > 500, "{n_compared}");
    }

    /// A manifest of one stage with the arguments.
    fn stage(kind: &str, arguments: &[String]) -> Value {
        let head = format!("name = \"m\"\n[[stage]]\nid = \"s\"\n[stage.{kind}]\n");
        as_json(&(head + &lines(arguments)))
    }

    /// The arguments as lines of the kind's table.
    fn lines(arguments: &[String]) -> String {
        let mut text = String::new();
        for argument in arguments {
            let (key, value) = argument.split_once('=').unwrap();
            let is_toml = format!("v = {value}").parse::<toml::Table>().is_ok();
            let value = if is_toml { value.to_owned() } else { format!("{value:?}") };
            text.push_str(&format!("{key} = {value}\n"));
        }
        text
    }

    #[test]
    fn defaults_are_valid_and_ranges_are_read() {
        let definitions = super::schema()["definitions"].clone();
        for info in KINDS {
            for key in info.keys {
                let schema = leaf(key);
                let Some(default) = schema.get("default") else {
                    continue;
                };
                let mut own = value(key.takes);
                own["definitions"] = definitions.clone();
                let own = jsonschema::validator_for(&own).unwrap();
                assert!(own.is_valid(default), "{} {}", info.name, key.key);
            }
        }
        assert_eq!(
            value("number in (0, 8]"),
            json!({"type": "number", "exclusiveMinimum": 0.0, "maximum": 8.0})
        );
        assert_eq!(
            value("number in [0, 1)"),
            json!({"type": "number", "minimum": 0.0, "exclusiveMaximum": 1.0})
        );
        assert_eq!(value("number from 0 to 0.5"), json!({"type": "number", "minimum": 0.0, "maximum": 0.5}));
        assert_eq!(value("number above 0"), json!({"type": "number", "exclusiveMinimum": 0.0}));
        assert_eq!(value("1 or 3"), json!({"type": "integer", "enum": [1, 3]}));
        assert_eq!(value("something new"), json!({}));
    }
}
