//! What lies in the folder of runs and no manifest needs: stages that were renamed, cells that left the matrix, what
//! killed runs left behind. Only what a stage made is ever deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use fs_err as fs;
use serde::Serialize;

use crate::disk::size;
use crate::fingerprint::path_of;
use crate::folder::Target;
use crate::hidden::{self, Hidden};
use crate::kept::{KeptVersion, Limits, in_folder};
use crate::kind::Registry;
use crate::lock::{self, Lock};
use crate::manifest::Manifest;
use crate::progress::Progress;
use crate::record::{self, FINGERPRINT, Record};
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
    /// What an earlier version of this program had half done of a stage, and that no run would take up.
    Partial,
    /// What a run that was killed was writing.
    Temporary,
    /// A complete version of a stage that another one has replaced.
    Kept,
    /// What an interrupted run has half done.
    HalfDone,
}

/// What was found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Found {
    /// What could be deleted.
    pub garbage: Vec<Garbage>,
    /// Folders of runs of other manifests, which are left alone.
    pub others: Vec<PathBuf>,
    /// Versions of stages that are kept, and stay.
    pub kept: Vec<KeptVersion>,
}

/// What the manifests need of one folder: ids, and whether each is resumable.
type Needed = BTreeMap<String, bool>;

/// What to look through.
#[derive(Debug)]
pub struct Search<'a> {
    /// The manifests whose stages are needed.
    pub manifests: &'a [Manifest],
    /// Folders in which stages were run alone; only what is kept in them is looked at.
    pub folders: &'a [PathBuf],
    /// The folder of runs.
    pub runs: &'a Path,
    /// Count the runs of manifests that are not given as needed by none.
    pub all: bool,
    /// Which kept versions to free.
    pub limits: Limits,
    /// The kinds of stages that there are.
    pub registry: &'static Registry,
}

/// Looks through folders; nothing is changed.
///
/// # Errors
/// If a folder cannot be listed.
pub fn find(search: &Search<'_>) -> anyhow::Result<Found> {
    let Search { manifests, folders, runs, all, limits, registry } = search;
    let mut needed: BTreeMap<&str, Needed> = BTreeMap::new();
    for manifest in *manifests {
        let stages =
            manifest.stages.iter().map(|stage| (stage.id.clone(), stage.config.kind().traits.is_resumable));
        needed.entry(manifest.name.as_str()).or_default().extend(stages);
    }
    let mut found = Found::default();
    for folder in folders.iter().map(PathBuf::as_path).chain([*runs]) {
        if let Some(hidden) = Hidden::found(folder) {
            left_over(&hidden, &mut found.garbage)?;
        }
        found.kept.extend(in_folder(folder));
    }
    let is_shown = |(name, path): &(String, PathBuf)| name != hidden::NAME && path.is_dir();
    for (name, path) in entries(runs)?.into_iter().filter(is_shown) {
        let nothing = Needed::new();
        let needed = match needed.get(name.as_str()) {
            Some(needed) => needed,
            None if !is_run(&path) => continue,
            None if *all => &nothing,
            None => {
                found.others.push(path);
                continue;
            }
        };
        scan(&path, needed, registry, &mut found.garbage)?;
        found.kept.extend(in_folder(&path));
    }
    let read = read_by_path(manifests);
    found.garbage.retain(|garbage| !fs::canonicalize(&garbage.path).is_ok_and(|path| read.contains(&path)));
    let freed = limits.take(&mut found.kept, SystemTime::now());
    found.garbage.extend(freed.into_iter().map(|version| Garbage::of_version(version, registry)));
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

impl Garbage {
    fn of_version(version: KeptVersion, registry: &Registry) -> Self {
        let what = if version.is_complete { What::Kept } else { What::HalfDone };
        let record = Record::read(&version.path).ok().flatten();
        let foreign =
            record.and_then(|record| record.foreign_files(&version.path, registry).ok()).unwrap_or_default();
        Self { path: version.path, what, bytes: version.bytes, foreign }
    }
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
    let is_stage = |path: &Path| path.join(record::FILE).is_file() || is_marked(path);
    Hidden::found(folder).is_some()
        || entries(folder).is_ok_and(|entries| entries.iter().any(|(_, path)| is_stage(path)))
}

/// True for a folder in work of an earlier version of this program: it holds the hash of what it was being made from.
fn is_marked(folder: &Path) -> bool {
    let is_hash = |text: String| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    fs::read_to_string(folder.join(FINGERPRINT)).is_ok_and(is_hash)
}

/// What killed runs were writing in a hidden folder: files of processes that are gone, and what was being made of stages that
/// nobody works on.
fn left_over(hidden: &Hidden, garbage: &mut Vec<Garbage>) -> anyhow::Result<()> {
    for (name, path) in entries(hidden.root())? {
        if path.is_file() && is_of_dead_process(&name) {
            let bytes = fs::metadata(&path)?.len();
            garbage.push(Garbage { path, what: What::Temporary, bytes, foreign: Vec::new() });
        }
    }
    for (_, path) in entries(&hidden.root().join("locks"))? {
        if lock::is_left_over(&path) {
            garbage.push(Garbage { path, what: What::Temporary, bytes: 0, foreign: Vec::new() });
        }
    }
    for (name, path) in entries(&hidden.root().join("work"))? {
        if !lock::is_held(&hidden.lock_of(name.as_ref())) {
            garbage.push(Garbage { bytes: size(&path)?, path, what: What::Temporary, foreign: Vec::new() });
        }
    }
    Ok(())
}

/// True for the name of a temporary file of a process that has ended.
fn is_of_dead_process(name: &str) -> bool {
    let pid = name.strip_suffix(".tmp").and_then(|rest| rest.rsplit('.').next()?.parse::<u32>().ok());
    // Elsewhere than on Linux it is not known who lives: such a file stays.
    pid.is_some_and(|pid| Path::new("/proc/self").exists() && !Path::new(&format!("/proc/{pid}")).exists())
}

fn scan(run: &Path, needed: &Needed, registry: &Registry, garbage: &mut Vec<Garbage>) -> anyhow::Result<()> {
    if let Some(hidden) = Hidden::found(run) {
        left_over(&hidden, garbage)?;
    }
    for (name, path) in entries(run)?.into_iter().filter(|(name, path)| name != hidden::NAME && path.is_dir())
    {
        if let Some(id) = name.strip_suffix(".partial").filter(|_| is_marked(&path)) {
            let resumes = needed.get(id) == Some(&true);
            if !resumes {
                garbage.push(Garbage { bytes: size(&path)?, path, what: What::Partial, foreign: Vec::new() });
            }
        } else if !needed.contains_key(&name) {
            garbage.extend(complete(path, What::Stage, registry)?);
        }
    }
    Ok(())
}

/// A folder that a complete stage's record tells of; none if it has no record that can be read.
fn complete(path: PathBuf, what: What, registry: &Registry) -> anyhow::Result<Option<Garbage>> {
    let Ok(Some(record)) = Record::read(&path) else { return Ok(None) };
    Ok(Some(Garbage { bytes: size(&path)?, foreign: record.foreign_files(&path, registry)?, path, what }))
}

/// Deletes what was found. Files that no stage made stay, and so do the folders they lie in. What is deleted is known to be
/// ours: a folder by the record in it, the mark of an earlier version, or that it lies in a hidden folder with our mark.
///
/// # Errors
/// If a run is going on in one of the folders, or something cannot be deleted.
pub fn delete(found: &Found, progress: &Progress) -> anyhow::Result<()> {
    let runs: BTreeSet<&Path> = found.garbage.iter().filter_map(Garbage::run).collect();
    let locks = runs.iter().map(|run| Lock::of_folder(run, progress)).collect::<anyhow::Result<Vec<_>>>()?;
    let stages: BTreeMap<PathBuf, Target> = found.garbage.iter().filter_map(Garbage::stage).collect();
    let stages = stages.values().map(|stage| Lock::of_stage(stage, progress));
    let stages = stages.collect::<anyhow::Result<Vec<_>>>()?;
    for garbage in &found.garbage {
        match garbage.what {
            What::Temporary if garbage.is_held() => {}
            What::Temporary if garbage.path.is_dir() => fs::remove_dir_all(&garbage.path)?,
            What::Temporary => _ = fs::remove_file(&garbage.path),
            What::Partial => fs::remove_dir_all(&garbage.path)?,
            What::Stage => delete_outputs(&garbage.path)?,
            What::Kept => {
                delete_outputs(&garbage.path)?;
                let _ = garbage.path.parent().map(std::fs::remove_dir);
            }
            What::HalfDone => garbage.target().map_or(Ok(()), |target| target.remove(&garbage.path))?,
        }
    }
    drop((locks, stages));
    runs.into_iter().for_each(tidy);
    Ok(())
}

/// Removes a folder of a run in which there is nothing but an empty hidden folder of ours.
fn tidy(run: &Path) {
    let has_only = |folder: &Path, name: &str| {
        entries(folder).is_ok_and(|entries| entries.len() == 1 && entries[0].0 == name)
    };
    let Some(hidden) = Hidden::found(run).filter(|_| has_only(run, hidden::NAME)) else { return };
    // Each of these fails where something is left, which is what is wanted.
    remove_empty(hidden.root());
    if has_only(hidden.root(), hidden::MARK) {
        let _ = std::fs::remove_file(hidden.root().join(hidden::MARK));
        let _ = std::fs::remove_dir(hidden.root());
        let _ = std::fs::remove_dir(run);
    }
}

impl Garbage {
    /// True for what is being written of a stage that somebody works on by now.
    fn is_held(&self) -> bool {
        let is_place = |place: &&Path| place.ends_with("work") || place.ends_with("locks");
        let work = self.path.parent().filter(is_place);
        let hidden = work.and_then(Path::parent).and_then(Path::parent).map(Hidden::of);
        hidden.zip(self.path.file_name()).is_some_and(|(hidden, name)| lock::is_held(&hidden.lock_of(name)))
    }

    /// The folder of the run that it lies in; none for a temporary file.
    fn run(&self) -> Option<&Path> {
        match self.what {
            What::Temporary | What::Kept | What::HalfDone => {
                self.path.ancestors().find(|above| above.ends_with(hidden::NAME))?.parent()
            }
            What::Stage | What::Partial => self.path.parent(),
        }
    }

    /// The stage that it is a version of.
    fn target(&self) -> Option<Target> {
        let is_version = matches!(self.what, What::Kept | What::HalfDone);
        is_version.then(|| Some(Target::inside(self.run()?, self.path.parent()?.file_name()?)))?
    }

    /// The same by its folder.
    fn stage(&self) -> Option<(PathBuf, Target)> {
        self.target().map(|target| (target.folder().to_owned(), target))
    }
}

/// Deletes the files a record names, the record last: killed midway, it is still known what the rest is.
fn delete_outputs(folder: &Path) -> anyhow::Result<()> {
    let Some(record) = Record::read(folder)? else { return Ok(()) };
    let root = fs::canonicalize(folder)?;
    for file in record.outputs.keys() {
        let path = path_of(folder, file);
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
            What::Temporary => "left by a killed run",
            What::Kept => "kept version",
            What::HalfDone => "half done",
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
    for version in &found.kept {
        text.push_str(&format!(
            "stays: {}, {} ({})\n",
            version.path.display(),
            version.what(),
            space::bytes(version.bytes)
        ));
    }
    if !found.kept.is_empty() {
        let total = space::bytes(found.kept.iter().map(|version| version.bytes).sum());
        text.push_str(&format!(
            "versions that are kept take {total}; `--older-than 30d`, `--keep 1` or `--max-size 20GB` frees some\n"
        ));
    }
    for other in &found.others {
        text.push_str(&format!(
            "left alone: {}, of no manifest given (`--all` counts it too)\n",
            other.display()
        ));
    }
    text
}
