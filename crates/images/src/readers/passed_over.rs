//! Files in folders and tars that are not read because of their names: counted by ending and listed, lest they be missed.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use super::folder::has_image_ending;
use super::tar_members::{self, Kind};
use super::tar_shards::{is_hidden, shards};
use crate::Result;
use crate::source::Source;
use crate::walk::{Found, Stop, Walk};

/// How many files of each ending (in lower case, with its full stop; empty for none) are not read.
pub type PassedOver = BTreeMap<String, u64>;

/// In words: `3 .heic, 1 .txt`.
pub fn in_words(passed_over: &PassedOver) -> String {
    let named = |ending: &String| match ending.as_str() {
        "" => "without an ending".to_owned(),
        ending => ending.to_owned(),
    };
    let words: Vec<String> = passed_over.iter().map(|(ending, n)| format!("{n} {}", named(ending))).collect();
    words.join(", ")
}

/// Tells `each` the key of every file that is not read, and why.
pub(crate) fn visit(source: &Source, each: &mut dyn FnMut(&str, &str) -> Result<()>) -> Result<PassedOver> {
    let mut counts = PassedOver::new();
    let mut note = |path: &Path, key: String| {
        if has_image_ending(path) {
            return Ok(());
        }
        let ending = path.extension().map(|ending| format!(".{}", ending.to_string_lossy().to_lowercase()));
        let ending = ending.unwrap_or_default();
        let why = why(&ending);
        *counts.entry(ending).or_default() += 1;
        each(&key, &why)
    };
    match source {
        Source::Folder { path, .. } | Source::ImageNetFolder { path } => in_folder(path, &mut note)?,
        Source::Tar { path } => {
            for shard in shards(path)? {
                in_tar(&shard, &mut note)?;
            }
        }
        _ => {}
    }
    Ok(counts)
}

fn why(ending: &str) -> String {
    let named = match ending {
        "" => "it has no ending".to_owned(),
        ending => format!("it ends in {ending}"),
    };
    let advice = match ending {
        ".heic" | ".heif" | ".avif" | ".jxl" | ".jp2" | ".svg" | ".psd" | ".cr2" | ".nef" | ".arw"
        | ".dng" => "; convert it to JPEG or PNG",
        _ => "",
    };
    format!("not read: {named}, not as a JPEG, PNG, WebP, GIF, BMP or TIFF does{advice}")
}

/// Files below `folder`, as the readers come by them.
fn in_folder(folder: &Path, note: &mut dyn FnMut(&Path, String) -> Result<()>) -> Result<()> {
    let mut walk = Walk::new(folder, Stop::default())?;
    while let Some(found) = walk.next() {
        if let Found::File(path) = found? {
            let key = walk.key(&path);
            note(&path, key)?;
        }
    }
    Ok(())
}

/// Files of a tar, by its headers alone.
fn in_tar(shard: &Path, note: &mut dyn FnMut(&Path, String) -> Result<()>) -> Result<()> {
    let name = super::name_of(shard);
    // Whether it is whole is for those who read its pictures.
    tar_members::visit_headers(shard, false, &mut |member| {
        if member.kind == Kind::File && !is_hidden(member.path()) {
            note(member.path(), format!("{name}/{}", member.key))?;
        }
        Ok(ControlFlow::Continue(()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_other_endings_are_counted_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("photos");
        for name in
            ["a.jpg", "b.JFIF", "c.HEIC", "deep/d.heic", "deep/e.mpo", "notes.txt", "README", ".hidden.txt"]
        {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, name).unwrap();
        }
        let source = Source::Folder { path: root.clone(), classes: false };
        assert_eq!(source.n_images().unwrap(), Some(3));
        let listed = folder.path().join("bad.csv");
        std::fs::write(&listed, "key,reason\n").unwrap();
        let counts = source.list_passed_over(&listed).unwrap();
        assert_eq!(in_words(&counts), "1 without an ending, 2 .heic, 1 .txt");
        let text = std::fs::read_to_string(&listed).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5);
        assert_eq!(
            lines[1],
            "README,\"not read: it has no ending, not as a JPEG, PNG, WebP, GIF, BMP or TIFF does\""
        );
        assert!(
            lines[3].starts_with("deep/d.heic,") && lines[3].contains("; convert it to JPEG or PNG"),
            "{text}"
        );
        // The same in a tar.
        let tar = folder.path().join("photos.tar");
        let mut archive = tar::Builder::new(std::fs::File::create(&tar).unwrap());
        archive.append_dir_all("photos", &root).unwrap();
        archive.finish().unwrap();
        let counts = Source::Tar { path: tar }.passed_over().unwrap();
        assert_eq!((counts.get(".heic"), counts.get(".jpg")), (Some(&2), None));
    }
}
