//! `svhn_protocol`: a row of Table 2.

use std::path::Path;

use dcgan_engine::context::Context;
use dcgan_engine::kind::{ConfigType, Kind, Traits};
use dcgan_engine::paper::{Stated, grouped, no_bearing, says};
use dcgan_engine::stage::{Artifact, ConfigProblem, FactsOf, Input, InputRef, Outcome, Stage};
use dcgan_eval::statistics::INTERVAL_DEVIATIONS;
use dcgan_eval::{SearchPoint, SvhnProtocol, SvhnResult, svhn_protocol};
use dcgan_report::entry::{ByLabels, Cell, Entry, Search, Table};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::artifact;
use crate::known::{known, too_few_left};
use crate::lineage::{SVHN, check_same_making, data_of_features, made_by, of_features};
use crate::seen::Seen;

/// Digits in SVHN's training and test sets.
pub(crate) const SVHN_SIZES: (usize, usize) = (73_257, 26_032);

/// Which features, and how they are measured.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SvhnStage {
    /// Features of the training set.
    train: Input,
    /// Features of the test set.
    test: Input,
    /// The protocol.
    #[serde(default)]
    protocol: SvhnProtocol,
}

/// The kind.
pub(crate) static KIND: Kind = Kind {
    name: "svhn_protocol",
    version: 6,
    summary: "measure features on SVHN with 1000 labels (Table 2): L2-SVM, mean test error ± 1.96·std",
    details: "Chooses C on validation rows held out of the training set, then trains on fresh draws of a few labels \
              a class and measures them on the test set (section 5.2). Writes result.json (the row for the report), \
              protocol.json (every draw's error, the search over C, the confusion matrix) and draws.json (the rows \
              of the training set that were held out and drawn, to repeat the measurement elsewhere).",
    example: &[
        "train=runs/svhn-released/train-features",
        "test=runs/svhn-released/test-features",
        "protocol.n_validation=2000",
    ],
    paper: &PAPER,
    traits: Traits::NONE,
    config: ConfigType::of::<SvhnStage>(),
};

/// What the paper says of the keys.
const PAPER: [Stated; 10] = [
    no_bearing("train"),
    no_bearing("test"),
    says("protocol.cs", "[0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01]", "released code"),
    says("protocol.n_validation", "10000", "section 5.2"),
    says("protocol.n_per_class", "100", "section 5.2"),
    says("protocol.n_search_draws", "10", "released code"),
    says("protocol.n_final_draws", "100", "released code"),
    no_bearing("protocol.relative_gap"),
    says("protocol.storage", "\"f32\"", "released code"),
    no_bearing("protocol.seed"),
];

impl Stage for SvhnStage {
    fn inputs(&self) -> Vec<InputRef<'_>> {
        crate::train_and_test(&self.train, &self.test)
    }

    fn yields(&self) -> Vec<Artifact> {
        vec![artifact::RESULT]
    }

    fn misfits(&self, of: &FactsOf<'_>) -> Vec<ConfigProblem> {
        let SvhnProtocol { n_validation, n_per_class, .. } = self.protocol;
        let mut problems = crate::without_labels(("train", &self.train), ("test", &self.test), of);
        let train = known(of, &self.train);
        problems.extend(too_few_left("protocol.n_validation", n_validation, n_per_class, train));
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
        let train = crate::labelled_features(ctx, &self.train)?;
        let test = crate::labelled_features(ctx, &self.test)?;
        check_same_making(&ctx.input(&self.train), &ctx.input(&self.test))?;
        let mut task = ctx.task("measuring", "draws");
        let result =
            svhn_protocol(&train, &test, &self.protocol, &mut |done, total| task.observe(done, total))?;
        drop(task);
        ctx.write_json("protocol.json", &result)?;
        let draws = self.protocol.draws(&train)?;
        let rows = json!({
            "validation": draws.validation(),
            "search": (0..self.protocol.n_search_draws).map(|i| draws.search(i)).collect::<Vec<_>>(),
            "final": (0..self.protocol.n_final_draws).map(|i| draws.fresh(i)).collect::<Vec<_>>(),
        });
        ctx.write_json("draws.json", &rows)?;

        let lineage = of_features(ctx.input(&self.train))?;
        let mut entry = entry(&result, lineage.method("L2-SVM"));
        let sizes = (result.n_train, result.n_test, train.n_classes());
        entry.data = data_of_features(&ctx.input(&self.train), sizes)?;
        entry.facts.extend(lineage.facts());
        let mut differences = lineage.differences("svhn32", SVHN);
        let (train_folder, test_folder) = (ctx.input(&self.train), ctx.input(&self.test));
        let validation = Seen::of(&train_folder, "validation", Some(draws.validation()))?;
        let tested = Seen::of(&test_folder, "test", None)?;
        entry.facts.extend(validation.fact().into_iter().chain(tested.fact()));
        ctx.write_json(Entry::FILE, &entry)?;
        differences.join(crate::compare_sets((result.n_train, result.n_test), SVHN_SIZES, train.n_classes()));
        differences.differences.extend(tested.difference());
        differences.differences.extend(self.statistics_of_validation(&train_folder)?);
        let metrics = json!({
            "mean_error": result.mean_error,
            "deviation": result.deviation,
            "c": result.c,
            "c_at_edge": result.c_at_edge,
            "n_features": result.n_features,
            "largest_gap": result.largest_gap,
            "search_seconds": result.search_seconds,
            "final_seconds": result.final_seconds,
        });
        Ok(Outcome { metrics, differences })
    }
}

impl SvhnStage {
    /// Says so where the features' batch-norm statistics are those of the validation pictures too.
    fn statistics_of_validation(&self, train: &Path) -> anyhow::Result<Option<String>> {
        let Some((_, record)) = made_by(train)? else { return Ok(None) };
        let fingerprint = |key: &str| {
            record.inputs.iter().find(|input| input.key == key).map(|input| input.fingerprint.as_str())
        };
        let Some(statistics) = fingerprint("statistics") else { return Ok(None) };
        let held_out = record.config.pointer("/extract_features/held_out");
        let of = |key: &str| held_out.and_then(|held_out| held_out.get(key)).and_then(Value::as_u64);
        let is_left_out = of("n_validation") == Some(self.protocol.n_validation as u64)
            && of("seed") == Some(self.protocol.seed);
        Ok((fingerprint("images") != Some(statistics) || !is_left_out).then(|| {
            "batch-norm statistics not known to be inferred without the validation pictures (`held_out` of \
             extract_features leaves them out)"
                .to_owned()
        }))
    }
}

fn entry(result: &SvhnResult, method: String) -> Entry {
    let draws = result.errors.len();
    let chosen = result.search.iter().find(|point| point.c == result.c);
    let spread = |point: &SearchPoint| (point.errors.len() > 1).then_some(INTERVAL_DEVIATIONS * point.std);
    let validation = |point: &SearchPoint| Cell::percent(point.mean_error, spread(point));
    Entry {
        cells: vec![Some(Cell::percent(result.mean_error, Some(result.deviation))), chosen.map(validation)],
        facts: vec![
            format!(
                "test error: mean over {draws} draws of {} labels, validation error: over the {} draws that chose C, ± 1.96·std",
                result.n_labels, result.protocol.n_search_draws
            ),
            format!("C = {}{}", result.c, if result.c_at_edge { " (at the edge of the grid)" } else { "" }),
            format!("{} features", result.n_features),
            format!("{} validation rows, {} test rows", result.n_validation, result.n_test),
        ],
        searches: vec![Search::new("validation error", result.c, &result.search)],
        by_labels: vec![ByLabels {
            n_labels: result.n_labels,
            error: result.mean_error,
            deviation: Some(result.deviation),
        }],
        with: vec![format!("{} labels", grouped(result.n_labels)); 2],
        ..Entry::new(Table::Table2, method)
    }
}
