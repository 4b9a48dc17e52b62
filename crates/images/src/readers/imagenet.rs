//! ImageNet-1k's training set: `ILSVRC2012_img_train.tar`, a tar of one tar a synset (`n01440764.tar`), or the folder it
//! is unpacked to. The sorted synsets are the classes.

use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};

use super::{Records, folder, name_of};
use crate::record::MAX_FILE_BYTES;
use crate::{ImagesError, Payload, Record, Result};

/// Records that the reading thread is ahead, at most.
const N_AHEAD: usize = 64;

/// The synsets of the unpacked folder: its folders named `n` and eight digits.
pub(crate) fn folder_classes(path: &Path) -> Result<Vec<String>> {
    let classes = folder::classes(path)?;
    match classes.iter().find(|name| !is_synset(name)) {
        None => Ok(classes),
        Some(name) => {
            Err(ImagesError::layout(path, "folders named as synsets (n01440764)", format!("{name:?}")))
        }
    }
}

/// The synsets of the tar of tars, by its headers alone, sorted.
pub(crate) fn tar_classes(path: &Path) -> Result<Vec<String>> {
    let broken = |e: std::io::Error| unreadable(path, &e);
    let mut archive = tar::Archive::new(fs_err::File::open(path)?);
    let mut classes = Vec::new();
    for entry in archive.entries_with_seek().map_err(broken)? {
        let entry = entry.map_err(broken)?;
        if entry.header().entry_type().is_file() {
            classes.push(synset_of(path, &entry.path().map_err(broken)?)?);
        }
    }
    if classes.is_empty() {
        return Err(ImagesError::NoImages { path: path.to_path_buf(), expected: "one tar a synset".into() });
    }
    classes.sort();
    classes.dedup();
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
    let broken = |e: std::io::Error| unreadable(path, &e);
    let file = BufReader::with_capacity(1 << 20, fs_err::File::open(path)?);
    let source = name_of(path);
    for synset in tar::Archive::new(file).entries().map_err(broken)? {
        let synset = synset.map_err(broken)?;
        if !synset.header().entry_type().is_file() {
            continue;
        }
        let class = synset_of(path, &synset.path().map_err(broken)?)?;
        let label = classes.binary_search(&class).ok().map(|label| label as u32);
        for image in tar::Archive::new(synset).entries().map_err(broken)? {
            let mut image = image.map_err(broken)?;
            let name = image.path().map_err(broken)?.into_owned();
            if !image.header().entry_type().is_file() || !folder::has_image_ending(&name) {
                continue;
            }
            let (key, n_bytes) = (format!("{class}/{}", name_of(&name)), image.size());
            let payload = Payload::Encoded(read_image(path, &mut image, n_bytes, &key)?);
            if sender.send(Ok(Record { key, label, source: source.clone(), payload })).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn read_image(path: &Path, image: &mut dyn Read, n_bytes: u64, key: &str) -> Result<Vec<u8>> {
    if n_bytes > MAX_FILE_BYTES {
        let expected = format!("an image {key} of at most {MAX_FILE_BYTES} bytes");
        return Err(ImagesError::layout(path, expected, n_bytes.to_string()));
    }
    let mut bytes = Vec::with_capacity(n_bytes as usize);
    image.read_to_end(&mut bytes).map_err(|e| unreadable(path, &e))?;
    if bytes.len() as u64 != n_bytes {
        let expected = format!("an image {key} of {n_bytes} bytes");
        return Err(ImagesError::layout(
            path,
            expected,
            format!("{} and the end of the archive", bytes.len()),
        ));
    }
    Ok(bytes)
}

/// `n01440764` of `n01440764.tar`, whatever folder it is in.
fn synset_of(archive: &Path, entry: &Path) -> Result<String> {
    let name = name_of(entry);
    match name.strip_suffix(".tar") {
        Some(synset) if is_synset(synset) => Ok(synset.to_owned()),
        _ => Err(ImagesError::layout(archive, "tars named as synsets (n01440764.tar)", format!("{name:?}"))),
    }
}

fn is_synset(name: &str) -> bool {
    name.len() == 9 && name.strip_prefix('n').is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
}

fn unreadable(path: &Path, error: &std::io::Error) -> ImagesError {
    ImagesError::layout(path, "a tar of one tar a synset", error.to_string())
}
