//! Networks of one's own after the paper's guidelines (section 3), as a table of a few numbers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::networks::{DiscriminatorConfig, GeneratorConfig, Layer, Output, ZDistribution, is_default};
use crate::{GanError, Result};

/// Sides of pictures that are 4 or 7, doubled some times.
const SIZES: [usize; 9] = [16, 28, 32, 56, 64, 112, 128, 224, 256];
/// Kernels whose padding keeps sides whole.
const KERNELS: [usize; 4] = [3, 5, 7, 9];

/// A generator and a discriminator after the paper's guidelines: strides instead of pooling, batch norm but at the two ends, no
/// fully connected layer on top of the maps, 4×4 maps (7×7 for sides of 7·2ⁿ) at the bottom, whose channels double with each
/// halving. `{ size = 64, base = 128 }` is `faces64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Guidelines {
    /// Side of the pictures: 4 or 7, doubled until it is reached.
    #[schemars(extend("enum" = SIZES))]
    pub size: usize,
    /// 1 for grey pictures, 3 for colour.
    #[serde(default = "three")]
    #[schemars(extend("enum" = [1, 3]))]
    pub channels: usize,
    /// Channels of the maps nearest to the picture; they double with each halving of the side. faces64 has 128, svhn32 64.
    #[serde(default = "base")]
    #[schemars(range(min = 1, max = 1024))]
    pub base: usize,
    /// Side of every kernel.
    #[serde(default = "five")]
    #[schemars(extend("enum" = KERNELS))]
    pub kernel: usize,
    /// Length of z.
    #[serde(default = "hundred")]
    #[schemars(range(min = 1, max = 4096))]
    pub z: usize,
    /// uniform: U(−1, 1), the paper's. normal: N(0, 1), of the authors' SVHN network.
    #[serde(default)]
    pub z_distribution: ZDistribution,
    /// tanh: pictures in [−1, 1], the paper's. sigmoid: in [0, 1], of the authors' MNIST network.
    #[serde(default)]
    pub output: Output,
    /// Units of one more fully connected layer of both networks, between z and G's first maps and between D's last maps and its
    /// logit; 0 for none, as the paper advises. mnist28 has 1024.
    #[serde(default)]
    #[schemars(range(max = 16384))]
    pub hidden: usize,
    /// A conditional network: labels 0 to `classes` − 1 are joined to every layer, as in mnist28, which has 10. 0 for none.
    #[serde(default)]
    #[schemars(range(max = 1000))]
    pub classes: usize,
    /// Whether batch norms learn a gain and a bias; those of mnist28 do not.
    #[serde(default = "yes")]
    pub gain_and_bias: bool,
}

fn three() -> usize {
    3
}

fn five() -> usize {
    5
}

fn base() -> usize {
    64
}

fn hundred() -> usize {
    100
}

fn yes() -> bool {
    true
}

impl Guidelines {
    /// The network of a side with everything else as by default.
    pub fn of_size(size: usize) -> Self {
        Self {
            size,
            channels: three(),
            base: base(),
            kernel: five(),
            z: hundred(),
            z_distribution: ZDistribution::Uniform,
            output: Output::Tanh,
            hidden: 0,
            classes: 0,
            gain_and_bias: true,
        }
    }

    /// The authors' network for MNIST's digits.
    pub(super) fn mnist28() -> Self {
        let output = Output::Sigmoid;
        Self { channels: 1, output, hidden: 1024, classes: 10, gain_and_bias: false, ..Self::of_size(28) }
    }

    /// Checks every key.
    ///
    /// # Errors
    /// [`GanError::Setting`] naming the first that is out of its range.
    pub(super) fn validate(&self) -> Result<()> {
        let one_of = |values: &[usize]| {
            let texts: Vec<String> = values.iter().map(usize::to_string).collect();
            format!("one of {}", texts.join(", "))
        };
        let checks = [
            ("size", SIZES.contains(&self.size), one_of(&SIZES), self.size),
            ("channels", [1, 3].contains(&self.channels), "1 or 3".into(), self.channels),
            ("base", (1..=1024).contains(&self.base), "1 to 1024".into(), self.base),
            ("kernel", KERNELS.contains(&self.kernel), one_of(&KERNELS), self.kernel),
            ("z", (1..=4096).contains(&self.z), "1 to 4096".into(), self.z),
            ("hidden", self.hidden <= 16_384, "up to 16384".into(), self.hidden),
            ("classes", self.classes <= 1000 && self.classes != 1, "0, or 2 to 1000".into(), self.classes),
        ];
        for (key, is_good, range, found) in checks {
            if !is_good {
                let (expected, found) = (format!("`{key}` to be {range}"), found.to_string());
                return Err(GanError::Setting { key: "architecture", expected, found });
            }
        }
        Ok(())
    }

    /// Side of the maps at the bottom.
    fn bottom(&self) -> usize {
        if self.size.is_multiple_of(7) { 7 } else { 4 }
    }

    /// Channels of the halving maps, from the picture's side down.
    fn widths(&self) -> Vec<usize> {
        let n_halvings = (self.size / self.bottom()).ilog2();
        (0..n_halvings).map(|i| self.base << i).collect()
    }

    pub(super) fn generator(&self) -> GeneratorConfig {
        let mut channels = self.widths();
        let base_channels = channels.pop().unwrap_or(self.base);
        let halving = |channels| Layer { channels, stride: 2 };
        GeneratorConfig {
            nz: self.z,
            z: self.z_distribution,
            base_channels,
            kernel: self.kernel,
            layers: channels.into_iter().rev().chain([self.channels]).map(halving).collect(),
            bottom: self.bottom(),
            hidden: self.hidden,
            classes: self.classes,
            output: self.output,
            gain_and_bias: self.gain_and_bias,
            first_norm_by_channel: false,
        }
    }

    pub(super) fn discriminator(&self) -> DiscriminatorConfig {
        DiscriminatorConfig {
            image_size: self.size,
            kernel: self.kernel,
            layers: self.widths().into_iter().map(|channels| Layer { channels, stride: 2 }).collect(),
            head: true,
            channels: self.channels,
            hidden: self.hidden,
            classes: self.classes,
            output: self.output,
            gain_and_bias: self.gain_and_bias,
        }
    }
}

/// The keys that say more than the default, as a manifest writes them.
impl std::fmt::Display for Guidelines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plain = Self::of_size(self.size);
        write!(f, "{{ size = {}", self.size)?;
        for (key, ours, default) in [
            ("channels", self.channels, plain.channels),
            ("base", self.base, plain.base),
            ("kernel", self.kernel, plain.kernel),
            ("z", self.z, plain.z),
            ("hidden", self.hidden, plain.hidden),
            ("classes", self.classes, plain.classes),
        ] {
            if ours != default {
                write!(f, ", {key} = {ours}")?;
            }
        }
        if !is_default(&self.z_distribution) {
            write!(f, ", z_distribution = \"normal\"")?;
        }
        if !is_default(&self.output) {
            write!(f, ", output = \"sigmoid\"")?;
        }
        if !self.gain_and_bias {
            write!(f, ", gain_and_bias = false")?;
        }
        write!(f, " }}")
    }
}
