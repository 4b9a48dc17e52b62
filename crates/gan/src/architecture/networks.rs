//! The sizes of a generator and of a discriminator.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use dcgan_nn::activation::Activation;

use crate::BASE_SIZE;

/// One convolution or transposed convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Channels it puts out.
    pub channels: usize,
    /// Its stride: it divides (or multiplies) the side of its maps by this.
    pub stride: usize,
}

/// How z is drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ZDistribution {
    /// U(−1, 1), the paper's.
    #[default]
    Uniform,
    /// N(0, 1), of the released SVHN network.
    Normal,
}

/// How a generator ends, and so the range of pictures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// [−1, 1], the paper's.
    #[default]
    Tanh,
    /// [0, 1], of the authors' MNIST network.
    Sigmoid,
}

impl Output {
    /// The activation.
    pub fn activation(self) -> Activation {
        match self {
            Self::Tanh => Activation::Tanh,
            Self::Sigmoid => Activation::Sigmoid,
        }
    }
}

/// A generator: z → linear → 4×4 maps → transposed convolutions → tanh. What is not in the paper's image networks is left out of
/// files where it is as there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratorConfig {
    /// Length of z.
    pub nz: usize,
    /// How z is drawn.
    pub z: ZDistribution,
    /// Channels of the first maps.
    pub base_channels: usize,
    /// Side of every kernel; the padding keeps sides whole.
    pub kernel: usize,
    /// The transposed convolutions; the last puts out the picture.
    pub layers: Vec<Layer>,
    /// Side of the first maps.
    #[serde(default = "base_size", skip_serializing_if = "is_base_size")]
    pub bottom: usize,
    /// Units of a linear layer before the one that makes the first maps; 0 for none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub hidden: usize,
    /// Classes whose one-hot labels are joined to every layer; 0 for none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub classes: usize,
    /// How it ends.
    #[serde(default, skip_serializing_if = "is_default")]
    pub output: Output,
    /// Whether its batch norms learn a gain and a bias.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub gain_and_bias: bool,
    /// Whether the batch norm of the first maps has one mean a channel, as in PyTorch's example, rather than one a unit.
    #[serde(default, skip_serializing_if = "is_default")]
    pub first_norm_by_channel: bool,
}

/// A discriminator: convolutions → linear → one logit. What is not in the paper's image networks is left out of files where it is
/// as there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiscriminatorConfig {
    /// Side of the picture.
    pub image_size: usize,
    /// Side of every kernel; the padding keeps sides whole.
    pub kernel: usize,
    /// The convolutions.
    pub layers: Vec<Layer>,
    /// Whether the linear layer is there; without it the network only gives features.
    pub head: bool,
    /// Channels of the picture.
    #[serde(default = "three", skip_serializing_if = "is_three")]
    pub channels: usize,
    /// Units of a linear layer before the one that gives the logit; 0 for none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub hidden: usize,
    /// Classes whose one-hot labels are joined to every layer; 0 for none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub classes: usize,
    /// How the generators end whose pictures it takes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub output: Output,
    /// Whether its batch norms learn a gain and a bias.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub gain_and_bias: bool,
}

fn base_size() -> usize {
    BASE_SIZE
}

fn three() -> usize {
    3
}

fn yes() -> bool {
    true
}

fn is_base_size(&n: &usize) -> bool {
    n == BASE_SIZE
}

fn is_three(&n: &usize) -> bool {
    n == 3
}

pub(super) fn is_true(&value: &bool) -> bool {
    value
}

pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl GeneratorConfig {
    /// Side of the pictures it draws.
    pub fn image_size(&self) -> usize {
        self.layers.iter().fold(self.bottom, |size, layer| size * layer.stride)
    }

    /// Channels of the pictures it draws.
    pub fn channels(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.channels)
    }

    /// Channels, height and width of the pictures it draws.
    pub fn picture(&self) -> [usize; 3] {
        [self.channels(), self.image_size(), self.image_size()]
    }

    /// Whether a network can be made of it; a file may say anything.
    pub(crate) fn is_sound(&self) -> bool {
        let side = self.layers.iter().try_fold(self.bottom, |side, layer| side.checked_mul(layer.stride));
        are_sound(self.kernel, &self.layers)
            && [self.nz, self.base_channels].iter().all(|n| (1..=MAX_CHANNELS).contains(n))
            && [self.hidden, self.classes].iter().all(|&n| n <= MAX_CHANNELS)
            && side.is_some_and(|side| (1..=MAX_SIDE).contains(&side))
    }
}

impl DiscriminatorConfig {
    /// Side of the grid that features are pooled to: 4, or 7 for pictures of 7·2ⁿ, whose maps no 4×4 grid divides.
    pub fn grid(&self) -> usize {
        let doubled = |bottom: usize| {
            self.image_size.is_multiple_of(bottom) && (self.image_size / bottom).is_power_of_two()
        };
        if doubled(7) { 7 } else { BASE_SIZE }
    }

    /// Length of the feature vector: every conv layer's maps pooled to [`Self::grid`].
    pub fn n_features(&self) -> usize {
        self.layers.iter().map(|layer| layer.channels).sum::<usize>() * self.grid() * self.grid()
    }

    /// Side of the last layer's maps.
    pub fn last_size(&self) -> usize {
        self.layers.iter().fold(self.image_size, |size, layer| size / layer.stride)
    }

    /// Channels, height and width of the pictures it takes.
    pub fn picture(&self) -> [usize; 3] {
        [self.channels, self.image_size, self.image_size]
    }

    /// The same convolutions without labels, and without the linear layers before the logit: they give features of any picture.
    pub fn unconditional(&self) -> Self {
        Self { classes: 0, hidden: 0, ..self.clone() }
    }

    /// As [`GeneratorConfig::is_sound`].
    pub(crate) fn is_sound(&self) -> bool {
        are_sound(self.kernel, &self.layers)
            && (1..=MAX_SIDE).contains(&self.image_size)
            && (1..=MAX_CHANNELS).contains(&self.channels)
            && [self.hidden, self.classes].iter().all(|&n| n <= MAX_CHANNELS)
    }
}

/// What lies beyond these is a damaged file rather than a network.
const MAX_SIDE: usize = 4096;
const MAX_CHANNELS: usize = 1 << 16;
const MAX_KERNEL: usize = 31;

fn are_sound(kernel: usize, layers: &[Layer]) -> bool {
    let is_sound = |layer: &Layer| {
        (1..=MAX_SIDE).contains(&layer.stride) && (1..=MAX_CHANNELS).contains(&layer.channels)
    };
    let halves = |layer: &Layer| layer.stride == 2;
    (1..=MAX_KERNEL).contains(&kernel)
        && !layers.is_empty()
        && layers.iter().all(is_sound)
        && (!kernel.is_multiple_of(2) || layers.iter().all(halves))
}
