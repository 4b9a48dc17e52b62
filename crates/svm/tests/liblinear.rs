//! Against LIBLINEAR's primal solver (as scikit-learn calls it), run to its tightest tolerance:
//!
//! ```python
//! import numpy as np
//! from sklearn.svm import LinearSVC
//! def make(n, d, k, scale=1.0):
//!     i, j = np.meshgrid(np.arange(n), np.arange(d), indexing="ij")
//!     x = (((i * 37 + j * 101 + i * j * 13) % 97) / 48.0 - 1.0).astype(np.float32) * np.float32(scale)
//!     y = (np.arange(n) * 7 + np.arange(n) // 5) % k
//!     x[:, 0] += y
//!     return x, y
//! def objectives(x, y, c):
//!     m = LinearSVC(C=c, dual=False, tol=1e-12, max_iter=1000000).fit(x, y)
//!     wide = x.astype(np.float64)
//!     for cls, w, b in zip(m.classes_, m.coef_, m.intercept_):
//!         t = np.where(y == cls, 1.0, -1.0)
//!         yield 0.5 * (w @ w + b * b) + c * (np.maximum(0, 1 - t * (wide @ w + b)) ** 2).sum()
//! ```

// The helpers of tests may unwrap, as tests may.
#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;

use dcgan_svm::{LinearSvc, LinearSvcValidParams, SharedGram};
use linfa::ParamGuard;
use ndarray::{Array2, Axis, concatenate, s};

const CS: [f64; 5] = [1e-6, 1e-4, 1e-2, 1.0, 100.0];

fn make(n: usize, d: usize, k: usize, scale: f32) -> (Array2<f32>, Vec<usize>) {
    let labels: Vec<usize> = (0..n).map(|i| (i * 7 + i / 5) % k).collect();
    let mut x = Array2::from_shape_fn((n, d), |(i, j)| {
        (((i * 37 + j * 101 + i * j * 13) % 97) as f64 / 48.0 - 1.0) as f32 * scale
    });
    for (row, &label) in labels.iter().enumerate() {
        x[[row, 0]] += label as f32;
    }
    (x, labels)
}

fn params(relative_gap: f64, max_gram_rows: usize) -> LinearSvcValidParams {
    LinearSvc::params().relative_gap(relative_gap).max_gram_rows(max_gram_rows).check().unwrap()
}

fn fit(x: &Array2<f32>, labels: &[usize], cs: &[f64], params: &LinearSvcValidParams) -> Vec<LinearSvc> {
    params.fit_path(x.view(), labels, cs, &mut |_| ControlFlow::Continue(())).unwrap()
}

/// Objectives of the stored weights against LIBLINEAR's, both ways of solving. Over the rows, products are f32, which
/// bounds the certificate's own accuracy, and which at C = 100 hides a gap as small as the one asked for here.
fn compare<const K: usize>(x: &Array2<f32>, labels: &[usize], expected: &[[f64; K]; 5]) {
    for (max_gram_rows, gap, n_cs, rounding) in [(1000, 1e-8, 5, 1e-8), (1, 1e-6, 4, 1e-6)] {
        for (model, expected) in fit(x, labels, &CS[..n_cs], &params(gap, max_gram_rows)).iter().zip(expected)
        {
            let found = model.objective(x.view(), labels, model.c()).unwrap();
            for (class, (found, expected)) in found.iter().zip(expected).enumerate() {
                let difference = (found - expected).abs() / expected;
                assert!(difference < 1e-6, "C {} class {class}: {found} against {expected}", model.c());
                let certificate = model.certificates()[class];
                assert!(certificate.relative_gap <= gap && certificate.dual <= expected * (1.0 + rounding));
            }
        }
    }
}

#[test]
fn more_rows_than_columns() {
    let (x, labels) = make(60, 12, 3, 1.0);
    compare(
        &x,
        &labels,
        &[
            [5.999479025e-05, 5.999949980e-05, 5.999735559e-05],
            [5.949026005e-03, 5.995041992e-03, 5.973842985e-03],
            [4.238600490e-01, 5.711658757e-01, 4.559839186e-01],
            [2.449549219e+01, 5.220575868e+01, 1.473917512e+01],
            [2.307968665e+03, 5.205539004e+03, 1.081563718e+02],
        ],
    );
}

#[test]
fn more_columns_than_rows() {
    let (x, labels) = make(24, 200, 4, 1.0);
    compare(
        &x,
        &labels,
        &[
            [2.399528186e-05, 2.399556669e-05, 2.399595856e-05, 2.399625830e-05],
            [2.353937593e-03, 2.356660070e-03, 2.360337530e-03, 2.363262749e-03],
            [8.996296656e-02, 9.278172456e-02, 9.411996383e-02, 9.995044823e-02],
            [1.563578383e-01, 1.627307377e-01, 1.628843506e-01, 1.814300958e-01],
            [1.576041506e-01, 1.640451367e-01, 1.641628019e-01, 1.830078489e-01],
        ],
    );
}

#[test]
fn unscaled_features() {
    let (x, labels) = make(40, 30, 3, 1000.0);
    // Beyond C = 1e-2 LIBLINEAR gives up after a million iterations, above the optimum.
    let expected = [
        [3.108420487e-06, 5.992880858e-06, 1.577635736e-06],
        [3.785048201e-06, 9.221985083e-06, 1.758933525e-06],
        [3.794458533e-06, 9.276228965e-06, 1.761001422e-06],
    ];
    let given_up = [
        [4.013995237e-06, 1.233930145e-05, 1.819227326e-06],
        [4.265013052e-06, 1.403393232e-05, 1.902353153e-06],
    ];
    let models = SharedGram::new(x.view()).unwrap().fit(x.view(), &labels, &CS, 1e-8).unwrap();
    for (model, expected) in models.iter().zip(&expected) {
        for (certificate, expected) in model.certificates().iter().zip(expected) {
            assert!((certificate.objective - expected).abs() < 1e-6 * expected, "{certificate:?} {expected}");
        }
    }
    for (model, bound) in models[3..].iter().zip(&given_up) {
        for (certificate, bound) in model.certificates().iter().zip(bound) {
            assert!(certificate.relative_gap <= 1e-8 && certificate.objective < *bound);
        }
    }
}

/// `LinearSVC(C=0.1, …)`'s coef_[1], intercept_[1] and predictions on the first set.
#[test]
fn weights_and_predictions() {
    let weights = [
        0.10331385625807676,
        0.019924096873671655,
        0.2663029152221415,
        -0.14930968407336023,
        0.0007463855753293815,
        0.01392434884850896,
        0.11078171937200121,
        -0.044826319081013546,
        0.022162411112682207,
        0.0069672189460133595,
        0.11663500300023945,
        0.10404246622895699,
    ];
    let labels_predicted = [
        0, 0, 2, 0, 1, 0, 1, 2, 0, 1, 0, 0, 1, 1, 1, 0, 0, 2, 1, 1, 0, 0, 2, 0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0,
        2, 0, 1, 2, 0, 2, 0, 1, 2, 0, 2, 0, 1, 2, 0, 1, 0, 0, 1, 0, 2, 1, 1, 2, 0, 1,
    ];
    let (x, labels) = make(60, 12, 3, 1.0);
    for max_gram_rows in [1000, 1] {
        let model = fit(&x, &labels, &[0.1], &params(1e-12, max_gram_rows)).remove(0);
        for (found, expected) in model.weights().row(1).iter().zip(weights) {
            assert!((f64::from(*found) - expected).abs() < 1e-6, "{found} {expected}");
        }
        assert!((f64::from(model.bias()[1]) + 0.25549058918751666).abs() < 1e-6);
        assert_eq!(model.predict_labels(x.view()).unwrap().to_vec(), labels_predicted);
    }
}

/// Rows given twice, some with two labels: the Gram matrix is singular and the classes overlap.
#[test]
fn duplicate_rows() {
    let (x, labels) = make(20, 9, 3, 1.0);
    let doubled = concatenate(Axis(0), &[x.view(), x.view(), x.slice(s![..5, ..])]).unwrap();
    let other = labels[..5].iter().map(|label| (label + 1) % 3);
    let labels: Vec<usize> = labels.iter().chain(&labels).copied().chain(other).collect();
    let expected = [31.274147403925625, 34.535872743969385, 11.862739055068493];
    for max_gram_rows in [1000, 1] {
        let model = fit(&doubled, &labels, &[1.0], &params(1e-9, max_gram_rows)).remove(0);
        for (found, expected) in model.certificates().iter().zip(expected) {
            assert!((found.objective - expected).abs() < 1e-7 * expected, "{found:?} {expected}");
        }
    }
}

#[test]
fn one_row_a_class() {
    let (x, _) = make(20, 9, 3, 1.0);
    let x = x.slice(s![..3, ..]).to_owned();
    let labels = [4, 0, 9];
    // In the order of the classes 0, 4, 9.
    let expected = [0.4287228367308267, 0.1885465263450023, 0.4503306448293901];
    let model = fit(&x, &labels, &[1.0], &params(1e-9, 1000)).remove(0);
    for (found, expected) in model.certificates().iter().zip(expected) {
        assert!((found.objective - expected).abs() < 1e-7 * expected, "{found:?} {expected}");
    }
    assert_eq!(model.predict_labels(x.view()).unwrap().to_vec(), labels);
}

/// At the optimum αᵢ = 2C max(0, 1 − yᵢfᵢ) and w = Σ αᵢyᵢ(xᵢ, 1): the conditions of Karush, Kuhn and Tucker.
#[test]
fn the_coefficients_are_the_multipliers() {
    let (x, labels) = make(60, 12, 3, 1.0);
    let gram = SharedGram::new(x.view()).unwrap();
    let rows: Vec<usize> = (0..60).collect();
    for model in gram.solve(&rows, &labels, &[1.0, 1e-3], 1e-13).unwrap() {
        let values = model.decision_values(&gram, &rows).unwrap();
        for ((row, class), beta) in model.coefficients().t().indexed_iter() {
            let y = if labels[row] == model.classes()[class] { 1.0 } else { -1.0 };
            let expected = 2.0 * model.c() * (1.0 - y * values[[row, class]]).max(0.0);
            assert!((beta * y - expected).abs() < 1e-6 * model.c(), "{beta} {expected}");
        }
    }
}

/// Rows left out are never seen, and their decision values agree with those from the weights.
#[test]
fn subsets_and_held_out_rows() {
    let (x, labels) = make(60, 12, 3, 1.0);
    let gram = SharedGram::new(x.view()).unwrap();
    let (train, held_out): (Vec<usize>, Vec<usize>) = (0..60).partition(|row| row % 4 != 1);
    let models = gram.solve(&train, &labels, &[10.0, 0.1], 1e-10).unwrap();
    assert_eq!(models.iter().map(|model| model.c()).collect::<Vec<_>>(), [10.0, 0.1]);
    let direct = x.select(Axis(0), &train);
    let train_labels: Vec<usize> = train.iter().map(|&row| labels[row]).collect();
    let expected = fit(&direct, &train_labels, &[10.0, 0.1], &params(1e-10, 1000));
    let values: Vec<Array2<f64>> =
        models.iter().map(|model| model.decision_values(&gram, &held_out).unwrap()).collect();
    let predicted = models[0].predict(&gram, &held_out).unwrap();
    for ((linear, expected), values) in
        dcgan_svm::DualSvc::into_linear(models, x.view()).unwrap().iter().zip(&expected).zip(&values)
    {
        let from_weights = expected.decision_function(x.select(Axis(0), &held_out).view()).unwrap();
        assert!(values.iter().zip(&from_weights).all(|(a, b)| (a - f64::from(*b)).abs() < 1e-4));
        assert!(linear.weights().iter().zip(expected.weights()).all(|(a, b)| (a - b).abs() < 1e-5));
    }
    assert_eq!(predicted, expected[0].predict_labels(x.select(Axis(0), &held_out).view()).unwrap());
}

#[test]
fn the_bits_do_not_depend_on_the_threads() {
    let (x, labels) = make(60, 12, 3, 1.0);
    for max_gram_rows in [1000, 1] {
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| fit(&x, &labels, &[0.01, 1.0], &params(1e-5, max_gram_rows)))
        };
        assert_eq!(on(1), on(3));
    }
}
