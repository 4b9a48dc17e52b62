//! Manifests: one TOML file a pipeline.
//!
//! ```toml
//! name = "svhn"
//!
//! [vars]
//! data = "data"
//!
//! [[stage]]
//! id = "digits"
//! [stage.import_images.source.svhn]
//! path = "${data}/svhn/train_32x32.mat"
//!
//! [[stage]]
//! id = "model"
//! [stage.train_gan]
//! images = "digits"
//! ```
//!
//! A variable with several values stands in `[matrix]` instead of `[vars]`; the stages that depend on it are then there
//! once for each value.
//!
//! Each `[[stage]]` has an `id` and exactly one table named after its kind. [`Manifest::load`] reads the file, applies
//! `--set` arguments, fills in variables, and checks everything that can be checked without running a stage.

mod explain;
mod matrix;
mod overrides;
mod parse;
mod problem;
mod schema;
mod sources;
mod tree;
mod vars;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

pub use problem::nearest as suggestion;
pub use problem::{Problem, Problems};
pub(crate) use problem::{nearest, quoted, without_repetition};
pub use schema::schema;
pub use sources::Location;

use crate::stages::StageConfig;

/// A manifest that has been read and checked.
#[derive(Debug)]
pub struct Manifest {
    /// The pipeline's name, and that of its folder of runs.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Ids of the stages that are wanted; stages that none of them needs are left out. Empty: all.
    pub goals: Vec<String>,
    /// The file it was read from.
    pub path: PathBuf,
    /// The stages, in the order written.
    pub stages: Vec<StageDef>,
    /// Where `name`, `goals` … stand.
    pub(crate) places: Places,
}

/// One stage of a manifest.
#[derive(Debug)]
pub struct StageDef {
    /// Its id, also the name of its folder; of a cell of the matrix `train@seed=1`.
    pub id: String,
    /// Its id as written, the same for all its cells.
    pub written: String,
    /// The values of the matrix that it is for, as text; empty outside the matrix.
    pub cell: Vec<(String, String)>,
    /// Its kind and configuration, with variables filled in.
    pub config: StageConfig,
    /// Where its keys stand.
    pub(crate) places: Places,
}

/// Where the keys of a table were written.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    whole: Location,
    keys: BTreeMap<String, Location>,
}

impl Places {
    /// The place of a dotted key, or of the nearest table around it.
    pub(crate) fn of(&self, key: &str) -> Location {
        let mut key = key;
        loop {
            if let Some(location) = self.keys.get(key) {
                return location.clone();
            }
            match key.rsplit_once(['.', '[']) {
                Some((outer, _)) => key = outer,
                None => return self.whole.clone(),
            }
        }
    }
}

impl Manifest {
    /// Reads a manifest, changed by `sets` (`K=V` or `stage.key=V`), and checks it.
    ///
    /// Paths outside the pipeline are not looked at here, see [`crate::check::missing_paths`].
    ///
    /// # Errors
    /// [`Problems`] lists everything found wrong; another error says why the file could not be read.
    pub fn load(path: &Path, sets: &[String]) -> anyhow::Result<Self> {
        let text = fs_err::read_to_string(path)
            .with_context(|| format!("cannot read the manifest{}", like(path).unwrap_or_default()))?;
        Self::parse(path, text, sets)
    }

    /// [`Manifest::load`] on a text already read.
    ///
    /// # Errors
    /// As [`Manifest::load`].
    pub fn parse(path: &Path, text: String, sets: &[String]) -> anyhow::Result<Self> {
        let mut sources = sources::Sources::default();
        sources.add_file(&path.display().to_string(), text);
        for argument in sets {
            let value = argument.split_once('=').map(|(_, value)| value).unwrap_or_default();
            sources.add_argument(&format!("--set {argument}"), value);
        }
        Ok(parse::parse(path, &sources, sets)?)
    }

    /// The stage with an id.
    pub fn stage(&self, id: &str) -> Option<&StageDef> {
        self.stages.iter().find(|stage| stage.id == id)
    }
}

/// The manifest that was meant, if one of a like name lies in the same folder or in `pipelines`.
fn like(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str().filter(|_| !path.exists())?;
    let own = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let files =
        [own, Path::new("pipelines")].into_iter().flat_map(|folder| folder.read_dir().into_iter().flatten());
    let paths: Vec<PathBuf> = files.filter_map(|file| Some(file.ok()?.path())).collect();
    let names = paths.iter().filter(|path| path.extension().is_some_and(|ending| ending == "toml"));
    let names: Vec<(&str, &PathBuf)> =
        names.filter_map(|path| Some((path.file_name()?.to_str()?, path))).collect();
    let found = problem::nearest_of(name, names.iter().map(|(name, _)| *name))?;
    let (_, path) = names.into_iter().find(|(name, _)| *name == found)?;
    let path = path.strip_prefix(".").unwrap_or(path);
    Some(format!("; did you mean `{}`?", path.display()))
}

/// The configuration of one stage given as `K=V` arguments, for a run without a manifest. Inputs are paths.
///
/// # Errors
/// [`Problems`], always of usage.
pub fn parse_arguments(kind: &str, arguments: &[String]) -> anyhow::Result<StageConfig> {
    let sources = sources_of(kind, arguments);
    let config = parse::parse_arguments(kind, &sources, arguments)?;
    parse::check_arguments(&config, &sources, arguments)?;
    Ok(config)
}

/// The same without the check of ranges.
#[cfg(test)]
fn read_arguments(kind: &str, arguments: &[String]) -> anyhow::Result<StageConfig> {
    Ok(parse::parse_arguments(kind, &sources_of(kind, arguments), arguments)?)
}

fn sources_of(kind: &str, arguments: &[String]) -> sources::Sources {
    let mut sources = sources::Sources::default();
    for argument in arguments {
        let value = argument.split_once('=').map(|(_, value)| value).unwrap_or_default();
        sources.add_argument(&format!("argument `{argument}`"), value);
    }
    // The last text stands for what no argument gave.
    sources.add_argument(&format!("dcgan stage {kind}"), "");
    sources
}

#[cfg(test)]
mod tests;
