//! The main job on real data: skipped, saying so, where `DCGAN_REAL_DATA` names no folder of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::PathBuf;

use common::Place;
use serde_json::Value;

fn data() -> Option<PathBuf> {
    let data = std::env::var_os("DCGAN_REAL_DATA").map(PathBuf::from);
    if data.is_none() {
        eprintln!("skipped: DCGAN_REAL_DATA is not set");
    }
    data
}

// The features by PyTorch, as the script in crates/gan/src/features/tests.rs makes them, and the draws that the stage writes:
//   from sklearn.svm import LinearSVC; rows = json.load(open("draws.json"))
//   c = min(grid, key=lambda c: mean(1 - LinearSVC(C=c, tol=1e-6, max_iter=20000).fit(train[d], y[d])
//                                    .score(train[rows["validation"]], y[rows["validation"]]) for d in rows["search"]))
//   mean(1 - LinearSVC(C=c, tol=1e-6, max_iter=20000).fit(train[d], y[d]).score(test, y_test) for d in rows["final"])
const SCIKIT_LEARN: (f64, f64) = (5e-4, 0.186_25);

#[test]
fn released_weights_and_real_digits_give_the_error_that_pytorch_and_scikit_learn_give() {
    let Some(data) = data() else { return };
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
