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

mod check;
mod config;
mod definition;
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

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};

pub use check::{WELL_FORMED, is_well_formed};
pub use definition::{Manifest, StageDef};
pub(crate) use parse::place_of;
pub(crate) use problem::without_repetition;
pub use problem::{Problem, Problems};
pub use schema::schema;
pub use sources::Location;

use crate::kind::{Registry, StageConfig};

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
}

/// The text of a manifest; what is none is answered with what it is and the command that would work.
fn read(path: &Path) -> anyhow::Result<String> {
    let shown = path.display();
    let quoted = |path: &Path| crate::suggest::shell_quoted(&path.display().to_string());
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
    let found = crate::suggest::nearest_of(name, names.iter().map(|(name, _)| *name))?;
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

/// The arguments of a stage run alone as texts that places refer to.
pub(crate) fn sources_of(kind: &str, arguments: &[String]) -> sources::Sources {
    let mut sources = sources::Sources::default();
    for argument in arguments {
        let value = argument.split_once('=').map(|(_, value)| value).unwrap_or_default();
        sources.add_argument(&format!("argument `{argument}`"), value);
    }
    // The last text stands for what no argument gave.
    sources.add_argument(&format!("dcgan stage {kind}"), "");
    sources
}
