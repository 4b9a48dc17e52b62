//! `walk`: pictures on the way from one z to the next (section 6.1).

use dcgan_gan::{BatchStatistics, latent, latent::Interpolation, sample, write_z};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::drawing::{Drawn, INFERRED_KEY, MODEL_KEY, WEIGHTS_KEY, Weights, Z};
use super::drawing::{
    DrawnBy, inferred, listed, load_generator, out_of_range, picked_z, sampler, write_figures,
};
use super::info::{KeyInfo, KindInfo, optional};
use super::lineage::{self, LSUN};
use super::paper::{Count, Stated, by_stage, no_bearing, says, unstated};
use super::{Artifact, ConfigProblem, Input, InputRef, Outcome, Stage};
use crate::context::Context;
use crate::report::figure::Figure;

/// From where to where, and how.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Walk {
    /// The stage with the generator.
    pub model: Input,
    /// Which of its generators.
    #[serde(default)]
    pub weights: Weights,
    /// Whose statistics batch norm uses.
    #[serde(default = "inferred")]
    pub statistics: BatchStatistics,
    /// The samples that `picks` are numbers of.
    #[serde(default)]
    pub samples: Option<Input>,
    /// The points of the walk.
    #[serde(default)]
    pub picks: Vec<usize>,
    /// Random points, where none are picked.
    #[serde(default = "nine")]
    pub n_points: usize,
    /// Pictures from one point to the next.
    #[serde(default = "ten")]
    pub n_steps: usize,
    /// The way from one point to the next.
    #[serde(default)]
    pub interpolation: Interpolation,
    /// Seed of random points.
    #[serde(default)]
    pub seed: u64,
}

fn nine() -> usize {
    9
}

fn ten() -> usize {
    10
}

/// The kind.
pub(super) const INFO: KindInfo = KindInfo {
    name: "walk",
    version: 1,
    summary: "draw the way from one z to the next (section 6.1)",
    details: "Writes walk.png, a row from each point to the next, and z.npy. The points are random, 9 as in the paper, or \
              samples picked on the page that `sample` writes. A walk that changes things one by one, without jumps, \
              says that the generator has not learned pictures by heart.",
    keys: &KEYS,
    example: &["model=runs/svhn-released/weights", "interpolation=spherical"],
    is_resumable: false,
    reads_records: false,
    uses_device: true,
    paper: &PAPER,
};

/// What the paper says of the keys.
const PAPER: [Stated; 9] = [
    no_bearing("model"),
    says("weights", "\"trained\"", "released code"),
    says("statistics", "\"batch\"", "released code"),
    no_bearing("samples"),
    says("picks", "[]", "random points, section 6.1"),
    by_stage("n_points"),
    unstated("n_steps"),
    unstated("interpolation"),
    no_bearing("seed"),
];

const KEYS: [KeyInfo; 9] = [
    MODEL_KEY,
    WEIGHTS_KEY,
    INFERRED_KEY,
    optional("samples", "stage", "", "The `sample` stage whose pictures `picks` are the numbers of."),
    optional("picks", "list of whole numbers", "[]", "The points, at least 2; leave it out for random ones."),
    optional("n_points", "2 to 100", "9", "Random points."),
    optional("n_steps", "2 to 100", "10", "Pictures in a row, both ends among them."),
    optional(
        "interpolation",
        "\"linear\" or \"spherical\"",
        "\"linear\"",
        "linear: along the straight line. spherical: along the great circle, which for z of a normal distribution does not \
         leave the lengths that are drawn.",
    ),
    optional("seed", "whole number", "0", "Seed of random points."),
];

impl Stage for Walk {
    fn inputs(&self) -> Vec<InputRef<'_>> {
        let mut inputs = vec![InputRef { key: "model", name: &self.model, needs: Artifact::Generator }];
        inputs.extend(self.samples.iter().map(|name| InputRef {
            key: "samples",
            name,
            needs: Artifact::Samples,
        }));
        inputs
    }

    fn yields(&self) -> Vec<Artifact> {
        vec![Artifact::Figures]
    }

    fn problems(&self) -> Vec<ConfigProblem> {
        let problem = |message: &str| ConfigProblem { key: "picks".to_owned(), message: message.to_owned() };
        let mut problems: Vec<ConfigProblem> = [
            out_of_range("n_points", self.n_points, 2..=100),
            out_of_range("n_steps", self.n_steps, 2..=100),
        ]
        .into_iter()
        .flatten()
        .collect();
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
        let sampler = sampler(ctx, &generator, self.statistics, self.seed)?;
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
            caption: format!("{origin}: each row goes from one to the next, in {} pictures.", self.n_steps),
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
