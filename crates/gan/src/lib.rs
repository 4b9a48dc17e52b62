//! The networks of the DCGAN paper.
//!
//! [`Architecture`] names the paper's image networks, or one's own after its [`Guidelines`], and scales their widths; [`Generator`] and
//! [`Discriminator`] are built from it, drawn at random, loaded from a `.safetensors` file or imported from the weights
//! that the paper's authors released ([`released`]). [`train`] trains a pair as the released code does,
//! [`sample`] draws pictures, and [`FeatureExtractor`] turns a discriminator into the paper's feature vector. The paper's
//! figures are made of [`latent`] (walks and arithmetic on z), [`guided`] (what the discriminator's features see) and
//! [`forget`] (drawing without an object); a [`classifier`] judges whether it is gone.
//! [`supervised`] is the network that the paper compares its features with: the discriminator's architecture, trained with labels.
//!
//! ```
//! use dcgan_gan::{Architecture, ArchitectureName, Discriminator, Generator, sample};
//! use dcgan_nn::candle::Device;
//! # fn main() -> dcgan_gan::Result<()> {
//! let narrow = Architecture { name: ArchitectureName::Svhn32, width: 0.125 };
//! let generator = Generator::random(narrow.generator(), 0, &Device::Cpu)?;
//! let pixels = sample::generate(&generator, 4, 1)?;
//! assert_eq!(pixels.len(), 4 * 3 * 32 * 32);
//! let discriminator = Discriminator::random(narrow.discriminator(), 0, &Device::Cpu)?;
//! assert_eq!(discriminator.config().n_features(), (8 + 16 + 32) * 16);
//! # Ok(()) }
//! ```
//!
//! Both networks are [`Module`](candle_nn::Module)s of candle's, so that any of its programs can hold them. What they give is
//! no part of candle's graph: a gradient is led back along the layers' own trace ([`dcgan_nn::layer`]).
//!
//! ```
//! use candle_nn::{Module, VarBuilder, VarMap};
//! use dcgan_gan::{Architecture, ArchitectureName, Discriminator, Generator};
//! use dcgan_nn::candle::{DType, Device, Tensor};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let narrow = Architecture { name: ArchitectureName::Svhn32, width: 0.125 };
//! let generator = Generator::random(narrow.generator(), 0, &Device::Cpu)?;
//! let discriminator = Discriminator::random(narrow.discriminator(), 0, &Device::Cpu)?;
//! let variables = VarBuilder::from_varmap(&VarMap::new(), DType::F32, &Device::Cpu);
//! let to_z = candle_nn::linear(2, generator.config().nz, variables)?;
//! let program = candle_nn::seq().add(to_z).add(generator).add(discriminator);
//! let logits = program.forward(&Tensor::rand(-1f32, 1.0, (4, 2), &Device::Cpu)?)?;
//! assert_eq!(logits.dims(), [4, 1]);
//! # Ok(()) }
//! ```

mod architecture;
pub mod classifier;
#[cfg(test)]
mod device_tests;
mod discriminator;
mod error;
mod features;
pub mod forget;
mod generated;
mod generator;
pub mod guided;
mod labelled;
pub mod latent;
#[cfg(test)]
mod networks_tests;
mod parameters;
pub mod pytorch;
pub mod released;
pub mod sample;
pub mod supervised;
pub mod train;
mod z_file;

pub use architecture::{
    Architecture, ArchitectureName, DiscriminatorConfig, GeneratorConfig, Guidelines, Layer, Operations,
    Output, Shapes, TrainingDefaults, ZDistribution,
};
pub use discriminator::Discriminator;
pub use error::{GanError, Result};
pub use features::FeatureExtractor;
pub use generated::{LabelledBatch, LabelledDraws};
pub use generator::Generator;
pub use sample::{BatchStatistics, Sampler};
pub use z_file::{read_z, write_z};

/// Side of the first maps of the paper's generators and of the last of its discriminators, and of the grid features are pooled to.
pub const BASE_SIZE: usize = 4;
/// Negative slope of the discriminator's LeakyReLU (section 3).
pub const LEAKY_SLOPE: f32 = 0.2;
