//! The paper's networks by name, as plain numbers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{BASE_SIZE, GanError, Result};

/// The image networks of the released code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ArchitectureName {
    /// 32×32 digits: the network of Table 2.
    Svhn32,
    /// 32×32 ImageNet: the network of Table 1, six conv layers, 28,672 features.
    Imagenet32,
    /// 64×64 faces and LSUN bedrooms.
    Faces64,
}

/// A network of the paper with all its channel counts scaled by `width`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Architecture {
    /// Which of the paper's networks.
    pub name: ArchitectureName,
    /// Scale of every channel count but the picture's; 1 is the paper's.
    pub width: f64,
}

/// One convolution or transposed convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Channels it puts out.
    pub channels: usize,
    /// Its stride: it divides (or multiplies) the side of its maps by this.
    pub stride: usize,
}

/// How z is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ZDistribution {
    /// U(−1, 1), the paper's.
    Uniform,
    /// N(0, 1), of the released SVHN network.
    Normal,
}

/// A generator: z → linear → 4×4 maps → transposed convolutions → tanh.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratorConfig {
    /// Length of z.
    pub nz: usize,
    /// How z is drawn.
    pub z: ZDistribution,
    /// Channels of the first, 4×4, maps.
    pub base_channels: usize,
    /// Side of every kernel; the padding is half of it, rounded down.
    pub kernel: usize,
    /// The transposed convolutions; the last puts out the picture.
    pub layers: Vec<Layer>,
}

/// A discriminator: convolutions → linear → one logit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiscriminatorConfig {
    /// Side of the picture.
    pub image_size: usize,
    /// Side of every kernel; the padding is half of it, rounded down.
    pub kernel: usize,
    /// The convolutions.
    pub layers: Vec<Layer>,
    /// Whether the linear layer is there; without it the network only gives features.
    pub head: bool,
}

/// What the released code trains a network with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainingDefaults {
    /// Pictures in a minibatch.
    pub batch_size: usize,
    /// Adam's learning rate.
    pub learning_rate: f64,
    /// Adam's beta1; unstated for SVHN, where the paper's general 0.5 is taken.
    pub beta1: f64,
    /// Coupled l2; unstated for ImageNet and SVHN, where the faces network's 1e-5 is taken.
    pub l2: f64,
    /// Passes over the training set.
    pub epochs: u64,
}

fn layers(layers: &[(usize, usize)]) -> Vec<Layer> {
    layers.iter().map(|&(channels, stride)| Layer { channels, stride }).collect()
}

impl ArchitectureName {
    /// The name as manifests and commands write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Svhn32 => "svhn32",
            Self::Imagenet32 => "imagenet32",
            Self::Faces64 => "faces64",
        }
    }

    /// What the released code trains this network with.
    pub fn training_defaults(self) -> TrainingDefaults {
        let paper =
            TrainingDefaults { batch_size: 128, learning_rate: 2e-4, beta1: 0.5, l2: 1e-5, epochs: 25 };
        match self {
            Self::Svhn32 => TrainingDefaults { batch_size: 64, learning_rate: 5e-4, epochs: 200, ..paper },
            Self::Imagenet32 => TrainingDefaults { epochs: 30, ..paper },
            Self::Faces64 => paper,
        }
    }

    fn paper_generator(self) -> GeneratorConfig {
        let (nz, z, base_channels, kernel, deconvolutions): (_, _, _, _, &[(usize, usize)]) = match self {
            Self::Svhn32 => (100, ZDistribution::Normal, 256, 5, &[(128, 2), (64, 2), (3, 2)]),
            Self::Imagenet32 => {
                let six = &[(512, 2), (256, 1), (256, 2), (128, 1), (128, 2), (3, 1)];
                (256, ZDistribution::Uniform, 512, 3, six)
            }
            Self::Faces64 => (100, ZDistribution::Uniform, 1024, 5, &[(512, 2), (256, 2), (128, 2), (3, 2)]),
        };
        GeneratorConfig { nz, z, base_channels, kernel, layers: layers(deconvolutions) }
    }

    fn paper_discriminator(self) -> DiscriminatorConfig {
        let (image_size, kernel, convolutions): (_, _, &[(usize, usize)]) = match self {
            Self::Svhn32 => (32, 5, &[(64, 2), (128, 2), (256, 2)]),
            Self::Imagenet32 => (32, 3, &[(128, 1), (128, 2), (256, 1), (256, 2), (512, 1), (512, 2)]),
            Self::Faces64 => (64, 5, &[(128, 2), (256, 2), (512, 2), (1024, 2)]),
        };
        DiscriminatorConfig { image_size, kernel, layers: layers(convolutions), head: true }
    }
}

impl Architecture {
    /// The network of the paper at its full width.
    pub fn paper(name: ArchitectureName) -> Self {
        Self { name, width: 1.0 }
    }

    /// Checks that `width` is a positive number of sensible size.
    ///
    /// # Errors
    /// [`GanError::Setting`] outside (0, 8].
    pub fn validate(&self) -> Result<()> {
        if self.width > 0.0 && self.width <= 8.0 {
            return Ok(());
        }
        let expected = "a number above 0 and up to 8".to_string();
        Err(GanError::Setting { key: "width", expected, found: self.width.to_string() })
    }

    fn scaled(&self, channels: usize) -> usize {
        ((channels as f64 * self.width).round() as usize).max(1)
    }

    /// The generator's sizes.
    pub fn generator(&self) -> GeneratorConfig {
        let mut config = self.name.paper_generator();
        config.base_channels = self.scaled(config.base_channels);
        let hidden = config.layers.len() - 1;
        for layer in &mut config.layers[..hidden] {
            layer.channels = self.scaled(layer.channels);
        }
        config
    }

    /// The discriminator's sizes.
    pub fn discriminator(&self) -> DiscriminatorConfig {
        let mut config = self.name.paper_discriminator();
        for layer in &mut config.layers {
            layer.channels = self.scaled(layer.channels);
        }
        config
    }
}

impl GeneratorConfig {
    /// Side of the pictures it draws.
    pub fn image_size(&self) -> usize {
        self.layers.iter().fold(BASE_SIZE, |size, layer| size * layer.stride)
    }
}

/// Operations of one picture's products in a training step; what is not a product costs little beside them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Operations {
    /// An update of D on one real and one generated picture.
    pub discriminator_update: f64,
    /// An update of G on one generated picture.
    pub generator_update: f64,
    /// The features of one picture.
    pub features: f64,
}

impl Architecture {
    /// Multiplications and additions that direct convolutions take, only those somebody needs: none for the gradients of
    /// pictures in D's update, of z, or of D's kernels in G's update.
    pub fn operations(&self) -> Operations {
        let (g, d) = (self.generator(), self.discriminator());
        let product = |size: usize, from: usize, to: usize, kernel: usize| {
            2.0 * (size * size * from * to * kernel * kernel) as f64
        };
        let (mut size, mut channels) = (d.image_size, crate::IMAGE_CHANNELS);
        let mut layers = Vec::new();
        for layer in &d.layers {
            size /= layer.stride;
            layers.push(product(size, channels, layer.channels, d.kernel));
            channels = layer.channels;
        }
        let (first, discriminator) = (layers[0], layers.iter().sum::<f64>());
        let project = 2.0 * (g.nz * g.base_channels * BASE_SIZE * BASE_SIZE) as f64;
        let (mut size, mut channels) = (BASE_SIZE, g.base_channels);
        let mut generator = 0.0;
        for layer in &g.layers {
            generator += product(size, layer.channels, channels, g.kernel);
            size *= layer.stride;
            channels = layer.channels;
        }
        Operations {
            discriminator_update: project + generator + 2.0 * (3.0 * discriminator - first),
            generator_update: 2.0 * project + 3.0 * generator + 2.0 * discriminator,
            features: discriminator,
        }
    }
}

impl DiscriminatorConfig {
    /// Length of the feature vector: every conv layer's maps pooled to 4×4.
    pub fn n_features(&self) -> usize {
        self.layers.iter().map(|layer| layer.channels).sum::<usize>() * BASE_SIZE * BASE_SIZE
    }

    /// Side of the last layer's maps.
    pub fn last_size(&self) -> usize {
        self.layers.iter().fold(self.image_size, |size, layer| size / layer.stride)
    }

    /// Whether a network can be made of it; a file may say anything.
    pub(crate) fn is_sound(&self) -> bool {
        are_sound(self.kernel, &self.layers) && (1..=MAX_SIDE).contains(&self.image_size)
    }
}

impl GeneratorConfig {
    /// As [`DiscriminatorConfig::is_sound`].
    pub(crate) fn is_sound(&self) -> bool {
        let side = self.layers.iter().try_fold(BASE_SIZE, |side, layer| side.checked_mul(layer.stride));
        are_sound(self.kernel, &self.layers)
            && [self.nz, self.base_channels].iter().all(|n| (1..=MAX_CHANNELS).contains(n))
            && side.is_some_and(|side| side <= MAX_SIDE)
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
    (1..=MAX_KERNEL).contains(&kernel) && !layers.is_empty() && layers.iter().all(is_sound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_papers_feature_lengths() {
        let n = |name| Architecture::paper(name).discriminator().n_features();
        assert_eq!(n(ArchitectureName::Imagenet32), 28_672);
        assert_eq!(n(ArchitectureName::Svhn32), 7168);
    }

    #[test]
    fn operations_of_svhn32() {
        // 3→64 @16, 64→128 @8, 128→256 @4, 5x5 each; G is D's mirror image behind 100 → 4096.
        let (first, other, project) =
            (2.0 * 16.0 * 16.0 * 75.0 * 64.0, 2.0 * 64.0 * 1600.0 * 128.0, 819_200.0);
        let d = first + 2.0 * other;
        let operations = Architecture::paper(ArchitectureName::Svhn32).operations();
        assert_eq!(operations.features, d);
        assert_eq!(operations.discriminator_update, project + d + 6.0 * d - 2.0 * first);
        assert_eq!(operations.generator_update, 2.0 * project + 5.0 * d);
    }

    #[test]
    fn generators_and_discriminators_fit_each_other() {
        for name in [ArchitectureName::Svhn32, ArchitectureName::Imagenet32, ArchitectureName::Faces64] {
            for width in [1.0, 0.25, 0.01] {
                let architecture = Architecture { name, width };
                let (g, d) = (architecture.generator(), architecture.discriminator());
                assert_eq!(g.image_size(), d.image_size);
                assert_eq!(d.last_size(), BASE_SIZE);
                assert_eq!(g.layers.last().map(|l| l.channels), Some(3));
            }
        }
        assert!(Architecture { name: ArchitectureName::Svhn32, width: f64::NAN }.validate().is_err());
    }
}
