//! candle, made fit to train a DCGAN.
//!
//! The crate holds the few operations a DCGAN is made of, each with its own gradient, over candle's tensors and its
//! automatic differentiation, and the [`layer`]s that train without it. Activations are NHWC, `(n, h, w, c)` f32; kernels
//! are `(kh, kw, in, out)` of a convolution and `(kh, kw, out, in)` of a transposed one, as they are read in the innermost
//! loops; [`conv::from_pytorch`] turns PyTorch's and Theano's `(out, in, kh, kw)`.
//!
//! | module | holds |
//! | --- | --- |
//! | [`conv`] | [`conv2d`](conv::conv2d) and [`conv_transpose2d`](conv::conv_transpose2d) with gradients, in registers' worth of sums |
//! | [`batch_norm`] | batch normalisation fused with its (leaky) ReLU, and the statistics feature extraction needs |
//! | [`activation`] | LeakyReLU and ReLU alone |
//! | [`loss`] | binary cross-entropy on logits in its stable form |
//! | [`pool`] | max-pooling to a grid |
//! | [`adam`] | Adam with coupled l2 and a state that can be saved |
//! | [`rng`], [`init`] | seeded draws: candle's own CPU generator cannot be seeded |
//! | [`layer`] | map, batch norm and activation with a backward pass of their own, for training |
//! | [`norm`] | the size of gradients |
//! | [`device`] | the CPU or a GPU by name (a GPU with the feature `cuda`) |
//! | [`pixels`] | uint8 NCHW pictures to activations and back |
//! | [`checkpoint`] | named tensors and their configuration in one `.safetensors` file |
//!
//! ```
//! use dcgan_nn::{candle::{Device, Var}, conv::conv2d, init, loss, rng};
//! # fn main() -> dcgan_nn::Result<()> {
//! let mut rng = rng::stream(0, rng::Purpose::Weights, 0);
//! let kernel = Var::from_tensor(&init::normal(&[5, 5, 3, 8], 0.0, 0.02, &mut rng, &Device::Cpu)?)?;
//! let images = init::normal(&[2, 32, 32, 3], 0.0, 1.0, &mut rng, &Device::Cpu)?;
//! let maps = conv2d(&images, &kernel, 2, 2)?;
//! assert_eq!(maps.dims(), [2, 16, 16, 8]);
//! let gradients = loss::bce_with_logits(&maps.flatten_all()?, 1.0)?.backward()?;
//! assert!(gradients.get(&kernel).is_some() && gradients.get(&images).is_none());
//! # Ok(()) }
//! ```

pub use candle_core as candle;

pub mod activation;
pub mod adam;
pub mod batch_norm;
pub mod checkpoint;
pub mod conv;
#[cfg(feature = "cuda")]
mod cuda;
pub mod device;
mod error;
pub mod init;
pub mod layer;
pub mod loss;
pub mod norm;
pub mod pixels;
pub mod pool;
pub mod rng;
mod storage;
#[cfg(test)]
mod testing;

pub use error::{NnError, Result};

/// Runs `f`, compiled for the widest vectors this machine has.
#[inline(always)]
pub(crate) fn vectorised<T>(f: impl FnOnce() -> T) -> T {
    pulp::Arch::new().dispatch(f)
}
