//! Checks of a whole manifest, made before the first stage starts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use crate::finished;
use crate::graph::Graph;
use crate::kind::StageConfig;
use crate::manifest::{Manifest, Problem, StageDef, nearest, quoted, without_repetition};
use crate::outside::{External, Wrong, wrong_input};
use crate::stage::{Artifact, Facts, Input, in_words};

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
        for problem in stage.config.stage().problems() {
            let key = stage.places.named(&problem.key, &problem.message);
            let location = stage.places.of(&key);
            problems.push(Problem::new(location, problem.message).in_stage(&stage.id).at_key(key));
        }
    }
    check_goals(manifest, ids, problems);
    check_cycles(manifest, problems);
}

/// What is wrong with the files and folders outside the pipeline that the stages which are wanted read, and with what is known
/// of them and of the settings before anything runs: sizes and numbers of pictures.
pub fn outside(manifest: &Manifest) -> Vec<Problem> {
    let wanted = Graph::new(manifest).wanted(manifest);
    let mut problems = Vec::new();
    for stage in wanted.iter().map(|idx| &manifest.stages[*idx]) {
        for input in stage.config.stage().inputs().iter().filter(|input| input.name.is_path()) {
            if let Some((message, help)) =
                finished::wrong(input.name.as_path(), input.needs, manifest.registry)
            {
                let problem = Problem::new(stage.places.of(input.key), message);
                problems.push(problem.in_stage(&stage.id).at_key(input.key).with_help(help));
            }
        }
        for (key, (message, help)) in wrong_paths(&stage.config) {
            let problem = Problem::new(stage.places.of(key), message);
            problems.push(problem.in_stage(&stage.id).at_key(key).with_help(help));
        }
    }
    if problems.is_empty() {
        problems = misfits(manifest);
    }
    without_repetition(problems)
}

/// The same for a stage alone, whose inputs are paths.
pub(crate) fn outside_alone(config: &StageConfig) -> Vec<(String, Wrong)> {
    let stage = config.stage();
    let mut found: Vec<(String, Wrong)> =
        wrong_paths(config).into_iter().map(|(key, wrong)| (key.to_owned(), wrong)).collect();
    for input in stage.inputs() {
        found.extend(
            wrong_input(input.name.as_path(), input.needs).map(|wrong| (input.key.to_owned(), wrong)),
        );
    }
    if found.is_empty() {
        let of = |input: &Input| (config.registry().facts)(input.as_path());
        found.extend(stage.misfits(&of).into_iter().map(|problem| (problem.key, (problem.message, None))));
    }
    found
}

fn wrong_paths(config: &StageConfig) -> Vec<(&'static str, Wrong)> {
    let stage = config.stage();
    let wrong = |external: External| Some((stage.key_of(&external), external.wrong(stage)?));
    stage.external_paths().into_iter().filter_map(wrong).collect()
}

/// Folders outside the pipeline in which its own results would lie, to be read with the rest the next time, and its own stages
/// named by path, which would not be run first.
pub fn runs_among_inputs(manifest: &Manifest, runs: &Path) -> Vec<Problem> {
    let Some(runs_at) = whole(&runs.join(&manifest.name)) else { return Vec::new() };
    let mut problems = Vec::new();
    for stage in Graph::new(manifest).wanted(manifest).iter().map(|idx| &manifest.stages[*idx]) {
        for input in stage.config.stage().inputs().iter().filter(|input| input.name.is_path()) {
            if let Some(found) = whole(input.name.as_path())
                && found.starts_with(&runs_at)
            {
                let id = found.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let message = format!(
                    "{} is a stage of this manifest's own run; name it by its id",
                    input.name.as_str()
                );
                let problem = Problem::new(stage.places.of(input.key), message);
                let help = Some(format!("did you mean `{id}`?"));
                problems.push(problem.in_stage(&stage.id).at_key(input.key).with_help(help));
            }
        }
        for external in stage.config.stage().external_paths() {
            if external.path.is_dir() && whole(&external.path).is_some_and(|path| runs_at.starts_with(path)) {
                let message = format!(
                    "{} holds the folder of runs, {}: what comes out would be read as data the next time",
                    external.path.display(),
                    runs.display()
                );
                let help = Some(
                    "put the data in a folder of its own, or the runs elsewhere with `--runs`".to_owned(),
                );
                let problem = Problem::new(stage.places.of(external.key), message);
                problems.push(problem.in_stage(&stage.id).at_key(external.key).with_help(help));
            }
        }
    }
    without_repetition(problems)
}

/// Refuses a stage's folder that lies in what the stage reads, where it would be read as data the next time, or that holds what
/// it reads, which it would replace. `inputs` are the keys and paths.
///
/// # Errors
/// With the first such input.
pub fn out_among_inputs(out: &Path, inputs: &[(&str, PathBuf)]) -> anyhow::Result<()> {
    let Some(out_at) = whole(out) else { return Ok(()) };
    for (key, input) in inputs {
        let Some(input_at) = whole(input) else { continue };
        let (out, input) = (out.display(), input.display());
        if input_at.is_dir() && out_at.starts_with(&input_at) {
            anyhow::bail!(
                "{out} lies in {input}, which the stage reads (`{key}`): what comes out would be read as data the next time; \
                 give an `--out` elsewhere"
            );
        }
        if input_at.starts_with(&out_at) {
            anyhow::bail!(
                "{out} holds {input}, which the stage reads (`{key}`) and which would be replaced; give another `--out`"
            );
        }
    }
    Ok(())
}

/// The path without links and `..`. What does not exist yet lies in its nearest ancestor that does, also where a link leads to it.
fn whole(path: &Path) -> Option<PathBuf> {
    /// Links to what does not exist that are followed, one after the other.
    const MOST_LINKS: usize = 40;
    let mut path = std::path::absolute(path).ok()?;
    for _ in 0..MOST_LINKS {
        let (above, found) = path.ancestors().find_map(|above| {
            let link = above.is_symlink().then(|| std::fs::read_link(above).ok()).flatten();
            let found = above.canonicalize().ok().map(|found| (true, found));
            let beside = above.parent().unwrap_or(above);
            found.or(link.map(|to| (false, beside.join(to)))).map(|found| (above.to_path_buf(), found))
        })?;
        let (exists, mut found) = found;
        for part in path.strip_prefix(&above).ok()?.components() {
            match part {
                Component::ParentDir => _ = found.pop(),
                part => found.push(part),
            }
        }
        if exists {
            return Some(found);
        }
        path = found;
    }
    None
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
            let able = manifest.stages.iter().filter(|other| yields(other, input.needs));
            let mut able: Vec<&str> = able.map(|other| other.written.as_str()).collect();
            able.dedup();
            let mut message = format!("there is no stage `{name}`");
            if !able.is_empty() {
                message.push_str(&format!("; stages that yield {}: {}", input.needs, quoted(able.clone())));
            }
            problems.push(problem(message).with_help(nearest(name, able)));
        } else if let Some(other) = by_id.get(name)
            && !yields(other, input.needs)
        {
            let message = format!(
                "expected a stage that yields {}, but `{name}` ({}) yields {}",
                input.needs,
                other.config.kind().name,
                in_words(&other.config.stage().yields())
            );
            problems.push(problem(message));
        }
    }
}

fn yields(stage: &StageDef, artifact: Artifact) -> bool {
    stage.config.stage().yields().contains(&artifact)
}

/// What cannot fit in the stages of a manifest that are wanted, by what is known of them and of the settings before anything runs;
/// it is handed on from stage to stage.
fn misfits(manifest: &Manifest) -> Vec<Problem> {
    let graph = Graph::new(manifest);
    let Ok(order) = graph.order() else { return Vec::new() };
    let wanted = graph.wanted(manifest);
    let mut known: BTreeMap<&str, Facts> = BTreeMap::new();
    let mut problems = Vec::new();
    for idx in order.into_iter().filter(|idx| wanted.contains(idx)) {
        let def = &manifest.stages[idx];
        let stage = def.config.stage();
        let of = |input: &Input| {
            let of_folder = || (manifest.registry.facts)(input.as_path());
            known.get(input.as_str()).cloned().unwrap_or_else(of_folder)
        };
        for problem in stage.misfits(&of) {
            let place = def.places.of(&problem.key);
            problems.push(Problem::new(place, problem.message).in_stage(&def.id).at_key(problem.key));
        }
        let result = stage.facts(&of);
        known.insert(&def.id, result);
    }
    without_repetition(problems)
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
    let Err(cycle) = Graph::new(manifest).order() else { return };
    let mut ids: Vec<&str> = cycle.iter().map(|idx| manifest.stages[*idx].id.as_str()).collect();
    if let Some(first) = ids.first().copied() {
        ids.push(first);
        let place = manifest.stages[cycle[0]].places.of("");
        let message = format!("these stages wait for each other: {}", ids.join(" → "));
        problems.push(Problem::new(place, message));
    }
}
