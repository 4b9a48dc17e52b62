//! The weights that the paper's authors released.
//!
//! One `.npy` file a parameter, `<f4`, named `{epoch}_{discrim|gen}_params.jl_{NN}.npy`. D's order is `w, (w, g, b)…, wy`, G's
//! is `w, g, b, (w, g, b)…, wx`. Theano's convolution flips its kernels, so every convolution kernel is turned by 180
//! degrees on the way in. Of the ImageNet network only D was released, and the copies in circulation lack the kernels
//! of layers 5 and 6: what is complete, layers 1 to 4, is imported as a network without a head.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use dcgan_images::{NpyMismatch, check_npy_head};
use dcgan_nn::{checkpoint::Checkpoint, conv::from_pytorch};
use ndarray::{ArrayD, Axis, Slice};
use ndarray_npy::ReadNpyExt;
use serde::{Deserialize, Serialize};

use crate::{Architecture, ArchitectureName, BASE_SIZE, Discriminator, GanError, Generator, Result};

/// A released set of weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleasedSet {
    /// `svhn_unsup_all_conv_dcgan_100z_gaussian_lr_0.0005_64mb`: G and D of Table 2, after 200 epochs on SVHN's extra set.
    Svhn,
    /// `imagenet_gan_pretrain_128f_relu_lrelu_7l_3x3_256z`: D of Table 1, after 30 epochs on ImageNet-1k.
    Imagenet,
}

impl ReleasedSet {
    fn architecture(self) -> Architecture {
        Architecture::paper(match self {
            Self::Svhn => ArchitectureName::Svhn32,
            Self::Imagenet => ArchitectureName::Imagenet32,
        })
    }

    fn epoch(self) -> u32 {
        match self {
            Self::Svhn => 200,
            Self::Imagenet => 30,
        }
    }
}

/// What was found in a released folder.
#[derive(Debug)]
pub struct Imported {
    /// The discriminator; of `imagenet` as many first layers as the folder has, without a head if layers are missing.
    pub discriminator: Discriminator,
    /// The generator, of `svhn` only.
    pub generator: Option<Generator>,
    /// Convolutions of the full discriminator.
    pub n_layers_full: usize,
}

/// Reads a folder of released weights.
///
/// # Errors
/// Where a file is missing (but for the last layers of `imagenet`), is no f32 `.npy` file, or has another shape.
pub fn import(set: ReleasedSet, folder: &Path, device: &Device) -> Result<Imported> {
    let mut config = set.architecture().discriminator();
    let files =
        |network: &str| Files { folder, stem: format!("{}_{network}_params.jl", set.epoch()), device };
    let d_files = files("discrim");
    let n_layers_full = config.layers.len();
    let complete = (0..n_layers_full).take_while(|&i| d_files.path(Files::conv_number(i)).exists()).count();
    if set == ReleasedSet::Imagenet && (1..n_layers_full).contains(&complete) {
        config.layers.truncate(complete);
        config.head = false;
    }

    let mut checkpoint = Checkpoint::default();
    for i in 0..config.layers.len() {
        let number = Files::conv_number(i);
        checkpoint.insert(format!("conv{i}.kernel"), &d_files.kernel(number)?);
        if i > 0 {
            checkpoint.insert(format!("conv{i}.gain"), &d_files.tensor(number + 1)?);
            checkpoint.insert(format!("conv{i}.bias"), &d_files.tensor(number + 2)?);
        }
    }
    if config.head {
        let weight = d_files.tensor(3 * config.layers.len() - 1)?;
        checkpoint.insert("head.weight", &channels_last(&weight, config.last_size(), 0)?);
    }
    let discriminator = Discriminator::from_checkpoint(config, &checkpoint, folder, "")?;
    let generator = match set {
        ReleasedSet::Svhn => Some(import_generator(set, folder, &files("gen"))?),
        ReleasedSet::Imagenet => None,
    };
    Ok(Imported { discriminator, generator, n_layers_full })
}

fn import_generator(set: ReleasedSet, folder: &Path, files: &Files) -> Result<Generator> {
    let config = set.architecture().generator();
    let mut checkpoint = Checkpoint::default();
    for (number, name) in ["project.weight", "project.gain", "project.bias"].into_iter().enumerate() {
        let tensor = files.tensor(number + 1)?;
        checkpoint.insert(name, &channels_last(&tensor, BASE_SIZE, tensor.rank() - 1)?);
    }
    for i in 0..config.layers.len() {
        let number = 4 + 3 * i;
        checkpoint.insert(format!("deconv{i}.kernel"), &files.kernel(number)?);
        if i + 1 < config.layers.len() {
            checkpoint.insert(format!("deconv{i}.gain"), &files.tensor(number + 1)?);
            checkpoint.insert(format!("deconv{i}.bias"), &files.tensor(number + 2)?);
        }
    }
    Generator::from_checkpoint(config, &checkpoint, folder, "")
}

/// Turns a dimension of units in the order (c, y, x), as Theano flattens, into (y, x, c).
fn channels_last(tensor: &Tensor, size: usize, dim: usize) -> Result<Tensor> {
    let (before, after) = (&tensor.dims()[..dim], &tensor.dims()[dim + 1..]);
    let channels = tensor.dim(dim)? / (size * size);
    let split = [before, &[channels, size * size], after].concat();
    Ok(tensor.reshape(split)?.transpose(dim, dim + 1)?.contiguous()?.reshape(tensor.dims())?)
}

/// The numbered files of one network.
struct Files<'a> {
    folder: &'a Path,
    stem: String,
    device: &'a Device,
}

impl Files<'_> {
    /// The number of D's file with the kernel of convolution `i`: 1, 2, 5, 8, …
    fn conv_number(i: usize) -> usize {
        if i == 0 { 1 } else { 3 * i - 1 }
    }

    fn path(&self, number: usize) -> PathBuf {
        self.folder.join(format!("{}_{number:02}.npy", self.stem))
    }

    fn read(&self, number: usize) -> Result<ArrayD<f32>> {
        let path = self.path(number);
        let bytes = fs_err::read(&path)?;
        let wrong = |expected: String, found: String| GanError::File { path, expected, found };
        match check_npy_head(&bytes) {
            Err(NpyMismatch { expected, found }) => Err(wrong(expected, found)),
            Ok(()) => ArrayD::<f32>::read_npy(bytes.as_slice())
                .map_err(|e| wrong("an array of little-endian f32".into(), e.to_string())),
        }
    }

    fn tensor(&self, number: usize) -> Result<Tensor> {
        self.to_tensor(&self.read(number)?)
    }

    /// A convolution kernel, turned by 180 degrees.
    fn kernel(&self, number: usize) -> Result<Tensor> {
        let mut kernel = self.read(number)?;
        if kernel.ndim() != 4 {
            let (expected, found) =
                ("a 4-d convolution kernel".into(), format!("shape {:?}", kernel.shape()));
            return Err(GanError::File { path: self.path(number), expected, found });
        }
        for axis in [2, 3] {
            kernel.slice_axis_inplace(Axis(axis), Slice::new(0, None, -1));
        }
        Ok(from_pytorch(&self.to_tensor(&kernel)?)?)
    }

    fn to_tensor(&self, array: &ArrayD<f32>) -> Result<Tensor> {
        let values: Vec<f32> = array.iter().copied().collect();
        Ok(Tensor::from_vec(values, array.shape(), self.device)?)
    }
}
