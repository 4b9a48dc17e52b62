//! Checks of a manifest as it stands.

use std::collections::{BTreeMap, BTreeSet};

use super::definition::{Manifest, StageDef};
use super::problem::Problem;
use crate::input::{Artifact, Input, in_words};
use crate::suggest::{nearest, quoted};

/// Looks at ids, inputs, ranges, goals and cycles. `ids` are those of all stages, also of the ones whose
/// configuration could not be read.
pub(crate) fn check(manifest: &Manifest, ids: &[String], problems: &mut Vec<Problem>) {
    check_name(manifest, problems);
    check_ids(manifest, ids, problems);
    let known: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
    let by_id: BTreeMap<&str, &StageDef> =
        manifest.stages.iter().map(|stage| (stage.id.as_str(), stage)).collect();
    for stage in &manifest.stages {
        check_inputs(manifest, stage, &known, &by_id, problems);
        for problem in stage.config.problems() {
            let key = stage.places.named(&problem.key, &problem.message);
            let location = stage.places.of(&key);
            problems.push(Problem::new(location, problem.message).in_stage(&stage.id).at_key(key));
        }
    }
    check_goals(manifest, ids, problems);
    check_cycles(manifest, problems);
}

/// True for a name that is also a good folder name on every system: a letter or digit, then letters, digits, `-`, `_`.
pub fn is_well_formed(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

/// What such a name is made of.
pub const WELL_FORMED: &str = "expected a letter or digit, then letters, digits, `-` and `_`";

fn check_name(manifest: &Manifest, problems: &mut Vec<Problem>) {
    if !manifest.name.is_empty() && !is_well_formed(&manifest.name) {
        let message = format!("`{}` is not a name; {WELL_FORMED}", manifest.name);
        problems.push(Problem::new(manifest.places.of("name"), message).at_key("name"));
    }
}

fn check_ids(manifest: &Manifest, ids: &[String], problems: &mut Vec<Problem>) {
    let mut n_times: BTreeMap<&str, usize> = BTreeMap::new();
    ids.iter().for_each(|id| *n_times.entry(id).or_default() += 1);
    let mut seen = BTreeSet::new();
    for stage in &manifest.stages {
        if !is_well_formed(&stage.written) {
            let message = format!("`{}` is not an id; {WELL_FORMED}", stage.written);
            problems.push(Problem::new(stage.places.of(""), message));
        }
        let repeated = n_times.get(stage.id.as_str()).is_some_and(|n| *n > 1);
        if repeated && !seen.insert(&stage.id) {
            let message = format!("the id `{}` is used by another stage before", stage.written);
            problems.push(Problem::new(stage.places.of(""), message));
        }
    }
}

/// `ids` are those of all stages, `by_id` the stages whose configuration could be read.
fn check_inputs(
    manifest: &Manifest,
    stage: &StageDef,
    ids: &BTreeSet<&str>,
    by_id: &BTreeMap<&str, &StageDef>,
    problems: &mut Vec<Problem>,
) {
    for input in stage.config.stage().inputs() {
        let name = input.name.as_str();
        let problem = |message: String| {
            Problem::new(stage.places.of(input.key), message).in_stage(&stage.id).at_key(input.key)
        };
        if input.name.is_path() {
            // What lies there is looked at before a run.
            continue;
        }
        if !ids.contains(name) {
            let able = manifest.stages.iter().filter(|other| input.needs.is_among(&yields(other, by_id, 0)));
            let mut able: Vec<&str> = able.map(|other| other.written.as_str()).collect();
            able.dedup();
            let mut message = format!("there is no stage `{name}`");
            if !able.is_empty() {
                message.push_str(&format!("; stages that yield {}: {}", input.needs, quoted(able.clone())));
            }
            problems.push(problem(message).with_help(nearest(name, able)));
        } else if let Some(other) = by_id.get(name)
            && let yields = yields(other, by_id, 0)
            && !input.needs.is_among(&yields)
        {
            let message = format!(
                "expected a stage that yields {}, but `{name}` ({}) yields {}",
                input.needs,
                other.config.kind().name,
                in_words(&yields)
            );
            problems.push(problem(message));
        }
    }
}

/// What a stage yields, by the stages that it reads; `depth` of which lie behind it, which ends a cycle.
fn yields(stage: &StageDef, by_id: &BTreeMap<&str, &StageDef>, depth: usize) -> Vec<Artifact> {
    let of = |input: &Input| match by_id.get(input.as_str()) {
        Some(other) if !input.is_path() && depth < by_id.len() => yields(other, by_id, depth + 1),
        _ => Vec::new(),
    };
    stage.config.stage().yields_of(&of)
}

fn check_goals(manifest: &Manifest, ids: &[String], problems: &mut Vec<Problem>) {
    for goal in manifest.goals.iter().filter(|goal| !ids.contains(goal)) {
        let help = nearest(goal, ids.iter().map(String::as_str));
        let location = manifest.places.of("goals");
        problems.push(
            Problem::new(location, format!("there is no stage `{goal}`")).at_key("goals").with_help(help),
        );
    }
}

fn check_cycles(manifest: &Manifest, problems: &mut Vec<Problem>) {
    let Err(cycle) = manifest.graph().order() else { return };
    let mut ids: Vec<&str> = cycle.iter().map(|idx| manifest.stages[*idx].id.as_str()).collect();
    if let Some(first) = ids.first().copied() {
        ids.push(first);
        let place = manifest.stages[cycle[0]].places.of("");
        let message = format!("these stages wait for each other: {}", ids.join(" → "));
        problems.push(Problem::new(place, message));
    }
}
