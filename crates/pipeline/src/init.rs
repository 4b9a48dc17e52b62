//! A manifest for one's own folder of pictures, to begin with.

use std::io::{ErrorKind, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail};

const TEMPLATE: &str = include_str!("init.toml");

/// The manifest: near-duplicates out, a faces64 trained on what stays, samples, a report. `photos` is the folder of
/// pictures, as seen from where `dcgan` is run; the pipeline is called `name`.
pub fn manifest(name: &str, photos: &str) -> String {
    TEMPLATE.replace("@name@", name).replace("@photos@", &toml::Value::String(photos.to_owned()).to_string())
}

/// Writes the manifest to `path`, which must not exist; the file's name without its ending becomes the pipeline's.
///
/// # Errors
/// If the file exists, has a name that no pipeline can have, or cannot be written; if the present folder lies in `photos`.
pub fn write(path: &Path, photos: &Path) -> anyhow::Result<()> {
    let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    if !crate::check::is_well_formed(name) {
        bail!("{}: `{name}` cannot be a pipeline's name; {}", path.display(), crate::check::WELL_FORMED);
    }
    let holds_runs = photos.canonicalize().is_ok_and(|photos| {
        std::env::current_dir()
            .and_then(|here| here.canonicalize())
            .is_ok_and(|here| here.starts_with(photos))
    });
    if holds_runs {
        bail!(
            "{}: the folder of runs, made where `dcgan` is run, would lie among the pictures and be read with them; run it from \
             another folder, such as the one above",
            photos.display()
        );
    }
    let photos =
        photos.to_str().with_context(|| format!("{}: expected a path in UTF-8", photos.display()))?;
    let mut file = match std::fs::File::create_new(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("{} exists already, and is left as it is; name another file", path.display())
        }
        Err(error) => return Err(error).with_context(|| format!("cannot write {}", path.display())),
    };
    file.write_all(manifest(name, photos).as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Manifest, schema};

    #[test]
    fn the_manifest_is_valid_whatever_the_folder_is_called() {
        for photos in ["photos", "my \"best\" photos", "C:\\photos", "été"] {
            let text = manifest("mine", photos);
            let manifest = Manifest::parse("mine.toml".as_ref(), text.clone(), &[]).unwrap();
            assert_eq!(manifest.name, "mine");
            let json = serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap();
            assert_eq!(json["vars"]["photos"], photos);
            assert!(jsonschema::validator_for(&schema()).unwrap().is_valid(&json));
        }
    }
}
