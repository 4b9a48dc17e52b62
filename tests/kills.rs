//! Killed at every rename, removal and new folder of a run, no finished version of a stage is lost: the same run ends right
//! after it, and the settings from before come back without running anything.
//!
//! `DCGAN_FAULT_EVERY=1` kills at each of these calls, before and after it; by default at some. Without a C compiler the tests
//! are skipped, saying so.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use common::Place;
use common::calls::{self, copy};

const PIPELINE: &str = r#"
name = "m"
[vars]
seed = 0
steps = 2
[[stage]]
id = "shapes"
[stage.synthesize.shapes]
n_train = 16
n_test = 10
seed = "${seed}"
[[stage]]
id = "images"
[stage.import_images]
from = "shapes"
source.cifar10 = { path = "cifar-10-batches-bin", split = "train" }
[[stage]]
id = "train"
[stage.train_gan]
images = "images"
training = { architecture = "svhn32", width = 0.02, batch_size = 8, epochs = 1000, max_steps = "${steps}", log_every = 1, checkpoint_steps = 1, keep_checkpoints = 1, score_every_steps = 1000, sample_every_epochs = 1000 }
"#;

fn run(place: &Path, settings: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("dcgan"));
    command.args(["run", "m.toml"]).args(settings.iter().flat_map(|setting| ["--set", setting]));
    command.current_dir(place);
    command
}

fn ends_well(command: &mut Command, when: &str) -> String {
    let Output { status, stderr, .. } = command.output().unwrap();
    let told = String::from_utf8_lossy(&stderr).into_owned();
    assert!(status.success(), "{when}: {told}");
    told
}

/// What the stages' folders hold, without what tells times.
fn outputs(place: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for file in ["images/images.npy", "train/generator.safetensors", "train/discriminator.safetensors"] {
        found.insert(file.to_owned(), fs::read(place.join("runs/m").join(file)).unwrap());
    }
    found
}

/// What is run, and what is run before that.
struct Case {
    name: &'static str,
    before: &'static [&'static [&'static str]],
    killed: &'static [&'static str],
}

const CASES: [Case; 4] = [
    Case { name: "from nothing", before: &[], killed: &[] },
    Case { name: "other settings", before: &[&[]], killed: &["seed=1"] },
    Case { name: "a longer training", before: &[&[]], killed: &["steps=3"] },
    Case { name: "back to kept versions", before: &[&[], &["seed=1"]], killed: &[] },
];

#[test]
fn killed_at_any_call_no_finished_version_is_lost() {
    let tools = tempfile::tempdir().unwrap();
    let Some(library) = calls::library(tools.path()) else { return };
    let step = calls::step(17);
    for Case { name, before, killed } in CASES {
        let place = Place::new(PIPELINE);
        let mut expected = BTreeMap::new();
        for settings in before {
            ends_well(&mut run(place.folder(), settings), name);
            expected.insert(*settings, outputs(place.folder()));
        }
        let undisturbed = tools.path().join("undisturbed");
        copy(place.folder(), &undisturbed);
        let n_calls = calls::count(&mut run(&undisturbed, killed), &library);
        expected.insert(killed, outputs(&undisturbed));
        fs::remove_dir_all(&undisturbed).unwrap();
        assert!(n_calls > 10, "{n_calls}");
        let mut n_kills = 0;
        for (call, after) in (1..=n_calls).flat_map(|call| [(call, false), (call, true)]).step_by(step) {
            let when =
                format!("{name}, killed {} call {call} of {n_calls}", if after { "after" } else { "before" });
            let here = tools.path().join("here");
            copy(place.folder(), &here);
            let mut command = run(&here, killed);
            calls::kill_at(&mut command, &library, call, after);
            n_kills += usize::from(!command.output().unwrap().status.success());
            ends_well(&mut run(&here, killed), &when);
            assert!(outputs(&here) == expected[killed], "{when}");
            // What was finished before comes back without running.
            for settings in before.iter().rev() {
                let told = ends_well(&mut run(&here, settings), &when);
                assert!(told.contains("0 stages ran"), "{when}: {told}");
                assert!(outputs(&here) == expected[settings], "{when}");
            }
            fs::remove_dir_all(&here).unwrap();
        }
        eprintln!("{name}: {n_kills} kills at {n_calls} calls");
    }
}
