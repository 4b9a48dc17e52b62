//! What `status` and `run` know of what is there: edits whose times were put back, edited records, what cannot be read, and a
//! run that goes on.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Place, SMALL};
use serde_json::{Value, json};

/// Flips a bit of the last byte, in place, and puts the times back as `touch -r` does.
fn edit_in_place(path: &Path) {
    use std::io::{Read as _, Seek as _, Write as _};

    let times = path.with_extension("times");
    assert!(Command::new("touch").arg("-r").arg(path).arg(&times).status().unwrap().success());
    let mut file = std::fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.seek(std::io::SeekFrom::End(-1)).unwrap();
    file.read_exact(&mut byte).unwrap();
    file.seek(std::io::SeekFrom::End(-1)).unwrap();
    file.write_all(&[byte[0] ^ 1]).unwrap();
    drop(file);
    assert!(Command::new("touch").arg("-r").arg(&times).arg(path).status().unwrap().success());
    std::fs::remove_file(times).unwrap();
}

/// A finished run of [`SMALL`] whose fingerprints are remembered.
fn finished() -> Place {
    let place = Place::new(SMALL);
    place.stdout(&["run", "m.toml"]);
    std::thread::sleep(Duration::from_millis(150));
    place.stdout(&["status", "m.toml"]);
    place
}

/// Changes the record of a stage as an editor would; its checksum stays, or goes.
fn edit_record(place: &Place, id: &str, keeps_checksum: bool, edit: impl FnOnce(&mut Value)) {
    let path = place.path("runs/small").join(id).join("stage.json");
    let mut record: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(record["checksum"].as_str().unwrap().len(), 64);
    edit(&mut record);
    if !keeps_checksum {
        record.as_object_mut().unwrap().remove("checksum");
    }
    std::fs::write(&path, serde_json::to_vec_pretty(&record).unwrap()).unwrap();
}

#[test]
fn an_edit_in_place_with_its_times_put_back_is_seen_in_outputs_and_in_inputs() {
    let place = finished();
    edit_in_place(&place.path("runs/small/train-images/images.npy"));
    let shown = place.stdout(&["status", "m.toml"]);
    assert!(shown.contains("its output images.npy was changed after it ran"), "{shown}");

    let manifest = "name = \"m\"\n[[stage]]\nid = \"a\"\n[stage.import_images.source.cifar10]\n\
                    path = \"set/cifar-10-batches-bin\"\nsplit = \"train\"\n";
    std::fs::write(place.path("outside.toml"), manifest).unwrap();
    place.stdout(&["stage", "synthesize", "--out", "set", "shapes.n_train=60", "shapes.n_test=10"]);
    place.stdout(&["run", "outside.toml"]);
    std::thread::sleep(Duration::from_millis(150));
    assert!(place.stdout(&["status", "outside.toml"]).starts_with("fresh"));
    edit_in_place(&place.path("set/cifar-10-batches-bin/data_batch_1.bin"));
    let shown = place.stdout(&["status", "outside.toml"]);
    assert!(shown.contains("input `source` (set/cifar-10-batches-bin) changed: "), "{shown}");
}

/// The files in which fingerprints are remembered.
fn memories(place: &Place) -> Vec<PathBuf> {
    let paths = ["runs/.fingerprints", "runs/.dcgan/fingerprints.json"].map(|path| place.path(path));
    paths.into_iter().filter(|path| path.exists()).collect()
}

#[test]
fn verify_reads_everything_whatever_is_remembered() {
    let place = finished();
    let [memory] = <[PathBuf; 1]>::try_from(memories(&place)).unwrap();
    // As if the file had another content under the same times: what the disk does when it fails, the other way round.
    let mut known: Value = serde_json::from_slice(&std::fs::read(&memory).unwrap()).unwrap();
    let entries = known.as_object_mut().unwrap();
    let entry = entries.iter_mut().find(|(path, _)| path.ends_with("train-images/images.npy")).unwrap().1;
    entry["content"] = json!("0".repeat(64));
    std::fs::write(&memory, serde_json::to_vec(&known).unwrap()).unwrap();
    let shown = place.stdout(&["status", "m.toml"]);
    assert!(shown.contains("its output images.npy was changed"), "{shown}");
    let shown = place.stdout(&["run", "m.toml", "--dry-run", "--verify"]);
    assert!(!shown.contains("stale"), "{shown}");
    let told = place.stderr(&["run", "m.toml", "--verify"]);
    assert!(told.contains("0 stages ran, 7 were unchanged"), "{told}");
    let shown = place.stdout(&["status", "m.toml", "--verify"]);
    assert!(!shown.contains("stale"), "{shown}");
    assert!(!place.stdout(&["status", "m.toml"]).contains("stale"), "what was read is remembered");
}

#[test]
fn an_edited_record_is_not_believed() {
    let place = finished();
    edit_record(&place, "svm", true, |record| record["metrics"]["test_error"] = json!(0.001));
    let shown = place.stdout(&["status", "m.toml"]);
    assert!(
        shown.contains("its record, stage.json, is not as a program of this version wrote it"),
        "{shown}"
    );
    let told = place.fails(1, &["run", "m.toml", "--only", "report", "--force", "report"]);
    assert!(told.contains("stage `svm` is needed and is not as its record says"), "{told}");
    let told = place.fails(1, &["compare", "runs/small/svm", "runs/small/svm"]);
    assert!(told.contains("was edited after the stage wrote it"), "{told}");
    place.stdout(&["run", "m.toml"]);
    assert!(!place.stdout(&["status", "m.toml"]).contains("stale"));

    // Written otherwise it says the same; a record of before has no checksum.
    edit_record(&place, "shapes", true, |_| ());
    edit_record(&place, "svm", false, |_| ());
    let shown = place.stdout(&["status", "m.toml"]);
    assert!(shown.contains("fresh    shapes") && shown.contains("fresh    svm"), "{shown}");
    edit_record(&place, "shapes", true, |record| record["outputs"] = json!({}));
    assert!(place.stdout(&["status", "m.toml"]).contains("edited, or written by another version"));
    edit_record(&place, "shapes", true, |_| ());
    let path = place.path("runs/small/svm/stage.json");
    let mut record: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    record["outputs"] = json!({});
    std::fs::write(&path, record.to_string()).unwrap();
    let shown = place.stdout(&["status", "m.toml"]);
    assert!(shown.contains("its record, stage.json, names none of its outputs"), "{shown}");
}

#[test]
fn one_file_that_cannot_be_read_does_not_end_the_status() {
    for file in ["images.npy", "stage.json"] {
        let place = finished();
        let path = place.path("runs/small/train-images").join(file);
        let aside = place.path("aside");
        std::fs::rename(&path, &aside).unwrap();
        // Nobody can read a link to itself, root included.
        std::os::unix::fs::symlink(&path, &path).unwrap();
        let shown = place.stdout(&["status", "m.toml"]);
        assert!(shown.contains("stale    train-images"), "{shown}");
        let why = if file == "stage.json" {
            "its record cannot be opened"
        } else {
            "its output images.npy cannot be read"
        };
        assert!(shown.contains(why), "{shown}");
        assert!(shown.contains("fresh    test-pixels") && shown.contains("fresh    shapes"), "{shown}");
        // It may pass: nothing is made anew because of it.
        let told = place.fails(1, &["run", "m.toml", "--keep-going"]);
        assert!(told.contains(&format!("stage `train-images`: {why}")), "{told}");
        assert!(told.contains("test-pixels: unchanged"), "{told}");
        assert!(std::fs::symlink_metadata(&path).unwrap().is_symlink());
        std::fs::remove_file(&path).unwrap();
        std::fs::rename(&aside, &path).unwrap();
        assert!(place.stderr(&["run", "m.toml"]).contains("0 stages ran, 7 were unchanged"));
    }
}

const TRAINING: &str = r#"
name = "m"
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
training = { architecture = "svhn32", width = 0.02, batch_size = 8, epochs = 100000, log_every = 1, checkpoint_steps = 7, score_every_steps = 100000 }
[[stage]]
id = "samples"
[stage.sample]
model = "train"
"#;

#[test]
fn a_run_that_goes_on_is_told_by_its_process_and_what_waits_for_it() {
    let place = Place::new(TRAINING);
    let mut run =
        place.command(&["run", "m.toml"]).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let since = Instant::now();
    let shown = loop {
        let shown = place.stdout(&["status", "m.toml"]);
        if shown.contains(", at minibatch ") || since.elapsed() > Duration::from_secs(60) {
            break shown;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let json: Value = serde_json::from_str(&place.stdout(&["status", "m.toml", "--json"])).unwrap();
    run.kill().unwrap();
    run.wait().unwrap();
    let pid = run.id();
    assert!(shown.contains("fresh    images"), "{shown}");
    assert!(
        shown.contains(&format!("running  train    train_gan\n           in process {pid} on ")),
        "{shown}"
    );
    assert!(
        shown.contains("waiting  samples  sample\n           its turn comes in the run of process"),
        "{shown}"
    );
    assert!(!shown.contains("interrupted") && !shown.contains("not run yet"), "{shown}");
    // What it makes is no other version, and half done only in that it is being made.
    assert!(!shown.contains("half done") && shown.contains(", at minibatch "), "{shown}");
    assert_eq!(json[2]["other_versions"], Value::Array(Vec::new()), "{json}");
    assert!((1..=600).contains(&json[2]["now"]["minibatch"].as_u64().unwrap()), "{json}");
    assert_eq!(json[2]["now"]["is"], "running");
    assert_eq!(json[2]["now"]["pid"], pid);
    assert!(json[2]["now"]["since"].as_str().unwrap().starts_with("20"), "{json}");
    assert_eq!(json[3]["now"]["is"], "waiting");
    assert_eq!(json[0]["now"], Value::Null);
    // Killed, it is at work no more.
    let shown = place.stdout(&["status", "m.toml"]);
    assert!(shown.contains("missing  train    train_gan\n           a run of it did not end"), "{shown}");
    assert!(shown.contains("other versions: 1 half done"), "{shown}");
    assert!(shown.contains("missing  samples"), "{shown}");
}
