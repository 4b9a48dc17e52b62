//! What was looked for, where, and what there is in its place: errors of a first hour, each with a way out; and stages that were stopped.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::Place;
use serde_json::Value;

const IMAGES: &str = r#"
name = "m"
[[stage]]
id = "shapes"
[stage.synthesize.shapes]
n_train = 40
n_test = 20
[[stage]]
id = "images"
[stage.import_images]
from = "shapes"
source.cifar10 = { path = "cifar-10-batches-bin", split = "train" }
[[stage]]
id = "train"
[stage.train_gan]
images = "images"
training = { architecture = "svhn32", width = 0.02, batch_size = 8, epochs = 100, max_steps = 2 }
"#;

#[test]
fn folders_that_hold_something_else_are_told_by_what_is_in_them() {
    let place = Place::new(IMAGES);
    place.pictures("photos", 7);
    let fails = |arguments: &[&str]| place.fails(1, &[&["stage"], arguments].concat());
    let holds = "found 000.png, 001.png, 002.png, 003.png, 004.png and 2 more";
    let import =
        |source: &str| fails(&["import_images", "--out", "out", source, "source.cifar10.split=test"]);
    let message = import("source.cifar10.path=photos");
    assert!(message.contains(&format!("photos: expected CIFAR-10's test_batch.bin, {holds}")), "{message}");
    let message = fails(&["import_images", "--out", "out", "source.lsun.path=photos"]);
    assert!(
        message.contains(&format!("photos: expected an LMDB, in the file data.mdb, {holds}")),
        "{message}"
    );
    let message = fails(&["import_images", "--out", "out", "source.store.path=photos"]);
    assert!(
        message.contains(&format!("photos: expected an image store, with meta.json, {holds}")),
        "{message}"
    );
    let message = fails(&["import_weights", "--out", "out", "set=svhn", "path=photos"]);
    let expected =
        "photos: expected the released file 200_discrim_params.jl_01.npy (18 of 18 files are missing)";
    assert!(message.contains(expected) && message.contains(holds), "{message}");
    let message = fails(&["import_weights", "--out", "out", "set=imagenet", "path=photos"]);
    assert!(message.contains("photos: expected the released file 30_discrim_params.jl_01.npy"), "{message}");
    assert!(!message.contains("os error"), "{message}");
    // All alternatives of what is needed.
    place.stderr(&["run", "m.toml"]);
    let features = ["extract_features", "--out", "out", "images=runs/m/images", "statistics=runs/m/images"];
    let message = fails(&[&features[..], &["model=photos"]].concat());
    assert!(message.contains("photos has no discriminator.safetensors or kmeans.safetensors"), "{message}");
    let message = fails(&["sample_metrics", "--out", "out", "real=runs/m/images", "generated=photos"]);
    assert!(message.contains("photos has no generator.safetensors, images.npy or features.npy"), "{message}");
    let message = fails(&["sample", "--out", "out", "model=runs/m/train", "weights=ema"]);
    let expected = "`weights` is \"ema\", which needs a training that kept a moving average (`training.ema_decay`), in \
                    generator_ema.safetensors; runs/m/train holds generator.safetensors (\"trained\")";
    assert!(message.contains(expected), "{message}");
}

#[test]
fn what_is_missing_is_shown_by_an_example() {
    let place = Place::new(IMAGES);
    place.pictures("photos", 7);
    let message = place.fails(2, &["stage", "train_gan", "--out", "out", "images=photos"]);
    assert!(message.contains("key `training` is missing"), "{message}");
    assert!(
        message.contains(
            "for example `training.architecture=svhn32`, `training.width=0.25`, `training.epochs=2`"
        ),
        "{message}"
    );
    std::fs::write(
        place.path("bad.toml"),
        "name = \"m\"\n[[stage]]\nid = \"a\"\n[stage.train_gan]\nimages = \"photos/\"\n",
    )
    .unwrap();
    let message = place.fails(1, &["check", "bad.toml"]);
    assert!(
        message.contains("for example `training.architecture = \"svhn32\"`, `training.width = 0.25`"),
        "{message}"
    );
    let arguments = ["stage", "import_images", "--out", "out", "source.folder.path=photos"];
    let message = place.fails(2, &[&arguments[..], &["resize=min_resize_centre_crop"]].concat());
    assert!(message.contains("did you mean `min_resize_centre_crop(64)`, or another number?"), "{message}");
    let text = place.stdout(&["doctor"]);
    assert!(text.contains("GPU") && !text.contains("--device"), "{text}");
}

#[test]
fn a_stage_that_goes_on_says_so_and_one_that_did_nothing_leaves_nothing() {
    let place = Place::new(IMAGES);
    place.stderr(&["run", "m.toml"]);
    let train = |steps: &'static str| {
        let settings = ["images=runs/m/images", "training.architecture=svhn32", "training.width=0.02"];
        [&["stage", "train_gan", "--out", "out/gan"], &settings[..], &["training.batch_size=8", steps]]
            .concat()
    };
    place.stderr(&train("training.max_steps=2"));
    let message = place.fails(1, &train("training.max_steps=4"));
    assert!(
        message.contains("parameter `training.max_steps` changed: 2 → 4; `--force` goes on from there"),
        "{message}"
    );
    let said = place.stderr(&[&train("training.max_steps=4")[..], &["--force"]].concat());
    assert!(said.contains("going on from its finished run"), "{said}");
    // Another seed begins anew.
    let message = place.fails(1, &[&train("training.max_steps=4")[..], &["training.seed=3"]].concat());
    assert!(message.contains("or `--force` to replace it"), "{message}");

    // Fails before it writes anything: then nothing is kept, and nothing is said of it.
    let bad = ["training.max_steps=2", "from=runs/m/other"];
    std::fs::create_dir_all(place.path("runs/m/other")).unwrap();
    for network in ["generator", "discriminator"] {
        std::fs::write(place.path("runs/m/other").join(format!("{network}.safetensors")), "no").unwrap();
    }
    let fails = [&train("training.max_steps=2")[..], &bad[1..]].concat();
    let fails: Vec<&str> = fails.iter().map(|of| if *of == "out/gan" { "out/new" } else { of }).collect();
    place.fails(1, &fails);
    let again: Vec<&str> = fails[..fails.len() - 1].to_vec();
    let said = place.stderr(&again);
    assert!(!said.contains("is kept"), "{said}");
}

/// Twelve pictures are hashed; the folder that is then named holds nine of them.
#[test]
fn a_set_that_holds_a_part_of_what_was_hashed_is_told_by_how_many() {
    let place = Place::new(
        r#"
name = "m"
[[stage]]
id = "images"
[stage.import_images]
source.folder.path = "photos"
resize = "min_resize_centre_crop(32)"
[[stage]]
id = "autoencoder"
[stage.train_autoencoder]
images = "images"
training = { epochs = 1, min_minibatches = 2, batch_size = 4 }
[[stage]]
id = "codes"
[stage.hash_images]
source.folder.path = "photos"
autoencoder = "autoencoder"
[[stage]]
id = "judged"
[stage.dedup_eval]
source.folder.path = "some"
codes = "codes"
evaluation = { n_changed = 4, n_on_sheet = 2 }
"#,
    );
    place.pictures("photos", 12);
    place.pictures("some", 9);
    let said = place.stderr(&["run", "m.toml"]);
    let told = "folder some holds 9 of the 12 hashed pictures that are compared";
    assert!(said.contains(told), "{said}");
    let read =
        |file: &str| -> Value { serde_json::from_slice(&std::fs::read(place.path(file)).unwrap()).unwrap() };
    let evaluation = read("runs/m/judged/evaluation.json");
    assert_eq!((evaluation["n_met"].as_u64(), evaluation["n_background"].as_u64()), (Some(9), Some(12)));
    assert!(read("runs/m/judged/result.json")["facts"].to_string().contains(told));
}

/// The folder of the stage that did not end.
fn half_done(place: &Place, runs: &str) -> Option<PathBuf> {
    let folders = std::fs::read_dir(place.path(runs).join("m/.dcgan/partial/near")).ok()?;
    folders.map(|entry| entry.unwrap().path()).next()
}

#[test]
fn memorisation_that_was_killed_goes_on_with_the_same_bytes() {
    let place = Place::new(
        r#"
name = "m"
[[stage]]
id = "shapes"
[stage.synthesize.shapes]
n_train = 9000
n_test = 600
[[stage]]
id = "training"
[stage.import_images]
from = "shapes"
source.cifar10 = { path = "cifar-10-batches-bin", split = "train" }
[[stage]]
id = "held-out"
[stage.import_images]
from = "shapes"
source.cifar10 = { path = "cifar-10-batches-bin", split = "test" }
[[stage]]
id = "gan"
[stage.train_gan]
images = "training"
training = { architecture = "svhn32", width = 0.02, batch_size = 16, epochs = 100, max_steps = 2 }
[[stage]]
id = "near"
[stage.memorisation]
generated = "gan"
training = "training"
held_out = "held-out"
discriminator = "gan"
n_images = 2000
bootstrap = 20
"#,
    );
    let files = ["memorisation.json", "result.json", "nearest_by_features.png"];
    let read =
        |runs: &str| files.map(|file| std::fs::read(place.path(runs).join("m/near").join(file)).unwrap());
    place.stderr(&["run", "m.toml", "--runs", "whole"]);
    for (signal, runs) in [("-INT", "one"), ("-KILL", "two")] {
        let run = ["run", "m.toml", "--runs", runs];
        let child = place.command(&run).stderr(Stdio::piped()).spawn().unwrap();
        let start = Instant::now();
        let is_begun = |folder: PathBuf| folder.join("nearest_by_pixels.json").exists();
        while !half_done(&place, runs).is_some_and(is_begun) {
            assert!(start.elapsed() < Duration::from_secs(120), "waited for too long");
            std::thread::sleep(Duration::from_millis(2));
        }
        let kill = std::process::Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(kill.unwrap().success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), (signal == "-INT").then_some(130));
        assert!(half_done(&place, runs).is_some() && !place.path(runs).join("m/near").exists());
        let said = place.stderr(&run);
        assert!(
            said.contains("resuming from its last checkpoint") && !said.contains("starting again"),
            "{said}"
        );
        assert!(!place.path(runs).join("m/near/nearest_by_pixels.json").exists());
        assert!(read(runs) == read("whole"), "other bytes after {signal}");
    }
}
