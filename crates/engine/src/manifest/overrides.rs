//! `--set K=V`: a variable's value, or `stage.key=V`: one key of a stage.

use toml::Spanned;
use toml::de::{DeArray, DeValue};

use super::matrix::{self, Matrix};
use super::problem::Problem;
use super::sources::Sources;
use super::tree::{self, Node, Table, as_table_mut};
use super::vars::{Vars, may_be_variable};
use crate::suggest::{nearest, quoted};

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
    let (value, error) = tree::parse_argument(part);
    if let Some(error) = error {
        sources.note_syntax_error(&value.span(), format!("the value is no valid TOML: {error}"));
    }
    Ok(Override { key: key.to_owned(), value })
}

/// Refuses a key that an argument before gave already, alone, within its table or as a table: of two values one would be lost.
pub(crate) fn check_once<'i>(
    change: &Override<'i>,
    earlier: &mut Vec<(String, Node<'i>)>,
    sources: &Sources,
) -> Result<(), Box<Problem>> {
    let within = |key: &str, table: &str| Some(key.strip_prefix(table)?.strip_prefix('.')?.to_owned());
    let is_twice = |(key, value): &(String, Node<'i>)| {
        let is_in_it = |rest: String| {
            value.get_ref().as_table().is_some_and(|table| tree::get_path(table, &rest).is_some())
        };
        *key == change.key
            || within(key, &change.key).is_some()
            || within(&change.key, key).is_some_and(is_in_it)
    };
    if earlier.iter().any(is_twice) {
        let location = sources.locate(&change.value.span());
        let message = format!("key `{}` is given twice; give it once", change.key);
        return Err(Problem::new(location, message).into());
    }
    earlier.push((change.key.clone(), change.value.clone()));
    Ok(())
}

/// Gives a variable another value of the same type, or a list of such values, which makes it an axis of the matrix; the
/// other way round, an axis is given one value or another list.
pub(crate) fn set_var<'i>(
    vars: &mut Vars<'i>,
    matrix: &mut Matrix<'i>,
    change: Override<'i>,
    stage_ids: &[String],
    sources: &'i Sources,
) -> Result<(), Box<Problem>> {
    let location = sources.locate(&change.value.span());
    let wrong = |message: String| Box::new(Problem::new(location.clone(), message));
    let axis_idx = matrix.iter().position(|axis| axis.name == change.key);
    let old = match axis_idx {
        Some(idx) => matrix[idx].values.first().cloned(),
        None => vars.get(&change.key).cloned(),
    };
    let Some(old) = old else {
        let names: Vec<&str> =
            vars.keys().map(String::as_str).chain(matrix.iter().map(|axis| axis.name.as_str())).collect();
        let help = nearest(&change.key, names.iter().copied().chain(stage_ids.iter().map(String::as_str)));
        let message = if names.is_empty() {
            format!("the manifest has no variable `{}` (it has no [vars])", change.key)
        } else {
            format!("the manifest has no variable `{}`; it has {}", change.key, quoted(names))
        };
        return Err(Problem::new(location, message).with_help(help).into());
    };
    let same_type = |value: &Node<'i>| {
        value_like(&old, value, sources).map_err(|found| {
            let type_of = old.get_ref().type_str();
            let of_type = || format!("variable `{}` is of type {type_of}, found {found}", change.key);
            wrong(sources.syntax_error(&value.span()).unwrap_or_else(of_type))
        })
    };
    let span = change.value.span();
    let values = match change.value.get_ref() {
        DeValue::Array(items) => items.iter().map(same_type).collect::<Result<Vec<_>, _>>()?,
        _ if axis_idx.is_none() => {
            vars.insert(change.key.clone(), same_type(&change.value)?);
            return Ok(());
        }
        _ => vec![same_type(&change.value)?],
    };
    let mut list = DeArray::new();
    values.into_iter().for_each(|value| list.push(value));
    let axis =
        matrix::axis(&change.key, span.clone(), &Spanned::new(span, DeValue::Array(list))).map_err(wrong)?;
    vars.remove(&change.key);
    match axis_idx {
        Some(idx) => matrix[idx] = axis,
        None => matrix.push(axis),
    }
    Ok(())
}

/// `value` in the type of `old`; `Err` is the type that was found.
fn value_like<'i>(old: &Node<'i>, value: &Node<'i>, sources: &'i Sources) -> Result<Node<'i>, &'static str> {
    match (old.get_ref(), value.get_ref()) {
        // A folder may be called 2024: text stays text.
        (DeValue::String(_), found) if may_be_variable(found) => Ok(text_of(value, sources)),
        (DeValue::Float(_), DeValue::Integer(_)) | (DeValue::Integer(_), DeValue::Float(_)) => {
            Ok(value.clone())
        }
        (old, new) if old.same_type(new) => Ok(value.clone()),
        (_, new) => Err(new.type_str()),
    }
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
