//! Batch normalisation fused with the activation behind it.
//!
//! y = a(gain·(x − mean) / √(var + eps) + bias) for each channel, where a(u) = max(u, slope·u): slope 0.2 for the
//! discriminator's LeakyReLU, 0 for the generator's ReLU, 1 for none. eps is 1e-8 and the variance is the biased one, as
//! in the released code; there are no running statistics.

/// Added to the variance.
pub const EPS: f64 = 1e-8;

/// Per-channel mean and biased variance.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// One mean a channel.
    pub mean: Vec<f64>,
    /// One biased variance a channel.
    pub variance: Vec<f64>,
}
