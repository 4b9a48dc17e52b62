//! `sample`: a grid of a generator's pictures.

use dcgan_gan::train::files::GENERATOR;
use dcgan_gan::{Generator, IMAGE_CHANNELS, sample};
use dcgan_images::grid::write_grid;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::info::{KindInfo, optional, required};
use super::{Artifact, ConfigProblem, Input, InputRef, Outcome, Stage};
use crate::context::Context;

/// Which generator, and how many pictures.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// The stage with the generator.
    pub model: Input,
    /// How many pictures.
    #[serde(default = "sixty_four")]
    pub n_images: usize,
    /// Pictures in a row.
    #[serde(default = "eight")]
    pub n_columns: usize,
    /// Seed of z.
    #[serde(default)]
    pub seed: u64,
}

fn sixty_four() -> usize {
    64
}

fn eight() -> usize {
    8
}

/// The most pictures of one grid: 32 MP at 64×64.
const MAX_IMAGES: usize = 8192;

/// The kind.
pub(super) const INFO: KindInfo = KindInfo {
    name: "sample",
    version: 1,
    summary: "draw a grid of a generator's pictures",
    details: "Writes samples.png. Pictures are drawn in batches of 128, whose own statistics batch norm uses, as in \
              training.",
    keys: &[
        required("model", "stage", "The stage with the generator."),
        optional("n_images", "count", "64", "How many pictures."),
        optional("n_columns", "count", "8", "Pictures in a row."),
        optional("seed", "whole number", "0", "Same seed, same pictures."),
    ],
    example: &["model=runs/svhn-released/weights", "n_images=100", "n_columns=10"],
    is_resumable: false,
    reads_records: false,
    uses_device: true,
};

impl Stage for Sample {
    fn inputs(&self) -> Vec<InputRef<'_>> {
        vec![InputRef { key: "model", name: &self.model, needs: Artifact::Generator }]
    }

    fn yields(&self) -> Vec<Artifact> {
        vec![Artifact::Samples]
    }

    fn problems(&self) -> Vec<ConfigProblem> {
        let check = |key: &str, found: usize, most: usize| {
            let message = format!("expected 1 to {most}, found {found}");
            (!(1..=most).contains(&found)).then(|| ConfigProblem { key: key.to_owned(), message })
        };
        let checks =
            [check("n_images", self.n_images, MAX_IMAGES), check("n_columns", self.n_columns, MAX_IMAGES)];
        checks.into_iter().flatten().collect()
    }

    fn seed(&self) -> Option<u64> {
        Some(self.seed)
    }

    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        let path = ctx.input(&self.model).join(GENERATOR);
        let generator = Generator::load(&path, ctx.device()?)?;
        let pixels = sample::generate(&generator, self.n_images, self.seed)?;
        let size = generator.config().image_size();
        let shape = [self.n_images, IMAGE_CHANNELS, size, size];
        write_grid(&ctx.out.join("samples.png"), &pixels, shape, self.n_columns)?;
        Ok(Outcome { metrics: json!({"n_images": self.n_images}), differences: Vec::new() })
    }
}
