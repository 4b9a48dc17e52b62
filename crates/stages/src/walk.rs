//! `walk`: pictures on the way from one z to the next (section 6.1).

use dcgan_engine::context::Context;
use dcgan_engine::kind::{ConfigType, Kind, Traits};
use dcgan_engine::paper::{Count, Stated, by_stage, no_bearing, says, unstated};
use dcgan_engine::stage::{Artifact, ConfigProblem, FactsOf, Input, InputRef, Outcome, Stage};
use dcgan_gan::{BatchStatistics, latent, latent::Interpolation, sample, write_z};
use dcgan_report::figure::Figure;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::artifact;
use crate::drawing::{Drawn, Weights, Z};
use crate::drawing::{DrawnBy, inferred, listed, load_generator, picked_z, sampler, write_figures};
use crate::known::known;
use crate::lineage::{self, LSUN};

/// From where to where, and how.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Walk {
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
    /// The `sample` stage whose pictures `picks` are the numbers of.
    #[serde(default)]
    samples: Option<Input>,
    /// The points, at least 2; leave it out for random ones.
    #[serde(default)]
    picks: Vec<usize>,
    /// Random points.
    #[serde(default = "nine")]
    #[schemars(range(min = 2, max = 100))]
    n_points: usize,
    /// Pictures in a row, both ends among them.
    #[serde(default = "ten")]
    #[schemars(range(min = 2, max = 100))]
    n_steps: usize,
    /// linear: along the straight line. spherical: along the great circle, which for z of a normal distribution does not
    /// leave the lengths that are drawn.
    #[serde(default)]
    interpolation: Interpolation,
    /// The label of all pictures, of a conditional generator.
    #[serde(default)]
    label: Option<u32>,
    /// Seed of random points.
    #[serde(default)]
    seed: u64,
}

fn nine() -> usize {
    9
}

fn ten() -> usize {
    10
}

/// The kind.
pub(crate) static KIND: Kind = Kind {
    name: "walk",
    version: 1,
    summary: "draw the way from one z to the next (section 6.1)",
    details: "Writes walk.png, a row from each point to the next, and z.npy. The points are random, 9 as in the paper, or \
              samples picked on the page that `sample` writes. A walk that changes things one by one, without jumps, \
              says that the generator has not learned pictures by heart.",
    example: &["model=runs/svhn-released/weights", "interpolation=spherical"],
    paper: &PAPER,
    traits: Traits { uses_device: true, ..Traits::NONE },
    config: ConfigType::of::<Walk>(),
};

/// What the paper says of the keys.
const PAPER: [Stated; 10] = [
    no_bearing("model"),
    says("weights", "\"trained\"", "released code"),
    says("statistics", "\"batch\"", "released code"),
    no_bearing("samples"),
    says("picks", "[]", "random points, section 6.1"),
    by_stage("n_points"),
    unstated("n_steps"),
    unstated("interpolation"),
    no_bearing("label"),
    no_bearing("seed"),
];

impl Stage for Walk {
    fn inputs(&self) -> Vec<InputRef<'_>> {
        let mut inputs = vec![InputRef { key: "model", name: &self.model, needs: artifact::GENERATOR }];
        inputs.extend(self.samples.iter().map(|name| InputRef {
            key: "samples",
            name,
            needs: artifact::SAMPLES,
        }));
        inputs
    }

    fn yields(&self) -> Vec<Artifact> {
        vec![artifact::FIGURES]
    }

    fn misfits(&self, of: &FactsOf<'_>) -> Vec<ConfigProblem> {
        let Some(n) = known(of, &self.model).classes else { return Vec::new() };
        self.label_misfit(n).into_iter().collect()
    }

    fn problems(&self) -> Vec<ConfigProblem> {
        let problem = |message: &str| ConfigProblem { key: "picks".to_owned(), message: message.to_owned() };
        let mut problems = Vec::new();
        match (&self.samples, self.picks.len()) {
            (None, 0) => {}
            (None, _) => problems.push(problem("needs `samples`, whose pictures it counts")),
            (Some(_), 0 | 1) => problems.push(problem("expected at least 2 numbers of samples")),
            (Some(_), _) => {}
        }
        problems
    }

    fn seed(&self) -> Option<u64> {
        self.picks.is_empty().then_some(self.seed)
    }

    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        let generator = load_generator(ctx, &self.model, self.weights)?;
        if let Some(problem) = self.label_misfit(generator.config().classes) {
            anyhow::bail!("`label`: {}", problem.message);
        }
        let sampler = sampler(ctx, &generator, self.statistics, self.seed)?;
        let sampler = match self.label {
            Some(label) => sampler.with_label(label)?,
            None => sampler,
        };
        let points = match &self.samples {
            Some(samples) => {
                let drawn =
                    DrawnBy { model: &self.model, weights: self.weights, statistics: self.statistics };
                latent::rows_of(&picked_z(ctx, samples, &drawn, &sampler)?, "picks", &self.picks)?
            }
            None => sample::first_z(generator.config(), self.n_points, self.seed)?,
        };
        let z = latent::walk(&points, self.n_steps, self.interpolation)?;
        write_z(&ctx.out.join(Z), &z)?;
        Drawn::new(ctx, &sampler, &z)?.rows(self.n_steps).write(&ctx.out.join("walk.png"))?;

        let n_points = points.nrows();
        let way = match self.interpolation {
            Interpolation::Linear => "straight line",
            Interpolation::Spherical => "great circle",
        };
        let origin = match self.picks.as_slice() {
            [] => format!("{n_points} random points of seed {}", self.seed),
            picks => format!("the samples {}", listed(picks)),
        };
        let figure = Figure {
            file: "walk.png".to_owned(),
            title: format!("A walk through z, along the {way}"),
            caption: format!(
                "{origin}{}: each row goes from one to the next, in {} pictures.",
                self.label.map(|label| format!(", with the label {label}")).unwrap_or_default(),
                self.n_steps
            ),
            alt: format!(
                "{} rows of {} pictures; each row changes gradually from one sample to another",
                n_points - 1,
                self.n_steps
            ),
        };
        write_figures(ctx, &[figure])?;
        let metrics = json!({"n_points": n_points, "n_pictures": z.nrows()});
        let mut differences = lineage::of_generator(ctx.input(&self.model))?.drawn(LSUN);
        differences.count("points", n_points, Count::Exactly(9));
        Ok(Outcome { metrics, differences })
    }
}

impl Walk {
    /// What is wrong with `label` where the generator is conditional on `n` classes.
    fn label_misfit(&self, n: usize) -> Option<ConfigProblem> {
        let message = match self.label {
            None if n > 0 => format!("expected a label, 0 to {}: the generator is conditional", n - 1),
            Some(_) if n == 0 => {
                "is of use only with a conditional generator, which `model`'s is not".to_owned()
            }
            Some(label) if label as usize >= n => {
                format!("expected a label, 0 to {}, found {label}", n - 1)
            }
            _ => return None,
        };
        Some(ConfigProblem { key: "label".to_owned(), message })
    }
}
