//! A manifest for one's own folder of pictures, to begin with.

use std::io::{ErrorKind, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use dcgan_files::words::counted;
use dcgan_images::{Source, in_words};

const TEMPLATE: &str = include_str!("init.toml");

/// Settings that suit a number of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suited {
    /// Pictures in the folder; none where there is no folder yet.
    pub n_pictures: Option<u64>,
    /// Pictures in a minibatch of the training, the paper's 128 at most.
    batch_size: u64,
    /// Minibatches of it.
    max_steps: u64,
    /// Pictures in a minibatch of the quick look.
    look_batch_size: u64,
    /// The same of the hash's training, and its passes.
    hash_batch_size: u64,
    hash_epochs: u64,
}

/// Pictures that the settings are for where there is no folder yet.
const UNCOUNTED: u64 = 3000;

impl Suited {
    /// Minibatches of a tenth of the pictures at most, so that no two of them are alike, and as many as suffice for 25 passes,
    /// 2,000 at least.
    fn to(n_pictures: Option<u64>) -> Self {
        let n = n_pictures.unwrap_or(UNCOUNTED);
        let largest =
            |most: u64| (1..=most.ilog2()).map(|power| 1 << power).rfind(|size| n >= 10 * size).unwrap_or(2);
        let batch_size = largest(128);
        // Pictures to learn the hash from: 20,000 at most, and some are kept out.
        let n_hash = (n.min(20_000) * 9 / 10).max(1);
        let hash_batch_size = largest(128).min(n_hash.max(2));
        Self {
            n_pictures,
            batch_size,
            max_steps: (25 * n / batch_size).clamp(2000, 20_000),
            look_batch_size: largest(16),
            hash_batch_size,
            hash_epochs: (1200 * hash_batch_size / n_hash).clamp(60, 400),
        }
    }

    /// What is wrong with the number, if something is.
    pub fn warning(&self) -> Option<String> {
        match self.n_pictures {
            Some(n) if n < 150 => Some(format!(
                "holds {} only: a generator learns so few by heart; some thousands serve better",
                counted(n, "picture")
            )),
            _ => None,
        }
    }
}

/// The manifest: a quick look, near-duplicates out, a faces64 trained on what stays, samples, a report. `photos` is the folder of
/// pictures, as seen from where `dcgan` is run; the pipeline is called `name`.
pub fn manifest(name: &str, photos: &str, suited: &Suited) -> String {
    let found = match suited.n_pictures {
        Some(n) => format!(
            "{} in the folder when this was written; the sizes of minibatches suit them.",
            counted(n, "picture")
        ),
        None => format!("no pictures yet; the sizes of minibatches suit {UNCOUNTED} or more."),
    };
    let numbers = [
        ("@max_steps@", suited.max_steps),
        ("@batch_size@", suited.batch_size),
        ("@look_batch_size@", suited.look_batch_size),
        ("@hash_batch_size@", suited.hash_batch_size),
        ("@hash_epochs@", suited.hash_epochs),
    ];
    let text = numbers.iter().fold(TEMPLATE.replace("@found@", &found), |text, (mark, number)| {
        text.replace(mark, &number.to_string())
    });
    // The folder last: its name may hold anything.
    text.replace("@name@", name).replace("@photos@", &toml::Value::String(photos.to_owned()).to_string())
}

/// Writes the manifest to `path`, which must not exist, to suit the pictures in `photos`, which are counted; the file's name
/// without its ending becomes the pipeline's.
///
/// # Errors
/// If the file exists, has a name that no pipeline can have, or cannot be written; if `photos` is a file, cannot be read, holds
/// no picture, or holds the present folder.
pub fn write(path: &Path, photos: &Path) -> anyhow::Result<Suited> {
    let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    if !dcgan_engine::manifest::is_well_formed(name) {
        bail!(
            "{}: `{name}` cannot be a pipeline's name; {}",
            path.display(),
            dcgan_engine::manifest::WELL_FORMED
        );
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
    if photos.exists() && !photos.is_dir() {
        bail!("{} is a file; expected the folder of pictures", photos.display());
    }
    let n_pictures = photos.is_dir().then(|| count(photos)).transpose()?;
    let suited = Suited::to(n_pictures);
    let photos =
        photos.to_str().with_context(|| format!("{}: expected a path in UTF-8", photos.display()))?;
    let mut file = match std::fs::File::create_new(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("{} exists already, and is left as it is; name another file", path.display())
        }
        Err(error) => return Err(error).with_context(|| format!("cannot write {}", path.display())),
    };
    file.write_all(manifest(name, photos, &suited).as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(suited)
}

/// The pictures in a folder, by their names: none is opened.
fn count(folder: &Path) -> anyhow::Result<u64> {
    let source = Source::Folder { path: folder.to_owned(), classes: false };
    match source.n_images()? {
        None | Some(0) => {
            let passed_over = source.passed_over()?;
            let found = match passed_over.is_empty() {
                true => "none".to_owned(),
                false => format!("other files: {}", in_words(&passed_over)),
            };
            bail!(
                "{}: expected pictures (JPEG, PNG, WebP, GIF, BMP or TIFF), found {found}",
                folder.display()
            )
        }
        Some(n) => Ok(n),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KINDS;
    use dcgan_engine::manifest::{Manifest, schema};

    #[test]
    fn the_manifest_is_valid_whatever_the_folder_is_called() {
        for photos in ["photos", "my \"best\" photos", "C:\\photos", "été"] {
            let text = manifest("mine", photos, &Suited::to(Some(3012)));
            let manifest = Manifest::parse("mine.toml".as_ref(), text.clone(), &[], &KINDS).unwrap();
            assert_eq!(manifest.name, "mine");
            let json = serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap();
            assert_eq!(json["vars"]["photos"], photos);
            assert!(jsonschema::validator_for(&schema(&KINDS)).unwrap().is_valid(&json));
        }
    }

    #[test]
    fn settings_suit_the_number_of_pictures() {
        for n in [1, 2, 3, 19, 20, 150, 1279, 1280, 3012, 70_000, 3_000_000] {
            let suited = Suited::to(Some(n));
            for size in [suited.batch_size, suited.look_batch_size, suited.hash_batch_size] {
                assert!(size >= 2 && (n < 20 || 10 * size <= n), "{n}: {suited:?}");
            }
            assert!(
                (2000..=20_000).contains(&suited.max_steps) && (60..=400).contains(&suited.hash_epochs),
                "{suited:?}"
            );
        }
        let suited = Suited::to(Some(3012));
        assert_eq!((suited.batch_size, suited.look_batch_size, suited.max_steps), (128, 16, 2000));
        assert_eq!(Suited::to(Some(70_000)).max_steps, 13_671);
        assert_eq!(Suited { n_pictures: None, ..Suited::to(Some(3000)) }, Suited::to(None));
        assert!(Suited::to(Some(1)).warning().unwrap().starts_with("holds 1 picture only"));
    }
}
