//! Files that are not the program's: whatever lies beside, in or in the way of its folders stays as it is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::path::Path;

use common::{Place, SMALL};

/// Makes a folder of made-up pictures; `more` are options and keys.
fn synthesize<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let keys = ["stage", "synthesize", "--out", out, "shapes.n_train=20", "shapes.n_test=20"];
    [&keys[..], more].concat()
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn folders_named_old_and_partial_beside_an_output_are_left_alone() {
    let place = Place::new(SMALL);
    write(&place.path("out/a.old/thesis"), "p");
    write(&place.path("out/a.partial/thesis"), "p");
    write(&place.path("out/.a.lock"), "p");
    place.stdout(&synthesize("out/a", &[]));
    place.stdout(&synthesize("out/a", &["shapes.seed=5", "--force"]));
    for file in ["out/a.old/thesis", "out/a.partial/thesis", "out/.a.lock"] {
        assert_eq!(read(&place.path(file)), "p", "{file}");
    }
    // Complete stages of such names too.
    place.stdout(&synthesize("v.old", &[]));
    place.stdout(&synthesize("v.partial", &[]));
    let before = read(&place.path("v.old/stage.json"));
    place.stdout(&synthesize("v", &[]));
    place.stdout(&synthesize("v", &["--force"]));
    assert_eq!(read(&place.path("v.old/stage.json")), before);
    assert!(place.path("v.partial/stage.json").exists());
    // And in a folder of runs.
    write(&place.path("runs/small/shapes.old/thesis"), "p");
    write(&place.path("runs/small/shapes.partial/thesis"), "p");
    for settings in [&[][..], &[], &["--set", "n_train=70"]] {
        place.stdout(&[&["run", "m.toml"], settings].concat());
        assert_eq!(read(&place.path("runs/small/shapes.old/thesis")), "p");
        assert_eq!(read(&place.path("runs/small/shapes.partial/thesis")), "p");
    }
    place.stdout(&["gc", "m.toml", "--delete"]);
    assert_eq!(read(&place.path("runs/small/shapes.old/thesis")), "p");
    assert_eq!(read(&place.path("runs/small/shapes.partial/thesis")), "p");
}

#[test]
fn a_folder_named_dcgan_that_is_not_ours_is_refused_by_name() {
    let place = Place::new(SMALL);
    write(&place.path("out/.dcgan/thesis"), "p");
    let told = place.fails(1, &synthesize("out/a", &[]));
    assert!(told.contains("out/.dcgan: expected the working folder of this program"), "{told}");
    assert_eq!(fs::read_dir(place.path("out")).unwrap().count(), 1);
    assert_eq!(read(&place.path("out/.dcgan/thesis")), "p");
    write(&place.path("runs/small/.dcgan"), "p");
    let told = place.fails(1, &["run", "m.toml"]);
    assert!(told.contains("runs/small/.dcgan: expected") && told.contains("found a file"), "{told}");
    assert!(place.fails(1, &synthesize(".dcgan", &[])).contains("expected a folder with a name of its own"));
}

#[test]
fn hidden_files_in_a_stages_folder_are_somebodys() {
    let place = Place::new(SMALL);
    place.stdout(&["run", "m.toml"]);
    for file in [".notes", ".git/config"] {
        let path = place.path("runs/small/svm").join(file);
        write(&path, "mine");
        let told = place.fails(1, &["run", "m.toml", "--set", "c=0.01"]);
        assert!(told.contains(&format!("holds {file}, which no stage made")), "{told}");
        assert_eq!(read(&path), "mine");
        let renamed = SMALL.replace("\"svm\"", "\"machine\"");
        fs::write(place.path("m.toml"), &renamed).unwrap();
        let shown = place.stdout(&["gc", "m.toml", "--delete"]);
        assert!(shown.contains(&format!("stays: {file}, which no stage made")), "{shown}");
        assert_eq!(read(&path), "mine");
        fs::remove_dir_all(place.path("runs/small/svm")).unwrap();
        fs::write(place.path("m.toml"), SMALL).unwrap();
        place.stdout(&["run", "m.toml"]);
    }
    // A stage alone.
    place.stdout(&synthesize("a", &[]));
    write(&place.path("a/.notes"), "mine");
    let told = place.fails(1, &synthesize("a", &["shapes.seed=5", "--force"]));
    assert!(told.contains("holds .notes"), "{told}");
    assert_eq!(read(&place.path("a/.notes")), "mine");
}

#[cfg(unix)]
#[test]
fn locks_are_not_looked_for_beside_an_output_and_no_link_is_followed() {
    use std::os::unix::fs::symlink;

    let place = Place::new(SMALL);
    fs::create_dir(place.path("out")).unwrap();
    write(&place.path("thesis"), "p");
    write(&place.path("out/.k.lock"), "my notes");
    symlink("../thesis", place.path("out/.l.lock")).unwrap();
    place.stdout(&synthesize("out/k", &[]));
    place.stdout(&synthesize("out/l", &[]));
    assert_eq!(read(&place.path("out/.k.lock")), "my notes");
    assert!(place.path("out/.l.lock").is_symlink());
    // A link in the place of the lock itself.
    symlink("../../../thesis", place.path("out/.dcgan/locks/m")).unwrap();
    let told = place.fails(1, &synthesize("out/m", &[]));
    assert!(told.contains("locks/m: expected a lock of this program's, found a link"), "{told}");
    fs::remove_file(place.path("out/.dcgan/locks/m")).unwrap();
    write(&place.path("out/.dcgan/locks/m"), "my notes");
    let told = place.fails(1, &synthesize("out/m", &[]));
    assert!(told.contains("locks/m: expected a lock of this program's, found another file"), "{told}");
    assert_eq!(read(&place.path("out/.dcgan/locks/m")), "my notes");
    assert_eq!(read(&place.path("thesis")), "p");
}

#[test]
fn what_is_in_the_way_of_a_stage_is_named_before_anything_runs() {
    let place = Place::new(SMALL);
    write(&place.path("runs/small/test-images"), "x");
    write(&place.path("runs/small/svm/thesis"), "x");
    let told = place.fails(1, &["run", "m.toml"]);
    for expected in [
        "runs/small/test-images is in the way: expected a stage's folder or nothing, found a file; move it elsewhere",
        "runs/small/svm is in the way: expected a stage's folder or nothing, found a folder without stage.json that holds thesis",
    ] {
        assert!(told.contains(expected), "{told}");
    }
    assert!(!place.path("runs/small/shapes").exists(), "nothing ran");
    fs::remove_file(place.path("runs/small/test-images")).unwrap();
    fs::remove_dir_all(place.path("runs/small/svm")).unwrap();
    assert!(place.stderr(&["run", "m.toml"]).contains("7 stages ran"));
    // The same in the place of a stage that is complete.
    fs::remove_dir_all(place.path("runs/small/test-images")).unwrap();
    write(&place.path("runs/small/test-images"), "x");
    assert!(place.fails(1, &["run", "m.toml"]).contains("test-images is in the way"));
    assert_eq!(read(&place.path("runs/small/test-images")), "x");
    fs::remove_file(place.path("runs/small/test-images")).unwrap();
    assert!(place.stderr(&["run", "m.toml"]).contains("stages ran"));
}

#[cfg(unix)]
#[test]
fn an_output_that_is_a_link_stays_one() {
    let place = Place::new(SMALL);
    fs::create_dir_all(place.path("disk/a")).unwrap();
    std::os::unix::fs::symlink("disk/a", place.path("a")).unwrap();
    place.stdout(&synthesize("a", &[]));
    place.stdout(&synthesize("a", &["shapes.seed=5", "--force"]));
    assert!(place.path("a").is_symlink() && place.path("disk/a/stage.json").exists());
    std::os::unix::fs::symlink("disk/gone", place.path("b")).unwrap();
    let told = place.fails(1, &synthesize("b", &[]));
    assert!(told.contains("b is a link that leads nowhere"), "{told}");
}

#[test]
fn two_stages_alone_write_into_one_folder_at_once() {
    let place = Place::new(SMALL);
    let mut children = Vec::new();
    for name in ["a", "b", "c", "d"] {
        let out = format!("out/{name}");
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin("dcgan"));
        command.current_dir(place.folder()).args(synthesize(&out, &[])).stdout(std::process::Stdio::null());
        children.push(command.stderr(std::process::Stdio::piped()).spawn().unwrap());
    }
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
