//! Ctrl-C and worse: a training stops, says how to go on, and is resumed.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{Place, TRAINING};

#[test]
fn an_interrupted_training_is_resumed() {
    let place = Place::new(TRAINING);
    let output = stop_after(&place, 3, "-INT");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{told}");
    assert!(told.contains("interrupted in stage `train`; run the same command again to resume it"), "{told}");
    assert!(!place.path("runs/m/train").exists());
    assert!(n_checkpoints(&place) > 0);

    let status = place.stdout(&["status", "m.toml"]);
    assert!(status.contains("a run of it did not end; it will be resumed"), "{status}");
    let status = place.stdout(&["status", "m.toml", "--set", "train.training.seed=1"]);
    assert!(status.contains("a run of it did not end; it will start afresh"), "{status}");
    // What does not decide the weights may change meanwhile.
    for free in ["train.training.log_every=5", "train.training.checkpoint_steps=50", "steps=700"] {
        let status = place.stdout(&["status", "m.toml", "--set", free]);
        assert!(status.contains("a run of it did not end; it will be resumed"), "{free}: {status}");
    }

    let told = place.stderr(&["run", "m.toml"]);
    assert!(told.contains("train: resuming from its last checkpoint"), "{told}");
    assert_eq!(half_done(&place), None);
    place.stdout(&["run", "m.toml", "--runs", "uninterrupted"]);
    assert_same_networks(&place, "uninterrupted");
}

#[test]
fn a_killed_training_ends_with_the_same_bits_and_a_finished_one_can_be_extended() {
    let place = Place::new(TRAINING);
    // Anywhere in its first half; the hasher's keys are the system's random numbers.
    let random = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0);
    let n_lines = 3 + (random % 300) as usize;
    println!("killed after {n_lines} minibatches");
    let output = stop_after(&place, n_lines, "-KILL");
    assert_eq!(output.status.code(), None);
    assert!(n_lines < 8 || n_checkpoints(&place) > 0);
    let told = place.stderr(&["run", "m.toml", "--set", "steps=500", "--set", "train.training.log_every=20"]);
    assert!(told.contains("train: resuming from its last checkpoint"), "{told}");
    let told = place.stderr(&["run", "m.toml"]);
    assert!(told.contains("train: going on from its finished run"), "{told}");
    place.stdout(&["run", "m.toml", "--runs", "uninterrupted"]);
    assert_same_networks(&place, "uninterrupted");
    let log = std::fs::read_to_string(place.path("runs/m/train/metrics.jsonl")).unwrap();
    assert!(log.contains("\"step\":500,") && log.lines().last().unwrap().contains("\"step\":600,"));
}

#[test]
fn an_input_that_changes_while_it_is_read_is_an_error() {
    let place = Place::new(TRAINING);
    place.stdout(&["run", "m.toml", "--to", "images"]);
    let child = place.command(&["run", "m.toml"]).stderr(Stdio::piped()).spawn().unwrap();
    wait_for(|| half_done(&place).is_some_and(|folder| folder.join("metrics.jsonl").exists()));
    let bad = place.path("runs/m/images/bad.csv");
    let before = std::fs::read(&bad).unwrap();
    std::fs::write(&bad, [&before[..], b"a,b\n"].concat()).unwrap();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("its input `images` (images) changed while it was read"), "{told}");
    std::fs::write(&bad, before).unwrap();
    let told = place.stderr(&["run", "m.toml"]);
    assert!(told.contains("1 stage ran, 2 were unchanged"), "{told}");
}

/// The training looks at the pictures through a map of the file: its pages are gone.
#[cfg(target_os = "linux")]
#[test]
fn a_file_that_becomes_shorter_while_it_is_read_is_an_error() {
    let place = Place::new(TRAINING);
    place.stdout(&["run", "m.toml", "--to", "images"]);
    let images = place.path("runs/m/images/images.npy");
    let before = std::fs::read(&images).unwrap();
    let child = place.command(&["run", "m.toml"]).stderr(Stdio::piped()).spawn().unwrap();
    wait_for(|| half_done(&place).is_some_and(|folder| folder.join("metrics.jsonl").exists()));
    let file = std::fs::OpenOptions::new().write(true).open(&images).unwrap();
    file.set_len(0).unwrap();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("error: a file that was being read became shorter meanwhile"), "{told}");
    assert!(!place.path("runs/m/train").exists());
    // The images are made anew, and the training ends.
    place.stdout(&["run", "m.toml"]);
    assert!(std::fs::read(&images).unwrap() == before && place.path("runs/m/train").exists());
}

/// Starts the pipeline, and sends it a signal once so many minibatches are logged.
fn stop_after(place: &Place, n_lines: usize, signal: &str) -> Output {
    let binary = assert_cmd::cargo::cargo_bin("dcgan");
    let child = Command::new(binary)
        .args(["run", "m.toml"])
        .current_dir(place.folder())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for(|| {
        let log = half_done(place).map(|folder| std::fs::read_to_string(folder.join("metrics.jsonl")));
        log.is_some_and(|log| log.is_ok_and(|text| text.lines().count() > n_lines))
    });
    let killed = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    child.wait_with_output().unwrap()
}

/// The folder of the training that was interrupted last.
fn half_done(place: &Place) -> Option<PathBuf> {
    let folders = std::fs::read_dir(place.path("runs/m/.dcgan/partial/train")).ok()?;
    folders.map(|entry| entry.unwrap().path()).max_by_key(|path| path.metadata().unwrap().modified().unwrap())
}

fn n_checkpoints(place: &Place) -> usize {
    let names = std::fs::read_dir(half_done(place).unwrap().join("checkpoints")).unwrap();
    names.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("step_")).count()
}

fn assert_same_networks(place: &Place, other: &str) {
    for file in ["discriminator.safetensors", "generator.safetensors", "generator_best.safetensors"] {
        let read = |runs: &str| std::fs::read(place.path(runs).join("m/train").join(file)).unwrap();
        assert!(read("runs") == read(other), "{file} has other bits after an interruption");
    }
}

fn wait_for(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(120), "waited for too long");
        std::thread::sleep(Duration::from_millis(20));
    }
}
