//! The baselines of the tables: K-means from pictures to a row, resumed after a kill, and what does not fit.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::Place;
use serde_json::Value;

const PICTURES: &str = r#"
name = "m"
[vars]
passes = 4
[[stage]]
id = "shapes"
[stage.synthesize.shapes]
n_train = 300
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
"#;

const KMEANS: &str = r#"
[[stage]]
id = "kmeans"
[stage.train_kmeans]
images = "train-images"
kmeans = { maps = 30, patches = 4000, passes = "${passes}", seed = 3 }
[[stage]]
id = "train-features"
[stage.extract_features]
images = "train-images"
model = "kmeans"
statistics = "train-images"
[[stage]]
id = "test-features"
[stage.extract_features]
images = "test-images"
model = "kmeans"
statistics = "train-features"
[[stage]]
id = "test-features-again"
[stage.extract_features]
images = "test-images"
model = "kmeans"
statistics = "train-images"
[[stage]]
id = "table-1"
[stage.cifar10_protocol]
train = "train-features"
test = "test-features"
protocol = { cs = [1e-3, 1e-2], n_folds = 3, n_per_class = 10, n_draws = 2 }
[[stage]]
id = "report"
[stage.report]
results = ["table-1"]
figures = ["kmeans"]
"#;

fn json(place: &Place, file: &str) -> Value {
    serde_json::from_slice(&std::fs::read(place.path(&format!("runs/m/{file}"))).unwrap()).unwrap()
}

/// Rows of a file of f32 in NumPy's format, of so many columns.
fn features(place: &Place, stage: &str, n_columns: usize) -> Vec<Vec<f32>> {
    let bytes = std::fs::read(place.path(&format!("runs/m/{stage}/features.npy"))).unwrap();
    let values = bytes[128..].chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
    values.collect::<Vec<_>>().chunks(n_columns).map(<[f32]>::to_vec).collect()
}

#[test]
fn k_means_goes_from_pictures_to_a_row_of_table_1() {
    let place = Place::new(&format!("{PICTURES}{KMEANS}"));
    let told = place.stdout(&["run", "m.toml"]);
    assert!(told.contains("1-layer K-means (30 maps) + L2-SVM, this run"), "{told}");

    // Each feature of the training set has mean 0 and a variance of at most 1, which 0.01 holds below it.
    let train = features(&place, "train-features", 120);
    assert_eq!(train.len(), 300);
    let mut n_of_one = 0;
    for column in 0..120 {
        let values: Vec<f64> = train.iter().map(|row| f64::from(row[column])).collect();
        let mean = values.iter().sum::<f64>() / 300.0;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 299.0;
        assert!(mean.abs() < 1e-4 && variance < 1.0001, "{column}: {mean} {variance}");
        n_of_one += usize::from(variance > 0.99);
    }
    // A few are the same for all of these pictures.
    assert!(n_of_one > 100, "{n_of_one}");
    // The training set's scale is the same, whether it is read or found again.
    let read = |stage: &str| std::fs::read(place.path(&format!("runs/m/{stage}/features.npy"))).unwrap();
    assert!(read("test-features") == read("test-features-again"));
    assert_eq!(features(&place, "test-features", 120).len(), 60);

    let result = json(&place, "table-1/result.json");
    assert_eq!(result["cells"][2]["value"], 30.0);
    let facts = result["facts"].to_string();
    assert!(facts.contains("30 centroids of 6×6 patches of synthetic"), "{facts}");
    let record = json(&place, "table-1/stage.json");
    assert!(!record["differences"].to_string().contains("discriminator"), "{record}");
    let page = std::fs::read_to_string(place.path("runs/m/report/report.html")).unwrap();
    assert!(page.contains("K-means: centroids") && page.contains("1-layer K-means (30 maps)"));
    // Features of other centroids are not put on these ones' scale.
    let told = place.fails(
        1,
        &[
            "stage",
            "extract_features",
            "--out",
            "out/other",
            "images=runs/m/test-images",
            "model=runs/m/kmeans",
            "statistics=runs/m/train-features",
            "untrained=true",
        ],
    );
    assert!(told.contains("`untrained`: expected a discriminator, found K-means centroids"), "{told}");
    place.stdout(&[
        "stage",
        "train_kmeans",
        "--out",
        "out/k",
        "images=runs/m/train-images",
        "kmeans.maps=30",
        "kmeans.patches=4000",
        "kmeans.passes=1",
    ]);
    let told = place.fails(
        1,
        &[
            "stage",
            "extract_features",
            "--out",
            "out/other",
            "images=runs/m/test-images",
            "model=out/k",
            "statistics=runs/m/train-features",
        ],
    );
    assert!(told.contains("`statistics`: expected features made with the centroids in"), "{told}");
    // Nor those of centroids that were learned anew in the same place.
    let kmeans = |seed: &str| {
        place.stdout(&[
            "stage",
            "train_kmeans",
            "--out",
            "out/k",
            "--force",
            "images=runs/m/train-images",
            "kmeans.maps=30",
            "kmeans.patches=4000",
            seed,
        ])
    };
    let extract = |out: &'static str, images: &'static str, statistics: &'static str| {
        ["stage", "extract_features", "--out", out, images, "model=out/k", statistics]
    };
    kmeans("kmeans.seed=1");
    place.stdout(&extract("out/train", "images=runs/m/train-images", "statistics=runs/m/train-images"));
    kmeans("kmeans.seed=2");
    let told = place.fails(1, &extract("out/test", "images=runs/m/test-images", "statistics=out/train"));
    assert!(told.contains("made with other ones"), "{told}");
}

#[test]
fn settings_that_cannot_fit_are_found_before_anything_runs() {
    let place = Place::new(&format!("{PICTURES}{KMEANS}"));
    let told = place.fails(1, &["run", "m.toml", "--set", "kmeans.kmeans.patch=33"]);
    assert!(told.contains("expected at most the pictures' smaller side (of 32×32), found 33"), "{told}");
    let told = place.fails(2, &["run", "m.toml", "--set", "kmeans.kmeans.patches=29"]);
    assert!(told.contains("`patches`: expected at least as many as `maps`, 30, found 29"), "{told}");
    let told = place.fails(1, &["run", "m.toml", "--set", "kmeans.kmeans.pooling=28"]);
    assert!(told.contains("expected at most the 27 patches along the smaller side"), "{told}");
    let told = place.fails(2, &["run", "m.toml", "--set", "kmeans.kmeans.patches=9000000000000000000"]);
    assert!(told.contains("expected 2 to 100000000, found 9000000000000000000"), "{told}");
    assert!(!place.path("runs/m/shapes").exists());
}

const NEIGHBOURS: &str = r#"
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
protocol = { cs = [1e-3], n_validation = 100, n_per_class = 5, n_search_draws = 1, n_final_draws = 3, seed = 7 }
[[stage]]
id = "knn"
[stage.nearest_neighbours]
train = "train-pixels"
test = "test-pixels"
protocol = { ks = [1, 3], n_validation = 100, n_per_class = 5, n_search_draws = 2, n_final_draws = 3, seed = 7 }
[[stage]]
id = "all-knn"
[stage.nearest_neighbours]
train = "train-pixels"
test = "test-pixels"
protocol = { ks = [1], metric = "cosine", n_final_draws = 0 }
[[stage]]
id = "report"
[stage.report]
results = ["svm", "knn", "all-knn"]
"#;

/// Neighbours found here, on the rows that svhn_protocol says it drew.
#[test]
fn nearest_neighbours_are_measured_on_the_draws_of_the_svm() {
    let place = Place::new(&format!("{PICTURES}{NEIGHBOURS}"));
    let told = place.stdout(&["run", "m.toml"]);
    assert!(told.contains("raw pixels + nearest neighbours, this run"), "{told}");
    let (train, test) = (features(&place, "train-pixels", 3072), features(&place, "test-pixels", 3072));
    let labels = |stage: &str| {
        let bytes = std::fs::read(place.path(&format!("runs/m/{stage}/labels.npy"))).unwrap();
        bytes[128..].chunks_exact(4).map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect::<Vec<_>>()
    };
    let (train_labels, test_labels) = (labels("train-pixels"), labels("test-pixels"));
    let draws = json(&place, "svm/draws.json");
    let protocol = json(&place, "knn/protocol.json");
    let k = protocol["k"].as_u64().unwrap() as usize;
    for draw_idx in 0..3 {
        let rows: Vec<usize> = serde_json::from_value(draws["final"][draw_idx].clone()).unwrap();
        let is_wrong = |(picture, label): &(&Vec<f32>, &u32)| {
            let distance = |row: usize| -> f64 {
                train[row].iter().zip(*picture).map(|(a, b)| f64::from(a - b).powi(2)).sum()
            };
            let mut near: Vec<usize> = rows.clone();
            near.sort_by(|a, b| distance(*a).total_cmp(&distance(*b)));
            let near: Vec<u32> = near[..k].iter().map(|row| train_labels[*row]).collect();
            let votes = |class: u32| near.iter().filter(|other| **other == class).count();
            let found = (0..10).max_by_key(|class| (votes(*class), 9 - class)).unwrap();
            found != **label
        };
        let n_wrong = test.iter().zip(&test_labels).filter(is_wrong).count();
        let error = protocol["errors"][draw_idx].as_f64().unwrap();
        assert!((error - n_wrong as f64 / 60.0).abs() < 1e-12, "{draw_idx}: {error} {n_wrong}");
    }
    let facts = json(&place, "all-knn/result.json")["facts"].to_string();
    assert!(facts.contains("all 300 training rows") && facts.contains("cosine distances"), "{facts}");
    let page = std::fs::read_to_string(place.path("runs/m/report/report.html")).unwrap();
    assert!(page.contains("raw pixels + nearest neighbours"));
    let told = place.fails(1, &["run", "m.toml", "--set", "knn.protocol.ks=[1, 51]"]);
    assert!(told.contains("`ks`: expected at most the rows trained on, 50, found 51"), "{told}");
    // The training set under another name measures nothing.
    for test in ["test=./runs/m/train-pixels", "test=copy"] {
        let copied = Command::new("cp")
            .args(["-r", "runs/m/train-pixels", "copy"])
            .current_dir(place.path(""))
            .status();
        assert!(copied.unwrap().success());
        let told = place.fails(
            1,
            &[
                "stage",
                "nearest_neighbours",
                "--out",
                "out/same",
                "train=runs/m/train-pixels",
                test,
                "protocol.n_final_draws=0",
                "protocol.ks=[1]",
            ],
        );
        assert!(
            told.contains("expected another set to measure on than what was learned from, found the same in"),
            "{told}"
        );
        std::fs::remove_dir_all(place.path("copy")).unwrap();
    }
}

/// The folder of K-means' run that did not end.
fn half_done(place: &Place) -> Option<PathBuf> {
    let folders = std::fs::read_dir(place.path("runs/m/.dcgan/partial/kmeans")).ok()?;
    folders.map(|entry| entry.unwrap().path()).next()
}

#[test]
fn k_means_that_was_killed_goes_on_with_the_same_bits() {
    for signal in ["-INT", "-KILL"] {
        let (of_centroids, _) = KMEANS.split_once("[[stage]]\nid = \"train-features\"").unwrap();
        let place = Place::new(&format!("{PICTURES}{of_centroids}"));
        let arguments = ["run", "m.toml", "--set", "passes=300"];
        let child = Command::new(assert_cmd::cargo::cargo_bin("dcgan"))
            .args(arguments)
            .current_dir(place.folder())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let start = Instant::now();
        while !half_done(&place).is_some_and(|folder| folder.join("kmeans.safetensors").exists()) {
            assert!(start.elapsed() < Duration::from_secs(120), "waited for too long");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), (signal == "-INT").then_some(130), "{told}");
        assert!(half_done(&place).is_some() && !place.path("runs/m/kmeans").exists());
        let told = place.stderr(&arguments);
        assert!(told.contains("kmeans: resuming from its last checkpoint"), "{told}");
        place.stdout(&[&arguments[..], &["--runs", "whole"]].concat());
        for file in ["kmeans.safetensors", "centroids.png"] {
            let read = |runs: &str| std::fs::read(place.path(runs).join("m/kmeans").join(file)).unwrap();
            assert!(read("runs") == read("whole"), "{file} has other bits after {signal}");
        }
    }
}

#[test]
fn rates_are_measured_beside_a_matrix_product() {
    let place = Place::new(PICTURES);
    for arguments in [
        ["bench", "kmeans", "--maps", "50", "--batch", "4", "--steps", "2", "--json"],
        ["bench", "knn", "--rows", "300", "--columns", "40", "--steps", "2", "--json"],
    ] {
        let result: Value = serde_json::from_str(&place.stdout(&arguments)).unwrap();
        assert!(
            result["per_s"].as_f64().unwrap() > 0.0 && result["gemm_gflops"].as_f64().unwrap() > 0.0,
            "{result}"
        );
        assert_eq!(result["pass_gflops"].is_null(), arguments[1] == "knn");
    }
    let told = place.stdout(&["bench", "knn", "--rows", "300", "--columns", "40", "--steps", "1"]);
    assert!(told.contains("the nearest of 300 training rows to 2000 test rows of 40 numbers"), "{told}");
    assert!(told.contains("% of a matrix product's"), "{told}");
}

#[test]
fn a_chain_of_stages_is_timed_in_a_folder_of_its_own() {
    let place = Place::new(PICTURES);
    let bench = ["bench", "pipeline", "--manifest", "m.toml"];
    let result: Value = serde_json::from_str(&place.stdout(&[&bench[..], &["--json"]].concat())).unwrap();
    let stages = result["stages"].as_array().unwrap();
    assert!(stages.len() >= 2 && result["pipeline"] == "m", "{result}");
    let shares: f64 = stages.iter().map(|stage| stage["share"].as_f64().unwrap()).sum();
    assert!((shares - 1.0).abs() < 1e-9, "{result}");
    let seconds: Vec<f64> = stages.iter().map(|stage| stage["seconds"].as_f64().unwrap()).collect();
    assert!(seconds.is_sorted_by(|a, b| a >= b), "{seconds:?}");
    assert!(!place.path("runs").exists(), "nothing is left where it was asked for");
    let told = place.stdout(&bench);
    assert!(told.starts_with("m, ") && told.contains("seconds  share  cores"), "{told}");
}
