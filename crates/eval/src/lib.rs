//! The tables: features of pictures, and the protocols that turn them into the paper's numbers.
//!
//! - [`extract_features`] passes an image store through a network and writes a [`FeatureSet`], two plain NumPy files.
//! - [`svhn_protocol`] measures 1000 labels on SVHN (Table 2), [`cifar10_protocol`] all labels and 400 a class on
//!   CIFAR-10 (Table 1), each with an L2-SVM whose C is chosen on training data.
//! - [`paper`] holds the published rows to stand beside ours.
//!
//! The way from features to a table's row goes down this list, and each file uses only those above it:
//!
//! | file | does |
//! | --- | --- |
//! | `features` | opens the labelled features |
//! | `standard` | brings features to one scale |
//! | `draws` | draws rows: validation set, labels, folds |
//! | `train` | fits machines, on draws or on all rows |
//! | `scorer`, `confusion` | predicts and counts |
//! | `search`, `selection` | chooses C on training rows, by cross-validation ([`dcgan_svm`]'s) or on a validation set |
//! | `measure` | reads the test set, with a C that was chosen |
//! | `svhn`, `cifar10` | the protocols, and what they report |
//!
//! Training data choose, test data only measure: C comes out of a search that is never given the test set, and nothing
//! reads the test set without it.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::ops::ControlFlow;
//!
//! use dcgan_eval::{FeatureSet, SvhnProtocol, svhn_protocol};
//! use ndarray::Array2;
//!
//! // Two classes that the first feature tells apart.
//! let set = |n_rows: usize| {
//!     let features = Array2::from_shape_fn((n_rows, 3), |(row, column)| {
//!         if column == 0 { (row % 2) as f32 } else { (row * column % 7) as f32 * 0.1 }
//!     });
//!     FeatureSet::from_arrays(&features, (0..n_rows).map(|row| row % 2).collect())
//! };
//! let protocol = SvhnProtocol { cs: vec![1.0, 10.0], n_validation: 30, n_per_class: 10, ..Default::default() };
//! let result = svhn_protocol(&set(80)?, &set(40)?, &protocol, &mut |_, _| ControlFlow::Continue(()))?;
//! assert_eq!((result.c, result.mean_error), (1.0, 0.0));
//! # Ok(())
//! # }
//! ```

mod cifar10;
mod classes;
mod confusion;
mod draws;
mod error;
mod extract;
mod features;
mod matching;
mod measure;
mod npy;
pub mod paper;
mod progress;
mod scorer;
mod search;
mod selection;
mod standard;
pub mod statistics;
mod svhn;
mod train;
mod training_set;
mod writer;

pub use cifar10::{AllLabels, Cifar10Protocol, Cifar10Result, FewLabels, cifar10_protocol};
pub use classes::CLASSES_FILE;
pub use confusion::Confusion;
pub use draws::{Draws, stratified_folds, validation_rows};
pub use error::{EvalError, Result};
pub use extract::{
    Batches, Extracted, Extractor, Scaling, extract_features, extract_scaled, infer_standard, labels_of,
    merge_features, pixel_features,
};
pub use features::{FEATURES_FILE, FeatureSet, LABELS_FILE};
pub use npy::Change;
pub use progress::Observe;
pub use selection::SearchPoint;
pub use standard::{Moments, Standard};
pub use svhn::{SvhnProtocol, SvhnResult, svhn_protocol};
pub use training_set::Storage;
pub use writer::FeatureWriter;
