//! Work that is finished stays: other settings replace no result for good, and going back to earlier ones runs nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Place, SMALL, TRAINING};

/// Every file under a folder with its content, but for the hidden folders.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap() == ".dcgan" {
            continue;
        }
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => _ = found.insert(path.clone(), fs::read(&path).unwrap()),
        }
    }
    found
}

fn folders(place: &Place, folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(place.path(folder)).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn going_back_to_earlier_settings_runs_nothing_down_the_whole_chain() {
    let place = Place::new(SMALL);
    place.stdout(&["run", "m.toml"]);
    let before = files(&place.path("runs/small"));
    // Of the first stage, so that all others change too.
    let told = place.stderr(&["run", "m.toml", "--set", "n_train=70"]);
    assert!(told.contains("shapes: the version before is kept in runs/small/.dcgan/kept/shapes/"), "{told}");
    let other = files(&place.path("runs/small"));
    assert_ne!(before, other);
    for (settings, expected) in [(&[][..], &before), (&["--set", "n_train=70"], &other), (&[], &before)] {
        let shown = place.stdout(&[&["run", "m.toml", "--dry-run"], settings].concat());
        assert!(!shown.contains("will run first"), "{shown}");
        assert_eq!(
            shown.matches("will be put back, nothing runs").count(),
            7 - shown.matches("fresh ").count()
        );
        let status = place.stdout(&[&["status", "m.toml", "--json"], settings].concat());
        assert!(!status.contains("\"will_run\": true") && status.contains("\"state\": \"kept\""), "{status}");
        let told = place.stderr(&[&["run", "m.toml"], settings].concat());
        assert!(told.contains("0 stages ran, 7 were unchanged, "), "{told}");
        assert!(told.contains("[1/7] shapes: put back from the versions that are kept"), "{told}");
        assert_eq!(&files(&place.path("runs/small")), expected);
        assert!(
            place.stderr(&[&["run", "m.toml"], settings].concat()).trim_end().ends_with("7 were unchanged")
        );
    }
}

#[test]
fn a_kept_version_that_somebody_changed_is_not_put_back() {
    let place = Place::new(SMALL);
    place.stdout(&["run", "m.toml"]);
    place.stdout(&["run", "m.toml", "--set", "c=0.01"]);
    let [kept] = &folders(&place, "runs/small/.dcgan/kept/svm")[..] else { panic!("expected one version") };
    let file = files(kept).into_keys().find(|file| !file.ends_with("stage.json")).unwrap();
    fs::write(&file, "edited").unwrap();
    let told = place.stderr(&["run", "m.toml"]);
    assert!(told.contains("svm (fit_svm): parameter `c` changed: 0.01 → 0.001"), "{told}");
    assert_eq!(fs::read(&file).unwrap(), b"edited");
    // A forced run of the same settings that gives the same files leaves one version of them.
    let before = folders(&place, "runs/small/.dcgan/kept/shapes");
    place.stdout(&["run", "m.toml", "--force", "shapes"]);
    assert_eq!(folders(&place, "runs/small/.dcgan/kept/shapes"), before);
}

#[test]
fn a_stage_that_was_removed_by_hand_runs_again() {
    let place = Place::new(SMALL);
    place.stdout(&["run", "m.toml"]);
    let before = files(&place.path("runs/small/svm"));
    fs::remove_dir_all(place.path("runs/small/svm")).unwrap();
    assert!(place.stderr(&["run", "m.toml"]).contains("svm (fit_svm): it has not run yet"));
    assert_eq!(files(&place.path("runs/small/svm")).len(), before.len());
    // One that was replaced comes back.
    place.stdout(&["run", "m.toml", "--set", "c=0.01"]);
    fs::remove_dir_all(place.path("runs/small/svm")).unwrap();
    assert!(place.stdout(&["status", "m.toml"]).contains("kept     svm"));
    assert!(place.stderr(&["run", "m.toml"]).contains("svm: put back"));
}

#[test]
fn a_finished_training_stays_when_other_settings_are_tried() {
    let place = Place::new(TRAINING);
    let run = |settings: &[&str]| {
        let mut all = vec!["run", "m.toml", "--set", "steps=40"];
        all.extend(settings.iter().flat_map(|setting| ["--set", setting]));
        place.stderr(&all)
    };
    run(&[]);
    let before = files(&place.path("runs/m/train"));
    let narrow = "train.training.width=0.03";
    let told = run(&[narrow]);
    assert!(told.contains("train: the version before is kept in "), "{told}");
    let told = run(&[]);
    assert!(told.contains("0 stages ran, 3 were unchanged, 1 of them put back"), "{told}");
    assert_eq!(files(&place.path("runs/m/train")), before);
    assert!(run(&[narrow]).contains("0 stages ran"));
    // A longer one goes on from the version that is kept, which stays.
    let told = place.stderr(&["run", "m.toml", "--set", "steps=60"]);
    assert!(told.contains("train: going on from its finished run"), "{told}");
    let told = run(&[]);
    assert!(told.contains("0 stages ran"), "{told}");
    assert_eq!(files(&place.path("runs/m/train")), before);
    // The longer one is what an uninterrupted run gives.
    place.stdout(&["run", "m.toml", "--set", "steps=60"]);
    place.stdout(&["run", "m.toml", "--set", "steps=60", "--runs", "other"]);
    let weights = |runs: &str| fs::read(place.path(runs).join("m/train/generator.safetensors")).unwrap();
    assert!(weights("runs") == weights("other"));
}

/// Kills a run once the newest training in work has logged more than `n_lines` minibatches.
fn kill_after(place: &Place, n_lines: usize, settings: &[&str]) {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("dcgan"));
    command.args(["run", "m.toml"]).args(settings.iter().flat_map(|setting| ["--set", setting]));
    command.current_dir(place.folder()).stdout(Stdio::null()).stderr(Stdio::null());
    let known = folders(place, "runs/m/.dcgan/partial/train");
    let mut child = command.spawn().unwrap();
    let start = Instant::now();
    let has_logged = |folder: &PathBuf| {
        let log = fs::read_to_string(folder.join("metrics.jsonl")).unwrap_or_default();
        !known.contains(folder) && log.lines().count() > n_lines
    };
    while !folders(place, "runs/m/.dcgan/partial/train").iter().any(has_logged) {
        assert!(start.elapsed() < Duration::from_secs(120), "waited for too long");
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn an_interrupted_training_waits_for_its_settings() {
    let place = Place::new(TRAINING);
    kill_after(&place, 30, &[]);
    let told = place.stderr(&["run", "m.toml", "--set", "train.training.seed=1", "--set", "steps=20"]);
    assert!(
        told.contains("train: what 1 interrupted run with other settings or inputs had done is kept"),
        "{told}"
    );
    // Fewer minibatches than are done: the checkpoints beyond stay with the longer training.
    let told = place.stderr(&["run", "m.toml", "--set", "steps=8"]);
    assert!(told.contains("1 stage ran"), "{told}");
    assert_eq!(folders(&place, "runs/m/.dcgan/partial/train").len(), 1);
    let told = place.stderr(&["run", "m.toml"]);
    assert!(told.contains("train: resuming from its last checkpoint"), "{told}");
    assert!(folders(&place, "runs/m/.dcgan/partial/train").is_empty());
    place.stdout(&["run", "m.toml", "--runs", "uninterrupted"]);
    for file in ["generator.safetensors", "discriminator.safetensors", "generator_best.safetensors"] {
        let read = |runs: &str| fs::read(place.path(runs).join("m/train").join(file)).unwrap();
        assert!(read("runs") == read("uninterrupted"), "{file}");
    }
}

#[test]
fn a_stage_alone_replaces_a_finished_one_only_when_forced() {
    let place = Place::new(SMALL);
    let with = |more: &[&'static str]| {
        [&["stage", "synthesize", "--out", "a", "shapes.n_train=20", "shapes.n_test=20"][..], more].concat()
    };
    let metrics = place.stdout(&with(&[]));
    let before = files(&place.path("a"));
    let again = place.dcgan(&with(&[])).assert().success().get_output().clone();
    assert_eq!(String::from_utf8(again.stdout).unwrap(), metrics);
    assert!(String::from_utf8(again.stderr).unwrap().contains("a: unchanged"));
    assert_eq!(files(&place.path("a")), before, "its record, with times, is the same");
    let told = place.fails(1, &with(&["shapes.seed=5"]));
    assert!(
        told.contains("made otherwise: parameter `shapes.seed` changed: 0 → 5") && told.contains("--force"),
        "{told}"
    );
    assert_eq!(files(&place.path("a")), before);
    place.stdout(&with(&["shapes.seed=5", "--force"]));
    let [kept] = &folders(&place, ".dcgan/kept/a")[..] else { panic!("expected one version") };
    let strip = |files: BTreeMap<PathBuf, Vec<u8>>, root: &Path| -> BTreeMap<PathBuf, Vec<u8>> {
        files.into_iter().map(|(path, bytes)| (path.strip_prefix(root).unwrap().to_owned(), bytes)).collect()
    };
    assert_eq!(strip(files(kept), kept), strip(before, &place.path("a")));
    // Back to the settings from before: it is put back, also where the folder was moved away.
    let there = folders(&place, ".dcgan/kept/a");
    let told = place.stderr(&with(&["--force"]));
    assert!(told.contains("a: put back from the versions that are kept"), "{told}");
    assert_ne!(folders(&place, ".dcgan/kept/a"), there);
    fs::rename(place.path("a"), place.path("b")).unwrap();
    let told = place.stderr(&with(&["shapes.seed=5"]));
    assert!(told.contains("a: put back from the versions that are kept"), "{told}");
    // Damage is told too.
    fs::write(place.path("a/cifar-10-batches-bin/test_batch.bin"), "x").unwrap();
    let told = place.fails(1, &with(&["shapes.seed=5"]));
    assert!(told.contains("test_batch.bin was changed after it ran"), "{told}");
}
