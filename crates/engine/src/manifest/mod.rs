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

mod config;
mod explain;
mod home;
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

use anyhow::{Context as _, anyhow, bail};

pub use problem::nearest as suggestion;
pub(crate) use problem::without_repetition;
pub use problem::{Problem, Problems};
pub use problem::{nearest, quoted};
pub use schema::schema;
pub use sources::Location;

use crate::kind::{Registry, StageConfig};

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
    /// The kinds that its stages are of.
    pub registry: &'static Registry,
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
    /// The key that a message is about: of the keys written in the table `table`, or the stage's if that is empty, the first that
    /// the message names; else the table.
    pub(crate) fn named(&self, table: &str, message: &str) -> String {
        parse::named_in(message, table, self.keys.keys().map(String::as_str)).unwrap_or(table).to_owned()
    }

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
    /// Paths outside the pipeline are not looked at here, see [`crate::check::outside`].
    ///
    /// # Errors
    /// [`Problems`] lists everything found wrong; another error says why the file could not be read.
    pub fn load(path: &Path, sets: &[String], registry: &'static Registry) -> anyhow::Result<Self> {
        Self::parse(path, read(path)?, sets, registry)
    }

    /// [`Manifest::load`] on a text already read.
    ///
    /// # Errors
    /// As [`Manifest::load`].
    pub fn parse(
        path: &Path,
        text: String,
        sets: &[String],
        registry: &'static Registry,
    ) -> anyhow::Result<Self> {
        let mut sources = sources::Sources::default();
        sources.add_file(&path.display().to_string(), text);
        for argument in sets {
            let value = argument.split_once('=').map(|(_, value)| value).unwrap_or_default();
            sources.add_argument(&format!("--set {argument}"), value);
        }
        Ok(parse::parse(path, &sources, sets, registry)?)
    }

    /// The stage with an id.
    pub fn stage(&self, id: &str) -> Option<&StageDef> {
        self.stages.iter().find(|stage| stage.id == id)
    }
}

/// The text of a manifest; what is none is answered with what it is and the command that would work.
fn read(path: &Path) -> anyhow::Result<String> {
    let shown = path.display();
    let quoted = |path: &Path| crate::outside::shell_quoted(&path.display().to_string());
    let metadata = fs_err::metadata(path)
        .with_context(|| format!("cannot read the manifest{}", like(path).unwrap_or_default()))?;
    if metadata.is_dir() {
        let init = format!("`dcgan init --folder {}` writes one for the pictures in it", quoted(path));
        bail!("{shown} is a folder; expected a manifest, which is a TOML file. {init}");
    }
    if !metadata.is_file() {
        let found = dcgan_files::regular::kind(metadata.file_type());
        bail!("{shown} is {found}; expected a manifest, which is a TOML file");
    }
    let bytes = fs_err::read(path).context("cannot read the manifest")?;
    let text = String::from_utf8(bytes).map_err(|error| error.utf8_error());
    text.map_err(|error| {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let is_picture = path.extension().and_then(|ending| ending.to_str()).is_some_and(|ending| {
            ["jpg", "jpeg", "png", "webp", "gif", "bmp"].contains(&ending.to_lowercase().as_str())
        });
        match is_picture {
            true => anyhow!(
                "{shown} is a picture; expected a manifest, which is a TOML file. `dcgan init --folder {}` writes one for all \
                 pictures in a folder",
                quoted(parent)
            ),
            false => anyhow!(
                "{shown} is no text: byte {} is not UTF-8; expected a manifest, which is a TOML file",
                error.valid_up_to()
            ),
        }
    })
}

/// The path with the home folder for a leading `~`, for where no shell has put it.
pub fn with_home(path: PathBuf) -> PathBuf {
    path.to_str().and_then(home::of_command_line).unwrap_or(path)
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
pub fn parse_arguments(
    kind: &str,
    arguments: &[String],
    registry: &'static Registry,
) -> anyhow::Result<StageConfig> {
    let sources = sources_of(kind, arguments);
    let config = parse::parse_arguments(kind, &sources, arguments, registry)?;
    parse::check_arguments(&config, &sources, arguments)?;
    Ok(config)
}

/// Checks what a configuration read from `arguments` names outside of them: that paths are there and are what is meant, and
/// that sizes and numbers of pictures fit.
///
/// # Errors
/// [`Problems`].
pub fn check_outside(config: &StageConfig, arguments: &[String]) -> anyhow::Result<()> {
    let sources = sources_of(config.kind().name, arguments);
    let problem = |(key, (message, help)): (String, crate::outside::Wrong)| {
        let place = parse::place_of(&key, &sources, arguments);
        Problem::new(place, message).at_key(key).with_help(help)
    };
    let list: Vec<Problem> = crate::check::outside_alone(config).into_iter().map(problem).collect();
    if list.is_empty() { Ok(()) } else { Err(Problems { list, is_usage: false }.into()) }
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
