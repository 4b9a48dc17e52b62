//! `turn`: a direction in z, laid over other z (section 6.3.2).

use dcgan_engine::context::Context;
use dcgan_engine::kind::{ConfigType, Kind, Traits};
use dcgan_engine::paper::{Count, Stated, by_stage, no_bearing, says, unstated};
use dcgan_engine::stage::{Artifact, ConfigProblem, FactsOf, Input, InputRef, Outcome, Picks, Stage};
use dcgan_gan::{BatchStatistics, latent, sample, write_z};
use dcgan_report::figure::Figure;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::artifact;
use crate::drawing::{Drawn, Weights, Z};
use crate::drawing::{
    DrawnBy, ask_for, empty_list, inferred, listed, load_generator, picked_z, sampler, write_figures,
};
use crate::known::{conditional, known};
use crate::lineage::{self, FACES};
use crate::pages::PICK_PAGE;

/// Which samples make the direction, and what it is laid over.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Turn {
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
    /// The `sample` stage whose pictures the lists are the numbers of.
    samples: Input,
    /// Samples of the left end, such as faces that look left.
    #[serde(default)]
    left: Vec<usize>,
    /// Samples of the right end.
    #[serde(default)]
    right: Vec<usize>,
    /// New z, drawn at random.
    #[serde(default = "five")]
    #[schemars(range(min = 1, max = 100))]
    n_rows: usize,
    /// Pictures in a row.
    #[serde(default = "ten")]
    #[schemars(range(min = 2, max = 100))]
    n_steps: usize,
    /// How far to go either way, in turn vectors.
    #[serde(default = "one")]
    #[schemars(extend("exclusiveMinimum" = 0.0, "maximum" = 10.0))]
    reach: f32,
    /// Seed of the new z; take another one than the samples'.
    #[serde(default)]
    seed: u64,
}

fn five() -> usize {
    5
}

fn ten() -> usize {
    10
}

fn one() -> f32 {
    1.0
}

/// The kind.
pub(crate) static KIND: Kind = Kind {
    name: "turn",
    version: 2,
    summary: "make a direction in z of two lists of samples and lay it over new z (section 6.3.2)",
    details: "Writes turn.png and z.npy. The turn vector is the mean z of `left` minus the mean z of `right`, 4 samples each \
              in the paper. Each row of the figure is a new z to which +`reach` of that vector is added at the left end, \
              like `left`, down to −`reach` at the right end, like `right`. Pick the samples on the page that `sample` \
              writes; until somebody has, a run of the manifest leaves the stage out and says so.",
    example: &["model=runs/faces/train", "samples=out/samples", "left=[3, 17, 42, 60]", "right=[5, 6, 7, 8]"],
    paper: &PAPER,
    traits: Traits { uses_device: true, ..Traits::NONE },
    config: ConfigType::of::<Turn>(),
};

/// What the paper says of the keys.
const PAPER: [Stated; 10] = [
    no_bearing("model"),
    says("weights", "\"trained\"", "released code"),
    says("statistics", "\"batch\"", "released code"),
    no_bearing("samples"),
    by_stage("left"),
    by_stage("right"),
    unstated("n_rows"),
    unstated("n_steps"),
    unstated("reach"),
    no_bearing("seed"),
];

impl Stage for Turn {
    fn inputs(&self) -> Vec<InputRef<'_>> {
        vec![
            InputRef { key: "model", name: &self.model, needs: artifact::GENERATOR },
            InputRef { key: "samples", name: &self.samples, needs: artifact::SAMPLES },
        ]
    }

    fn yields(&self) -> Vec<Artifact> {
        vec![artifact::FIGURES]
    }

    fn misfits(&self, of: &FactsOf<'_>) -> Vec<ConfigProblem> {
        let why = "the z of its pictures say what they show only together with a label";
        conditional("model", known(of, &self.model), why).into_iter().collect()
    }

    fn problems(&self) -> Vec<ConfigProblem> {
        let lists = [empty_list("left", &self.left), empty_list("right", &self.right)];
        lists.into_iter().filter(|_| self.waits_for().is_none()).flatten().collect()
    }

    fn waits_for(&self) -> Option<Picks<'_>> {
        (self.left.is_empty() && self.right.is_empty()).then_some(Picks {
            from: &self.samples,
            page: PICK_PAGE,
            made: "which `sample` writes with `pages=true`",
            what: "the samples of the two ends left and right, four of each in the paper",
            keys: &["left", "right"],
        })
    }

    fn seed(&self) -> Option<u64> {
        Some(self.seed)
    }

    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        ask_for(ctx, self)?;
        let generator = load_generator(ctx, &self.model, self.weights)?;
        let sampler = sampler(ctx, &generator, self.statistics, self.seed)?;
        let drawn = DrawnBy { model: &self.model, weights: self.weights, statistics: self.statistics };
        let samples = picked_z(ctx, &self.samples, &drawn, &sampler)?;
        let (left, right) = (
            latent::mean_of(&samples, "left", &self.left)?,
            latent::mean_of(&samples, "right", &self.right)?,
        );
        let turn = left - right;
        let new = sample::first_z(generator.config(), self.n_rows, self.seed)?;
        let z = latent::along(&new, &turn, self.n_steps, self.reach)?;
        write_z(&ctx.out.join(Z), &z)?;
        Drawn::new(ctx, &sampler, &z)?.rows(self.n_steps).write(&ctx.out.join("turn.png"))?;
        let figure = Figure {
            file: "turn.png".to_owned(),
            title: "A turn vector".to_owned(),
            caption: format!(
                "{} new z of seed {}, a row each, with +{reach} (left) to −{reach} (right) turn vectors added. The vector is the \
                 mean z of the samples {} minus that of {}.",
                self.n_rows,
                self.seed,
                listed(&self.left),
                listed(&self.right),
                reach = self.reach
            ),
            alt: format!(
                "{} rows of {} pictures; the pictures of a row change gradually",
                self.n_rows, self.n_steps
            ),
        };
        write_figures(ctx, &[figure])?;
        let length = turn.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        let mut differences = lineage::of_generator(ctx.input(&self.model))?.drawn(FACES);
        for list in [&self.left, &self.right] {
            differences.count("samples of an end", list.len(), Count::Exactly(4));
        }
        Ok(Outcome { metrics: json!({"n_pictures": z.nrows(), "turn_length": length}), differences })
    }
}
