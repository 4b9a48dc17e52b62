//! What is checked before the first stage starts beside the manifest itself: what lies outside of it, and whether results would lie
//! among the data.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use crate::external::{External, Wrong};
use crate::finished;
use crate::input::Input;
use crate::kind::StageConfig;
use crate::manifest::{Manifest, Problem, Problems, place_of, sources_of, without_repetition};
use crate::outside::{wrong_input, wrong_path};
use crate::stage::Facts;

/// What is wrong with the files and folders outside the pipeline that the stages which are wanted read, and with what is known
/// of them and of the settings before anything runs: sizes and numbers of pictures.
pub fn outside(manifest: &Manifest) -> Vec<Problem> {
    let wanted = manifest.wanted();
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

/// Checks what a configuration read from `arguments` names outside of them: that paths are there and are what is meant, and
/// that sizes and numbers of pictures fit.
///
/// # Errors
/// [`Problems`].
pub fn check_outside(config: &StageConfig, arguments: &[String]) -> anyhow::Result<()> {
    let sources = sources_of(config.kind().name, arguments);
    let problem = |(key, (message, help)): (String, Wrong)| {
        let place = place_of(&key, &sources, arguments);
        Problem::new(place, message).at_key(key).with_help(help)
    };
    let list: Vec<Problem> = outside_alone(config).into_iter().map(problem).collect();
    if list.is_empty() { Ok(()) } else { Err(Problems { list, is_usage: false }.into()) }
}

/// [`outside`] for a stage alone, whose inputs are paths.
fn outside_alone(config: &StageConfig) -> Vec<(String, Wrong)> {
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
    let wrong = |external: External| Some((stage.key_of(&external), wrong_path(&external, stage)?));
    stage.external_paths().into_iter().filter_map(wrong).collect()
}

/// Folders outside the pipeline in which its own results would lie, to be read with the rest the next time, and its own stages
/// named by path, which would not be run first.
pub fn runs_among_inputs(manifest: &Manifest, runs: &Path) -> Vec<Problem> {
    let Some(runs_at) = whole(&runs.join(&manifest.name)) else { return Vec::new() };
    let mut problems = Vec::new();
    for stage in manifest.wanted().iter().map(|idx| &manifest.stages[*idx]) {
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

/// What cannot fit in the stages of a manifest that are wanted, by what is known of them and of the settings before anything runs;
/// it is handed on from stage to stage.
fn misfits(manifest: &Manifest) -> Vec<Problem> {
    let Ok(order) = manifest.graph().order() else { return Vec::new() };
    let wanted = manifest.wanted();
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
