//! A data folder that is not as it was left: what came from here is mended, what people put there stays.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::ops::ControlFlow;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use dcgan_fetch::{Event, Install, Options, RemoteFile, Result, Summary, fetch};
use flate2::Compression;
use flate2::write::GzEncoder;

const FILES: [(&str, &[u8]); 3] =
    [("one.bin", b"the first"), ("two.bin", b"the second"), ("names.txt", b"a b")];

/// A mirror with an archive of the folder `set` and a plain file, and a data folder.
struct Place {
    outer: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { outer: tempfile::tempdir().unwrap() };
        std::fs::create_dir_all(place.path("mirror")).unwrap();
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (name, bytes) in FILES {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, format!("set/{name}"), bytes).unwrap();
        }
        let packed = tar.into_inner().unwrap().finish().unwrap();
        std::fs::write(place.path("mirror/set.tar.gz"), packed).unwrap();
        std::fs::write(place.path("mirror/plain.bin"), b"a plain file").unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.outer.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), text).unwrap();
    }

    fn fetch(&self, file: &RemoteFile) -> (Result<Summary>, String) {
        let mut notes = String::new();
        let mut observe = |event: Event<'_>| {
            if let Event::Note(note) = event {
                notes += &note;
                notes.push('\n');
            }
            ControlFlow::Continue(())
        };
        let mirror = self.path("mirror").display().to_string();
        let options = Options { mirrors: vec![mirror], official: false, attempts: 1, ..Options::default() };
        let outcome = fetch(std::slice::from_ref(file), &options, &self.path("data"), &mut observe);
        (outcome, notes)
    }

    /// Fetches the set, which must end well, and checks that it is whole and nothing of the work is left.
    fn mend(&self, file: &RemoteFile) -> String {
        let (outcome, notes) = self.fetch(file);
        outcome.unwrap();
        if file.name == "set.tar.gz" {
            for (name, bytes) in FILES {
                assert_eq!(self.read(&format!("data/set/{name}")).as_bytes(), bytes, "{name}");
            }
        } else {
            assert_eq!(self.read("data/plain/plain.bin"), "a plain file");
        }
        assert!(!self.path("data/.downloads").exists());
        assert_eq!(self.fetch(file).0.unwrap().n_verified, 1);
        notes
    }

    /// Fetches, which must fail.
    fn refuse(&self, file: &RemoteFile) -> String {
        self.fetch(file).0.unwrap_err().to_string()
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(folder)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn archive() -> RemoteFile {
    RemoteFile {
        name: "set.tar.gz".into(),
        urls: vec![],
        bytes: None,
        likely_bytes: None,
        checksum: None,
        install: Install::TarGz {
            folder: "set".into(),
            holds: vec![("one.bin".into(), Some(9)), ("two.bin".into(), Some(10))],
        },
        estimate: 0,
    }
}

fn plain() -> RemoteFile {
    RemoteFile {
        name: "plain.bin".into(),
        install: Install::File { path: "plain/plain.bin".into() },
        bytes: Some(12),
        // printf 'a plain file' | md5sum
        checksum: Some("md5:616775d15f2e56bc131ee71cbf6b722e".parse().unwrap()),
        ..archive()
    }
}

#[test]
fn notes_beside_the_files_of_a_set_survive_its_repair() {
    let place = Place::new();
    place.mend(&archive());
    place.write("data/set/notes/thesis", "mine");
    place.write("data/set/.hidden", "mine too");
    std::fs::remove_file(place.path("data/set/two.bin")).unwrap();
    assert!(place.mend(&archive()).contains("set/two.bin is missing; fetching it again"));
    assert_eq!(
        (place.read("data/set/notes/thesis"), place.read("data/set/.hidden")),
        ("mine".into(), "mine too".into())
    );
    assert_eq!(place.names("data/set"), [".hidden", "names.txt", "notes", "one.bin", "two.bin"]);
}

#[test]
fn a_file_that_has_changed_is_mended_and_its_bytes_are_kept() {
    let place = Place::new();
    for (file, name) in [(archive(), "data/set/names.txt"), (plain(), "data/plain/plain.bin")] {
        place.mend(&file);
        for (n, text) in [(".replaced", "my own names, edited"), (".replaced-2", "once again")] {
            place.write(name, text);
            let notes = place.mend(&file);
            assert!(
                notes.contains(&format!("what was there is kept as {}{n}", place.path(name).display())),
                "{notes}"
            );
            assert_eq!(place.read(&format!("{name}{n}")), text);
        }
    }
    // Of a file that was cut short nothing need be kept.
    place.write("data/set/one.bin", "the f");
    place.mend(&archive());
    assert!(!place.path("data/set/one.bin.replaced").exists());
}

#[test]
fn a_link_to_a_folder_is_followed_and_stays() {
    let place = Place::new();
    place.mend(&archive());
    std::fs::rename(place.path("data/set"), place.path("other_disk")).unwrap();
    symlink(place.path("other_disk"), place.path("data/set")).unwrap();
    place.write("other_disk/one.bin", "the f");
    place.mend(&archive());
    assert!(place.path("data/set").is_symlink());
    assert_eq!(place.names("other_disk"), ["names.txt", "one.bin", "two.bin"]);
    // Also a link that was there first.
    std::fs::create_dir(place.path("another")).unwrap();
    symlink(place.path("another"), place.path("data/plain")).unwrap();
    place.mend(&plain());
    assert!(place.path("data/plain").is_symlink() && place.path("another/plain.bin").is_file());
}

#[test]
fn a_link_to_a_folder_on_another_disk_is_filled_by_copies() {
    let Ok(other) = tempfile::tempdir_in("/dev/shm") else { return };
    let place = Place::new();
    std::fs::create_dir(place.path("data")).unwrap();
    symlink(other.path(), place.path("data/set")).unwrap();
    symlink(other.path(), place.path("data/plain")).unwrap();
    // Of a copy that was killed.
    std::fs::create_dir(other.path().join(".fetching")).unwrap();
    std::fs::write(other.path().join(".fetching/.made-by-dcgan-fetch"), "").unwrap();
    std::fs::write(other.path().join(".fetching/contents"), "half").unwrap();
    place.mend(&archive());
    place.mend(&plain());
    std::fs::remove_file(other.path().join("one.bin")).unwrap();
    place.mend(&archive());
    assert!(place.path("data/set").is_symlink());
    assert_eq!(place.names("data/set"), ["names.txt", "one.bin", "plain.bin", "two.bin"]);
}

#[test]
fn a_link_to_a_file_is_read_and_never_replaced() {
    let place = Place::new();
    for (file, name) in [(plain(), "data/plain/plain.bin"), (archive(), "data/set/one.bin")] {
        place.mend(&file);
        let text = place.read(name);
        place.write("elsewhere", &text);
        std::fs::remove_file(place.path(name)).unwrap();
        symlink(place.path("elsewhere"), place.path(name)).unwrap();
        place.mend(&file);
        place.write("elsewhere", "something that is mine");
        let error = place.refuse(&file);
        assert!(error.contains(name) && error.contains("(it is a link to "), "{error}");
        assert!(place.path(name).is_symlink());
        assert_eq!(place.read("elsewhere"), "something that is mine");
        std::fs::remove_file(place.path("elsewhere")).unwrap();
        let error = place.refuse(&file);
        assert!(error.contains("elsewhere, which does not exist"), "{error}");
        assert!(place.path(name).is_symlink());
    }
    // A folder on a disk that is not mounted.
    let place = Place::new();
    std::fs::create_dir(place.path("data")).unwrap();
    symlink(place.path("gone"), place.path("data/set")).unwrap();
    assert!(
        place.refuse(&archive()).contains("data/set: expected a file, a folder or nothing, found a link to")
    );
}

#[test]
fn a_file_of_the_user_under_the_name_of_one_of_the_set_is_refused_by_name() {
    let place = Place::new();
    place.write("data/set/names.txt", "my own names");
    let error = place.refuse(&archive());
    assert!(error.contains("data/set/names.txt: expected 3 bytes with sha256:"), "{error}");
    assert!(
        error.contains("(it was not fetched by this program, so it is not replaced: move it away"),
        "{error}"
    );
    // Nothing else was put there either; what has arrived waits.
    assert_eq!(place.names("data/set"), ["names.txt"]);
    assert_eq!(place.read("data/set/names.txt"), "my own names");
    std::fs::remove_file(place.path("mirror/set.tar.gz")).unwrap();
    std::fs::rename(place.path("data/set/names.txt"), place.path("data/set/mine.txt")).unwrap();
    place.mend(&archive());
    assert_eq!(place.read("data/set/mine.txt"), "my own names");
}

#[test]
fn a_file_that_was_there_first_stays_the_users_when_it_changes() {
    let place = Place::new();
    place.write("data/set/one.bin", "the first");
    place.write("data/set/two.bin", "the SECOND");
    place.fetch(&archive()).0.unwrap();
    place.write("data/set/one.bin", "my change");
    let error = place.refuse(&archive());
    assert!(
        error.contains("data/set/one.bin: expected sha256:") && error.contains("not fetched by this"),
        "{error}"
    );
    assert_eq!(place.read("data/set/one.bin"), "my change");
}

#[test]
fn a_folder_or_a_pipe_where_a_file_should_be_is_refused() {
    let place = Place::new();
    place.mend(&archive());
    std::fs::remove_file(place.path("data/set/one.bin")).unwrap();
    place.write("data/set/one.bin/mine", "mine");
    assert!(place.refuse(&archive()).contains("set/one.bin: expected a file, found a folder"));
    assert_eq!(place.read("data/set/one.bin/mine"), "mine");
    std::fs::create_dir(place.path("data/plain")).unwrap();
    let pipe = place.path("data/plain/plain.bin");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert!(place.refuse(&plain()).contains("expected a file, found a pipe, a socket or a device"));
    std::fs::remove_file(&pipe).unwrap();
    // Nor does a pipe in a mirror keep it waiting.
    std::fs::rename(place.path("mirror/plain.bin"), place.path("mirror/away")).unwrap();
    assert!(
        std::process::Command::new("mkfifo").arg(place.path("mirror/plain.bin")).status().unwrap().success()
    );
    assert!(place.refuse(&plain()).contains("mirror/plain.bin: expected a file, found"));
}

#[test]
fn files_of_the_user_among_the_downloads_stay() {
    let mine = |place: &Place, name: &str, file: &RemoteFile| {
        place.write(name, "mine");
        let error = place.refuse(file);
        let named = name.trim_end_matches("/thesis");
        assert!(error.contains(&format!("{}: expected nothing, or", place.path(named).display())), "{error}");
        assert_eq!(place.read(name), "mine");
        std::fs::remove_file(place.path(name)).unwrap();
    };
    let place = Place::new();
    for name in ["plain.bin", "plain.bin.part", "plain.bin.part.json", "plain.bin.json"] {
        mine(&place, &format!("data/.downloads/{name}"), &plain());
        place.mend(&plain());
        std::fs::remove_dir_all(place.path("data")).unwrap();
    }
    mine(&place, "data/.downloads/set.tar.gz.unpacking/thesis", &archive());
    mine_ledger(&place);
    // An archive that was put there by hand serves, and stays.
    std::fs::create_dir_all(place.path("data/.downloads")).unwrap();
    std::fs::rename(place.path("mirror/set.tar.gz"), place.path("data/.downloads/set.tar.gz")).unwrap();
    place.fetch(&archive()).0.unwrap();
    assert_eq!(place.read("data/set/one.bin"), "the first");
    assert!(place.path("data/.downloads/set.tar.gz").exists());
}

/// A file where the ledger is written first, and a link to the ledger.
fn mine_ledger(place: &Place) {
    std::fs::remove_dir_all(place.path("data")).unwrap();
    place.write("data/.fetched.json.tmp", "mine");
    assert!(place.refuse(&plain()).contains(".fetched.json.tmp: expected nothing, found"));
    assert_eq!(place.read("data/.fetched.json.tmp"), "mine");
    place.write("data/.fetched.json.tmp", "{\n  \"files\": {\n    \"ha");
    place.mend(&plain());
    std::fs::rename(place.path("data/.fetched.json"), place.path("ledger")).unwrap();
    symlink(place.path("ledger"), place.path("data/.fetched.json")).unwrap();
    std::fs::remove_file(place.path("data/plain/plain.bin")).unwrap();
    place.mend(&plain());
    assert!(place.path("data/.fetched.json").is_symlink());
    std::fs::remove_dir_all(place.path("data")).unwrap();
}

#[test]
fn a_kill_between_two_moves_is_mended_by_the_next_run() {
    let place = Place::new();
    place.write("data/set/mine", "mine");
    // Two of the three files were moved; the ledger was not written.
    place.write("data/set/one.bin", "the first");
    place.write("data/set/names.txt", "a b");
    place.mend(&archive());
    assert_eq!(place.names("data/set"), ["mine", "names.txt", "one.bin", "two.bin"]);
}
