//! candle, made fit to train a DCGAN.
//!
//! The crate holds what a DCGAN is made of over candle's tensors. A [`layer::Layer`] is a map, batch norm and an activation with
//! one forward and one backward pass, each written once; a training step runs pictures through a stack of layers, which leaves a
//! trace, and leads the loss's gradient back along it. Gradients are summed in place and no graph is made: candle's own
//! automatic differentiation makes and adds a tensor of zeros for every tensor of the graph. Every layer is a
//! [`Module`](candle::Module) of candle's, for use in any of its programs.
//!
//! Activations are NHWC, `(n, h, w, c)` f32; kernels are `(kh, kw, in, out)` of a convolution and `(kh, kw, out, in)` of a
//! transposed one, as they are read in the innermost loops; [`conv::from_pytorch`] turns PyTorch's and Theano's
//! `(out, in, kh, kw)`.
//!
//! | module | holds |
//! | --- | --- |
//! | [`layer`] | layers, stacks of them and their gradients |
//! | [`conv`] | convolutions, plain and transposed, in registers' worth of sums |
//! | [`batch_norm`], [`activation`] | what follows the map; the statistics that feature extraction needs |
//! | [`labels`] | labels joined to the inputs of a conditional network's layers |
//! | [`loss`] | binary cross-entropy on logits in its stable form |
//! | [`adam`] | Adam with coupled l2 and a state that can be saved |
//! | [`arithmetic`] | sums and products of tensors by the value |
//! | [`matrix`] | products of matrices in plain memory |
//! | [`norm`] | the size of gradients |
//! | [`inference`] | networks that only run: convolutions made ready once, with bias and ReLU, and pooling |
//! | [`rng`], [`init`] | seeded draws: candle's own CPU generator cannot be seeded |
//! | [`device`] | the CPU or a GPU by name (a GPU with the feature `cuda`) |
//! | [`pixels`], [`pool`] | uint8 NCHW pictures to activations and back; max-pooling to a grid |
//! | [`parts`] | one training on several devices, a process for each |
//! | [`checkpoint`] | named tensors and their configuration in one `.safetensors` file |
//!
//! A step of training a discriminator of two layers on pictures that are real, as `dcgan-gan` does it:
//!
//! ```
//! use dcgan_nn::{
//!     activation::Activation,
//!     adam::{Adam, AdamConfig},
//!     candle::{Device, Var},
//!     conv::Convolution,
//!     init,
//!     layer::{Gradients, Layer, Map, gradients_of, stack_backward, stack_trace},
//!     loss, rng,
//! };
//! # fn main() -> dcgan_nn::Result<()> {
//! let mut rng = rng::stream(0, rng::Purpose::Weights, 0);
//! let mut draw = |shape: &[usize], std| init::normal(shape, 0.0, std, &mut rng, &Device::Cpu);
//! let pictures = draw(&[2, 32, 32, 3], 1.0)?;
//! let (kernel, weight) = (Var::from_tensor(&draw(&[5, 5, 3, 8], 0.02)?)?, Var::from_tensor(&draw(&[16 * 16 * 8, 1], 0.02)?)?);
//! let layer = |map, var: &Var, slope| {
//!     Layer { map, kernel: var.as_tensor().clone(), norm: None, activation: Activation::Leaky(slope) }
//! };
//! let halving = Map::Convolution(Convolution { stride: 2, padding: 2, transposed: None });
//! let layers = [layer(halving, &kernel, 0.2), layer(Map::Linear, &weight, 1.0)];
//! let mut gradients = gradients_of(&layers)?;
//! let mut adam = Adam::new(vec![("kernel".into(), kernel), ("weight".into(), weight)], AdamConfig::default());
//!
//! let mut losses = Vec::new();
//! for _ in 0..2 {
//!     let traces = stack_trace(&layers, &pictures)?;
//!     let (loss, dlogits) = loss::bce_with_gradient(traces[1].output(), 1.0)?;
//!     gradients.iter_mut().for_each(Gradients::clear);
//!     stack_backward(&layers, traces, &dlogits, Some(&mut gradients), false)?;
//!     adam.step_with(gradients.iter().flat_map(Gradients::tensors).map(Some))?;
//!     losses.push(loss);
//! }
//! assert!(losses[1] < losses[0]);
//! # Ok(()) }
//! ```

pub use candle_core as candle;

pub mod activation;
pub mod adam;
pub mod arithmetic;
pub mod batch_norm;
pub mod checkpoint;
pub mod conv;
mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
pub mod device;
mod element;
mod error;
mod geometry;
pub mod inference;
pub mod init;
mod kernels;
pub mod labels;
mod lanes;
pub mod layer;
pub mod loss;
pub mod matrix;
pub mod norm;
pub mod parts;
pub mod pixels;
pub mod pool;
pub mod rng;
pub mod state_dict;
mod storage;
#[cfg(test)]
mod testing;

pub use error::{NnError, Result};

/// Runs `f`, compiled for the widest vectors this machine has.
#[inline(always)]
pub(crate) fn vectorised<T>(f: impl FnOnce() -> T) -> T {
    dcgan_vectors::arch().dispatch(f)
}
