//! What a shell completes beside the verbs and options: ids of stages, kinds, keys and their values.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap_complete::CompletionCandidate;
use dcgan_engine::keys::Key;
use dcgan_engine::manifest::Manifest;
use dcgan_stages::KINDS;

/// The words of the command line that is being completed: the shell hands them over behind `--`.
fn words() -> Vec<String> {
    let words = std::env::args_os().skip_while(|word| word != "--").skip(1);
    words.map(|word| word.to_string_lossy().into_owned()).collect()
}

/// The manifest that the command line names, if it is there and has no problems.
fn manifest() -> Option<Manifest> {
    let is_one = |word: &String| word.ends_with(".toml") && Path::new(word).is_file();
    Manifest::load(Path::new(&words().into_iter().find(is_one)?), &[], &KINDS).ok()
}

fn beginning(
    current: &OsStr,
    all: impl IntoIterator<Item = CompletionCandidate>,
) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    all.into_iter().filter(|one| one.get_value().to_string_lossy().starts_with(&*current)).collect()
}

fn candidate(value: impl Into<OsString>, help: &str) -> CompletionCandidate {
    let first = help.split_inclusive(['.', ';']).next().unwrap_or_default().trim_end_matches(['.', ';']);
    CompletionCandidate::new(value).help((!first.is_empty()).then(|| first.to_owned().into()))
}

/// Ids of the manifest's stages.
pub(crate) fn ids(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(manifest) = manifest() else { return Vec::new() };
    let of = |stage: &dcgan_engine::manifest::StageDef| candidate(&stage.id, stage.config.kind().summary);
    beginning(current, manifest.stages.iter().map(of))
}

/// Names of the stage kinds.
pub(crate) fn kinds(current: &OsStr) -> Vec<CompletionCandidate> {
    beginning(current, KINDS.kinds.iter().map(|kind| candidate(kind.name, kind.summary)))
}

/// `STAGE.KEY=VALUE` of the manifest's stages, for `--set`.
pub(crate) fn settings(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(manifest) = manifest() else { return Vec::new() };
    let mut all = Vec::new();
    for stage in &manifest.stages {
        let before = format!("{}.", stage.written);
        all.extend(pairs(&before, stage.config.kind().keys(), current));
    }
    beginning(current, all)
}

/// `KEY=VALUE` of the kind that stands behind `dcgan stage`.
pub(crate) fn arguments(current: &OsStr) -> Vec<CompletionCandidate> {
    let words = words();
    let kind = words.iter().skip_while(|word| *word != "stage").nth(1);
    let Some(kind) = kind.and_then(|kind| KINDS.kind(kind)) else { return Vec::new() };
    beginning(current, pairs("", kind.keys(), current))
}

/// Each key with `=` behind it; with its values, where they can be listed and the key has been typed.
fn pairs(before: &str, keys: &[Key], current: &OsStr) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    let mut all = Vec::new();
    for key in keys {
        let start = format!("{before}{}=", key.key);
        match current.starts_with(&start) {
            true => {
                all.extend(key.values().into_iter().map(|value| candidate(format!("{start}{value}"), "")))
            }
            false => all.push(candidate(start, &key.meaning)),
        }
    }
    all
}
