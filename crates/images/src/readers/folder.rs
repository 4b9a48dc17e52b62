//! Folders of picture files: flat, or with a folder a class.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{Records, name_of};
use crate::walk::{Found, LeftOut, Stop, Walk, Why};
use crate::{ImagesError, Payload, Record, Result, key};

/// Endings, compared without regard to case, of the files that are taken for images.
const ENDINGS: [&str; 11] = ["jpg", "jpeg", "jpe", "jfif", "mpo", "png", "webp", "gif", "bmp", "tif", "tiff"];

/// The number of image files.
pub(crate) fn n_images(folder: &Path, stop: &Stop) -> Result<u64> {
    let mut images =
        Walk::new(folder, stop.clone())?.filter_map(|found| image(found.map_err(Into::into)).transpose());
    images.try_fold(0, |n, image| image.map(|_| n + 1))
}

/// The folders that are not read, which somebody may have expected to be.
pub(crate) fn left_out(folder: &Path, stop: &Stop) -> Result<Vec<LeftOut>> {
    let mut all = Vec::new();
    let mut walk = Walk::new(folder, stop.clone())?;
    while let Some(found) = walk.next() {
        match found? {
            Found::LeftOut(left_out) => all.push(left_out),
            Found::Lost(path) if !has_image_ending(&path) => {
                all.push(LeftOut { key: walk.key(&path), why: Why::Lost });
            }
            Found::File(_) | Found::Folder(_) | Found::Lost(_) => {}
        }
    }
    Ok(all)
}

/// All image files below `folder`, at any depth, without labels, sorted by name folder by folder; see [`Walk`]. A link to nothing
/// is an image that cannot be read, if it is named as one.
pub(crate) fn records(folder: &Path, stop: &Stop) -> Result<Records> {
    let source = name_of(folder);
    labelled(folder, stop, move |_| Some((source.clone(), None)))
}

/// All image files below the class folders, one class after the other.
pub(crate) fn records_of_classes(folder: &Path, classes: &[Class], stop: &Stop) -> Result<Records> {
    let (source, root) = (name_of(folder), folder.to_path_buf());
    let labels = classes.iter().zip(0..).map(|(class, label)| (class.folder.clone(), label));
    let labels: HashMap<OsString, u32> = labels.collect();
    labelled(folder, stop, move |path| {
        let class = path.strip_prefix(&root).ok()?.iter().next()?;
        Some((source.clone(), Some(*labels.get(class)?)))
    })
}

/// The images for which `describe` knows source and label.
fn labelled(
    folder: &Path,
    stop: &Stop,
    describe: impl Fn(&Path) -> Option<(String, Option<u32>)> + Send + 'static,
) -> Result<Records> {
    let root = folder.to_path_buf();
    Ok(Box::new(Walk::new(folder, stop.clone())?.filter_map(move |found| {
        match image(found.map_err(Into::into)) {
            Ok(None) => None,
            Ok(Some(file)) => {
                let (source, label) = describe(&file)?;
                let key = key::of_path(file.strip_prefix(&root).unwrap_or(&file));
                Some(Ok(Record { key, label, source, payload: Payload::File(file) }))
            }
            Err(error) => Some(Err(error)),
        }
    })))
}

/// A class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Class {
    /// Its name: the key of its folder's.
    pub(crate) name: String,
    folder: OsString,
}

/// The folders in `folder`, sorted: the classes, in the order of their labels.
///
/// Image files beside them would be lost in silence, so they are an error.
pub(crate) fn classes(folder: &Path) -> Result<Vec<Class>> {
    let (mut classes, mut left_out) = (Vec::new(), Vec::new());
    for found in Walk::shallow(folder)? {
        match found? {
            Found::Folder(path) => {
                let folder = path.file_name().unwrap_or_default().to_owned();
                classes.push(Class { name: key::of(folder.as_encoded_bytes()), folder });
            }
            Found::File(path) | Found::Lost(path) if has_image_ending(&path) => {
                let found = format!("the image {}", name_of(&path));
                return Err(ImagesError::layout(folder, "class folders only", found));
            }
            Found::LeftOut(folder) => left_out.push(folder.to_string()),
            Found::File(_) | Found::Lost(_) => {}
        }
    }
    if classes.is_empty() {
        let expected = match left_out.as_slice() {
            [] => "class folders".to_owned(),
            left_out => format!("class folders beside {}", left_out.join(", ")),
        };
        return Err(ImagesError::NoImages { path: folder.to_path_buf(), expected });
    }
    Ok(classes)
}

/// Their names.
pub(crate) fn names(classes: Vec<Class>) -> Vec<String> {
    classes.into_iter().map(|class| class.name).collect()
}

/// Whether a file has an image's ending.
pub(crate) fn has_image_ending(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known))
}

/// The path, if it is an image's.
fn image(found: Result<Found>) -> Result<Option<PathBuf>> {
    Ok(match found? {
        Found::File(path) | Found::Lost(path) => has_image_ending(&path).then_some(path),
        Found::Folder(_) | Found::LeftOut(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, name).unwrap();
        }
        folder
    }

    fn keys_and_labels(records: Records) -> Vec<(String, Option<u32>)> {
        records.map(|record| record.unwrap()).map(|record| (record.key, record.label)).collect()
    }

    #[test]
    fn files_are_found_at_any_depth_and_sorted() {
        let folder = folder(&[
            "b.JPG",
            "a.png",
            "c/z.webp",
            "c/y.jpeg",
            "notes.txt",
            ".hidden.jpg",
            ".git/x.png",
            "aa/1.jpg",
            "c/__MACOSX/y.jpeg",
        ]);
        let found = keys_and_labels(records(folder.path(), &Stop::default()).unwrap());
        let expected = ["a.png", "aa/1.jpg", "b.JPG", "c/y.jpeg", "c/z.webp"];
        assert!(found.iter().map(|(key, _)| key.as_str()).eq(expected), "{found:?}");
        assert!(found.iter().all(|(_, label)| label.is_none()));
        assert_eq!(n_images(folder.path(), &Stop::default()).unwrap(), 5);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_nothing_is_found_and_a_loop_is_not_walked() {
        let folder = folder(&["a.png", "c/b.png"]);
        let link = |to: &str, at: &str| std::os::unix::fs::symlink(to, folder.path().join(at)).unwrap();
        link("gone.png", "lost.png");
        link("gone", "lost");
        link("..", "c/loop");
        link("a.png", "twin.png");
        let found = keys_and_labels(records(folder.path(), &Stop::default()).unwrap());
        assert!(
            found.iter().map(|(key, _)| key.as_str()).eq(["a.png", "c/b.png", "lost.png", "twin.png"]),
            "{found:?}"
        );
    }

    #[test]
    fn sorted_folders_are_the_classes() {
        let folder = folder(&[
            "cat/1.png",
            "ant/deep/2.png",
            "ant/1.png",
            "bee/readme.txt",
            "__MACOSX/cat/1.png",
            "@eaDir/1.png",
            "ant/@eaDir/1.png",
            "lost+found/1.png",
            "System Volume Information/1.png",
        ]);
        let classes = classes(folder.path()).unwrap();
        assert_eq!(names(classes.clone()), ["ant", "bee", "cat"]);
        let found = keys_and_labels(records_of_classes(folder.path(), &classes, &Stop::default()).unwrap());
        let expected = [("ant/1.png", Some(0)), ("ant/deep/2.png", Some(0)), ("cat/1.png", Some(2))];
        assert!(found.iter().map(|(key, label)| (key.as_str(), *label)).eq(expected), "{found:?}");
    }

    #[test]
    fn images_beside_class_folders_are_an_error() {
        let folder = folder(&["cat/1.png", "stray.png"]);
        let complaint = classes(folder.path()).unwrap_err().to_string();
        assert!(complaint.ends_with("expected class folders only, found the image stray.png"), "{complaint}");
    }

    #[test]
    fn a_folder_without_classes_a_missing_one_and_a_file_are_errors() {
        let folder = folder(&["file.txt"]);
        assert!(matches!(classes(folder.path()), Err(ImagesError::NoImages { .. })));
        let missing = folder.path().join("missing");
        assert!(records(&missing, &Stop::default()).err().unwrap().to_string().contains("missing"));
        assert!(n_images(&missing, &Stop::default()).unwrap_err().to_string().contains("missing"));
        assert!(
            records(&folder.path().join("file.txt"), &Stop::default())
                .err()
                .unwrap()
                .to_string()
                .ends_with("found a file")
        );
    }
}
