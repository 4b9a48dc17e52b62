//! The CIFAR-10 protocols against scikit-learn, and that test data choose nothing.

// Clippy allows this within test functions only, not in what they call.
#![allow(clippy::unwrap_used)]

mod common;

use std::ops::ControlFlow;

use common::{N_CLASSES, made_up};
use dcgan_eval::{
    Cifar10Protocol, Cifar10Result, EvalError, FeatureSet, SearchPoint, Storage, cifar10_protocol,
    stratified_folds,
};
use serde_json::Value;

fn protocol() -> Cifar10Protocol {
    Cifar10Protocol {
        cs: vec![1e-4, 1e-3, 1e-2, 1e-1],
        n_folds: 3,
        n_per_class: 25,
        n_draws: 4,
        relative_gap: 1e-10,
        seed: 3,
        ..Cifar10Protocol::default()
    }
}

fn run(train: &FeatureSet, test: &FeatureSet, protocol: &Cifar10Protocol) -> Cifar10Result {
    cifar10_protocol(train, test, protocol, &mut |_, _| ControlFlow::Continue(())).unwrap()
}

fn without_times(mut result: Cifar10Result) -> Cifar10Result {
    if let Some(all) = &mut result.all_labels {
        (all.search_seconds, all.final_seconds) = (0.0, 0.0);
    }
    if let Some(few) = &mut result.few_labels {
        (few.search_seconds, few.final_seconds) = (0.0, 0.0);
    }
    result
}

/// Folds, draws and scikit-learn's results lie in `fixtures/cifar10.json`: folds and draws written by [`exported`], the
/// rest by
///
/// ```python
/// # scikit-learn 1.9.1, NumPy 2.4.6: python3 cifar10.py fixtures/cifar10.json; made_up as in svhn.rs
/// (x, y), (tx, ty) = made_up(0, 400, 40), made_up(100_000, 400, 40)
/// f = json.load(open(sys.argv[1]))
/// fit = lambda rows, c: LinearSVC(C=c, tol=1e-8, max_iter=10**6, dual=True).fit(x[rows].astype("f8"), y[rows])
/// cs = [1e-4, 1e-3, 1e-2, 1e-1]
/// def search(rows, folds):
///     rows, folds = np.array(rows), np.array(folds)
///     return [[1 - fit(rows[folds != k], c).score(x[rows[folds == k]], y[rows[folds == k]]) for k in range(3)]
///             for c in cs]
/// for name, rows in [("all", range(400)), ("few", f["search"])]:
///     errors = search(rows, f[name + "_folds"])
///     f[name] = {"search": errors, "c": cs[np.argmin(np.mean(errors, 1))]}
/// f["all"]["errors"] = [1 - fit(range(400), f["all"]["c"]).score(tx, ty)]
/// f["few"]["errors"] = [1 - fit(rows, f["few"]["c"]).score(tx, ty) for rows in f["fresh"]]
/// json.dump(f, open(sys.argv[1], "w"))
/// ```
#[test]
fn agrees_with_scikit_learn_on_the_same_folds_and_draws() {
    let (train, test) = (made_up(0, 400, 40), made_up(100_000, 400, 40));
    let reference: Value = serde_json::from_str(include_str!("fixtures/cifar10.json")).unwrap();
    let rows = exported(&train);
    for key in ["all_folds", "search", "few_folds", "fresh"] {
        assert_eq!(rows[key], reference[key], "the draws are others than the fixture's: {rows}");
    }
    let result = run(&train, &test, &protocol());
    let (all, few) = (result.all_labels.unwrap(), result.few_labels.unwrap());
    check(&all.search, all.c, &[all.error_rate], &reference["all"]);
    check(&few.search, few.c, &few.errors, &reference["few"]);
    assert_eq!((all.n_search_rows, few.n_labels), (400, 100));
    assert!((all.accuracy + all.error_rate - 1.0).abs() < 1e-15);
    assert!((few.mean_accuracy + few.errors.iter().sum::<f64>() / 4.0 - 1.0).abs() < 1e-12);
    assert!(all.largest_gap <= 1e-10 && all.search_gap <= 1e-10 && few.largest_gap <= 1e-10);
    assert_eq!((all.confusion.n_rows(), few.confusion.n_rows()), (400, 1600));
}

fn check(search: &[SearchPoint], c: f64, errors: &[f64], reference: &Value) {
    let close = |found: &[f64], expected: &Value| {
        let expected = expected.as_array().unwrap();
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected.as_f64().unwrap()).abs() < 1e-12, "{found} {expected}");
        }
    };
    for (point, expected) in search.iter().zip(reference["search"].as_array().unwrap()) {
        close(&point.errors, expected);
    }
    assert_eq!(Value::from(c), reference["c"]);
    close(errors, &reference["errors"]);
}

fn exported(train: &FeatureSet) -> Value {
    let draws = protocol().draws(train).unwrap();
    let search = draws.search(0);
    let of_search: Vec<usize> = search.iter().map(|&row| train.labels()[row as usize]).collect();
    serde_json::json!({
        "all_folds": stratified_folds(train.labels(), N_CLASSES, 3, 3),
        "search": search,
        "few_folds": stratified_folds(&of_search, N_CLASSES, 3, 3),
        "fresh": (0..4).map(|draw_idx| draws.fresh(draw_idx)).collect::<Vec<_>>(),
    })
}

#[test]
fn test_data_choose_nothing() {
    let train = made_up(0, 400, 40);
    let result = run(&train, &made_up(100_000, 400, 40), &protocol());
    let other = run(&train, &made_up(500_000, 90, 40), &protocol());
    let searches = |result: &Cifar10Result| {
        let (all, few) = (result.all_labels.clone().unwrap(), result.few_labels.clone().unwrap());
        (all.c, all.search, few.c, few.search)
    };
    assert_ne!(result.few_labels.as_ref().unwrap().errors, other.few_labels.as_ref().unwrap().errors);
    assert_eq!(searches(&result), searches(&other));
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let (train, test) = (made_up(0, 1300, 300), made_up(100_000, 1100, 300));
    let protocol = Cifar10Protocol { n_per_class: 60, relative_gap: 1e-4, ..protocol() };
    let with_threads = |n_threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| without_times(run(&train, &test, &protocol)))
    };
    assert_eq!(with_threads(1), with_threads(2));
}

#[test]
fn either_half_runs_alone_and_the_search_may_use_a_share() {
    let (train, test) = (made_up(0, 400, 40), made_up(100_000, 400, 40));
    let result = run(
        &train,
        &test,
        &Cifar10Protocol { n_draws: 0, n_per_class: 5000, n_search_rows: Some(120), ..protocol() },
    );
    assert!(result.few_labels.is_none());
    assert_eq!(result.all_labels.unwrap().n_search_rows, 120);
    let result = run(&train, &test, &Cifar10Protocol { all_labels: false, ..protocol() });
    assert!(result.all_labels.is_none());
    assert_eq!(result.few_labels.unwrap().errors.len(), 4);
}

#[test]
fn it_counts_and_stops_and_refuses() {
    let (train, test) = (made_up(0, 400, 40), made_up(100_000, 400, 40));
    let mut last = (0, 0);
    cifar10_protocol(&train, &test, &protocol(), &mut |done, total| {
        last = (done, total);
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(last, (11, 11));
    let stop = cifar10_protocol(&train, &test, &protocol(), &mut |done, _| {
        if done == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(matches!(stop, Err(EvalError::Interrupted)));
    let refused = |protocol: Cifar10Protocol| {
        cifar10_protocol(&train, &test, &protocol, &mut |_, _| panic!("work has begun"))
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refused(Cifar10Protocol { n_folds: 1, ..protocol() }),
        "n_folds: expected at least 2, found 1"
    );
    assert!(refused(Cifar10Protocol { n_per_class: 101, ..protocol() }).contains("n_per_class"));
    assert!(refused(Cifar10Protocol { n_draws: 0, all_labels: false, ..protocol() }).contains("n_draws"));
}

/// All rows, a share of them, and few.
#[test]
fn bf16_is_the_protocol_on_rounded_rows() {
    let (train, test) = (made_up(0, 400, 40), made_up(100_000, 400, 40));
    for n_search_rows in [None, Some(120)] {
        let f32s = Cifar10Protocol { n_search_rows, ..protocol() };
        let held = Cifar10Protocol { storage: Storage::Bf16, ..f32s.clone() };
        let found = without_times(run(&train, &test, &held));
        let expected = without_times(run(&common::rounded(&train), &test, &f32s));
        assert_eq!(Cifar10Result { protocol: f32s.clone(), ..found.clone() }, expected);
        assert_ne!(found.all_labels, without_times(run(&train, &test, &f32s)).all_labels);
    }
}
