//! `train_classifier`: a discriminator trained with labels, to judge pictures.

use dcgan_engine::context::Context;
use dcgan_engine::kind::{ConfigType, Kind, Traits};
use dcgan_engine::paper::{Comparison, Stated, by_stage};
use dcgan_engine::stage::{Artifact, ConfigProblem, FactsOf, Input, InputRef, Outcome, Stage};
use dcgan_gan::classifier::{self, ClassifierConfig};
use dcgan_images::ImageStore;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::artifact;
use crate::device;
use crate::lineage::data_name;

/// What to learn from, and what to measure on.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrainClassifier {
    /// Labelled pictures of the architecture's size.
    images: Input,
    /// Other labelled pictures, on which the errors are measured.
    test: Input,
    /// The object and the network.
    training: ClassifierConfig,
}

/// The kind.
pub(crate) static KIND: Kind = Kind {
    name: "train_classifier",
    version: 1,
    summary: "train a discriminator with labels to tell pictures with an object from those without",
    details: "Writes classifier.safetensors: the architecture of a discriminator, trained by the cross-entropy of its logit, \
              with the batch-norm statistics of its training pictures. Its errors on `test` are in stage.json; no choice is made \
              by them. `forget` has its pictures judged by such classifiers.",
    example: &[
        "images=runs/forgetting/images",
        "test=runs/forgetting/test-images",
        "training.architecture=svhn32",
        "training.positive=[1,3]",
    ],
    paper: &PAPER,
    traits: Traits { uses_device: true, ..Traits::NONE },
    config: ConfigType::of::<TrainClassifier>(),
};

/// What the paper says of the keys: it judged by eye.
const PAPER: [Stated; 1] = [by_stage("*")];

impl Stage for TrainClassifier {
    fn inputs(&self) -> Vec<InputRef<'_>> {
        vec![
            InputRef { key: "images", name: &self.images, needs: artifact::IMAGES },
            InputRef { key: "test", name: &self.test, needs: artifact::IMAGES },
        ]
    }

    fn yields(&self) -> Vec<Artifact> {
        vec![artifact::CLASSIFIER]
    }

    fn misfits(&self, of: &FactsOf<'_>) -> Vec<ConfigProblem> {
        crate::without_labels(("images", &self.images), ("test", &self.test), of)
    }

    fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = ConfigProblem::of("training", self.training.validate());
        problems.extend(crate::same_set(&self.images, &self.test));
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
        let trained = classifier::train(&store, &self.training, &device::open(ctx)?, &mut |done, total| {
            task.observe(done, total)
        })?;
        drop(task);
        trained.save(&ctx.out.join(classifier::FILE))?;
        let mut metrics = serde_json::to_value(trained.errors(&test, &targets)?)?;
        metrics["architecture"] = json!(self.training.architecture.to_string());
        metrics["trained_on"] = json!(data_name(&images)?);
        metrics["n_trained_on"] = json!(store.len());
        Ok(Outcome {
            metrics,
            differences: Comparison::not_checked("a classifier judges pictures; the paper judged by eye"),
        })
    }
}
