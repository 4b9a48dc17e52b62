//! Runs of many stages: going on after a failure, several at once, a matrix, what is left over, two runs side by side.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Place, SMALL};
use serde_json::Value;

/// [`SMALL`] with a stage that fails, and one that needs it.
fn with_a_failure() -> Place {
    let place = Place::new(&format!(
        "{SMALL}
[[stage]]
id = \"digits\"
[stage.import_images.source.svhn]
path = \"x.mat\"
[[stage]]
id = \"digit-pixels\"
[stage.extract_features]
images = \"digits\"
"
    ));
    std::fs::write(place.path("x.mat"), "no MAT file").unwrap();
    place
}

/// The record of a stage of `runs/small`.
fn record(place: &Place, runs: &str, id: &str) -> Value {
    serde_json::from_slice(
        &std::fs::read(place.path(runs).join("small").join(id).join("stage.json")).unwrap(),
    )
    .unwrap()
}

#[test]
fn keep_going_does_what_can_be_done_and_ends_with_1() {
    for jobs in ["1", "2"] {
        let place = with_a_failure();
        let told = place.fails(1, &["run", "m.toml", "--keep-going", "--jobs", jobs]);
        assert!(told.contains("error: stage `digits` (import_images) failed: x.mat"), "{told}");
        let end = "error: 1 stage failed: `digits`; 1 stage did not run because of that: `digit-pixels`";
        assert!(told.trim_end().ends_with(end), "{told}");
        assert!(place.path("runs/small/report/report.html").exists());
        assert!(!place.path("runs/small/digits").exists());
        let status = place.stdout(&["status", "m.toml"]);
        assert!(status.contains("missing  digits"), "{status}");
        assert!(!status.contains("stale"), "{status}");
    }
    let place = with_a_failure();
    let told =
        place.fails(1, &["run", "m.toml", "--only", "digits", "--only", "shapes", "--force", "shapes"]);
    assert!(told.trim_end().ends_with("no MAT file") || told.contains("error: stage `digits`"), "{told}");
}

#[test]
fn several_stages_at_once_give_the_same_files() {
    let place = Place::new(SMALL);
    place.stdout(&["run", "m.toml"]);
    let told = place.stderr(&["run", "m.toml", "--runs", "at-once", "--jobs", "3"]);
    assert!(told.contains("7 stages ran, 0 were unchanged"), "{told}");
    for id in ["shapes", "train-images", "test-images", "train-pixels", "test-pixels", "svm"] {
        assert_eq!(record(&place, "runs", id)["outputs"], record(&place, "at-once", id)["outputs"], "{id}");
    }
    assert!(
        place.stderr(&["run", "m.toml", "--runs", "at-once", "-j", "3"]).contains("0 stages ran, 7 were")
    );
    place.fails(2, &["run", "m.toml", "--jobs", "0"]);
}

#[test]
fn to_runs_a_stage_and_what_it_needs_and_what_is_forced_must_be_asked_for() {
    let place = Place::new(SMALL);
    let shown = place.stdout(&["run", "m.toml", "--to", "test-pixels", "--dry-run"]);
    assert!(shown.contains("missing  test-pixels   extract_features\n"), "{shown}");
    assert!(shown.contains("missing  train-images  import_images  (not asked for)\n"), "{shown}");
    let told = place.stderr(&["run", "m.toml", "--to", "test-pixels"]);
    assert!(told.contains("3 stages ran, 0 were unchanged"), "{told}");
    assert!(!place.path("runs/small/train-images").exists());
    let told = place.stderr(&["run", "m.toml", "--to", "test-pixels", "--to", "train-pixels"]);
    assert!(told.contains("2 stages ran, 3 were unchanged"), "{told}");
    let told = place.stderr(&["run", "m.toml", "--to", "train-pixels", "--force", "train-images"]);
    assert!(told.contains("train-images (import_images): asked for with --force"), "{told}");
    assert!(told.contains("1 stage ran, 2 were unchanged"), "{told}");
    let told = place.stderr(&["run", "m.toml", "--from", "test-images", "--to", "svm"]);
    assert!(told.contains("1 stage ran, 2 were unchanged"), "{told}");

    let told = place.fails(2, &["run", "m.toml", "--only", "svm", "--force", "test-pixels"]);
    assert!(
        told.contains("--force test-pixels: `test-pixels` is not among the stages asked for with --only")
    );
    assert!(told.contains("help: add `--only test-pixels`"), "{told}");
    place.fails(2, &["run", "m.toml", "--only", "svm", "--to", "svm"]);
    place.fails(2, &["run", "m.toml", "--to", "smv"]);
    let told = place.fails(2, &["run", "m.toml", "--only", "svm", "--force", "test-pixels", "--dry-run"]);
    assert!(told.contains("is not among the stages asked for"), "{told}");
}

#[test]
fn a_matrix_runs_each_cell_and_the_report_has_their_mean() {
    let place = Place::new(
        &SMALL
            .replace("[vars]", "[matrix]\nseed = [1, 2, 3]\n[vars]")
            .replace("n_test = 30\n", "n_test = 30\nseed = \"${seed}\"\n"),
    );
    let table = place.stdout(&["run", "m.toml"]);
    for seed in 1..4 {
        assert!(table.contains(&format!("seed={seed} [svm@seed={seed}]")), "{table}");
    }
    assert!(table.contains("mean of 3 [svm]"), "{table}");
    let report: Value =
        serde_json::from_slice(&std::fs::read(place.path("runs/small/report/report.json")).unwrap()).unwrap();
    let rows = report["tables"][0]["rows"].as_array().unwrap();
    let value = |row: &Value| row["cells"][0]["value"].as_f64().unwrap();
    let ours: Vec<f64> = rows.iter().filter(|row| row["stage"] != "svm").map(value).collect();
    let mean = rows.iter().find(|row| row["stage"] == "svm").unwrap();
    assert_eq!(ours.len(), 3);
    assert!((value(mean) - ours.iter().sum::<f64>() / 3.0).abs() < 1e-9);
    assert_eq!(record(&place, "runs", "svm@seed=2")["cell"], serde_json::json!([["seed", "2"]]));

    // One more seed: the others are not touched. Fewer: what is left over is told.
    let told = place.stdout(&["run", "m.toml", "--set", "seed=[1,2,3,4]", "--dry-run"]);
    assert!(told.contains("missing  svm@seed=4") && told.contains("fresh    svm@seed=3"), "{told}");
    let told = place.stderr(&["run", "m.toml", "--set", "seed=2", "--only", "svm", "--force", "svm@seed=2"]);
    assert!(told.contains("[1/1] svm@seed=2 (fit_svm): asked for with --force"), "{told}");
    assert!(place.fails(2, &["run", "m.toml", "--only", "svm@seed=9"]).contains("did you mean `svm@seed="));
    assert!(place.stdout(&["dag", "m.toml"]).contains("svm<br/><small>fit_svm<br/>seed = 1, 2, 3</small>"));
}

#[test]
fn gc_deletes_what_no_manifest_needs_and_nothing_that_no_stage_made() {
    let place = Place::new(SMALL);
    place.stdout(&["run", "m.toml"]);
    assert!(place.stdout(&["gc", "m.toml"]).starts_with("nothing that the manifests do not need"));

    let renamed = SMALL.replace("\"svm\"", "\"machine\"");
    std::fs::write(place.path("m.toml"), &renamed).unwrap();
    place.stdout(&["run", "m.toml"]);
    std::fs::write(place.path("runs/small/svm/notes.txt"), "mine").unwrap();
    std::fs::create_dir(place.path("runs/small/mine")).unwrap();
    std::fs::write(place.path("runs/small/mine/notes.txt"), "mine").unwrap();
    std::fs::create_dir(place.path("runs/small/gone.partial")).unwrap();
    std::fs::write(place.path("runs/small/gone.partial/.fingerprint"), "0".repeat(64)).unwrap();
    std::fs::create_dir(place.path("runs/small/mine.partial")).unwrap();
    std::fs::write(place.path("runs/small/mine.partial/.fingerprint"), "x").unwrap();
    std::fs::write(place.path("runs/.dcgan/.fingerprints.json.999999999.tmp"), "x").unwrap();
    std::fs::create_dir_all(place.path("runs/small/.dcgan/work/killed/1")).unwrap();
    let shown = place.stdout(&["gc", "m.toml"]);
    for (path, is_there) in [
        ("runs/small/svm  (stage of no manifest)", true),
        ("stays: notes.txt, which no stage made", true),
        ("runs/small/gone.partial  (interrupted, not to be resumed)", true),
        ("runs/.dcgan/.fingerprints.json.999999999.tmp  (left by a killed run)", true),
        ("runs/small/.dcgan/work/killed  (left by a killed run)", true),
        ("mine", false),
        ("machine", false),
    ] {
        assert_eq!(
            shown.lines().any(|line| line.contains(path) && !(path == "mine" && line.contains("stays"))),
            is_there,
            "{path}: {shown}"
        );
    }
    assert!(place.path("runs/small/svm/stage.json").exists(), "showing deletes nothing");
    place.stdout(&["gc", "m.toml", "--delete"]);
    let left = |folder: &str| {
        let mut names: Vec<String> = std::fs::read_dir(place.path(folder))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(left("runs/small/svm"), ["notes.txt"]);
    assert_eq!(left("runs/small/mine"), ["notes.txt"]);
    assert!(!place.path("runs/small/gone.partial").exists());
    assert!(place.path("runs/small/mine.partial/.fingerprint").exists());
    assert!(left("runs/small/.dcgan/work").is_empty());
    assert_eq!(left("runs"), [".dcgan", "small"]);
    assert!(place.stderr(&["run", "m.toml"]).contains("0 stages ran, 7 were unchanged"));

    // Runs of another manifest are left alone, unless asked for.
    std::fs::write(place.path("other.toml"), renamed.replace("name = \"small\"", "name = \"other\""))
        .unwrap();
    assert!(place.stdout(&["gc", "other.toml"]).contains("left alone: runs/small"));
    place.stdout(&["gc", "other.toml", "--all", "--delete"]);
    assert_eq!(left("runs/small"), [".dcgan", "mine", "mine.partial", "svm"]);
}

#[test]
fn compare_tells_parameters_and_metrics_that_differ() {
    let place = Place::new(SMALL);
    place.stdout(&["run", "m.toml"]);
    place.stdout(&["run", "m.toml", "--runs", "others", "--set", "c=10.0"]);
    let told = place.stdout(&["compare", "runs/small", "others/small"]);
    assert!(told.contains("\nsvm\n  parameter  c: 0.001 → 10.0\n"), "{told}");
    assert!(told.contains("metric     largest_gap: "), "{told}");
    assert!(
        told.contains("alike: report, shapes, test-images, test-pixels, train-images, train-pixels"),
        "{told}"
    );
    let json = place.stdout(&["compare", "runs/small/svm", "others/small/svm", "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["differing"][0]["parameters"][0]["key"], "c");
    let told = place.fails(1, &["compare", "runs/small", "others/small/svm"]);
    assert!(told.contains("expected two runs or two stages"), "{told}");
    assert!(place.fails(1, &["compare", "runs", "others"]).contains("found no stage in it"));
}

#[test]
fn what_was_edited_is_not_built_on_and_what_was_put_there_is_not_deleted() {
    let place = Place::new(SMALL);
    place.stdout(&["run", "m.toml"]);
    let images = place.path("runs/small/train-images/images.npy");
    let mut bytes = std::fs::read(&images).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&images, bytes).unwrap();
    let told = place.fails(1, &["run", "m.toml", "--only", "train-pixels", "--force", "train-pixels"]);
    assert!(told.contains("stage `train-images` is needed and is not as its record says"), "{told}");
    place.stdout(&["run", "m.toml"]);
    std::fs::write(place.path("runs/small/svm/notes.txt"), "mine").unwrap();
    let told = place.fails(1, &["run", "m.toml", "--set", "c=0.01"]);
    assert!(told.contains("holds notes.txt, which no stage made"), "{told}");
    assert_eq!(std::fs::read(place.path("runs/small/svm/notes.txt")).unwrap(), b"mine");
}

#[test]
fn a_stage_alone_does_not_replace_one_of_another_kind_or_one_in_use() {
    let place = Place::new(SMALL);
    place.stdout(&["run", "m.toml"]);
    let told = place.fails(
        1,
        &["stage", "extract_features", "--out", "runs/small/shapes", "images=runs/small/train-images"],
    );
    assert!(told.contains("was made by a stage of kind synthesize"), "{told}");
    let lock = std::fs::File::create(place.path("runs/small/.dcgan/lock")).unwrap();
    lock.lock().unwrap();
    let told = place.fails(
        1,
        &["stage", "extract_features", "--out", "runs/small/train-pixels", "images=runs/small/train-images"],
    );
    assert!(told.contains("is in use by another run"), "{told}");
}

#[test]
fn results_are_not_read_as_data() {
    let manifest = r#"
name = "mine"
[[stage]]
id = "pictures"
[stage.import_images]
source.folder.path = "photos"
resize = "min_resize_centre_crop(8)"
"#;
    let place = Place::new(manifest);
    std::fs::create_dir(place.path("photos")).unwrap();
    let told = place.fails(1, &["run", "m.toml", "--runs", "photos/runs"]);
    assert!(told.contains("photos holds the folder of runs, photos/runs"), "{told}");
    assert!(!place.path("photos/runs").exists());
    let told = place.fails(1, &["run", "m.toml", "--set", "pictures.source.folder.path=."]);
    assert!(told.contains("holds the folder of runs"), "{told}");
}
