//! `extract_features`: pictures into rows of numbers.

use std::ops::Range;

use candle_core::Device;
use dcgan_engine::context::Context;
use dcgan_engine::kind::{ConfigType, Kind, Traits};
use dcgan_engine::paper::{Comparison, Stated, by_stage, no_bearing, says};
use dcgan_engine::stage::{Artifact, ConfigProblem, Facts, FactsOf, Input, InputRef, Outcome, Stage};
use dcgan_eval::{Batches, extract_features, pixel_features, validation_rows};
use dcgan_gan::train::files::DISCRIMINATOR;
use dcgan_gan::{Discriminator, FeatureExtractor};
use dcgan_images::{ImageStore, Shard};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::artifact;
use crate::device;
use crate::kmeans_features::{self, Scale};
use crate::known::{Known, conditional, known, unlike};
use crate::lineage::{DESCRIPTION, Description};

/// Of which pictures, and with which discriminator.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExtractFeatures {
    /// The pictures. Where they have labels, these are written too.
    images: Input,
    /// The stage with the discriminator or the K-means centroids; leave it out for raw pixels.
    #[serde(default)]
    model: Option<Input>,
    /// The pictures over which batch-norm statistics, or with K-means each feature's mean and variance, are inferred: the training
    /// set. Required with `model`. With K-means, the stage with the training set's features serves too.
    #[serde(default)]
    statistics: Option<Input>,
    /// Which of these are left out.
    #[serde(default)]
    held_out: Option<HeldOut>,
    /// Pictures at a time; features do not depend on it.
    #[serde(default = "batch_size")]
    #[schemars(range(min = 1))]
    batch_size: usize,
    /// Only one of several parts of the pictures, for a machine of several: "3/64". The stage `merge` puts the parts together. With K-means,
    /// `statistics` then names features.
    #[serde(default)]
    shard: Option<Shard>,
    /// Use a discriminator of the same sizes with random weights: the baseline that training has to beat.
    #[serde(default)]
    untrained: bool,
    /// Seed of the random weights of `untrained`.
    #[serde(default)]
    seed: u64,
}

/// The validation rows of `svhn_protocol`, which are drawn from all rows by their number and a seed alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct HeldOut {
    /// Infer the statistics without the validation rows of svhn_protocol: its `protocol.n_validation` …
    n_validation: usize,
    /// … and its `protocol.seed`.
    seed: u64,
}

fn batch_size() -> usize {
    128
}

/// The kind.
pub(crate) static KIND: Kind = Kind {
    name: "extract_features",
    version: 4,
    summary: "turn pictures into features: a discriminator's maps, K-means' sums, or raw pixels",
    details: "With `model`: every conv layer of the discriminator after its LeakyReLU, max-pooled to 4×4 (7×7 for sides of \
              7·2ⁿ), flattened \
              and concatenated (section 5), with batch-norm statistics inferred over the pictures of `statistics`, \
              which must be the training set's also when the features of the test set are extracted: batches of 128, \
              the last, smaller one counts as the others. `held_out` leaves out the rows that svhn_protocol holds out \
              to choose C.\n\n\
              With the centroids of train_kmeans: max(0, mean distance − distance) of every patch to each centroid, \
              summed over the cells of a 2×2 grid, whose first cell is the larger where patches do not divide (27 are \
              14 and 13); a cell's maps stand together. Each feature is then less its mean and over √(variance + 0.01) over \
              the pictures of `statistics`. Where that is the stage of `images`, they are passed through once; \
              both numbers are kept as standard.npy, so that a test set best names the stage with the training \
              set's features as its `statistics`.\n\n\
              Without `model`: raw pixels in [-1, 1], a baseline.\n\n\
              Writes features.npy (f32, N×D), labels.npy where the pictures have labels, classes.json (the names of the classes, where they \
              are known, by which a test set's are matched to the training set's) and features.json.",
    example: &[
        "images=runs/svhn-released/test-images",
        "model=runs/svhn-released/weights",
        "statistics=runs/svhn-released/train-images",
    ],
    paper: &PAPER,
    traits: Traits { uses_device: true, ..Traits::NONE },
    config: ConfigType::of::<ExtractFeatures>(),
};

/// What the paper says of the keys.
const PAPER: [Stated; 8] = [
    no_bearing("images"),
    by_stage("model"),
    by_stage("statistics"),
    // svhn_protocol compares it with what it holds out.
    by_stage("held_out*"),
    no_bearing("batch_size"),
    no_bearing("shard"),
    says("untrained", "false", "section 5"),
    no_bearing("seed"),
];

impl Stage for ExtractFeatures {
    fn inputs(&self) -> Vec<InputRef<'_>> {
        let mut inputs = vec![InputRef { key: "images", name: &self.images, needs: artifact::IMAGES }];
        inputs.extend(self.model.iter().map(|name| InputRef {
            key: "model",
            name,
            needs: artifact::FEATURE_MODEL,
        }));
        inputs.extend(self.statistics.iter().map(|name| InputRef {
            key: "statistics",
            name,
            needs: artifact::STATISTICS,
        }));
        inputs
    }

    fn yields(&self) -> Vec<Artifact> {
        vec![artifact::FEATURES]
    }

    fn facts(&self, of: &FactsOf<'_>) -> Facts {
        let Known { at_most, labelled, .. } = known(of, &self.images);
        Known { at_most, labelled, draws: Some(false), ..Known::default() }.into()
    }

    fn misfits(&self, of: &FactsOf<'_>) -> Vec<ConfigProblem> {
        let Some(model) = &self.model else { return Vec::new() };
        let network = known(of, model);
        let why = "its maps hold the label itself, so that features of it would tell nothing of the picture";
        let wrong = |key: &str, images: &Input| {
            unlike(key, known(of, images), network, &format!("`{}`", model.as_str()))
        };
        let statistics = self.statistics.as_ref().and_then(|images| wrong("statistics", images));
        let label = conditional("model", network, why);
        wrong("images", &self.images).into_iter().chain(statistics).chain(label).collect()
    }

    fn problems(&self) -> Vec<ConfigProblem> {
        let problem =
            |key: &str, message: &str| ConfigProblem { key: key.to_owned(), message: message.to_owned() };
        let mut problems = Vec::new();
        if self.model.is_some() && self.statistics.is_none() {
            let message = "with `model`, `statistics` must name the training pictures over which batch-norm \
                           statistics are inferred";
            problems.push(problem("model", message));
        }
        if self.model.is_none() && self.statistics.is_some() {
            problems.push(problem("statistics", "is of use only with `model`"));
        }
        if self.held_out.is_some() && self.statistics.is_none() {
            problems.push(problem("held_out", "is of use only with `statistics`"));
        }
        if self.untrained && self.model.is_none() {
            problems.push(problem("untrained", "needs `model`, whose sizes it takes"));
        }
        problems
    }

    fn seed(&self) -> Option<u64> {
        self.untrained.then_some(self.seed)
    }

    fn bytes_needed(&self, ctx: &Context<'_>) -> anyhow::Result<Option<u64>> {
        let store = ImageStore::open(&ctx.input(&self.images))?;
        let n_features = match &self.model {
            Some(model) if kmeans_features::is_model(&ctx.input(model)) => {
                kmeans_features::n_features(&ctx.input(model))?
            }
            Some(model) => {
                let path = ctx.input(model).join(DISCRIMINATOR);
                Discriminator::load(&path, &Device::Cpu)?.config().n_features()
            }
            None => store.channels() * store.height() * store.width(),
        };
        Ok(Some((self.rows(&store)?.len() * n_features * size_of::<f32>()) as u64))
    }

    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        let store = ImageStore::open(&ctx.input(&self.images))?;
        let description = match (&self.model, &self.statistics) {
            (Some(model), Some(statistics)) if kmeans_features::is_model(&ctx.input(model)) => {
                self.with_kmeans(ctx, &store, model, statistics)?
            }
            (Some(model), Some(statistics)) => self.with_discriminator(ctx, &store, model, statistics)?,
            _ => raw_pixels(ctx, &store, self.rows(&store)?)?,
        };
        ctx.write_json(DESCRIPTION, &description)?;
        let metrics = json!({"n_rows": self.rows(&store)?.len(), "n_features": description.n_features});
        Ok(Outcome { metrics, differences: Comparison::found(Vec::new()) })
    }
}

impl ExtractFeatures {
    fn batches(&self, store: &ImageStore) -> anyhow::Result<Batches> {
        Ok(Batches { rows: self.rows(store)?, size: self.batch_size })
    }

    /// Which pictures.
    fn rows(&self, store: &ImageStore) -> anyhow::Result<Range<usize>> {
        let n = store.len() as u64;
        let Some(shard) = self.shard else { return Ok(0..store.len()) };
        anyhow::ensure!(
            shard.count() <= n,
            "`shard`: expected no more parts than the {n} pictures, of which each part has some, found {shard}"
        );
        let range = shard.range(n);
        Ok(range.start as usize..range.end as usize)
    }

    /// The rows of the training set that statistics are inferred over.
    fn statistics_rows(&self, training: &ImageStore) -> anyhow::Result<Vec<u32>> {
        let n_rows = training.len();
        let HeldOut { n_validation, seed } = self.held_out.unwrap_or_default();
        anyhow::ensure!(
            n_validation < n_rows,
            "`held_out.n_validation`: expected fewer than the {n_rows} pictures of `statistics`, found {n_validation}"
        );
        let held_out = validation_rows(n_rows, n_validation, seed);
        Ok((0..n_rows as u32).filter(|row| held_out.binary_search(row).is_err()).collect())
    }

    fn with_kmeans(
        &self,
        ctx: &Context<'_>,
        store: &ImageStore,
        model: &Input,
        statistics: &Input,
    ) -> anyhow::Result<Description> {
        anyhow::ensure!(!self.untrained, "`untrained`: expected a discriminator, found K-means centroids");
        let statistics = match kmeans_features::of_features(&ctx.input(statistics)) {
            true => {
                let held_out = "`held_out`: expected pictures as `statistics`, found features, whose stage leaves them out";
                anyhow::ensure!(self.held_out.is_none(), held_out);
                Scale::OfFeatures(ctx.input(statistics))
            }
            false => {
                let whole =
                    "`shard`: expected features as `statistics`, whose scale all parts share, found pictures";
                anyhow::ensure!(self.shard.is_none(), whole);
                let training = ImageStore::open(&ctx.input(statistics))?;
                let mut is_counted = vec![false; training.len()];
                self.statistics_rows(&training)?.iter().for_each(|row| is_counted[*row as usize] = true);
                Scale::Over { is_own: *statistics == self.images, training, is_counted }
            }
        };
        kmeans_features::extract(ctx, store, &ctx.input(model), self.batches(store)?, statistics)
    }

    fn with_discriminator(
        &self,
        ctx: &Context<'_>,
        store: &ImageStore,
        model: &Input,
        statistics: &Input,
    ) -> anyhow::Result<Description> {
        let device = &device::open(ctx)?;
        let mut discriminator = Discriminator::load(&ctx.input(model).join(DISCRIMINATOR), device)?;
        if self.untrained {
            discriminator = Discriminator::random(discriminator.config().clone(), self.seed, device)?;
        }
        let folder = ctx.input(statistics);
        anyhow::ensure!(
            !kmeans_features::of_features(&folder),
            "`statistics`: expected pictures, over which a discriminator's batch-norm statistics are inferred, found features in {}",
            folder.display()
        );
        let mut task = ctx.task("inferring statistics", "pictures");
        let training = ImageStore::open(&ctx.input(statistics))?;
        let rows = self.statistics_rows(&training)?;
        let mut observe = |done, total| task.observe(done, total);
        let extractor =
            FeatureExtractor::infer_over_rows(&discriminator, &training, &rows, device, &mut observe)?;
        drop(task);

        let mut task = ctx.task("extracting", "pictures");
        let n_features = extractor.n_features();
        let mut extract =
            |pixels: &[u8], n: usize| extractor.extract(pixels, n).map_err(|error| Box::new(error).into());
        let batches = self.batches(store)?;
        extract_features(store, batches, n_features, &mut extract, ctx.out, &mut |done, total| {
            task.observe(done, total)
        })?;
        let name = if self.untrained { "untrained discriminator" } else { "DCGAN discriminator" };
        Ok(Description {
            name: name.to_owned(),
            n_features,
            max_units: discriminator.config().layers.iter().map(|layer| layer.channels).max(),
            is_untrained: self.untrained,
            centroids: None,
        })
    }
}

fn raw_pixels(ctx: &Context<'_>, store: &ImageStore, rows: Range<usize>) -> anyhow::Result<Description> {
    let mut task = ctx.task("extracting", "pictures");
    let extracted = pixel_features(store, rows, ctx.out, &mut |done, total| task.observe(done, total))?;
    Ok(Description {
        name: "raw pixels".to_owned(),
        n_features: extracted.n_columns,
        max_units: None,
        is_untrained: false,
        centroids: None,
    })
}
