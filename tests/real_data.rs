//! The main job on real data: skipped, saying so, where `DCGAN_REAL_DATA` names no folder of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::PathBuf;

use common::Place;
use dcgan_testing::real_data;
use serde_json::Value;

// The features by PyTorch, as the script in crates/gan/src/features/tests.rs makes them, and the draws that the stage writes:
//   from sklearn.svm import LinearSVC; rows = json.load(open("draws.json"))
//   c = min(grid, key=lambda c: mean(1 - LinearSVC(C=c, tol=1e-6, max_iter=20000).fit(train[d], y[d])
//                                    .score(train[rows["validation"]], y[rows["validation"]]) for d in rows["search"]))
//   mean(1 - LinearSVC(C=c, tol=1e-6, max_iter=20000).fit(train[d], y[d]).score(test, y_test) for d in rows["final"])
const SCIKIT_LEARN: (f64, f64) = (5e-4, 0.186_25);

#[test]
fn released_weights_and_real_digits_give_the_error_that_pytorch_and_scikit_learn_give() {
    let Some(data) = real_data() else { return };
    let place = Place::new("");
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../pipelines/svhn-released.toml");
    let set = format!("data={}", data.display());
    let mut arguments = vec!["run", manifest.to_str().unwrap(), "--set", &set];
    for setting in
        ["n_validation=2000", "table-2.protocol.n_search_draws=2", "table-2.protocol.n_final_draws=10"]
    {
        arguments.extend(["--set", setting]);
    }
    let table = place.stdout(&arguments);
    assert!(table.contains("→ DCGAN discriminator + L2-SVM, this run [table-2]"), "{table}");

    let result = std::fs::read(place.path("runs/svhn-released/table-2/protocol.json")).unwrap();
    let result: Value = serde_json::from_slice(&result).unwrap();
    let number = |key: &str| result[key].as_f64().unwrap();
    let (c, error) = SCIKIT_LEARN;
    assert_eq!(number("c"), c);
    assert!((number("mean_error") - error).abs() < 0.001, "{} {error}", number("mean_error"));
    assert!(number("largest_gap") <= 1e-4);
}

#[test]
fn real_photos_become_faces_without_near_duplicates_and_train_a_network() {
    let Some(data) = real_data() else { return };
    let place = Place::new("");
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../pipelines/faces.toml");
    let set = format!("data={}", data.join("faces/lfw150").display());
    let mut arguments = vec!["run", manifest.to_str().unwrap(), "--set", &set];
    // LFW's photos of 150×150 have faces of 44 to 64 pixels.
    for setting in ["smallest=40", "width=0.0625", "epochs=1", "autoencoder_epochs=2"] {
        arguments.extend(["--set", setting]);
    }
    place.stdout(&arguments);
    let metrics = |stage: &str| {
        let record = std::fs::read(place.path(&format!("runs/faces/{stage}/stage.json"))).unwrap();
        serde_json::from_slice::<Value>(&record).unwrap()["metrics"].clone()
    };
    let faces = metrics("faces");
    let count = |key: &str| faces[key].as_u64().unwrap();
    assert_eq!((count("n_photos"), count("n_bad")), (1038, 0));
    assert!(count("n_with_face") >= 1028, "{faces}");
    let clean = metrics("clean");
    let sum = clean["n_kept"].as_u64().unwrap() + clean["n_removed"].as_u64().unwrap();
    assert_eq!(sum, count("n_faces"));
    let report = std::fs::read_to_string(place.path("runs/faces/report/report.md")).unwrap();
    assert!(report.contains("Faces that were found"), "{report}");
}

/// In copies that lack files the discriminator's first layers are there, and the generator is not.
#[test]
fn what_a_copy_of_the_released_imagenet_networks_lacks_is_named() {
    let Some(data) = real_data() else { return };
    let folder = data.join("authors/imagenet_gan_pretrain_128f_relu_lrelu_7l_3x3_256z");
    if folder.join("30_gen_params.jl_01.npy").exists() {
        eprintln!("skipped: the copy is complete");
        return;
    }
    let place = Place::new("");
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../pipelines/imagenet-released.toml");
    let set = format!("data={}", data.display());
    place.stdout(&["check", manifest.to_str().unwrap(), "--set", &set]);
    let said = place.fails(1, &["run", manifest.to_str().unwrap(), "--set", &set]);
    assert!(
        said.contains("missing 30_discrim_params.jl_11.npy, 30_discrim_params.jl_14.npy, 30_gen"),
        "{said}"
    );
    let why = "the imported generator is not whole: missing 30_gen_params.jl_01.npy";
    assert!(said.contains(why), "{said}");
    let record = std::fs::read(place.path("runs/imagenet-released/weights/stage.json")).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    assert_eq!(record["metrics"]["n_features"], 12_288);
}
