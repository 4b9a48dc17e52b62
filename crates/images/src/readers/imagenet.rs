//! ImageNet-1k's training set: `ILSVRC2012_img_train.tar`, a tar of one tar a synset (`n01440764.tar`), or the folder it
//! is unpacked to. The sorted synsets are the classes.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};

use super::members::Members;
use super::tar_members::{self, Kind, Member, Place};
use super::{Records, folder, name_of};
use crate::{ImagesError, Record, Result};

/// Records that the reading thread is ahead, at most.
const N_AHEAD: usize = 64;

/// The synsets of the unpacked folder: its folders named `n` and eight digits.
pub(crate) fn folder_classes(path: &Path) -> Result<Vec<folder::Class>> {
    let classes = folder::classes(path)?;
    match classes.iter().find(|class| !is_synset(&class.name)) {
        None => Ok(classes),
        Some(class) => Err(ImagesError::layout(
            path,
            "folders named as synsets (n01440764)",
            format!("{:?}", class.name),
        )),
    }
}

/// The synsets of the tar of tars, by its headers alone, sorted.
pub(crate) fn tar_classes(path: &Path) -> Result<Vec<String>> {
    let (mut classes, mut members) = (Vec::new(), Members::default());
    tar_members::visit_headers(path, true, &mut |member| {
        if let Some(class) = synset_of(path, &member)? {
            members.note(path, class.as_bytes(), member.offset)?;
            classes.push(class);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    if classes.is_empty() {
        return Err(ImagesError::NoImages { path: path.to_path_buf(), expected: "one tar a synset".into() });
    }
    classes.sort();
    Ok(classes)
}

/// All images of the tar of tars, in the archive's order, read once from front to back on a thread of its own.
pub(crate) fn tar_records(path: &Path) -> Result<Records> {
    let classes = tar_classes(path)?;
    let path = path.to_path_buf();
    let (sender, receiver) = sync_channel(N_AHEAD);
    std::thread::Builder::new().name("imagenet-tar".into()).spawn(move || {
        if let Err(e) = send_all(&path, &classes, &sender) {
            // A receiver that is gone has no use for the error.
            let _ = sender.send(Err(e));
        }
    })?;
    Ok(Box::new(receiver.into_iter()))
}

/// Sends every image until the archive ends or nobody listens any more.
fn send_all(path: &Path, classes: &[String], sender: &SyncSender<Result<Record>>) -> Result<()> {
    let outer = &mut tar_members::open(path)?;
    let _ = tar_members::visit(Place::file(path), outer, &mut |synset| match synset_of(path, &synset)? {
        Some(class) => send_synset(path, &class, classes, synset, sender),
        None => Ok(ControlFlow::Continue(())),
    })?;
    Ok(())
}

/// Sends every image of a synset's archive; breaks if nobody listens any more.
fn send_synset(
    path: &Path,
    class: &str,
    classes: &[String],
    synset: Member<'_>,
    sender: &SyncSender<Result<Record>>,
) -> Result<ControlFlow<()>> {
    let source = name_of(path);
    let label = classes.binary_search_by(|known| known.as_str().cmp(class)).ok().map(|label| label as u32);
    let mut members = Members::default();
    let place = Place { path, base: synset.contents_offset, within: &synset.key };
    tar_members::visit(place, synset.contents, &mut |mut image| {
        if image.kind == Kind::Folder || !folder::has_image_ending(image.path()) {
            return Ok(ControlFlow::Continue(()));
        }
        let name = image.path().file_name().unwrap_or_default().to_string_lossy();
        let key = format!("{class}/{name}");
        // By the key: the folders that an image is in within its synset's archive are no part of that.
        members.note(path, key.as_bytes(), image.offset)?;
        let payload = image.payload(path, &key)?;
        Ok(match sender.send(Ok(Record { key, label, source: source.clone(), payload })) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        })
    })
}

/// `n01440764` of `n01440764.tar`, whatever folder it is in; none of a folder.
fn synset_of(archive: &Path, member: &Member<'_>) -> Result<Option<String>> {
    let name = member.path().file_name().unwrap_or_default().to_string_lossy();
    let unexpected = |found| {
        Err(ImagesError::malformed(archive, member.offset, "tars named as synsets (n01440764.tar)", found))
    };
    match (&member.kind, name.strip_suffix(".tar")) {
        (Kind::Folder, _) => Ok(None),
        (Kind::File, Some(synset)) if is_synset(synset) => Ok(Some(synset.to_owned())),
        (Kind::File, _) => unexpected(format!("\"{name}\"")),
        (Kind::Other(what), _) => unexpected(format!("\"{name}\", {what}")),
    }
}

fn is_synset(name: &str) -> bool {
    name.len() == 9 && name.strip_prefix('n').is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Payload;

    fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            builder.append_data(&mut header, name, *bytes).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn written(archive: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ILSVRC2012_img_train.tar");
        std::fs::write(&path, archive).unwrap();
        (folder, path)
    }

    /// The archive's order is not that of the synsets.
    fn train() -> Vec<u8> {
        let tench = tar_of(&[("n01440764_18.JPEG", b"one"), ("n01440764_36.JPEG", b"two")]);
        let shark = tar_of(&[("n01484850_4.JPEG", b"three")]);
        tar_of(&[("n01484850.tar", &shark), ("n01440764.tar", &tench)])
    }

    #[test]
    fn a_tar_of_tars_is_streamed_with_sorted_synsets_as_labels() {
        let (_folder, path) = written(&train());
        assert_eq!(tar_classes(&path).unwrap(), ["n01440764", "n01484850"]);
        let records: Vec<Record> = tar_records(&path).unwrap().collect::<Result<_>>().unwrap();
        let found: Vec<(&str, Option<u32>)> = records.iter().map(|r| (r.key.as_str(), r.label)).collect();
        let expected = [
            ("n01484850/n01484850_4.JPEG", Some(1)),
            ("n01440764/n01440764_18.JPEG", Some(0)),
            ("n01440764/n01440764_36.JPEG", Some(0)),
        ];
        assert_eq!(found, expected);
        assert_eq!(records[0].payload, Payload::Encoded(b"three".to_vec()));
    }

    #[test]
    fn a_synset_or_an_image_that_is_there_twice_is_an_error() {
        let tench = tar_of(&[("n01440764_18.JPEG", b"one"), ("again/n01440764_18.JPEG", b"two")]);
        let (_folder, path) = written(&tar_of(&[("n01440764.tar", &tench)]));
        let all: Result<Vec<Record>> = tar_records(&path).unwrap().collect();
        let message = all.unwrap_err().to_string();
        let expected = "each member once, found n01440764/n01440764_18.JPEG at byte 512 and at byte 1536";
        assert!(message.ends_with(expected), "{message}");
        let (_folder, path) = written(&tar_of(&[("a/n01440764.tar", b""), ("b/n01440764.tar", b"")]));
        let message = tar_classes(&path).unwrap_err().to_string();
        assert!(
            message.ends_with("each member once, found n01440764 at byte 0 and at byte 512"),
            "{message}"
        );
    }

    #[test]
    fn a_reader_that_is_given_up_ends_its_thread() {
        let many: Vec<(String, Vec<u8>)> =
            (0..300).map(|i| (format!("n01440764_{i}.JPEG"), vec![0; 100])).collect();
        let many: Vec<(&str, &[u8])> = many.iter().map(|(n, b)| (n.as_str(), b.as_slice())).collect();
        let (_folder, path) = written(&tar_of(&[("n01440764.tar", &tar_of(&many))]));
        let mut records = tar_records(&path).unwrap();
        assert!(records.next().unwrap().is_ok());
        drop(records);
        assert_eq!(tar_records(&path).unwrap().count(), 300);
    }

    #[test]
    fn other_archives_and_broken_ones_are_errors() {
        let (_folder, path) = written(&tar_of(&[("cat.jpg", b"jpeg")]));
        let complaint = tar_classes(&path).unwrap_err().to_string();
        assert!(
            complaint.ends_with("expected tars named as synsets (n01440764.tar), found \"cat.jpg\""),
            "{complaint}"
        );
        let (_folder, path) = written(b"");
        let complaint = tar_classes(&path).unwrap_err().to_string();
        assert!(
            complaint.contains("at byte 0: expected a tar archive, found the end of the file"),
            "{complaint}"
        );
        let (_folder, path) = written(&[0; 1024]);
        assert!(matches!(tar_classes(&path), Err(ImagesError::NoImages { .. })));
        let archive = train();
        // In the middle of an inner tar: the headers of the outer one still promise more.
        let (_folder, path) = written(&archive[..2600]);
        let result: Result<Vec<Record>> = tar_records(&path).and_then(Iterator::collect);
        assert!(result.unwrap_err().to_string().contains("ILSVRC2012_img_train.tar"));
    }

    #[test]
    fn the_unpacked_folder_must_hold_synsets() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["n01484850", "n01440764"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let classes = folder::names(folder_classes(folder.path()).unwrap());
        assert_eq!(classes, ["n01440764", "n01484850"]);
        std::fs::create_dir(folder.path().join("val")).unwrap();
        assert!(folder_classes(folder.path()).unwrap_err().to_string().ends_with("found \"val\""));
    }
}
