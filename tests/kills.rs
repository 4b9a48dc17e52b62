//! Killed at every rename, removal and new folder of a run, no finished version of a stage is lost: the same run ends right
//! after it, and the settings from before come back without running anything.
//!
//! `DCGAN_FAULT_EVERY=1` kills at each of these calls, before and after it; by default at some. A library loaded before the
//! C library counts the calls and kills; without a C compiler the tests are skipped, saying so.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::Place;

/// Kills the process at the call of number `DCGAN_KILL_AT`, before it is made or after; without it, writes how many there were.
const LIBRARY: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

static int n_calls;

static void count(int is_after) {
    const char *at = getenv("DCGAN_KILL_AT"), *after = getenv("DCGAN_KILL_AFTER");
    int n = is_after ? __atomic_load_n(&n_calls, __ATOMIC_SEQ_CST) : __atomic_add_fetch(&n_calls, 1, __ATOMIC_SEQ_CST);
    if (at && n >= atoi(at) && is_after == (after != NULL)) kill(getpid(), SIGKILL);
}

#define WRAP(name, parameters, arguments)                                   \
    int name parameters {                                                   \
        int (*real) parameters = (int (*) parameters)dlsym(RTLD_NEXT, #name); \
        count(0);                                                           \
        int result = real arguments;                                        \
        count(1);                                                           \
        return result;                                                      \
    }
WRAP(rename, (const char *a, const char *b), (a, b))
WRAP(unlink, (const char *a), (a))
WRAP(rmdir, (const char *a), (a))
WRAP(mkdir, (const char *a, mode_t b), (a, b))
WRAP(unlinkat, (int a, const char *b, int c), (a, b, c))
WRAP(link, (const char *a, const char *b), (a, b))
WRAP(linkat, (int a, const char *b, int c, const char *d, int e), (a, b, c, d, e))

__attribute__((destructor)) static void tell(void) {
    const char *path = getenv("DCGAN_N_CALLS");
    FILE *file = path ? fopen(path, "w") : NULL;
    if (file) { fprintf(file, "%d", n_calls); fclose(file); }
}
"#;

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

/// The library, built in a folder of its own; none without a C compiler.
fn library(folder: &Path) -> Option<PathBuf> {
    let (source, library) = (folder.join("kill.c"), folder.join("kill.so"));
    fs::write(&source, LIBRARY).unwrap();
    let built =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).arg("-ldl").status();
    if !built.is_ok_and(|status| status.success()) {
        eprintln!("skipped: there is no C compiler");
        return None;
    }
    Some(library)
}

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

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
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
    let Some(library) = library(tools.path()) else { return };
    let step = if std::env::var_os("DCGAN_FAULT_EVERY").is_some() { 1 } else { 17 };
    for Case { name, before, killed } in CASES {
        let place = Place::new(PIPELINE);
        let mut expected = BTreeMap::new();
        for settings in before {
            ends_well(&mut run(place.folder(), settings), name);
            expected.insert(*settings, outputs(place.folder()));
        }
        let undisturbed = tools.path().join("undisturbed");
        copy(place.folder(), &undisturbed);
        let n_calls = tools.path().join("n_calls");
        ends_well(run(&undisturbed, killed).env("LD_PRELOAD", &library).env("DCGAN_N_CALLS", &n_calls), name);
        expected.insert(killed, outputs(&undisturbed));
        fs::remove_dir_all(&undisturbed).unwrap();
        let n_calls: usize = fs::read_to_string(n_calls).unwrap().parse().unwrap();
        assert!(n_calls > 10, "{n_calls}");
        let mut n_kills = 0;
        for (call, after) in (1..=n_calls).flat_map(|call| [(call, false), (call, true)]).step_by(step) {
            let when =
                format!("{name}, killed {} call {call} of {n_calls}", if after { "after" } else { "before" });
            let here = tools.path().join("here");
            copy(place.folder(), &here);
            let mut command = run(&here, killed);
            command.env("LD_PRELOAD", &library).env("DCGAN_KILL_AT", call.to_string());
            if after {
                command.env("DCGAN_KILL_AFTER", "1");
            }
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
