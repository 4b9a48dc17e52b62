//! A JSON Schema of manifests, for editors, made from those of the kinds' configurations.

use serde_json::{Map, Value, json};

use super::parse::TOP_KEYS;
use crate::cluster::Cluster;
use crate::keys::in_manifests;
use crate::kind::{Kind, Registry};

/// The schema (draft 7). A variable, `"${x}"`, may stand wherever a single value does.
///
/// It says which keys and kinds there are, what type and range their values have, and what they mean. What one key asks of
/// another (inputs that exist, a data set that fits) only `dcgan check` can tell.
pub fn schema(registry: &Registry) -> Value {
    let mut kinds = Map::new();
    kinds.insert(
        "id".to_owned(),
        json!({
            "type": "string",
            "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]*$",
            "description": "The stage's name: its folder's, and what other stages call it by.",
        }),
    );
    for kind in registry.kinds {
        kinds.insert(kind.name.to_owned(), table(kind));
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
        "cluster": of_cluster(),
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

/// The table `cluster`.
fn of_cluster() -> Value {
    let mut table = in_manifests(schemars::schema_for!(Cluster).as_value());
    if let Some(table) = table.as_object_mut() {
        table.remove("$schema");
    }
    table
}

/// The table of a kind: its own schema, in which a variable may stand wherever a single value does.
fn table(kind: &Kind) -> Value {
    let mut table = in_manifests(&kind.schema());
    table["description"] = json!(format!("{}\n\n{}", kind.summary, kind.details));
    table
}
