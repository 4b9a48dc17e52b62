//! A score by features that the manifest chooses, in place of the built-in one.

use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use dcgan_engine::context::Context;
use dcgan_engine::stage::Input;
use dcgan_gan::train::Judge;
use dcgan_gan::{GanError, Generator, sample};
use dcgan_images::{ImageStore, batches};
use dcgan_metrics::Features;
use dcgan_metrics::frechet::frechet;
use dcgan_metrics::inception::Resize;
use dcgan_metrics::kernel::{KernelConfig, kernel_distance};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::feature_maker::{By, Maker, picture_size};
use crate::sample_metrics::cost::{self, Asked};

/// What ranks the checkpoints of a training.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Score {
    /// The stage with the discriminator, K-means centroids or autoencoder by whose features samples and training pictures are
    /// compared; left out for raw pixels.
    #[serde(default)]
    pub(super) model: Option<Input>,
    /// In place of `model`: the weights of Inception-v3.
    #[serde(default)]
    #[schemars(extend("format" = "path"))]
    pub(super) inception: Option<PathBuf>,
    /// With `inception`, as whom pictures are resized: pytorch_fid (where it is left out), torch_fidelity or clean.
    #[serde(default)]
    pub(super) resize: Option<Resize>,
    /// kernel: the kernel distance of all pictures. frechet: the Fréchet distance.
    #[serde(default)]
    measure: Measure,
    /// Samples, and as many training pictures.
    #[serde(default = "n_images")]
    #[schemars(range(min = 2))]
    pub(super) n_images: usize,
}

/// The measures that rank.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Measure {
    /// The kernel distance.
    #[default]
    Kernel,
    /// The Fréchet distance.
    Frechet,
}

fn n_images() -> usize {
    512
}

/// Compares samples of one seed with the same training pictures each time.
pub(super) struct FeatureJudge {
    maker: Maker,
    real: Vec<f32>,
    measure: Measure,
    n_images: usize,
    seed: u64,
}

impl FeatureJudge {
    /// Takes the features of as many training pictures, drawn by their number alone; the model's statistics are those of all of them.
    pub(super) fn new(ctx: &Context<'_>, score: &Score, images: &Input, seed: u64) -> anyhow::Result<Self> {
        let folder = ctx.input(images);
        let store = ImageStore::open(&folder)?;
        let n = score.n_images;
        ensure!(
            n <= store.len(),
            "`score.n_images`: expected at most the number of pictures, {}, found {n}",
            store.len()
        );
        let mut statistics = || Ok(ImageStore::open(&folder)?);
        let by = By::of(score.model.as_ref(), score.inception.as_ref(), score.resize);
        let maker = Maker::open(ctx, by, &mut statistics, picture_size(&store))?;
        if score.measure == Measure::Frechet {
            let n_columns = maker.n_features();
            let asked =
                Asked { n_real: Some(n), n_generated: n, n_columns, writes: false, extrapolates: false };
            cost::check(asked).context("`score.measure`")?;
        }
        let mut indices = batches::shuffled(store.len(), 0, u64::MAX);
        indices.truncate(n);
        indices.sort_unstable();
        let mut pixels = Vec::new();
        store.gather(&indices, &mut pixels);
        let real = maker.features(&pixels)?;
        Ok(Self { maker, real, measure: score.measure, n_images: n, seed })
    }

    fn distance(&self, generator: &Generator) -> anyhow::Result<f64> {
        let generated = self.maker.features(&sample::generate(generator, self.n_images, self.seed)?)?;
        let features = |side, values| Features::new(side, values, self.maker.n_features());
        let (real, generated) = (features("real", &self.real)?, features("generated", &generated)?);
        let mut go_on = |_, _| ControlFlow::Continue(());
        let all = KernelConfig { subset_size: self.n_images, ..KernelConfig::default() };
        Ok(match self.measure {
            Measure::Kernel => kernel_distance(&real, &generated, &all, &mut go_on)?.mean,
            Measure::Frechet => frechet(&real, &generated)?.distance,
        })
    }
}

impl Judge for FeatureJudge {
    fn score(&self, generator: &Generator) -> dcgan_gan::Result<f64> {
        self.distance(generator).map_err(|error| GanError::Judge { source: error.into() })
    }
}
