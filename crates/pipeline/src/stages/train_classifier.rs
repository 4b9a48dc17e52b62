//! `train_classifier`: a discriminator trained with labels, to judge pictures.

use dcgan_gan::classifier::{self, ClassifierConfig};
use dcgan_images::ImageStore;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::info::{KeyInfo, KindInfo, optional, required};
use super::lineage::data_name;
use super::paper::{Comparison, Stated, by_stage};
use super::{Artifact, ConfigProblem, Input, InputRef, Outcome, Stage};
use crate::context::Context;

/// What to learn from, and what to measure on.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainClassifier {
    /// Labelled pictures to learn from.
    pub images: Input,
    /// Labelled pictures that only measure.
    pub test: Input,
    /// The object and the network.
    pub training: ClassifierConfig,
}

/// The kind.
pub(super) const INFO: KindInfo = KindInfo {
    name: "train_classifier",
    version: 1,
    summary: "train a discriminator with labels to tell pictures with an object from those without",
    details: "Writes classifier.safetensors: the architecture of a discriminator, trained by the cross-entropy of its logit, \
              with the batch-norm statistics of its training pictures. Its errors on `test` are in stage.json; no choice is made \
              by them. `forget` has its pictures judged by such classifiers.",
    keys: &KEYS,
    example: &[
        "images=runs/forgetting/images",
        "test=runs/forgetting/test-images",
        "training.architecture=svhn32",
        "training.positive=[1,3]",
    ],
    is_resumable: false,
    reads_records: false,
    uses_device: true,
    paper: &PAPER,
};

/// What the paper says of the keys: it judged by eye.
const PAPER: [Stated; 1] = [by_stage("*")];

const KEYS: [KeyInfo; 7] = [
    required("images", "stage", "Labelled pictures of the architecture's size."),
    required("test", "stage", "Other labelled pictures, on which the errors are measured."),
    required(
        "training.architecture",
        "\"svhn32\", \"imagenet32\" or \"faces64\"",
        "Whose discriminator; minibatch, learning rate, beta1 and l2 are those of its GAN.",
    ),
    optional("training.width", "number above 0", "0.25", "Scale of every channel count."),
    required("training.positive", "list of whole numbers", "Labels of the pictures that show the object."),
    optional("training.epochs", "count", "10", "Passes over the pictures."),
    optional("training.seed", "whole number", "0", "Seed of the weights and of the order of pictures."),
];

impl Stage for TrainClassifier {
    fn inputs(&self) -> Vec<InputRef<'_>> {
        vec![
            InputRef { key: "images", name: &self.images, needs: Artifact::Images },
            InputRef { key: "test", name: &self.test, needs: Artifact::Images },
        ]
    }

    fn yields(&self) -> Vec<Artifact> {
        vec![Artifact::Classifier]
    }

    fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = ConfigProblem::of("training", self.training.validate());
        problems.extend(super::same_set(&self.images, &self.test));
        problems
    }

    fn seed(&self) -> Option<u64> {
        Some(self.training.seed)
    }

    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        let images = ctx.input(&self.images);
        let store = ImageStore::open(&images)?;
        let test = ImageStore::open(&ctx.input(&self.test))?;
        let targets = self.training.targets(&test)?;
        let mut task = ctx.task("training", "minibatches");
        let trained = classifier::train(&store, &self.training, ctx.device()?, &mut |done, total| {
            task.observe(done, total)
        })?;
        drop(task);
        trained.save(&ctx.out.join(classifier::FILE))?;
        let mut metrics = serde_json::to_value(trained.errors(&test, &targets)?)?;
        metrics["architecture"] = json!(self.training.architecture.as_str());
        metrics["trained_on"] = json!(data_name(&images)?);
        metrics["n_trained_on"] = json!(store.len());
        Ok(Outcome {
            metrics,
            differences: Comparison::not_checked("a classifier judges pictures; the paper judged by eye"),
        })
    }
}
