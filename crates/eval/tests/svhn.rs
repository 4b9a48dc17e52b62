//! The SVHN protocol against scikit-learn, and that nothing leaks.

// Clippy allows this within test functions only, not in what they call.
#![allow(clippy::unwrap_used)]

mod common;

use std::ops::ControlFlow;

use common::{N_CLASSES, made_up};
use dcgan_eval::{EvalError, FeatureSet, Storage, SvhnProtocol, SvhnResult, svhn_protocol};
use ndarray::Array2;
use serde_json::Value;

fn protocol() -> SvhnProtocol {
    SvhnProtocol {
        cs: vec![1e-3, 1e-2, 1e-1],
        n_validation: 150,
        n_per_class: 15,
        n_search_draws: 4,
        n_final_draws: 6,
        relative_gap: 1e-10,
        seed: 7,
        ..SvhnProtocol::default()
    }
}

fn run(train: &FeatureSet, test: &FeatureSet, protocol: &SvhnProtocol) -> SvhnResult {
    svhn_protocol(train, test, protocol, &mut |_, _| ControlFlow::Continue(())).unwrap()
}

fn without_times(mut result: SvhnResult) -> SvhnResult {
    (result.search_seconds, result.final_seconds) = (0.0, 0.0);
    result
}

fn rounded(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

/// Draws and scikit-learn's results lie in `fixtures/svhn.json`. The draws were written by [`exported`]; the rest by
///
/// ```python
/// # scikit-learn 1.9.1, NumPy 2.4.6: python3 svhn.py fixtures/svhn.json
/// import json, sys, numpy as np
/// from sklearn.metrics import confusion_matrix
/// from sklearn.svm import LinearSVC
///
/// def made_up(first, n_rows, n_columns):
///     row, column = np.mgrid[first:first + n_rows, 0:n_columns].astype(np.uint32)
///     h = row * np.uint32(2654435761) + (column + np.uint32(1)) * np.uint32(40503)
///     h ^= h >> np.uint32(15); h *= np.uint32(2246822519); h ^= h >> np.uint32(13)
///     noise = (h % np.uint32(2001)).astype(np.float32) / np.float32(1000) - np.float32(1)
///     y = (np.arange(first, first + n_rows) * 7 + np.arange(first, first + n_rows) // 10) % 4
///     return np.where(column % 4 == y[:, None], noise + np.float32(0.25), noise), y
///
/// (x, y), (tx, ty) = made_up(0, 600, 40), made_up(100_000, 400, 40)
/// f = json.load(open(sys.argv[1]))
/// fit = lambda rows, c: LinearSVC(C=c, tol=1e-8, max_iter=10**6, dual=True).fit(x[rows].astype("f8"), y[rows])
/// v, cs = f["validation"], [1e-3, 1e-2, 1e-1]
/// f["validation_errors"] = [[1 - fit(rows, c).score(x[v], y[v]) for rows in f["search"]] for c in cs]
/// f["c"] = cs[np.argmin(np.mean(f["validation_errors"], 1))]
/// predictions = [fit(rows, f["c"]).predict(tx) for rows in f["fresh"]]
/// f["errors"] = [float(np.mean(p != ty)) for p in predictions]
/// f["mean"], f["std"] = float(np.mean(f["errors"])), float(np.std(f["errors"], ddof=1))
/// f["confusion"] = sum(confusion_matrix(ty, p) for p in predictions).tolist()
/// json.dump(f, open(sys.argv[1], "w"))
/// ```
#[test]
fn agrees_with_scikit_learn_on_the_same_draws() {
    let (train, test) = (made_up(0, 600, 40), made_up(100_000, 400, 40));
    let reference: Value = serde_json::from_str(include_str!("fixtures/svhn.json")).unwrap();
    let draws = exported(&train);
    for key in ["validation", "search", "fresh"] {
        assert_eq!(draws[key], reference[key], "the draws are others than the fixture's: {draws}");
    }
    let result = run(&train, &test, &protocol());
    for (point, errors) in result.search.iter().zip(reference["validation_errors"].as_array().unwrap()) {
        let errors = rounded(errors);
        assert!(point.errors.iter().zip(&errors).all(|(a, b)| (a - b).abs() < 1e-12), "{point:?} {errors:?}");
    }
    assert_eq!(Value::from(result.c), reference["c"]);
    assert!(result.c_at_edge);
    let errors = rounded(&reference["errors"]);
    assert!(result.errors.iter().zip(&errors).all(|(a, b)| (a - b).abs() < 1e-12), "{:?}", result.errors);
    assert!((result.mean_error - reference["mean"].as_f64().unwrap()).abs() < 1e-12);
    assert!((result.std - reference["std"].as_f64().unwrap()).abs() < 1e-12);
    assert!((result.deviation - 1.96 * result.std).abs() < 1e-15);
    assert_eq!(serde_json::to_value(&result.confusion.counts).unwrap(), reference["confusion"]);
    assert!(result.largest_gap <= 1e-10);
    assert_eq!((result.n_train, result.n_labels, result.n_validation, result.n_test), (600, 60, 150, 400));
    assert_eq!((result.n_features, result.n_classes), (40, N_CLASSES));
}

fn exported(train: &FeatureSet) -> Value {
    let draws = protocol().draws(train).unwrap();
    serde_json::json!({
        "validation": draws.validation(),
        "search": (0..4).map(|draw_idx| draws.search(draw_idx)).collect::<Vec<_>>(),
        "fresh": (0..6).map(|draw_idx| draws.fresh(draw_idx)).collect::<Vec<_>>(),
    })
}

#[test]
fn test_data_choose_nothing() {
    let train = made_up(0, 600, 40);
    let result = run(&train, &made_up(100_000, 400, 40), &protocol());
    let other = run(&train, &made_up(500_000, 90, 40), &protocol());
    assert_ne!(result.errors, other.errors);
    assert_eq!((result.c, result.search), (other.c, other.search));
}

/// Rows that are held out to choose C must not train what is measured: here they are turned into garbage.
#[test]
fn validation_rows_train_nothing() {
    let (train, test) = (made_up(0, 600, 40), made_up(100_000, 400, 40));
    let protocol = SvhnProtocol { cs: vec![1e-2], ..protocol() };
    let mut features = train.features().to_owned();
    let mut labels = train.labels().to_vec();
    for &row in protocol.draws(&train).unwrap().validation() {
        features.row_mut(row as usize).fill(1e3);
        labels[row as usize] = (labels[row as usize] + 1) % N_CLASSES;
    }
    let spoilt = FeatureSet::from_arrays(&features, labels).unwrap();
    let (result, other) = (run(&train, &test, &protocol), run(&spoilt, &test, &protocol));
    assert_ne!(result.search, other.search);
    assert_eq!(result.errors, other.errors);
    assert_eq!(result.confusion, other.confusion);
}

/// With many draws of few rows their inner products are computed once for all; a draw's result is the same.
#[test]
fn more_draws_change_no_draw() {
    let (train, test) = (made_up(0, 600, 40), made_up(100_000, 400, 40));
    let few = run(&train, &test, &protocol());
    let many = run(&train, &test, &SvhnProtocol { n_final_draws: 80, ..protocol() });
    assert_eq!(few.search, many.search);
    assert_eq!(few.errors, many.errors[..6]);
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let (train, test) = (made_up(0, 2600, 600), made_up(100_000, 1500, 600));
    let protocol = SvhnProtocol { n_validation: 1200, n_per_class: 100, relative_gap: 1e-4, ..protocol() };
    // The inner products are each draw's own with 6 draws, common to all with 16.
    for n_final_draws in [6, 16] {
        let protocol = SvhnProtocol { n_final_draws, ..protocol.clone() };
        let with_threads = |n_threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
            pool.install(|| without_times(run(&train, &test, &protocol)))
        };
        let one = with_threads(1);
        assert_eq!(one, with_threads(2));
        assert_eq!(one, with_threads(5));
        let other_seed = SvhnProtocol { seed: 8, ..protocol.clone() };
        assert_ne!(one, without_times(run(&train, &test, &other_seed)));
    }
}

#[test]
fn it_counts_draws_and_stops_when_asked() {
    let (train, test) = (made_up(0, 600, 40), made_up(100_000, 400, 40));
    let mut seen = Vec::new();
    svhn_protocol(&train, &test, &protocol(), &mut |done, total| {
        seen.push((done, total));
        ControlFlow::Continue(())
    })
    .unwrap();
    seen.dedup();
    assert_eq!(seen.last(), Some(&(10, 10)));
    assert!(seen.windows(2).all(|pair| pair[0].0 < pair[1].0));

    let stop = svhn_protocol(&train, &test, &protocol(), &mut |done, _| {
        if done == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(matches!(stop, Err(EvalError::Interrupted)));
}

#[test]
fn what_cannot_work_is_refused_before_work() {
    let (train, test) = (made_up(0, 600, 40), made_up(100_000, 400, 40));
    let refused = |train: &FeatureSet, test: &FeatureSet, protocol: SvhnProtocol| {
        let mut observe = |_, _| panic!("work has begun");
        svhn_protocol(train, test, &protocol, &mut observe).unwrap_err().to_string()
    };
    assert_eq!(
        refused(&train, &test, SvhnProtocol { n_validation: 10_000, ..protocol() }),
        "n_validation: expected at most 540 rows (600 training rows less 60 to train on), found 10000; \
         set n_validation lower, and lower still where classes are uneven"
    );
    assert_eq!(
        refused(&train, &test, SvhnProtocol { n_validation: 30, n_per_class: 140, ..protocol() }),
        "class 1: expected at least 140 training rows to draw from, found 139 (11 more are held out for \
         validation); set n_per_class or n_validation lower"
    );
    assert_eq!(
        refused(&train, &test, SvhnProtocol { n_final_draws: 0, ..protocol() }),
        "n_final_draws: expected at least 1, found 0"
    );
    assert_eq!(
        refused(&train, &test, SvhnProtocol { cs: vec![1e-3, 0.0], ..protocol() }),
        "cs: expected one or more different positive numbers, found 0"
    );
    assert_eq!(
        refused(&train, &made_up(0, 50, 39), protocol()),
        "features in memory: expected 40 columns as in features in memory, found 39"
    );
    let more_classes = FeatureSet::from_arrays(&Array2::zeros((2, 40)), vec![0, 4]).unwrap();
    assert!(refused(&train, &more_classes, protocol()).contains("expected the labels 0 1 2 3 as in"));
    let mut features = test.features().to_owned();
    features[[17, 3]] = f32::NAN;
    let spoilt = FeatureSet::from_arrays(&features, test.labels().to_vec()).unwrap();
    assert_eq!(
        refused(&train, &spoilt, protocol()),
        "features in memory: row 17, column 3: expected a finite number, found NaN"
    );
}

#[test]
fn the_default_is_the_papers_and_unknown_keys_are_refused() {
    let protocol: SvhnProtocol = serde_json::from_str("{}").unwrap();
    assert_eq!(protocol, SvhnProtocol::default());
    for (c, expected) in protocol.cs.iter().zip([1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2]) {
        assert!((c - expected).abs() < 1e-12);
    }
    assert!(serde_json::from_str::<SvhnProtocol>(r#"{"n_draws": 3}"#).is_err());
    protocol.validate().unwrap();
}

/// With one C, as which the rows that are held out, and are not rounded, choose nothing.
#[test]
fn bf16_is_the_protocol_on_rounded_rows() {
    let (train, test) = (made_up(0, 600, 40), made_up(100_000, 400, 40));
    let f32s = SvhnProtocol { cs: vec![1e-2], ..protocol() };
    let held = SvhnProtocol { storage: Storage::Bf16, ..f32s.clone() };
    let (found, expected) = (run(&train, &test, &held), run(&common::rounded(&train), &test, &f32s));
    assert_eq!((&found.errors, &found.confusion), (&expected.errors, &expected.confusion));
    assert_eq!(serde_json::to_value(&found.protocol).unwrap()["storage"], "bf16");
    assert!(serde_json::to_value(&f32s).unwrap().get("storage").is_none());
}
