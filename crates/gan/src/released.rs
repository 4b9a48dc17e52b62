//! The weights that the paper's authors released.
//!
//! One `.npy` file a parameter, `<f4`, named `{epoch}_{discrim|gen}_params.jl_{NN}.npy`. D's order is `w, (w, g, b)…, wy`, G's
//! is `w, g, b, (w, g, b)…, wx`. Theano's convolution flips its kernels, so every convolution kernel is turned by 180
//! degrees on the way in. Some copies of the ImageNet networks lack their largest files; of these what is there is imported:
//! D's layers up to the first that lacks an array, without a head, and G only where it is whole.

use std::{
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use candle_core::{Device, Tensor};
use dcgan_files::{npy::Mismatch, npy::check_head, words::what_is_in};
use dcgan_nn::{checkpoint::Checkpoint, conv::from_pytorch};
use ndarray::{ArrayD, Axis, Slice};
use ndarray_npy::ReadNpyExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Architecture, ArchitectureName, BASE_SIZE, Discriminator, GanError, Generator, GeneratorConfig, Result,
};

/// A released set of weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReleasedSet {
    /// `svhn_unsup_all_conv_dcgan_100z_gaussian_lr_0.0005_64mb`: G and D of Table 2, after 200 epochs on SVHN. On which of
    /// its sets is nowhere said.
    Svhn,
    /// `imagenet_gan_pretrain_128f_relu_lrelu_7l_3x3_256z`: G and D of Table 1, after 30 epochs on ImageNet-1k.
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
    /// The discriminator; of `imagenet` as many first layers as the folder has, with a head if it has all of them.
    pub discriminator: Discriminator,
    /// The generator; none if an array of it is missing.
    pub generator: Option<Generator>,
    /// Convolutions of the full discriminator.
    pub n_layers_full: usize,
    /// The names of the files that are missing, of D, then of G; only of `imagenet`.
    pub missing: Vec<String>,
}

/// Reads a folder of released weights: all of `svhn`, and of `imagenet` what is there, at least D's first layer.
///
/// # Errors
/// Where a file that is needed is missing, or one that is there is no f32 `.npy` file or has another shape.
pub fn import(set: ReleasedSet, folder: &Path, device: &Device) -> Result<Imported> {
    let architecture = set.architecture();
    let (mut config, g_config) = (architecture.discriminator(), architecture.generator());
    let files =
        |network: &str| Files { folder, stem: format!("{}_{network}_params.jl", set.epoch()), device };
    let (d_files, g_files) = (files("discrim"), files("gen"));
    let n_layers_full = config.layers.len();
    let head = 3 * n_layers_full - 1;
    let missing_of_g = g_files.missing(1..=3 * g_config.layers.len() + 1);
    let mut missing = d_files.missing(1..=head);
    missing.extend_from_slice(&missing_of_g);
    let needed = match set {
        // All of them.
        ReleasedSet::Svhn => missing.clone(),
        ReleasedSet::Imagenet => d_files.missing(1..=1),
    };
    if let Some(first) = needed.first() {
        let (n, n_all) = (missing.len(), head + 3 * g_config.layers.len() + 1);
        let more = if n > 1 { format!(" ({n} of {n_all} files are missing)") } else { String::new() };
        return Err(GanError::File {
            path: folder.to_path_buf(),
            expected: format!("the released file {first}{more}"),
            found: what_is_in(folder),
        });
    }
    if set == ReleasedSet::Imagenet {
        let is_whole = |i: &usize| d_files.missing(Files::layer_numbers(*i)).is_empty();
        let n_whole = (0..n_layers_full).take_while(is_whole).count();
        config.layers.truncate(n_whole.max(1));
        config.head = n_whole == n_layers_full && d_files.path(head).exists();
    }

    let mut checkpoint = Checkpoint::default();
    for i in 0..config.layers.len() {
        let number = *Files::layer_numbers(i).start();
        checkpoint.insert(format!("conv{i}.kernel"), &d_files.kernel(number)?);
        if i > 0 {
            checkpoint.insert(format!("conv{i}.gain"), &d_files.tensor(number + 1)?);
            checkpoint.insert(format!("conv{i}.bias"), &d_files.tensor(number + 2)?);
        }
    }
    if config.head {
        let weight = d_files.tensor(head)?;
        checkpoint.insert("head.weight", &channels_last(&weight, config.last_size(), 0)?);
    }
    let discriminator = Discriminator::from_checkpoint(config, &checkpoint, folder, "")?;
    let generator = match set {
        ReleasedSet::Imagenet if !missing_of_g.is_empty() => None,
        _ => Some(import_generator(g_config, folder, &g_files)?),
    };
    Ok(Imported { discriminator, generator, n_layers_full, missing })
}

fn import_generator(config: GeneratorConfig, folder: &Path, files: &Files) -> Result<Generator> {
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
    /// The numbers of D's files of convolution `i`: 1, 2 to 4, 5 to 7, …
    fn layer_numbers(i: usize) -> RangeInclusive<usize> {
        if i == 0 { 1..=1 } else { 3 * i - 1..=3 * i + 1 }
    }

    fn name(&self, number: usize) -> String {
        format!("{}_{number:02}.npy", self.stem)
    }

    fn path(&self, number: usize) -> PathBuf {
        self.folder.join(self.name(number))
    }

    /// The names of those that are not there.
    fn missing(&self, numbers: RangeInclusive<usize>) -> Vec<String> {
        numbers.filter(|&number| !self.path(number).exists()).map(|number| self.name(number)).collect()
    }

    fn read(&self, number: usize) -> Result<ArrayD<f32>> {
        let path = self.path(number);
        let bytes = fs_err::read(&path)?;
        let wrong = |expected: String, found: String| GanError::File { path, expected, found };
        if let Err(Mismatch { expected, found }) = check_head(&bytes) {
            return Err(wrong(expected, found));
        }
        let array = match ArrayD::<f32>::read_npy(bytes.as_slice()) {
            Ok(array) => array,
            Err(e) => return Err(wrong("an array of little-endian f32".into(), e.to_string())),
        };
        match array.iter().enumerate().find(|(_, value)| !value.is_finite()) {
            Some((place, value)) => Err(wrong("finite numbers".into(), format!("{value} at place {place}"))),
            None => Ok(array),
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

#[cfg(test)]
mod tests;
