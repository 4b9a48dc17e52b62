//! `--set K=V`: a variable's value, or `stage.key=V`: one key of a stage.

use toml::Spanned;
use toml::de::DeValue;

use super::problem::{Problem, nearest};
use super::sources::Sources;
use super::tree::{self, Node, Table, as_table_mut};
use super::vars::{Vars, may_be_variable};

/// One `K=V`, with the value already parsed.
pub(crate) struct Override<'i> {
    pub(crate) key: String,
    pub(crate) value: Node<'i>,
}

/// Splits `K=V` and parses the value, whose text is part `part_idx` of the sources.
pub(crate) fn parse<'i>(
    argument: &str,
    sources: &'i Sources,
    part_idx: usize,
) -> Result<Override<'i>, Box<Problem>> {
    let part = sources.part(part_idx);
    let location = sources.locate(&(part.base..part.base));
    let key = argument.split_once('=').map(|(key, _)| key.trim()).unwrap_or_default();
    if key.is_empty() || key.split('.').any(str::is_empty) {
        let message = format!("`{argument}` is not of the form KEY=VALUE");
        return Err(Problem::new(location, message).into());
    }
    let value = tree::parse_argument(part)
        .map_err(|error| Problem::new(location, format!("the value is no valid TOML: {}", error.message)))?;
    Ok(Override { key: key.to_owned(), value })
}

/// Gives a variable another value of the same type.
pub(crate) fn set_var<'i>(
    vars: &mut Vars<'i>,
    change: Override<'i>,
    stage_ids: &[String],
    sources: &'i Sources,
) -> Result<(), Box<Problem>> {
    let location = sources.locate(&change.value.span());
    let Some(old) = vars.get_mut(&change.key) else {
        let names = vars.keys().map(String::as_str);
        let help = nearest(&change.key, names.chain(stage_ids.iter().map(String::as_str)));
        let names: Vec<&str> = vars.keys().map(String::as_str).collect();
        let message = if names.is_empty() {
            format!("the manifest has no variable `{}` (it has no [vars])", change.key)
        } else {
            format!("the manifest has no variable `{}`; it has {}", change.key, super::quoted(names))
        };
        return Err(Problem::new(location, message).with_help(help).into());
    };
    let wrong_type = |found: &str| {
        let message =
            format!("variable `{}` is of type {}, found {found}", change.key, old.get_ref().type_str());
        Problem::new(location.clone(), message)
    };
    let value = match (old.get_ref(), change.value.get_ref()) {
        // A folder may be called 2024: text stays text.
        (DeValue::String(_), value) if may_be_variable(value) => text_of(&change.value, sources),
        (DeValue::Float(_), DeValue::Integer(_)) => change.value.clone(),
        (DeValue::Integer(_), DeValue::Float(_)) => change.value.clone(),
        (old, new) if old.same_type(new) => change.value.clone(),
        (_, new) => return Err(wrong_type(new.type_str()).into()),
    };
    *old = value;
    Ok(())
}

/// The argument's own text as a string (unless it was a quoted string).
fn text_of<'i>(value: &Node<'i>, sources: &'i Sources) -> Node<'i> {
    if value.get_ref().is_str() {
        return value.clone();
    }
    let text = sources.text_at(&value.span());
    Spanned::new(value.span(), DeValue::String(text.into()))
}

/// Sets one key of a stage's kind table.
pub(crate) fn set_key<'i>(
    stage: &mut Table<'i>,
    key: &str,
    change: Override<'i>,
    sources: &Sources,
) -> Result<(), Box<Problem>> {
    let location = sources.locate(&change.value.span());
    let kind = stage.keys().map(|key| key.get_ref().to_string()).find(|key| key != "id");
    let Some(table) = kind.and_then(|kind| stage.get_mut(kind.as_str())).and_then(as_table_mut) else {
        return Err(Problem::new(location, "the stage has no table named after its kind").into());
    };
    let path: Vec<&str> = key.split('.').collect();
    tree::set_path(table, &path, change.value)
        .map_err(|wrong| Problem::new(location, format!("key `{wrong}` is not a table")).into())
}
