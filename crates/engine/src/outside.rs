//! What a stage reads from outside the pipeline: whether it is there and is what is meant.

use std::fmt;
use std::path::{Path, PathBuf};

use dcgan_files::regular;

use crate::manifest::suggestion;
use crate::stage::{Artifact, Stage};

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
pub type Wrong = (String, Option<String>);

/// What a stage says of a path that is wrong, beside what goes for every path.
#[derive(Debug, Clone, Default)]
pub struct Advice {
    /// Instead of the usual message.
    pub message: Option<String>,
    /// A way out.
    pub help: Option<String>,
}

impl External {
    /// What is wrong, if something is, as far as `stage`, which reads it, can tell.
    pub(crate) fn wrong(&self, stage: &dyn Stage) -> Option<Wrong> {
        let shown = self.path.display();
        let Ok(metadata) = std::fs::metadata(&self.path) else {
            let relative = self.path.is_relative();
            let relative =
                relative.then(|| "paths are relative to the directory `dcgan` is run from".to_owned());
            let help = like(&self.path).or_else(|| stage.advice(self, None).help).or(relative);
            return Some((format!("{shown} does not exist"), help));
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
        let Advice { message, help } = stage.advice(self, Some(found));
        let usual = || format!("expected {}, found {shown}, which is {found}", self.is);
        Some((message.unwrap_or_else(usual), help))
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

/// What is wrong with the folder of an earlier stage, or of what stands for one.
pub(crate) fn wrong_input(folder: &Path, needs: Artifact) -> Option<Wrong> {
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
    if needs.files.iter().all(|file| folder.join(file).exists()) {
        return None;
    }
    let missing = needs.files.iter().find(|file| !folder.join(file).exists())?;
    let help = (needs.advice)(folder);
    Some((format!("expected a folder that holds {needs}, but {shown} has no {missing}"), help))
}

/// An argument as a shell takes it.
pub fn shell_quoted(argument: &str) -> String {
    let is_plain = argument.chars().all(|c| c.is_ascii_alphanumeric() || "=._-/:,".contains(c));
    if is_plain { argument.to_owned() } else { format!("'{}'", argument.replace('\'', r"'\''")) }
}
