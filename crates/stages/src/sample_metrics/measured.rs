//! The measures of two sets of features.

use dcgan_engine::context::Context;
use dcgan_metrics::bootstrap::{Interval, of_frechet};
use dcgan_metrics::frechet::{Cost, Frechet, Reference, frechet, rank_warning};
use dcgan_metrics::inception_score::{InceptionScore, inception_score};
use dcgan_metrics::infinity::{Against, Infinity, infinity};
use dcgan_metrics::kernel::{KernelConfig, KernelDistance, kernel_distance};
use dcgan_metrics::prdc::{Prdc, prdc};
use dcgan_metrics::{Features, Statistics};
use serde::Serialize;

use super::config::{Measure, STATISTICS, SampleMetrics, check_count};
use super::cost::SECOND;

/// All that was measured.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Measured {
    pub(super) n_features: usize,
    /// Of the real and the generated set; none where a statistics file does not tell.
    pub(super) n_pictures: [Option<u64>; 2],
    pub(super) frechet: Option<FrechetFigures>,
    pub(super) kernel: Option<KernelDistance>,
    pub(super) prdc: Option<Prdc>,
    pub(super) inception_score: Option<InceptionScore>,
    /// Whether distances are called FID and KID.
    pub(super) is_inception: bool,
    pub(super) warnings: Vec<String>,
}

impl Measured {
    /// What the Fréchet distance is called.
    pub(super) fn name_of_frechet(&self, features: &str) -> String {
        let what = if self.is_inception { "FID" } else { "Fréchet distance" };
        format!("{what} ({features})")
    }
}

/// The Fréchet distance and what was found beside it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct FrechetFigures {
    #[serde(flatten)]
    pub(super) found: Frechet,
    pub(super) interval: Option<Interval>,
    /// Why there is no interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    no_interval: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) infinity: Option<Infinity>,
}

/// What is measured.
pub(super) struct Measuring<'a> {
    pub(super) real: Option<Features<'a>>,
    pub(super) reference: Option<&'a Reference>,
    pub(super) generated: Features<'a>,
    pub(super) logits: Option<Features<'a>>,
    /// What the features are.
    pub(super) name: &'a str,
    pub(super) is_inception: bool,
}

const OF_ITSELF: &str = "the mean of the statistics file is that of the generated set to the last bit: it was made of this set, and the \
     distance says nothing of a generator";

/// Takes the measures that are asked for.
pub(super) fn measure(
    ctx: &Context<'_>,
    config: &SampleMetrics,
    set: Measuring<'_>,
) -> anyhow::Result<Measured> {
    let Measuring { real, reference, generated, logits, name, is_inception } = set;
    check_counts(config, real.as_ref(), &generated)?;
    let n_real = real.as_ref().map(|real| real.n_rows() as u64);
    let mut measured = Measured {
        n_features: generated.n_columns(),
        n_pictures: [n_real, Some(generated.n_rows() as u64)],
        frechet: None,
        kernel: None,
        prdc: None,
        inception_score: None,
        is_inception,
        warnings: Vec::new(),
    };
    if config.takes(Measure::Frechet) {
        let counts = [("real", n_real), ("generated", measured.n_pictures[1])];
        let short = counts.iter().filter_map(|(side, n)| rank_warning(side, (*n)?, measured.n_features));
        measured.warnings.extend(short);
        let found = frechet_figures(ctx, config, (real.as_ref(), reference), &generated)?;
        if reference.is_some() && found.found.between_means == 0.0 {
            measured.warnings.push(OF_ITSELF.to_owned());
        }
        measured.frechet = Some(found);
    } else if config.write_statistics
        && let Some(real) = &real
    {
        Statistics::of(real)?.write(&ctx.out.join(STATISTICS))?;
    }
    if let Some(logits) = logits.filter(|_| config.takes(Measure::InceptionScore)) {
        let mut parts = config.inception_score.clone();
        parts.splits = parts.splits.min(logits.n_rows());
        measured.inception_score = Some(inception_score(&logits, &parts)?);
    }
    let Some(real) = real else { return Ok(measured) };
    if config.takes(Measure::Kernel) {
        let mut task = ctx.task("kernel distance", "subsets");
        let mut observe = |done, total| task.observe(done, total);
        let subset = subset(config, &real, &generated, &mut measured.warnings);
        measured.kernel = Some(kernel_distance(&real, &generated, &subset, &mut observe)?);
    }
    if config.takes(Measure::Prdc) {
        let mut task = ctx.task("precision and recall", "pictures");
        let mut observe = |done, total| task.observe(done, total);
        let bootstrap = (config.bootstrap, config.seed);
        let found = prdc(&real, &generated, config.k, bootstrap, &mut observe)?;
        measured.warnings.extend(found.warnings([real.n_rows(), generated.n_rows()]));
        measured.prdc = Some(found);
    }
    if name == "raw pixels" {
        measured.warnings.push("by raw pixels, which say little of what is seen".to_owned());
    }
    Ok(measured)
}

/// Too few pictures are found before the first measure is taken.
fn check_counts(
    config: &SampleMetrics,
    real: Option<&Features<'_>>,
    generated: &Features<'_>,
) -> anyhow::Result<()> {
    for (key, n) in
        real.map(|real| ("real", real.n_rows())).into_iter().chain([("generated", generated.n_rows())])
    {
        check_count(key, n, 2, "as a covariance takes")?;
        if config.takes(Measure::Prdc) {
            check_count(key, n, config.k + 1, &format!("more than `k`, {}", config.k))?;
        }
    }
    Ok(())
}

/// The subsets of the kernel distance: where a set has fewer pictures than one, as many as it has.
fn subset(
    config: &SampleMetrics,
    real: &Features<'_>,
    generated: &Features<'_>,
    warnings: &mut Vec<String>,
) -> KernelConfig {
    let (asked, n) = (config.kernel.clone(), [real.n_rows(), generated.n_rows()]);
    let smaller = n[0].min(n[1]);
    if smaller >= asked.subset_size || n[0].max(n[1]) <= asked.subset_size {
        return asked;
    }
    warnings.push(format!(
        "the kernel distance is over subsets of {smaller} pictures, as many as the smaller set has, not of {}",
        asked.subset_size
    ));
    KernelConfig { subset_size: smaller, ..asked }
}

fn frechet_figures(
    ctx: &Context<'_>,
    config: &SampleMetrics,
    (real, reference): (Option<&Features<'_>>, Option<&Reference>),
    generated: &Features<'_>,
) -> anyhow::Result<FrechetFigures> {
    if let Some(real) = real.filter(|_| config.write_statistics) {
        Statistics::of(real)?.write(&ctx.out.join(STATISTICS))?;
    }
    let (against, found) = match (real, reference) {
        (Some(real), _) => (Against::Rows(real), frechet(real, generated)?),
        (None, Some(reference)) => {
            (Against::Statistics(reference), reference.distance(&Statistics::of(generated)?)?)
        }
        (None, None) => anyhow::bail!("expected real pictures or their statistics, found neither"),
    };
    let (interval, no_interval) = match real {
        _ if config.bootstrap < 2 => (None, None),
        None => (None, Some("a statistics file has no pictures to draw again".to_owned())),
        Some(real) if cost_of(real, generated).operations > SECOND => {
            (None, Some("each of its replicates takes about as long as the distance".to_owned()))
        }
        Some(real) => {
            let mut task = ctx.task("interval of the Fréchet distance", "replicates");
            let mut observe = |done, total| task.observe(done, total);
            let bootstrap = (config.bootstrap, config.seed);
            (Some(of_frechet((real, generated), found.distance, bootstrap, &mut observe)?), None)
        }
    };
    let mut extrapolated = || {
        let mut task = ctx.task("extrapolating the Fréchet distance", "distances");
        let mut observe = |done, total| task.observe(done, total);
        infinity(against, generated, config.seed as u32, &mut observe)
    };
    let infinity = config.infinity.then(&mut extrapolated).transpose()?;
    Ok(FrechetFigures { found, interval, no_interval, infinity })
}

fn cost_of(real: &Features<'_>, generated: &Features<'_>) -> Cost {
    Cost::of(Some(real.n_rows()), generated.n_rows(), generated.n_columns())
}
