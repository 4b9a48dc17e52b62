//! What a stage reads from outside the pipeline: whether it is there and is what is meant.

use std::fmt;
use std::path::{Path, PathBuf};

use dcgan_files::regular;
use dcgan_images::Source;

use crate::manifest::suggestion;

/// A file or folder outside the pipeline that a stage reads.
#[derive(Debug, Clone)]
pub struct External {
    /// Dotted key it is written at.
    pub key: &'static str,
    /// Relative to the directory the program is run from.
    pub path: PathBuf,
    /// What it must be.
    pub is: Form,
}

/// What a path must lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// Either.
    FileOrFolder,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "a file",
            Self::Folder => "a folder",
            Self::FileOrFolder => "a file or a folder",
        })
    }
}

/// What is wrong with a path, and a way out.
pub(crate) type Wrong = (String, Option<String>);

impl External {
    /// What is wrong, if something is. `source` is the data set that the path is of.
    pub(crate) fn wrong(&self, source: Option<&Source>) -> Option<Wrong> {
        let shown = self.path.display();
        let Ok(metadata) = std::fs::metadata(&self.path) else {
            return Some((format!("{shown} does not exist"), self.way_out(source)));
        };
        let found = if metadata.is_dir() {
            Form::Folder
        } else if metadata.is_file() {
            Form::File
        } else {
            let found = regular::kind(metadata.file_type());
            return Some((format!("expected {}, found {shown}, which is {found}", self.is), None));
        };
        if self.is == Form::FileOrFolder || self.is == found {
            return None;
        }
        if let Some(Err(packed)) = source.map(Source::refuse_archive) {
            return Some((packed.to_string(), None));
        }
        let help = source.and_then(|_| {
            let key = key_for(&self.path)?;
            Some(format!("did you mean `{key}`?"))
        });
        Some((format!("expected {}, found {shown}, which is {found}", self.is), help))
    }

    /// For a path that does not exist.
    fn way_out(&self, source: Option<&Source>) -> Option<String> {
        if let Some(like) = like(&self.path) {
            return Some(like);
        }
        let set = match source {
            Some(Source::Cifar10 { .. }) => Some("cifar10"),
            Some(Source::Svhn { path }) => {
                let is_extra = path.file_name().is_some_and(|name| name == "extra_32x32.mat");
                Some(if is_extra { "svhn_extra" } else { "svhn" })
            }
            Some(Source::Mnist { .. }) => Some("mnist"),
            Some(Source::Lsun { .. }) => Some("lsun"),
            _ => None,
        };
        if let Some(set) = set {
            return Some(format!(
                "`dcgan stage fetch --out data sets='[\"{set}\"]'` downloads it to the folder `data`; where it lies elsewhere, give \
                 that path"
            ));
        }
        (self.path.is_relative())
            .then(|| "paths are relative to the directory `dcgan` is run from".to_owned())
    }
}

/// What lies beside a path that does not exist and has a name like it.
fn like(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = parent.read_dir().ok()?.flatten().take(10_000);
    let names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let visible = names.iter().map(String::as_str).filter(|name| !name.starts_with('.'));
    let found = suggestion(name, visible)?;
    // Of the name alone; the path is longer.
    let found = found.strip_prefix("did you mean `")?.strip_suffix("`?")?;
    let path = parent.join(found);
    Some(format!("did you mean `{}`?", path.strip_prefix(".").unwrap_or(&path).display()))
}

/// The key of `source` for what lies at a path.
pub(crate) fn key_for(path: &Path) -> Option<&'static str> {
    let holds = |name: &str| path.join(name).is_file();
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_lowercase();
    if path.is_dir() {
        return Some(match () {
            () if holds("images.npy") && holds("meta.json") => "source.store.path",
            () if holds("data.mdb") => "source.lsun.path",
            () if holds("data_batch_1.bin") || holds("test_batch.bin") => "source.cifar10.path",
            () => "source.folder.path",
        });
    }
    match ending.as_str() {
        "mat" => Some("source.svhn.path"),
        "tar" => Some("source.tar.path"),
        _ => None,
    }
}

/// The key of one of a data set's paths.
pub(crate) fn key_of(source: &Source, path: &Path) -> &'static str {
    match source {
        Source::Cifar10 { .. } => "source.cifar10.path",
        Source::Svhn { .. } => "source.svhn.path",
        Source::Mnist { images, .. } if images == path => "source.mnist.images",
        Source::Mnist { .. } => "source.mnist.labels",
        Source::Folder { .. } => "source.folder.path",
        Source::ImageNetTar { .. } => "source.imagenet_tar.path",
        Source::ImageNetFolder { .. } => "source.imagenet_folder.path",
        Source::Lsun { .. } => "source.lsun.path",
        Source::Tar { .. } => "source.tar.path",
        Source::Store { .. } => "source.store.path",
    }
}

/// What is wrong with the folder of an earlier stage, or of what stands for one.
pub(crate) fn wrong_input(folder: &Path, needs: crate::stages::Artifact) -> Option<Wrong> {
    let shown = folder.display();
    if !folder.exists() {
        let help = like(folder);
        return Some((
            format!("{shown} does not exist; expected the folder of a stage that yields {needs}"),
            help,
        ));
    }
    if !folder.is_dir() {
        return Some((
            format!("expected the folder of a stage that yields {needs}, found the file {shown}"),
            None,
        ));
    }
    if needs.files().iter().all(|file| folder.join(file).exists()) {
        return None;
    }
    let missing = needs.files().iter().find(|file| !folder.join(file).exists())?;
    let pictures = Source::Folder { path: folder.to_owned(), classes: false };
    let holds_pictures =
        || pictures.records().is_ok_and(|mut records| records.next().is_some_and(|record| record.is_ok()));
    let help = match needs {
        crate::stages::Artifact::Images if holds_pictures() => Some(format!(
            "it holds pictures; make a store of them: `dcgan stage import_images --out out/images \
             source.folder.path={} resize='min_resize_centre_crop(64)'`, then give out/images",
            shell_quoted(&folder.display().to_string())
        )),
        _ => None,
    };
    Some((format!("expected a folder that holds {needs}, but {shown} has no {missing}"), help))
}

/// An argument as a shell takes it.
pub(crate) fn shell_quoted(argument: &str) -> String {
    let is_plain = argument.chars().all(|c| c.is_ascii_alphanumeric() || "=._-/:,".contains(c));
    if is_plain { argument.to_owned() } else { format!("'{}'", argument.replace('\'', r"'\''")) }
}
