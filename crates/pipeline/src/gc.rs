//! What lies in the folder of runs and no manifest needs: stages that were renamed, cells that left the matrix, what
//! killed runs left behind. Only what a stage made is ever deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use fs_err as fs;
use serde::Serialize;

use crate::folder::{FINGERPRINT, size};
use crate::lock::{self, Lock};
use crate::manifest::Manifest;
use crate::progress::Progress;
use crate::record::{self, Record};
use crate::space;

/// Something that could be deleted.
#[derive(Debug, Clone, Serialize)]
pub struct Garbage {
    /// The folder or file.
    pub path: PathBuf,
    /// What it is.
    pub what: What,
    /// How much room it takes.
    pub bytes: u64,
    /// Files in it that no stage made; they stay.
    pub foreign: Vec<String>,
}

/// A kind of garbage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A complete stage that is in no manifest.
    Stage,
    /// What a stage had done when it was stopped, and that no run would take up.
    Partial,
    /// The output that a newer one has replaced.
    Replaced,
    /// A file of a run that was killed.
    Temporary,
}

/// What was found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Found {
    /// What could be deleted.
    pub garbage: Vec<Garbage>,
    /// Folders of runs of other manifests, which are left alone.
    pub others: Vec<PathBuf>,
}

/// What the manifests need of one folder: ids, and whether each is resumable.
type Needed = BTreeMap<String, bool>;

/// Looks through the folder of runs; nothing is changed. With `all`, the runs of manifests that are not given count as
/// needed by none.
///
/// # Errors
/// If a folder cannot be listed.
pub fn find(manifests: &[Manifest], runs: &Path, all: bool) -> anyhow::Result<Found> {
    let mut needed: BTreeMap<&str, Needed> = BTreeMap::new();
    for manifest in manifests {
        let stages = manifest.stages.iter().map(|stage| (stage.id.clone(), stage.config.info().is_resumable));
        needed.entry(manifest.name.as_str()).or_default().extend(stages);
    }
    let mut found = Found::default();
    for (name, path) in entries(runs)? {
        if path.is_dir() {
            match needed.get(name.as_str()) {
                Some(needed) => scan(&path, needed, &mut found.garbage)?,
                None if !is_run(&path) => {}
                None if all => scan(&path, &Needed::new(), &mut found.garbage)?,
                None => found.others.push(path),
            }
        } else if is_left_over(&name, &path) {
            let bytes = fs::metadata(&path)?.len();
            found.garbage.push(Garbage { path, what: What::Temporary, bytes, foreign: Vec::new() });
        }
    }
    let read = read_by_path(manifests);
    found.garbage.retain(|garbage| !fs::canonicalize(&garbage.path).is_ok_and(|path| read.contains(&path)));
    Ok(found)
}

/// The folders of stages that others read by path; they are needed, whatever manifest they are of.
fn read_by_path(manifests: &[Manifest]) -> BTreeSet<PathBuf> {
    let inputs = manifests
        .iter()
        .flat_map(|manifest| &manifest.stages)
        .flat_map(|stage| stage.config.stage().inputs());
    let paths = inputs.filter(|input| input.name.is_path());
    paths.filter_map(|input| fs::canonicalize(input.name.as_path()).ok()).collect()
}

/// The entries of a folder with their names, sorted; links are left alone.
fn entries(folder: &Path) -> anyhow::Result<Vec<(String, PathBuf)>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_type()?.is_symlink() {
            entries.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
        }
    }
    entries.sort();
    Ok(entries)
}

/// True for a folder in which a stage's folder lies.
fn is_run(folder: &Path) -> bool {
    let is_stage = |path: &Path| path.join(record::FILE).is_file() || path.join(FINGERPRINT).is_file();
    entries(folder).is_ok_and(|entries| entries.iter().any(|(_, path)| is_stage(path)))
}

/// True for a file in the folder of runs that only a killed run can have left.
fn is_left_over(name: &str, path: &Path) -> bool {
    if !name.starts_with('.') {
        return false;
    }
    if name.ends_with(".lock") {
        return lock::is_left_over(path);
    }
    let pid = name.strip_suffix(".tmp").and_then(|rest| rest.rsplit('.').next()?.parse::<u32>().ok());
    // Elsewhere than on Linux it is not known who lives: such a file stays.
    pid.is_some_and(|pid| Path::new("/proc/self").exists() && !Path::new(&format!("/proc/{pid}")).exists())
}

fn scan(run: &Path, needed: &Needed, garbage: &mut Vec<Garbage>) -> anyhow::Result<()> {
    for (name, path) in entries(run)? {
        if !path.is_dir() {
            continue;
        }
        if let Some(id) = name.strip_suffix(".partial") {
            let is_ours = path.join(FINGERPRINT).is_file() || path.join(record::FILE).is_file();
            let resumes = needed.get(id) == Some(&true);
            // Complete, with nothing in its place: the next run puts it there.
            let is_whole =
                path.join(record::FILE).is_file() && !run.join(id).exists() && needed.contains_key(id);
            if is_ours && !resumes && !is_whole {
                garbage.push(Garbage { bytes: size(&path)?, path, what: What::Partial, foreign: Vec::new() });
            }
        } else if let Some(id) = name.strip_suffix(".old") {
            // Without the new one it is the only one, and the next run puts it back.
            let is_replaced = run.join(id).exists() || !needed.contains_key(id);
            if is_replaced {
                garbage.extend(complete(path, What::Replaced)?);
            }
        } else if !needed.contains_key(&name) {
            garbage.extend(complete(path, What::Stage)?);
        }
    }
    Ok(())
}

/// A folder that a complete stage's record tells of; none if it has no record that can be read.
fn complete(path: PathBuf, what: What) -> anyhow::Result<Option<Garbage>> {
    let Ok(Some(record)) = Record::read(&path) else { return Ok(None) };
    Ok(Some(Garbage { bytes: size(&path)?, foreign: record.foreign_files(&path)?, path, what }))
}

/// Deletes what was found. Files that no stage made stay, and so do the folders they lie in.
///
/// # Errors
/// If a run is going on in one of the folders, or something cannot be deleted.
pub fn delete(garbage: &[Garbage], progress: &Progress) -> anyhow::Result<()> {
    let folders: BTreeSet<&Path> = garbage
        .iter()
        .filter(|garbage| garbage.what != What::Temporary)
        .filter_map(|garbage| garbage.path.parent())
        .collect();
    let _locks = folders.iter().map(|run| Lock::take(run, progress)).collect::<anyhow::Result<Vec<_>>>()?;
    for garbage in garbage {
        match garbage.what {
            // Our lock is on it now, and is removed with it.
            What::Temporary if !garbage.path.exists() => {}
            What::Temporary => _ = fs::remove_file(&garbage.path),
            What::Partial => fs::remove_dir_all(&garbage.path)?,
            What::Stage | What::Replaced => delete_outputs(&garbage.path)?,
        }
    }
    // A folder of runs without any stage is of no use; one with other things in it cannot be removed and stays.
    folders.iter().for_each(|run| _ = std::fs::remove_dir(run));
    Ok(())
}

/// Deletes the files a record names, the record last: killed midway, it is still known what the rest is.
fn delete_outputs(folder: &Path) -> anyhow::Result<()> {
    let Some(record) = Record::read(folder)? else { return Ok(()) };
    let root = fs::canonicalize(folder)?;
    for file in record.outputs.keys() {
        let path = folder.join(file);
        let is_plain = Path::new(file).components().all(|part| matches!(part, Component::Normal(_)));
        // A record can be tampered with, and a folder in it be a link to elsewhere.
        let parent = path.parent().and_then(|parent| fs::canonicalize(parent).ok());
        if is_plain
            && parent.is_some_and(|parent| parent.starts_with(&root))
            && path.symlink_metadata().is_ok()
        {
            fs::remove_file(&path)?;
        }
    }
    for (name, path) in entries(folder)? {
        if name.starts_with('.') && path.is_file() {
            fs::remove_file(path)?;
        }
    }
    fs::remove_file(folder.join(record::FILE))?;
    remove_empty(folder);
    Ok(())
}

/// Removes a folder and those in it, as far as they are empty.
fn remove_empty(folder: &Path) {
    let inner = entries(folder).unwrap_or_default();
    inner.iter().filter(|(_, path)| path.is_dir()).for_each(|(_, path)| remove_empty(path));
    // It fails where something is left, which is what is wanted.
    let _ = std::fs::remove_dir(folder);
}

/// For people: a line for each, and the sum.
pub fn text(found: &Found, is_deleted: bool) -> String {
    let mut text = String::new();
    for garbage in &found.garbage {
        let what = match garbage.what {
            What::Stage => "stage of no manifest",
            What::Partial => "interrupted, not to be resumed",
            What::Replaced => "replaced by a newer one",
            What::Temporary => "left by a killed run",
        };
        text.push_str(&format!("{:>9}  {}  ({what})\n", space::bytes(garbage.bytes), garbage.path.display()));
        for file in &garbage.foreign {
            text.push_str(&format!("           stays: {file}, which no stage made\n"));
        }
    }
    let total: u64 = found.garbage.iter().map(|garbage| garbage.bytes).sum();
    text.push_str(&match (found.garbage.len(), is_deleted) {
        (0, _) => "nothing that the manifests do not need\n".to_owned(),
        (_, true) => format!("{:>9}  deleted\n", space::bytes(total)),
        (_, false) => format!("{:>9}  in all; `--delete` deletes it\n", space::bytes(total)),
    });
    for other in &found.others {
        text.push_str(&format!(
            "left alone: {}, of no manifest given (`--all` counts it too)\n",
            other.display()
        ));
    }
    text
}
