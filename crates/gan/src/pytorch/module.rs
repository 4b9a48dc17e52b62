//! The modules that exported networks are made of.

use std::fmt;

use dcgan_nn::batch_norm::EPS;
use dcgan_nn::conv::Convolution;

/// The sizes of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kernel {
    /// Channels that it takes and gives.
    pub channels: [usize; 2],
    /// Side of the kernel.
    pub side: usize,
    /// Stride and padding.
    pub convolution: Convolution,
}

/// A module of an `nn.Sequential`; written as Python makes it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Module {
    /// `weight` (o, c, k, k).
    Conv2d(Kernel),
    /// `weight` (c, o, k, k).
    ConvTranspose2d(Kernel),
    /// Numbers that it takes and gives; `weight` (o, c).
    Linear([usize; 2]),
    /// Of so many units.
    BatchNorm1d(usize),
    /// Of so many channels.
    BatchNorm2d(usize),
    /// max(0, x).
    Relu,
    /// max(x, slope·x).
    LeakyRelu(f32),
    /// tanh.
    Tanh,
    /// The sigmoid.
    Sigmoid,
    /// (n, c·h·w) → (n, c, h, w).
    Unflatten([usize; 3]),
    /// (n, …) → (n, all).
    Flatten,
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { channels: [from, to], side, convolution: Convolution { stride, padding, transposed } } =
            self;
        write!(f, "{from}, {to}, {side}, stride={stride}, padding={padding}")?;
        if let Some(output_padding) = transposed.filter(|&padding| padding > 0) {
            write!(f, ", output_padding={output_padding}")?;
        }
        write!(f, ", bias=False")
    }
}

impl fmt::Display for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conv2d(kernel) => write!(f, "nn.Conv2d({kernel})"),
            Self::ConvTranspose2d(kernel) => write!(f, "nn.ConvTranspose2d({kernel})"),
            Self::Linear([from, to]) => write!(f, "nn.Linear({from}, {to}, bias=False)"),
            Self::BatchNorm1d(n) => write!(f, "nn.BatchNorm1d({n}, eps={EPS:e})"),
            Self::BatchNorm2d(n) => write!(f, "nn.BatchNorm2d({n}, eps={EPS:e})"),
            Self::Relu => write!(f, "nn.ReLU()"),
            Self::LeakyRelu(slope) => write!(f, "nn.LeakyReLU({slope})"),
            Self::Tanh => write!(f, "nn.Tanh()"),
            Self::Sigmoid => write!(f, "nn.Sigmoid()"),
            Self::Unflatten([c, h, w]) => write!(f, "nn.Unflatten(1, ({c}, {h}, {w}))"),
            Self::Flatten => write!(f, "nn.Flatten()"),
        }
    }
}
