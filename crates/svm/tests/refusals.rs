//! What is refused, and in which words.

// The helpers of tests may unwrap, as tests may.
#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;

use dcgan_svm::{LinearSvc, LinearSvcParams, Loss, MAX_HINGE_ROWS, SharedGram, SvmError, fit_hinge};
use linfa::ParamGuard;
use ndarray::{Array2, array};

fn refused(params: LinearSvcParams, x: &Array2<f32>, labels: &[usize], cs: &[f64]) -> String {
    let fitted = params
        .check()
        .and_then(|params| params.fit_path(x.view(), labels, cs, &mut |_| ControlFlow::Continue(())));
    fitted.unwrap_err().to_string()
}

#[test]
fn bad_settings() {
    let x = array![[0.0_f32, 1.0], [1.0, 0.0]];
    let params = LinearSvc::params;
    assert_eq!(
        refused(params().c(0.0), &x, &[0, 1], &[1.0]),
        "C must be a number from 1e-30 to 1e30, found 0e0"
    );
    assert_eq!(
        refused(params(), &x, &[0, 1], &[1.0, -2.0]),
        "C must be a number from 1e-30 to 1e30, found -2e0"
    );
    assert!(refused(params(), &x, &[0, 1], &[1e-320]).contains("from 1e-30 to 1e30"));
    assert_eq!(
        refused(params(), &x, &[0, 1], &[f64::NAN]),
        "C must be a number from 1e-30 to 1e30, found NaN"
    );
    assert_eq!(refused(params(), &x, &[0, 1], &[]), "at least one value of C is needed, found none");
    assert_eq!(
        refused(params().relative_gap(1.0), &x, &[0, 1], &[1.0]),
        "the relative duality gap must lie in (0, 1), found 1"
    );
    assert_eq!(
        refused(params().max_steps(0), &x, &[0, 1], &[1.0]),
        "the limit of Newton steps must be at least 1, found 0"
    );
}

#[test]
fn bad_data_either_way() {
    for limit in [10, 1] {
        for loss in [Loss::SquaredHinge, Loss::Hinge] {
            let params = || LinearSvc::params().max_gram_rows(limit).loss(loss);
            let x = array![[0.0_f32, 1.0], [1.0, f32::NAN]];
            assert_eq!(
                refused(params(), &x, &[0, 1], &[1.0]),
                "feature at row 1, column 1 is not finite: NaN"
            );
            let x = array![[0.0_f32, 1.0], [1.0, 0.0]];
            assert_eq!(refused(params(), &x, &[0, 1, 1], &[1.0]), "2 rows of features but 3 labels");
            assert_eq!(
                refused(params(), &x, &[3, 3], &[1.0]),
                "at least two classes are needed, every label is 3"
            );
            let x = Array2::zeros((2, 0));
            assert_eq!(refused(params(), &x, &[0, 1], &[1.0]), "the features are empty: 2 rows, 0 columns");
        }
    }
}

#[test]
fn a_gap_beyond_reach_is_said() {
    let x =
        Array2::from_shape_fn((30, 60), |(i, j)| ((i * 37 + j * 101 + i * j * 13) % 97) as f32 / 48.0 - 1.0);
    let labels: Vec<usize> = (0..30).map(|row| (row * row + row / 3) % 2).collect();
    for limit in [10, 1] {
        let params =
            LinearSvc::params().relative_gap(1e-9).max_steps(1).max_gram_rows(limit).check().unwrap();
        let fitted = params.fit_path(x.view(), &labels, &[50.0], &mut |_| ControlFlow::Continue(()));
        assert!(matches!(fitted, Err(SvmError::NotConverged { n_steps: 1, wanted: 1e-9, .. })), "{fitted:?}");
    }
}

#[test]
fn an_interrupted_fit_says_so() {
    let x = array![[0.0_f32, 1.0], [1.0, 0.0]];
    for limit in [10, 1] {
        let params = LinearSvc::params().max_gram_rows(limit).check().unwrap();
        let fitted = params.fit_path(x.view(), &[0, 1], &[1.0], &mut |_| ControlFlow::Break(()));
        assert!(matches!(fitted, Err(SvmError::Interrupted)));
    }
}

#[test]
fn a_model_refuses_other_columns_and_labels() {
    let x = array![[0.0_f32, 1.0], [1.0, 0.0]];
    let gram = SharedGram::new(x.view()).unwrap();
    let model = gram.fit(x.view(), &[0, 1], &[1.0], 1e-4).unwrap().remove(0);
    let found = model.decision_function(Array2::zeros((4, 3)).view()).unwrap_err().to_string();
    assert_eq!(found, "expected 2 columns of features, found 3");
    let found = model.objective(x.view(), &[0, 7], 1.0).unwrap_err().to_string();
    assert_eq!(found, "label 7 at row 1 is none of the model's classes");
    assert!(matches!(
        gram.fit(Array2::zeros((3, 2)).view(), &[0, 1], &[1.0], 1e-4),
        Err(SvmError::RowCount { .. })
    ));
}

#[test]
fn the_hinge_loss_has_its_limit() {
    let x = Array2::zeros((MAX_HINGE_ROWS + 1, 2));
    let labels: Vec<usize> = (0..x.nrows()).map(|row| row % 2).collect();
    let found = fit_hinge(x.view(), &labels, 1.0).unwrap_err().to_string();
    assert!(found.starts_with("5001 rows are beyond the limit of 5000 for the hinge loss"), "{found}");
}
