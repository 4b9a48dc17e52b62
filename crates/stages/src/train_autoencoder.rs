//! `train_autoencoder`: the autoencoder of the semantic hash.

use dcgan_dedup::train::{TrainConfig, train};
use dcgan_engine::context::Context;
use dcgan_engine::kind::{ConfigType, Kind, Traits};
use dcgan_engine::paper::{Stated, above_0, no_bearing, says, unstated};
use dcgan_engine::stage::{Artifact, ConfigProblem, FactsOf, Input, InputRef, Outcome, Stage};
use dcgan_images::ImageStore;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::artifact;
use crate::known::{known, more_than_there_are};
use crate::lineage::{self, LSUN, data_name};
use crate::published::N_BEDROOMS;

/// Side of the pictures that are hashed.
const SIDE: usize = 32;

/// What to train on and how.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrainAutoencoder {
    /// Square colour pictures of at least 32×32.
    images: Input,
    /// The training.
    #[serde(default)]
    training: TrainConfig,
}

/// The kind.
pub(crate) static KIND: Kind = Kind {
    name: "train_autoencoder",
    version: 3,
    summary: "train the 3072-128-3072 autoencoder whose thresholded units are the semantic hash",
    details: "Writes autoencoder.safetensors (with its preprocessing and thresholds), metrics.jsonl (the loss curve, \
              with the reconstruction of pictures kept out) and checkpoint.safetensors. Interrupted, it goes on from its \
              last checkpoint and ends with the bits of an uninterrupted run. Pictures of 64×64 serve best: they are \
              cut and scaled to the 32×32 that are hashed.",
    example: &["images=runs/lsun/sample"],
    paper: &PAPER,
    traits: Traits { is_resumable: true, times: &["metrics.jsonl", "checkpoints/"], ..Traits::NONE },
    config: ConfigType::of::<TrainAutoencoder>(),
};

/// What the paper says of the keys.
const PAPER: [Stated; 18] = [
    no_bearing("images"),
    no_bearing("training.preset"),
    says("training.standardise", "false", "section 4.1.1"),
    above_0("training.noise", "section 4.1.1"),
    above_0("training.dropout", "section 4.1.1"),
    says("training.zoom", "0", "section 4.1.1"),
    says("training.brightness", "0", "section 4.1.1"),
    says("training.together", "0", "section 4.1.1"),
    says("training.balance", "0", "section 4.1.1"),
    unstated("training.threshold"),
    unstated("training.learning_rate"),
    unstated("training.batch_size"),
    unstated("training.epochs"),
    unstated("training.min_minibatches"),
    says("training.n_images", "null", "all training pictures, section 4.1.1"),
    unstated("training.validation_share"),
    no_bearing("training.checkpoint_minutes"),
    no_bearing("training.seed"),
];

impl Stage for TrainAutoencoder {
    fn inputs(&self) -> Vec<InputRef<'_>> {
        vec![InputRef { key: "images", name: &self.images, needs: artifact::IMAGES }]
    }

    fn yields(&self) -> Vec<Artifact> {
        vec![artifact::AUTOENCODER]
    }

    fn misfits(&self, of: &FactsOf<'_>) -> Vec<ConfigProblem> {
        let images = known(of, &self.images);
        let is_fit = images.channels.is_none_or(|n| n == 3)
            && images.size.is_none_or(|[height, width]| height == width && width >= SIDE);
        let message = format!(
            "expected square colour pictures of at least {SIDE}×{SIDE}; where they are imported, \
             `resize = \"min_resize_centre_crop(64)\"` makes them so"
        );
        let shape = (!is_fit).then(|| ConfigProblem { key: "images".to_owned(), message });
        let batch =
            more_than_there_are("training.batch_size", self.training.batch_size as u64, images, "pictures");
        let n_images = self.training.n_images.unwrap_or_default() as u64;
        let chosen = more_than_there_are("training.n_images", n_images, images, "pictures");
        shape.into_iter().chain(batch).chain(chosen).collect()
    }

    fn problems(&self) -> Vec<ConfigProblem> {
        ConfigProblem::of("training", self.training.validate())
    }

    fn seed(&self) -> Option<u64> {
        Some(self.training.seed)
    }

    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        let images = ctx.input(&self.images);
        let store = ImageStore::open(&images)?;
        if let Some(n) = self.training.n_images.filter(|n| *n > store.len()) {
            anyhow::bail!(
                "`training.n_images`: expected at most the number of pictures, {}, found {n}",
                store.len()
            );
        }
        let mut task = ctx.task("training", "minibatches");
        let summary = train(&store, &self.training, ctx.out, &mut |done, total| task.observe(done, total))?;
        drop(task);
        let mut metrics = serde_json::to_value(&summary)?;
        let data = data_name(&images)?;
        metrics["trained_on"] = json!(data);
        let mut differences = lineage::compare_data(data.as_deref(), LSUN);
        differences.count("training pictures", summary.n_images, N_BEDROOMS);
        differences.equal.push("3072-128-3072 ReLU units".to_owned());
        Ok(Outcome { metrics, differences })
    }
}
