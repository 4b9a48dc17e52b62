//! Networks in PyTorch's names and layouts, out and in.
//!
//! A network is an `nn.Sequential` called `main`, as in PyTorch's own DCGAN example: transposed convolutions (c, o, k, k) or
//! convolutions (o, c, k, k) without biases, batch norms, activations. Units of linear layers lie in the order (c, y, x) there, in
//! (y, x, c) here. Here batch norms have no running statistics; on the way out those are inferred over data.

mod export;
mod import;
mod module;
mod onnx;

use candle_core::Tensor;

use crate::Result;

pub use export::{Exported, export_discriminator, export_generator};
pub use import::{import_discriminator, import_generator, states_generator};
pub use module::{Kernel, Module};

/// The key under which an exported file's metadata hold the network's sizes, as JSON.
const CONFIG: &str = "config";
/// The key under which they hold which network it is.
const NETWORK: &str = "network";

/// Units (…, places·c) of the order (y, x, c) in the order (c, y, x), along the last dimension.
fn channels_first(units: &Tensor, channels: usize) -> Result<Tensor> {
    swapped(units, |n| [n / channels, channels])
}

/// The inverse of [`channels_first`].
fn channels_last(units: &Tensor, channels: usize) -> Result<Tensor> {
    swapped(units, |n| [channels, n / channels])
}

fn swapped(units: &Tensor, split: impl Fn(usize) -> [usize; 2]) -> Result<Tensor> {
    let (before, n) = units.dims().split_at(units.rank() - 1);
    let parts = [before, &split(n[0])].concat();
    let (a, b) = (before.len(), before.len() + 1);
    Ok(units.reshape(parts)?.transpose(a, b)?.contiguous()?.reshape(units.dims())?)
}

#[cfg(test)]
mod tests;
