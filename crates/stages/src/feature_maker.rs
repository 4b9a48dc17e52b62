//! What turns pictures into features, for the stages that compare sets of pictures: the discriminators and centroids of
//! `extract_features`, the codes of `train_autoencoder`, Inception-v3, raw pixels.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

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
use dcgan_metrics::inception::{CLASSES, FEATURES, Inception, Resize, Rows};
use rayon::prelude::*;

use crate::device;
use crate::feature_blocks::{BLOCK, Output};
use crate::kmeans_features::{self, EPSILON};

/// Pictures that pass through a network at a time; features do not depend on it.
const BATCH: usize = 128;

/// What makes the features.
#[derive(Debug, Clone, Copy)]
pub(crate) enum By<'a> {
    /// The model in a stage's folder, or none: raw pixels.
    Model(Option<&'a Input>),
    /// Inception-v3 with these weights.
    Inception(&'a Path, Resize),
}

impl<'a> By<'a> {
    /// By the keys `model`, `inception` and `resize`.
    pub(crate) fn of(
        model: Option<&'a Input>,
        inception: Option<&'a PathBuf>,
        resize: Option<Resize>,
    ) -> Self {
        match inception {
            Some(path) => Self::Inception(path, resize.unwrap_or_default()),
            None => Self::Model(model),
        }
    }
}

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
    Inception(Box<Inception>, Resize),
}

impl Maker {
    /// Opens what `by` names, for pictures of (channels, height, width). Batch norm's statistics, and the
    /// scale of K-means' features, are inferred over the pictures of `statistics`.
    pub(crate) fn open(
        ctx: &Context<'_>,
        by: By<'_>,
        statistics: &mut dyn FnMut() -> anyhow::Result<ImageStore>,
        size: [usize; 3],
    ) -> anyhow::Result<Self> {
        let model = match by {
            By::Inception(path, resize) => {
                let what = What::Inception(Box::new(Inception::open(path)?), resize);
                let name = format!("Inception-v3 features ({} resizing)", in_words(resize));
                return Ok(Self { what, size, n_features: FEATURES, name });
            }
            By::Model(model) => model,
        };
        let Some(model) = model else {
            let n_features = size.iter().product();
            return Ok(Self { what: What::Pixels, size, n_features, name: "raw pixels".to_owned() });
        };
        let folder = ctx.input(model);
        if kmeans_features::is_model(&folder) {
            return Self::kmeans(ctx, &folder, &statistics()?, size);
        }
        let device = &device::open(ctx)?;
        if folder.join(AUTOENCODER).exists() {
            let model = Autoencoder::load(&folder.join(AUTOENCODER))?.on(device)?;
            let name = "codes of the semantic hash, before their thresholds".to_owned();
            return Ok(Self { what: What::Codes(model), size, n_features: CODE_BITS, name });
        }
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
    pub(crate) fn n_features_of(ctx: &Context<'_>, by: By<'_>, size: [usize; 3]) -> anyhow::Result<usize> {
        let folder = match by {
            By::Inception(..) => return Ok(FEATURES + CLASSES),
            By::Model(None) => return Ok(size.iter().product()),
            By::Model(Some(model)) => ctx.input(model),
        };
        if kmeans_features::is_model(&folder) {
            return kmeans_features::n_features(&folder);
        }
        if folder.join(AUTOENCODER).exists() {
            return Ok(CODE_BITS);
        }
        let discriminator = Discriminator::load(&folder.join(DISCRIMINATOR), &candle_core::Device::Cpu)?;
        Ok(discriminator.config().n_features())
    }

    /// True of Inception-v3, by whose features distances are called FID and KID, and which has logits too.
    pub(crate) fn is_inception(&self) -> bool {
        matches!(self.what, What::Inception(..))
    }

    /// Pictures between two states that a killed run goes on from: Inception-v3 takes a minute for a thousand.
    pub(crate) fn block(&self) -> usize {
        if self.is_inception() { BATCH } else { BLOCK }
    }

    /// Where features are written: into the folder `dir`, and logits, where there are such and they are wanted, into one beside it.
    pub(crate) fn outputs(&self, dir: &Path, with_logits: bool) -> Vec<Output> {
        let features = Output { dir: dir.to_owned(), n_columns: self.n_features };
        let logits = Output { dir: dir.with_extension("logits"), n_columns: CLASSES };
        match with_logits && self.is_inception() {
            true => vec![features, logits],
            false => vec![features],
        }
    }

    /// What is written of pictures, for each of [`Self::outputs`].
    pub(crate) fn make(&self, pixels: &[u8], with_logits: bool) -> anyhow::Result<Vec<Vec<f32>>> {
        match &self.what {
            What::Inception(network, resize) if with_logits => {
                let rows = self.run(network, *resize, pixels)?;
                Ok(vec![rows.features, rows.logits_unbiased])
            }
            _ => Ok(vec![self.features(pixels)?]),
        }
    }

    fn run(&self, network: &Inception, resize: Resize, pixels: &[u8]) -> anyhow::Result<Rows> {
        let [channels, height, width] = self.size;
        let picture = |pixels: &[u8]| Picture { channels, height, width, pixels: pixels.to_vec() };
        let pictures: Vec<Picture> = pixels.chunks_exact(channels * height * width).map(picture).collect();
        Ok(network.run(&pictures, resize, &mut |_, _| ControlFlow::Continue(()))?)
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
            What::Inception(network, resize) => Ok(self.run(network, *resize, pixels)?.features),
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

/// The name of a way of resizing in settings.
pub(crate) fn in_words(resize: Resize) -> &'static str {
    match resize {
        Resize::PytorchFid => "pytorch_fid",
        Resize::TorchFidelity => "torch_fidelity",
        Resize::Clean => "clean",
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
