//! Folders of JPEG, PNG and WebP files: flat, or with a folder a class.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::{Records, name_of};
use crate::{ImagesError, Payload, Record, Result};

/// Endings, compared without regard to case, of the files that are taken for images.
const ENDINGS: [&str; 11] = ["jpg", "jpeg", "jpe", "jfif", "mpo", "png", "webp", "gif", "bmp", "tif", "tiff"];

/// The number of image files.
pub(crate) fn n_images(folder: &Path) -> Result<u64> {
    files(walk(folder), folder).try_fold(0, |n, file| file.map(|_| n + 1))
}

/// All image files below `folder`, at any depth, without labels, sorted by name folder by folder. Hidden files and
/// folders and files of other endings are passed over; links are followed. Sorting keeps the names of one folder in
/// memory: about 0.25 GB a million files.
pub(crate) fn records(folder: &Path) -> Result<Records> {
    let (root, source) = (folder.to_path_buf(), name_of(folder));
    expect_folder(folder)?;
    Ok(Box::new(
        files(walk(folder).sort_by_file_name(), folder)
            .map(move |file| Ok(record(&root, &source, file?, None))),
    ))
}

/// All image files below the class folders, one class after the other.
pub(crate) fn records_of_classes(folder: &Path, classes: Vec<String>) -> Result<Records> {
    let (root, source) = (folder.to_path_buf(), name_of(folder));
    Ok(Box::new(classes.into_iter().zip(0..).flat_map(move |(class, label)| {
        let (root, source) = (root.clone(), source.clone());
        let class = root.join(class);
        files(walk(&class).sort_by_file_name(), &class)
            .map(move |file| Ok(record(&root, &source, file?, Some(label))))
    })))
}

/// The names of the folders in `folder`, sorted: the classes, in the order of their labels.
///
/// Image files beside them would be lost in silence, so they are an error.
pub(crate) fn classes(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in walk(folder).sort_by_file_name().max_depth(1) {
        let entry = entry.map_err(|e| walk_error(folder, &e))?;
        if is_hidden(&entry) {
            continue;
        }
        if entry.file_type().is_dir() {
            let name = entry
                .file_name()
                .to_str()
                .ok_or_else(|| ImagesError::layout(entry.path(), "a class name in UTF-8", "other bytes"))?;
            names.push(name.to_owned());
        } else if is_image(&entry) {
            return Err(ImagesError::layout(
                folder,
                "class folders only",
                format!("the image {}", name_of(entry.path())),
            ));
        }
    }
    if names.is_empty() {
        return Err(ImagesError::NoImages { path: folder.to_path_buf(), expected: "class folders".into() });
    }
    Ok(names)
}

/// Whether a file has an image's ending.
pub(crate) fn has_image_ending(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known))
}

pub(crate) fn expect_folder(path: &Path) -> Result<()> {
    if fs_err::metadata(path)?.is_dir() {
        Ok(())
    } else {
        Err(ImagesError::layout(path, "a folder", "a file"))
    }
}

fn record(root: &Path, source: &str, file: PathBuf, label: Option<u32>) -> Record {
    let below = file.strip_prefix(root).unwrap_or(&file);
    let parts: Vec<_> = below.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    let key = parts.join("/");
    Record { key, label, source: source.to_owned(), payload: Payload::File(file) }
}

/// The image files that `walk` comes by below `folder`. A link to nothing is one that cannot be read, if its name is an image's;
/// a link to a folder above it is passed over.
fn files(walk: WalkDir, folder: &Path) -> impl Iterator<Item = Result<PathBuf>> + Send + use<> {
    let root = folder.to_path_buf();
    walk.into_iter().filter_entry(|entry| !is_hidden(entry)).filter_map(move |entry| match entry {
        Ok(entry) => is_image(&entry).then(|| Ok(entry.into_path())),
        Err(e) if e.loop_ancestor().is_some() => None,
        Err(e) if e.depth() > 0 && e.io_error().is_some_and(|e| e.kind() == ErrorKind::NotFound) => {
            let path = e.path().filter(|path| has_image_ending(path))?;
            Some(Ok(path.to_path_buf()))
        }
        Err(e) => Some(Err(walk_error(&root, &e))),
    })
}

fn walk(folder: &Path) -> WalkDir {
    WalkDir::new(folder).min_depth(1).follow_links(true)
}

fn is_hidden(entry: &DirEntry) -> bool {
    entry.depth() > 0 && entry.file_name().as_encoded_bytes().starts_with(b".")
}

fn is_image(entry: &DirEntry) -> bool {
    entry.file_type().is_file() && has_image_ending(entry.path())
}

fn walk_error(folder: &Path, error: &walkdir::Error) -> ImagesError {
    ImagesError::layout(error.path().unwrap_or(folder), "a readable folder", error.to_string())
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
        ]);
        let found = keys_and_labels(records(folder.path()).unwrap());
        let expected = ["a.png", "aa/1.jpg", "b.JPG", "c/y.jpeg", "c/z.webp"];
        assert!(found.iter().map(|(key, _)| key.as_str()).eq(expected), "{found:?}");
        assert!(found.iter().all(|(_, label)| label.is_none()));
        assert_eq!(n_images(folder.path()).unwrap(), 5);
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
        let found = keys_and_labels(records(folder.path()).unwrap());
        assert!(
            found.iter().map(|(key, _)| key.as_str()).eq(["a.png", "c/b.png", "lost.png", "twin.png"]),
            "{found:?}"
        );
    }

    #[test]
    fn sorted_folders_are_the_classes() {
        let folder = folder(&["cat/1.png", "ant/deep/2.png", "ant/1.png", "bee/readme.txt"]);
        let classes = classes(folder.path()).unwrap();
        assert_eq!(classes, ["ant", "bee", "cat"]);
        let found = keys_and_labels(records_of_classes(folder.path(), classes).unwrap());
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
        assert!(records(&missing).err().unwrap().to_string().contains("missing"));
        assert!(n_images(&missing).unwrap_err().to_string().contains("missing"));
        assert!(
            records(&folder.path().join("file.txt")).err().unwrap().to_string().ends_with("found a file")
        );
    }
}
