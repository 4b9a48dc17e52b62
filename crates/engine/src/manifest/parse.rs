//! From texts to a [`Manifest`], collecting every problem on the way.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeValue, ValueDeserializer};

use super::check;
use super::config::deserialise;
use super::definition::{Manifest, Places, StageDef};
use super::explain::explain;
use super::matrix::{self, Cell, Expansion, Matrix, Written};
use super::overrides::{self, Override};
use super::problem::{Problem, Problems, is_same_or_within, named_in, without_repetition};
use super::sources::{Location, Sources};
use super::tree::{self, Table};
use super::vars::{Vars, may_be_variable, substitute};
use crate::cluster::Cluster;
use crate::kind::{Registry, StageConfig};
use crate::suggest::{nearest, quoted};

/// What a manifest may hold beside its stages' own tables.
pub(super) const TOP_KEYS: [&str; 7] = ["name", "description", "goals", "vars", "matrix", "cluster", "stage"];

/// Parses and checks the manifest in part 0 of the sources; the other parts are the values of `sets`.
pub(super) fn parse(
    path: &Path,
    sources: &Sources,
    sets: &[String],
    registry: &'static Registry,
) -> Result<Manifest, Problems> {
    let mut top = tree::parse_document(sources.part(0)).map_err(|error| Problems {
        list: vec![Problem::new(sources.locate(&error.span), error.message)],
        is_usage: false,
    })?;
    let mut problems = Vec::new();
    unknown_top_keys(&top, sources, &mut problems);
    let mut stages = take_stages(&mut top, sources, &mut problems);
    let mut vars = take_vars(&mut top, sources, &mut problems);
    let mut matrix = matrix::take(&mut top, &vars, sources, &mut problems);
    apply_sets(sets, sources, &mut vars, &mut matrix, &mut stages)?;
    let written: Vec<Written<'_, '_>> =
        stages.iter().map(|stage| Written { id: &stage.id, table: &stage.table }).collect();
    let cells = Expansion::new(&written, matrix, &vars, registry, sources, &mut problems);

    substitute(&mut top, &vars, sources, &mut problems);
    let name = take_string(&mut top, "name", sources, &mut problems);
    if name.is_none() && problems.iter().all(|problem| problem.key.as_deref() != Some("name")) {
        let message = "key `name` is missing: the pipeline's name, also that of its folder of runs";
        problems.push(Problem::new(sources.locate(&(0..0)), message));
    }
    let description = take_string(&mut top, "description", sources, &mut problems);
    let goals = cells.all_cells(take_goals(&top, sources, &mut problems));
    let cluster = take_cluster(&top, sources, &mut problems);
    let ids: Vec<String> = cells.all_cells(stages.iter().map(|stage| stage.id.clone()).collect());
    let stages: Vec<StageDef> = stages
        .iter()
        .flat_map(|stage| cells.cells(&stage.id).into_iter().map(move |cell| (stage, cell)))
        .filter_map(|(stage, cell)| stage_def(stage, &cell, &cells, &vars, registry, sources, &mut problems))
        .collect();
    let mut manifest = Manifest {
        name: name.unwrap_or_default(),
        description,
        goals,
        cluster,
        path: path.to_owned(),
        registry,
        stages,
        places: places(&top, 0..0, sources),
    };
    check::check(&manifest, &ids, &mut problems);
    leave_out_waiting(&mut manifest);
    if problems.is_empty() { Ok(manifest) } else { Err(sorted(problems)) }
}

/// A report does without what still waits for a person.
fn leave_out_waiting(manifest: &mut Manifest) {
    let waiting = manifest.stages.iter().filter(|stage| stage.config.stage().waits_for().is_some());
    let waiting: Vec<String> = waiting.map(|stage| stage.id.clone()).collect();
    manifest.stages.iter_mut().for_each(|stage| stage.config.leave_out(&waiting));
}

/// In the order of the manifest's lines. Problems of `--set` arguments alone are problems of usage.
fn sorted(list: Vec<Problem>) -> Problems {
    let mut list = without_repetition(list);
    list.sort_by_key(|problem| problem.location.line);
    let is_usage = list.iter().all(|problem| problem.location.line.is_none());
    Problems { list, is_usage }
}

/// Parses the configuration of one stage from `K=V` arguments.
pub(super) fn parse_arguments(
    kind: &str,
    sources: &Sources,
    arguments: &[String],
    registry: &'static Registry,
) -> Result<StageConfig, Problems> {
    let usage = |problem: Problem| Problems { list: vec![problem], is_usage: true };
    let rest = sources.part(arguments.len()).base;
    let (mut table, mut earlier) = (Table::new(), Vec::new());
    for (idx, argument) in arguments.iter().enumerate() {
        let change = overrides::parse(argument, sources, idx).map_err(|problem| usage(*problem))?;
        overrides::check_once(&change, &mut earlier, sources).map_err(|problem| usage(*problem))?;
        let path: Vec<&str> = change.key.split('.').collect();
        let location = sources.locate(&change.value.span());
        tree::set_path(&mut table, &path, change.value)
            .map_err(|wrong| usage(Problem::new(location, format!("key `{wrong}` is not a table"))))?;
    }
    let whole = Spanned::new(rest..rest, DeValue::Table(table));
    let mut problems = Vec::new();
    let config = deserialise(kind, rest..rest, whole, registry, sources, &mut problems);
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => Err(Problems { list: problems, is_usage: true }),
    }
}

/// Checks the ranges of a stage's settings, which arguments gave.
pub(super) fn check_arguments(
    config: &StageConfig,
    sources: &Sources,
    arguments: &[String],
) -> Result<(), Problems> {
    let problem = |problem: crate::stage::ConfigProblem| {
        let given = arguments.iter().filter_map(|argument| Some(argument.split_once('=')?.0.trim()));
        let key = named_in(&problem.message, &problem.key, given).unwrap_or(&problem.key).to_owned();
        Problem::new(place_of(&key, sources, arguments), problem.message).at_key(key)
    };
    let list: Vec<Problem> = config.problems().into_iter().map(problem).collect();
    if list.is_empty() { Ok(()) } else { Err(Problems { list, is_usage: true }) }
}

/// The argument that gave a key, or the command as a whole.
pub(crate) fn place_of(key: &str, sources: &Sources, arguments: &[String]) -> Location {
    let said = arguments.iter().position(|argument| {
        let given = argument.split_once('=').map_or("", |(key, _)| key);
        is_same_or_within(key, given) || is_same_or_within(given, key)
    });
    let place = sources.part(said.unwrap_or(arguments.len())).base;
    sources.locate(&(place..place))
}

/// A stage as written: its id, and its table without it.
#[derive(Clone)]
struct RawStage<'i> {
    id: String,
    table: Table<'i>,
    /// Of the id, or of the `[[stage]]` header where there is none.
    span: Range<usize>,
}

fn unknown_top_keys(top: &Table<'_>, sources: &Sources, problems: &mut Vec<Problem>) {
    for key in top.keys().filter(|key| !TOP_KEYS.contains(&key.get_ref().as_ref())) {
        let message = format!("unknown key `{}`; expected {}", key.get_ref(), quoted(TOP_KEYS));
        let help = nearest(key.get_ref(), TOP_KEYS);
        problems.push(Problem::new(sources.locate(&key.span()), message).with_help(help));
    }
}

fn take_stages<'i>(top: &mut Table<'i>, sources: &Sources, problems: &mut Vec<Problem>) -> Vec<RawStage<'i>> {
    let Some(node) = top.remove("stage") else {
        problems.push(Problem::new(sources.locate(&(0..0)), "there is no `[[stage]]`"));
        return Vec::new();
    };
    let location = sources.locate(&node.span());
    let DeValue::Array(items) = node.into_inner() else {
        problems.push(Problem::new(location, "`stage` must be written `[[stage]]`, once for each stage"));
        return Vec::new();
    };
    let mut stages = Vec::new();
    for item in items {
        let span = item.span();
        let DeValue::Table(mut table) = item.into_inner() else {
            problems.push(Problem::new(sources.locate(&span), "a stage must be a table"));
            continue;
        };
        let id = table.remove("id");
        let id_span = id.as_ref().map_or(span, Spanned::span);
        match id.map(Spanned::into_inner) {
            Some(DeValue::String(id)) => {
                stages.push(RawStage { id: id.into_owned(), table, span: id_span });
            }
            Some(other) => {
                let message = format!("`id` must be a string, found {}", other.type_str());
                problems.push(Problem::new(sources.locate(&id_span), message));
            }
            None => problems.push(Problem::new(sources.locate(&id_span), "the stage has no `id`")),
        }
    }
    stages
}

fn take_vars<'i>(top: &mut Table<'i>, sources: &Sources, problems: &mut Vec<Problem>) -> Vars<'i> {
    let Some(node) = top.remove("vars") else { return Vars::new() };
    let location = sources.locate(&node.span());
    let DeValue::Table(table) = node.into_inner() else {
        problems.push(Problem::new(location, "`vars` must be a table"));
        return Vars::new();
    };
    let mut vars = Vars::new();
    for (key, value) in table {
        if !may_be_variable(value.get_ref()) {
            let message = format!(
                "a variable is a string, a number, true or false, found {}",
                value.get_ref().type_str()
            );
            problems
                .push(Problem::new(sources.locate(&value.span()), message).at_key(key.get_ref().as_ref()));
        } else if value.get_ref().as_str().is_some_and(|text| text.contains("${")) {
            let message = "a variable cannot be made of other variables";
            problems
                .push(Problem::new(sources.locate(&value.span()), message).at_key(key.get_ref().as_ref()));
        } else {
            vars.insert(key.into_inner().into_owned(), value);
        }
    }
    vars
}

fn apply_sets<'i>(
    sets: &[String],
    sources: &'i Sources,
    vars: &mut Vars<'i>,
    matrix: &mut Matrix<'i>,
    stages: &mut [RawStage<'i>],
) -> Result<(), Problems> {
    let ids: Vec<String> = stages.iter().map(|stage| stage.id.clone()).collect();
    let (mut list, mut earlier) = (Vec::new(), Vec::new());
    for (idx, argument) in sets.iter().enumerate() {
        let applied = overrides::parse(argument, sources, idx + 1).and_then(|change| {
            overrides::check_once(&change, &mut earlier, sources)?;
            apply_set(change, sources, vars, matrix, stages, &ids)
        });
        list.extend(applied.err().map(|problem| *problem));
    }
    if list.is_empty() { Ok(()) } else { Err(Problems { list, is_usage: true }) }
}

fn apply_set<'i>(
    change: Override<'i>,
    sources: &'i Sources,
    vars: &mut Vars<'i>,
    matrix: &mut Matrix<'i>,
    stages: &mut [RawStage<'i>],
    ids: &[String],
) -> Result<(), Box<Problem>> {
    let key = change.key.clone();
    let Some((id, rest)) = key.split_once('.') else {
        return overrides::set_var(vars, matrix, change, ids, sources);
    };
    match stages.iter_mut().find(|stage| stage.id == id) {
        Some(stage) => overrides::set_key(&mut stage.table, rest, change, sources),
        None => {
            let message = format!(
                "the manifest has no stage `{id}`; it has {}",
                quoted(ids.iter().map(String::as_str))
            );
            let help = nearest(id, ids.iter().map(String::as_str));
            Err(Problem::new(sources.locate(&change.value.span()), message).with_help(help).into())
        }
    }
}

fn take_string(
    top: &mut Table<'_>,
    key: &str,
    sources: &Sources,
    problems: &mut Vec<Problem>,
) -> Option<String> {
    let node = top.get(key)?;
    match node.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        other => {
            let message = format!("expected a string, found {}", other.type_str());
            problems.push(Problem::new(sources.locate(&node.span()), message).at_key(key));
            None
        }
    }
}

fn take_goals(top: &Table<'_>, sources: &Sources, problems: &mut Vec<Problem>) -> Vec<String> {
    let Some(node) = top.get("goals") else { return Vec::new() };
    match Vec::<String>::deserialize(ValueDeserializer::from(node.clone())) {
        Ok(goals) => goals,
        Err(error) => {
            let location = sources.locate(&node.span());
            problems.push(Problem::new(location, explain(error.message()).message).at_key("goals"));
            Vec::new()
        }
    }
}

fn take_cluster(top: &Table<'_>, sources: &Sources, problems: &mut Vec<Problem>) -> Option<Cluster> {
    let node = top.get("cluster")?;
    let whole = sources.locate(&node.span());
    match Cluster::deserialize(ValueDeserializer::from(node.clone())) {
        Ok(cluster) => {
            let table = match node.get_ref() {
                DeValue::Table(table) => places(table, node.span(), sources),
                _ => Places { whole, keys: BTreeMap::new() },
            };
            problems.extend(cluster.problems().into_iter().map(|(key, message)| {
                Problem::new(table.of(&key), message).at_key(format!("cluster.{key}"))
            }));
            Some(cluster)
        }
        Err(error) => {
            let location = error.span().map_or(whole, |span| sources.locate(&span));
            problems.push(Problem::new(location, explain(error.message()).message).at_key("cluster"));
            None
        }
    }
}

fn stage_def<'i>(
    raw: &RawStage<'i>,
    cell: &Cell,
    cells: &Expansion<'i>,
    vars: &Vars<'i>,
    registry: &'static Registry,
    sources: &Sources,
    problems: &mut Vec<Problem>,
) -> Option<StageDef> {
    let RawStage { id: written, mut table, span } = raw.clone();
    let id = cells.id(&written, cell);
    let substituting = problems.len();
    substitute(&mut table, &cells.with_cell(vars, cell), sources, problems);
    cells.rewrite_inputs(&mut table, cell);
    let mut entries = table.into_iter();
    let (Some((kind, value)), None) = (entries.next(), entries.next()) else {
        let message =
            format!("a stage has an `id` and one table named after its kind: {}", quoted(registry.names()));
        problems.push(Problem::new(sources.locate(&span), message).in_stage(&id));
        return None;
    };
    let places = match value.get_ref() {
        DeValue::Table(config) => places(config, span, sources),
        _ => Places { whole: sources.locate(&span), keys: BTreeMap::new() },
    };
    let mut found = Vec::new();
    let config = deserialise(kind.get_ref(), kind.span(), value, registry, sources, &mut found);
    // What is wrong with a variable has been said; that its place holds no number need not be.
    found.retain(|problem| problems[substituting..].iter().all(|other| other.location != problem.location));
    problems.extend(found);
    for problem in &mut problems[substituting..] {
        problem.stage = Some(id.clone());
    }
    Some(StageDef { id, written, cell: cells.values(cell), config: config?, places })
}

fn places(table: &Table<'_>, whole: Range<usize>, sources: &Sources) -> Places {
    let spans = tree::key_spans(table).into_iter();
    let keys = spans.map(|(path, key, value)| (path, sources.locate_key(&key, &value))).collect();
    Places { whole: sources.locate(&whole), keys }
}
