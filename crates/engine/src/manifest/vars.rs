//! `${name}`: variables in a manifest's strings.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::DeValue;

use super::problem::Problem;
use super::sources::Sources;
use super::tree::{Node, Table, as_table_mut};
use crate::suggest::nearest;

/// The variables by name; values are strings, numbers or booleans.
pub(crate) type Vars<'i> = BTreeMap<String, Node<'i>>;

/// Replaces variables in every string of a table. A string that is one variable and nothing else takes the
/// variable's type, so that `seed = "${seed}"` gives a number.
pub(crate) fn substitute<'i>(
    table: &mut Table<'i>,
    vars: &Vars<'i>,
    sources: &Sources,
    problems: &mut Vec<Problem>,
) {
    for (_, value) in table.iter_mut() {
        substitute_value(value, vars, sources, problems);
    }
}

fn substitute_value<'i>(
    node: &mut Node<'i>,
    vars: &Vars<'i>,
    sources: &Sources,
    problems: &mut Vec<Problem>,
) {
    let span = node.span();
    match node.get_mut() {
        DeValue::String(text) => match replaced(text, vars) {
            Ok(Some(value)) => {
                if let Some(argument) = given_by_argument(text, vars, sources) {
                    sources.note_filled(&span, &argument);
                }
                *node.get_mut() = value;
            }
            Ok(None) => {}
            Err((message, help)) => {
                problems.push(Problem::new(sources.locate(&span), message).with_help(help));
            }
        },
        DeValue::Array(items) => {
            for item in items.iter_mut() {
                substitute_value(item, vars, sources, problems);
            }
        }
        DeValue::Table(_) => {
            if let Some(table) = as_table_mut(node) {
                substitute(table, vars, sources, problems);
            }
        }
        _ => {}
    }
}

/// The argument that gave a variable of a text its value, if one did.
fn given_by_argument(text: &str, vars: &Vars<'_>, sources: &Sources) -> Option<Range<usize>> {
    let spans =
        vars.iter().filter(|(name, _)| text.contains(&format!("${{{name}}}"))).map(|(_, value)| value.span());
    spans.into_iter().find(|span| sources.is_argument(span))
}

/// A text with its variables filled in; none if one is not given.
pub(crate) fn fill(text: &str, vars: &Vars<'_>) -> Option<String> {
    match replaced(text, vars) {
        Ok(None) => Some(text.to_owned()),
        Ok(Some(value)) => Some(display(&value)),
        Err(_) => None,
    }
}

/// The value of a string with its variables filled in; none where it has no variable.
fn replaced<'i>(text: &str, vars: &Vars<'i>) -> Result<Option<DeValue<'i>>, (String, Option<String>)> {
    if !text.contains("${") {
        return Ok(None);
    }
    let mut filled = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let after = &rest[start + 2..];
        let Some(end) = after.find('}') else {
            return Err((format!("`{text}`: `${{` without a closing `}}`"), None));
        };
        let name = &after[..end];
        let Some(value) = vars.get(name) else {
            let help = nearest(name, vars.keys().map(String::as_str));
            return Err((format!("`{text}`: variable `{name}` is not given in [vars]"), help));
        };
        if start == 0 && end + 3 == text.len() {
            return Ok(Some(value.get_ref().clone()));
        }
        filled.push_str(&rest[..start]);
        filled.push_str(&display(value.get_ref()));
        rest = &after[end + 1..];
    }
    filled.push_str(rest);
    Ok(Some(DeValue::String(Cow::Owned(filled))))
}

/// A variable's value as text; empty for what cannot be a variable.
pub(crate) fn display(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        _ => String::new(),
    }
}

/// True for a value a variable may have.
pub(crate) fn may_be_variable(value: &DeValue<'_>) -> bool {
    matches!(value, DeValue::String(_) | DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_))
}
