//! A discriminator as a feature extractor (section 5). A conditional one gives none: its maps would hold the label itself.

use std::{ops::ControlFlow, path::Path};

use candle_core::Tensor;
use dcgan_images::ImageStore;
use dcgan_nn::device::Device;
use dcgan_nn::{batch_norm::Statistics, checkpoint::Checkpoint, pixels::to_activations_of, pool::max_pool};

use crate::{Discriminator, DiscriminatorConfig, GanError, Result};

/// Pictures in a batch when statistics are inferred (released code).
pub(crate) const STATISTICS_BATCH: usize = 128;

/// Every conv layer of a discriminator after its LeakyReLU, max-pooled to a 4×4 grid (7×7 for sides of 7·2ⁿ), flattened in NCHW order and
/// concatenated, with batch-norm statistics inferred over a data set.
#[derive(Debug, Clone)]
pub struct FeatureExtractor {
    discriminator: Discriminator,
    statistics: Vec<Option<Statistics>>,
    device: Device,
}

impl FeatureExtractor {
    /// Infers the batch-norm statistics over `store`, as the released code does: batches of 128 in the store's order, the
    /// batch's own statistics while propagating, and for each layer the unweighted mean over batches of the batch mean and
    /// of the biased batch variance. The last, smaller batch counts as one more. `observe` gets the pictures seen.
    ///
    /// # Errors
    /// Where the store's pictures do not fit the network; [`GanError::Interrupted`] where `observe` breaks.
    pub fn infer(
        discriminator: &Discriminator,
        store: &ImageStore,
        device: &Device,
        observe: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<Self> {
        let all: Vec<u32> = (0..store.len() as u32).collect();
        Self::infer_over_rows(discriminator, store, &all, device, observe)
    }

    /// [`Self::infer`] over some of the pictures, those at `rows`.
    ///
    /// # Errors
    /// As [`Self::infer`]; where `rows` is empty.
    pub fn infer_over_rows(
        discriminator: &Discriminator,
        store: &ImageStore,
        rows: &[u32],
        device: &Device,
        observe: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<Self> {
        check_size(discriminator, store)?;
        if rows.is_empty() {
            let (expected, found) = ("at least one picture".to_string(), "none".to_string());
            return Err(GanError::Setting { key: "statistics", expected, found });
        }
        let (mut n_done, n_total) = (0, rows.len() as u64);
        let mut pixels = Vec::new();
        let mut statistics = Mean::of(discriminator, device);
        for rows in rows.chunks(STATISTICS_BATCH) {
            if observe(n_done, n_total).is_break() {
                return Err(GanError::Interrupted);
            }
            store.gather(rows, &mut pixels);
            statistics.add(&pixels, rows.len())?;
            n_done += rows.len() as u64;
        }
        Ok(statistics.extractor())
    }

    /// [`Self::infer`] over uint8 NCHW pixels in memory, at least one picture of them.
    pub(crate) fn infer_on(discriminator: &Discriminator, pixels: &[u8], device: &Device) -> Result<Self> {
        let len = image_len(discriminator);
        let mut statistics = Mean::of(discriminator, device);
        for pixels in pixels.chunks(STATISTICS_BATCH * len) {
            statistics.add(pixels, pixels.len() / len)?;
        }
        Ok(statistics.extractor())
    }

    /// A discriminator with statistics inferred before, an entry a convolution.
    pub(crate) fn with(
        discriminator: Discriminator,
        statistics: Vec<Option<Statistics>>,
        device: &Device,
    ) -> Self {
        Self { discriminator, statistics, device: device.clone() }
    }

    /// Length of a feature vector: 28,672 for `imagenet32`, 7168 for `svhn32`.
    pub fn n_features(&self) -> usize {
        self.discriminator.config().n_features()
    }

    /// The features of `n` pictures of uint8 NCHW pixels: n rows of [`Self::n_features`] values. They are not rescaled, and do
    /// not depend on how pictures are batched.
    ///
    /// # Errors
    /// Where the pixels do not fit the network.
    pub fn extract(&self, pixels: &[u8], n: usize) -> Result<Vec<f32>> {
        Ok(self.extract_tensor(pixels, n)?.flatten_all()?.to_vec1()?)
    }

    /// [`Self::extract`] as a tensor on the device, which is not waited for.
    ///
    /// # Errors
    /// Where the pixels do not fit the network.
    pub fn extract_tensor(&self, pixels: &[u8], n: usize) -> Result<Tensor> {
        let maps = self.discriminator.maps_with(&self.activations(pixels, n)?, &self.statistics)?;
        Ok(max_pool(&maps, self.discriminator.config().grid())?)
    }

    /// [`Self::extract`] of any number of pictures, in batches.
    pub(crate) fn extract_all(&self, pixels: &[u8]) -> Result<Vec<f32>> {
        let len = image_len(&self.discriminator);
        let mut features = Vec::with_capacity(pixels.len() / len * self.n_features());
        for pixels in pixels.chunks(STATISTICS_BATCH * len) {
            features.extend(self.extract(pixels, pixels.len() / len)?);
        }
        Ok(features)
    }

    pub(crate) fn discriminator(&self) -> &Discriminator {
        &self.discriminator
    }

    /// The inferred statistics, an entry a convolution.
    pub(crate) fn statistics(&self) -> &[Option<Statistics>] {
        &self.statistics
    }

    pub(crate) fn activations(&self, pixels: &[u8], n: usize) -> Result<Tensor> {
        let config = self.discriminator.config();
        let [c, h, w] = config.picture();
        Ok(to_activations_of(config.output.activation(), pixels, [n, c, h, w], &self.device)?)
    }
}

/// Statistics summed over batches.
struct Mean {
    extractor: FeatureExtractor,
    sums: Vec<Option<Statistics>>,
    n_batches: usize,
}

impl Mean {
    fn of(discriminator: &Discriminator, device: &Device) -> Self {
        let (discriminator, device) = (discriminator.clone(), device.clone());
        let extractor = FeatureExtractor { discriminator, statistics: Vec::new(), device };
        Self { extractor, sums: Vec::new(), n_batches: 0 }
    }

    /// Adds a batch's own statistics.
    fn add(&mut self, pixels: &[u8], n: usize) -> Result<()> {
        let activations = self.extractor.activations(pixels, n)?;
        add(&mut self.sums, self.extractor.discriminator.statistics(&activations)?);
        self.n_batches += 1;
        Ok(())
    }

    fn extractor(mut self) -> FeatureExtractor {
        divide(&mut self.sums, self.n_batches);
        self.extractor.statistics = self.sums;
        self.extractor
    }
}

/// Values of a picture.
fn image_len(discriminator: &Discriminator) -> usize {
    discriminator.config().picture().iter().product()
}

/// Adds a batch's statistics to the sums of those before it, layer by layer.
pub(crate) fn add(sums: &mut Vec<Option<Statistics>>, own: Vec<Option<Statistics>>) {
    if sums.is_empty() {
        *sums = own;
        return;
    }
    for (sum, own) in sums.iter_mut().zip(own) {
        if let (Some(sum), Some(own)) = (sum, own) {
            sum.mean.iter_mut().zip(own.mean).for_each(|(s, v)| *s += v);
            sum.variance.iter_mut().zip(own.variance).for_each(|(s, v)| *s += v);
        }
    }
}

/// Turns sums over batches into means.
pub(crate) fn divide(sums: &mut [Option<Statistics>], n_batches: usize) {
    for sum in sums.iter_mut().flatten() {
        sum.mean.iter_mut().chain(&mut sum.variance).for_each(|v| *v /= n_batches as f64);
    }
}

/// Adds inferred statistics to a checkpoint, as `convN.mean` and `convN.variance`.
pub(crate) fn store_statistics(statistics: &[Option<Statistics>], checkpoint: &mut Checkpoint) -> Result<()> {
    for (i, statistics) in statistics.iter().enumerate() {
        let Some(Statistics { mean, variance }) = statistics else { continue };
        for (name, values) in [("mean", mean), ("variance", variance)] {
            let tensor = Tensor::new(values.as_slice(), &Device::CPU)?;
            checkpoint.insert(format!("conv{i}.{name}"), &tensor);
        }
    }
    Ok(())
}

/// What [`store_statistics`] added to a checkpoint read from `path`.
pub(crate) fn load_statistics(
    config: &DiscriminatorConfig,
    checkpoint: &Checkpoint,
    path: &Path,
) -> Result<Vec<Option<Statistics>>> {
    let mut statistics = vec![None];
    for (i, layer) in config.layers.iter().enumerate().skip(1) {
        let values = |name: &str| -> Result<Vec<f64>> {
            let name = format!("conv{i}.{name}");
            Ok(checkpoint.require(path, &name, &[layer.channels])?.to_vec1::<f64>()?)
        };
        statistics.push(Some(Statistics { mean: values("mean")?, variance: values("variance")? }));
    }
    Ok(statistics)
}

/// Refuses a store whose pictures are not the network's size.
pub(crate) fn check_size(discriminator: &Discriminator, store: &ImageStore) -> Result<()> {
    let (expected, found) =
        (discriminator.config().picture(), [store.channels(), store.height(), store.width()]);
    if expected == found {
        return Ok(());
    }
    let text = |[c, h, w]: [usize; 3]| format!("{c}x{h}x{w}");
    Err(GanError::ImageSize { expected: text(expected), found: text(found) })
}

#[cfg(test)]
mod tests;
