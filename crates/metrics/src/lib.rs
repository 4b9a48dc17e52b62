//! How good samples are, by the features of real and of generated pictures.
//!
//! | module | measures |
//! | --- | --- |
//! | [`frechet`] | the Fréchet distance by mean and covariance; of Inception-v3's features it is the FID |
//! | [`infinity`] | the same extrapolated to as many pictures as one likes |
//! | [`kernel`] | the kernel distance; of Inception-v3's features it is the KID |
//! | [`prdc`] | precision, recall, density and coverage |
//! | [`inception_score`] | the Inception Score |
//! | [`memorisation`] | whether samples are nearer to training pictures than held-out pictures are |
//! | [`bootstrap`] | intervals |
//!
//! All take [`Features`], rows of f32 from whatever network; [`inception`] is the one that FID is measured with. [`Statistics`] are mean and covariance, read from and written to the
//! `.npz` files that pytorch-fid and clean-fid exchange.
//!
//! ```
//! use dcgan_metrics::{Features, frechet};
//!
//! # fn main() -> dcgan_metrics::Result<()> {
//! let real = [0.0, 1.0, 1.0, 0.0, 2.0, 2.0];
//! let moved: Vec<f32> = real.iter().map(|x| x + 3.0).collect();
//! let real = Features::new("real", &real, 2)?;
//! let generated = Features::new("generated", &moved, 2)?;
//! // Two features, both moved by 3.
//! assert!((frechet::frechet(&real, &generated)?.distance - 18.0).abs() < 1e-6);
//! # Ok(())
//! # }
//! ```

pub mod bootstrap;
mod error;
mod features;
pub mod frechet;
pub mod inception;
pub mod inception_score;
pub mod infinity;
pub mod kernel;
pub mod memorisation;
mod moments;
mod npz;
mod numpy_random;
mod parts;
pub mod prdc;
mod products;

pub use error::{MetricsError, Result};
pub use features::Features;
pub use moments::{Moments, Statistics};
pub use numpy_random::RandomState;
