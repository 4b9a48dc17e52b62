//! What can go wrong around the program: it is killed, the disk is full or read-only, two run at once, the clock is turned
//! back. After each, a plain `dcgan run` ends right, with the files of a run that nothing disturbed.
//!
//! `DCGAN_FAULT_KILLS` is the number of kills (5), `DCGAN_FAULT_SEED` the seed of their moments (1), `DCGAN_FAULT_EVERY` at
//! every how manieth call that changes a folder it is killed besides; with
//! `DCGAN_FAULT_FULL` the quickstart is not made small. What needs root or `faketime` is skipped, saying so, where it
//! cannot be had.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

use common::{Place, SMALL, calls};
use serde_json::Value;

/// The quickstart, made small.
const SETTINGS: [&str; 18] = [
    "epochs=2",
    "shapes.shapes.n_train=300",
    "shapes.shapes.n_test=100",
    "train.training.width=0.05",
    "train.training.checkpoint_steps=2",
    "train.training.log_every=1",
    "table-1.protocol={cs=[1e-3], n_folds=2, n_search_rows=100, n_per_class=10, n_draws=2}",
    "table-1-untrained.protocol={cs=[1e-3], n_folds=2, n_search_rows=100, n_per_class=10, n_draws=2}",
    "table-1-pixels.protocol={cs=[1e-3], n_folds=2, n_search_rows=100, n_per_class=10, n_draws=2}",
    "rooms.rooms.n_scenes=40",
    "rooms.rooms.n_planted=10",
    "rooms.rooms.size=64",
    "autoencoder.training.epochs=2",
    "autoencoder.training.batch_size=16",
    "near-duplicates.evaluation.n_changed=5",
    "near-duplicates.evaluation.seed=1",
    "samples.seed=1",
    "autoencoder.training.seed=1",
];

/// BLAKE3 of every file of every stage, as the records have them; without the report and the training's checkpoints,
/// which tell times, and with the training's curves without their times.
type Outputs = BTreeMap<String, Value>;

fn outputs(run: &Path) -> Outputs {
    let mut found = Outputs::new();
    for entry in std::fs::read_dir(run).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        if name == ".dcgan" {
            continue;
        }
        let record: Value =
            serde_json::from_slice(&std::fs::read(folder.join("stage.json")).unwrap()).unwrap();
        let mut files = record["outputs"].as_object().unwrap().clone();
        let is_timed = |file: &String| {
            file.starts_with("checkpoints/") || file.starts_with("events.") || file == "metrics.parquet"
        };
        files.retain(|file, _| !is_timed(file));
        if record["kind"] == "train_gan" {
            files.insert("metrics.jsonl".to_owned(), curves(&folder.join("metrics.jsonl")));
        }
        if record["kind"] != "report" {
            found.insert(name, Value::Object(files));
        }
    }
    found
}

fn curves(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &mut lines {
        for time in ["images_per_s", "elapsed_s"] {
            assert!(line.as_object_mut().unwrap().remove(time).is_some());
        }
    }
    Value::Array(lines)
}

fn assert_same(found: &Outputs, expected: &Outputs, when: &str) {
    for (id, files) in expected {
        assert_eq!(found.get(id), Some(files), "stage {id} after {when}");
    }
    assert_eq!(found.len(), expected.len(), "after {when}");
}

fn quickstart(runs: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("dcgan"));
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../pipelines/quickstart.toml");
    command.arg("run").arg(manifest).arg("--runs").arg(runs);
    let is_full = std::env::var_os("DCGAN_FAULT_FULL").is_some();
    for setting in SETTINGS.iter().filter(|_| !is_full) {
        command.args(["--set", setting]);
    }
    command.args(more);
    command
}

fn ends_well(mut command: Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

fn start(mut command: Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// SplitMix64.
fn random(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) as f64 / u64::MAX as f64
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn killed_at_any_moment_the_next_run_ends_with_the_same_files() {
    let dir = tempfile::tempdir().unwrap();
    let (quiet, other) = (dir.path().join("quiet"), ["--set", "seed=2"]);
    let clock = Instant::now();
    ends_well(quickstart(&quiet, &[]));
    let seconds = clock.elapsed().as_secs_f64();
    let expected = outputs(&quiet.join("quickstart"));
    let (n_kills, mut state) = (number("DCGAN_FAULT_KILLS", 5), number("DCGAN_FAULT_SEED", 1));
    for kill in 0..n_kills {
        let runs = dir.path().join(format!("killed-{kill}"));
        // In turn: from nothing, two stages at once, and with another seed over what is complete.
        let more: &[&str] = match kill % 3 {
            0 => &[],
            1 => &["--jobs", "2"],
            _ => &other,
        };
        if kill % 3 == 2 {
            ends_well(quickstart(&runs, &[]));
        }
        let mut child = start(quickstart(&runs, more));
        let delay = seconds * random(&mut state);
        std::thread::sleep(Duration::from_secs_f64(delay));
        child.kill().unwrap();
        let has_ended = child.wait().unwrap().success();
        let (n_done, partial) = progress(&runs.join("quickstart"));
        let output = ends_well(quickstart(&runs, &[]));
        let told = String::from_utf8_lossy(&output.stderr);
        let last = told.lines().rfind(|line| line.contains("stages ran")).unwrap_or_default();
        eprintln!(
            "kill {kill}: {more:?} after {delay:.2} of {seconds:.2} s{}; {n_done} stages complete, in work: {partial}; \
             then {last}{}",
            if has_ended { " (it had ended)" } else { "" },
            if told.contains("resuming") { ", resumed" } else { "" },
        );
        assert_same(&outputs(&runs.join("quickstart")), &expected, &format!("kill {kill}"));
        std::fs::remove_dir_all(&runs).unwrap();
    }
}

/// Two stages at once, over the complete results of another seed. `DCGAN_FAULT_EVERY=1` kills at every call.
#[test]
fn killed_at_any_call_the_next_run_ends_with_the_same_files() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = calls::library(dir.path()) else { return };
    let [complete, undisturbed, killed] =
        ["complete", "undisturbed", "killed"].map(|name| dir.path().join(name));
    let other = ["--set", "seed=2"];
    ends_well(quickstart(&complete, &other));
    let expected_of_other = outputs(&complete.join("quickstart"));
    calls::copy(&complete, &undisturbed);
    let n_calls = calls::count(&mut quickstart(&undisturbed, &["--jobs", "2"]), &library);
    let expected = outputs(&undisturbed.join("quickstart"));
    let (mut n_kills, step) = (0, calls::step(n_calls / 3));
    for call in (1..=n_calls).step_by(step) {
        calls::copy(&complete, &killed);
        let mut command = quickstart(&killed, &["--jobs", "2"]);
        calls::kill_at(&mut command, &library, call, call % 2 == 0);
        n_kills += usize::from(!command.output().unwrap().status.success());
        ends_well(quickstart(&killed, &["--jobs", "2"]));
        let when = format!("a kill at call {call} of {n_calls}");
        assert_same(&outputs(&killed.join("quickstart")), &expected, &when);
        ends_well(quickstart(&killed, &other));
        assert_same(&outputs(&killed.join("quickstart")), &expected_of_other, &when);
        std::fs::remove_dir_all(&killed).unwrap();
    }
    eprintln!("{n_kills} kills at {n_calls} calls");
    assert!(n_kills > 0);
}

/// What lies in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// How many stages are complete, and which are in work.
fn progress(run: &Path) -> (usize, String) {
    let complete = names(run).into_iter().filter(|name| name != ".dcgan").count();
    let passing = ["partial", "work"].map(|place| names(&run.join(".dcgan").join(place))).concat();
    (complete, if passing.is_empty() { "nothing".to_owned() } else { passing.join(" ") })
}

#[test]
fn of_two_runs_at_once_the_second_is_refused_and_names_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let first = start(quickstart(dir.path(), &[]));
    let lock = dir.path().join("quickstart/.dcgan/lock");
    let start = Instant::now();
    while std::fs::read_to_string(&lock).map_or(true, |text| !text.ends_with('}')) {
        assert!(start.elapsed() < Duration::from_secs(60), "no lock");
        std::thread::sleep(Duration::from_millis(5));
    }
    let second = quickstart(dir.path(), &[]).output().unwrap();
    let told = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1), "{told}");
    assert!(told.contains(&format!("is in use by another run (process {} on ", first.id())), "{told}");
    let output = first.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!lock.exists());
    outputs(&dir.path().join("quickstart"));
}

/// A small file system of its own, gone when dropped.
struct Mount(PathBuf);

impl Mount {
    /// None, saying so, where this process may not mount.
    fn new(folder: PathBuf, options: &str) -> Option<Self> {
        std::fs::create_dir_all(&folder).unwrap();
        let output =
            Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&folder).output();
        let mounted = output.is_ok_and(|output| output.status.success()).then_some(Self(folder));
        dcgan_testing::needs("root", mounted, "mounting a file system needs root")
    }

    fn change(&self, options: &str) {
        let options = format!("remount,{options}");
        assert!(Command::new("mount").args(["-o", &options]).arg(&self.0).status().unwrap().success());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn on_a_full_disk_a_run_fails_and_the_next_one_ends_right() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mount) = Mount::new(dir.path().join("disk"), "size=400m") else { return };
    let quiet = dir.path().join("quiet");
    ends_well(quickstart(&quiet, &[]));
    let expected = outputs(&quiet.join("quickstart"));
    let total = size(&quiet);
    // As much as is written in all, less and less of it: each time another stage has no room.
    for share in [0.02, 0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 0.95] {
        let runs = mount.0.join(format!("runs-{share}"));
        mount.change(&format!("size={}", (size(&mount.0) as f64 + share * total as f64) as u64));
        let failed = quickstart(&runs, &[]).output().unwrap();
        let told = String::from_utf8_lossy(&failed.stderr).into_owned();
        assert_eq!(failed.status.code(), Some(1), "with {share} of the room: {told}");
        let error = told.lines().rfind(|line| line.starts_with("error: ")).unwrap_or_default();
        assert!(error.contains("No space left") || error.contains("too little room"), "{told}");
        eprintln!("with {:.0} % of {total} bytes: {error}", 100.0 * share);
        mount.change("size=400m");
        ends_well(quickstart(&runs, &[]));
        assert_same(&outputs(&runs.join("quickstart")), &expected, &format!("{share} of the room"));
        std::fs::remove_dir_all(&runs).unwrap();
    }
}

/// Bytes in all files under a folder, each rounded up to a page.
fn size(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let of = |entry: std::fs::DirEntry| {
        if entry.file_type().unwrap().is_dir() {
            size(&entry.path())
        } else {
            entry.metadata().unwrap().len().div_ceil(4096) * 4096
        }
    };
    entries.map(of).sum()
}

#[test]
fn in_a_read_only_folder_status_works_and_a_run_says_why_not() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mount) = Mount::new(dir.path().join("disk"), "size=400m") else { return };
    let place = Place::new(SMALL);
    let runs = mount.0.join("runs");
    let runs = runs.to_str().unwrap();
    let with = |more: &[&'static str]| [&["run", "m.toml", "--runs", runs][..], more].concat();
    place.stdout(&with(&["--set", "n_train=70"]));
    mount.change("ro");
    let told = place.fails(1, &with(&[]));
    assert!(told.contains("Read-only file system"), "{told}");
    let status = place.stdout(&["status", "m.toml", "--runs", runs]);
    assert!(status.contains("stale    shapes"), "{status}");
    assert!(place.stdout(&with(&["--dry-run"])).contains("parameter `shapes.n_train` changed: 70 → 60"));
    mount.change("rw");
    place.stdout(&with(&[]));
    place.stdout(&["run", "m.toml"]);
    assert_same(&outputs(&Path::new(runs).join("small")), &outputs(&place.path("runs/small")), "read-only");
}

/// [`SMALL`] on a data set outside the pipeline.
fn on_a_file() -> Place {
    let place = Place::new(
        "name = \"m\"\n[[stage]]\nid = \"images\"\n[stage.import_images.source.cifar10]\n\
         path = \"work/shapes/cifar-10-batches-bin\"\nsplit = \"test\"\n\
         [[stage]]\nid = \"pixels\"\n[stage.extract_features]\nimages = \"images\"\n",
    );
    place.stdout(&["stage", "synthesize", "--out", "work/shapes", "shapes.n_train=20", "shapes.n_test=20"]);
    place
}

#[test]
fn a_change_is_seen_though_the_clock_was_turned_back() {
    let place = on_a_file();
    let file = place.path("work/shapes/cifar-10-batches-bin/test_batch.bin");
    let set_modified =
        |time| std::fs::File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
    let future = SystemTime::now() + Duration::from_secs(40 * 86_400);
    set_modified(future);
    place.stdout(&["run", "m.toml"]);
    assert!(place.stderr(&["run", "m.toml"]).contains("0 stages ran, 2 were unchanged"));
    // Another content of the same size at the same time, as when the clock comes by a second time.
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    set_modified(future);
    assert!(place.stderr(&["run", "m.toml"]).contains("2 stages ran, 0 were unchanged"));
    // And back by years, with the content from before.
    bytes[100] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000));
    let told = place.stderr(&["run", "m.toml"]);
    assert!(told.contains("0 stages ran, 2 were unchanged, 2 of them put back"), "{told}");
    assert!(place.stderr(&["run", "m.toml"]).contains("0 stages ran, 2 were unchanged"));
}

#[test]
fn a_clock_that_jumps_makes_nothing_stale_and_nothing_fresh() {
    let faketime = Command::new("faketime").arg("--version").output().ok();
    if dcgan_testing::needs("faketime", faketime, "no `faketime` on the path").is_none() {
        return;
    }
    let place = on_a_file();
    let at = |time: &str| {
        let mut command = Command::new("faketime");
        command.args(["-f", time]).arg(assert_cmd::cargo::cargo_bin("dcgan")).args(["run", "m.toml"]);
        let output = ends_well({
            command.current_dir(place.folder());
            command
        });
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(at("+3d").contains("2 stages ran, 0 were unchanged"));
    let expected = outputs(&place.path("runs/m"));
    for time in ["+0d", "-3d", "+400d", "-400d"] {
        assert!(at(time).contains("0 stages ran, 2 were unchanged"), "{time}");
    }
    let file = place.path("work/shapes/cifar-10-batches-bin/test_batch.bin");
    let mut bytes = std::fs::read(&file).unwrap();
    for (time, expected) in [("-3d", "2 stages ran, 0 were unchanged"), ("+3d", "2 of them put back")] {
        bytes[100] ^= 1;
        std::fs::write(&file, &bytes).unwrap();
        assert!(at(time).contains(expected), "{time}");
    }
    assert_same(&outputs(&place.path("runs/m")), &expected, "the clock's jumps");
}
