//! `fit_svm`: one linear support vector machine.

use anyhow::Context as _;
use dcgan_engine::context::Context;
use dcgan_engine::kind::{ConfigType, Kind, Traits};
use dcgan_engine::paper::{Comparison, Stated, by_stage, no_bearing, says};
use dcgan_engine::stage::{Artifact, ConfigProblem, FactsOf, Input, InputRef, Outcome, Stage};
use dcgan_eval::{Confusion, Storage};
use dcgan_nn::candle::{Device, Tensor};
use dcgan_report::entry::{ByLabels, Cell, Entry, Table};
use dcgan_svm::{FitProgress, LinearSvc, LinearSvcParams, Loss};
use linfa::ParamGuard as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::artifact;
use crate::lineage::of_features;

/// What to train on and how.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FitSvm {
    /// Features to train on.
    train: Input,
    /// Features to measure on.
    test: Input,
    /// The weight of the loss against ½‖w‖².
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    c: f64,
    /// squared_hinge is the paper's L2-SVM (LIBLINEAR's objective). hinge is linfa's C-SVC, for few rows.
    #[serde(default)]
    loss: LossName,
    /// Duality gap at which a class counts as solved.
    #[serde(default = "relative_gap")]
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    relative_gap: f64,
    /// f32 reads the mapped file. bf16 rounds the training features to 8 significant bits in memory, half the size of the
    /// file. The test features stay f32.
    #[serde(default)]
    storage: Storage,
}

/// The two losses by name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LossName {
    /// The paper's L2-SVM.
    #[default]
    SquaredHinge,
    /// linfa's C-SVC, for few rows.
    Hinge,
}

fn relative_gap() -> f64 {
    1e-4
}

/// The kind.
pub(crate) static KIND: Kind = Kind {
    name: "fit_svm",
    version: 3,
    summary: "train one linear SVM on features with a given C and measure it on others",
    details: "One-vs-rest over all rows of `train`, with no search over C. Writes model.safetensors (`weights`: \
              classes × features; `bias`; `classes`: the label of each row), predictions.json (the confusion matrix) \
              and result.json (the row for the report).",
    example: &["train=runs/table-1/train-features", "test=runs/table-1/test-features", "c=1e-4"],
    paper: &PAPER,
    traits: Traits::NONE,
    config: ConfigType::of::<FitSvm>(),
};

/// What the paper says of the keys.
const PAPER: [Stated; 6] = [
    no_bearing("train"),
    no_bearing("test"),
    by_stage("c"),
    says("loss", "\"squared_hinge\"", "section 5"),
    no_bearing("relative_gap"),
    says("storage", "\"f32\"", "released code"),
];

impl FitSvm {
    fn params(&self) -> LinearSvcParams {
        let loss = match self.loss {
            LossName::SquaredHinge => Loss::SquaredHinge,
            LossName::Hinge => Loss::Hinge,
        };
        LinearSvc::params().c(self.c).loss(loss).relative_gap(self.relative_gap)
    }
}

impl Stage for FitSvm {
    fn inputs(&self) -> Vec<InputRef<'_>> {
        crate::train_and_test(&self.train, &self.test)
    }

    fn yields(&self) -> Vec<Artifact> {
        vec![artifact::RESULT]
    }

    fn misfits(&self, of: &FactsOf<'_>) -> Vec<ConfigProblem> {
        crate::without_labels(("train", &self.train), ("test", &self.test), of)
    }

    fn problems(&self) -> Vec<ConfigProblem> {
        ConfigProblem::of("", self.params().check_ref().map(|_| ()))
    }

    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        let train = crate::labelled_features(ctx, &self.train)?;
        let test = crate::labelled_features(ctx, &self.test)?.in_classes_of(&train)?;
        test.check_finite()?;
        let params = self.params().check()?;
        let (n_rows, n_columns, n_classes) = (train.n_rows(), train.n_columns(), train.n_classes());
        let (labels, path) = (train.labels().to_vec(), train.path().to_owned());
        let mut task = ctx.task("training", "units");
        let mut observe = |fit: &FitProgress| {
            if let Some((_, gap)) = fit.widest {
                task.describe(format!("training, duality gap {gap:.0e} of {:.0e}", self.relative_gap));
            }
            task.observe(fit.n_done, fit.n_total)
        };
        let models = match self.storage {
            Storage::F32 => params.fit_path(train.features(), &labels, &[self.c], &mut observe),
            Storage::Bf16 => {
                let rounded = train.to_bf16()?;
                drop(train);
                params.fit_path(rounded.view(), &labels, &[self.c], &mut observe)
            }
        };
        // The fit finds numbers that are not finite itself, but does not know the file they stand in.
        let models = models.with_context(|| path.display().to_string())?;
        drop(task);
        let model = models.into_iter().next().ok_or_else(|| anyhow::anyhow!("no model was trained"))?;
        save(&model, &ctx.out.join("model.safetensors"))?;

        let mut confusion = Confusion::new(n_classes);
        for (truth, prediction) in test.labels().iter().zip(model.predict_labels(test.features())?) {
            confusion.add(*truth, prediction);
        }
        let confusion = confusion.named(test.class_names());
        ctx.write_json("predictions.json", &json!({"confusion": confusion}))?;
        let accuracy = 1.0 - confusion.error_rate();
        let gap = model.certificates().iter().map(|c| c.relative_gap).fold(0.0, f64::max);
        let lineage = of_features(ctx.input(&self.train))?;
        let entry = Entry {
            cells: vec![Some(Cell::percent(accuracy, None))],
            facts: vec![
                format!(
                    "C = {}, {}",
                    self.c,
                    if self.loss == LossName::Hinge { "hinge" } else { "squared hinge" }
                ),
                format!("{} training and {} test rows of {} features", n_rows, test.n_rows(), n_columns),
            ],
            by_labels: vec![ByLabels { n_labels: n_rows, error: 1.0 - accuracy, deviation: None }],
            ..Entry::new(Table::Other, lineage.method("SVM"))
        };
        ctx.write_json(Entry::FILE, &entry)?;
        let metrics = json!({"accuracy": accuracy, "largest_gap": gap, "n_features": n_columns});
        let differences = Comparison::found(vec!["C was given, not chosen on validation rows".to_owned()]);
        Ok(Outcome { metrics, differences })
    }
}

/// Writes a machine's weights, one row a class.
fn save(model: &LinearSvc, path: &std::path::Path) -> anyhow::Result<()> {
    let weights: Vec<f32> = model.weights().iter().copied().collect();
    let classes: Vec<u32> = model.classes().iter().map(|class| *class as u32).collect();
    let n_classes = classes.len();
    let tensors = [
        ("weights", Tensor::from_vec(weights, model.weights().dim(), &Device::Cpu)?),
        ("bias", Tensor::from_vec(model.bias().to_vec(), n_classes, &Device::Cpu)?),
        ("classes", Tensor::from_vec(classes, n_classes, &Device::Cpu)?),
    ];
    let tensors = tensors.into_iter().map(|(name, tensor)| (name.to_owned(), tensor)).collect();
    Ok(dcgan_nn::candle::safetensors::save(&tensors, path)?)
}
