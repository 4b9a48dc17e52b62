//! TOML as a tree whose every key and value knows where it was written.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::sources::Part;

/// A value with its span.
pub(crate) type Node<'i> = Spanned<DeValue<'i>>;
/// A table whose keys and values have spans.
pub(crate) type Table<'i> = DeTable<'i>;

/// A syntax error: what is wrong, and where among all texts.
#[derive(Debug)]
pub(crate) struct SyntaxError {
    pub(crate) message: String,
    pub(crate) span: Range<usize>,
}

/// Parses a whole document.
pub(crate) fn parse_document(part: &Part) -> Result<Table<'_>, SyntaxError> {
    let table = DeTable::parse(&part.text).map_err(|error| syntax_error(&error, part))?;
    Ok(shift_table(table.into_inner(), part.base))
}

/// Parses a `K=V` argument's value: TOML where it is TOML, else the text itself as a string, with what is wrong with it where
/// it begins as a list, a table or a quoted string does. The key decides later whether text will do.
pub(crate) fn parse_argument(part: &Part) -> (Node<'_>, Option<String>) {
    let text = part.text.trim();
    let error = match DeValue::parse(&part.text) {
        Ok(value) if !value.get_ref().is_datetime() => return (shift(value, part.base), None),
        Err(error) if text.starts_with(['[', '{', '"', '\'']) => Some(error.message().to_owned()),
        _ => None,
    };
    let span = part.base..part.base + part.text.len();
    (Spanned::new(span, DeValue::String(Cow::Borrowed(&part.text))), error)
}

fn syntax_error(error: &toml::de::Error, part: &Part) -> SyntaxError {
    let span = error.span().unwrap_or(0..0);
    SyntaxError { message: error.message().to_owned(), span: span.start + part.base..span.end + part.base }
}

fn shift(node: Node<'_>, base: usize) -> Node<'_> {
    let span = node.span();
    let value = match node.into_inner() {
        DeValue::Array(items) => {
            let mut shifted = DeArray::new();
            for item in items {
                shifted.push(shift(item, base));
            }
            DeValue::Array(shifted)
        }
        DeValue::Table(table) => DeValue::Table(shift_table(table, base)),
        other => other,
    };
    Spanned::new(span.start + base..span.end + base, value)
}

fn shift_table(table: Table<'_>, base: usize) -> Table<'_> {
    table
        .into_iter()
        .map(|(key, value)| {
            let span = key.span();
            (Spanned::new(span.start + base..span.end + base, key.into_inner()), shift(value, base))
        })
        .collect()
}

/// The table in `node`, if it is one.
pub(crate) fn as_table_mut<'a, 'i>(node: &'a mut Node<'i>) -> Option<&'a mut Table<'i>> {
    match node.get_mut() {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}

/// Puts `value` at a dotted path, making tables on the way. `Err` is the part of the path that is no table.
pub(crate) fn set_path<'i>(table: &mut Table<'i>, path: &[&str], value: Node<'i>) -> Result<(), String> {
    let Some((first, rest)) = path.split_first() else { return Ok(()) };
    let key = Spanned::new(value.span(), Cow::Owned((*first).to_owned()));
    if rest.is_empty() {
        // Removed first, so that the key's span is the new one.
        table.remove(*first);
        table.insert(key, value);
        return Ok(());
    }
    if !table.contains_key(*first) {
        table.insert(key, Spanned::new(value.span(), DeValue::Table(DeTable::new())));
    }
    match table.get_mut(*first).and_then(as_table_mut) {
        Some(inner) => set_path(inner, rest, value).map_err(|wrong| format!("{first}.{wrong}")),
        None => Err((*first).to_owned()),
    }
}

/// What stands at a dotted path.
pub(crate) fn get_path<'a, 'i>(table: &'a Table<'i>, path: &str) -> Option<&'a Node<'i>> {
    match path.split_once('.') {
        None => table.get(path),
        Some((first, rest)) => get_path(table.get(first)?.get_ref().as_table()?, rest),
    }
}

/// What stands at a dotted path, to be changed.
pub(crate) fn get_path_mut<'a, 'i>(table: &'a mut Table<'i>, path: &str) -> Option<&'a mut Node<'i>> {
    match path.split_once('.') {
        None => table.get_mut(path),
        Some((first, rest)) => get_path_mut(as_table_mut(table.get_mut(first)?)?, rest),
    }
}

/// True if a string somewhere in a table has the variable `${name}`.
pub(crate) fn uses(table: &Table<'_>, name: &str) -> bool {
    fn value_uses(value: &DeValue<'_>, variable: &str) -> bool {
        match value {
            DeValue::String(text) => text.contains(variable),
            DeValue::Array(items) => items.iter().any(|item| value_uses(item.get_ref(), variable)),
            DeValue::Table(table) => table.iter().any(|(_, inner)| value_uses(inner.get_ref(), variable)),
            _ => false,
        }
    }
    let variable = format!("${{{name}}}");
    table.iter().any(|(_, value)| value_uses(value.get_ref(), &variable))
}

/// Every key of a table with its dotted path, the span of the key and that of its value, tables before what they hold.
pub(crate) fn key_spans(table: &Table<'_>) -> Vec<(String, Range<usize>, Range<usize>)> {
    let mut found = Vec::new();
    collect_spans(table, "", &mut found);
    found
}

fn collect_spans(table: &Table<'_>, prefix: &str, found: &mut Vec<(String, Range<usize>, Range<usize>)>) {
    for (key, value) in table {
        let path = format!("{prefix}{}", key.get_ref());
        found.push((path.clone(), key.span(), value.span()));
        if let DeValue::Table(inner) = value.get_ref() {
            collect_spans(inner, &format!("{path}."), found);
        }
    }
}

/// The dotted path of the key or value that a deserialisation error's span names, if it is one; `name` is the key at fault, where
/// the error tells it. Of tables and values that one argument made, which have its span alike, the innermost is meant.
pub(crate) fn path_at(table: &Table<'_>, span: &Range<usize>, name: Option<&str>) -> Option<String> {
    name.and_then(|name| path_in(table, span, Some(name))).or_else(|| path_in(table, span, None))
}

fn path_in(table: &Table<'_>, span: &Range<usize>, name: Option<&str>) -> Option<String> {
    for (key, value) in table {
        let is_named = name.is_none_or(|name| **key.get_ref() == *name);
        let inner = match value.get_ref() {
            DeValue::Table(inner) => path_in(inner, span, name),
            DeValue::Array(items) => items.iter().enumerate().find_map(|(idx, item)| {
                if item.span() == *span && name.is_none() {
                    return Some(format!("[{idx}]"));
                }
                let inner = item.get_ref().as_table()?;
                Some(format!("[{idx}].{}", path_in(inner, span, name)?))
            }),
            _ => None,
        };
        if let Some(rest) = inner {
            let dot = if rest.starts_with('[') { "" } else { "." };
            return Some(format!("{}{dot}{rest}", key.get_ref()));
        }
        if is_named && (key.span() == *span || value.span() == *span) {
            return Some(key.get_ref().to_string());
        }
    }
    None
}

/// The value that a span covers, if it is no table.
pub(crate) fn value_at_mut<'a, 'i>(node: &'a mut Node<'i>, span: &Range<usize>) -> Option<&'a mut Node<'i>> {
    if node.span() == *span && !node.get_ref().is_table() {
        return Some(node);
    }
    match node.get_mut() {
        DeValue::Array(items) => items.iter_mut().find_map(|item| value_at_mut(item, span)),
        DeValue::Table(table) => table.iter_mut().find_map(|(_, value)| value_at_mut(value, span)),
        _ => None,
    }
}

/// Takes away what stands at a dotted path of tables; false if there is nothing.
pub(crate) fn remove_path(node: &mut Node<'_>, path: &str) -> bool {
    let Some(table) = as_table_mut(node) else { return false };
    match path.split_once('.') {
        None => table.remove(path).is_some(),
        Some((first, rest)) => table.get_mut(first).is_some_and(|inner| remove_path(inner, rest)),
    }
}
