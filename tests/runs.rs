//! Runs: what is skipped, what runs again and why, and what is left behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Place, SMALL};
use serde_json::Value;

fn why(place: &Place, arguments: &[&str]) -> Vec<(String, String, Vec<String>)> {
    let mut all = vec!["status", "m.toml", "--json"];
    all.extend(arguments);
    let stages: Vec<Value> = serde_json::from_str(&place.stdout(&all)).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    stages
        .iter()
        .map(|stage| {
            let why = stage["why"].as_array().unwrap().iter().map(text).collect();
            (text(&stage["id"]), text(&stage["state"]), why)
        })
        .collect()
}

fn stale(place: &Place, arguments: &[&str]) -> Vec<(String, Vec<String>)> {
    let stages = why(place, arguments).into_iter();
    stages.filter(|(_, state, _)| state != "fresh").map(|(id, _, why)| (id, why)).collect()
}

#[test]
fn a_run_ends_in_a_table_and_the_second_one_does_nothing() {
    let place = Place::new(SMALL);
    let output = place.dcgan(&["run", "m.toml"]).assert().success().get_output().clone();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(stdout.contains("→ raw pixels + SVM, this run [svm]"), "{stdout}");
    assert!(stdout.trim_end().ends_with("runs/small/report/report.html"), "{stdout}");
    assert!(stderr.contains("[1/7] shapes (synthesize): it has not run yet"), "{stderr}");
    assert!(stderr.contains("7 stages ran, 0 were unchanged"), "{stderr}");
    for file in ["report.md", "report.json", "report.html", "stage.json"] {
        assert!(place.path("runs/small/report").join(file).exists(), "{file}");
    }
    let html = std::fs::read_to_string(place.path("runs/small/report/report.html")).unwrap();
    assert!(html.contains("synthetic pictures, not the paper&#x27;s data"), "differences are gathered");
    assert!(!html.contains("http://") && !html.contains("https://"), "self-contained");
    let left = std::fs::read_dir(place.path("runs/small")).unwrap();
    assert_eq!(left.count(), 8, "seven stages and the hidden folder");

    let before = std::fs::metadata(place.path("runs/small/svm/stage.json")).unwrap().modified().unwrap();
    assert!(place.stderr(&["run", "m.toml"]).contains("0 stages ran, 7 were unchanged"));
    let after = std::fs::metadata(place.path("runs/small/svm/stage.json")).unwrap().modified().unwrap();
    assert_eq!(before, after);
    assert_eq!(place.stderr(&["run", "m.toml", "--quiet"]), "");
}

#[test]
fn what_is_stale_is_told_with_the_reason_and_only_that_runs() {
    let place = Place::new(SMALL);
    assert!(
        why(&place, &[]).iter().all(|(_, state, why)| state == "missing" && why == &["it has not run yet"])
    );
    place.stdout(&["run", "m.toml"]);
    assert_eq!(stale(&place, &[]), []);

    // A parameter.
    let changed = stale(&place, &["--set", "c=0.01"]);
    assert_eq!(changed[0], ("svm".to_owned(), vec!["parameter `c` changed: 0.001 → 0.01".to_owned()]));
    assert_eq!(changed[1], ("report".to_owned(), vec!["input stage `svm` will run first".to_owned()]));
    let told = place.stderr(&["run", "m.toml", "--set", "c=0.01"]);
    assert!(told.contains("2 stages ran, 5 were unchanged"), "{told}");
    assert!(told.contains("[6/7] svm (fit_svm): parameter `c` changed: 0.001 → 0.01"), "{told}");

    // An output that someone changed, and one that someone removed.
    std::fs::write(place.path("runs/small/test-pixels/labels.npy"), "x").unwrap();
    let changed = stale(&place, &["--set", "c=0.01"]);
    assert_eq!(changed[0].1, ["its output labels.npy was changed after it ran"]);
    std::fs::remove_file(place.path("runs/small/test-pixels/labels.npy")).unwrap();
    let changed = stale(&place, &["--set", "c=0.01"]);
    assert_eq!(changed[0].1, ["its output labels.npy is missing"]);
    // It comes out as it was, so that nothing after it has to run, but for the report: it shows when stages ran.
    let told = place.stderr(&["run", "m.toml", "--set", "c=0.01"]);
    assert!(told.contains("2 stages ran, 5 were unchanged"), "{told}");
}

#[test]
fn dry_run_changes_nothing() {
    let place = Place::new(SMALL);
    let told = place.stdout(&["run", "m.toml", "--dry-run"]);
    assert!(told.starts_with("missing  shapes        synthesize\n           it has not run yet\n"), "{told}");
    assert!(!place.path("runs").exists());
}

#[test]
fn only_from_and_force() {
    let place = Place::new(SMALL);
    let told = place.fails(1, &["run", "m.toml", "--only", "svm"]);
    assert!(told.contains("is needed and is not complete"), "{told}");
    place.stdout(&["run", "m.toml", "--only", "shapes", "--only", "test-images"]);
    assert!(place.path("runs/small/test-images").exists() && !place.path("runs/small/train-images").exists());
    place.stdout(&["run", "m.toml"]);
    let told = place.stderr(&["run", "m.toml", "--force", "test-pixels"]);
    assert!(told.contains("test-pixels (extract_features): asked for with --force"), "{told}");
    assert!(told.contains("svm: unchanged"), "{told}");
    // Made from an input that is stale by now: used as it is, with a warning.
    let told = place.stderr(&["run", "m.toml", "--set", "n_train=70", "--from", "train-pixels"]);
    assert!(!told.contains("shapes (synthesize)"), "{told}");
    let told = place.stderr(&["run", "m.toml", "--set", "n_train=70", "--only", "train-images"]);
    assert!(
        told.contains("warning: stage `shapes` is stale and is used as it is: parameter `shapes.n_train`"),
        "{told}"
    );
}

#[test]
fn a_stage_that_fails_leaves_the_old_output_and_nothing_else() {
    let place = Place::new(
        "name = \"m\"\n[[stage]]\nid = \"digits\"\n[stage.import_images.source.svhn]\npath = \"x.mat\"\n",
    );
    std::fs::write(place.path("x.mat"), "no MAT file").unwrap();
    let told = place.fails(1, &["run", "m.toml"]);
    assert!(told.contains("error: stage `digits` (import_images) failed: x.mat"), "{told}");
    let left = |folder: &str| std::fs::read_dir(place.path(folder)).unwrap().count();
    assert_eq!((left("runs/m"), left("runs/m/.dcgan/work")), (1, 0));
}

#[test]
fn an_external_file_that_changes_makes_its_reader_stale() {
    let place = Place::new(
        "name = \"m\"\n[[stage]]\nid = \"set\"\n[stage.import_images.source.cifar10]\n\
         path = \"work/shapes/cifar-10-batches-bin\"\nsplit = \"test\"\n",
    );
    place.stdout(&["stage", "synthesize", "--out", "work/shapes", "shapes.n_train=20", "shapes.n_test=20"]);
    place.stdout(&["run", "m.toml"]);
    assert_eq!(stale(&place, &[]), []);
    place.stdout(&[
        "stage",
        "synthesize",
        "--force",
        "--out",
        "work/shapes",
        "shapes.n_train=20",
        "shapes.seed=5",
        "shapes.n_test=20",
    ]);
    let changed = stale(&place, &[]);
    assert!(
        changed[0].1[0].starts_with("input `source` (work/shapes/cifar-10-batches-bin) changed: "),
        "{changed:?}"
    );
}
