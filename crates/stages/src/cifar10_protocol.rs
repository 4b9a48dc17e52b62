//! `cifar10_protocol`: a row of Table 1.

use dcgan_engine::context::Context;
use dcgan_engine::kind::{ConfigType, Kind, Traits};
use dcgan_engine::paper::{Stated, grouped, no_bearing, says, unstated};
use dcgan_engine::stage::{Artifact, ConfigProblem, FactsOf, Input, InputRef, Outcome, Stage};
use dcgan_eval::{Cifar10Protocol, Cifar10Result, cifar10_protocol};
use dcgan_report::entry::{ByLabels, Cell, Entry, Search, Table};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::artifact;
use crate::known::known;
use crate::lineage::{IMAGENET, check_same_making, data_of_features, of_features};

/// Pictures in CIFAR-10's training and test sets.
const CIFAR10_SIZES: (usize, usize) = (50_000, 10_000);

/// Which features, and how they are measured.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cifar10Stage {
    /// Features of the training set.
    train: Input,
    /// Features of the test set.
    test: Input,
    /// The protocol.
    #[serde(default)]
    protocol: Cifar10Protocol,
}

/// The kind.
pub(crate) static KIND: Kind = Kind {
    name: "cifar10_protocol",
    version: 5,
    summary: "measure features on CIFAR-10 (Table 1): L2-SVM on all labels and on 400 a class",
    details: "Chooses C by cross-validation on the training set alone, then measures on the test set: trained on all \
              labels, and over draws of a few labels a class (section 5.1). Writes result.json (the row for the \
              report) and protocol.json (all figures).",
    example: &["train=runs/table-1/train-features", "test=runs/table-1/test-features", "protocol.n_draws=5"],
    paper: &PAPER,
    traits: Traits::NONE,
    config: ConfigType::of::<Cifar10Stage>(),
};

/// What the paper says of the keys.
const PAPER: [Stated; 12] = [
    no_bearing("train"),
    no_bearing("test"),
    unstated("protocol.cs"),
    unstated("protocol.n_folds"),
    unstated("protocol.patience"),
    says("protocol.all_labels", "true", "section 5.1"),
    says("protocol.n_search_rows", "null", "section 5.1"),
    says("protocol.n_per_class", "400", "section 5.1"),
    unstated("protocol.n_draws"),
    no_bearing("protocol.relative_gap"),
    says("protocol.storage", "\"f32\"", "released code"),
    no_bearing("protocol.seed"),
];

impl Stage for Cifar10Stage {
    fn inputs(&self) -> Vec<InputRef<'_>> {
        crate::train_and_test(&self.train, &self.test)
    }

    fn yields(&self) -> Vec<Artifact> {
        vec![artifact::RESULT]
    }

    fn misfits(&self, of: &FactsOf<'_>) -> Vec<ConfigProblem> {
        // Of at least two classes.
        let n_labels = if self.protocol.n_draws > 0 { 2 * self.protocol.n_per_class as u64 } else { 0 };
        let wrong = known(of, &self.train).at_most.filter(|n_rows| n_labels > *n_rows).map(|n_rows| ConfigProblem {
            key: "protocol.n_per_class".to_owned(),
            message: format!(
                "expected as many training pictures of each class, found {} for {n_rows} training pictures in all; `n_draws = 0` leaves \
                 the draws of few labels out",
                self.protocol.n_per_class
            ),
        });
        crate::without_labels(("train", &self.train), ("test", &self.test), of)
            .into_iter()
            .chain(wrong)
            .collect()
    }

    fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = ConfigProblem::of("protocol", self.protocol.validate());
        problems.extend(crate::same_set(&self.train, &self.test));
        problems
    }

    fn seed(&self) -> Option<u64> {
        Some(self.protocol.seed)
    }

    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        let train = crate::labelled_features(ctx, &self.train)?;
        let test = crate::labelled_features(ctx, &self.test)?;
        check_same_making(&ctx.input(&self.train), &ctx.input(&self.test))?;
        let mut task = ctx.task("measuring", "fits");
        let result =
            cifar10_protocol(&train, &test, &self.protocol, &mut |done, total| task.observe(done, total))?;
        drop(task);
        ctx.write_json("protocol.json", &result)?;

        let lineage = of_features(ctx.input(&self.train))?;
        let max_units = lineage.description.as_ref().and_then(|description| description.max_units);
        let mut entry = entry(&result, lineage.method("L2-SVM"), max_units);
        entry.facts.extend(lineage.facts());
        let n_classes = train.n_classes();
        entry.data = data_of_features(&ctx.input(&self.train), (result.n_train, result.n_test, n_classes))?;
        entry.with = vec![
            format!("all {} labels", grouped(result.n_train)),
            format!("{} per class", self.protocol.n_per_class),
            String::new(),
        ];
        ctx.write_json(Entry::FILE, &entry)?;
        let mut differences = lineage.differences("imagenet32", IMAGENET);
        differences.join(crate::compare_sets((result.n_train, result.n_test), CIFAR10_SIZES, n_classes));
        let metrics = json!({
            "accuracy": result.all_labels.as_ref().map(|all| all.accuracy),
            "few_labels_accuracy": result.few_labels.as_ref().map(|few| few.mean_accuracy),
            "few_labels_std": result.few_labels.as_ref().map(|few| few.std),
            "n_features": result.n_features,
            "all_labels_seconds": result.all_labels.as_ref().map(|all| [all.search_seconds, all.final_seconds]),
            "few_labels_seconds": result.few_labels.as_ref().map(|few| [few.search_seconds, few.final_seconds]),
        });
        Ok(Outcome { metrics, differences })
    }
}

fn entry(result: &Cifar10Result, method: String, max_units: Option<usize>) -> Entry {
    let (all, few) = (result.all_labels.as_ref(), result.few_labels.as_ref());
    let mut facts = vec![format!("{} features", result.n_features)];
    let (mut searches, mut by_labels) = (Vec::new(), Vec::new());
    if let Some(all) = all {
        facts.push(format!(
            "all {} labels: C = {}{}, chosen on {} rows",
            result.n_train,
            all.c,
            at_edge(all.c_at_edge),
            all.n_search_rows
        ));
        searches.push(Search::new("cross-validation error, all labels", all.c, &all.search));
        by_labels.push(ByLabels { n_labels: result.n_train, error: 1.0 - all.accuracy, deviation: None });
    }
    if let Some(few) = few {
        facts.push(format!(
            "{} labels: mean ± std over {} draws, C = {}{}",
            few.n_labels,
            few.errors.len(),
            few.c,
            at_edge(few.c_at_edge)
        ));
        searches.push(Search::new("cross-validation error, few labels", few.c, &few.search));
        by_labels.push(ByLabels {
            n_labels: few.n_labels,
            error: 1.0 - few.mean_accuracy,
            deviation: Some(few.std),
        });
    }
    Entry {
        cells: vec![
            all.map(|all| Cell::percent(all.accuracy, None)),
            few.map(|few| Cell::percent(few.mean_accuracy, Some(few.std))),
            max_units.map(|units| Cell { value: units as f64, deviation: None }),
        ],
        facts,
        searches,
        by_labels,
        ..Entry::new(Table::Table1, method)
    }
}

fn at_edge(is_at_edge: bool) -> &'static str {
    if is_at_edge { " (at the edge of the grid)" } else { "" }
}
