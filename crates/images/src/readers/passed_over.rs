//! Files in folders and tars that are not read because of their names: counted by ending and listed, lest they be missed. Hidden
//! pictures are only counted.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::folder::has_image_ending;
use super::tar_labels;
use super::tar_labels::TarLabel;
use super::tar_members::{self, Kind, is_hidden, is_systems};
use super::tar_shards::shards;
use crate::Result;
use crate::source::Source;
use crate::walk::{Found, Stop, Walk};

/// How many files of each ending (in lower case, with its full stop; empty for none) are not read, and how many pictures that are
/// [`HIDDEN`].
pub type PassedOver = BTreeMap<String, u64>;

/// Where the pictures are counted whose names, or a folder's that they are in, begin with a full stop.
pub const HIDDEN: &str = "hidden";

/// In words: `3 .heic, 1 .txt, 2 hidden`.
pub fn in_words(passed_over: &PassedOver) -> String {
    let named = |ending: &String| match ending.as_str() {
        "" => "without an ending".to_owned(),
        ending => ending.to_owned(),
    };
    let words: Vec<String> = passed_over.iter().map(|(ending, n)| format!("{n} {}", named(ending))).collect();
    words.join(", ")
}

/// Gives `each` the key of every file that is not read, and why.
pub(crate) fn visit(source: &Source, each: &mut dyn FnMut(&str, &str) -> Result<()>) -> Result<PassedOver> {
    let (mut counts, mut n_hidden) = (PassedOver::new(), 0);
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
        Source::Folder { path, .. } | Source::ImageNetFolder { path } => {
            n_hidden += in_folder(path, &mut note)?
        }
        Source::Tar { path, label } => {
            let shards = shards(path)?;
            other_archives(path, &shards, &mut note)?;
            let label = tar_labels::of_set(&shards, *label);
            for shard in shards {
                n_hidden += in_tar(&shard, label, &mut note)?;
            }
        }
        _ => {}
    }
    if n_hidden > 0 {
        counts.insert(HIDDEN.to_owned(), n_hidden);
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
        ".tar" => "; archives in folders below are not read, move them up",
        ".gz" | ".tgz" | ".bz2" | ".tbz2" | ".xz" | ".txz" | ".zst" => "; unpack it",
        _ => "",
    };
    format!("not read: {named}, not as a JPEG, PNG, WebP, GIF, BMP or TIFF does{advice}")
}

/// Files below `folder`, as the readers come by them; returns how many pictures are hidden.
fn in_folder(folder: &Path, note: &mut dyn FnMut(&Path, String) -> Result<()>) -> Result<u64> {
    let mut walk = Walk::counting_hidden(folder, Stop::default(), has_image_ending)?;
    while let Some(found) = walk.next() {
        if let Found::File(path) = found? {
            let key = walk.key(&path);
            note(&path, key)?;
        }
    }
    Ok(walk.n_hidden())
}

/// Archives in and below the folder of a set of tars that are none of its shards: compressed, half downloaded, in a folder of their own.
fn other_archives(
    path: &Path,
    shards: &[PathBuf],
    note: &mut dyn FnMut(&Path, String) -> Result<()>,
) -> Result<()> {
    if !path.is_dir() {
        return Ok(());
    }
    let mut walk = Walk::counting_hidden(path, Stop::default(), has_image_ending)?;
    while let Some(found) = walk.next() {
        let Found::File(file) = found? else { continue };
        let name = file.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let is_archive =
            name.contains(".tar") || [".tgz", ".tbz2", ".txz"].iter().any(|end| name.ends_with(end));
        if is_archive && !shards.contains(&file) {
            let key = walk.key(&file);
            note(&file, key)?;
        }
    }
    Ok(())
}

/// Files of a tar, by its headers alone; returns how many pictures are hidden.
fn in_tar(shard: &Path, label: TarLabel, note: &mut dyn FnMut(&Path, String) -> Result<()>) -> Result<u64> {
    let (name, mut n_hidden) = (super::name_of(shard), 0);
    // Whether it is whole is for those who read its pictures.
    tar_members::visit_headers(shard, false, &mut |member| {
        match member.kind == Kind::File {
            true if tar_labels::is_label(member.path(), label) => {}
            true if !is_hidden(member.path()) => note(member.path(), format!("{name}/{}", member.key))?,
            true if !is_systems(member.path()) && has_image_ending(member.path()) => n_hidden += 1,
            _ => {}
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(n_hidden)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_other_endings_are_counted_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("photos");
        for name in [
            "a.jpg",
            "b.JFIF",
            "c.HEIC",
            "deep/d.heic",
            "deep/e.mpo",
            "notes.txt",
            "README",
            ".hidden.txt",
            // Hidden pictures; a system's thumbnails are none.
            "deep/.f.jpg",
            ".git/objects/g.PNG",
            ".git/config",
            "deep/@eaDir/h.jpg",
            ".trash/@eaDir/i.jpg",
        ] {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, name).unwrap();
        }
        let source = Source::Folder { path: root.clone(), classes: false };
        assert_eq!(source.n_images().unwrap(), Some(3));
        let listed = folder.path().join("bad.csv");
        std::fs::write(&listed, "key,reason\n").unwrap();
        let counts = source.list_passed_over(&listed).unwrap();
        assert_eq!(in_words(&counts), "1 without an ending, 2 .heic, 1 .txt, 2 hidden");
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
        let counts = Source::Tar { path: tar, label: None }.passed_over().unwrap();
        assert_eq!(in_words(&counts), "1 without an ending, 2 .heic, 1 .txt, 2 hidden");
    }

    #[test]
    fn archives_that_are_no_shards_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs_err::create_dir(at("below")).unwrap();
        for name in ["a.tar", "b.TAR", "below/c.tar"] {
            tar::Builder::new(fs_err::File::create(at(name)).unwrap()).finish().unwrap();
        }
        for name in ["d.tar.gz", "e.tgz", "f.tar.partial", "stage.json", "g.txt"] {
            fs_err::write(at(name), "").unwrap();
        }
        let source = Source::Tar { path: folder.path().to_path_buf(), label: None };
        let mut keys = Vec::new();
        let counts = visit(&source, &mut |key, why| {
            keys.push(format!("{key}: {}", why.split("; ").last().unwrap_or_default()));
            Ok(())
        });
        let counts = counts.unwrap();
        keys.sort();
        assert!(keys[0].starts_with("below/c.tar: archives in folders below are not read"), "{keys:?}");
        assert_eq!(keys[1], "d.tar.gz: unpack it");
        assert_eq!(in_words(&counts), "1 .gz, 1 .partial, 1 .tar, 1 .tgz");
    }
}
