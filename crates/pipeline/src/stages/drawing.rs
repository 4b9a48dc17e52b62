//! What the stages that draw with a generator share.

use std::path::Path;

use anyhow::Context as _;
use dcgan_gan::train::files::GENERATOR;
use dcgan_gan::{BatchStatistics, Generator, IMAGE_CHANNELS, Sampler, read_z};
use dcgan_images::Sheet;
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::info::{KeyInfo, optional, required};
use super::{ConfigProblem, Input};
use crate::context::Context;
use crate::report::figure::Figure;

/// File of the generator's exponential moving average, beside the generator's own.
const GENERATOR_EMA: &str = "generator_ema.safetensors";
/// The z of a `sample` stage's pictures, a row each.
pub(super) const Z: &str = "z.npy";

/// Which of a training's generators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weights {
    /// As it was trained.
    #[default]
    Trained,
    /// The exponential moving average of its weights.
    Ema,
}

pub(super) const MODEL_KEY: KeyInfo = required("model", "stage", "The stage with the generator.");
pub(super) const WEIGHTS_KEY: KeyInfo = optional(
    "weights",
    "\"trained\" or \"ema\"",
    "\"trained\"",
    "ema: the exponential moving average of the generator's weights, where the training kept one.",
);
const STATISTICS: &str = "Whose statistics batch norm uses. batch: each batch's of 128 z, as in the authors' code. inferred: \
                          those of 6,400 draws, so that a picture depends on its z alone.";
/// For samples: the authors' way.
pub(super) const BATCH_KEY: KeyInfo =
    optional("statistics", "\"batch\" or \"inferred\"", "\"batch\"", STATISTICS);
/// For figures, whose pictures are compared.
pub(super) const INFERRED_KEY: KeyInfo =
    optional("statistics", "\"batch\" or \"inferred\"", "\"inferred\"", STATISTICS);

/// The default of [`INFERRED_KEY`].
pub(super) fn inferred() -> BatchStatistics {
    BatchStatistics::Inferred
}

/// The generator in a stage's folder.
pub(super) fn load_generator(
    ctx: &Context<'_>,
    model: &Input,
    weights: Weights,
) -> anyhow::Result<Generator> {
    let folder = ctx.input(model);
    let file = match weights {
        Weights::Trained => GENERATOR,
        Weights::Ema => GENERATOR_EMA,
    };
    let generator = Generator::load(&folder.join(file), ctx.device()?);
    match weights {
        Weights::Trained => Ok(generator?),
        Weights::Ema => {
            generator.context("`weights` is \"ema\", which needs a training that kept a moving average")
        }
    }
}

/// A sampler, with progress while statistics are inferred.
pub(super) fn sampler<'g>(
    ctx: &Context<'_>,
    generator: &'g Generator,
    statistics: BatchStatistics,
    seed: u64,
) -> anyhow::Result<Sampler<'g>> {
    let mut task = ctx.task("inferring statistics", "pictures");
    Ok(Sampler::new(generator, statistics, seed, &mut |done, total| task.observe(done, total))?)
}

/// Pictures of one size, drawn from z.
pub(super) struct Drawn {
    pixels: Vec<u8>,
    /// Their side.
    pub(super) side: usize,
}

impl Drawn {
    /// Draws the pictures of `z`, with progress.
    pub(super) fn new(ctx: &Context<'_>, sampler: &Sampler<'_>, z: &Array2<f32>) -> anyhow::Result<Self> {
        let mut task = ctx.task("drawing", "pictures");
        let pixels = sampler.draw(z, &mut |done, total| task.observe(done, total))?;
        Ok(Self { pixels, side: sampler.generator().config().image_size() })
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.pixels.len() / self.image_len()
    }

    /// One picture's values, planes first.
    pub(super) fn picture(&self, idx: usize) -> &[u8] {
        &self.pixels[idx * self.image_len()..(idx + 1) * self.image_len()]
    }

    fn image_len(&self) -> usize {
        IMAGE_CHANNELS * self.side * self.side
    }

    /// All pictures in rows of `n_columns`.
    pub(super) fn rows(&self, n_columns: usize) -> Sheet {
        let mut sheet = Sheet::new(self.side, self.len().div_ceil(n_columns) as f64, n_columns as f64);
        for idx in 0..self.len() {
            sheet.place(self.picture(idx), (idx / n_columns) as f64, (idx % n_columns) as f64);
        }
        sheet
    }
}

/// The z of a `sample` stage.
pub(super) fn z_of(ctx: &Context<'_>, samples: &Input, sampler: &Sampler<'_>) -> anyhow::Result<Array2<f32>> {
    Ok(read_z(&ctx.input(samples).join(Z), sampler.generator().config().nz)?)
}

/// Lists a stage's figures for the report.
pub(super) fn write_figures(ctx: &Context<'_>, figures: &[Figure]) -> anyhow::Result<()> {
    ctx.write_json(Figure::FILE, &figures)
}

/// "3, 17 and 42".
pub(super) fn listed(picks: &[usize]) -> String {
    let texts: Vec<String> = picks.iter().map(usize::to_string).collect();
    match texts.split_last() {
        Some((last, first)) if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => texts.concat(),
    }
}

/// A number out of its range.
pub(super) fn out_of_range(
    key: &str,
    found: usize,
    range: std::ops::RangeInclusive<usize>,
) -> Option<ConfigProblem> {
    let message = format!("expected {} to {}, found {found}", range.start(), range.end());
    (!range.contains(&found)).then(|| ConfigProblem { key: key.to_owned(), message })
}

/// A list of samples that must not be empty.
pub(super) fn empty_list(key: &str, picks: &[usize]) -> Option<ConfigProblem> {
    let message = "expected at least one number of a sample".to_owned();
    picks.is_empty().then(|| ConfigProblem { key: key.to_owned(), message })
}

/// Creates a folder in the stage's.
pub(super) fn folder_in(out: &Path, name: &str) -> anyhow::Result<std::path::PathBuf> {
    let folder = out.join(name);
    fs_err::create_dir_all(&folder)?;
    Ok(folder)
}
