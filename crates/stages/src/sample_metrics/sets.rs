//! The two sets that are compared: pictures of a store, pictures to be drawn, or features that are there.

use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure};
use dcgan_engine::context::Context;
use dcgan_engine::stage::Input;
use dcgan_eval::{FEATURES_FILE, FeatureSet};
use dcgan_gan::sample::{SAMPLE_BATCH, first_z};
use dcgan_gan::{BatchStatistics, Generator, Sampler};
use dcgan_images::{ImageStore, batches};
use dcgan_metrics::inception::FEATURES;
use ndarray::{Array2, s};
use serde_json::{Value, json};

use crate::drawing::{Weights, load_generator, sampler};
use crate::feature_blocks::{BLOCK, Output, in_blocks};
use crate::feature_maker::{By, Maker, check_size, picture_size};

/// How a generator's pictures are drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Drawing {
    pub(crate) n: usize,
    pub(crate) seed: u64,
    pub(crate) weights: Weights,
    pub(crate) batch_norm: BatchStatistics,
}

/// One of the sets.
pub(crate) struct Set {
    key: &'static str,
    /// As the manifest names it.
    name: String,
    pub(crate) from: From,
}

/// Where its features come from.
pub(crate) enum From {
    /// Pictures of a store: which of them, all where it is none.
    Pictures(ImageStore, Option<Vec<u32>>),
    /// Pictures that a generator draws.
    Drawn(Box<Drawn>),
    /// They are there.
    Features(FeatureSet),
}

/// A generator and its z, in whole batches.
pub(crate) struct Drawn {
    generator: Generator,
    z: Array2<f32>,
    drawing: Drawing,
}

impl Set {
    /// Opens a stage's folder: what it holds tells what it is.
    pub(crate) fn open(
        ctx: &Context<'_>,
        key: &'static str,
        input: &Input,
        drawing: Option<Drawing>,
    ) -> anyhow::Result<Self> {
        let (folder, name) = (ctx.input(input), input.as_str().to_owned());
        let from = if folder.join(FEATURES_FILE).exists() {
            From::Features(FeatureSet::open_labelled_or_not(&folder)?)
        } else if folder.join("images.npy").exists() || drawing.is_none() {
            From::Pictures(ImageStore::open(&folder)?, None)
        } else if let Some(drawing) = drawing {
            let generator = load_generator(ctx, input, drawing.weights)?;
            From::Drawn(Box::new(Drawn::new(generator, drawing)?))
        } else {
            bail!("`{key}`: expected pictures or features in {}, found neither", folder.display());
        };
        let set = Self { key, name, from };
        ensure!(set.len() > 0, "`{key}`: expected at least one picture, found none in {}", folder.display());
        Ok(set)
    }

    /// Pictures.
    pub(crate) fn len(&self) -> usize {
        match &self.from {
            From::Pictures(store, None) => store.len(),
            From::Pictures(_, Some(rows)) => rows.len(),
            From::Drawn(drawn) => drawn.drawing.n,
            From::Features(set) => set.n_rows(),
        }
    }

    /// (channels, height, width); none for features.
    pub(crate) fn size(&self) -> Option<[usize; 3]> {
        match &self.from {
            From::Pictures(store, _) => Some(picture_size(store)),
            From::Drawn(drawn) => Some(drawn.generator.config().picture()),
            From::Features(_) => None,
        }
    }

    /// All of its pictures, uint8 NCHW; none for features.
    pub(crate) fn pixels(self, ctx: &Context<'_>) -> anyhow::Result<Vec<u8>> {
        let n = self.len();
        match self.from {
            From::Features(set) => {
                bail!("`{}`: expected pictures, found features in {}", self.key, set.path().display())
            }
            From::Pictures(store, None) => Ok(store.pixels().to_vec()),
            From::Pictures(store, Some(rows)) => {
                let mut pixels = Vec::new();
                store.gather(&rows, &mut pixels);
                Ok(pixels)
            }
            From::Drawn(drawn) => {
                let sampler = drawn.sampler(ctx)?;
                let mut task = ctx.task("drawing", "pictures");
                let mut pixels = Vec::new();
                for first in (0..n).step_by(BLOCK) {
                    ensure!(task.observe(first as u64, n as u64).is_continue(), "interrupted");
                    pixels.extend(drawn.pixels(&sampler, first..(first + BLOCK).min(n))?);
                }
                Ok(pixels)
            }
        }
    }

    /// The features of its pictures, written into the folder `dir` block by block, or those that are there.
    pub(crate) fn features(
        self,
        ctx: &Context<'_>,
        maker: Option<&Maker>,
        dir: &Path,
    ) -> anyhow::Result<Vec<FeatureSet>> {
        let n = self.len();
        // Of real pictures nothing looks at logits.
        let with_logits = self.key == "generated";
        let (what, unit) = (format!("features of the {} set", self.key), "pictures");
        match (self.from, maker) {
            (From::Features(set), _) => Ok(vec![set]),
            (_, None) => bail!("`{}`: expected something that turns pictures into features", self.key),
            (From::Pictures(store, rows), Some(maker)) => {
                let mut task = ctx.task(&what, unit);
                let mut pixels = Vec::new();
                let mut features = |range: Range<usize>| {
                    let indices: Vec<u32> = match &rows {
                        Some(rows) => rows[range].to_vec(),
                        None => (range.start as u32..range.end as u32).collect(),
                    };
                    store.gather(&indices, &mut pixels);
                    maker.make(&pixels, with_logits)
                };
                let mut observe = |done, total| task.observe(done, total);
                let outputs = maker.outputs(dir, with_logits);
                in_blocks((n, maker.block()), &outputs, &mut features, &mut observe)
            }
            (From::Drawn(drawn), Some(maker)) => {
                let sampler = drawn.sampler(ctx)?;
                let mut task = ctx.task(&what, unit);
                let mut features =
                    |range: Range<usize>| maker.make(&drawn.pixels(&sampler, range)?, with_logits);
                let mut observe = |done, total| task.observe(done, total);
                let outputs = maker.outputs(dir, with_logits);
                in_blocks((n, maker.block()), &outputs, &mut features, &mut observe)
            }
        }
    }
}

impl Drawn {
    /// Draws z for whole batches, so that a picture is the same in whatever block.
    pub(crate) fn new(generator: Generator, drawing: Drawing) -> anyhow::Result<Self> {
        let z = first_z(generator.config(), drawing.n.next_multiple_of(SAMPLE_BATCH), drawing.seed)?;
        Ok(Self { generator, z, drawing })
    }

    pub(crate) fn sampler(&self, ctx: &Context<'_>) -> anyhow::Result<Sampler<'_>> {
        sampler(ctx, &self.generator, self.drawing.batch_norm, self.drawing.seed)
    }

    /// The pictures of a range that begins with a batch. A conditional generator's labels go round.
    pub(crate) fn pixels(&self, sampler: &Sampler<'_>, range: Range<usize>) -> anyhow::Result<Vec<u8>> {
        let end = range.end.next_multiple_of(SAMPLE_BATCH);
        let z = self.z.slice(s![range.start..end, ..]).to_owned();
        let mut go_on = |_, _| std::ops::ControlFlow::Continue(());
        let mut pixels = match self.generator.config().classes {
            0 => sampler.draw(&z, &mut go_on)?,
            n => {
                let labels: Vec<u32> = (range.start..end).map(|idx| (idx % n) as u32).collect();
                sampler.draw_labelled(&z, &labels, &mut go_on)?
            }
        };
        pixels.truncate(pixels.len() / z.nrows() * range.len());
        Ok(pixels)
    }
}

/// The features of both, and what made them.
pub(crate) struct MadeFeatures {
    pub(crate) real: Option<FeatureSet>,
    pub(crate) generated: FeatureSet,
    /// Of the generated ones, where there are such.
    pub(crate) logits: Option<FeatureSet>,
    /// None where the features were there.
    pub(crate) maker: Option<Maker>,
}

/// Both.
pub(crate) struct Sets {
    real: Option<Set>,
    generated: Option<Set>,
    facts: [Value; 2],
    are: String,
}

impl Sets {
    /// Refuses sets that cannot be compared; `n_real` keeps so many real pictures, drawn by a seed.
    pub(crate) fn new(
        mut real: Option<Set>,
        generated: Set,
        n_real: Option<(usize, u64)>,
        by: By<'_>,
    ) -> anyhow::Result<Self> {
        let sizes = [real.as_ref().and_then(Set::size), generated.size()];
        if let [Some(real), Some(generated)] = sizes {
            check_size("the real ones", real, generated)?;
        }
        if let (Some(real), By::Model(None)) = (&real, by)
            && (sizes[0].is_none() != sizes[1].is_none())
        {
            bail!(
                "expected pictures or features on both sides, found {} in `real` ({}) and {} in `generated` ({}); `model` makes features \
                 of pictures",
                in_words(real),
                real.name,
                in_words(&generated),
                generated.name
            );
        }
        if let (Some((n, seed)), Some(real)) = (n_real, &mut real) {
            real.keep(n, seed)?;
        }
        let columns = |set: &Set| match &set.from {
            From::Features(features) => Some(features.n_columns()),
            _ => None,
        };
        if let (Some(a), Some(b)) = (real.as_ref().and_then(columns), columns(&generated)) {
            ensure!(a == b, "`generated`: expected rows of {a} features, as `real` has, found {b}");
        }
        let facts = [real.as_ref().map(Set::facts).unwrap_or_default(), generated.facts()];
        let are = in_words(&generated).to_owned();
        Ok(Self { real, generated: Some(generated), facts, are })
    }

    /// Pictures of the real set, if there is one, and of the generated one.
    pub(crate) fn lens(&self) -> [Option<usize>; 2] {
        [&self.real, &self.generated].map(|set| set.as_ref().map(Set::len))
    }

    /// Features of a picture.
    pub(crate) fn n_columns(&self, ctx: &Context<'_>, by: By<'_>) -> anyhow::Result<usize> {
        let sets = || self.generated.iter().chain(&self.real);
        let there = sets().find_map(|set| match &set.from {
            From::Features(features) => Some(features.n_columns()),
            _ => None,
        });
        match (there, by, sets().find_map(Set::size)) {
            (Some(n), ..) => Ok(n),
            (None, By::Inception(..), _) => Ok(FEATURES),
            (None, _, Some(size)) => Maker::n_features_of(ctx, by, size),
            (None, _, None) => bail!("expected pictures or features, found neither"),
        }
    }

    /// What to say of features that are rounded to f32.
    pub(crate) fn rounded(&self) -> Vec<String> {
        let features = self.real.iter().chain(&self.generated).filter_map(|set| match &set.from {
            From::Features(features) => features.rounded(),
            _ => None,
        });
        features.collect()
    }

    /// Bytes of the features that have to be made.
    pub(crate) fn bytes(&self, ctx: &Context<'_>, by: By<'_>) -> anyhow::Result<u64> {
        let mut bytes = 0;
        for set in self.real.iter().chain(&self.generated) {
            if let Some(size) = set.size() {
                bytes += set.len() * Maker::n_features_of(ctx, by, size)? * size_of::<f32>();
            }
        }
        Ok(bytes as u64)
    }

    /// The features of both, and what they are.
    pub(crate) fn features(
        &mut self,
        ctx: &Context<'_>,
        by: By<'_>,
        statistics: &mut dyn FnMut() -> anyhow::Result<ImageStore>,
    ) -> anyhow::Result<MadeFeatures> {
        let size = self.real.as_ref().and_then(Set::size).or(self.generated.as_ref().and_then(Set::size));
        let maker = match size {
            Some(size) => Some(Maker::open(ctx, by, statistics, size)?),
            None => None,
        };
        let of = |set: Option<Set>, dir: &str| -> anyhow::Result<Vec<FeatureSet>> {
            let made = set.map(|set| set.features(ctx, maker.as_ref(), &ctx.out.join(dir))).transpose();
            Ok(made?.unwrap_or_default())
        };
        let real = of(self.real.take(), REAL)?.into_iter().next();
        let mut generated = of(self.generated.take(), GENERATED)?.into_iter();
        let Some(features) = generated.next() else { bail!("expected generated pictures, found none") };
        Ok(MadeFeatures { real, generated: features, logits: generated.next(), maker })
    }

    /// Removes the features that were made, which are in folders of the stage's own.
    pub(crate) fn remove_features(&self, ctx: &Context<'_>) -> anyhow::Result<()> {
        let dirs = [REAL, GENERATED].map(|dir| ctx.out.join(dir));
        let logits = dirs[1].with_extension("logits");
        let written = dirs.into_iter().chain([logits]).filter(|dir| dir.is_dir());
        written.map(|dir| Output { dir, n_columns: 0 }).try_for_each(|output| output.remove())
    }

    pub(crate) fn real_facts(&self, statistics: &Option<PathBuf>) -> Value {
        match statistics {
            Some(path) => json!({"statistics": path}),
            None => self.facts[0].clone(),
        }
    }

    pub(crate) fn generated_facts(&self) -> Value {
        self.facts[1].clone()
    }

    /// What the generated ones are, in words.
    pub(crate) fn generated_are(&self) -> &str {
        &self.are
    }
}

/// Folders of features that are made.
const REAL: &str = "real";
const GENERATED: &str = "generated";

fn in_words(set: &Set) -> &'static str {
    match &set.from {
        From::Pictures(..) => "pictures",
        From::Drawn(_) => "samples",
        From::Features(_) => "features",
    }
}

impl Set {
    /// Keeps `n` pictures, drawn by a seed, in their order.
    pub(crate) fn keep(&mut self, n: usize, seed: u64) -> anyhow::Result<()> {
        let len = self.len();
        ensure!(n <= len, "expected at most the number of pictures of `{}`, {len}, found {n}", self.key);
        match &mut self.from {
            From::Pictures(store, rows) => {
                let mut kept = batches::shuffled(store.len(), seed, u64::MAX);
                kept.truncate(n);
                kept.sort_unstable();
                *rows = Some(kept);
                Ok(())
            }
            _ if n == len => Ok(()),
            _ => {
                bail!("`{}`: a choice of its pictures is of use only with pictures, found features", self.key)
            }
        }
    }

    fn facts(&self) -> Value {
        let n = self.len();
        match &self.from {
            From::Drawn(drawn) => json!({
                "from": self.name,
                "n_pictures": n,
                "seed": drawn.drawing.seed,
                "weights": drawn.drawing.weights,
                "batch_norm": drawn.drawing.batch_norm,
            }),
            _ => json!({"from": self.name, "n_pictures": n}),
        }
    }
}
