//! What a stage reads, with fingerprints.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::finished;
use crate::memo::Memo;
use crate::progress::Progress;
use crate::record::{self, InputRecord, Record};
use crate::stages::{Input, InputRef, StageConfig};

/// Where inputs are found.
#[derive(Debug, Clone, Copy)]
pub enum Location<'a> {
    /// Inputs are ids, whose folders lie in this folder of a run, or paths.
    Run(&'a Path),
    /// Inputs are paths.
    Paths,
}

impl Location<'_> {
    /// The folder of an input, from the directory the program runs in.
    pub fn folder(&self, input: &Input) -> PathBuf {
        match self {
            Self::Run(run) => input.folder(Some(run)),
            Self::Paths => input.folder(None),
        }
    }

    /// The folder of an input as a record keeps it.
    fn recorded(&self, input: &Input) -> anyhow::Result<PathBuf> {
        Ok(match self {
            // Relative, so that a folder of runs can be moved.
            Self::Run(_) if !input.is_path() => Path::new("..").join(input.as_str()),
            Self::Run(_) | Self::Paths => std::path::absolute(input.as_path())?,
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
    memo: &Memo,
    progress: &Progress,
) -> anyhow::Result<Vec<InputRecord>> {
    let stage = config.stage();
    let mut records = Vec::new();
    let mut folders = Vec::new();
    for input in stage.inputs() {
        let folder = location.folder(input.name);
        let is_by_path = matches!(location, Location::Paths) || input.name.is_path();
        let fingerprint = match is_by_path {
            true => fingerprint_by_path(&folder, &input, location, memo, progress)?,
            false => folder_fingerprint(&folder, memo, progress)?,
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
        let fingerprint = memo.fingerprint(&external.path, progress)?;
        records.push(InputRecord {
            key: external.key.to_owned(),
            name: external.path.display().to_string(),
            path: std::path::absolute(&external.path)?,
            is_stage: false,
            fingerprint,
        });
    }
    if config.info().reads_records {
        for (folder, record) in upstream(&folders)? {
            let fingerprint = memo.fingerprint(&folder.join(record::FILE), progress)?;
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
    memo: &Memo,
    progress: &Progress,
) -> anyhow::Result<String> {
    match Record::read(folder)? {
        Some(record) => finished::check(folder, &record, input.needs, memo, progress)?,
        // A stage alone may read what no stage has made.
        None if matches!(location, Location::Paths) => {}
        None => bail!(finished::wrong(folder, input.needs).map_or_else(String::new, |(message, _)| message)),
    }
    folder_fingerprint(folder, memo, progress)
}

/// The fingerprint of a stage's outputs as its record has it, or of a folder without a record.
fn folder_fingerprint(folder: &Path, memo: &Memo, progress: &Progress) -> anyhow::Result<String> {
    if !folder.is_dir() {
        bail!("{} does not exist; expected the folder of a complete stage", folder.display());
    }
    match Record::read(folder)? {
        Some(record) => Ok(record.fingerprint()),
        None => memo.fingerprint(folder, progress),
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
