//! A training on several devices: processes that are started, told, missed and ended.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{Place, TRAINING};

#[test]
fn a_training_in_parts_that_is_killed_goes_on_with_the_same_bits() {
    let place = Place::new(TRAINING);
    let told =
        place.stderr(&["run", "m.toml", "--device", "cpu:0-1", "--runs", "whole", "--set", "steps=40"]);
    assert!(told.contains("3 stages ran"), "{told}");
    let (child, others) = started(&place);
    assert_eq!(others.len(), 1);
    signal(child.id(), "-KILL");
    assert_eq!(child.wait_with_output().unwrap().status.code(), None);
    wait_for(|| parts_of(&place).is_empty());
    let told = place.stderr(&["run", "m.toml", "--device", "cpu:0-1", "--set", "steps=40"]);
    assert!(told.contains("train: resuming from its last checkpoint"), "{told}");
    for file in ["discriminator.safetensors", "generator.safetensors", "generator_best.safetensors"] {
        let read = |runs: &str| std::fs::read(place.path(runs).join("m/train").join(file)).unwrap();
        assert!(read("runs") == read("whole"), "{file} has other bits after a kill");
    }
    // What it was trained on is part of its record: one device is another training.
    let status = place.stdout(&["run", "m.toml", "--dry-run", "--device", "cpu", "--set", "steps=40"]);
    assert!(status.contains("device changed: cpu:0-1 → cpu"), "{status}");
}

#[test]
fn ctrl_c_and_a_part_that_dies_end_all_parts() {
    let place = Place::new(TRAINING);
    let (child, _) = started(&place);
    signal(child.id(), "-INT");
    let (status, told) = ended(child);
    assert_eq!(status, Some(130), "{told}");
    assert!(told.contains("interrupted in stage `train`; run the same command again to resume it"), "{told}");
    assert_eq!(parts_of(&place), []);

    let (child, others) = started(&place);
    signal(others[0], "-KILL");
    let (status, told) = ended(child);
    assert_eq!(status, Some(1), "{told}");
    assert!(
        told.contains("part 1 of the training: it has ended (part 1, on cpu: signal: 9 (SIGKILL))"),
        "{told}"
    );
    assert_eq!(parts_of(&place), []);
}

#[test]
fn what_cannot_be_cut_is_refused() {
    let place = Place::new(TRAINING);
    let told = place.fails(1, &["run", "m.toml", "--device", "cpu:0-2"]);
    assert!(told.contains("`batch_size`: expected a multiple of 3, the number of devices"), "{told}");
    assert_eq!(parts_of(&place), []);
    let told = place.fails(1, &["bench", "train", "--arch", "svhn32", "--device", "cpu:0-1"]);
    assert!(told.contains("expected one device to measure, found `cpu:0-1`"), "{told}");
    let told = place.fails(2, &["run", "m.toml", "--device", "cpu:1-2"]);
    assert!(told.contains("several as `cuda:N-M`"), "{told}");
}

/// A training on two devices that has logged some minibatches, and its other parts.
fn started(place: &Place) -> (Child, Vec<u32>) {
    let mut command = place.command(&["run", "m.toml", "--device", "cpu:0-1"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let n_before = n_lines(place);
    wait_for(|| n_lines(place) >= n_before + 10 && !parts_of(place).is_empty());
    let others = parts_of(place);
    (child, others)
}

fn ended(child: Child) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

/// Lines of the log of the training that is under way.
fn n_lines(place: &Place) -> usize {
    let folders = std::fs::read_dir(place.path("runs/m/.dcgan/partial/train")).into_iter().flatten();
    let logs =
        folders.filter_map(|folder| std::fs::read_to_string(folder.ok()?.path().join("metrics.jsonl")).ok());
    logs.map(|log| log.lines().count()).max().unwrap_or(0)
}

/// The processes that take part in a training of this place.
fn parts_of(place: &Place) -> Vec<u32> {
    let own = |id: u32| {
        let folder = PathBuf::from(format!("/proc/{id}"));
        let told = std::fs::read(folder.join("cmdline")).ok()?;
        let is_part = told.split(|byte| *byte == 0).any(|word| word == b"train-part");
        let is_here = std::fs::read_link(folder.join("cwd")).ok()? == place.folder().canonicalize().ok()?;
        (is_part && is_here).then_some(id)
    };
    let entries = std::fs::read_dir("/proc").unwrap();
    entries.filter_map(|entry| own(entry.ok()?.file_name().to_str()?.parse().ok()?)).collect()
}

fn signal(process: u32, signal: &str) {
    assert!(Command::new("kill").args([signal, &process.to_string()]).status().unwrap().success());
}

fn wait_for(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(120), "waited for too long");
        std::thread::sleep(Duration::from_millis(20));
    }
}
