//! `train_autoencoder`: the autoencoder of the semantic hash.

use dcgan_dedup::train::{TrainConfig, train};
use dcgan_images::ImageStore;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::info::{KeyInfo, KindInfo, optional, required};
use super::lineage::{self, LSUN, data_name};
use super::paper::{Stated, above_0, no_bearing, says, unstated};
use super::published::N_BEDROOMS;
use super::{Artifact, ConfigProblem, Input, InputRef, Outcome, Stage};
use crate::context::Context;
use crate::known::{KnownOf, more_than_there_are};

/// Side of the pictures that are hashed.
const SIDE: usize = 32;

/// What to train on and how.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainAutoencoder {
    /// The pictures.
    pub images: Input,
    /// The training.
    #[serde(default)]
    pub training: TrainConfig,
}

/// The kind.
pub(super) const INFO: KindInfo = KindInfo {
    name: "train_autoencoder",
    version: 2,
    summary: "train the 3072-128-3072 autoencoder whose thresholded units are the semantic hash",
    details: "Writes autoencoder.safetensors (with its preprocessing and thresholds), metrics.jsonl (the loss curve, \
              with the reconstruction of pictures kept out) and checkpoint.safetensors. Interrupted, it goes on from its \
              last checkpoint and ends with the bits of an uninterrupted run. Pictures of 64×64 serve best: they are \
              cut and scaled to the 32×32 that are hashed.",
    keys: &KEYS,
    example: &["images=runs/lsun/sample"],
    is_resumable: true,
    reads_records: false,
    uses_device: false,
    paper: &PAPER,
};

/// What the paper says of the keys.
const PAPER: [Stated; 17] = [
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
    says("training.n_images", "null", "all training pictures, section 4.1.1"),
    unstated("training.validation_share"),
    no_bearing("training.checkpoint_minutes"),
    no_bearing("training.seed"),
];

const KEYS: [KeyInfo; 17] = [
    required("images", "stage", "Square colour pictures of at least 32×32."),
    optional(
        "training.preset",
        "\"robust\" or \"paper\"",
        "\"robust\"",
        "What the other keys are where they are not given; the defaults below are robust's. paper: the plain denoising, \
         dropout-regularised autoencoder of section 4.1.1: standardise false; zoom, brightness, together and balance 0.",
    ),
    optional(
        "training.standardise",
        "true or false",
        "true",
        "Bring each picture to mean 0 and contrast 1: brightness and contrast then do not change its code.",
    ),
    optional("training.noise", "number from 0 to 10", "0.1", "Gaussian noise on the inputs, in their units."),
    optional(
        "training.dropout",
        "number from 0 to 0.95",
        "0.5",
        "Share of the 128 activations that are dropped.",
    ),
    optional(
        "training.zoom",
        "number from 0 to 0.5",
        "0.1",
        "Copies are cut by up to this share of their side.",
    ),
    optional(
        "training.brightness",
        "number from 0 to 0.9",
        "0.15",
        "Copies are made darker or brighter by up to this share, clipped at white.",
    ),
    optional(
        "training.together",
        "number from 0 to 1000",
        "1.0",
        "Weight of the term that holds two copies' activations together; 0 for the plain denoising autoencoder.",
    ),
    optional(
        "training.balance",
        "number from 0 to 1000",
        "0.3",
        "Weight of the term that keeps the bits balanced.",
    ),
    optional(
        "training.threshold",
        "\"zero\" or \"median\"",
        "\"zero\"",
        "A bit is set above 0, or above the unit's median over the training pictures. Unstated in the paper.",
    ),
    optional("training.learning_rate", "number in (0, 1)", "0.001", "Adam's at the start; it falls to 0."),
    optional("training.batch_size", "count", "128", "Pictures in a minibatch."),
    optional("training.epochs", "count", "60", "Passes over the pictures."),
    optional(
        "training.n_images",
        "count",
        "",
        "Train on so many of the pictures, drawn at random; else on all.",
    ),
    optional(
        "training.validation_share",
        "number from 0 to 0.5",
        "0.05",
        "Share of the pictures (1,000 at most) that are kept out of training to measure reconstruction.",
    ),
    optional("training.checkpoint_minutes", "number above 0", "5.0", "Minutes between two checkpoints."),
    optional("training.seed", "whole number", "0", "Seed of the weights and of everything drawn."),
];

impl Stage for TrainAutoencoder {
    fn inputs(&self) -> Vec<InputRef<'_>> {
        vec![InputRef { key: "images", name: &self.images, needs: Artifact::Images }]
    }

    fn yields(&self) -> Vec<Artifact> {
        vec![Artifact::Autoencoder]
    }

    fn misfits(&self, of: &KnownOf<'_>) -> Vec<ConfigProblem> {
        let images = of(&self.images);
        let is_fit = images.channels.is_none_or(|n| n == 3)
            && images.size.is_none_or(|[height, width]| height == width && width >= SIDE);
        let message = format!(
            "expected square colour pictures of at least {SIDE}×{SIDE}; where they are imported, \
             `resize = \"min_resize_centre_crop(64)\"` makes them so"
        );
        let shape = (!is_fit).then(|| ConfigProblem { key: "images".to_owned(), message });
        let batch =
            more_than_there_are("training.batch_size", self.training.batch_size as u64, images, "pictures");
        shape.into_iter().chain(batch).collect()
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
