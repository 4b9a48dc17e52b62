//! `forget`: samples without an object (section 6.3.1).

use std::path::{Path, PathBuf};

use dcgan_engine::context::Context;
use dcgan_engine::external::{External, Form};
use dcgan_engine::kind::{ConfigType, Kind, Traits};
use dcgan_engine::paper::{Comparison, Stated, by_stage, no_bearing, says, unstated};
use dcgan_engine::stage::{Artifact, ConfigProblem, FactsOf, Input, InputRef, Outcome, Stage};
use dcgan_files::csv::field;
use dcgan_files::words::counted;
use dcgan_gan::classifier::{self, Classifier};
use dcgan_gan::forget::measure::{self, Measure, Measured, measure};
use dcgan_gan::forget::{ForgetConfig, ObjectMaps, learn};
use dcgan_gan::{BatchStatistics, Sampler, sample};
use dcgan_images::{PixelBox, SampleBox, read_boxes, write_boxes};
use dcgan_report::figure::Figure;
use dcgan_synthetic::find_windows;
use ndarray::Array2;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::drawing::{
    Drawn, DrawnBy, Weights, before_and_after, inferred, load_generator, sampler, write_figures, z_of,
};
use crate::known::{conditional, grey, known};
use crate::lineage::{self, LSUN};
use crate::{artifact, device};

/// A way to find an object without hand-drawn boxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Rule {
    /// The windows of the synthetic set of that name.
    Windows,
}

impl Rule {
    fn find(self, picture: &[u8], side: usize) -> Vec<PixelBox> {
        match self {
            Self::Windows => find_windows(picture, side, side),
        }
    }
}

/// Which object, of which generator.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Forget {
    /// The stage with the generator.
    model: Input,
    /// ema: the exponential moving average of the generator's weights, where the training kept one. best: the generator
    /// (its average where one is kept) of the checkpoint with the lowest score.
    #[serde(default)]
    weights: Weights,
    /// Whose statistics batch norm uses. batch: each batch's of 128 z, as in the authors' code. inferred: those of 6,400
    /// draws, so that a picture depends on its z alone.
    #[serde(default = "inferred")]
    statistics: BatchStatistics,
    /// The `sample` stage on whose pictures the boxes lie; drawn by the same `model` with the same `weights` and
    /// `statistics`.
    samples: Input,
    /// A CSV with the columns sample,x0,y0,x1,y1, in pixels; x1 and y1 lie beyond the box.
    #[serde(default)]
    #[schemars(extend("format" = "path"))]
    boxes: Option<PathBuf>,
    /// Find the boxes by a rule: the windows of the synthetic set `windows`. Beside `boxes` it only says which pixels lie
    /// beside the object, for measured.json.
    #[serde(default)]
    rule: Option<Rule>,
    /// Stages `train_classifier` that judge new samples; without one nothing is said of what came of it.
    #[serde(default)]
    judges: Vec<Input>,
    /// New samples that are judged.
    #[serde(default = "thousand")]
    #[schemars(range(min = 1, max = 8192))]
    n_measured: usize,
    /// Draws of each kind of control.
    #[serde(default = "twenty")]
    #[schemars(range(min = 2, max = 1000))]
    n_controls: usize,
    /// Samples in the figure.
    #[serde(default = "sixteen")]
    #[schemars(range(min = 1, max = 256))]
    n_shown: usize,
    /// How the maps are found.
    #[serde(default)]
    forgetting: ForgetConfig,
}

fn thousand() -> usize {
    1000
}

fn twenty() -> usize {
    20
}

fn sixteen() -> usize {
    16
}

/// The kind.
pub(crate) static KIND: Kind = Kind {
    name: "forget",
    version: 3,
    summary: "drop the generator's feature maps that draw an object (section 6.3.1)",
    details: "Boxes say where the object is on some samples. A logistic regression on the generator's second highest feature maps \
              tells places in the boxes from random ones beside them, and every map with a positive weight is set to 0 at all \
              places. Writes forget.png, new samples before and after, side by side; maps.json, the weights and what was \
              dropped; boxes.csv, the boxes that were used; measured.json, what came of it; verdicts.csv, every judge's logit for every new \
              sample before and after (above 0: it sees its object).\n\n\
              Boxes come from `boxes`, a CSV that the page boxes.html of `sample` saves, or from `rule`: the windows of the \
              synthetic set are found by their colour.\n\n\
              Whether the object is gone is judged by `judges`, stages `train_classifier`: they have seen neither boxes nor \
              samples. Each counts its object on new samples before and after, and after dropping other maps instead: \
              `n_controls` times as many drawn at random, and `n_controls` times as many whose weights in the next layer have \
              the same norm in all. A judge of another object shows what else is lost.\n\n\
              With `statistics=inferred` the batch norm behind the maps keeps the statistics of the whole generator, so that \
              what is dropped is gone. With `batch` it scales what is left up again, and with it remains of the object.",
    example: &["model=out/model", "samples=out/samples", "rule=windows", "judges=[\"out/classifier\"]"],
    paper: &PAPER,
    traits: Traits { uses_device: true, ..Traits::NONE },
    config: ConfigType::of::<Forget>(),
};

/// What the paper says of the keys.
const PAPER: [Stated; 14] = [
    no_bearing("model"),
    says("weights", "\"trained\"", "released code"),
    says("statistics", "\"batch\"", "released code"),
    no_bearing("samples"),
    by_stage("boxes"),
    by_stage("rule"),
    no_bearing("judges"),
    no_bearing("n_measured"),
    no_bearing("n_controls"),
    no_bearing("n_shown"),
    says("forgetting.layer", "2", "section 6.3.1"),
    unstated("forgetting.negatives"),
    unstated("forgetting.l2"),
    no_bearing("forgetting.seed"),
];

impl Stage for Forget {
    fn inputs(&self) -> Vec<InputRef<'_>> {
        let judge = |name| InputRef { key: "judges", name, needs: artifact::CLASSIFIER };
        [
            InputRef { key: "model", name: &self.model, needs: artifact::GENERATOR },
            InputRef { key: "samples", name: &self.samples, needs: artifact::SAMPLES },
        ]
        .into_iter()
        .chain(self.judges.iter().map(judge))
        .collect()
    }

    fn yields(&self) -> Vec<Artifact> {
        vec![artifact::FIGURES]
    }

    fn external_paths(&self) -> Vec<External> {
        self.boxes.iter().map(|path| External { key: "boxes", path: path.clone(), is: Form::File }).collect()
    }

    fn misfits(&self, of: &FactsOf<'_>) -> Vec<ConfigProblem> {
        let (model, why) = (known(of, &self.model), "what it draws is said by the label");
        grey("model", model).into_iter().chain(conditional("model", model, why)).collect()
    }

    fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = ConfigProblem::of("forgetting", self.forgetting.validate());
        if self.boxes.is_none() && self.rule.is_none() {
            let message = "expected `boxes`, a CSV, or a `rule` that finds them".to_owned();
            problems.push(ConfigProblem { key: "boxes".to_owned(), message });
        }
        problems
    }

    fn seed(&self) -> Option<u64> {
        Some(self.forgetting.seed)
    }

    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        let generator = load_generator(ctx, &self.model, self.weights)?;
        let channels = generator.config().channels();
        anyhow::ensure!(
            channels == 3,
            "`model`: expected a generator of colour pictures, found one of {channels} channels"
        );
        let seed = self.forgetting.seed;
        let sampler = sampler(ctx, &generator, self.statistics, seed)?;
        let z = z_of(ctx, &self.samples, &sampler)?;
        let boxes = self.boxes(ctx, &sampler, &z)?;
        write_boxes(&ctx.out.join("boxes.csv"), &boxes)?;
        let mut task = ctx.task("learning", "pictures");
        let maps =
            learn(&sampler, &z, &boxes, &self.forgetting, &mut |done, total| task.observe(done, total))?;
        drop(task);
        ctx.write_json(
            "maps.json",
            &json!({"layer": maps.layer, "weights": maps.weights, "dropped": maps.positive()}),
        )?;
        let [n_inside, n_maps] = [maps.n_places[0], maps.weights.len()];
        if n_inside < n_maps {
            ctx.progress().warn(format_args!(
                "{n_inside} places in {} for {n_maps} maps: so few can be told from others by chance; draw more boxes",
                counted(boxes.len(), "box")
            ));
        }
        let mut metrics = self.metrics(&boxes, &maps);
        let (shown, measured) = self.measured(ctx, &sampler, &maps)?;
        if let Some(measured) = &measured {
            ctx.write_json("measured.json", measured)?;
            metrics["measured"] = serde_json::to_value(measured)?;
        }
        let [before, after] = shown;
        before_and_after(&before, &after, self.n_shown).write(&ctx.out.join("forget.png"))?;
        write_figures(ctx, &[self.figure(&boxes, &maps, measured.as_ref())])?;
        let mut differences = lineage::of_generator(ctx.input(&self.model))?.drawn(LSUN);
        differences.join(Comparison::found(self.differences(&z, &boxes)));
        Ok(Outcome { metrics, differences })
    }
}

/// Changes a seed into that of the new samples.
const NEW_SAMPLES: u64 = 0x6e65_7773_616d_706c;

impl Forget {
    /// New samples before and after, and what the judges say of them.
    fn measured(
        &self,
        ctx: &Context<'_>,
        sampler: &Sampler<'_>,
        maps: &ObjectMaps,
    ) -> anyhow::Result<([Drawn; 2], Option<Measured>)> {
        let config = sampler.generator().config();
        let (picture, side) = (config.picture(), config.image_size());
        let n = if self.judges.is_empty() { self.n_shown } else { self.n_measured.max(self.n_shown) };
        // Other z than those of any samples: these have been learned from.
        let new = sample::first_z(config, n, self.forgetting.seed ^ NEW_SAMPLES)?;
        if self.judges.is_empty() {
            let without = sampler.clone().without(maps.layer, &maps.positive())?;
            return Ok(([Drawn::new(ctx, sampler, &new)?, Drawn::new(ctx, &without, &new)?], None));
        }
        let judge = |input: &Input| {
            let judge = Classifier::load(&ctx.input(input).join(classifier::FILE), &device::open(ctx)?)?;
            anyhow::ensure!(
                judge.picture() == picture,
                "judge `{}`: expected a classifier of {side}×{side} pictures, as the generator draws, found one of {1}×{1}",
                input.as_str(),
                judge.picture()[1]
            );
            Ok((input.as_str().to_owned(), judge))
        };
        let judges: Vec<(String, Classifier)> =
            self.judges.iter().map(judge).collect::<anyhow::Result<_>>()?;
        let locate = self.rule.map(|rule| move |picture: &[u8]| rule.find(picture, side));
        let how = Measure {
            judges: &judges,
            locate: locate.as_ref().map(|locate| locate as &measure::Locate<'_>),
            n_controls: self.n_controls,
            seed: self.forgetting.seed,
        };
        let mut task = ctx.task("dropping", "choices of maps");
        let (measured, pixels) =
            measure(sampler, &new, maps, &how, &mut |done, total| task.observe(done, total))?;
        write_verdicts(&ctx.out.join("verdicts.csv"), &judges, &pixels)?;
        Ok((pixels.map(|pixels| Drawn::of(pixels, picture)), Some(measured)))
    }

    fn boxes(
        &self,
        ctx: &Context<'_>,
        sampler: &Sampler<'_>,
        z: &Array2<f32>,
    ) -> anyhow::Result<Vec<SampleBox>> {
        let side = sampler.generator().config().image_size();
        if let Some(path) = &self.boxes {
            let drawn = DrawnBy { model: &self.model, weights: self.weights, statistics: self.statistics };
            if let Some(unlike) = drawn.unlike(ctx, &self.samples)? {
                anyhow::bail!(
                    "{unlike}; the boxes of {} lie on those pictures, not on these",
                    path.display()
                );
            }
            let boxes = read_boxes(path, z.nrows(), [side, side])?;
            let path = path.display();
            anyhow::ensure!(
                !boxes.is_empty(),
                "{path}: expected at least one box on {} samples, found none",
                z.nrows()
            );
            return Ok(boxes);
        }
        let Some(rule) = self.rule else { return Ok(Vec::new()) };
        let drawn = Drawn::new(ctx, sampler, z)?;
        let on = |sample: usize| {
            let found = rule.find(drawn.picture(sample), side).into_iter();
            found.map(move |bounds| SampleBox { sample, bounds })
        };
        let boxes: Vec<SampleBox> = (0..drawn.len()).flat_map(on).collect();
        let name = serde_json::to_value(rule)?;
        anyhow::ensure!(
            !boxes.is_empty(),
            "the rule {name}: expected to find the object on some of {} samples, found it on none",
            drawn.len()
        );
        Ok(boxes)
    }

    fn metrics(&self, boxes: &[SampleBox], maps: &ObjectMaps) -> serde_json::Value {
        json!({
            "n_boxes": boxes.len(),
            "n_places_in_boxes": maps.n_places[0],
            "n_places_beside": maps.n_places[1],
            "n_maps": maps.weights.len(),
            "n_dropped": maps.positive().len(),
            "regression_accuracy": maps.accuracy,
        })
    }

    fn figure(&self, boxes: &[SampleBox], maps: &ObjectMaps, measured: Option<&Measured>) -> Figure {
        Figure {
            file: "forget.png".to_owned(),
            title: "Forgetting an object".to_owned(),
            caption: format!(
                "New samples in pairs of rows: as the generator draws them, and under each the same z without {} of {} feature \
                 maps, those with a positive weight for the object in {}.{}",
                maps.positive().len(),
                maps.weights.len(),
                counted(boxes.len(), "box"),
                measured.map_or_else(|| " Whether the object is gone was not judged.".to_owned(), sentence),
            ),
            alt: format!(
                "{}, each above the same sample drawn without the object's feature maps",
                counted(self.n_shown as u64, "sample")
            ),
        }
    }

    fn differences(&self, z: &Array2<f32>, boxes: &[SampleBox]) -> Vec<String> {
        let by = if self.boxes.is_some() { "by hand" } else { "found by a rule, not by hand" };
        vec![format!(
            "{} on {}, {by}; the paper has 52 on 150",
            counted(boxes.len(), "box"),
            counted(z.nrows(), "sample")
        )]
    }
}

/// Writes the columns `sample`, `judge`, `before` and `after`: logits.
fn write_verdicts(path: &Path, judges: &[(String, Classifier)], pixels: &[Vec<u8>; 2]) -> anyhow::Result<()> {
    let mut table = csv::Writer::from_writer(fs_err::File::create(path)?);
    table.write_record(["sample", "judge", "before", "after"])?;
    for (name, judge) in judges {
        let (before, after) = (judge.logits(&pixels[0])?, judge.logits(&pixels[1])?);
        for (sample, (before, after)) in before.iter().zip(&after).enumerate() {
            let [sample, before, after] = [sample.to_string(), before.to_string(), after.to_string()];
            table.write_record([&*sample, &*field(name), &*before, &*after])?;
        }
    }
    Ok(table.flush()?)
}

/// What the judges saw, and what else changed.
fn sentence(measured: &Measured) -> String {
    let percent = |figure: &measure::Figure| {
        format!(
            "{:.1} % before, {:.1} % after, {:.1} ± {:.1} % without as many maps at random, {:.1} ± {:.1} % without as many of \
             the same norm",
            100.0 * figure.before.unwrap_or(f64::NAN),
            100.0 * figure.after,
            100.0 * figure.random.mean,
            100.0 * figure.random.sd,
            100.0 * figure.matched.mean,
            100.0 * figure.matched.sd,
        )
    };
    let judged: Vec<String> =
        measured.shares.iter().map(|share| format!("{}, {}", share.name, percent(share))).collect();
    let change = measured.change_beside.as_ref().unwrap_or(&measured.change);
    format!(
        " Shares of {} new samples in which a judge sees its object: {}. {} change by {:.1} of 255 ({:.1} ± {:.1} at random, {:.1} ± {:.1} of the \
         same norm); {} draws of each control.",
        measured.n_samples,
        judged.join("; "),
        if measured.change_beside.is_some() { "Pixels beside the object" } else { "Pixels" },
        change.after,
        change.random.mean,
        change.random.sd,
        change.matched.mean,
        change.matched.sd,
        measured.n_controls,
    )
}
