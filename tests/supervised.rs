//! The supervised network beside the SVM: the same draws, both errors in Table 2, a killed search goes on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::Place;
use serde_json::Value;

/// Both measured on the same draws of made-up pictures.
const MANIFEST: &str = r#"
name = "m"
[vars]
n_trials = 3
epochs = 3
per_class = 5
width = 0.05
[[stage]]
id = "shapes"
[stage.synthesize.shapes]
n_train = 200
n_test = 60
[[stage]]
id = "train-images"
[stage.import_images]
from = "shapes"
source.cifar10 = { path = "cifar-10-batches-bin", split = "train" }
[[stage]]
id = "test-images"
[stage.import_images]
from = "shapes"
source.cifar10 = { path = "cifar-10-batches-bin", split = "test" }
[[stage]]
id = "train-pixels"
[stage.extract_features]
images = "train-images"
[[stage]]
id = "test-pixels"
[stage.extract_features]
images = "test-images"
[[stage]]
id = "svm"
[stage.svhn_protocol]
train = "train-pixels"
test = "test-pixels"
protocol = { cs = [1e-3], n_validation = 80, n_per_class = 5, n_search_draws = 1, n_final_draws = 2, seed = 4 }
[[stage]]
id = "supervised"
[stage.supervised_search]
train = "train-images"
test = "test-images"
draws = { n_validation = 80, n_per_class = "${per_class}", seed = 4 }
search = { architecture = "svhn32", width = "${width}", n_trials = "${n_trials}", epochs = "${epochs}", batch_sizes = [8, 16] }
[[stage]]
id = "report"
[stage.report]
results = ["svm", "supervised"]
"#;

fn json(place: &Place, path: &str) -> Value {
    serde_json::from_slice(&std::fs::read(place.path("runs/m").join(path)).unwrap()).unwrap()
}

fn percent(share: &Value) -> String {
    format!("{:.2}", 100.0 * share.as_f64().unwrap())
}

#[test]
fn both_errors_stand_beside_the_svms_on_the_same_draws() {
    let place = Place::new(MANIFEST);
    place.stdout(&["run", "m.toml"]);
    let (ours, svms) = (json(&place, "supervised/draws.json"), json(&place, "svm/draws.json"));
    assert_eq!(ours["validation"], svms["validation"]);
    assert_eq!(ours["labelled"], svms["final"][0]);
    assert_eq!(ours["labelled"].as_array().unwrap().len(), 50);

    // The table of trials, the chosen one and what was measured agree.
    let metrics = &json(&place, "supervised/stage.json")["metrics"];
    let trials = trials(&place.path("runs/m/supervised"));
    let errors: Vec<f64> = trials
        .iter()
        .map(|trial| trial["outcome"]["trained"]["validation"]["error_rate"].as_f64().unwrap())
        .collect();
    let lowest = errors.iter().copied().fold(f64::INFINITY, f64::min);
    let best = errors.iter().position(|error| *error == lowest).unwrap();
    assert_eq!(metrics["best_trial"], best);
    assert_eq!(metrics["validation_error"], lowest);
    let search = json(&place, "supervised/search.json");
    assert_eq!(search["parameters"], trials[best]["parameters"]);
    let counts: u64 = search["confusion"]["counts"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|row| row.as_array().unwrap())
        .map(|n| n.as_u64().unwrap())
        .sum();
    assert_eq!(counts, 60);

    let report = std::fs::read_to_string(place.path("runs/m/report/report.md")).unwrap();
    let row =
        report.lines().find(|line| line.starts_with("| **supervised CNN (svhn32), this run**")).unwrap();
    let (test, validation) = (percent(&metrics["test_error"]), percent(&metrics["validation_error"]));
    assert!(row.ends_with(&format!("| {test} | {validation} |")), "{row}");
    // The paper's figure stands with the validation errors.
    let papers = report.lines().find(|line| line.starts_with("| Supervised CNN with the same")).unwrap();
    assert!(papers.contains("| – | 28.87"), "{papers}");
    let svm = json(&place, "svm/protocol.json");
    let row = report.lines().find(|line| line.contains("**raw pixels + L2-SVM, this run**")).unwrap();
    assert!(row.ends_with(&format!("| {} |", percent(&svm["search"][0]["mean_error"]))), "{row}");
    for said in [
        "architecture svhn32",
        "n\\_trials 3, not 64",
        "pictures of synthetic",
        "the best of 3 random trials",
    ] {
        assert!(report.contains(said) || report.contains(&said.replace("\\_", "_")), "{said}: {report}");
    }
    let page = std::fs::read_to_string(place.path("runs/m/report/report.html")).unwrap();
    for plot in ["learning rate", "beta1", "l2", "dropout"] {
        assert!(page.contains(&format!("<strong>supervised: {plot}</strong>")), "{plot}");
    }
}

/// The files of its trials.
fn trials(folder: &Path) -> Vec<Value> {
    let mut paths: Vec<_> =
        std::fs::read_dir(folder.join("trials")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()).collect()
}

/// What a search writes, but for times.
fn assert_same(place: &Place, runs: &str) {
    let (ours, others) = (place.path("runs/m/supervised"), place.path(runs).join("m/supervised"));
    for file in ["supervised.safetensors", "trials.parquet", "result.json", "search.json", "draws.json"] {
        assert!(
            std::fs::read(ours.join(file)).unwrap() == std::fs::read(others.join(file)).unwrap(),
            "{file}"
        );
    }
}

#[cfg(unix)]
#[test]
fn a_killed_search_goes_on_with_the_trials_that_are_done() {
    let place = Place::new(MANIFEST);
    let settings = ["--to", "supervised", "--set", "n_trials=12", "--set", "epochs=40"];
    let run = [&["run", "m.toml"][..], &settings].concat();
    let mut child = place.command(&run).stderr(std::process::Stdio::null()).spawn().unwrap();
    let work = place.path("runs/m/.dcgan/partial/supervised");
    let done = || {
        let versions = std::fs::read_dir(&work).into_iter().flatten().flatten();
        let mut files = versions
            .flat_map(|version| std::fs::read_dir(version.path().join("trials")).into_iter().flatten());
        files.any(|file| file.unwrap().file_name().to_string_lossy().starts_with("trial_"))
    };
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(120) && child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!place.path("runs/m/supervised").exists());
    let told = place.stderr(&run);
    assert!(told.contains("supervised: resuming from its last checkpoint"), "{told}");
    place.stdout(&[&run[..], &["--runs", "whole"]].concat());
    assert_same(&place, "whole");

    // Fewer trials were done before more.
    let few =
        ["run", "m.toml", "--to", "supervised", "--set", "n_trials=2", "--set", "epochs=40", "--runs", "few"];
    place.stdout(&few);
    let first = trials(&place.path("few/m/supervised"));
    let told = place.stderr(&[&run[..], &["--runs", "few"]].concat());
    assert!(told.contains("supervised: going on from its finished run"), "{told}");
    assert_same(&place, "few");
    assert_eq!(trials(&place.path("few/m/supervised"))[..2], first[..]);
}

#[test]
fn what_cannot_be_searched_is_said_and_loses_nothing() {
    let place = Place::new(MANIFEST);
    let with_code = |code: i32, settings: &[&str]| {
        let mut arguments = vec!["run", "m.toml", "--to", "supervised"];
        settings.iter().for_each(|setting| arguments.extend(["--set", setting]));
        place.fails(code, &arguments)
    };
    let with = |settings: &[&str]| with_code(1, settings);
    // Before anything runs.
    let told = with(&["supervised.search.architecture=faces64"]);
    assert!(told.contains("expected colour pictures of 64×64, which faces64 takes, found 32×32"), "{told}");
    let told = with(&["supervised.draws.n_validation=195"]);
    assert!(told.contains("draws.n_validation") && told.contains("found 195"), "{told}");
    let told = with_code(2, &["supervised.search.dropout=[0.5, 1.0]"]);
    assert!(told.contains("`dropout`: expected [low, high] in [0, 1), found [0.5, 1]"), "{told}");
    assert!(!place.path("runs/m/train-images").exists());
    // By the labels that are there.
    let told = with(&["per_class=12"]);
    assert!(told.contains("expected at least 12 training rows to draw from, found"), "{told}");
    let told = with(&["supervised.search.learning_rate=[1e37, 1e38]"]);
    assert!(told.contains("all 3 trials diverged"), "{told}");
    place.stdout(&["run", "m.toml", "--to", "supervised"]);

    place.pictures("photos", 9);
    place.stdout(&[
        "stage",
        "import_images",
        "--out",
        "out/photos",
        "source.folder.path=photos",
        "resize=min_resize_centre_crop(32)",
    ]);
    let arguments =
        ["stage", "supervised_search", "--out", "out/s", "train=out/photos", "test=runs/m/test-images"];
    let told =
        place.fails(1, &[&arguments[..], &["search.architecture=svhn32", "draws.n_validation=2"]].concat());
    assert!(told.contains("label"), "{told}");
}
