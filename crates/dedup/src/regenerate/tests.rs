use dcgan_files::key;
use dcgan_images::{Damaged, LmdbWriter, Payload, Resize};

use super::*;
use crate::content::content;

/// A member of which the content is not known.
pub(super) fn unhashed(key: &str, representative: &str) -> Member {
    let (key, representative) = (key.to_owned(), representative.to_owned());
    Member { key, representative, distance: 0, pixel_distance: 0.0, blake3: None, elsewhere: false }
}

/// A member whose file holds its name.
fn member(key: &str, representative: &str) -> Member {
    hashed(key, representative, &key::name_of(key).unwrap())
}

pub(super) fn hashed(key: &str, representative: &str, bytes: &[u8]) -> Member {
    let blake3 = content(&Payload::Encoded(bytes.to_vec())).unwrap().blake3;
    Member { blake3: Some(blake3), ..unhashed(key, representative) }
}

fn groups() -> Vec<Vec<Member>> {
    vec![vec![member("b/2.jpg", "b/2.jpg"), member("a.jpg", "b/2.jpg"), member("c.jpg", "b/2.jpg")]]
}

/// a.jpg, b/2.jpg, c.jpg and d.jpg, each holding its name.
fn set(dir: &Path) -> Source {
    fs_err::create_dir_all(dir.join("b")).unwrap();
    for name in ["a.jpg", "b/2.jpg", "c.jpg", "d.jpg"] {
        fs_err::write(dir.join(name), name).unwrap();
    }
    Source::Folder { path: dir.to_path_buf(), classes: false }
}

fn run(source: &Source, target: Target, out: &Path) -> Result<RegenerateSummary> {
    fs_err::create_dir_all(out).unwrap();
    let readable = Readable { n_images: 4, bad: Default::default() };
    regenerate(source, &groups(), &readable, target, out, &mut |_, _| ControlFlow::Continue(()))
}

#[test]
fn folders_and_lists_hold_what_stays() {
    let dir = tempfile::tempdir().unwrap();
    let source = set(&dir.path().join("set"));
    for by in [LinkMode::Copy, LinkMode::HardLink, LinkMode::SymbolicLink] {
        let out = dir.path().join(format!("{by:?}"));
        let summary = run(&source, Target::Folder { by }, &out).unwrap();
        assert_eq!(summary, RegenerateSummary { n_kept: 2, n_removed: 2, n_bad: 0 });
        assert_eq!(fs_err::read_to_string(out.join(files::KEEP)).unwrap(), "b/2.jpg\nd.jpg\n");
        assert_eq!(fs_err::read_to_string(out.join(files::REMOVE)).unwrap(), "a.jpg\nc.jpg\n");
        for name in ["b/2.jpg", "d.jpg"] {
            assert_eq!(fs_err::read_to_string(out.join(files::PICTURES).join(name)).unwrap(), name);
        }
        assert!(!out.join(files::PICTURES).join("a.jpg").exists());
    }
    // Nothing was removed from the set itself.
    assert!(dir.path().join("set/a.jpg").exists() && dir.path().join("set/c.jpg").exists());
}

#[test]
fn an_lmdb_holds_what_stays() {
    let dir = tempfile::tempdir().unwrap();
    let source = set(&dir.path().join("set"));
    let out = dir.path().join("out");
    run(&source, Target::Lmdb, &out).unwrap();
    let records = Source::Lsun { path: out.join(files::LMDB) }.records().unwrap();
    let found: Vec<(String, Payload)> = records.map(|r| r.unwrap()).map(|r| (r.key, r.payload)).collect();
    let expected = ["b/2.jpg", "d.jpg"].map(|name| (name.to_owned(), Payload::Encoded(name.into())));
    assert_eq!(found, expected);
}

/// Five pictures, of which a.png is a duplicate of b.png, c.png cannot be decoded and d.png is known to be too large.
fn set_with_bad_ones(dir: &Path) -> Source {
    fs_err::create_dir_all(dir).unwrap();
    for name in ["a.png", "b.png", "d.png", "e.png"] {
        dcgan_images::grid::write_grid(&dir.join(name), &[7; 3 * 64], [1, 3, 8, 8], 1).unwrap();
    }
    fs_err::write(dir.join("c.png"), "no picture").unwrap();
    Source::Folder { path: dir.to_path_buf(), classes: false }
}

#[test]
fn what_cannot_be_read_is_listed_and_neither_kept_nor_counted() {
    let dir = tempfile::tempdir().unwrap();
    let source = set_with_bad_ones(&dir.path().join("set"));
    let groups = [vec![unhashed("b.png", "b.png"), unhashed("a.png", "b.png")]];
    let bad = [("d.png".to_owned(), "too large".to_owned())];
    // c.png lies behind what was decoded, or all was, or nothing.
    let some = Readable { n_images: 1, bad: bad.clone().into() };
    let all = Readable {
        n_images: 3,
        bad: bad.into_iter().chain([("c.png".to_owned(), "no picture".to_owned())]).collect(),
    };
    for (readable, kept) in
        [(some, "b.png\ne.png\n"), (all, "b.png\ne.png\n"), (Readable::default(), "b.png\nd.png\ne.png\n")]
    {
        for target in [
            Target::Lists,
            Target::Lmdb,
            Target::Folder { by: LinkMode::Copy },
            Target::Folder { by: LinkMode::HardLink },
            Target::Store { resize: Resize::Keep, damaged: Damaged::default() },
        ] {
            let out = tempfile::tempdir().unwrap();
            let summary = regenerate(&source, &groups, &readable, target, out.path(), &mut |_, _| {
                ControlFlow::Continue(())
            });
            let n_kept = kept.lines().count() as u64;
            let expected = RegenerateSummary { n_kept, n_removed: 1, n_bad: 4 - n_kept };
            assert_eq!(summary.unwrap(), expected, "{target:?}");
            let read = |name: &str| fs_err::read_to_string(out.path().join(name)).unwrap();
            assert_eq!((read(files::KEEP).as_str(), read(files::REMOVE).as_str()), (kept, "a.png\n"));
            let bad = dcgan_images::read_bad(&out.path().join(files::BAD)).unwrap();
            let bad: Vec<&str> = bad.iter().map(|(key, _)| key.as_str()).collect();
            let expected = ["c.png", "d.png"].into_iter().filter(|name| !kept.contains(name));
            assert!(bad.iter().copied().eq(expected), "{bad:?}");
            if let Target::Folder { .. } = target {
                let written = fs_err::read_dir(out.path().join(files::PICTURES)).unwrap();
                assert_eq!(written.count() as u64, n_kept);
            }
        }
    }
}

#[cfg(unix)]
#[test]
fn names_of_any_bytes_are_listed_in_one_line_and_written_as_they_are() {
    use std::os::unix::ffi::OsStrExt as _;

    let dir = tempfile::tempdir().unwrap();
    let names = [&b"caf\xe8.jpg"[..], b"caf\xe9.jpg", b"a\nb.jpg", b"c\rd\te.jpg"];
    let at = |folder: &Path, name: &[u8]| folder.join(std::ffi::OsStr::from_bytes(name));
    fs_err::create_dir(dir.path().join("set")).unwrap();
    for name in names {
        fs_err::write(at(&dir.path().join("set"), name), name).unwrap();
    }
    let source = Source::Folder { path: dir.path().join("set"), classes: false };
    let groups = [vec![member(r"caf\xe8.jpg", r"caf\xe8.jpg"), member(r"caf\xe9.jpg", r"caf\xe8.jpg")]];
    let readable = Readable { n_images: 4, bad: Default::default() };
    for target in [Target::Folder { by: LinkMode::Copy }, Target::Lmdb] {
        let out = tempfile::tempdir().unwrap();
        regenerate(&source, &groups, &readable, target, out.path(), &mut |_, _| ControlFlow::Continue(()))
            .unwrap();
        let read = |name: &str| fs_err::read_to_string(out.path().join(name)).unwrap();
        assert_eq!(read(files::KEEP), "a\\x0ab.jpg\nc\\x0dd\\x09e.jpg\ncaf\\xe8.jpg\n");
        assert_eq!(read(files::REMOVE), "caf\\xe9.jpg\n");
        if target == Target::Lmdb {
            let records = Source::Lsun { path: out.path().join(files::LMDB) }.records().unwrap();
            let keys: Vec<String> = records.map(|record| record.unwrap().key).collect();
            assert_eq!(keys.join("\n") + "\n", read(files::KEEP));
        } else {
            for name in [names[0], names[2], names[3]] {
                assert_eq!(fs_err::read(at(&out.path().join(files::PICTURES), name)).unwrap(), name);
            }
        }
    }
}

/// The temporary folder and shared memory are two file systems nearly everywhere.
#[cfg(target_os = "linux")]
#[test]
fn hard_links_to_another_file_system_are_refused_with_what_serves_there() {
    use std::os::unix::fs::MetadataExt as _;

    let dir = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir_in("/dev/shm").ok();
    let device = |dir: &tempfile::TempDir| dir.path().metadata().unwrap().dev();
    let Some(elsewhere) = elsewhere.filter(|other| device(other) != device(&dir)) else {
        println!("skipped: /dev/shm is no file system of its own");
        return;
    };
    let source = set(&elsewhere.path().join("set"));
    let message =
        run(&source, Target::Folder { by: LinkMode::HardLink }, dir.path()).unwrap_err().to_string();
    let expected = "set/b/2.jpg: expected a file on the file system of the output, as by=hard_link needs it, found one on another; \
                    by=copy or by=symbolic_link serves";
    assert!(message.ends_with(expected), "{message}");
}

#[test]
fn two_pictures_that_would_be_one_file_are_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let lmdb = dir.path().join("lmdb");
    let mut writer = LmdbWriter::create(&lmdb).unwrap();
    for name in [&b"a"[..], b"a.jpg"] {
        writer.put(name, [&[0xff, 0xd8], name].concat()).unwrap();
    }
    writer.finish().unwrap();
    let readable = Readable { n_images: 2, bad: Default::default() };
    let target = Target::Folder { by: LinkMode::Copy };
    let source = Source::Lsun { path: lmdb };
    let go = &mut |_: u64, _: u64| ControlFlow::Continue(());
    let message = regenerate(&source, &[], &readable, target, dir.path(), go).unwrap_err().to_string();
    let expected = "lmdb: expected keys that are different file names, with their endings, found a.jpg for the keys a and a.jpg; \
                    target=lmdb keeps keys as they are";
    assert!(message.ends_with(expected), "{message}");
    // Nothing was written over.
    assert_eq!(fs_err::read(dir.path().join("pictures/a.jpg")).unwrap(), b"\xff\xd8a");
}

/// A store takes what is large enough for its crop.
#[test]
fn where_the_store_cannot_take_the_one_that_stays_another_of_its_group_stays() {
    let small = ["b.png", "c.png"];
    // (the set, of which b.png stays for all others but d.png; what is kept, what is removed, what is bad)
    for (set, keep, remove, bad) in [
        (&["a.png", "b.png", "c.png", "d.png", "e.png"][..], "a.png\nd.png\n", "e.png\n", &small[..]),
        (&["a.png", "b.png"], "a.png\n", "", &["b.png"]),
        (&["b.png", "c.png", "d.png"], "d.png\n", "", &small),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("set");
        fs_err::create_dir(&folder).unwrap();
        for name in set {
            let side = if small.contains(name) { 8 } else { 16 };
            let pixels = vec![7; 3 * side * side];
            dcgan_images::grid::write_grid(&folder.join(name), &pixels, [1, 3, side, side], 1).unwrap();
        }
        let bytes = |name: &str| fs_err::read(folder.join(name)).unwrap();
        let named = ["b.png"].into_iter().chain(set.iter().copied().filter(|name| *name != "b.png"));
        let group = named.filter(|name| *name != "d.png").map(|name| hashed(name, "b.png", &bytes(name)));
        let groups = vec![group.collect::<Vec<_>>()];
        let readable = Readable { n_images: set.len() as u64, bad: Default::default() };
        let target = Target::Store { resize: Resize::CentreCrop(16), damaged: Damaged::Refuse };
        let source = Source::Folder { path: folder.clone(), classes: false };
        let out = dir.path().join("out");
        fs_err::create_dir(&out).unwrap();
        let go = &mut |_: u64, _: u64| ControlFlow::Continue(());
        let summary = regenerate(&source, &groups, &readable, target, &out, go).unwrap();
        let read = |name: &str| fs_err::read_to_string(out.join(name)).unwrap();
        assert_eq!((read(files::KEEP).as_str(), read(files::REMOVE).as_str()), (keep, remove), "{set:?}");
        let found = dcgan_images::read_bad(&out.join(files::BAD)).unwrap();
        assert!(found.iter().map(|(key, _)| key.as_str()).eq(bad.iter().copied()), "{found:?}");
        let [n_kept, n_removed] = [keep, remove].map(|list| list.lines().count() as u64);
        assert_eq!(summary, RegenerateSummary { n_kept, n_removed, n_bad: bad.len() as u64 });
        let keys = dcgan_images::ImageStore::open(&out).unwrap().keys().unwrap();
        assert_eq!(keys.join("\n") + "\n", keep);
    }
}

#[test]
fn archives_are_written_under_their_names_without_what_goes() {
    let dir = tempfile::tempdir().unwrap();
    let set = dir.path().join("set");
    fs_err::create_dir(&set).unwrap();
    let archive = |path: &Path, members: &[&str]| {
        let mut archive = tar::Builder::new(fs_err::File::create(path).unwrap());
        for name in members {
            let mut header = tar::Header::new_gnu();
            header.set_size(name.len() as u64);
            header.set_cksum();
            archive.append_data(&mut header, name, name.as_bytes()).unwrap();
        }
        archive.finish().unwrap();
    };
    archive(&set.join("0.tar"), &["a.jpg", "a.cls", "b.jpg", "b.cls"]);
    archive(&set.join("1.tar"), &["c.jpg", "c.cls", "d.jpg", "d.cls"]);
    let source = Source::Tar { path: set.clone(), label: Some(dcgan_images::TarLabel::None) };
    let member =
        |key: &str| hashed(&format!("{key}.jpg"), "0.tar/b.jpg", format!("{}.jpg", &key[6..]).as_bytes());
    let groups = [vec![member("0.tar/b"), member("1.tar/c"), member("0.tar/a")]];
    let out = dir.path().join("out");
    fs_err::create_dir(&out).unwrap();
    let readable = Readable { n_images: 4, bad: Default::default() };
    let summary =
        regenerate(&source, &groups, &readable, Target::Tars, &out, &mut |_, _| ControlFlow::Continue(()))
            .unwrap();
    assert_eq!(summary, RegenerateSummary { n_kept: 2, n_removed: 2, n_bad: 0 });
    for (name, left) in [("0.tar", ["b.jpg", "b.cls"]), ("1.tar", ["d.jpg", "d.cls"])] {
        archive(&dir.path().join(name), &left);
        let (written, expected) = (
            fs_err::read(out.join(files::TARS).join(name)).unwrap(),
            fs_err::read(dir.path().join(name)).unwrap(),
        );
        assert!(written == expected, "{name}");
    }
    let other = Source::Folder { path: set, classes: false };
    fs_err::create_dir(dir.path().join("other")).unwrap();
    let refused = Writer::create(&other, Target::Tars, &dir.path().join("other"));
    assert!(refused.is_err_and(|error| error.to_string().contains("a set of tars")));
}
