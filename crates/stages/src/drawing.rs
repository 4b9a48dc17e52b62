//! What the stages that draw with a generator share.

use std::path::Path;

use anyhow::Context as _;
use dcgan_engine::context::Context;
use dcgan_engine::record::Record;
use dcgan_engine::stage::{ConfigProblem, Input, Stage};
use dcgan_gan::train::files::{GENERATOR, GENERATOR_BEST, GENERATOR_EMA};
use dcgan_gan::{BatchStatistics, Generator, Sampler, read_z};
use dcgan_images::Sheet;
use dcgan_report::figure::Figure;
use ndarray::Array2;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::device;
use crate::import_weights::why_no_generator;

/// The z of a `sample` stage's pictures, a row each.
pub(crate) const Z: &str = "z.npy";

/// Which of a training's generators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Weights {
    /// As it was trained.
    #[default]
    Trained,
    /// The exponential moving average of its weights.
    Ema,
    /// The one with the lowest score during the training.
    Best,
}

/// The default of `statistics` for figures, whose pictures are compared.
pub(crate) fn inferred() -> BatchStatistics {
    BatchStatistics::Inferred
}

/// The generator in a stage's folder.
pub(crate) fn load_generator(
    ctx: &Context<'_>,
    model: &Input,
    weights: Weights,
) -> anyhow::Result<Generator> {
    let folder = ctx.input(model);
    let (file, needs) = match weights {
        Weights::Trained => (GENERATOR, why_no_generator(&folder)?),
        Weights::Ema => {
            let needs = "`weights` is \"ema\", which needs a training that kept a moving average (`training.ema_decay`)";
            (GENERATOR_EMA, Some(needs.to_owned()))
        }
        Weights::Best => {
            let needs = "`weights` is \"best\", which needs a training that kept its best generator";
            (GENERATOR_BEST, Some(needs.to_owned()))
        }
    };
    if let Some(needs) = needs.as_ref().filter(|_| !folder.join(file).exists()) {
        anyhow::bail!("{needs}, in {file}; {} holds {}", folder.display(), generators_in(&folder));
    }
    let device = device::open(ctx)?;
    let generator = Generator::load(&folder.join(file), &device);
    match needs {
        None => Ok(generator?),
        Some(needs) => generator.context(needs),
    }
}

/// The generators in a folder, by the value of `weights`.
fn generators_in(folder: &Path) -> String {
    let all = [(GENERATOR, "trained"), (GENERATOR_EMA, "ema"), (GENERATOR_BEST, "best")];
    let there = all.into_iter().filter(|(file, _)| folder.join(file).exists());
    let there: Vec<String> = there.map(|(file, name)| format!("{file} (\"{name}\")")).collect();
    if there.is_empty() { "no generator".to_owned() } else { there.join(" and ") }
}

/// A sampler, with progress while statistics are inferred.
pub(crate) fn sampler<'g>(
    ctx: &Context<'_>,
    generator: &'g Generator,
    statistics: BatchStatistics,
    seed: u64,
) -> anyhow::Result<Sampler<'g>> {
    let mut task = ctx.task("inferring statistics", "pictures");
    Ok(Sampler::new(generator, statistics, seed, &mut |done, total| task.observe(done, total))?)
}

/// Pictures of one size, drawn from z.
pub(crate) struct Drawn {
    pixels: Vec<u8>,
    channels: usize,
    /// Their side.
    pub(crate) side: usize,
}

impl Drawn {
    /// Draws the pictures of `z`, with progress.
    pub(crate) fn new(ctx: &Context<'_>, sampler: &Sampler<'_>, z: &Array2<f32>) -> anyhow::Result<Self> {
        let mut task = ctx.task("drawing", "pictures");
        let pixels = sampler.draw(z, &mut |done, total| task.observe(done, total))?;
        let [channels, side, _] = sampler.generator().config().picture();
        Ok(Self { pixels, channels, side })
    }

    /// Pictures that are drawn already: uint8, NCHW, of so many channels and rows.
    pub(crate) fn of(pixels: Vec<u8>, [channels, side, _]: [usize; 3]) -> Self {
        Self { pixels, channels, side }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.pixels.len() / self.image_len()
    }

    /// One picture's values, planes first.
    pub(crate) fn picture(&self, idx: usize) -> &[u8] {
        &self.pixels[idx * self.image_len()..(idx + 1) * self.image_len()]
    }

    fn image_len(&self) -> usize {
        self.channels * self.side * self.side
    }

    /// All pictures in rows of `n_columns`.
    pub(crate) fn rows(&self, n_columns: usize) -> Sheet {
        let mut sheet = Sheet::new(self.side, self.len().div_ceil(n_columns) as f64, n_columns as f64);
        for idx in 0..self.len() {
            sheet.place(self.picture(idx), (idx / n_columns) as f64, (idx % n_columns) as f64);
        }
        sheet
    }
}

/// The z of a `sample` stage.
pub(crate) fn z_of(ctx: &Context<'_>, samples: &Input, sampler: &Sampler<'_>) -> anyhow::Result<Array2<f32>> {
    Ok(read_z(&ctx.input(samples).join(Z), sampler.generator().config().nz)?)
}

/// The z of a `sample` stage whose pictures somebody looked at; warns where `drawn` makes other pictures of them.
pub(crate) fn picked_z(
    ctx: &Context<'_>,
    samples: &Input,
    drawn: &DrawnBy<'_>,
    sampler: &Sampler<'_>,
) -> anyhow::Result<Array2<f32>> {
    if let Some(unlike) = drawn.unlike(ctx, samples)? {
        ctx.progress().warn(format_args!(
            "{unlike}; what was picked there may look different, or be something else, here"
        ));
    }
    z_of(ctx, samples, sampler)
}

/// What decides which picture a z gives.
#[derive(Debug)]
pub(crate) struct DrawnBy<'a> {
    pub(crate) model: &'a Input,
    pub(crate) weights: Weights,
    pub(crate) statistics: BatchStatistics,
}

impl DrawnBy<'_> {
    /// In what the pictures of a `sample` stage were drawn otherwise; none where they were not, or where nothing tells.
    pub(crate) fn unlike(&self, ctx: &Context<'_>, samples: &Input) -> anyhow::Result<Option<String>> {
        let folder = ctx.input(samples);
        let Some(record) = Record::read(&folder)? else { return Ok(None) };
        let mut differences = Vec::new();
        let theirs = record.inputs.iter().find(|input| input.key == "model");
        let ours = Record::read(&ctx.input(self.model))?;
        if let (Some(theirs), Some(ours)) = (theirs, ours)
            && theirs.fingerprint != ours.fingerprint()
        {
            differences.push(format!("by another `model`, {}", theirs.name));
        }
        let ours = [
            ("weights", serde_json::to_value(self.weights)?),
            ("statistics", serde_json::to_value(self.statistics)?),
        ];
        for (key, ours) in ours {
            match record.config.get(&record.kind).and_then(|config| config.get(key)) {
                Some(theirs) if *theirs != ours => {
                    differences.push(format!("with {key} = {theirs}, not {ours}"));
                }
                _ => {}
            }
        }
        let hint = match differences.iter().any(|difference| difference.contains("statistics")) {
            true => {
                " (where `statistics` is left out, `sample` takes \"batch\" and the stages behind it \"inferred\")"
            }
            false => "",
        };
        let unlike =
            || format!("the pictures in {} were drawn {}{hint}", folder.display(), differences.join(" and "));
        Ok((!differences.is_empty()).then(unlike))
    }
}

/// Lists a stage's figures for the report.
pub(crate) fn write_figures(ctx: &Context<'_>, figures: &[Figure]) -> anyhow::Result<()> {
    ctx.write_json(Figure::FILE, &figures)
}

/// "3, 17 and 42".
pub(crate) fn listed(picks: &[usize]) -> String {
    let texts: Vec<String> = picks.iter().map(usize::to_string).collect();
    match texts.split_last() {
        Some((last, first)) if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => texts.concat(),
    }
}

/// A list of samples that must not be empty.
pub(crate) fn empty_list(key: &str, picks: &[usize]) -> Option<ConfigProblem> {
    let message = "expected at least one number of a sample".to_owned();
    picks.is_empty().then(|| ConfigProblem { key: key.to_owned(), message })
}

/// Refuses to draw what nobody has picked, and says how it is picked.
pub(crate) fn ask_for(ctx: &Context<'_>, stage: &dyn Stage) -> anyhow::Result<()> {
    let Some(picks) = stage.waits_for() else { return Ok(()) };
    let page = ctx.input(picks.from).join(picks.page);
    anyhow::bail!(picks.ask(&page, "run the same command with", "'"))
}

/// Creates a folder in the stage's.
pub(crate) fn folder_in(out: &Path, name: &str) -> anyhow::Result<std::path::PathBuf> {
    let folder = out.join(name);
    fs_err::create_dir_all(&folder)?;
    Ok(folder)
}

/// Rows from one pair of rows to the next.
const PAIR: f64 = 2.2;

/// Pairs of rows of up to 8 pictures.
pub(crate) fn before_and_after(before: &Drawn, after: &Drawn, n_shown: usize) -> Sheet {
    let n_columns = n_shown.min(8);
    let n_rows = n_shown.div_ceil(n_columns);
    let mut sheet = Sheet::new(before.side, PAIR * (n_rows - 1) as f64 + 2.0, n_columns as f64);
    for idx in 0..n_shown {
        let (row, column) = ((idx / n_columns) as f64 * PAIR, (idx % n_columns) as f64);
        sheet.place(before.picture(idx), row, column);
        sheet.place(after.picture(idx), row + 1.0, column);
    }
    sheet
}
