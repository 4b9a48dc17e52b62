//! The course of a training: the measures of its checkpoints' samples.

use std::io::Write as _;
use std::ops::ControlFlow;

use anyhow::{Context as _, bail, ensure};
use dcgan_dedup::Code;
use dcgan_dedup::group::GroupConfig;
use dcgan_engine::context::Context;
use dcgan_gan::sample::{SAMPLE_BATCH, first_z};
use dcgan_gan::train::{Kept, files};
use dcgan_gan::{Generator, Sampler};
use dcgan_metrics::frechet::{Reference, frechet};
use dcgan_metrics::kernel::{KernelConfig, kernel_distance};
use dcgan_metrics::prdc::prdc;
use dcgan_metrics::{Features, Statistics};
use serde_json::{Map, Value, json};

use super::config::{Measure, SampleMetrics};
use super::sets::Drawn;
use crate::device;
use crate::drawing::{Weights, sampler};
use crate::feature_blocks::{Output, in_blocks};
use crate::feature_maker::{By, Maker};

/// Name of the file: a JSON line for each checkpoint, as a training writes them.
const COURSE: &str = "metrics.jsonl";
/// Samples of which all pairs are compared by code.
const N_CODES: usize = 1024;
/// A filter is still where less than this share of its mean square changes with z.
const STILL: f64 = 0.01;

/// What the samples of each checkpoint are compared with.
pub(super) struct Course<'a> {
    pub(super) config: &'a SampleMetrics,
    pub(super) real: Option<Features<'a>>,
    pub(super) reference: Option<&'a Reference>,
    pub(super) maker: Option<&'a Maker>,
}

impl Course<'_> {
    /// Measures all of them, and writes the file.
    pub(super) fn write(&self, ctx: &Context<'_>, checkpoints: &[Kept]) -> anyhow::Result<()> {
        let Some(maker) = self.maker.filter(|_| !checkpoints.is_empty()) else { return Ok(()) };
        let device = device::open(ctx)?;
        let sizes = Generator::load(&ctx.input(&self.config.generated).join(files::GENERATOR), &device)?;
        let hash = match &self.config.autoencoder {
            Some(model) => {
                let mut none = || bail!("an autoencoder takes no statistics");
                Some(Maker::open(ctx, By::Model(Some(model)), &mut none, sizes.config().picture())?)
            }
            None => None,
        };
        let mut lines = Vec::new();
        for checkpoint in checkpoints {
            let is_average = self.config.weights == Weights::Ema;
            let generator = checkpoint.generator(sizes.config(), is_average, &device)?;
            let measures = self.measures(ctx, generator.clone(), (maker, checkpoint.step));
            let mut line = measures.with_context(|| format!("samples of minibatch {}", checkpoint.step))?;
            line.extend(self.modes(ctx, &generator, hash.as_ref())?);
            line.insert("step".to_owned(), json!(checkpoint.step));
            lines.push(line);
        }
        let mut text = Vec::new();
        lines.iter().try_for_each(|line| writeln!(text, "{}", Value::from(line.clone())))?;
        Ok(fs_err::write(ctx.out.join(COURSE), text)?)
    }

    /// The measures of one checkpoint's samples.
    fn measures(
        &self,
        ctx: &Context<'_>,
        generator: Generator,
        (maker, step): (&Maker, u64),
    ) -> anyhow::Result<Map<String, Value>> {
        let (drawn, n) = (Drawn::new(generator, self.config.drawing())?, self.config.n_images);
        let outputs = maker.outputs(&ctx.out.join(format!("generated_{step}")), false);
        let sampler = drawn.sampler(ctx)?;
        let mut task = ctx.task(&format!("samples of minibatch {step}"), "pictures");
        let mut features = |range| maker.make(&drawn.pixels(&sampler, range)?, false);
        let mut observe = |done, total| task.observe(done, total);
        let sets = in_blocks((n, maker.block()), &outputs, &mut features, &mut observe)?;
        drop(task);
        let mut line = Map::new();
        for set in &sets {
            let generated = Features::new("generated", set.values(), set.n_columns())?;
            line = self.figures(ctx, &generated)?;
        }
        drop(sets);
        outputs.iter().try_for_each(Output::remove)?;
        Ok(line)
    }

    fn figures(&self, ctx: &Context<'_>, generated: &Features<'_>) -> anyhow::Result<Map<String, Value>> {
        let mut line = Map::new();
        let put = |line: &mut Map<String, Value>, key: &str, value: f64| {
            line.insert(key.to_owned(), json!(value));
        };
        let config = self.config;
        if config.takes(Measure::Frechet) {
            let found = match (&self.real, self.reference) {
                (Some(real), _) => frechet(real, generated)?,
                (None, Some(reference)) => reference.distance(&Statistics::of(generated)?)?,
                (None, None) => bail!("expected real pictures or their statistics, found neither"),
            };
            put(&mut line, "frechet_distance", found.distance);
        }
        let Some(real) = &self.real else { return Ok(line) };
        let mut observe = |_, _| ctx.progress().interrupt().flow();
        if config.takes(Measure::Kernel) {
            let smaller = real.n_rows().min(generated.n_rows());
            let subset_size = config.kernel.subset_size.min(smaller);
            let kernel = KernelConfig { subset_size, ..config.kernel.clone() };
            let found = kernel_distance(real, generated, &kernel, &mut observe)?;
            put(&mut line, "kernel_distance_1000", 1000.0 * found.mean);
        }
        if config.takes(Measure::Prdc) {
            let found = prdc(real, generated, config.k, (0, 0), &mut observe)?;
            put(&mut line, "precision", found.precision);
            put(&mut line, "recall", found.recall);
            put(&mut line, "density", found.density);
            put(&mut line, "coverage", found.coverage);
        }
        Ok(line)
    }

    /// Whether different z give different pictures.
    fn modes(
        &self,
        ctx: &Context<'_>,
        generator: &Generator,
        hash: Option<&Maker>,
    ) -> anyhow::Result<Map<String, Value>> {
        let mut line = Map::new();
        let config = self.config;
        let n = N_CODES.min(config.n_images).next_multiple_of(SAMPLE_BATCH);
        if let Some(hash) = hash {
            let drawn = Drawn::new(generator.clone(), config.drawing())?;
            let pixels = drawn.pixels(&drawn.sampler(ctx)?, 0..n.min(config.n_images))?;
            if let Some(codes) = hash.codes(&pixels)? {
                line.insert("alike_percent".to_owned(), json!(100.0 * share_alike(&codes)));
            }
        }
        let n_hidden = generator.config().layers.len();
        if generator.config().classes == 0 && n_hidden > 1 {
            let variances =
                filter_variances(&sampler(ctx, generator, config.batch_norm, config.seed)?, n_hidden - 1)?;
            let still = variances.iter().filter(|share| **share < STILL).count() as f64;
            let n = variances.len() as f64;
            let least = variances.iter().copied().fold(f64::INFINITY, f64::min);
            line.insert("still_filters_percent".to_owned(), json!(100.0 * still / n));
            line.insert("filter_variance".to_owned(), json!(variances.iter().sum::<f64>() / n));
            line.insert("filter_variance_least".to_owned(), json!(least));
        }
        Ok(line)
    }
}

/// The share of pairs whose codes lie within the radius of near-duplicates.
fn share_alike(codes: &[Code]) -> f64 {
    let radius = GroupConfig::default().radius;
    let alike = |(i, code): (usize, &Code)| {
        codes[i + 1..].iter().filter(|other| code.distance(**other) <= radius).count()
    };
    let n_alike: usize = codes.iter().enumerate().map(alike).sum();
    n_alike as f64 / (codes.len() * codes.len().saturating_sub(1) / 2).max(1) as f64
}

/// Of each filter of a layer the variance over z at each place, summed over places, as a share of the sum of squares; 0 for a
/// filter that is 0 everywhere.
fn filter_variances(sampler: &Sampler<'_>, layer: usize) -> anyhow::Result<Vec<f64>> {
    let z = first_z(sampler.generator().config(), 4 * SAMPLE_BATCH, 0)?;
    let maps = sampler.maps(&z, layer, &mut |_, _| ControlFlow::Continue(()))?;
    let (n, height, width, n_filters) = maps.dims4()?;
    ensure!(n > 1, "expected several z, found {n}");
    let values = maps.to_dtype(candle_core::DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    let mut sums = vec![[0.0_f64; 2]; height * width * n_filters];
    for picture in values.chunks_exact(sums.len()) {
        for (sums, value) in sums.iter_mut().zip(picture) {
            let value = f64::from(*value);
            sums[0] += value;
            sums[1] += value * value;
        }
    }
    let mut shares = vec![[0.0_f64; 2]; n_filters];
    for (place, [sum, squares]) in sums.iter().enumerate() {
        let of_filter = &mut shares[place % n_filters];
        of_filter[0] += (squares - sum * sum / n as f64).max(0.0);
        of_filter[1] += squares;
    }
    Ok(shares.iter().map(|[changing, all]| if *all > 0.0 { changing / all } else { 0.0 }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_within_the_radius_are_counted() {
        let code = |n_set: usize| Code::from_bits((0..128).map(|bit| bit < n_set));
        assert_eq!(share_alike(&[code(0), code(12), code(13), code(60)]), 2.0 / 6.0);
        assert_eq!(share_alike(&[code(0)]), 0.0);
    }

    #[test]
    fn a_filter_that_does_not_depend_on_z_is_still() {
        use dcgan_gan::{Architecture, ArchitectureName, BatchStatistics};
        let architecture = Architecture { name: ArchitectureName::Svhn32, width: 0.02 };
        let generator = Generator::random(architecture.generator(), 1, &candle_core::Device::Cpu).unwrap();
        let mut go_on = |_, _| ControlFlow::Continue(());
        let sampler = Sampler::new(&generator, BatchStatistics::Batch, 0, &mut go_on).unwrap();
        let all = filter_variances(&sampler, 1).unwrap();
        assert!(
            all.iter().all(|share| (0.0..=1.0).contains(share)) && all.iter().any(|share| *share > STILL),
            "{all:?}"
        );
        let without = sampler.without(1, &[0]).unwrap();
        assert_eq!(filter_variances(&without, 1).unwrap()[0], 0.0);
    }
}
