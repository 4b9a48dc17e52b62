//! Names of any bytes, links of any kind, results among the data, and classes by name.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use common::Place;
use dcgan_images::grid::write_grid;
use serde_json::{Value, json};

/// A picture of 40×40 pixels in 8×8 squares of shades that `seed` chooses, unlike that of any other seed.
fn picture(path: &Path, seed: u8) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let shade = |i: usize| {
        let square = (i / 1600 * 25 + i / 40 % 40 / 8 * 5 + i % 40 / 8) as u32;
        let mixed = (u32::from(seed) * 75 + square + 1).wrapping_mul(0x9e37_79b1);
        (mixed ^ (mixed >> 15)).wrapping_mul(0x85eb_ca77).to_be_bytes()[0]
    };
    let pixels: Vec<u8> = (0..3 * 40 * 40).map(shade).collect();
    write_grid(path, &pixels, [1, 3, 40, 40], 1).unwrap();
}

fn name(bytes: &[u8]) -> &OsStr {
    OsStr::from_bytes(bytes)
}

/// The metrics of a stage alone.
fn stage(place: &Place, arguments: &[&str]) -> Value {
    serde_json::from_str(&place.stdout(&[&["stage"], arguments].concat())).unwrap()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// Sixteen pictures, and the stages up to their groups.
fn grouped(place: &Place) {
    for i in 0..16 {
        picture(&place.path("photos").join(format!("{i:02}.png")), i);
    }
    let source = "source.folder.path=photos";
    let resize = "resize=min_resize_centre_crop(64)";
    stage(place, &["import_images", "--out", "store", source, resize]);
    let few = ["training.epochs=1", "training.batch_size=8"];
    stage(place, &[&["train_autoencoder", "--out", "ae", "images=store"], &few[..]].concat());
}

#[test]
fn pictures_whose_names_differ_in_a_byte_are_not_taken_for_each_other() {
    let place = Place::new("");
    grouped(&place);
    let photos = place.path("photos");
    // One of its own and one that is 00.png again; one in a name of two lines.
    picture(&photos.join(name(b"caf\xe8.png")), 100);
    for twin in [&b"caf\xe9.png"[..], b"two\nlines.png"] {
        std::fs::copy(photos.join("00.png"), photos.join(name(twin))).unwrap();
    }
    let source = "source.folder.path=photos";
    let keys = stage(&place, &["hash_images", "--out", "codes", source, "autoencoder=ae"]);
    assert_eq!(keys["n_images"], 19);
    stage(&place, &["group_duplicates", "--out", "groups", "codes=codes", "grouping.keep=lowest_key"]);
    let arguments = ["remove_duplicates", "--out", "clean", source, "groups=groups", "target=folder"];
    let kept = stage(&place, &arguments);
    assert_eq!((&kept["n_kept"], &kept["n_removed"]), (&json!(17), &json!(2)));
    assert_eq!(read(&place.path("clean/remove.txt")), "caf\\xe9.png\ntwo\\x0alines.png\n");
    assert!(read(&place.path("clean/keep.txt")).ends_with("15.png\ncaf\\xe8.png\n"));
    let pictures = place.path("clean/pictures");
    let same = |file: &OsStr| {
        std::fs::read(pictures.join(file)).unwrap() == std::fs::read(photos.join(file)).unwrap()
    };
    assert!(same(name(b"caf\xe8.png")) && same(OsStr::new("00.png")));
    assert_eq!(std::fs::read_dir(&pictures).unwrap().count(), 17);
    let record: Value = serde_json::from_str(&read(&place.path("clean/stage.json"))).unwrap();
    assert!(record["outputs"]["pictures/caf\\xe8.png"].is_object(), "{record}");
    // The folder is known by its files again, and is read as a set.
    stage(&place, &arguments);
    let again = stage(&place, &["import_images", "--out", "again", "source.folder.path=clean/pictures"]);
    assert_eq!(again["n_images"], 17);
}

#[test]
fn a_folder_of_any_names_is_an_output_like_any_other() {
    let place = Place::new(
        r#"
name = "m"
[[stage]]
id = "clean"
[stage.remove_duplicates]
source.folder.path = "photos"
groups = "groups"
target = "folder"
[[stage]]
id = "groups"
[stage.group_duplicates]
codes = "codes"
[[stage]]
id = "codes"
[stage.hash_images]
source.folder.path = "photos"
autoencoder = "ae"
[[stage]]
id = "ae"
[stage.train_autoencoder]
images = "store"
training.epochs = 1
training.batch_size = 8
[[stage]]
id = "store"
[stage.import_images]
source.folder.path = "photos"
resize = "min_resize_centre_crop(64)"
"#,
    );
    for i in 0..16 {
        picture(&place.path("photos").join(name(&[b'a', 0xe0 + i])).with_extension("png"), i);
    }
    place.stdout(&["run", "m.toml"]);
    let told = place.stderr(&["run", "m.toml"]);
    assert!(told.contains("0 stages ran, 5 were unchanged"), "{told}");
    let output = place.path("runs/m/clean/pictures").join(name(b"a\xe3.png"));
    std::fs::write(output, "changed").unwrap();
    let status = place.stdout(&["status", "m.toml"]);
    assert!(status.contains(r"its output pictures/a\xe3.png was changed after it ran"), "{status}");
}

#[test]
fn an_archive_with_a_member_twice_is_refused() {
    let place = Place::new("");
    picture(&place.path("1.png"), 1);
    let tar = |arguments: &[&str]| {
        let status = std::process::Command::new("tar").current_dir(place.folder()).args(arguments).status();
        assert!(status.unwrap().success());
    };
    tar(&["cf", "a.tar", "1.png"]);
    tar(&["rf", "a.tar", "./1.png"]);
    let told = place.fails(1, &["stage", "import_images", "--out", "store", "source.tar.path=a.tar"]);
    assert!(told.contains("a.tar: expected each member once, found ./1.png at byte 0 and at byte"), "{told}");
}

#[test]
fn a_stage_does_not_write_below_what_it_reads() {
    let place = Place::new("");
    picture(&place.path("photos/1.png"), 1);
    picture(&place.path("photos/sub/2.png"), 2);
    std::fs::create_dir(place.path("elsewhere")).unwrap();
    symlink("photos", place.path("link")).unwrap();
    symlink("photos/new", place.path("to-be")).unwrap();
    for (out, path) in [
        ("photos/clean", "photos"),
        ("./elsewhere/../photos/sub/clean", "photos"),
        ("link/clean", "photos"),
        ("photos/clean", "link"),
        ("to-be", "photos"),
        ("to-be/clean", "photos"),
        ("photos", "photos"),
    ] {
        let source = format!("source.folder.path={path}");
        let told = place.fails(1, &["stage", "import_images", "--out", out, &source]);
        let is_refused =
            told.contains("would be read as data the next time") || told.contains("no stage made it");
        assert!(is_refused, "{out} {path}: {told}");
    }
    // Nor over it.
    stage(&place, &["import_images", "--out", "out", "source.folder.path=photos"]);
    picture(&place.path("out/more/3.png"), 3);
    let told = place.fails(1, &["stage", "import_images", "--out", "out", "source.folder.path=out/more"]);
    assert!(told.contains("out holds out/more, which the stage reads (`source`)"), "{told}");
    assert!(!place.path("photos/clean").exists() && !place.path("photos/new").exists());
}

#[test]
fn results_among_the_data_are_left_out_and_told() {
    let place = Place::new(
        "name = \"m\"\n[[stage]]\nid = \"set\"\n[stage.import_images.source.folder]\npath = \"photos\"\n",
    );
    for i in 0..3 {
        picture(&place.path("photos").join(format!("{i}.png")), i);
    }
    place.stdout(&["run", "m.toml"]);
    stage(&place, &["import_images", "--out", "clean", "source.folder.path=photos"]);
    picture(&place.path("clean/pictures/0.png"), 0);
    std::fs::rename(place.path("clean"), place.path("photos/clean")).unwrap();
    let output = place.dcgan(&["stage", "import_images", "--out", "store", "source.folder.path=photos"]);
    let output = { output }.assert().success().get_output().clone();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("warning: 1 folder in folder photos left out: clean (made by a stage)"), "{told}");
    let metrics: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&metrics["n_images"], &metrics["left_out"]),
        (&json!(3), &json!(["clean (made by a stage)"]))
    );
    // It is no part of what is read, and so changes nothing.
    let told = place.stderr(&["run", "m.toml"]);
    assert!(told.contains("0 stages ran, 1"), "{told}");
    // Asked for by name it is read.
    let own = stage(&place, &["import_images", "--out", "own", "source.folder.path=photos/clean"]);
    assert_eq!(own["n_images"], 1);
}

#[test]
fn links_that_lead_nowhere_are_listed_and_those_that_lead_round_are_walked_once() {
    let place = Place::new("");
    for i in 0..3 {
        picture(&place.path("photos").join(format!("{i}/{i}.png")), i);
        for other in 0..3 {
            symlink(format!("../{other}"), place.path("photos").join(format!("{i}/to-{other}"))).unwrap();
        }
    }
    symlink("self.jpg", place.path("photos/self.jpg")).unwrap();
    symlink("gone.jpg", place.path("photos/lost.jpg")).unwrap();
    symlink("/nowhere/more", place.path("photos/more")).unwrap();
    let metrics = stage(&place, &["import_images", "--out", "store", "source.folder.path=photos"]);
    assert_eq!((&metrics["n_images"], &metrics["n_bad"]), (&json!(3), &json!(2)));
    let left_out: Vec<&str> =
        metrics["left_out"].as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect();
    assert_eq!(left_out.len(), 10, "{left_out:?}");
    assert!(left_out.contains(&"more (a link to nothing)"), "{left_out:?}");
    let bad = read(&place.path("store/bad.csv"));
    assert!(bad.contains("\nlost.jpg,") && bad.contains("\nself.jpg,"), "{bad}");
}

/// Runs `dcgan`, which must not hang, and returns what it said.
fn refused(place: &Place, arguments: &[&str]) -> String {
    let output =
        place.dcgan(arguments).timeout(Duration::from_secs(60)).assert().code(1).get_output().clone();
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_fifo_a_socket_or_a_device_is_refused_with_its_kind() {
    let place = Place::new(
        "name = \"m\"\n[[stage]]\nid = \"set\"\n[stage.import_images.source.svhn]\npath = \"fifo\"\n",
    );
    let made = std::process::Command::new("mkfifo").arg(place.path("fifo")).status();
    assert!(made.unwrap().success());
    let _listener = std::os::unix::net::UnixListener::bind(place.path("socket")).unwrap();
    for (path, kind) in [("fifo", "a FIFO"), ("socket", "a socket"), ("/dev/zero", "a device")] {
        for source in ["svhn.path", "folder.path", "tar.path", "lsun.path", "mnist.images"] {
            let source = format!("source.{source}={path}");
            let told = refused(&place, &["stage", "import_images", "--out", "store", &source]);
            assert!(told.contains(&format!("found {path}, which is {kind}")), "{told}");
        }
        let told = refused(&place, &["run", path]);
        assert!(told.contains(&format!("{path} is {kind}; expected a manifest")), "{told}");
    }
    for verb in ["run", "check"] {
        let told = refused(&place, &[verb, "m.toml"]);
        assert!(told.contains("found fifo, which is a FIFO"), "{told}");
    }
    // Within a folder.
    let inside = |folder: &str, file: &str| {
        std::fs::create_dir_all(place.path(folder)).unwrap();
        std::fs::rename(place.path("fifo"), place.path(folder).join(file)).unwrap();
        let source = match folder {
            "cifar" => "source.cifar10={path=\"cifar\",split=\"test\"}".to_owned(),
            kind => format!("source.{kind}.path={kind}"),
        };
        let told = refused(&place, &["stage", "import_images", "--out", "imported", &source]);
        assert!(told.contains(&format!("{file}: expected a file, found a FIFO")), "{told}");
        std::fs::rename(place.path(folder).join(file), place.path("fifo")).unwrap();
    };
    inside("lsun", "data.mdb");
    inside("tar", "a.tar");
    inside("store", "meta.json");
    // Among pictures it is one that cannot be read.
    picture(&place.path("photos/1.png"), 1);
    std::fs::rename(place.path("fifo"), place.path("photos/2.png")).unwrap();
    let metrics = stage(&place, &["import_images", "--out", "imported", "source.folder.path=photos"]);
    assert_eq!((&metrics["n_images"], &metrics["n_bad"]), (&json!(1), &json!(1)));
    assert!(read(&place.path("imported/bad.csv")).contains("expected a file, found a FIFO"));
}

#[test]
fn an_unreadable_picture_is_neither_kept_nor_removed() {
    let place = Place::new("");
    grouped(&place);
    std::fs::copy(place.path("photos/00.png"), place.path("photos/twin.png")).unwrap();
    std::fs::write(place.path("photos/broken.png"), "no picture").unwrap();
    let source = "source.folder.path=photos";
    stage(&place, &["hash_images", "--out", "codes", source, "autoencoder=ae"]);
    stage(&place, &["group_duplicates", "--out", "groups", "codes=codes"]);
    for target in ["lists", "folder", "lmdb", "store"] {
        let (out, target_is) = (format!("clean-{target}"), format!("target={target}"));
        let arguments = ["remove_duplicates", "--out", &out, source, "groups=groups", &target_is];
        let metrics = stage(&place, &arguments);
        assert_eq!(metrics, json!({"n_kept": 16, "n_removed": 1, "n_bad": 1}), "{target}");
        assert_eq!(read(&place.path(&out).join("keep.txt")).lines().count(), 16, "{target}");
        assert_eq!(read(&place.path(&out).join("remove.txt")), "twin.png\n");
        assert!(read(&place.path(&out).join("bad.csv")).contains("\nbroken.png,"));
    }
    assert!(!place.path("clean-folder/pictures/broken.png").exists());
}

/// Pictures of one colour for each class, four of each, as features.
fn features(place: &Place, set: &str, classes: &[&str]) {
    for class in classes {
        let colour = class.bytes().fold(7_u8, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte));
        for i in 0..4_u8 {
            let channel = |c: usize| colour.rotate_left(2 * c as u32).wrapping_add(i);
            let pixels: Vec<u8> = (0..3).flat_map(|c| vec![channel(c); 64]).collect();
            let path = place.path(set).join(class).join(format!("{i}.png"));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            write_grid(&path, &pixels, [1, 3, 8, 8], 1).unwrap();
        }
    }
    let (store, out) = (format!("{set}-store"), format!("{set}-features"));
    let source = format!("source.folder={{path=\"{set}\",classes=true}}");
    stage(place, &["import_images", "--out", &store, &source]);
    stage(place, &["extract_features", "--out", &out, &format!("images={store}")]);
}

const SVM: [&str; 5] = ["fit_svm", "--out", "svm", "train=train-features", "c=1"];

#[test]
fn classes_are_matched_by_name() {
    let place = Place::new("");
    features(&place, "train", &["ant", "bee", "cat", "dog"]);
    features(&place, "test", &["bee", "cat", "dog"]);
    assert_eq!(read(&place.path("test-features/classes.json")).split('"').nth(1), Some("bee"));
    let metrics = stage(&place, &[&SVM[..], &["test=test-features"]].concat());
    assert_eq!(metrics["accuracy"], 1.0);
    let predictions: Value = serde_json::from_str(&read(&place.path("svm/predictions.json"))).unwrap();
    let confusion = &predictions["confusion"];
    assert_eq!(confusion["classes"], json!(["ant", "bee", "cat", "dog"]));
    let counts = json!([[0, 0, 0, 0], [0, 4, 0, 0], [0, 0, 4, 0], [0, 0, 0, 4]]);
    assert_eq!(confusion["counts"], counts);
    let protocols = [
        ("cifar10_protocol", &["protocol.n_per_class=2", "protocol.n_folds=2", "protocol.cs=[1.0]"][..]),
        ("svhn_protocol", &["protocol.n_per_class=2", "protocol.n_validation=4", "protocol.cs=[1.0]"]),
    ];
    for (kind, settings) in protocols {
        let inputs = [kind, "--out", kind, "train=train-features", "test=test-features"];
        stage(&place, &[&inputs, settings].concat());
        let result: Value = serde_json::from_str(&read(&place.path(kind).join("protocol.json"))).unwrap();
        let confusion = result.pointer("/all_labels/confusion").unwrap_or(&result["confusion"]);
        assert_eq!(confusion["classes"], json!(["ant", "bee", "cat", "dog"]), "{kind}");
        assert!(confusion["counts"][3][3].as_u64().unwrap() >= 4, "{kind}: {confusion}");
    }
}

#[test]
fn a_test_class_that_was_not_learned_is_refused_by_name() {
    let place = Place::new("");
    features(&place, "train", &["ant", "bee", "cat"]);
    features(&place, "test", &["ant", "bee", "eel"]);
    for kind in ["fit_svm", "cifar10_protocol", "svhn_protocol"] {
        let c: &[&str] = if kind == "fit_svm" { &["c=1"] } else { &[] };
        let arguments = ["stage", kind, "--out", "out", "train=train-features", "test=test-features"];
        let told = place.fails(1, &[&arguments, c].concat());
        assert!(told.contains("4 rows of class `eel`, of which"), "{kind}: {told}");
    }
}

#[test]
fn features_without_names_count_by_number_where_the_labels_are_the_same() {
    let place = Place::new("");
    features(&place, "train", &["ant", "bee", "cat"]);
    features(&place, "test", &["ant", "bee", "cat"]);
    features(&place, "fewer", &["bee", "cat"]);
    let names = ["train", "test", "fewer"].map(|set| {
        place.path(set.to_owned().as_str()).with_file_name(format!("{set}-features/classes.json"))
    });
    // As NumPy writes features: without names, and without a record.
    let without_names = |classes: &Path| {
        std::fs::remove_file(classes).unwrap();
        std::fs::remove_file(classes.with_file_name("stage.json")).unwrap();
    };
    without_names(&names[0]);
    let told = place.fails(1, &[&["stage"], &SVM[..], &["test=fewer-features"]].concat());
    assert!(told.contains("expected the labels 0 1 2 as in") && told.contains("found 0 1;"), "{told}");
    assert_eq!(stage(&place, &[&SVM[..], &["test=test-features"]].concat())["accuracy"], 1.0);
    without_names(&names[1]);
    assert_eq!(stage(&place, &[&SVM[..], &["--force", "test=test-features"]].concat())["accuracy"], 1.0);
}
