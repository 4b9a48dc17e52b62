//! What turns pictures into features, for the stages that compare sets of pictures: the discriminators and centroids of
//! `extract_features`, the codes of `train_autoencoder`, raw pixels.

use std::path::Path;

use anyhow::{Context as _, ensure};
use dcgan_baselines::kmeans::{Encoder, KMeans};
use dcgan_dedup::train::files::AUTOENCODER;
use dcgan_dedup::{Autoencoder, CODE_BITS, Code, HASHED_FILTER, SIDE};
use dcgan_engine::context::Context;
use dcgan_engine::stage::Input;
use dcgan_eval::{Standard, infer_standard};
use dcgan_gan::train::files::DISCRIMINATOR;
use dcgan_gan::{Discriminator, FeatureExtractor};
use dcgan_images::{DecodeConfig, ImageStore, Payload, Picture};
use rayon::prelude::*;

use crate::device;
use crate::kmeans_features::{self, EPSILON};

/// Pictures that pass through a network at a time; features do not depend on it.
const BATCH: usize = 128;

/// Turns pictures of one size into rows of features.
pub(crate) struct Maker {
    what: What,
    size: [usize; 3],
    n_features: usize,
    /// In words, such as "discriminator features".
    pub(crate) name: String,
}

enum What {
    Pixels,
    Discriminator(FeatureExtractor),
    KMeans { model: KMeans, standard: Standard },
    Codes(Autoencoder),
}

impl Maker {
    /// The model in the folder of `model`, or raw pixels, for pictures of (channels, height, width). Batch norm's statistics, and the
    /// scale of K-means' features, are inferred over the pictures of `statistics`.
    pub(crate) fn open(
        ctx: &Context<'_>,
        model: Option<&Input>,
        statistics: &mut dyn FnMut() -> anyhow::Result<ImageStore>,
        size: [usize; 3],
    ) -> anyhow::Result<Self> {
        let Some(model) = model else {
            let n_features = size.iter().product();
            return Ok(Self { what: What::Pixels, size, n_features, name: "raw pixels".to_owned() });
        };
        let folder = ctx.input(model);
        if kmeans_features::is_model(&folder) {
            return Self::kmeans(ctx, &folder, &statistics()?, size);
        }
        if folder.join(AUTOENCODER).exists() {
            let model = Autoencoder::load(&folder.join(AUTOENCODER))?.on(&device::open(ctx)?)?;
            let name = "codes of the semantic hash, before their thresholds".to_owned();
            return Ok(Self { what: What::Codes(model), size, n_features: CODE_BITS, name });
        }
        let device = &device::open(ctx)?;
        let discriminator = Discriminator::load(&folder.join(DISCRIMINATOR), device)?;
        check_size("the discriminator's pictures", discriminator.config().picture(), size)?;
        let store = statistics()?;
        let mut task = ctx.task("inferring statistics", "pictures");
        let mut observe = |done, total| task.observe(done, total);
        let extractor = FeatureExtractor::infer(&discriminator, &store, device, &mut observe)?;
        let (n_features, name) = (extractor.n_features(), "discriminator features".to_owned());
        Ok(Self { what: What::Discriminator(extractor), size, n_features, name })
    }

    fn kmeans(
        ctx: &Context<'_>,
        folder: &Path,
        statistics: &ImageStore,
        size: [usize; 3],
    ) -> anyhow::Result<Self> {
        let model = KMeans::load(&folder.join(KMeans::FILE))?;
        check_size("the pictures of `statistics`", picture_size(statistics), size)?;
        let encoder = Encoder::new(&model, size)?;
        let n_features = encoder.n_features();
        let mut encode =
            |pixels: &[u8], _n: usize| encoder.encode(pixels).map_err(|error| Box::new(error).into());
        let is_counted = vec![true; statistics.len()];
        let mut task = ctx.task("inferring statistics", "pictures");
        let mut observe = |done, total| task.observe(done, total);
        let counted = (EPSILON, &is_counted[..]);
        let standard = infer_standard(statistics, BATCH, n_features, &mut encode, counted, &mut observe)?;
        let name = format!("K-means features ({} maps)", model.config().maps);
        Ok(Self { what: What::KMeans { model, standard }, size, n_features, name })
    }

    /// Features of a picture.
    pub(crate) fn n_features(&self) -> usize {
        self.n_features
    }

    /// Features of a picture, by the files of a model alone.
    pub(crate) fn n_features_of(
        ctx: &Context<'_>,
        model: Option<&Input>,
        size: [usize; 3],
    ) -> anyhow::Result<usize> {
        let Some(folder) = model.map(|model| ctx.input(model)) else { return Ok(size.iter().product()) };
        if kmeans_features::is_model(&folder) {
            return kmeans_features::n_features(&folder);
        }
        if folder.join(AUTOENCODER).exists() {
            return Ok(CODE_BITS);
        }
        let discriminator = Discriminator::load(&folder.join(DISCRIMINATOR), &candle_core::Device::Cpu)?;
        Ok(discriminator.config().n_features())
    }

    /// The features of pictures, uint8 NCHW, one after another.
    pub(crate) fn features(&self, pixels: &[u8]) -> anyhow::Result<Vec<f32>> {
        let len: usize = self.size.iter().product();
        match &self.what {
            What::Pixels => Ok(pixels.iter().map(|&x| f32::from(x) / 127.5 - 1.0).collect()),
            What::Discriminator(extractor) => {
                let mut features = Vec::with_capacity(pixels.len() / len * self.n_features);
                for pixels in pixels.chunks(BATCH * len) {
                    features.extend(extractor.extract(pixels, pixels.len() / len)?);
                }
                Ok(features)
            }
            What::KMeans { model, standard } => {
                let mut features = Encoder::new(model, self.size)?.encode(pixels)?;
                standard.apply(&mut features);
                Ok(features)
            }
            What::Codes(model) => {
                let hashed: Vec<Vec<u8>> = pixels
                    .par_chunks_exact(len)
                    .map(|pixels| self.as_hashed(pixels))
                    .collect::<anyhow::Result<_>>()?;
                Ok(model.activations(&hashed.concat())?)
            }
        }
    }

    /// The semantic codes of pictures; none of another model than an autoencoder.
    pub(crate) fn codes(&self, pixels: &[u8]) -> anyhow::Result<Option<Vec<Code>>> {
        let What::Codes(model) = &self.what else { return Ok(None) };
        let len: usize = self.size.iter().product();
        let hashed = pixels.par_chunks_exact(len).map(|pixels| self.as_hashed(pixels));
        Ok(Some(model.codes(&hashed.collect::<anyhow::Result<Vec<_>>>()?.concat())?))
    }

    /// A picture as the autoencoder takes it.
    fn as_hashed(&self, pixels: &[u8]) -> anyhow::Result<Vec<u8>> {
        let [channels, height, width] = self.size;
        if self.size == [3, SIDE, SIDE] {
            return Ok(pixels.to_vec());
        }
        let picture = Picture { channels, height, width, pixels: pixels.to_vec() };
        let small = Payload::Pixels(picture).into_thumbnail(SIDE, HASHED_FILTER, DecodeConfig::default());
        Ok(small.context("a picture to be hashed")?.picture.pixels)
    }
}

/// (channels, height, width) of a store's pictures.
pub(crate) fn picture_size(store: &ImageStore) -> [usize; 3] {
    [store.channels(), store.height(), store.width()]
}

/// Refuses pictures of another size.
pub(crate) fn check_size(whose: &str, expected: [usize; 3], found: [usize; 3]) -> anyhow::Result<()> {
    let text = |[c, h, w]: [usize; 3]| format!("{c}×{h}×{w}");
    ensure!(
        expected == found,
        "expected pictures of {}, as {whose} are, found {}",
        text(expected),
        text(found)
    );
    Ok(())
}
