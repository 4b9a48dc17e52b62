//! One layer of K-means (Coates, Lee and Ng, 2011): centroids of whitened patches, and the features that they give.
//!
//! | file | does |
//! | --- | --- |
//! | `config` | the settings |
//! | `patches` | draws patches, normalises their contrast |
//! | `whitening` | ZCA |
//! | `lloyd` | a pass of K-means |
//! | `step` | what it tells of itself |
//! | `train` | all of it, resumed after each pass |
//! | `model` | the centroids and their file |
//! | `encode` | features of pictures |

mod config;
mod encode;
mod lloyd;
mod model;
mod patches;
mod step;
mod train;
mod whitening;

pub use config::KMeansConfig;
pub use encode::Encoder;
pub use model::KMeans;
pub use step::{Observe, Step};
pub use train::train_kmeans;

#[cfg(test)]
mod tests;
