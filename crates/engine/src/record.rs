//! `stage.json`: what a complete stage was made from, and what came out.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use dcgan_files::regular;
use fs_err as fs;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cache::FingerprintCache;
use crate::disk::write_whole;
use crate::fingerprint::{combine, files_under, path_of};
use crate::kind::Registry;
use crate::progress::Progress;
use crate::seal::{Edited, is_intact, seal};

/// The file by which earlier versions of this program marked a folder in work, `STAGE.partial`.
pub(crate) const FINGERPRINT: &str = ".fingerprint";
/// Name of the record's file in a stage's folder.
pub const FILE: &str = "stage.json";

/// Everything known about a stage that ran to its end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// The stage's id; for a stage run alone, its folder's name.
    pub id: String,
    /// The values of the matrix that it is for, in the order of the axes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cell: Vec<(String, String)>,
    /// The stage kind.
    pub kind: String,
    /// The kind's version; raised when its output changes for the same input.
    pub stage_version: u32,
    /// Resolved configuration, defaults and variables filled in.
    pub config: Value,
    /// What it read.
    pub inputs: Vec<InputRecord>,
    /// What it wrote, by path relative to its folder.
    pub outputs: BTreeMap<String, OutputRecord>,
    /// The seed of everything random in it.
    pub seed: Option<u64>,
    /// Where it ran.
    pub environment: Environment,
    /// When it started, RFC 3339, UTC.
    pub started: String,
    /// Wall time; of a resumed stage, since it was resumed.
    pub seconds: f64,
    /// Time of all processors together, where no other stage ran beside it and the stage was not resumed.
    #[serde(default)]
    pub cpu_seconds: Option<f64>,
    /// Most memory the process held while it ran, in bytes; see [`Usage`](crate::usage::Usage).
    #[serde(default)]
    pub peak_memory_bytes: Option<u64>,
    /// Figures that the stage reports.
    pub metrics: Value,
    /// In what the stage departed from the paper.
    pub differences: Vec<String>,
    /// What was not compared with the paper, and why.
    #[serde(default = "never_compared")]
    pub not_checked: Vec<String>,
    /// What was compared and is the paper's.
    #[serde(default)]
    pub equal: Vec<String>,
}

/// Of a record that an earlier program wrote.
fn never_compared() -> Vec<String> {
    vec!["the stage ran with an earlier program, which did not compare its settings".to_owned()]
}

/// One thing a stage read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputRecord {
    /// Dotted key of the configuration that names it.
    pub key: String,
    /// The stage's id, or the path.
    pub name: String,
    /// The folder or file; that of another stage is relative to this stage's folder.
    pub path: PathBuf,
    /// True for another stage's folder.
    pub is_stage: bool,
    /// BLAKE3 of its content.
    pub fingerprint: String,
}

/// One file a stage wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputRecord {
    /// Its size.
    pub bytes: u64,
    /// BLAKE3 of its content.
    pub blake3: String,
}

/// The machine and program a stage ran on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// The program's version.
    pub program_version: String,
    /// `cpu` or `cuda:N`.
    pub device: String,
    /// Worker threads on the CPU.
    pub threads: usize,
    /// Processor name, where the system tells.
    pub processor: Option<String>,
    /// Operating system and architecture.
    pub system: String,
}

impl Environment {
    /// This machine.
    pub fn here(device: &str) -> Self {
        let processor = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        });
        Self {
            program_version: env!("CARGO_PKG_VERSION").to_owned(),
            device: device.to_owned(),
            threads: rayon::current_num_threads(),
            processor,
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        }
    }
}

impl Environment {
    /// All of it in one line.
    pub fn line(&self) -> String {
        let processor = self.processor.as_deref().unwrap_or("unknown processor");
        format!(
            "dcgan {} on {}, {} threads, {processor}, {}",
            self.program_version, self.device, self.threads, self.system
        )
    }
}

impl Record {
    /// Reads the record in a stage's folder; none if the stage is not complete.
    ///
    /// # Errors
    /// If there is a record and it cannot be read; [`Edited`] if it is not as the stage wrote it.
    pub fn read(folder: &Path) -> anyhow::Result<Option<Self>> {
        /// A record has some 150 bytes for each file of its stage.
        const MAX_BYTES: u64 = 1 << 30;
        let path = folder.join(FILE);
        let bytes = match regular::read(&path, MAX_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let not_ours = || format!("{}: not a record of this program's", path.display());
        let mut value: Value = serde_json::from_slice(&bytes).with_context(not_ours)?;
        if !is_intact(&mut value) {
            return Err(Edited { path }.into());
        }
        Ok(Some(serde_json::from_value(value).with_context(not_ours)?))
    }

    /// Writes the record into a stage's folder, whole or not at all: it is what says that the folder is complete.
    ///
    /// `work` is a folder of ours on the same file system, for the file that is renamed.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, folder: &Path, work: &Path) -> anyhow::Result<()> {
        write_whole(&folder.join(FILE), &seal(self)?, work)
    }

    /// The id as the manifest writes it, the same for all cells of a matrix.
    pub fn written(&self) -> &str {
        let is_cell = !self.cell.is_empty();
        self.id.split_once('@').filter(|_| is_cell).map_or(&self.id, |(written, _)| written)
    }

    /// The files in a stage's folder that the stage did not make, hidden ones among them.
    ///
    /// # Errors
    /// If the folder cannot be listed.
    pub fn foreign_files(&self, folder: &Path, registry: &Registry) -> anyhow::Result<Vec<String>> {
        let kind = registry.kind(&self.kind);
        let is_ours = |file: &String| {
            file == FILE
                || self.outputs.contains_key(file)
                || is_incidental(file)
                || kind.is_some_and(|kind| kind.is_working_file(file))
        };
        Ok(files_under(folder)?.into_iter().filter(|file| !is_ours(file)).collect())
    }

    /// One fingerprint of all outputs, by which stages that read them know them.
    pub fn fingerprint(&self) -> String {
        combine(self.outputs.iter().map(|(path, output)| (path.as_str(), output.blake3.as_str())))
    }
}

/// True for files that a system's file browser leaves behind, and the mark of a stage in work of an earlier version of this program.
fn is_incidental(file: &str) -> bool {
    [".DS_Store", "Thumbs.db", FINGERPRINT].contains(&file.rsplit('/').next().unwrap_or(file))
}

/// Fingerprints the files in a stage's folder; its record does not count.
///
/// # Errors
/// If a file cannot be read.
pub fn outputs(
    folder: &Path,
    cache: &FingerprintCache,
    progress: &Progress,
) -> anyhow::Result<BTreeMap<String, OutputRecord>> {
    let files = files_under(folder)?;
    fingerprints(folder, files.into_iter().filter(|file| file != FILE), cache, progress)
}

/// Fingerprints some files within a folder, as far as they are there.
///
/// # Errors
/// If a file cannot be read.
pub fn outputs_at(
    folder: &Path,
    paths: &[PathBuf],
    cache: &FingerprintCache,
    progress: &Progress,
) -> anyhow::Result<BTreeMap<String, OutputRecord>> {
    let files = paths.iter().filter(|path| folder.join(path).is_file());
    fingerprints(folder, files.map(|path| dcgan_files::key::of_path(path)), cache, progress)
}

fn fingerprints(
    folder: &Path,
    files: impl Iterator<Item = String>,
    cache: &FingerprintCache,
    progress: &Progress,
) -> anyhow::Result<BTreeMap<String, OutputRecord>> {
    let mut outputs = BTreeMap::new();
    for file in files {
        let path = path_of(folder, &file);
        let bytes = fs::metadata(&path)?.len();
        let blake3 = cache.fingerprint(&path, progress)?;
        outputs.insert(file, OutputRecord { bytes, blake3 });
    }
    Ok(outputs)
}
