//! Stages that are handed to another program: where it is missing, wrong or fails. `crates/cluster/tests` hands them to the real one.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::os::unix::fs::PermissionsExt as _;

use common::Place;

const MANIFEST: &str = r#"
name = "m"
[cluster]
scheduler = "df://nobody:50050"
parts = 3
program = "program"
[[stage]]
id = "pictures"
[stage.synthesize.rooms]
n_scenes = 10
n_planted = 4
size = 64
[[stage]]
id = "images"
[stage.import_images]
from = "pictures"
source.lsun.path = "lsun/rooms_lmdb"
resize = "min_resize_centre_crop(64)"
[[stage]]
id = "autoencoder"
[stage.train_autoencoder]
images = "images"
training = { batch_size = 5, epochs = 1, n_images = 10 }
[[stage]]
id = "codes"
[stage.hash_images]
from = "pictures"
source.lsun.path = "lsun/rooms_lmdb"
autoencoder = "autoencoder"
"#;

/// A program that says what it is asked to do and fails.
fn program(place: &Place, version: &str) {
    let text = format!(
        "#!/bin/sh\nif [ \"$1\" = --version ]; then echo \"{version}\"; exit; fi\necho 'codes: 7 rows' >&2\nprintf '%s\\n' \"$@\" >arguments\n\
         echo 'error: stage codes: nobody is there' >&2\nexit 1\n"
    );
    let path = place.path("program");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_program_that_is_missing_is_told_before_the_first_stage() {
    let place = Place::new(MANIFEST);
    let run = ["run", "m.toml", "--runs", "runs"];
    let message = place.fails(1, &run);
    assert!(message.contains("on the cluster df://nobody:50050, for which "), "{message}");
    assert!(message.contains("/program is needed: `cargo install --path crates/cluster`"), "{message}");
    assert!(!place.path("runs/m/pictures").exists());
    program(&place, "dcgan-cluster 0.0.1");
    let message = place.fails(1, &run);
    assert!(message.contains("found dcgan-cluster 0.0.1"), "{message}");
    // Where no stage is to be handed over, nothing is needed.
    let said = place.stderr(&["run", "m.toml", "--runs", "runs", "--to", "images"]);
    assert!(said.contains("no stage that runs uses the cluster df://nobody:50050"), "{said}");
}

#[test]
fn what_the_program_says_and_how_it_fails_is_passed_on() {
    let place = Place::new(MANIFEST);
    program(&place, concat!("dcgan-cluster ", env!("CARGO_PKG_VERSION")));
    let run = ["run", "m.toml", "--runs", "runs"];
    let message = place.fails(1, &run);
    assert!(message.contains("  codes: 7 rows\n"), "{message}");
    assert!(
        message.contains("error: stage `codes` (hash_images) failed: stage codes: nobody is there"),
        "{message}"
    );
    let arguments = std::fs::read_to_string(place.path("arguments")).unwrap();
    for expected in
        ["hash\n", "--parts\n3\n", "--cluster\ndf://nobody:50050\n", "--attended\n", "max_pixels="]
    {
        assert!(arguments.contains(expected), "{expected}: {arguments}");
    }
    assert!(!arguments.contains("limit=") && !arguments.contains("--memory"), "{arguments}");
    // What cannot be divided is done here.
    let here = [&run[..], &["--set", "codes.limit=5"]].concat();
    let said = place.stderr(&here);
    assert!(said.contains("not on the cluster df://nobody:50050: `limit` is set"), "{said}");
    assert!(place.path("runs/m/codes/codes.parquet").is_file());
}

/// Files at addresses are fetched by those who hash them, not by who hands them the set.
#[test]
fn a_set_at_an_address_is_handed_over_unread() {
    let place = Place::new(&MANIFEST.replace(
        "from = \"pictures\"\nsource.lsun.path = \"lsun/rooms_lmdb\"\nautoencoder",
        "source.tar.path = \"gs://nobodys/shards/\"\nautoencoder",
    ));
    program(&place, concat!("dcgan-cluster ", env!("CARGO_PKG_VERSION")));
    let message = place.fails(1, &["run", "m.toml", "--runs", "runs"]);
    assert!(
        message.contains("stage `codes` (hash_images) failed: stage codes: nobody is there"),
        "{message}"
    );
    let arguments = std::fs::read_to_string(place.path("arguments")).unwrap();
    assert!(arguments.contains("--source\n{\"tar\":{\"path\":\"gs://nobodys/shards/\"}}\n"), "{arguments}");
}

#[test]
fn places_that_are_none_are_refused_with_the_line() {
    let place = Place::new(&MANIFEST.replace("df://nobody:50050", "nobody"));
    let message = place.fails(1, &["check", "m.toml"]);
    assert!(message.contains("m.toml:4:") && message.contains("cluster.scheduler"), "{message}");
    assert!(message.contains("expected `local` or df://HOST:PORT, found `nobody`"), "{message}");
    let place = Place::new(MANIFEST);
    let message = place.fails(2, &["run", "m.toml", "--cluster", "nobody:1"]);
    assert!(message.contains("--cluster: expected `local` or df://HOST:PORT"), "{message}");
    let stage = ["stage", "import_images", "source.folder.path=.", "--out", "out", "--cluster", "local"];
    let message = place.fails(2, &stage);
    assert!(message.contains("a stage of kind import_images does not divide its work"), "{message}");
    let place = Place::new(&MANIFEST.replace("parts = 3", "part = 3"));
    let message = place.fails(1, &["check", "m.toml"]);
    assert!(message.contains("m.toml:") && message.contains("part"), "{message}");
}
