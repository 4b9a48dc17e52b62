//! Ctrl-C: a training stops, says how to go on, and is resumed.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::Place;

const TRAINING: &str = r#"
name = "m"
[vars]
steps = 600
[[stage]]
id = "shapes"
[stage.synthesize.shapes]
n_train = 64
n_test = 10
[[stage]]
id = "images"
[stage.import_images]
from = "shapes"
source.cifar10 = { path = "cifar-10-batches-bin", split = "train" }
[[stage]]
id = "train"
[stage.train_gan]
images = "images"
training = { architecture = "svhn32", width = 0.02, batch_size = 8, epochs = 100000, max_steps = "${steps}", log_every = 1 }
"#;

#[test]
fn an_interrupted_training_is_resumed() {
    let place = Place::new(TRAINING);
    let binary = assert_cmd::cargo::cargo_bin("dcgan");
    let child = Command::new(binary)
        .args(["run", "m.toml"])
        .current_dir(place.folder())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for(|| {
        let log = std::fs::read_to_string(place.path("runs/m/train.partial/metrics.jsonl"));
        log.is_ok_and(|text| text.lines().count() > 3)
    });
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{told}");
    assert!(told.contains("interrupted in stage `train`; run the same command again to resume it"), "{told}");
    assert!(!place.path("runs/m/train").exists());
    assert!(place.path("runs/m/train.partial/checkpoint.safetensors").exists());

    let status = place.stdout(&["status", "m.toml"]);
    assert!(status.contains("it was interrupted; it will be resumed"), "{status}");
    let status = place.stdout(&["status", "m.toml", "--set", "train.training.seed=1"]);
    assert!(status.contains("it was interrupted; it will start afresh"), "{status}");

    let told = place.stderr(&["run", "m.toml"]);
    assert!(told.contains("train: resuming from its last checkpoint"), "{told}");
    assert!(!place.path("runs/m/train.partial").exists());
    place.stdout(&["run", "m.toml", "--runs", "uninterrupted"]);
    for file in ["discriminator.safetensors", "generator.safetensors"] {
        let read = |runs: &str| std::fs::read(place.path(runs).join("m/train").join(file)).unwrap();
        assert!(read("runs") == read("uninterrupted"), "{file} has other bits after an interruption");
    }
}

fn wait_for(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(120), "waited for too long");
        std::thread::sleep(Duration::from_millis(20));
    }
}
