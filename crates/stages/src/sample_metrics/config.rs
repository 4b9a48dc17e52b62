//! What is compared, and how.

use std::path::PathBuf;

use anyhow::ensure;
use dcgan_engine::stage::Input;
use dcgan_gan::BatchStatistics;
use dcgan_metrics::inception::Resize;
use dcgan_metrics::inception_score::InceptionScoreConfig;
use dcgan_metrics::kernel::KernelConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sets::Drawing;
use crate::drawing::Weights;
use crate::feature_maker::By;

/// Name of the real set's statistics, where they are asked for.
pub(super) const STATISTICS: &str = "statistics.npz";

/// What is compared with what, by which features and measures.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SampleMetrics {
    /// The real pictures, or features of them.
    #[serde(default)]
    pub(super) real: Option<Input>,
    /// In place of `real`: an .npz file with `mu` and `sigma`, as pytorch-fid and clean-fid write it. It serves for the Fréchet
    /// distance alone.
    #[serde(default)]
    #[schemars(extend("format" = "path"))]
    pub(super) real_statistics: Option<PathBuf>,
    /// What is judged: a generator, whose pictures are drawn; pictures; or features of them.
    pub(super) generated: Input,
    /// What turns pictures into features: the stage with a discriminator, K-means centroids or an autoencoder; left out for raw
    /// pixels, or where both sets are features already.
    #[serde(default)]
    pub(super) model: Option<Input>,
    /// In place of `model`: the weights of Inception-v3 that pytorch-fid and torch-fidelity publish, .pth or .safetensors. Then the
    /// distances are the FID and the KID.
    #[serde(default)]
    #[schemars(extend("format" = "path"))]
    pub(super) inception: Option<PathBuf>,
    /// With `inception`, as whom pictures are resized: pytorch_fid (where it is left out), torch_fidelity or clean.
    #[serde(default)]
    pub(super) resize: Option<Resize>,
    /// The pictures over which the model's batch-norm statistics, or the scale of K-means' features, are inferred; `real`'s where it is
    /// left out.
    #[serde(default)]
    pub(super) statistics: Option<Input>,
    /// Pictures to draw.
    #[serde(default = "ten_thousand")]
    #[schemars(range(min = 2))]
    pub(super) n_images: usize,
    /// Only so many of the real pictures, drawn by `seed`.
    #[serde(default)]
    #[schemars(range(min = 2))]
    pub(super) n_real: Option<usize>,
    /// Seed of the z, of the choice of real pictures and of the bootstrap.
    #[serde(default)]
    pub(super) seed: u64,
    /// Which of a training's generators: trained, ema or best.
    #[serde(default)]
    pub(super) weights: Weights,
    /// Whose statistics the generator's batch norm uses: batch, or inferred.
    #[serde(default)]
    pub(super) batch_norm: BatchStatistics,
    /// Which measures: frechet, kernel, prdc (precision, recall, density, coverage), inception_score. Left out: all that the inputs
    /// allow.
    #[serde(default)]
    pub(super) measures: Option<Vec<Measure>>,
    /// The subsets of the kernel distance; torch-fidelity's where it is left out.
    #[serde(default)]
    pub(super) kernel: KernelConfig,
    /// The parts of the Inception Score; torch-fidelity's where it is left out.
    #[serde(default)]
    pub(super) inception_score: InceptionScoreConfig,
    /// Neighbours that the balls of precision, recall, density and coverage reach to.
    #[serde(default = "five")]
    #[schemars(range(min = 1))]
    pub(super) k: usize,
    /// How often pictures are drawn again for the intervals by bootstrap; 0 for none. Of the Fréchet distance there is one where it
    /// is cheap.
    #[serde(default = "hundred")]
    pub(super) bootstrap: usize,
    /// Also extrapolate the Fréchet distance to infinitely many samples.
    #[serde(default)]
    pub(super) infinity: bool,
    /// Also measure samples of each checkpoint that a training, `generated`, keeps: curves beside its losses.
    #[serde(default)]
    pub(super) each_checkpoint: bool,
    /// With `each_checkpoint`: the autoencoder by whose codes samples of different z are found alike.
    #[serde(default)]
    pub(super) autoencoder: Option<Input>,
    /// Also write statistics.npz: mean and covariance of the real set.
    #[serde(default)]
    pub(super) write_statistics: bool,
}

/// A measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Measure {
    /// The Fréchet distance.
    Frechet,
    /// The kernel distance.
    Kernel,
    /// Precision, recall, density, coverage.
    Prdc,
    /// The Inception Score.
    InceptionScore,
}

fn ten_thousand() -> usize {
    10_000
}

fn five() -> usize {
    5
}

fn hundred() -> usize {
    100
}

impl SampleMetrics {
    /// What makes features of pictures.
    pub(super) fn by(&self) -> By<'_> {
        By::of(self.model.as_ref(), self.inception.as_ref(), self.resize)
    }

    /// How pictures are drawn.
    pub(super) fn drawing(&self) -> Drawing {
        let Self { n_images: n, seed, weights, batch_norm, .. } = *self;
        Drawing { n, seed, weights, batch_norm }
    }

    /// The keys that say how pictures are drawn, and whether each was given.
    pub(super) fn drawing_given(&self) -> [(&'static str, bool); 4] {
        [
            ("n_images", self.n_images != ten_thousand()),
            ("weights", self.weights != Weights::default()),
            ("batch_norm", self.batch_norm != BatchStatistics::default()),
            ("each_checkpoint", self.each_checkpoint),
        ]
    }

    /// Keys, whether each was given where it is of no use, and why it is.
    pub(super) fn of_no_use(&self) -> [(&'static str, bool, &'static str); 7] {
        let without = |measure, is_given: bool| is_given && !self.takes(measure);
        let has_interval = self.takes(Measure::Prdc) || (self.takes(Measure::Frechet) && self.real.is_some());
        let splits =
            without(Measure::InceptionScore, self.inception_score != InceptionScoreConfig::default());
        [
            ("infinity", without(Measure::Frechet, self.infinity), "is of use only with the measure frechet"),
            (
                "real_statistics",
                without(Measure::Frechet, self.real_statistics.is_some()),
                "is of use only with the measure frechet",
            ),
            (
                "kernel",
                without(Measure::Kernel, self.kernel != KernelConfig::default()),
                "is of use only with the measure kernel",
            ),
            ("k", without(Measure::Prdc, self.k != five()), "is of use only with the measure prdc"),
            ("inception_score", splits, "is of use only with `inception` and the measure inception_score"),
            (
                "bootstrap",
                self.bootstrap != hundred() && !has_interval,
                "is of use only with the measures prdc and frechet of real pictures",
            ),
            ("n_real", self.n_real.is_some() && self.real.is_none(), "is of use only with `real`"),
        ]
    }

    /// Whether a measure is to be taken: those asked for, or all that can be.
    pub(super) fn takes(&self, measure: Measure) -> bool {
        match &self.measures {
            Some(measures) => measures.contains(&measure),
            None => match measure {
                Measure::Frechet => true,
                Measure::Kernel | Measure::Prdc => self.real_statistics.is_none(),
                Measure::InceptionScore => self.inception.is_some(),
            },
        }
    }
}

/// Refuses too few pictures.
pub(super) fn check_count(key: &str, n: usize, least: usize, why: &str) -> anyhow::Result<()> {
    ensure!(n >= least, "`{key}`: expected at least {least} pictures, {why}, found {n}");
    Ok(())
}
