//! Two runs, or two stages, side by side: what they were made with and what came out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::bail;
use serde::Serialize;
use serde_json::{Value, json};

use crate::figures::figures;
use crate::kind::Registry;
use crate::record::Record;
use crate::staleness::flatten;
use crate::suggest::quoted;

/// In what two runs differ.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// The two folders.
    pub folders: [PathBuf; 2],
    /// Stages that only the first has.
    pub only_first: Vec<String>,
    /// Stages that only the second has.
    pub only_second: Vec<String>,
    /// Stages that differ.
    pub differing: Vec<StageComparison>,
    /// Stages that were made alike and came out alike.
    pub alike: Vec<String>,
}

/// In what a stage of two runs differs.
#[derive(Debug, Clone, Serialize)]
pub struct StageComparison {
    /// Its id; that of both, where two stages' folders are compared.
    pub id: String,
    /// Parameters, by dotted key.
    pub parameters: Vec<Change>,
    /// Kind, version, device, threads, processor, program.
    pub making: Vec<Change>,
    /// Metrics, by dotted key.
    pub metrics: Vec<Change>,
    /// Output files that are not in both with the same content.
    pub outputs: Vec<String>,
}

/// Two values; none where there is none.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Dotted key.
    pub key: String,
    /// In the first.
    pub first: Option<Value>,
    /// In the second.
    pub second: Option<Value>,
}

/// Compares two folders of runs of a manifest, or two stages' folders.
///
/// # Errors
/// If a folder holds no stage, or a record cannot be read.
pub fn compare(first: &Path, second: &Path, registry: &Registry) -> anyhow::Result<Comparison> {
    for folder in [first, second] {
        if !folder.is_dir() {
            let found = if folder.exists() { "is a file" } else { "does not exist" };
            bail!(
                "{} {found}; expected the folder of a run or of a stage{}",
                folder.display(),
                runs_near(folder)
            );
        }
    }
    let (ours, theirs) = match (Record::read(first)?, Record::read(second)?) {
        (Some(a), Some(b)) => {
            let id = if a.id == b.id { a.id.clone() } else { format!("{} / {}", a.id, b.id) };
            (BTreeMap::from([(id.clone(), a)]), BTreeMap::from([(id, b)]))
        }
        (None, None) => (records(first)?, records(second)?),
        _ => bail!(
            "expected two runs or two stages; one of {} and {} is a stage's folder, the other is not",
            first.display(),
            second.display()
        ),
    };
    let only = |of: &BTreeMap<String, Record>, other: &BTreeMap<String, Record>| {
        of.keys().filter(|id| !other.contains_key(*id)).cloned().collect()
    };
    let (mut differing, mut alike) = (Vec::new(), Vec::new());
    for (id, a) in &ours {
        let Some(b) = theirs.get(id) else { continue };
        match stage(id, a, b, registry)? {
            Some(found) => differing.push(found),
            None => alike.push(id.clone()),
        }
    }
    Ok(Comparison {
        folders: [first.to_owned(), second.to_owned()],
        only_first: only(&ours, &theirs),
        only_second: only(&theirs, &ours),
        differing,
        alike,
    })
}

/// What could have been meant: the runs in the folder in which one was looked for, or else in `runs`.
fn runs_near(folder: &Path) -> String {
    let runs_in = |folder: &Path| -> Vec<String> {
        let entries = folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
        let is_stage = |path: PathBuf| path.join(crate::record::FILE).is_file();
        let holds_stage = |path: &PathBuf| {
            is_stage(path.clone())
                || path.read_dir().into_iter().flatten().flatten().any(|entry| is_stage(entry.path()))
        };
        let mut found: Vec<String> =
            entries.filter(holds_stage).map(|path| path.display().to_string()).collect();
        found.sort();
        found
    };
    let own =
        folder.parent().filter(|parent| !parent.as_os_str().is_empty()).map(runs_in).unwrap_or_default();
    let found = if own.is_empty() { runs_in(Path::new("runs")) } else { own };
    match found.as_slice() {
        [] => String::new(),
        found => format!(", such as {}", quoted(found.iter().take(8).map(String::as_str))),
    }
}

fn records(run: &Path) -> anyhow::Result<BTreeMap<String, Record>> {
    let mut found = BTreeMap::new();
    for entry in fs_err::read_dir(run)? {
        let folder = entry?.path();
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(record) = Record::read(&folder)? {
            found.insert(name, record);
        }
    }
    if found.is_empty() {
        bail!(
            "{}: expected the folder of a run or of a stage, found no stage in it (`dcgan status MANIFEST` names those of \
             versions that are kept)",
            run.display()
        );
    }
    Ok(found)
}

/// None if both are alike.
fn stage(id: &str, a: &Record, b: &Record, registry: &Registry) -> anyhow::Result<Option<StageComparison>> {
    let making = |record: &Record| -> anyhow::Result<Value> {
        let environment = serde_json::to_value(&record.environment)?;
        Ok(json!({"kind": record.kind, "stage_version": record.stage_version, "environment": environment}))
    };
    let inner = |record: &Record| record.config.get(&record.kind).cloned().unwrap_or(Value::Null);
    let kind = registry.kind(&a.kind);
    let holds_times = |name: &str| kind.is_some_and(|kind| kind.is_time(name));
    let outputs: BTreeSet<&String> = a.outputs.keys().chain(b.outputs.keys()).collect();
    let has_changed = |file: &&String| a.outputs.get(*file) != b.outputs.get(*file) && !holds_times(file);
    let found = StageComparison {
        id: id.to_owned(),
        parameters: changes(&inner(a), &inner(b)),
        making: changes(&making(a)?, &making(b)?),
        metrics: changes(&a.metrics, &b.metrics)
            .into_iter()
            .filter(|change| !is_time(&change.key) && !holds_times(&change.key))
            .collect(),
        outputs: outputs.into_iter().filter(has_changed).cloned().collect(),
    };
    let is_alike =
        [&found.parameters, &found.making, &found.metrics].iter().all(|changes| changes.is_empty());
    Ok((!is_alike || !found.outputs.is_empty()).then_some(found))
}

/// Two runs are not different for having taken longer.
fn is_time(key: &str) -> bool {
    let is_time = |part: &str| part.ends_with("seconds") || part.ends_with("_per_s");
    key.split(['.', '[']).any(is_time)
}

fn changes(first: &Value, second: &Value) -> Vec<Change> {
    let (first, second) = (flatten(first), flatten(second));
    let keys: BTreeSet<&String> = first.keys().chain(second.keys()).collect();
    keys.into_iter()
        .filter(|key| first.get(*key) != second.get(*key))
        .map(|key| Change {
            key: key.clone(),
            first: first.get(key).cloned(),
            second: second.get(key).cloned(),
        })
        .collect()
}

/// For people: a paragraph for each stage that differs.
pub fn text(comparison: &Comparison) -> String {
    let [first, second] = &comparison.folders;
    let mut text = format!("{} → {}\n", first.display(), second.display());
    for stage in &comparison.differing {
        let _ = writeln!(text, "\n{}", stage.id);
        for (what, changes) in
            [("parameter", &stage.parameters), ("made with", &stage.making), ("metric", &stage.metrics)]
        {
            for change in changes {
                let _ = writeln!(text, "  {what:<9}  {}", line(change, what == "metric"));
            }
        }
        match stage.outputs.as_slice() {
            [] => {}
            [file] => _ = writeln!(text, "  output     {file}"),
            [file, rest @ ..] => _ = writeln!(text, "  outputs    {file} and {} more", rest.len()),
        }
    }
    for (folder, only) in [(first, &comparison.only_first), (second, &comparison.only_second)] {
        if !only.is_empty() {
            let _ = writeln!(text, "\nonly in {}: {}", folder.display(), only.join(", "));
        }
    }
    if !comparison.alike.is_empty() {
        let _ = writeln!(text, "\nalike: {}", comparison.alike.join(", "));
    }
    text
}

/// A change, of something measured also as a share.
fn line(change: &Change, is_measured: bool) -> String {
    let show = |value: &Option<Value>| match value {
        None => "(none)".to_owned(),
        Some(value) if is_measured => figures(value).to_string(),
        Some(value) => value.to_string(),
    };
    let numbers =
        change.first.as_ref().and_then(Value::as_f64).zip(change.second.as_ref().and_then(Value::as_f64));
    let share = match numbers {
        Some((first, second)) if first != 0.0 && is_measured => {
            format!("  ({:+.1} %)", 100.0 * (second - first) / first.abs())
        }
        _ => String::new(),
    };
    format!("{}: {} → {}{share}", change.key, show(&change.first), show(&change.second))
}
