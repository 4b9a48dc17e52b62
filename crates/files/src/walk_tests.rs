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

/// What is found, a line each.
fn listed(root: &Path) -> Vec<String> {
    let mut walk = Walk::new(root, Stop::default()).unwrap();
    let mut lines = Vec::new();
    while let Some(found) = walk.next() {
        lines.push(match found.unwrap() {
            Found::File(path) => walk.key(&path),
            Found::Folder(path) => format!("{}/", walk.key(&path)),
            Found::Lost(path) => format!("{} lost", walk.key(&path)),
            Found::LeftOut(left_out) => left_out.to_string(),
        });
    }
    lines
}

#[test]
fn stages_folders_are_left_out_and_reported_and_hidden_ones_of_others_are_not() {
    let folder = folder(&[
        "a.jpg",
        "clean/pictures/a.jpg",
        "clean/stage.json",
        ".dcgan/work/faces/0.png",
        "faces.partial/.fingerprint",
        "faces.partial/0.png",
        ".git/config",
        "cats/1.jpg",
    ]);
    // Others have files of that name too.
    std::fs::write(folder.path().join("clean/stage.json"), r#"{"id": "clean", "stage_version": 1}"#).unwrap();
    std::fs::write(folder.path().join("cats/stage.json"), r#"{"scene": "on stage"}"#).unwrap();
    let expected = [
        ".dcgan (made by a stage)",
        "a.jpg",
        "cats/",
        "cats/1.jpg",
        "cats/stage.json",
        "clean (made by a stage)",
        "faces.partial (made by a stage)",
    ];
    assert_eq!(listed(folder.path()), expected);
    // A stage's folder that is asked for by name is read.
    assert_eq!(listed(&folder.path().join("clean")), ["pictures/", "pictures/a.jpg", "stage.json"]);
}

#[cfg(unix)]
mod links {
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn each_folder_is_visited_once_at_its_own_place() {
        let all = folder(&["photos/z/1.jpg", "photos/b/2.jpg", "elsewhere/3.jpg", "photos/.pool/4.jpg"]);
        let root = all.path().join("photos");
        for (to, at) in [
            ("z", "a"),
            ("../z", "b/again"),
            ("..", "b/up"),
            ("../..", "b/top"),
            ("../elsewhere", "c"),
            ("../elsewhere", "d"),
            (".pool", "e"),
            (".pool", "f"),
            ("b/2.jpg", "twin.jpg"),
        ] {
            symlink(to, root.join(at)).unwrap();
        }
        let visited = "a link to a folder that is read already";
        let expected = [
            format!("a ({visited})"),
            "b/".to_owned(),
            "b/2.jpg".to_owned(),
            format!("b/again ({visited})"),
            // Above the root: what is beside it is read, the root is not read again.
            "b/top/".to_owned(),
            "b/top/elsewhere/".to_owned(),
            "b/top/elsewhere/3.jpg".to_owned(),
            format!("b/top/photos ({visited})"),
            format!("b/up ({visited})"),
            format!("c ({visited})"),
            format!("d ({visited})"),
            "e/".to_owned(),
            "e/4.jpg".to_owned(),
            format!("f ({visited})"),
            "twin.jpg".to_owned(),
            "z/".to_owned(),
            "z/1.jpg".to_owned(),
        ];
        assert_eq!(listed(&root), expected);
    }

    /// Twelve folders with a link to each of the others: without a memory of where it was, 12! paths.
    #[test]
    fn folders_that_link_to_each_other_are_done_at_once() {
        let all = tempfile::tempdir().unwrap();
        let (root, outside) = (all.path().join("root"), all.path().join("outside"));
        std::fs::create_dir(&root).unwrap();
        for i in 0..12 {
            std::fs::create_dir_all(outside.join(format!("{i}"))).unwrap();
            std::fs::write(outside.join(format!("{i}/{i}.jpg")), "").unwrap();
            for j in 0..12 {
                symlink(format!("../{j}"), outside.join(format!("{i}/to{j}"))).unwrap();
            }
        }
        symlink("../outside/0", root.join("first")).unwrap();
        let files = listed(&root).into_iter().filter(|line| line.ends_with(".jpg"));
        assert_eq!(files.count(), 12);
    }

    #[test]
    fn links_to_nothing_and_to_themselves_are_lost_and_the_walk_goes_on() {
        let folder = folder(&["a.jpg", "z.jpg"]);
        symlink("self.jpg", folder.path().join("self.jpg")).unwrap();
        symlink("gone", folder.path().join("more")).unwrap();
        assert_eq!(listed(folder.path()), ["a.jpg", "more lost", "self.jpg lost", "z.jpg"]);
    }

    #[test]
    fn names_of_any_bytes_have_keys_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        for name in [&b"caf\xe8.jpg"[..], b"caf\xe9.jpg", b"a\nb.jpg", br"caf\xe8.jpg"] {
            std::fs::write(folder.path().join(std::ffi::OsStr::from_bytes(name)), "").unwrap();
        }
        let keys = listed(folder.path());
        assert_eq!(keys, [r"a\x0ab.jpg", r"caf\\xe8.jpg", r"caf\xe8.jpg", r"caf\xe9.jpg"]);
        for key in keys {
            assert!(folder.path().join(key::path_of(&key).unwrap()).exists(), "{key}");
        }
    }
}

#[test]
fn a_walk_that_is_stopped_ends_with_an_error() {
    let folder = folder(&["a.jpg", "b.jpg", "c.jpg"]);
    let stop = Stop::default();
    let mut walk = Walk::new(folder.path(), stop.clone()).unwrap();
    assert!(walk.next().unwrap().is_ok());
    stop.set();
    assert!(matches!(walk.next(), Some(Err(FilesError::Interrupted))));
    assert!(walk.next().is_none());
    assert!(matches!(Walk::new(folder.path(), stop).unwrap().next(), Some(Err(FilesError::Interrupted))));
}

#[test]
fn what_is_no_folder_is_an_error() {
    let folder = folder(&["a.jpg"]);
    let message = |path: &Path| Walk::new(path, Stop::default()).err().unwrap().to_string();
    assert!(message(&folder.path().join("a.jpg")).ends_with("a.jpg: expected a folder, found a file"));
    assert!(message(&folder.path().join("missing")).contains("missing"));
}
