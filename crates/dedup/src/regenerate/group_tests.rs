//! A set that is no longer the one that was grouped, and groups that contradict themselves.

use std::path::PathBuf;

use dcgan_images::{Damaged, Resize};

use super::tests::{hashed, unhashed};
use super::*;

/// Every target.
const TARGETS: [Target; 4] = [
    Target::Lists,
    Target::Lmdb,
    Target::Folder { by: LinkMode::Copy },
    Target::Store { resize: Resize::Keep, damaged: Damaged::Refuse },
];

/// a.png, b.png and c.png, the same picture, of which `groups` keep b.png.
struct Threefold {
    dir: tempfile::TempDir,
    source: Source,
    groups: Vec<Vec<Member>>,
}

impl Threefold {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let set = dir.path().join("set");
        fs_err::create_dir(&set).unwrap();
        for name in ["a.png", "b.png", "c.png"] {
            dcgan_images::grid::write_grid(&set.join(name), &[7; 3 * 64], [1, 3, 8, 8], 1).unwrap();
        }
        let bytes = fs_err::read(set.join("a.png")).unwrap();
        let groups = vec![["b.png", "a.png", "c.png"].map(|key| hashed(key, "b.png", &bytes)).to_vec()];
        Self { dir, source: Source::Folder { path: set, classes: false }, groups }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join("set").join(name)
    }

    /// Writes anew what can be read of it; the lists are there or the error is.
    fn regenerate(&self, target: Target) -> std::result::Result<[String; 2], String> {
        let out = tempfile::tempdir().unwrap();
        let readable = Readable { n_images: 3, bad: Default::default() };
        let go = &mut |_: u64, _: u64| ControlFlow::Continue(());
        let done = regenerate(&self.source, &self.groups, &readable, target, out.path(), go);
        let lists = [files::KEEP, files::REMOVE].map(|name| out.path().join(name));
        match done {
            Ok(_) => Ok(lists.map(|list| fs_err::read_to_string(list).unwrap())),
            Err(e) => {
                assert!(lists.iter().all(|list| !list.exists()), "{e}");
                assert!(!out.path().join("meta.json").exists(), "{e}");
                Err(e.to_string())
            }
        }
    }

    fn refused(&self, expected: &str) {
        for target in TARGETS {
            let message = self.regenerate(target).unwrap_err();
            assert!(message.ends_with(&format!("{expected}; hash the set and group it anew")), "{message}");
        }
    }
}

#[test]
fn a_set_as_it_was_hashed_is_written_as_every_target() {
    let set = Threefold::new();
    for target in TARGETS {
        assert_eq!(set.regenerate(target).unwrap(), ["b.png\n", "a.png\nc.png\n"]);
    }
}

#[test]
fn a_picture_of_the_groups_that_is_gone_is_an_error() {
    let set = Threefold::new();
    fs_err::remove_file(set.at("b.png")).unwrap();
    set.refused("set: b.png is to stay for its duplicates, but is not in the set");
    let set = Threefold::new();
    fs_err::remove_file(set.at("a.png")).unwrap();
    fs_err::remove_file(set.at("c.png")).unwrap();
    set.refused("a.png is to be removed as a duplicate, but is not in the set, nor are 1 others");
}

#[test]
fn a_picture_of_the_groups_that_has_changed_is_an_error() {
    for (name, role) in
        [("b.png", "is to stay for its duplicates"), ("c.png", "is to be removed as a duplicate")]
    {
        let set = Threefold::new();
        dcgan_images::grid::write_grid(&set.at(name), &[8; 3 * 64], [1, 3, 8, 8], 1).unwrap();
        set.refused(&format!("{name} {role}, but is not the picture that was hashed"));
    }
}

/// Groups of earlier versions.
#[test]
fn where_no_contents_are_known_the_one_that_stays_must_be_readable() {
    let mut set = Threefold::new();
    set.groups.iter_mut().flatten().for_each(|member| member.blake3 = None);
    assert_eq!(set.regenerate(Target::Lists).unwrap(), ["b.png\n", "a.png\nc.png\n"]);
    fs_err::write(set.at("b.png"), "no picture").unwrap();
    let message = set.regenerate(Target::Lists).unwrap_err();
    assert!(
        message.contains("b.png is to stay for its duplicates, but cannot be read: no JPEG"),
        "{message}"
    );
}

#[test]
fn groups_in_which_the_one_that_stays_does_not_are_refused() {
    let group =
        |pairs: &[[&str; 2]]| pairs.iter().map(|[key, stays]| unhashed(key, stays)).collect::<Vec<_>>();
    for (groups, expected) in [
        (
            vec![group(&[["a.png", "x.png"], ["b.png", "x.png"]])],
            "x.png is to stay for a.png, but is in no group",
        ),
        (
            vec![group(&[["a.png", "c.png"]]), group(&[["c.png", "c.png"], ["b.png", "c.png"]])],
            "c.png is to stay for a.png, but is in another group",
        ),
        (
            vec![group(&[["a.png", "b.png"], ["b.png", "a.png"]])],
            "b.png is to stay for a.png, but is itself removed for a.png",
        ),
        (
            vec![group(&[["a.png", "b.png"], ["b.png", "c.png"], ["c.png", "c.png"]])],
            "b.png is to stay for a.png, but is itself removed for c.png",
        ),
        (
            vec![
                group(&[["a.png", "a.png"], ["b.png", "a.png"]]),
                group(&[["c.png", "c.png"], ["a.png", "c.png"]]),
            ],
            "a.png stands twice in the groups",
        ),
        (
            vec![group(&[["a.png", "a.png"], ["b.png", "b.png"], ["c.png", "b.png"]])],
            "b.png is to stay, but so is a.png of the same group",
        ),
    ] {
        let set = Threefold { groups, ..Threefold::new() };
        set.refused(expected);
    }
}

#[cfg(unix)]
#[test]
fn a_link_shares_the_fate_of_its_file_and_a_file_stays_rather_than_a_link() {
    use std::os::unix::fs::symlink;

    // (to what b.png leads, what the lists then hold)
    for (to, keep, remove) in [
        ("c.png", "b.png\nc.png\n", "a.png\n"),
        ("../outside.png", "a.png\n", "b.png\nc.png\n"),
        // To a file that is in no group, which stays whatever becomes of the link.
        ("d.png", "a.png\nd.png\n", "b.png\nc.png\n"),
    ] {
        let set = Threefold::new();
        fs_err::rename(set.at("b.png"), set.at("d.png")).unwrap();
        match to {
            "d.png" => {}
            to => fs_err::rename(set.at("d.png"), set.at(to)).unwrap(),
        }
        symlink(to, set.at("b.png")).unwrap();
        assert_eq!(set.regenerate(Target::Lists).unwrap(), [keep, remove], "{to}");
    }
    // The link is not the one that is kept, or is in no group at all: it goes with its file.
    let mut set = Threefold::new();
    symlink("a.png", set.at("z.png")).unwrap();
    assert_eq!(set.regenerate(Target::Lists).unwrap(), ["b.png\n", "a.png\nc.png\nz.png\n"]);
    let bytes = fs_err::read(set.at("a.png")).unwrap();
    set.groups[0].push(hashed("z.png", "b.png", &bytes));
    assert_eq!(set.regenerate(Target::Lists).unwrap(), ["b.png\n", "a.png\nc.png\nz.png\n"]);
    // Alone with its file, it is no duplicate.
    set.groups = vec![vec![hashed("z.png", "z.png", &bytes), hashed("a.png", "z.png", &bytes)]];
    assert_eq!(set.regenerate(Target::Lists).unwrap(), ["a.png\nb.png\nc.png\nz.png\n", ""]);
}
