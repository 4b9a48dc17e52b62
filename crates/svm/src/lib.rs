//! The L2-SVM of LIBLINEAR as a linfa estimator.
//!
//! One class against the rest, each with weights w and bias b that minimise
//!
//! ```text
//! P(w, b) = ½‖w‖² + ½b² + C Σᵢ max(0, 1 − yᵢ(w·xᵢ + b))²,      yᵢ = ±1
//! ```
//!
//! which is what LIBLINEAR (`-s 1`, `-s 2`, `-B 1`) and scikit-learn's `LinearSVC` solve by default: the bias is a constant
//! feature of 1 and regularised like the rest. Its dual is
//!
//! ```text
//! D(α) = Σα − ½ αᵀ(Q + I/2C)α,      α ≥ 0,      Qᵢⱼ = yᵢyⱼ(xᵢ·xⱼ + 1)
//! ```
//!
//! and D ≤ P everywhere, so that P − D, which every fit stops on and returns in a [`Certificate`], bounds the distance from the
//! optimum. Features are f32, sums f64.
//!
//! - For up to some thousands of rows everything follows from one matrix of inner products, a [`SharedGram`]: all classes, all
//!   values of C, subsets of the rows and cross-validation, without reading the features again. The optimum is
//!   found by Newton's method on the set of rows inside the margin, in a handful of exact steps.
//! - Beyond, all classes, folds and several values of C go together over the rows, by preconditioned conjugate gradients; a
//!   memory-mapped file of features is read from start to end in each pass, and a fit takes some tens of passes.
//! - The hinge loss is `linfa-svm`'s, for few rows ([`Loss::Hinge`]).
//!
//! # Example
//!
//! ```
//! use dcgan_svm::{LinearSvc, SvmError};
//! use linfa::prelude::*;
//! use ndarray::{Array1, Array2};
//!
//! // Three groups of points around a circle.
//! let labels: Array1<usize> = (0..90).map(|row| row % 3).collect();
//! let points = Array2::from_shape_fn((90, 2), |(row, column)| {
//!     let angle = (row % 3) as f32 * 2.1 + (row / 3) as f32 * 0.02;
//!     if column == 0 { angle.cos() } else { angle.sin() }
//! });
//! let mut dataset = Dataset::new(points, labels);
//!
//! let model = LinearSvc::params().c(10.0).fit(&dataset)?;
//! let confusion = model.predict(&dataset).confusion_matrix(&dataset)?;
//! assert_eq!(confusion.accuracy(), 1.0);
//! assert!(model.certificates().iter().all(|certificate| certificate.relative_gap <= 1e-4));
//!
//! // Three-fold cross-validation of two values of C.
//! let params = [LinearSvc::params().c(1e-6), LinearSvc::params().c(10.0)];
//! let accuracies = dataset.cross_validate_single(3, &params, |predicted, truth| {
//!     predicted.confusion_matrix(truth).map(|confusion| confusion.accuracy())
//! })?;
//! assert!(accuracies[1] >= accuracies[0]);
//! # Ok::<(), SvmError>(())
//! ```

mod certificate;
mod cholesky;
mod cross_validation;
mod dual;
mod error;
mod features;
mod fit;
mod gram;
mod hinge;
mod kernels;
mod labels;
mod line_search;
mod model;
mod newton;
mod panels;
mod params;
mod path;
mod preconditioner;
mod rows;
mod storage;
mod sweep;

pub use certificate::Certificate;
pub use cross_validation::CrossValidation;
pub use dual::DualSvc;
pub use error::{Result, SvmError};
pub use gram::SharedGram;
pub use hinge::{MAX_HINGE_ROWS, fit_hinge};
pub use model::{LinearSvc, decision_functions};
pub use params::{FitProgress, LinearSvcParams, LinearSvcValidParams, Loss, ObserveFit};
pub use storage::Feature;
