//! `train_kmeans`: centroids of patches, the baseline of Table 1.

use dcgan_baselines::kmeans::{KMeans, KMeansConfig, Step, train_kmeans};
use dcgan_engine::context::Context;
use dcgan_engine::kind::{ConfigType, Kind, Traits};
use dcgan_engine::paper::{Count, Stated, no_bearing, says};
use dcgan_engine::stage::{Artifact, ConfigProblem, FactsOf, Input, InputRef, Outcome, Stage};
use dcgan_images::{ImageStore, grid::write_grid};
use dcgan_report::figure::Figure;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::artifact;
use crate::drawing::write_figures;
use crate::known::known;
use crate::lineage::{CIFAR10, compare_data, data_name};

/// Of which pictures, and how.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrainKMeans {
    /// The pictures that patches are drawn from: the training set.
    images: Input,
    /// The settings.
    #[serde(default)]
    kmeans: KMeansConfig,
}

/// The kind.
pub(crate) static KIND: Kind = Kind {
    name: "train_kmeans",
    version: 1,
    summary: "learn the centroids of one layer of K-means (Table 1's first row)",
    details: "After Coates, Lee and Ng (2011): random patches, each less its mean and over √(variance + 10), whitened (ZCA, 0.1 added \
              to the eigenvalues), and K-means over them; a centroid without patches is replaced by a random one. \
              extract_features with `model` turns pictures into features by it.\n\n\
              Writes kmeans.safetensors (mean, whitening, centroids of whitened patches, planes first, and the number of patches of \
              each) and centroids.png for the report. Interrupted or killed, it goes on from its last whole pass and \
              ends with the bits of an uninterrupted run.",
    example: &["images=runs/table-1/train-images", "kmeans.maps=400", "kmeans.patches=100000"],
    paper: &PAPER,
    traits: Traits { is_resumable: true, ..Traits::NONE },
    config: ConfigType::of::<TrainKMeans>(),
};

/// What the paper, and the one that it takes the row from, say of the keys.
const PAPER: [Stated; 10] = [
    no_bearing("images"),
    says("kmeans.maps", "4800", "Table 1"),
    says("kmeans.patch", "6", COATES),
    says("kmeans.stride", "1", COATES),
    says("kmeans.pooling", "2", COATES),
    says("kmeans.patches", "400000", COATES),
    says("kmeans.passes", "50", COATES),
    says("kmeans.contrast_epsilon", "10.0", COATES),
    says("kmeans.whitening_epsilon", "0.1", COATES),
    no_bearing("kmeans.seed"),
];

const COATES: &str = "Coates, Lee and Ng, 2011";

/// The figure: so many centroids, in so many columns, enlarged.
const SHOWN: usize = 400;
const N_COLUMNS: usize = 25;
const ZOOM: usize = 4;

impl Stage for TrainKMeans {
    fn inputs(&self) -> Vec<InputRef<'_>> {
        vec![InputRef { key: "images", name: &self.images, needs: artifact::IMAGES }]
    }

    fn yields(&self) -> Vec<Artifact> {
        vec![artifact::KMEANS, artifact::FIGURES]
    }

    fn misfits(&self, of: &FactsOf<'_>) -> Vec<ConfigProblem> {
        let images = known(of, &self.images);
        if let Some(Err(error)) = images.channels.map(|channels| self.kmeans.check_channels(channels)) {
            return ConfigProblem::of("kmeans", Err::<(), _>(error));
        }
        let Some([height, width]) = images.size else { return Vec::new() };
        let KMeansConfig { patch, stride, pooling, .. } = self.kmeans;
        let side = height.min(width);
        let problem =
            |key: &str, message: String| vec![ConfigProblem { key: format!("kmeans.{key}"), message }];
        if patch > side {
            let message =
                format!("expected at most the pictures' smaller side (of {height}×{width}), found {patch}");
            return problem("patch", message);
        }
        let n_patches = (side - patch) / stride + 1;
        let message = format!(
            "expected at most the {n_patches} patches along the smaller side of pictures of {height}×{width}, found {pooling}"
        );
        if pooling > n_patches { problem("pooling", message) } else { Vec::new() }
    }

    fn problems(&self) -> Vec<ConfigProblem> {
        ConfigProblem::of("kmeans", self.kmeans.validate())
    }

    fn seed(&self) -> Option<u64> {
        Some(self.kmeans.seed)
    }

    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        let images = ctx.input(&self.images);
        let store = ImageStore::open(&images)?;
        let path = ctx.out.join(KMeans::FILE);
        let begun = |step: Step| (step, ctx.task(step.words(), "patches"));
        let mut task = begun(Step::Covariance);
        let mut observe = |step, done, total| {
            if task.0 != step {
                task = begun(step);
            }
            task.1.observe(done, total)
        };
        let model = train_kmeans(&store, &self.kmeans, &path, &mut observe)?;
        drop(task);
        let (pictures, n) = model.pictures(SHOWN, ZOOM);
        let side = ZOOM * self.kmeans.patch;
        write_grid(&ctx.out.join(FIGURE), &pictures, [n, model.channels(), side, side], N_COLUMNS)?;
        write_figures(ctx, &[self.figure(n)])?;
        let data = data_name(&images)?;
        let metrics = json!({
            "trained_on": data,
            "n_images": store.len(),
            "n_features": self.kmeans.n_features(),
            "inertia": model.inertia(),
            "unused_centroids": model.counts().iter().filter(|n| **n == 0).count(),
        });
        let mut differences = compare_data(data.as_deref(), CIFAR10);
        differences.count("pictures that patches are drawn from", store.len(), Count::Exactly(50_000));
        Ok(Outcome { metrics, differences })
    }
}

const FIGURE: &str = "centroids.png";

impl TrainKMeans {
    fn figure(&self, n: usize) -> Figure {
        let KMeansConfig { maps, patch, patches, passes, .. } = self.kmeans;
        Figure {
            file: FIGURE.to_owned(),
            title: "K-means: centroids".to_owned(),
            caption: format!(
                "The {n} of {maps} centroids with the most patches, after {passes} passes over {patches} whitened patches of \
                 {patch}×{patch}; each is scaled to its largest value."
            ),
            alt: format!(
                "A grid of {n} small pictures: centroids of whitened patches, mostly edges and colours"
            ),
        }
    }
}
