//! `nearest_neighbours`: a row of Table 2 without any training.

use dcgan_baselines::neighbours::{NeighboursProtocol, NeighboursResult, nearest_neighbours};
use dcgan_engine::context::Context;
use dcgan_engine::kind::{ConfigType, Kind, Traits};
use dcgan_engine::paper::{Stated, grouped, no_bearing, says, unstated};
use dcgan_engine::stage::{Artifact, ConfigProblem, FactsOf, Input, InputRef, Outcome, Stage};
use dcgan_eval::Draws;
use dcgan_report::entry::{ByLabels, Cell, Entry, Table};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::artifact;
use crate::known::known;
use crate::lineage::{self, SVHN, check_same_making, data_of_features, of_features};
use crate::seen::Seen;
use crate::svhn_protocol::SVHN_SIZES;

/// Which features, and how they are measured.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NeighboursStage {
    /// Features of the training set, or its raw pixels.
    train: Input,
    /// The same of the test set.
    test: Input,
    /// The protocol.
    #[serde(default)]
    protocol: NeighboursProtocol,
}

/// The kind.
pub(crate) static KIND: Kind = Kind {
    name: "nearest_neighbours",
    version: 1,
    summary: "measure k nearest neighbours (Table 2's first row), on the draws of svhn_protocol or on all rows",
    details: "Holds out validation rows of the training set, chooses k on them, and measures fresh draws of a few labels a class on \
              the test set: with the same seed and counts the rows that svhn_protocol draws. With \
              `protocol.n_final_draws=0` all training rows are used at once, and the figure is in none of the paper's tables.\n\n\
              Exact: products of f32 only rule rows out, and what they leave is measured in f64. Of rows that are equally near \
              the first wins, of classes that are equally frequent the smallest, as in scikit-learn.\n\n\
              Writes result.json (the row for the report) and protocol.json (every draw's error, the search over k, the \
              confusion matrix).",
    example: &[
        "train=runs/svhn-released/train-features",
        "test=runs/svhn-released/test-features",
        "protocol.n_validation=2000",
    ],
    paper: &PAPER,
    traits: Traits::NONE,
    config: ConfigType::of::<NeighboursStage>(),
};

/// What the paper says of the keys.
const PAPER: [Stated; 9] = [
    no_bearing("train"),
    no_bearing("test"),
    unstated("protocol.ks"),
    unstated("protocol.metric"),
    says("protocol.n_validation", "10000", "section 5.2"),
    says("protocol.n_per_class", "100", "section 5.2"),
    unstated("protocol.n_search_draws"),
    unstated("protocol.n_final_draws"),
    no_bearing("protocol.seed"),
];

impl Stage for NeighboursStage {
    fn inputs(&self) -> Vec<InputRef<'_>> {
        crate::train_and_test(&self.train, &self.test)
    }

    fn yields(&self) -> Vec<Artifact> {
        vec![artifact::RESULT]
    }

    fn misfits(&self, of: &FactsOf<'_>) -> Vec<ConfigProblem> {
        let mut problems = crate::without_labels(("train", &self.train), ("test", &self.test), of);
        let Some(n_rows) = known(of, &self.train).at_most else { return problems };
        let is_search = self.protocol.ks.len() > 1 || self.protocol.n_final_draws > 0;
        let held_out = if is_search { self.protocol.n_validation as u64 } else { 0 };
        let message = format!("expected fewer than the training pictures, {n_rows}, found {held_out}");
        let wrong = || ConfigProblem { key: "protocol.n_validation".to_owned(), message };
        problems.extend((held_out >= n_rows).then(wrong));
        problems
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
        let folder = ctx.input(&self.train);
        let train = crate::labelled_features(ctx, &self.train)?;
        let test = crate::labelled_features(ctx, &self.test)?;
        check_same_making(&folder, &ctx.input(&self.test))?;
        let mut task = ctx.task("comparing", "training rows");
        let mut observe = |done, total| task.observe(done, total);
        let result = nearest_neighbours(&train, &test, &self.protocol, &mut observe)?;
        drop(task);
        ctx.write_json("protocol.json", &result)?;
        let lineage = of_features(folder.clone())?;
        let mut entry = entry(&result, &lineage.method("nearest neighbours"));
        entry.data = data_of_features(&folder, (result.n_train, result.n_test, train.n_classes()))?;
        entry.facts.extend(lineage.facts());
        let draws = self.protocol.draws(&train)?;
        let validation = Seen::of(&folder, "validation", draws.as_ref().map(Draws::validation))?;
        let tested = Seen::of(&ctx.input(&self.test), "test", None)?;
        entry.facts.extend(validation.fact().into_iter().chain(tested.fact()));
        ctx.write_json(Entry::FILE, &entry)?;
        let mut differences =
            crate::compare_sets((result.n_train, result.n_test), SVHN_SIZES, train.n_classes());
        differences.join(lineage::compare_data(lineage::data_of(&folder)?.as_deref(), SVHN));
        differences.differences.extend(tested.difference());
        let metrics = json!({
            "k": result.k,
            "mean_error": result.mean_error,
            "deviation": result.deviation,
            "n_features": result.n_features,
        });
        Ok(Outcome { metrics, differences })
    }
}

fn entry(result: &NeighboursResult, method: &str) -> Entry {
    let protocol = &result.protocol;
    let listed: Vec<String> = protocol.ks.iter().map(usize::to_string).collect();
    let k = match protocol.ks.len() {
        1 => format!("k = {}", result.k),
        _ => {
            format!("k = {}, of {} by {} validation rows", result.k, listed.join(" "), protocol.n_validation)
        }
    };
    let mut facts = vec![
        format!("{k}, {} distances", protocol.metric.as_str()),
        format!("{} features, {} test rows", result.n_features, result.n_test),
    ];
    let by_labels =
        vec![ByLabels { n_labels: result.n_labels, error: result.mean_error, deviation: result.deviation }];
    let (table, cell) = match result.deviation {
        Some(_) => {
            let draws = result.errors.len();
            facts.insert(0, format!("mean over {draws} draws of {} labels, ± 1.96·std", result.n_labels));
            (Table::Table2, Cell::percent(result.mean_error, result.deviation))
        }
        None => {
            facts.insert(0, format!("all {} training rows", grouped(result.n_labels)));
            (Table::Other, Cell::percent(1.0 - result.mean_error, None))
        }
    };
    let with = match table {
        Table::Table2 => vec![format!("{} labels", grouped(result.n_labels))],
        _ => Vec::new(),
    };
    Entry { cells: vec![Some(cell)], facts, by_labels, with, ..Entry::new(table, method.to_owned()) }
}
