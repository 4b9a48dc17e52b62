//! `sample`: a generator's pictures, as a grid, one by one and as numbers.

use std::path::PathBuf;

use anyhow::Context as _;
use dcgan_engine::context::Context;
use dcgan_engine::external::{External, Form};
use dcgan_engine::kind::{ConfigType, Kind, Traits};
use dcgan_engine::paper::{Comparison, Stated, no_bearing, says};
use dcgan_engine::stage::{Artifact, ConfigProblem, FactsOf, Input, InputRef, Outcome, Stage};
use dcgan_gan::train::files::DISCRIMINATOR;
use dcgan_gan::{BatchStatistics, Discriminator, Sampler, read_z, sample, write_z};
use dcgan_images::grid::write_grid;
use ndarray::{Array1, Array2, Array4, Axis};
use ndarray_npy::WriteNpyExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::artifact;
use crate::device;
use crate::drawing::{Weights, Z};
use crate::drawing::{folder_in, load_generator, sampler};
use crate::known::{conditional, known};
use crate::pages::{Grid, PICK_PAGE, boxes_page, pick_page};

/// Which generator, which pictures, and how to keep them.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sample {
    /// The stage with the generator.
    model: Input,
    /// ema: the exponential moving average of the generator's weights, where the training kept one. best: the generator
    /// (its average where one is kept) of the checkpoint with the lowest score.
    #[serde(default)]
    weights: Weights,
    /// Whose statistics batch norm uses. batch: each batch's of 128 z, as in the authors' code. inferred: those of 6,400
    /// draws, so that a picture depends on its z alone.
    #[serde(default)]
    statistics: BatchStatistics,
    /// How many pictures: 64, or all of `z`; of a conditional generator, of each label: 10, or all of `z`.
    #[serde(default)]
    #[schemars(range(min = 1, max = 8192))]
    n_images: Option<usize>,
    /// Pictures in a row: 8. Not for a conditional generator, whose grid has a row for each label.
    #[serde(default)]
    #[schemars(range(min = 1, max = 8192))]
    n_columns: Option<usize>,
    /// Same seed, same pictures.
    #[serde(default)]
    seed: u64,
    /// Which labels of a conditional generator, a row each, with the same z down every column; all of them where it is left out.
    #[serde(default)]
    labels: Option<Vec<u32>>,
    /// A .npy file of z, from whatever program: f4 or f8, a row for each picture. Its first `n_images` are drawn.
    #[serde(default)]
    #[schemars(extend("format" = "path"))]
    z: Option<PathBuf>,
    /// The stage with a discriminator: pictures are sorted by its score, most real first.
    #[serde(default)]
    sorted_by: Option<Input>,
    /// Also write pictures/00000.png and so on.
    #[serde(default)]
    pictures: bool,
    /// Also write pixels.npy: u8, N×C×H×W.
    #[serde(default)]
    pixels: bool,
    /// Also write pick.html and boxes.html.
    #[serde(default)]
    pages: bool,
}

/// Pictures in a row where nothing else is said.
const N_COLUMNS: usize = 8;
/// Pictures where nothing else is said.
const N_IMAGES: usize = 64;
/// Pictures of a label where nothing else is said.
const N_OF_LABEL: usize = 10;
/// The most pictures of one grid: 32 MP at 64×64.
const MAX_IMAGES: usize = 8192;

/// The kind.
pub(crate) static KIND: Kind = Kind {
    name: "sample",
    version: 2,
    summary: "draw a generator's pictures: a grid, single PNGs, arrays, and pages to choose from",
    details: "Writes samples.png and z.npy (f32, a row for each picture), in the same order. Pictures are drawn in batches \
              of 128, whose own statistics batch norm uses, as in training; the last batch is filled up with z that are \
              not shown. With `sorted_by` the pictures that a discriminator finds most real come first, and scores.npy \
              holds its logits. Of a conditional generator a grid has a row for each label, and labels.npy holds them; in the batches \
              all labels stand beside each other, as in training.\n\n\
              `pages` writes pick.html, from which one copies the numbers of pictures for `walk`, `arithmetic` and \
              `turn`, and boxes.html, on which one draws boxes for `forget`. Both are single files that a browser opens from \
              the disk.",
    example: &["model=runs/svhn-released/weights", "n_images=100", "n_columns=10", "pages=true"],
    paper: &PAPER,
    traits: Traits { uses_device: true, ..Traits::NONE },
    config: ConfigType::of::<Sample>(),
};

/// What the paper says of the keys.
const PAPER: [Stated; 12] = [
    no_bearing("model"),
    says("weights", "\"trained\"", "released code"),
    says("statistics", "\"batch\"", "released code"),
    no_bearing("n_images"),
    no_bearing("n_columns"),
    no_bearing("seed"),
    no_bearing("labels"),
    no_bearing("z"),
    no_bearing("sorted_by"),
    no_bearing("pictures"),
    no_bearing("pixels"),
    no_bearing("pages"),
];

impl Stage for Sample {
    fn inputs(&self) -> Vec<InputRef<'_>> {
        let mut inputs = vec![InputRef { key: "model", name: &self.model, needs: artifact::GENERATOR }];
        inputs.extend(self.sorted_by.iter().map(|name| InputRef {
            key: "sorted_by",
            name,
            needs: artifact::DISCRIMINATOR,
        }));
        inputs
    }

    fn yields(&self) -> Vec<Artifact> {
        vec![artifact::SAMPLES]
    }

    fn external_paths(&self) -> Vec<External> {
        self.z.iter().map(|path| External { key: "z", path: path.clone(), is: Form::File }).collect()
    }

    fn misfits(&self, of: &FactsOf<'_>) -> Vec<ConfigProblem> {
        let model = known(of, &self.model);
        let mut problems = self.classes_misfit(model.classes);
        let Some(judge) = &self.sorted_by else { return problems };
        problems.extend(conditional("sorted_by", model, "its grid has a row for each label"));
        let (Some(drawn), Some(taken)) = (model.side, known(of, judge).side) else { return problems };
        let message = format!(
            "expected a discriminator of {drawn}×{drawn} pictures as `model` draws, found one of {taken}×{taken}"
        );
        let wrong = || ConfigProblem { key: "sorted_by".to_owned(), message };
        problems.extend((drawn != taken).then(wrong));
        problems
    }

    fn problems(&self) -> Vec<ConfigProblem> {
        let is_empty = self.labels.as_ref().is_some_and(Vec::is_empty);
        let message = "expected at least one label".to_owned();
        is_empty.then(|| ConfigProblem { key: "labels".to_owned(), message }).into_iter().collect()
    }

    fn seed(&self) -> Option<u64> {
        Some(self.seed)
    }

    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        let generator = load_generator(ctx, &self.model, self.weights)?;
        let sampler = sampler(ctx, &generator, self.statistics, self.seed)?;
        let n_classes = generator.config().classes;
        if let Some(problem) = self.classes_misfit(Some(n_classes)).first() {
            anyhow::bail!("`{}`: {}", problem.key, problem.message);
        }
        let mut z = self.z(&sampler)?;
        if n_classes > 0 {
            return self.of_labels(ctx, &sampler, &z);
        }
        let ([channels, side, _], n) = (generator.config().picture(), z.nrows());
        let mut metrics = json!({"n_images": n});
        let mut task = ctx.task("drawing", "pictures");
        let mut pixels = Vec::new();
        if let Some(stage) = &self.sorted_by {
            let device = device::open(ctx)?;
            let discriminator = Discriminator::load(&ctx.input(stage).join(DISCRIMINATOR), &device)?;
            let (drawn, scores) =
                sampler.draw_scored(&z, &discriminator, &mut |done, total| task.observe(done, total))?;
            let mut order: Vec<usize> = (0..n).collect();
            order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
            z = z.select(Axis(0), &order);
            for &idx in &order {
                pixels.extend_from_slice(&drawn[idx * drawn.len() / n..(idx + 1) * drawn.len() / n]);
            }
            let scores: Array1<f32> = order.iter().map(|&idx| scores[idx]).collect();
            scores.write_npy(fs_err::File::create(ctx.out.join("scores.npy"))?)?;
            metrics["score_highest"] = json!(scores.first());
            metrics["score_lowest"] = json!(scores.last());
        } else {
            pixels = sampler.draw(&z, &mut |done, total| task.observe(done, total))?;
        }
        drop(task);
        write_z(&ctx.out.join(Z), &z)?;
        self.write(ctx, &pixels, [n, channels, side, side], self.n_columns.unwrap_or(N_COLUMNS))?;
        Ok(Outcome { metrics, differences: Comparison::of_settings() })
    }
}

impl Sample {
    /// What is wrong with `labels` and `n_columns` where the generator is conditional on so many classes.
    fn classes_misfit(&self, classes: Option<usize>) -> Vec<ConfigProblem> {
        let Some(n) = classes else { return Vec::new() };
        let of_labels = self.labels.iter().filter_map(|labels| {
            let beyond = labels.iter().find(|&&label| label as usize >= n);
            match n {
                0 => Some("is of use only with a conditional generator, which `model`'s is not".to_owned()),
                _ => beyond
                    .map(|label| format!("expected labels 0 to {}, the generator's, found {label}", n - 1)),
            }
        });
        let of_columns = self.n_columns.filter(|_| n > 0).map(|found| {
            format!(
                "expected none with a conditional generator, whose grid has a row of `n_images` for each label, found {found}"
            )
        });
        let problem = |key: &str, message| ConfigProblem { key: key.to_owned(), message };
        let of_labels = of_labels.map(|message| problem("labels", message));
        of_labels.chain(of_columns.map(|message| problem("n_columns", message))).collect()
    }

    /// A conditional generator's pictures: each z with each label.
    fn of_labels(
        &self,
        ctx: &Context<'_>,
        sampler: &Sampler<'_>,
        z: &Array2<f32>,
    ) -> anyhow::Result<Outcome> {
        anyhow::ensure!(
            self.sorted_by.is_none(),
            "`sorted_by`: a conditional generator's grid has a row for each label"
        );
        let config = sampler.generator().config();
        let labels = self.labels.clone().unwrap_or_else(|| (0..config.classes as u32).collect());
        let n = labels.len() * z.nrows();
        anyhow::ensure!(
            n <= MAX_IMAGES,
            "expected up to {MAX_IMAGES} pictures, found {n}, `n_images` of each label; set it, or `labels`"
        );
        let mut task = ctx.task("drawing", "pictures");
        let pixels = sampler.draw_each(z, &labels, &mut |done, total| task.observe(done, total))?;
        drop(task);
        let rows: Vec<usize> = (0..n).map(|idx| idx % z.nrows()).collect();
        write_z(&ctx.out.join(Z), &z.select(Axis(0), &rows))?;
        let each: Array1<i64> = (0..n).map(|idx| i64::from(labels[idx / z.nrows()])).collect();
        each.write_npy(fs_err::File::create(ctx.out.join("labels.npy"))?)?;
        let [channels, side, _] = config.picture();
        self.write(ctx, &pixels, [n, channels, side, side], z.nrows())?;
        Ok(Outcome {
            metrics: json!({"n_images": n, "labels": labels}),
            differences: Comparison::of_settings(),
        })
    }

    /// The z to draw.
    fn z(&self, sampler: &Sampler<'_>) -> anyhow::Result<Array2<f32>> {
        let config = sampler.generator().config();
        let Some(path) = &self.z else {
            let n = if config.classes > 0 { N_OF_LABEL } else { N_IMAGES };
            return Ok(sample::first_z(config, self.n_images.unwrap_or(n), self.seed)?);
        };
        let z = read_z(path, config.nz)?;
        let n = self.n_images.unwrap_or(z.nrows());
        let path = path.display();
        anyhow::ensure!(
            n <= z.nrows(),
            "{path}: expected `n_images`, {n}, or more rows, found {}",
            z.nrows()
        );
        anyhow::ensure!(
            n <= MAX_IMAGES,
            "{path}: expected up to {MAX_IMAGES} rows, found {n}; set `n_images`"
        );
        Ok(z.slice_move(ndarray::s![..n, ..]))
    }

    fn write(
        &self,
        ctx: &Context<'_>,
        pixels: &[u8],
        shape: [usize; 4],
        n_columns: usize,
    ) -> anyhow::Result<()> {
        let png = ctx.out.join("samples.png");
        write_grid(&png, pixels, shape, n_columns)?;
        let [n_images, channels, side, _] = shape;
        if self.pictures {
            let mut task = ctx.task("writing", "pictures");
            let folder = folder_in(ctx.out, "pictures")?;
            for (idx, picture) in pixels.chunks_exact(channels * side * side).enumerate() {
                if task.observe(idx as u64, n_images as u64).is_break() {
                    return Err(dcgan_gan::GanError::Interrupted.into());
                }
                write_grid(&folder.join(format!("{idx:05}.png")), picture, [1, channels, side, side], 1)?;
            }
        }
        if self.pixels {
            let array = Array4::from_shape_vec(shape, pixels.to_vec())?;
            array.write_npy(fs_err::File::create(ctx.out.join("pixels.npy"))?).context("pixels.npy")?;
        }
        if self.pages {
            let grid = Grid { png: &png, n_images, n_columns, side };
            fs_err::write(ctx.out.join(PICK_PAGE), pick_page(&grid)?)?;
            fs_err::write(ctx.out.join("boxes.html"), boxes_page(&grid, &[])?)?;
        }
        Ok(())
    }
}
