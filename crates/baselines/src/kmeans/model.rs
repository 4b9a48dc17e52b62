//! Centroids with the whitening before them, and their file.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use dcgan_nn::checkpoint::Checkpoint;
use serde::{Deserialize, Serialize};

use super::config::KMeansConfig;
use super::whitening::Whitening;
use crate::error::{BaselinesError, Result};

/// The metadata under which the file describes itself.
const DESCRIPTION: &str = "kmeans";

/// One layer of K-means.
#[derive(Debug, Clone, PartialEq)]
pub struct KMeans {
    pub(super) config: KMeansConfig,
    pub(super) channels: usize,
    pub(super) whitening: Whitening,
    /// (maps, channels·patch²), of whitened patches.
    pub(super) centroids: Vec<f32>,
    /// Patches of each centroid in the last pass.
    pub(super) counts: Vec<u32>,
    /// Of each pass Σ of the squared distances of patches to the centroids that the pass began with.
    pub(super) inertia: Vec<f64>,
}

/// What stands beside the tensors.
#[derive(Debug, Serialize, Deserialize)]
struct Description {
    config: KMeansConfig,
    channels: usize,
    inertia: Vec<f64>,
}

impl KMeans {
    /// Name of the file in a stage's folder.
    pub const FILE: &str = "kmeans.safetensors";

    /// The settings it was made with.
    pub fn config(&self) -> &KMeansConfig {
        &self.config
    }

    /// Channels of the pictures it is for, 1 or 3.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Numbers of a patch.
    pub(super) fn n_columns(&self) -> usize {
        self.channels * self.config.patch * self.config.patch
    }

    /// Of each pass Σ of the squared distances of the whitened patches to the centroids that the pass began with.
    pub fn inertia(&self) -> &[f64] {
        &self.inertia
    }

    /// Patches of each centroid in the last pass.
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// Writes `mean` (D), `whitening` (D, D), `centroids` (maps, D) and `counts` (maps), where D is channels·patch², planes first.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let (d, maps) = (self.n_columns(), self.config.maps);
        let mut file = Checkpoint::default();
        let mut insert = |name: &str, values: &[f32], shape: &[usize]| -> Result<()> {
            file.insert(name, &Tensor::from_slice(values, shape, &Device::Cpu)?);
            Ok(())
        };
        insert("mean", &self.whitening.mean, &[d])?;
        insert("whitening", &self.whitening.matrix, &[d, d])?;
        insert("centroids", &self.centroids, &[maps, d])?;
        file.insert("counts", &Tensor::from_slice(&self.counts, maps, &Device::Cpu)?);
        let description = Description {
            config: self.config.clone(),
            channels: self.channels,
            inertia: self.inertia.clone(),
        };
        file.describe(DESCRIPTION, serde_json::to_string(&description).map_err(std::io::Error::from)?);
        Ok(file.save(path)?)
    }

    /// Reads a file that [`KMeans::save`] wrote.
    ///
    /// # Errors
    /// Where it is no such file.
    pub fn load(path: &Path) -> Result<Self> {
        let file = Checkpoint::load(path, &Device::Cpu)?;
        let wrong = |expected: &str, found: String| BaselinesError::File {
            path: path.to_path_buf(),
            expected: expected.to_owned(),
            found,
        };
        let text = file.metadata(DESCRIPTION);
        let text = text.ok_or_else(|| wrong("a K-means model", "another kind of file".to_owned()))?;
        let description: Description = serde_json::from_str(text)
            .map_err(|error| wrong("the description of a K-means model", error.to_string()))?;
        let Description { config, channels, inertia } = description;
        config.validate().map_err(|error| wrong("settings within their ranges", error.to_string()))?;
        let sizes = config.patch.checked_mul(config.patch).and_then(|size| size.checked_mul(channels));
        let d = sizes.filter(|_| matches!(channels, 1 | 3));
        let d = d.ok_or_else(|| wrong("1 or 3 channels", channels.to_string()))?;
        let values = |name: &str, shape: &[usize]| -> Result<Vec<f32>> {
            let values = file.require(path, name, shape)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
            match values.iter().find(|value: &&f32| !value.is_finite()) {
                Some(value) => Err(wrong(&format!("finite numbers in `{name}`"), value.to_string())),
                None => Ok(values),
            }
        };
        Ok(Self {
            whitening: Whitening { mean: values("mean", &[d])?, matrix: values("whitening", &[d, d])? },
            centroids: values("centroids", &[config.maps, d])?,
            counts: file.require(path, "counts", &[config.maps])?.to_dtype(DType::U32)?.to_vec1()?,
            config,
            channels,
            inertia,
        })
    }

    /// The centroids with the most patches, at most `n`, as uint8 pictures of (channels, `zoom`·patch, `zoom`·patch), each
    /// scaled to its own largest value; 127 is 0. Returned with their number.
    pub fn pictures(&self, n: usize, zoom: usize) -> (Vec<u8>, usize) {
        let mut order: Vec<usize> = (0..self.config.maps).collect();
        order.sort_by_key(|idx| std::cmp::Reverse(self.counts[*idx]));
        order.truncate(n);
        let (side, d) = (self.config.patch, self.n_columns());
        let mut pictures = Vec::with_capacity(order.len() * d * zoom * zoom);
        for centroid in order.iter().map(|idx| &self.centroids[idx * d..][..d]) {
            let largest = centroid.iter().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
            for at in 0..d * zoom * zoom {
                let (row, x) = (at / (side * zoom), at % (side * zoom) / zoom);
                let (channel, y) = (row / (side * zoom), row % (side * zoom) / zoom);
                let value = centroid[(channel * side + y) * side + x];
                pictures.push((127.0 + 127.0 * value / largest).round() as u8);
            }
        }
        (pictures, order.len())
    }
}
