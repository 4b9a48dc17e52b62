//! Tar archives of JPEG, PNG and WebP files, as WebDataset writes them: one archive, or a folder of shards.
//!
//! Format: <https://github.com/webdataset/webdataset>.

use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};

use super::members::Members;
use super::tar_members::{self, Kind, Place, is_hidden};
use super::{Records, folder, name_of, shards, tar_labels};
use crate::{Record, Result, TarLabel};

/// Records that the reading thread is ahead, at most.
const N_AHEAD: usize = 64;

/// All images, archive by archive in the order of their names, each read once from front to back on a thread of its own.
/// The key is `shard.tar/path/in/it.jpg`. A member that is there twice is an error.
pub(crate) fn records(path: &Path, label: Option<TarLabel>) -> Result<Records> {
    let shards = shards(path)?;
    let all = 0..shards.len();
    records_of(shards, all, label)
}

/// The same of some of a set's archives.
pub(crate) fn records_of(
    mut shards: Vec<PathBuf>,
    range: Range<usize>,
    label: Option<TarLabel>,
) -> Result<Records> {
    let label = tar_labels::of_set(&shards, label);
    let shards: Vec<PathBuf> = shards.drain(range).collect();
    let (sender, receiver) = sync_channel(N_AHEAD);
    std::thread::Builder::new().name("tar-shards".into()).spawn(move || {
        for shard in shards {
            match send_all(&shard, label, &sender) {
                Ok(true) => {}
                Ok(false) => return,
                Err(e) => {
                    // A receiver that is gone has no use for the error.
                    let _ = sender.send(Err(e));
                    return;
                }
            }
        }
    })?;
    Ok(Box::new(receiver.into_iter()))
}

pub(crate) fn shards(path: &Path) -> Result<Vec<PathBuf>> {
    shards::shards(path, "tar")
}

/// Sends every image of an archive; false if nobody listens any more.
fn send_all(path: &Path, label: TarLabel, sender: &SyncSender<Result<Record>>) -> Result<bool> {
    let source = name_of(path);
    let mut members = Members::default();
    let labels = tar_labels::of(path, label)?;
    let done = tar_members::visit(Place::file(path), &mut tar_members::open(path)?, &mut |mut member| {
        let is_image = folder::has_image_ending(member.path()) && !is_hidden(member.path());
        if member.kind == Kind::Folder || !is_image {
            return Ok(ControlFlow::Continue(()));
        }
        members.note(path, &member.name, member.offset)?;
        let key = format!("{source}/{}", member.key);
        let payload = member.payload(path, &key)?;
        let label = labels.get(tar_labels::sample(&member.key)).copied();
        let record = Record { key, label, source: source.clone(), payload };
        Ok(match sender.send(Ok(record)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        })
    })?;
    Ok(done.is_continue())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Payload;

    fn shard(path: &Path, names: &[&str]) {
        let mut archive = tar::Builder::new(fs_err::File::create(path).unwrap());
        for name in names {
            let mut header = tar::Header::new_gnu();
            header.set_size(name.len() as u64);
            header.set_cksum();
            archive.append_data(&mut header, name, name.as_bytes()).unwrap();
        }
        archive.finish().unwrap();
    }

    #[test]
    fn images_of_all_shards_in_order() {
        let folder = tempfile::tempdir().unwrap();
        shard(&folder.path().join("b.tar"), &["3.webp"]);
        shard(
            &folder.path().join("a.tar"),
            &["1.jpg", "1.json", "._1.jpg", ".trash/0.jpg", "x/@eaDir/2.jpg", "x/2.PNG"],
        );
        fs_err::write(folder.path().join("readme.txt"), "").unwrap();
        let found: Vec<(String, Payload)> =
            records(folder.path(), None).unwrap().map(|r| r.unwrap()).map(|r| (r.key, r.payload)).collect();
        let keys: Vec<&str> = found.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["a.tar/1.jpg", "a.tar/x/2.PNG", "b.tar/3.webp"]);
        assert_eq!(found[1].1, Payload::Encoded(b"x/2.PNG".to_vec()));
        assert_eq!(records(&folder.path().join("b.tar"), None).unwrap().count(), 1);
    }

    #[test]
    fn a_member_that_is_there_twice_is_an_error_that_names_both_places() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tar");
        let mut archive = tar::Builder::new(fs_err::File::create(&path).unwrap());
        for name in ["1.jpg", "b/1.jpg", "1.txt", "1.txt", "./b//1.jpg"] {
            // As it stands: `append_data` would write the last one as `b/1.jpg`.
            let mut header = tar::Header::new_gnu();
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(name.len() as u64);
            header.set_cksum();
            archive.append(&header, name.as_bytes()).unwrap();
        }
        archive.finish().unwrap();
        let found: Vec<Result<Record>> = records(&path, None).unwrap().collect();
        assert_eq!(found.len(), 3);
        let message = found[2].as_ref().unwrap_err().to_string();
        let expected = "a.tar: expected each member once, found ./b//1.jpg at byte 1024 and at byte 4096";
        assert!(message.ends_with(expected), "{message}");
    }

    #[test]
    fn names_that_are_not_utf8_have_keys_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tar");
        let mut archive = tar::Builder::new(fs_err::File::create(&path).unwrap());
        for name in [b"caf\xe8.jpg", b"caf\xe9.jpg", b"caf\n.jpg"] {
            let mut header = tar::Header::new_gnu();
            header.as_mut_bytes()[..name.len()].copy_from_slice(name);
            header.set_size(0);
            header.set_cksum();
            archive.append(&header, &[][..]).unwrap();
        }
        archive.finish().unwrap();
        let keys: Vec<String> = records(&path, None).unwrap().map(|record| record.unwrap().key).collect();
        assert_eq!(keys, [r"a.tar/caf\xe8.jpg", r"a.tar/caf\xe9.jpg", r"a.tar/caf\x0a.jpg"]);
    }

    #[test]
    fn an_archive_that_breaks_off_is_an_error_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tar");
        shard(&path, &["1.jpg", "2.jpg"]);
        let bytes = fs_err::read(&path).unwrap();
        fs_err::write(&path, &bytes[..1100]).unwrap();
        let last = records(&path, None).unwrap().last().unwrap();
        assert!(last.unwrap_err().to_string().contains("a.tar"));
        let empty = tempfile::tempdir().unwrap();
        assert!(records(empty.path(), None).is_err());
    }
}
