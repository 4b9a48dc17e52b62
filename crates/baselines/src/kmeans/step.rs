//! What a training tells of itself.

use std::ops::ControlFlow;

/// What [`train_kmeans`](super::train_kmeans) is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Sums the products of each two numbers of a patch.
    Covariance,
    /// Decomposes their covariance; how far that is, is not known.
    Eigenvectors,
    /// Whitens the patches.
    Whitening,
    /// Moves centroids.
    Passes,
}

impl Step {
    /// What is being done, in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Covariance => "covariance of patches",
            Self::Eigenvectors => "eigenvectors of the covariance",
            Self::Whitening => "whitening",
            Self::Passes => "K-means",
        }
    }
}

/// Told patches done and all there are to do in a step (0: not known); [`ControlFlow::Break`] asks to stop.
pub type Observe<'a> = &'a mut dyn FnMut(Step, u64, u64) -> ControlFlow<()>;
