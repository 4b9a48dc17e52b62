//! The hinge loss, by `linfa-svm`.

use linfa::dataset::DatasetBase;
use linfa::traits::Fit;
use linfa_svm::Svm;
use ndarray::{Array1, Array2, ArrayView2};
use rayon::prelude::*;

use crate::labels::OneVsRest;
use crate::params::is_valid_c;
use crate::{Certificate, LinearSvc, Result, SvmError, features};

/// Rows up to which the hinge loss is offered: each class holds a dense kernel matrix of n² f64 (200 MB here).
pub const MAX_HINGE_ROWS: usize = 5_000;

/// One-vs-rest C-SVC with a linear kernel: ½‖w‖² + C Σ max(0, 1 − y(w·x + b)), b free.
///
/// Solved by the sequential minimal optimisation of `linfa-svm` in f64, classes in parallel. The certificates' gap is that
/// of the multipliers it returns.
///
/// # Errors
/// [`SvmError::TooManyRows`] beyond [`MAX_HINGE_ROWS`]; [`SvmError::Empty`], [`SvmError::NonFinite`],
/// [`SvmError::LabelCount`], [`SvmError::SingleClass`], [`SvmError::InvalidC`], [`SvmError::LinfaSvm`].
pub fn fit_hinge(features: ArrayView2<'_, f32>, labels: &[usize], c: f64) -> Result<LinearSvc> {
    let n_rows = features.nrows();
    if n_rows > MAX_HINGE_ROWS {
        return Err(SvmError::TooManyRows { n_rows, limit: MAX_HINGE_ROWS, solver: "the hinge loss" });
    }
    if !is_valid_c(c) {
        return Err(SvmError::InvalidC { found: c });
    }
    features::check(features)?;
    let targets = OneVsRest::new(labels, n_rows)?;
    let wide = features.mapv(f64::from);
    let fitted: Vec<Fitted> = (0..targets.classes.len())
        .into_par_iter()
        .map(|class_idx| fit_class(wide.view(), &targets.targets(class_idx), c))
        .collect::<Result<_>>()?;
    let mut weights = Array2::zeros((fitted.len(), features.ncols()));
    for (mut out, class) in weights.outer_iter_mut().zip(&fitted) {
        out.assign(&class.weights.mapv(|w| w as f32));
    }
    let bias = fitted.iter().map(|class| class.bias as f32).collect();
    let certificates = fitted.iter().map(|class| class.certificate).collect();
    Ok(LinearSvc::from_parts(weights, bias, targets.classes, c, certificates))
}

struct Fitted {
    weights: Array1<f64>,
    bias: f64,
    certificate: Certificate,
}

fn fit_class(features: ArrayView2<'_, f64>, targets: &[f64], c: f64) -> Result<Fitted> {
    let positive: Array1<bool> = targets.iter().map(|&y| y > 0.0).collect();
    let dataset = DatasetBase::new(features, positive.view());
    let svm = Svm::<f64, bool>::params().linear_kernel().pos_neg_weights(c, c).fit(&dataset)?;
    // linfa-svm's multipliers carry the sign of their target.
    let weights = Array1::from(svm.alpha.clone()).dot(&features);
    let bias = -svm.rho;
    let squares = weights.dot(&weights);
    let values = features.dot(&weights) + bias;
    let loss: f64 = values.iter().zip(targets).map(|(f, y)| (1.0 - y * f).max(0.0)).sum();
    let objective = 0.5 * squares + c * loss;
    let dual = svm.alpha.iter().map(|alpha| alpha.abs()).sum::<f64>() - 0.5 * squares;
    let certificate =
        Certificate { objective, dual, relative_gap: (objective - dual).max(0.0) / objective, n_steps: 0 };
    Ok(Fitted { weights, bias, certificate })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ```python
    /// from sklearn.svm import SVC          # make() as in tests/liblinear.rs
    /// x, y = make(60, 12, 3)
    /// for k in range(3):
    ///     m = SVC(C=0.5, kernel="linear", tol=1e-10).fit(x.astype(float), np.where(y == k, 1, -1))
    ///     w, b = m.coef_[0], m.intercept_[0]
    ///     print(0.5 * w @ w + 0.5 * np.maximum(0, 1 - np.where(y == k, 1, -1) * (x @ w + b)).sum())
    /// ```
    #[test]
    fn as_good_as_libsvm() {
        let labels: Vec<usize> = (0..60).map(|i| (i * 7 + i / 5) % 3).collect();
        let mut x = Array2::from_shape_fn((60, 12), |(i, j)| {
            (((i * 37 + j * 101 + i * j * 13) % 97) as f64 / 48.0 - 1.0) as f32
        });
        for (row, &label) in labels.iter().enumerate() {
            x[[row, 0]] += label as f32;
        }
        let model = fit_hinge(x.view(), &labels, 0.5).unwrap();
        for (found, expected) in model.certificates().iter().zip(EXPECTED) {
            assert!((found.objective - expected).abs() < 1e-5 * expected, "{found:?} {expected}");
            assert!(found.relative_gap < 1e-4, "{found:?}");
        }
    }

    const EXPECTED: [f64; 3] = [12.235128023345558, 23.572671374848785, 7.5090245120675725];
}
