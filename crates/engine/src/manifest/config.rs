//! From a stage's table to its configuration.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeValue, ValueDeserializer};

use super::explain::{explain, wants_list, wants_text};
use super::home;
use super::problem::Problem;
use super::sources::Sources;
use super::tree::{self, Node, as_table_mut};
use super::vars::display;
use crate::kind::{Kind, Registry, StageConfig};
use crate::suggest::{nearest, quoted, shell_quoted};

/// Deserialises `{kind = value}`. A key that is wrong is reported and left out, so that the ones after it are found too.
pub(super) fn deserialise<'i>(
    kind: &str,
    kind_span: Range<usize>,
    value: Node<'i>,
    registry: &'static Registry,
    sources: &Sources,
    problems: &mut Vec<Problem>,
) -> Option<StageConfig> {
    let Some(kind) = registry.kind(kind) else {
        let message = format!("unknown kind `{kind}`; expected {}", quoted(registry.names()));
        let help = nearest(kind, registry.names());
        problems.push(Problem::new(sources.locate(&kind_span), message).with_help(help));
        return None;
    };
    let mut value = value;
    if let Some(table) = as_table_mut(&mut value)
        && let Err(key) = home::expand(kind, table)
    {
        let location = tree::get_path(table, &key).map_or(kind_span.clone(), Spanned::span);
        let message = "`~` stands for your home folder, but HOME is not set; write the path in full";
        problems.push(Problem::new(sources.locate(&location), message).at_key(key));
        return None;
    }
    let mut removed: Vec<String> = Vec::new();
    loop {
        let error = match StageConfig::from_toml(kind, ValueDeserializer::from(value.clone()), registry) {
            Ok(config) => return removed.is_empty().then_some(config),
            Err(error) => error,
        };
        let span = error.span().unwrap_or(kind_span.clone());
        if wants_text(error.message()) && read_as_text(&mut value, &span, sources) {
            continue;
        }
        let explained = explain(error.message());
        let is_left_out = |name: &String| removed.iter().any(|path| path.ends_with(name.as_str()));
        if error.message().starts_with("wanted exactly 1 element, found 0") && !removed.is_empty() {
            return None;
        }
        if error.message().starts_with("missing field") && explained.name.as_ref().is_some_and(is_left_out) {
            return None;
        }
        let at = value
            .get_ref()
            .as_table()
            .and_then(|table| tree::path_at(table, &span, explained.name.as_deref()));
        let help = way_out(kind, error.message(), &explained.name, at.as_deref(), &value, &span, sources);
        let mut problem =
            Problem::new(sources.locate(&span), explained.message).with_help(help.or(explained.help));
        if let Some(message) = sources.syntax_error(&span) {
            problem.message = message;
        }
        problem.key = at.clone();
        problems.push(problem);
        match at {
            Some(path) if tree::remove_path(&mut value, &path) => removed.push(path),
            _ => return None,
        }
    }
}

/// Where text is wanted, an argument is text whatever it looks like, and so is a variable between quotes.
fn read_as_text(value: &mut Node<'_>, span: &Range<usize>, sources: &Sources) -> bool {
    let Some(node) = tree::value_at_mut(value, span) else { return false };
    let written = sources.text_at(span);
    let text = match node.get_ref() {
        DeValue::String(_) => return false,
        _ if sources.is_argument(span) => written.to_owned(),
        scalar if written.contains("${") => display(scalar),
        _ => return false,
    };
    *node = Spanned::new(span.clone(), DeValue::String(Cow::Owned(text)));
    true
}

/// How a value or key that was refused would have to be written.
fn way_out(
    kind: &Kind,
    message: &str,
    name: &Option<String>,
    at: Option<&str>,
    value: &Node<'_>,
    span: &Range<usize>,
    sources: &Sources,
) -> Option<String> {
    let node = value.get_ref().as_table().zip(at).and_then(|(table, at)| tree::get_path(table, at));
    if let (Some(key), Some(node), true) = (at, node, wants_list(message)) {
        let text = node.get_ref().as_str()?;
        let list = format!("[{}]", toml::Value::String(text.to_owned()));
        return Some(match sources.is_argument(span) {
            true => format!("a list of one is written {}", shell_quoted(&format!("{key}={list}"))),
            false => format!("a list of one is written `{key} = {list}`"),
        });
    }
    if message.starts_with("missing field") {
        return example_of(kind, name.as_deref()?, !sources.is_argument(span));
    }
    let keys = kind.keys();
    // `source.folder = "photos"` and `source = "photos"`: a table is meant, of whose keys one is a path.
    if let (Some(key), Some(text)) = (at, node.and_then(|node| node.get_ref().as_str())) {
        let within: Vec<&str> =
            keys.iter().map(|key| key.key.as_str()).filter(|other| is_within(other, key)).collect();
        let of_path = (kind.traits.key_of_path)(Path::new(text)).filter(|found| within.contains(found));
        let found = of_path.or(within.iter().copied().find(|other| other.ends_with(".path")));
        if let Some(found) = found {
            return Some(match sources.is_argument(span) {
                true => format!("did you mean {}?", shell_quoted(&format!("{found}={text}"))),
                false => format!("did you mean `{found} = {}`?", toml::Value::String(text.to_owned())),
            });
        }
    }
    let is_unknown = message.starts_with("unknown field") || message.starts_with("unexpected keys");
    let is_path = message.starts_with("unknown variant") && name.as_deref() == Some("path");
    if !is_unknown && !is_path {
        return None;
    }
    deeper_key(kind, name.as_deref()?, value)
}

/// How the kind's example writes a key, or the keys of a table; in a manifest text stands in quotes.
fn example_of(kind: &Kind, name: &str, in_manifest: bool) -> Option<String> {
    let of_key = |argument: &&&str| {
        argument.split_once('=').is_some_and(|(key, _)| key.split('.').any(|part| part == name))
    };
    let written = |argument: &&str| match argument.split_once('=') {
        Some((key, value)) if in_manifest => match value.parse::<toml::Value>() {
            Ok(_) => format!("`{key} = {value}`"),
            Err(_) => format!("`{key} = {}`", toml::Value::String(value.to_owned())),
        },
        _ => format!("`{}`", shell_quoted(argument)),
    };
    let written: Vec<String> = kind.example.iter().filter(of_key).map(written).collect();
    (!written.is_empty()).then(|| format!("for example {}", written.join(", ")))
}

/// True if `key` lies in the table `path`.
fn is_within(key: &str, path: &str) -> bool {
    key.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'))
}

/// The key of a stage's table of settings that ends in `name`, for those who leave the table's name out. Of the paths of data
/// sets, that of what lies there.
fn deeper_key(kind: &Kind, name: &str, value: &Node<'_>) -> Option<String> {
    let keys = kind.keys();
    let is_named = |key: &str| key.rsplit('.').next() == Some(name) && key.contains('.');
    let given = || {
        let table = value.get_ref().as_table()?;
        let node =
            tree::get_path(table, name).or_else(|| tree::get_path(table, &format!("source.{name}")))?;
        Some(node.get_ref().as_str()?.to_owned())
    };
    let named: Vec<&str> = keys.iter().map(|key| key.key.as_str()).filter(|key| is_named(key)).collect();
    let of_path = || (kind.traits.key_of_path)(Path::new(&given()?)).filter(|key| named.contains(key));
    let found = of_path().or(named.first().copied())?;
    Some(format!("did you mean `{found}`?"))
}
