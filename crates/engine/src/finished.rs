//! Finished stages of elsewhere that a stage reads by the path of their folder.

use std::path::Path;

use anyhow::bail;

use crate::cache::FingerprintCache;
use crate::input::{Artifact, Input, in_words};
use crate::kind::Registry;
use crate::progress::Progress;
use crate::record::Record;
use crate::staleness::{Reason, damage};
use crate::suggest::quoted;

/// What is wrong with the folder of a finished stage that must yield `needs`, and a way out; its files are not read.
pub fn wrong(
    folder: &Path,
    needs: Artifact,
    registry: &'static Registry,
) -> Option<(String, Option<String>)> {
    let shown = folder.display();
    let expected = format!("expected the folder of a finished stage that yields {needs}");
    if !folder.exists() {
        let help = "paths are relative to the directory `dcgan` is run from".to_owned();
        return Some((format!("{shown} does not exist; {expected}"), folder.is_relative().then_some(help)));
    }
    if !folder.is_dir() {
        return Some((format!("{shown} is a file; {expected}"), None));
    }
    match Record::read(folder) {
        Ok(Some(record)) => mismatch(folder, &record, needs, registry).map(|message| (message, None)),
        Ok(None) => Some((
            format!("{shown} holds no finished stage (no stage.json); {expected}"),
            within(folder, needs, registry),
        )),
        Err(error) => Some((format!("{error:#}; {expected}"), None)),
    }
}

/// Stages below a folder that would do, where a run's folder was named.
fn within(folder: &Path, needs: Artifact, registry: &'static Registry) -> Option<String> {
    let entries = folder.read_dir().ok()?.flatten().take(10_000).map(|entry| entry.path());
    let does = |path: &Path| {
        Record::read(path)
            .ok()
            .flatten()
            .is_some_and(|record| mismatch(path, &record, needs, registry).is_none())
    };
    let mut found: Vec<String> =
        entries.filter(|path| does(path)).map(|path| path.display().to_string()).collect();
    found.sort();
    (!found.is_empty()).then(|| format!("did you mean {}?", quoted(found.iter().map(String::as_str))))
}

/// What a finished stage yields instead of what is needed.
fn mismatch(folder: &Path, record: &Record, needs: Artifact, registry: &'static Registry) -> Option<String> {
    let (shown, kind) = (folder.display(), &record.kind);
    let Some(config) = registry.recorded(&record.config) else {
        return Some(format!(
            "{shown} was made by a stage of kind `{kind}` with settings that this version does not know"
        ));
    };
    // Of a stage that hands on what it read, by the records of that where they are still there.
    let of = |input: &Input| {
        let read = record.inputs.iter().find(|read| read.name == input.as_str());
        let read = read.and_then(|read| Record::read(&folder.join(&read.path)).ok().flatten());
        let config = read.and_then(|read| registry.recorded(&read.config));
        config.map(|config| config.stage().yields()).unwrap_or_default()
    };
    let yields = config.stage().yields_of(&of);
    if needs.is_among(&yields) {
        return None;
    }
    Some(format!("expected a stage that yields {needs}, but {shown} ({kind}) yields {}", in_words(&yields)))
}

/// Makes sure that a finished stage is as its record says, before another reads it.
///
/// # Errors
/// If it is not, naming what differs; if it does not yield `needs`; or if the run was interrupted.
pub fn check(
    folder: &Path,
    record: &Record,
    needs: Artifact,
    registry: &'static Registry,
    cache: &FingerprintCache,
    progress: &Progress,
) -> anyhow::Result<()> {
    if let Some(message) = mismatch(folder, record, needs, registry) {
        bail!(message);
    }
    let reasons = damage(folder, record, cache, progress)?;
    if reasons.is_empty() {
        return Ok(());
    }
    let reasons: Vec<String> = reasons.iter().map(Reason::to_string).collect();
    bail!("stage {} is not as its record says: {}; make it anew first", folder.display(), reasons.join("; "))
}
