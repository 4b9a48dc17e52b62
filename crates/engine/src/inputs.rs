//! What a stage reads, with fingerprints.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::cache::FingerprintCache;
use crate::finished;
use crate::kind::{Registry, StageConfig};
use crate::progress::Progress;
use crate::record::{self, InputRecord, Record};
use crate::stage::{Input, InputRef};

/// Where inputs are found.
#[derive(Debug, Clone, Copy)]
pub enum Location<'a> {
    /// Inputs are ids, whose folders lie in this folder of a run, or paths.
    Run(&'a Path),
    /// The same, where the stages of some ids will be put back from these folders first.
    Planned(&'a Path, &'a BTreeMap<String, PathBuf>),
    /// Inputs are paths.
    Paths,
}

impl Location<'_> {
    /// The folder of an input, from the directory the program runs in.
    pub fn folder(&self, input: &Input) -> PathBuf {
        match self {
            Self::Run(run) => input.folder(Some(run)),
            Self::Planned(run, restored) => {
                restored.get(input.as_str()).cloned().unwrap_or_else(|| input.folder(Some(run)))
            }
            Self::Paths => input.folder(None),
        }
    }

    /// The folder of a run, where inputs lie in one.
    pub fn run_folder(&self) -> Option<&Path> {
        match self {
            Self::Run(run) | Self::Planned(run, _) => Some(run),
            Self::Paths => None,
        }
    }

    /// The folder of an input as a record keeps it.
    fn recorded(&self, input: &Input) -> anyhow::Result<PathBuf> {
        Ok(match self {
            // Relative, so that a folder of runs can be moved.
            Self::Run(_) | Self::Planned(..) if !input.is_path() => Path::new("..").join(input.as_str()),
            Self::Run(_) | Self::Planned(..) | Self::Paths => std::path::absolute(input.as_path())?,
        })
    }
}

/// Fingerprints everything a stage reads.
///
/// # Errors
/// If an input is not there or cannot be read, or the run was interrupted.
pub fn gather(
    config: &StageConfig,
    location: Location<'_>,
    cache: &FingerprintCache,
    progress: &Progress,
) -> anyhow::Result<Vec<InputRecord>> {
    let stage = config.stage();
    let mut records = Vec::new();
    let mut folders = Vec::new();
    for input in stage.inputs() {
        let folder = location.folder(input.name);
        let is_by_path = matches!(location, Location::Paths) || input.name.is_path();
        let fingerprint = match is_by_path {
            true => fingerprint_by_path(&folder, &input, location, config.registry(), cache, progress)?,
            false => folder_fingerprint(&folder, cache, progress)?,
        };
        folders.push(folder);
        records.push(InputRecord {
            key: input.key.to_owned(),
            name: input.name.as_str().to_owned(),
            path: location.recorded(input.name)?,
            is_stage: true,
            fingerprint,
        });
    }
    for external in stage.external_paths() {
        let fingerprint = cache.fingerprint(&external.path, progress)?;
        records.push(InputRecord {
            key: external.key.to_owned(),
            name: external.path.display().to_string(),
            path: std::path::absolute(&external.path)?,
            is_stage: false,
            fingerprint,
        });
    }
    if config.kind().traits.reads_records {
        let found = match location {
            Location::Planned(run, restored) => planned_upstream(run, restored, &stage.inputs())?,
            Location::Run(_) | Location::Paths => upstream(&folders)?,
        };
        for (folder, record) in found {
            let fingerprint = cache.fingerprint(&folder.join(record::FILE), progress)?;
            records.push(InputRecord {
                key: "record".to_owned(),
                name: record.id,
                path: std::path::absolute(folder.join(record::FILE))?,
                is_stage: false,
                fingerprint,
            });
        }
    }
    Ok(records)
}

/// The fingerprint of a finished stage that no run looks after: it is compared with its record first.
fn fingerprint_by_path(
    folder: &Path,
    input: &InputRef<'_>,
    location: Location<'_>,
    registry: &'static Registry,
    cache: &FingerprintCache,
    progress: &Progress,
) -> anyhow::Result<String> {
    match Record::read(folder)? {
        Some(record) => finished::check(folder, &record, input.needs, registry, cache, progress)?,
        // A stage alone may read what no stage has made.
        None if matches!(location, Location::Paths) => {}
        None => bail!(
            finished::wrong(folder, input.needs, registry).map_or_else(String::new, |(message, _)| message)
        ),
    }
    folder_fingerprint(folder, cache, progress)
}

/// The fingerprint of a stage's outputs as its record has it, or of a folder without a record.
fn folder_fingerprint(
    folder: &Path,
    cache: &FingerprintCache,
    progress: &Progress,
) -> anyhow::Result<String> {
    if !folder.is_dir() {
        bail!("{} does not exist; expected the folder of a complete stage", folder.display());
    }
    match Record::read(folder)? {
        Some(record) => Ok(record.fingerprint()),
        None => cache.fingerprint(folder, progress),
    }
}

/// The records of stages and of all stages before them, each once, those that came first first.
///
/// # Errors
/// If a record cannot be read.
pub fn upstream(folders: &[PathBuf]) -> anyhow::Result<Vec<(PathBuf, Record)>> {
    fn visit(
        folder: &Path,
        seen: &mut BTreeSet<PathBuf>,
        found: &mut Vec<(PathBuf, Record)>,
    ) -> anyhow::Result<()> {
        let Ok(folder) = fs_err::canonicalize(folder) else { return Ok(()) };
        if !seen.insert(folder.clone()) {
            return Ok(());
        }
        let read = Record::read(&folder).with_context(|| format!("{}", folder.display()))?;
        let Some(record) = read else { return Ok(()) };
        for input in record.inputs.iter().filter(|input| input.is_stage) {
            visit(&folder.join(&input.path), seen, found)?;
        }
        found.push((folder, record));
        Ok(())
    }
    let (mut seen, mut found) = (BTreeSet::new(), Vec::new());
    for folder in folders {
        visit(folder, &mut seen, &mut found)?;
    }
    Ok(found)
}

/// [`upstream`] of a stage of a run in which some stages will be put back first; by ids, for their folders are not where they
/// will be.
fn planned_upstream(
    run: &Path,
    restored: &BTreeMap<String, PathBuf>,
    inputs: &[InputRef<'_>],
) -> anyhow::Result<Vec<(PathBuf, Record)>> {
    fn visit(
        id: &str,
        at: &dyn Fn(&str) -> PathBuf,
        seen: &mut BTreeSet<String>,
        found: &mut Vec<(PathBuf, Record)>,
    ) -> anyhow::Result<()> {
        if !seen.insert(id.to_owned()) {
            return Ok(());
        }
        let folder = at(id);
        let Some(record) = Record::read(&folder)? else { return Ok(()) };
        for input in record.inputs.iter().filter(|input| input.is_stage) {
            match input.path.is_absolute() {
                // A finished stage of elsewhere.
                true => found.extend(upstream(std::slice::from_ref(&input.path))?),
                false => visit(&input.name, at, seen, found)?,
            }
        }
        found.push((folder, record));
        Ok(())
    }
    let at = |id: &str| restored.get(id).cloned().unwrap_or_else(|| run.join(id));
    let (mut seen, mut found) = (BTreeSet::new(), Vec::new());
    for input in inputs {
        match input.name.is_path() {
            true => found.extend(upstream(&[input.name.folder(None)])?),
            false => visit(input.name.as_str(), &at, &mut seen, &mut found)?,
        }
    }
    Ok(found)
}
