//! `memorisation`: whether samples are nearer to training pictures than held-out pictures are.

use std::collections::{HashMap, HashSet};

use dcgan_engine::context::Context;
use dcgan_engine::kind::{ConfigType, Kind, Traits};
use dcgan_engine::paper::{Comparison, Stated, no_bearing};
use dcgan_engine::stage::{Artifact, ConfigProblem, FactsOf, Input, InputRef, Outcome, Stage};
use dcgan_gan::BatchStatistics;
use dcgan_images::{ImageStore, Sheet};
use dcgan_metrics::memorisation::{Memorisation, Near, memorisation};
use dcgan_report::axis::Axis;
use dcgan_report::entry::{Cell, Entry, SAMPLE_COLUMNS, Table};
use dcgan_report::figure::Figure;
use dcgan_report::plot::{Plot, PlotPoint, Series, Style};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::artifact;
use crate::drawing::{Weights, write_figures};
use crate::feature_maker::{By, Maker, check_size, picture_size};
use crate::found_so_far;
use crate::known::{known, more_than_there_are, nothing_drawn, unlike};
use crate::sample_metrics::sets::{Drawing, Set};

mod nearest;

use nearest::{Way, nearest};

/// Pairs in a row of a sheet.
const PAIRS_IN_ROW: usize = 4;
/// Cells from one pair to the next.
const PAIR: f64 = 2.25;

/// Which samples, which training pictures, and what is near.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemorisationStage {
    /// What is judged: a generator, whose pictures are drawn, or pictures.
    generated: Input,
    /// The pictures that it was trained on.
    training: Input,
    /// Real pictures that it was not trained on.
    held_out: Input,
    /// Also by the features of this discriminator, with statistics inferred over `training`.
    #[serde(default)]
    discriminator: Option<Input>,
    /// Also by the semantic code of this autoencoder, before its thresholds.
    #[serde(default)]
    autoencoder: Option<Input>,
    /// Pictures to draw.
    #[serde(default = "ten_thousand")]
    #[schemars(range(min = 1))]
    n_images: usize,
    /// Held-out pictures, drawn by `seed`; all of them where it is left out.
    #[serde(default)]
    #[schemars(range(min = 1))]
    n_held_out: Option<usize>,
    /// A sample is near where it is nearer than all but this share of the held-out pictures.
    #[serde(default = "one_percent")]
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    quantile: f64,
    /// Pairs of a sample and its nearest training picture that are shown, nearest first.
    #[serde(default = "sixteen")]
    #[schemars(range(min = 1, max = 400))]
    n_pairs: usize,
    /// How often pictures are drawn again for the intervals by bootstrap.
    #[serde(default = "thousand")]
    #[schemars(range(min = 1))]
    bootstrap: usize,
    /// Seed of the z, of the choice of held-out pictures and of the bootstrap.
    #[serde(default)]
    seed: u64,
    /// Which of a training's generators: trained, ema or best.
    #[serde(default)]
    weights: Weights,
    /// Whose statistics the generator's batch norm uses: batch, or inferred.
    #[serde(default)]
    batch_norm: BatchStatistics,
}

fn ten_thousand() -> usize {
    10_000
}

fn one_percent() -> f64 {
    0.01
}

fn sixteen() -> usize {
    16
}

fn thousand() -> usize {
    1000
}

/// Why samples cannot be their own yardstick.
const GENERATED_HELD_OUT: &str = "expected other pictures than `generated`: of the same ones as many are near by the same measure, whatever was memorised";

/// The kind.
pub(crate) static KIND: Kind = Kind {
    name: "memorisation",
    version: 1,
    summary: "find for each sample the nearest training picture, and compare with held-out pictures",
    details: "By pixels, and where they are given by a discriminator's features and by semantic codes: for each sample the nearest \
              training picture, and for each held-out picture likewise, exactly. The share of samples that are nearer than the \
              held-out ones' 1 % quantile is about 1 % where nothing is memorised; its 95 % interval is by bootstrap.\n\n\
              Writes memorisation.json (distances by quantiles, histograms, shares, the nearest pairs), a sheet of the nearest pairs for each \
              way, sample left and training picture right, with figures.json, and result.json (a row of the report).\n\n\
              Interrupted or killed, it goes on from the training pictures that it had compared, kept every minute.",
    example: &[
        "generated=runs/svhn/train",
        "training=runs/svhn/gan-images",
        "held_out=runs/svhn/test-images",
        "discriminator=runs/svhn/train",
        "n_images=2000",
        "n_held_out=2000",
    ],
    paper: &PAPER,
    traits: Traits { is_resumable: true, uses_device: true, ..Traits::NONE },
    config: ConfigType::of::<MemorisationStage>(),
};

/// What the paper says of the keys.
const PAPER: [Stated; 1] = [no_bearing("*")];

impl Stage for MemorisationStage {
    fn inputs(&self) -> Vec<InputRef<'_>> {
        let input = |key, name, needs| InputRef { key, name, needs };
        let discriminator = self.discriminator.iter();
        let autoencoder = self.autoencoder.iter();
        discriminator
            .map(|name| input("discriminator", name, artifact::DISCRIMINATOR))
            .chain(autoencoder.map(|name| input("autoencoder", name, artifact::AUTOENCODER)))
            .chain([
                input("generated", &self.generated, artifact::PICTURES_OR_GENERATOR),
                input("training", &self.training, artifact::IMAGES),
                input("held_out", &self.held_out, artifact::IMAGES),
            ])
            .collect()
    }

    fn yields(&self) -> Vec<Artifact> {
        vec![artifact::RESULT, artifact::FIGURES]
    }

    fn misfits(&self, of: &FactsOf<'_>) -> Vec<ConfigProblem> {
        let network = known(of, self.discriminator.as_ref().unwrap_or(&self.generated));
        let name = format!("`{}`", self.discriminator.as_ref().unwrap_or(&self.generated).as_str());
        let inputs = [("training", &self.training), ("held_out", &self.held_out)];
        let unlike = inputs.into_iter().filter_map(|(key, set)| unlike(key, known(of, set), network, &name));
        let drawing = [
            ("n_images", self.n_images != ten_thousand()),
            ("weights", self.weights != Weights::default()),
            ("batch_norm", self.batch_norm != BatchStatistics::default()),
        ];
        let drawn = nothing_drawn(known(of, &self.generated), &self.generated, &drawing);
        let n = self.n_held_out.unwrap_or_default() as u64;
        let chosen = more_than_there_are("n_held_out", n, known(of, &self.held_out), "pictures");
        unlike.chain(drawn).chain(chosen).collect()
    }

    fn problems(&self) -> Vec<ConfigProblem> {
        let others = [
            (&self.training, "expected other pictures than `training`: what was trained on is near itself"),
            (&self.generated, GENERATED_HELD_OUT),
        ];
        let wrong = others.into_iter().filter(|(other, _)| **other == self.held_out);
        let problem = |(_, message): (&Input, &str)| ConfigProblem {
            key: "held_out".to_owned(),
            message: message.to_owned(),
        };
        wrong.map(problem).collect()
    }

    fn seed(&self) -> Option<u64> {
        Some(self.seed)
    }

    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        let [training, held_out, generated] =
            [&self.training, &self.held_out, &self.generated].map(|set| ctx.input(set));
        crate::check_other_set(&training, &held_out)?;
        anyhow::ensure!(!crate::is_same_set(&generated, &held_out)?, "`held_out`: {GENERATED_HELD_OUT}");
        if crate::is_same_set(&generated, &training)? {
            ctx.progress().warn(
                "`generated` is the training set itself: this checks the measure (every picture is found), and says nothing of a \
                 generator",
            );
        }
        let training = ImageStore::open(&ctx.input(&self.training))?;
        let size = picture_size(&training);
        let drawing =
            Drawing { n: self.n_images, seed: self.seed, weights: self.weights, batch_norm: self.batch_norm };
        let samples = Set::open(ctx, "generated", &self.generated, Some(drawing))?;
        let mut held_out = Set::open(ctx, "held_out", &self.held_out, None)?;
        for set in [&samples, &held_out] {
            check_size("those of `training`", size, set.size().unwrap_or(size))?;
        }
        if let Some(n) = self.n_held_out {
            held_out.keep(n, self.seed)?;
        }
        let n = samples.len();
        let ways = self.ways(ctx, size)?;
        let mut pixels = samples.pixels(ctx)?;
        let n_bytes = pixels.len();
        pixels.extend(held_out.pixels(ctx)?);
        self.check_copies(ctx, &pixels[..n_bytes], &pixels[n_bytes..], &training)?;
        let (mut entry, mut figures, mut all) =
            (Entry::new(Table::Samples, self.method()), Vec::new(), Map::new());
        entry.cells = vec![None; SAMPLE_COLUMNS.len()];
        entry.intervals = vec![None; SAMPLE_COLUMNS.len()];
        for way in &ways {
            let near = nearest(ctx, way, &pixels, &training)?;
            let bootstrap = (self.bootstrap, self.seed);
            let found = memorisation(&near[..n], &near[n..], self.quantile, bootstrap)?;
            let pairs = nearest_pairs(&near[..n], self.n_pairs);
            figures.push(self.figure(ctx, way, &pairs, (&pixels, &training))?);
            put(&mut entry, way, &found);
            warn(ctx, way, &found);
            let pairs: Vec<Value> = pairs
                .iter()
                .map(|(sample, near)| json!({"sample": sample, "training": near.row, "distance": near.distance}))
                .collect();
            all.insert(way.name.to_owned(), json!({"found": found, "pairs": pairs}));
        }
        entry.facts = self.facts(n, pixels.len() / size.iter().product::<usize>() - n, training.len());
        write_figures(ctx, &figures)?;
        let shares: Map<String, Value> =
            all.iter().map(|(way, found)| (way.clone(), found["found"]["share"].clone())).collect();
        ctx.write_json("memorisation.json", &all)?;
        ctx.write_json(Entry::FILE, &entry)?;
        ways.iter().try_for_each(|way| found_so_far::remove(&nearest::so_far(ctx, way)))?;
        Ok(Outcome {
            metrics: json!({"n_samples": n, "nearer": shares}),
            differences: Comparison::of_settings(),
        })
    }
}

impl MemorisationStage {
    fn ways(&self, ctx: &Context<'_>, size: [usize; 3]) -> anyhow::Result<Vec<Way>> {
        let models = [
            ("pixels", Some(None)),
            ("features", self.discriminator.as_ref().map(Some)),
            ("code", self.autoencoder.as_ref().map(Some)),
        ];
        let mut statistics = || Ok(ImageStore::open(&ctx.input(&self.training))?);
        let mut way = |(name, model): (&'static str, Option<Option<&Input>>)| {
            Some(Maker::open(ctx, By::Model(model?), &mut statistics, size).map(|maker| Way { name, maker }))
        };
        models.into_iter().filter_map(&mut way).collect()
    }

    /// Held-out pictures that are samples or training pictures, pixel for pixel: all of them are an error, some are said.
    fn check_copies(
        &self,
        ctx: &Context<'_>,
        samples: &[u8],
        held_out: &[u8],
        training: &ImageStore,
    ) -> anyhow::Result<()> {
        let len: usize = picture_size(training).iter().product();
        let mut counts: HashMap<&[u8], usize> = HashMap::new();
        held_out.chunks_exact(len).for_each(|picture| *counts.entry(picture).or_default() += 1);
        let n = held_out.len() / len;
        let count = |found: HashSet<&[u8]>| found.iter().map(|picture| counts[picture]).sum::<usize>();
        let trained: HashSet<&[u8]> = (0..training.len())
            .map(|idx| training.image(idx))
            .filter(|picture| counts.contains_key(picture))
            .collect();
        let sampled: HashSet<&[u8]> =
            samples.chunks_exact(len).filter(|picture| counts.contains_key(picture)).collect();
        for (n_copies, other) in [(count(trained), "training"), (count(sampled), "generated")] {
            anyhow::ensure!(
                n_copies < n,
                "`held_out`: expected pictures that are not all in `{other}`, found that all {n} are"
            );
            if n_copies > 0 {
                ctx.progress().warn(format_args!(
                    "{n_copies} of the {n} held-out pictures are in `{other}` too, pixel for pixel"
                ));
            }
        }
        Ok(())
    }

    fn method(&self) -> String {
        format!("{} beside the held-out pictures {}", self.generated.as_str(), self.held_out.as_str())
    }

    fn facts(&self, n: usize, n_held_out: usize, n_training: usize) -> Vec<String> {
        vec![
            format!("{n} samples and {n_held_out} held-out pictures against {n_training} training pictures"),
            format!(
                "near: nearer to one than all but {} % of the held-out pictures are",
                100.0 * self.quantile
            ),
        ]
    }

    /// The sheet of the nearest pairs.
    fn figure(
        &self,
        ctx: &Context<'_>,
        way: &Way,
        pairs: &[(usize, Near)],
        (pixels, training): (&[u8], &ImageStore),
    ) -> anyhow::Result<Figure> {
        let [channels, height, width] = picture_size(training);
        let len = channels * height * width;
        let n_columns = pairs.len().min(PAIRS_IN_ROW);
        let mut sheet = Sheet::new(
            height.max(width),
            pairs.len().div_ceil(n_columns.max(1)) as f64,
            PAIR * (n_columns.max(1) - 1) as f64 + 2.0,
        );
        for (idx, (sample, near)) in pairs.iter().enumerate() {
            let (row, column) = ((idx / PAIRS_IN_ROW) as f64, PAIR * (idx % PAIRS_IN_ROW) as f64);
            sheet.place(&pixels[sample * len..][..len], row, column);
            sheet.place(training.image(near.row as usize), row, column + 1.0);
        }
        let file = format!("nearest_by_{}.png", way.name);
        sheet.write(&ctx.out.join(&file))?;
        Ok(Figure {
            file,
            title: format!("Nearest training pictures by {}", way.name),
            caption: format!(
                "The samples of {} that are nearest to a training picture by {}, each with that picture on its right; nearest first.",
                self.generated.as_str(),
                way.maker.name
            ),
            alt: format!(
                "{} pairs of small pictures: samples, and beside each the training picture nearest to it by {}",
                pairs.len(),
                way.name
            ),
        })
    }
}

/// The samples that are nearest to a training picture, nearest first.
fn nearest_pairs(near: &[Near], n: usize) -> Vec<(usize, Near)> {
    let mut pairs: Vec<(usize, Near)> = near.iter().copied().enumerate().collect();
    pairs.sort_by(|(_, a), (_, b)| a.distance.total_cmp(&b.distance));
    pairs.truncate(n);
    pairs
}

/// Puts what was found into the row, with a plot of both distributions.
fn put(entry: &mut Entry, way: &Way, found: &Memorisation) {
    let column = format!("near training pictures by {} (%)", way.name);
    if let Some(at) = SAMPLE_COLUMNS.iter().position(|name| *name == column) {
        entry.cells[at] = Some(Cell::percent(found.share, None));
        entry.intervals[at] = Some([100.0 * found.interval.low, 100.0 * found.interval.high]);
    }
    let series = |name: &str, side: usize| Series {
        name: name.to_owned(),
        style: Style::Line,
        points: found
            .histogram
            .iter()
            .map(|bar| PlotPoint { x: bar[0], y: 100.0 * bar[side], deviation: None })
            .collect(),
    };
    entry.plots.push(Plot {
        title: format!("Distance to the nearest training picture by {}", way.name),
        caption: format!(
            "{} samples and {} held-out real pictures, by {}. What is nearer than the dashed line is nearer than all but {} % of the \
             held-out pictures: {} samples.",
            found.n_samples, found.n_held_out, way.maker.name, 100.0 * found.quantile, found.n_nearer
        ),
        x: Axis::linear("distance"),
        y: Axis::linear("share of pictures (%)"),
        series: vec![series("samples", 1), series("held-out pictures", 2)],
        mark: Some((found.threshold, "held-out quantile".to_owned())),
    });
}

fn warn(ctx: &Context<'_>, way: &Way, found: &Memorisation) {
    if found.threshold == 0.0 {
        ctx.progress().warn(format_args!(
            "{} % or more of the held-out pictures are among the training pictures by {}: no sample can be nearer",
            100.0 * found.quantile,
            way.name
        ));
    }
    if found.interval.low > found.quantile {
        ctx.progress().warn(format_args!(
            "{:.2} % of the samples are nearer to a training picture by {} than all but {} % of the held-out pictures are: see the sheet",
            100.0 * found.share,
            way.name,
            100.0 * found.quantile
        ));
    }
}
