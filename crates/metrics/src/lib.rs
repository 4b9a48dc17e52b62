//! How good samples are, by the features of real and of generated pictures.

mod error;
pub mod inception;

pub use error::{MetricsError, Result};
