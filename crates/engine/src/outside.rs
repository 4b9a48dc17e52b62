//! What a stage reads from outside the pipeline: whether it is there and is what is meant.

use std::path::Path;

use dcgan_files::regular;

use crate::external::{Advice, External, Form, Wrong};
use crate::input::Artifact;
use crate::stage::Stage;
use crate::suggest::nearest;

/// What is wrong with a path, if something is, as far as `stage`, which reads it, can tell.
pub(crate) fn wrong_path(external: &External, stage: &dyn Stage) -> Option<Wrong> {
    let shown = external.path.display();
    let Ok(metadata) = std::fs::metadata(&external.path) else {
        let relative = external.path.is_relative();
        let relative = relative.then(|| "paths are relative to the directory `dcgan` is run from".to_owned());
        let help = like(&external.path).or_else(|| stage.advice(external, None).help).or(relative);
        return Some((format!("{shown} does not exist"), help));
    };
    let found = if metadata.is_dir() {
        Form::Folder
    } else if metadata.is_file() {
        Form::File
    } else {
        let found = regular::kind(metadata.file_type());
        return Some((format!("expected {}, found {shown}, which is {found}", external.is), None));
    };
    if external.is == Form::FileOrFolder || external.is == found {
        return None;
    }
    let Advice { message, help } = stage.advice(external, Some(found));
    let usual = || format!("expected {}, found {shown}, which is {found}", external.is);
    Some((message.unwrap_or_else(usual), help))
}

/// What lies beside a path that does not exist and has a name like it.
fn like(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = parent.read_dir().ok()?.flatten().take(10_000);
    let names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let visible = names.iter().map(String::as_str).filter(|name| !name.starts_with('.'));
    let found = nearest(name, visible)?;
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
    let missing = needs.missing_in(folder)?;
    let help = (needs.advice)(folder);
    Some((format!("expected a folder that holds {needs}, but {shown} has no {missing}"), help))
}
