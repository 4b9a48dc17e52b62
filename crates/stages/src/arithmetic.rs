//! `arithmetic`: one concept minus another plus a third, in z (section 6.3.2).

use dcgan_engine::context::Context;
use dcgan_engine::kind::{ConfigType, Kind, Traits};
use dcgan_engine::paper::{Count, Stated, by_stage, no_bearing, says};
use dcgan_engine::stage::{Artifact, ConfigProblem, FactsOf, Input, InputRef, Outcome, Picks, Stage};
use dcgan_gan::{BatchStatistics, latent, write_z};
use dcgan_images::{Sheet, Sign};
use dcgan_report::figure::Figure;
use ndarray::{Array1, Array2, Axis, concatenate};
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

/// Which samples stand for which concept.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arithmetic {
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
    /// Samples of the first concept, such as smiling women.
    #[serde(default)]
    a: Vec<usize>,
    /// Samples of what is taken away, such as neutral women.
    #[serde(default)]
    b: Vec<usize>,
    /// Samples of what is added, such as neutral men.
    #[serde(default)]
    c: Vec<usize>,
    /// What a, b, c and the result are called in the report.
    #[serde(default = "names")]
    #[schemars(extend("takes" = "four texts"))]
    names: [String; 4],
    /// Largest change of each number of the neighbours' z.
    #[serde(default = "noise")]
    #[schemars(extend("minimum" = 0.0, "maximum" = 2.0))]
    noise: f32,
    /// Seed of this noise.
    #[serde(default)]
    seed: u64,
}

fn names() -> [String; 4] {
    ["a", "b", "c", "result"].map(str::to_owned)
}

fn noise() -> f32 {
    0.25
}

/// The kind.
pub(crate) static KIND: Kind = Kind {
    name: "arithmetic",
    version: 1,
    summary: "add and take away concepts in z: a − b + c (section 6.3.2)",
    details: "Writes arithmetic.png and z.npy. Each concept is the mean of the z of a few samples, 3 in the paper. The figure \
              is the paper's: the samples of a, b and c in columns, the picture of each mean under them, and to the right 3×3 \
              pictures, a − b + c in the middle, around it the same z with uniform noise of ±0.25. The lowest row does the same with pixels \
              instead of z. Pick the samples on the page that `sample` writes; \
              until somebody has, a run of the manifest leaves the stage out and says so.",
    example: &[
        "model=runs/svhn-released/weights",
        "samples=out/samples",
        "a=[3, 17, 42]",
        "b=[5, 6, 7]",
        "c=[0, 9, 21]",
    ],
    paper: &PAPER,
    traits: Traits { uses_device: true, ..Traits::NONE },
    config: ConfigType::of::<Arithmetic>(),
};

/// What the paper says of the keys.
const PAPER: [Stated; 10] = [
    no_bearing("model"),
    says("weights", "\"trained\"", "released code"),
    says("statistics", "\"batch\"", "released code"),
    no_bearing("samples"),
    by_stage("a"),
    by_stage("b"),
    by_stage("c"),
    no_bearing("names"),
    says("noise", "0.25", "section 6.3.2"),
    no_bearing("seed"),
];

impl Stage for Arithmetic {
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
        let lists = [empty_list("a", &self.a), empty_list("b", &self.b), empty_list("c", &self.c)];
        lists.into_iter().filter(|_| self.waits_for().is_none()).flatten().collect()
    }

    fn waits_for(&self) -> Option<Picks<'_>> {
        let is_waiting = self.lists().iter().all(|list| list.is_empty());
        is_waiting.then_some(Picks {
            from: &self.samples,
            page: PICK_PAGE,
            made: "which `sample` writes with `pages=true`",
            what: "the samples of the three concepts a, b and c, three of each in the paper",
            keys: &["a", "b", "c"],
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
        let mean = |key, picks| latent::mean_of(&samples, key, picks);
        let means = [mean("a", &self.a)?, mean("b", &self.b)?, mean("c", &self.c)?];
        let result = &means[0] - &means[1] + &means[2];
        let neighbours = latent::neighbours(&result, self.noise, self.seed);

        // The samples of a, b and c, their means, the result and its neighbours.
        let picks: Vec<usize> = self.lists().concat();
        let mut z = latent::rows_of(&samples, "a", &picks)?;
        for mean in means.iter().chain([&result]) {
            z.push_row(mean.view())?;
        }
        let z: Array2<f32> = concatenate(Axis(0), &[z.view(), neighbours.view()])?;
        write_z(&ctx.out.join(Z), &z)?;
        self.sheet(&Drawn::new(ctx, &sampler, &z)?).write(&ctx.out.join("arithmetic.png"))?;
        write_figures(ctx, &[self.figure()])?;
        let mut differences = lineage::of_generator(ctx.input(&self.model))?.drawn(FACES);
        for list in self.lists() {
            differences.count("samples of a concept", list.len(), Count::Exactly(3));
        }
        Ok(Outcome { metrics: json!({"n_samples": picks.len()}), differences })
    }
}

impl Arithmetic {
    fn lists(&self) -> [&[usize]; 3] {
        [&self.a, &self.b, &self.c]
    }

    /// The paper's layout: concepts in columns, their means under them, the result to the right, pixels at the bottom.
    fn sheet(&self, drawn: &Drawn) -> Sheet {
        let n_picks = self.lists().map(<[usize]>::len);
        let n_rows = n_picks.into_iter().max().unwrap_or(0).max(2);
        let (mean_row, pixel_row) = (n_rows as f64 + 0.15, n_rows as f64 + 1.3);
        let (pitch, right) = (1.6, 4.8);
        let mut sheet = Sheet::new(drawn.side, pixel_row + 1.0, right + 3.0);
        let first_mean: usize = n_picks.iter().sum();
        let mut first = 0;
        let mut pixel_means = Vec::new();
        for (concept, n) in n_picks.into_iter().enumerate() {
            let column = pitch * concept as f64;
            for row in 0..n {
                sheet.place(drawn.picture(first + row), row as f64, column);
            }
            sheet.place(drawn.picture(first_mean + concept), mean_row, column);
            let mean = pixel_mean(drawn, first, n);
            sheet.place(&to_bytes(&mean), pixel_row, column);
            pixel_means.push(mean);
            for row in [mean_row, pixel_row] {
                let sign = [Sign::Minus, Sign::Plus, Sign::Equals][concept];
                sheet.sign(sign, row, column + 0.5 * pitch);
            }
            first += n;
        }
        // The middle of 3×3 stands beside the means.
        let centre = first_mean + 3;
        for place in 0..9 {
            let picture = match place {
                4 => centre,
                _ => centre + 1 + place - usize::from(place > 4),
            };
            let (row, column) = (mean_row - 2.0 + (place / 3) as f64, right + (place % 3) as f64);
            sheet.place(drawn.picture(picture), row, column);
        }
        if let [a, b, c] = pixel_means.as_slice() {
            sheet.place(&to_bytes(&(a - b + c)), pixel_row, right);
        }
        sheet
    }

    fn figure(&self) -> Figure {
        let [a, b, c, result] = &self.names;
        let lists = self.lists().map(listed);
        Figure {
            file: "arithmetic.png".to_owned(),
            title: format!("Arithmetic on z: {a} − {b} + {c}"),
            caption: format!(
                "In columns: samples of {a} ({}), {b} ({}) and {c} ({}), and under each column the picture of their mean z. Right: \
                 a − b + c in the middle of 3×3, around it the same z with uniform noise of ±{}. Lowest row: the same with \
                 pixels instead of z.",
                lists[0], lists[1], lists[2], self.noise
            ),
            alt: format!(
                "Samples of {a}, {b} and {c} with their means, and nine pictures of the result, {result}"
            ),
        }
    }
}

/// The mean of some pictures' values.
fn pixel_mean(drawn: &Drawn, first: usize, n: usize) -> Array1<f32> {
    let mut sum = Array1::zeros(drawn.picture(first).len());
    for idx in first..first + n {
        sum.iter_mut().zip(drawn.picture(idx)).for_each(|(sum, &value)| *sum += f32::from(value));
    }
    sum / n as f32
}

fn to_bytes(values: &Array1<f32>) -> Vec<u8> {
    // `as` saturates, so that values outside 0..=255 are clipped.
    values.iter().map(|value| value.round() as u8).collect()
}
