//! `mnist_protocol`: Table 3, nearest neighbours that learn from a conditional generator's digits.

use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use dcgan_baselines::neighbours::{Metric, NearestNeighbours};
use dcgan_engine::context::Context;
use dcgan_engine::kind::{ConfigType, Kind, Traits};
use dcgan_engine::paper::{Comparison, Count, Stated, grouped, no_bearing, says};
use dcgan_engine::record::Record;
use dcgan_engine::stage::{Artifact, ConfigProblem, FactsOf, Input, InputRef, Outcome, Stage};
use dcgan_gan::sample::SAMPLE_BATCH;
use dcgan_gan::{BatchStatistics, GanError, Generator, LabelledDraws};
use dcgan_report::entry::{ByLabels, Cell, Entry, Table};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::found::{Found, Measured};
use crate::artifact;
use crate::digits::Digits;
use crate::drawing::{Weights, load_generator};
use crate::found_so_far::SAVE_EVERY;
use crate::known::{Known, known, unlabelled, unlike};
use crate::lineage::{self, MNIST, data_name};

mod found;

/// Batches of generated digits that are compared at a time: 4,096 digits, 13 MB of MNIST's.
const TILE: u64 = 32;
/// Training digits of a store that are compared at a time.
const STORE_TILE: usize = 4096;

/// From which digits, and on which.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MnistProtocol {
    /// The stage with a conditional generator, whose digits are learned from.
    #[serde(default)]
    model: Option<Input>,
    /// In place of `model`: labelled pictures, all of which are learned from, for the row of real data.
    #[serde(default)]
    train: Option<Input>,
    /// The labelled test digits.
    test: Input,
    /// Numbers of generated digits, with each of which the error is measured.
    #[serde(default = "paper_counts")]
    n_generated: Vec<u64>,
    /// ema: the exponential moving average of the generator's weights, where the training kept one. best: the generator
    /// (its average where one is kept) of the checkpoint with the lowest score.
    #[serde(default)]
    weights: Weights,
    /// Whose statistics batch norm uses. batch: each batch's of 128 digits, as in the authors' code. inferred: those of 6,400
    /// draws.
    #[serde(default)]
    statistics: BatchStatistics,
    /// Seed of z and labels.
    #[serde(default)]
    seed: u64,
}

fn paper_counts() -> Vec<u64> {
    vec![10_000, 50_000, 10_000_000]
}

/// The kind.
pub(crate) static KIND: Kind = Kind {
    name: "mnist_protocol",
    version: 1,
    summary: "measure one nearest neighbour on MNIST's test digits, trained on generated digits or on real ones (Table 3)",
    details: "Digits are drawn with labels by a conditional generator (mnist28), compared with all test digits and forgotten, \
              so that memory does not grow with their number. As in the authors' code labels are drawn uniformly, z for each \
              digit anew, in batches of 128; values are those in [0, 1] that the generator gives, not rounded to those of \
              pixels, and distances are Euclidean, between those values and the test digits' pixels / 255. The nearest is \
              exact; of digits that are equally near the earlier counts.\n\n\
              With `train` in place of `model` the row of real data is measured: its digits are those learned from.\n\n\
              Interrupted or killed, it goes on from what it had compared, kept every minute. Writes result.json (the row for \
              the report) and errors.json.",
    example: &["model=runs/mnist/train", "test=runs/mnist/test-images"],
    paper: &PAPER,
    traits: Traits { is_resumable: true, uses_device: true, ..Traits::NONE },
    config: ConfigType::of::<MnistProtocol>(),
};

/// What the paper says of the keys.
const PAPER: [Stated; 7] = [
    no_bearing("model"),
    no_bearing("train"),
    no_bearing("test"),
    no_bearing("n_generated"),
    says("weights", "\"trained\"", "released code"),
    says("statistics", "\"batch\"", "released code"),
    no_bearing("seed"),
];

impl Stage for MnistProtocol {
    fn inputs(&self) -> Vec<InputRef<'_>> {
        let model = self.model.iter().map(|name| InputRef { key: "model", name, needs: artifact::GENERATOR });
        let train = self.train.iter().map(|name| InputRef { key: "train", name, needs: artifact::IMAGES });
        let test = InputRef { key: "test", name: &self.test, needs: artifact::IMAGES };
        model.chain(train).chain([test]).collect()
    }

    fn yields(&self) -> Vec<Artifact> {
        vec![artifact::RESULT]
    }

    fn misfits(&self, of: &FactsOf<'_>) -> Vec<ConfigProblem> {
        let problem = |message: String| ConfigProblem { key: "model".to_owned(), message };
        let test = known(of, &self.test);
        let labels = unlabelled("test", test);
        if let Some(model) = &self.model {
            let network = known(of, model);
            let plain = (network.classes == Some(0)).then(|| {
                problem(
                    "expected a conditional generator, as mnist28 is, found one without labels".to_owned(),
                )
            });
            let name = format!("`{}`", model.as_str());
            return plain.into_iter().chain(unlike("test", test, network, &name)).chain(labels).collect();
        }
        let Some(train) = &self.train else { return labels.into_iter().collect() };
        let train = known(of, train);
        let side = train.size.filter(|[height, width]| height == width).map(|[height, _]| height);
        let as_network = Known { side, depth: train.channels, ..Known::default() };
        let unlike = unlike("test", test, as_network, "`train` holds the like of, and");
        unlike.into_iter().chain(labels).chain(unlabelled("train", train)).collect()
    }

    fn problems(&self) -> Vec<ConfigProblem> {
        let problem =
            |key: &str, message: &str| ConfigProblem { key: key.to_owned(), message: message.to_owned() };
        let mut problems = Vec::new();
        match (&self.model, &self.train) {
            (Some(_), Some(_)) => problems.push(problem("train", "expected `model` or `train`, found both")),
            (None, None) => problems.push(problem("model", "expected `model`, or `train` for real digits")),
            (None, Some(train)) if *train == self.test => {
                problems.push(problem(
                    "test",
                    "expected other pictures than `train`'s: a test set only measures",
                ));
            }
            _ => {}
        }
        if self.n_generated.is_empty() || self.n_generated.contains(&0) {
            problems.push(problem("n_generated", "expected at least one number, each at least 1"));
        }
        problems
    }

    fn seed(&self) -> Option<u64> {
        self.model.is_some().then_some(self.seed)
    }

    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        let mut test = Digits::open(&ctx.input(&self.test), "test")?;
        let values = test.values(0..test.labels.len());
        let mut nearest = NearestNeighbours::new(&values, test.len, 1, Metric::Euclidean)?;
        let mut entry = Entry::new(Table::Table3, String::new());
        entry.data = format!("{} test digits", grouped(test.labels.len()));
        let mut differences = lineage::compare_data(data_name(&ctx.input(&self.test))?.as_deref(), MNIST);
        differences.count("test digits", test.labels.len(), Count::Exactly(10_000));
        let measured = match (&self.model, &self.train) {
            (Some(model), _) => {
                self.check_not_learned(&ctx.input(model), &ctx.input(&self.test))?;
                let generator = load_generator(ctx, model, self.weights)?;
                test.check(generator.config().picture(), generator.config().classes)?;
                "DCGAN (this run) + 1-NN".clone_into(&mut entry.method);
                entry.facts =
                    vec![format!("digits drawn, labels uniform, by {}", self.statistics_in_words())];
                differences.join(self.trained_on(&ctx.input(model))?);
                differences.join(match_classes(&ctx.input(model), &mut test)?);
                self.of_generator(ctx, &generator, &mut nearest, &test)?
            }
            (None, Some(train)) => {
                let folder = ctx.input(train);
                crate::check_other_set(&folder, &ctx.input(&self.test))?;
                let train = Digits::open(&folder, "train")?;
                differences.join(lineage::compare_data(data_name(&folder)?.as_deref(), MNIST));
                differences.count("training digits", train.labels.len(), Count::Exactly(60_000));
                test.check(train.picture, usize::MAX)?;
                test.match_classes(&train)?;
                "real digits + 1-NN, this run".clone_into(&mut entry.method);
                vec![of_store(ctx, &train, &mut nearest, &test)?]
            }
            (None, None) => anyhow::bail!("expected `model` or `train`"),
        };
        place(&measured, self.model.is_some(), &mut entry);
        ctx.write_json(Entry::FILE, &entry)?;
        ctx.write_json("errors.json", &measured)?;
        found::remove(ctx.out)?;
        Ok(Outcome { metrics: json!({"errors": measured}), differences })
    }
}

impl MnistProtocol {
    fn statistics_in_words(&self) -> &'static str {
        match self.statistics {
            BatchStatistics::Batch => "the statistics of their batches of 128",
            BatchStatistics::Inferred => "inferred statistics",
        }
    }

    /// Refuses a generator that was trained on the test digits.
    fn check_not_learned(&self, model: &Path, test: &Path) -> anyhow::Result<()> {
        let (Some(trained), Some(test)) = (Record::read(model)?, Record::read(test)?) else { return Ok(()) };
        let images = trained.inputs.iter().find(|input| input.key == "images");
        anyhow::ensure!(
            images.is_none_or(|images| images.fingerprint != test.fingerprint()),
            "`model`: expected a generator that was not trained on the digits of `test`, found one that was, in {}",
            model.display()
        );
        Ok(())
    }

    /// Compares the generator's training digits with the paper's.
    fn trained_on(&self, model: &Path) -> anyhow::Result<Comparison> {
        Ok(lineage::of_generator(model.to_owned())?.trained("mnist28", MNIST))
    }

    /// Draws, compares and forgets, tile by tile.
    fn of_generator(
        &self,
        ctx: &Context<'_>,
        generator: &Generator,
        nearest: &mut NearestNeighbours<'_>,
        test: &Digits,
    ) -> anyhow::Result<Vec<Measured>> {
        let mut task = ctx.task("inferring statistics", "digits");
        let draws = LabelledDraws::new(generator, self.statistics, self.seed, &mut |done, total| {
            task.observe(done, total)
        })?;
        drop(task);
        let mut counts = self.n_generated.clone();
        counts.sort_unstable();
        counts.dedup();
        let n_all = counts.last().copied().unwrap_or_default();
        let of = found::of(generator, test, &(&counts, self.statistics, self.seed))?;
        let (mut n_tiles, mut measured) = found::go_on(ctx, &of, nearest)?;
        let mut task = ctx.task("drawing and comparing", "digits");
        let mut saved: Option<Instant> = None;
        while nearest.n_rows() < n_all {
            let is_stopped = task.observe(nearest.n_rows(), n_all).is_break();
            let is_due = n_tiles > 0 && saved.is_none_or(|saved| saved.elapsed() > SAVE_EVERY);
            if is_stopped || is_due {
                found::save(ctx.out, &Found::of(&of, nearest, n_tiles, &measured))?;
                saved = Some(Instant::now());
            }
            if is_stopped {
                return Err(GanError::Interrupted.into());
            }
            // The last tile may be drawn in part.
            let n_batches = (n_all - nearest.n_rows()).div_ceil(SAMPLE_BATCH as u64).min(TILE);
            let numbers: Vec<u64> = (0..n_batches).map(|batch| n_tiles * TILE + batch).collect();
            let batches = numbers.into_par_iter().map(|number| draws.batch(number));
            let batches = batches.collect::<dcgan_gan::Result<Vec<_>>>()?;
            let values: Vec<f32> = batches.iter().flat_map(|batch| &batch.values).copied().collect();
            let labels: Vec<u32> = batches.iter().flat_map(|batch| &batch.labels).copied().collect();
            let mut first = 0;
            while let Some(&count) = counts.iter().find(|&&count| count > nearest.n_rows())
                && first < labels.len()
            {
                let n = ((count - nearest.n_rows()) as usize).min(labels.len() - first);
                nearest.add(&values[first * test.len..(first + n) * test.len], &labels[first..first + n])?;
                first += n;
                if nearest.n_rows() == count {
                    measured.push(measure(test, nearest)?);
                }
            }
            n_tiles += 1;
        }
        Ok(measured)
    }
}

/// Numbers the test digits' labels as those that the generator learned, by the classes' names.
fn match_classes(model: &Path, test: &mut Digits) -> anyhow::Result<Comparison> {
    let record = Record::read(model)?;
    let images = record.iter().flat_map(|record| &record.inputs).find(|input| input.key == "images");
    let folder =
        images.map(|images| model.join(&images.path)).filter(|folder| folder.join("meta.json").exists());
    let learned = folder.map(|folder| Digits::open(&folder, "model")).transpose()?;
    match learned {
        Some(learned) if learned.has_names() && test.has_names() => {
            test.match_classes(&learned)
                .context("`test`: its classes are not those that the generator learned")?;
            Ok(Comparison::of_settings())
        }
        _ => {
            Ok(Comparison::not_checked("nothing names the classes of the labels that the generator learned"))
        }
    }
}

/// Learns from all digits of a store.
fn of_store(
    ctx: &Context<'_>,
    train: &Digits,
    nearest: &mut NearestNeighbours<'_>,
    test: &Digits,
) -> anyhow::Result<Measured> {
    let mut task = ctx.task("comparing", "digits");
    let n = train.labels.len();
    for first in (0..n).step_by(STORE_TILE) {
        if task.observe(first as u64, n as u64).is_break() {
            return Err(GanError::Interrupted.into());
        }
        let rows = first..n.min(first + STORE_TILE);
        nearest.add(&train.values(rows.clone()), &train.labels[rows])?;
    }
    measure(test, nearest)
}

/// The error on the test digits by what was compared so far.
fn measure(test: &Digits, nearest: &NearestNeighbours<'_>) -> anyhow::Result<Measured> {
    let predictions = nearest.predictions(1)?;
    let n_wrong = predictions.iter().zip(&test.labels).filter(|(ours, label)| ours != label).count();
    let error = n_wrong as f64 / test.labels.len() as f64;
    Ok(Measured { n_digits: nearest.n_rows(), n_wrong, error })
}

/// Puts the errors into the table's columns: those of the paper's numbers into theirs, others into what is left, and all of them
/// into the plot.
fn place(measured: &[Measured], is_generated: bool, entry: &mut Entry) {
    let columns = paper_counts();
    let mut placed: Vec<Option<&Measured>> = Vec::new();
    // Real digits stand where the paper's do.
    let is_of =
        |found: &&Measured, column: u64| found.n_digits == column || (!is_generated && column == 50_000);
    for &column in &columns {
        placed.push(measured.iter().find(|found| is_of(found, column)));
    }
    let is_placed =
        |found: &Measured, placed: &[Option<&Measured>]| placed.iter().flatten().any(|p| *p == found);
    for found in measured {
        if !is_placed(found, &placed)
            && let Some(free) = placed.iter_mut().find(|place| place.is_none())
        {
            *free = Some(found);
        }
    }
    entry.cells = placed.iter().map(|found| found.map(|found| Cell::percent(found.error, None))).collect();
    let what = if is_generated { "digits" } else { "real digits" };
    let with = |found: &Measured| format!("{} {what}", grouped(found.n_digits as usize));
    entry.with = placed.iter().map(|found| found.map_or(String::new(), with)).collect();
    for found in measured.iter().filter(|found| !is_placed(found, &placed)) {
        entry.facts.push(format!("{}: {:.2} %", with(found), 100.0 * found.error));
    }
    entry.by_labels = measured
        .iter()
        .map(|found| ByLabels { n_labels: found.n_digits as usize, error: found.error, deviation: None })
        .collect();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_stand_in_the_papers_columns_where_there_are_such() {
        let found = |n_digits, error| Measured { n_digits, n_wrong: 0, error };
        let cells = |measured: &[Measured], is_generated| {
            let mut entry = Entry::new(Table::Table3, String::new());
            place(measured, is_generated, &mut entry);
            let values: Vec<_> = entry.cells.iter().map(|cell| cell.map(|cell| cell.value)).collect();
            (values, entry.with, entry.facts)
        };
        let (values, with, facts) = cells(&[found(300, 0.5), found(50_000, 0.25)], true);
        assert_eq!(values, [Some(50.0), Some(25.0), None]);
        assert_eq!((with[0].as_str(), with[1].as_str(), facts.len()), ("300 digits", "50,000 digits", 0));
        let four = [found(1, 0.4), found(2, 0.3), found(10_000, 0.2), found(10_000_000, 0.1)];
        let (values, _, facts) = cells(&four, true);
        assert_eq!(values, [Some(20.0), Some(40.0), Some(10.0)]);
        assert_eq!(facts, ["2 digits: 30.00 %"]);
        let (values, with, _) = cells(&[found(60_000, 0.031)], false);
        assert_eq!((values, with[1].as_str()), (vec![None, Some(3.1), None], "60,000 real digits"));
    }
}
