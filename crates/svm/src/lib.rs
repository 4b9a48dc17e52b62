//! The L2-SVM of LIBLINEAR as a linfa estimator.

mod certificate;
mod cholesky;
mod conjugate_gradients;
mod dual;
mod error;
mod features;
mod gram;
mod hinge;
mod labels;
mod line_search;
mod model;
mod newton;
mod params;
mod rows;
mod sweep;

pub use certificate::Certificate;
pub use dual::DualSvc;
pub use error::{Result, SvmError};
pub use gram::SharedGram;
pub use hinge::{MAX_HINGE_ROWS, fit_hinge};
pub use model::{LinearSvc, decision_functions};
pub use params::{LinearSvcParams, LinearSvcValidParams, Loss};
