//! `import_images`: any data set into an image store.

use std::collections::BTreeSet;

use dcgan_engine::context::Context;
use dcgan_engine::external::{Advice, External, Form};
use dcgan_engine::kind::{ConfigType, Kind, Traits};
use dcgan_engine::paper::{Count, Stated, UNSTATED, depends, no_bearing, says, unstated};
use dcgan_engine::stage::{Artifact, ConfigProblem, Facts, FactsOf, Input, InputRef, Outcome, Stage};
use dcgan_files::words::counted;
use dcgan_images::{Damaged, Filter, ImageStore, ImportConfig, Resize, Shard, Source, import};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::known::Known;
use crate::{artifact, data_source, published};

/// Which data set, and how its pictures are made one size.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImportImages {
    /// The stage that made the data set; paths in `source` are then within its folder, `.` is the folder itself.
    #[serde(default)]
    from: Option<Input>,
    /// The data set.
    source: Source,
    /// How pictures are made one size. The paper prepares ImageNet with min_resize_centre_crop(32).
    #[serde(default = "keep")]
    resize: Resize,
    /// The filter where pictures are scaled; unstated in the paper.
    #[serde(default)]
    filter: Filter,
    /// Grey or colour.
    #[serde(default = "three")]
    #[schemars(extend("enum" = [1, 3]))]
    channels: usize,
    /// Only so many pictures, the first ones.
    #[serde(default)]
    limit: Option<usize>,
    /// Only one of several parts of the set, for a machine of several: "3/64". Tars are divided by archives (ImageNet's not
    /// at all), other sets by pictures; the stage `merge` puts the parts together. Not with `limit`.
    #[serde(default)]
    shard: Option<Shard>,
    /// Pictures that claim more pixels are passed over before they are decoded.
    #[serde(default = "max_pixels")]
    max_pixels: u64,
    /// JPEGs of which a part is lost: bad pictures, or taken with grey where data is lost.
    #[serde(default)]
    damaged: Damaged,
}

fn keep() -> Resize {
    ImportConfig::default().resize
}

fn three() -> usize {
    ImportConfig::default().channels
}

fn max_pixels() -> u64 {
    ImportConfig::default().max_pixels
}

/// The kind.
pub(crate) static KIND: Kind = Kind {
    name: "import_images",
    version: 4,
    summary: "read a data set into an image store (CIFAR-10, SVHN, MNIST, LSUN, ImageNet, Parquet, a folder of pictures)",
    details: "Writes images.npy (uint8, N×C×H×W), index.parquet (key, label, source), meta.json, and bad.csv: the \
              pictures that could not be read, each with the reason (a field that begins with = + - @ or ' has a ' before \
              it, so that no spreadsheet runs it). Exactly one table under `source` says what is \
              read. Pictures are streamed; memory does not grow with their number. In folders and tars, files that \
              are not named as JPEG, PNG, WebP, GIF, BMP or TIFF (.heic, .avif and others) are passed over. A picture \
              that breaks off or has impossible codes is bad; only PNG has checksums, and a changed bit in another format \
              may give other pixels that no decoder can tell from the true ones.",
    example: &["source.svhn.path=data/svhn/train_32x32.mat"],
    paper: &PAPER,
    traits: Traits { key_of_path: data_source::key_of_path, ..Traits::NONE },
    config: ConfigType::of::<ImportImages>(),
};

/// What the paper says of the keys.
const PAPER: [Stated; 9] = [
    no_bearing("from"),
    no_bearing("source.*"),
    depends("resize", "section 4, released code"),
    unstated("filter"),
    depends("channels", "section 4, released code"),
    says("limit", "null", "all pictures of the set"),
    no_bearing("shard"),
    no_bearing("max_pixels"),
    no_bearing("damaged"),
];

impl ImportImages {
    fn config(&self) -> ImportConfig {
        ImportConfig {
            resize: self.resize,
            filter: self.filter,
            channels: self.channels,
            limit: self.limit,
            shard: self.shard,
            max_pixels: self.max_pixels,
            damaged: self.damaged,
        }
    }
}

impl Stage for ImportImages {
    fn inputs(&self) -> Vec<InputRef<'_>> {
        data_source::inputs(self.from.as_ref(), &self.source)
    }

    fn yields(&self) -> Vec<Artifact> {
        vec![artifact::IMAGES]
    }

    fn external_paths(&self) -> Vec<External> {
        data_source::externals(self.from.as_ref(), &self.source)
    }

    fn advice(&self, external: &External, found: Option<Form>) -> Advice {
        data_source::advice(&self.source, external, found)
    }

    fn key_of(&self, external: &External) -> &'static str {
        data_source::key_of(&self.source, external)
    }

    fn data_name(&self) -> Option<String> {
        data_source::name(&self.source)
    }

    fn facts(&self, of: &FactsOf<'_>) -> Facts {
        let set = data_source::known_of(self.from.as_ref(), &self.source, of).limited(self.limit);
        let size = self.resize.side().map(|side| [side; 2]).or(set.size);
        Known { channels: Some(self.channels), size, draws: Some(false), ..set }.into()
    }

    fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = ConfigProblem::of("", self.config().validate());
        problems.extend(data_source::problems(self.from.as_ref(), &self.source));
        problems
    }

    fn bytes_needed(&self, ctx: &Context<'_>) -> anyhow::Result<Option<u64>> {
        let Some(source) = data_source::resolve_here(self.from.as_ref(), &self.source, ctx) else {
            return Ok(None);
        };
        let side = match (self.resize, &source) {
            (Resize::CentreCrop(side) | Resize::MinResizeCentreCrop(side), _) => side,
            (Resize::Keep, Source::Cifar10 { .. } | Source::Svhn { .. }) => 32,
            (Resize::Keep, Source::Mnist { .. }) => 28,
            (Resize::Keep, _) => return Ok(None),
        };
        let image_bytes = (self.channels * side * side) as u64;
        let n_read = data_source::n_read(&source, self.limit, ctx)?;
        let n_parts = self.shard.map_or(1, Shard::count);
        Ok(n_read.map(|n_images| n_images / n_parts * image_bytes))
    }

    fn papers(&self) -> anyhow::Result<serde_json::Value> {
        let (resize, channels) = match &self.source {
            Source::Cifar10 { .. } | Source::Svhn { .. } => (json!(Resize::Keep), 3),
            Source::Mnist { .. } => (json!(Resize::Keep), 1),
            Source::ImageNetTar { .. } | Source::ImageNetFolder { .. } => {
                (json!(Resize::MinResizeCentreCrop(32)), 3)
            }
            Source::Lsun { .. }
            | Source::Folder { .. }
            | Source::Tar { .. }
            | Source::Parquet { .. }
            | Source::Store { .. } => (json!(UNSTATED), 3),
        };
        Ok(json!({"resize": resize, "channels": channels}))
    }

    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        let reading = data_source::resolve_part(self.from.as_ref(), &self.source, self.shard, ctx)?;
        let source = &reading.source;
        let config = ImportConfig { shard: reading.shard, ..self.config() };
        let mut task = ctx.task("reading", "pictures");
        let summary = import(source, &config, ctx.out, &mut |done, total| task.observe(done, total))?;
        drop(task);
        if summary.n_bad > 0 {
            ctx.progress().warn(format_args!(
                "{} could not be read; bad.csv in the stage's folder says why",
                counted(summary.n_bad, "picture")
            ));
        }
        let mut differences = match self.shard {
            None => published::compare(&self.source, summary.n_images, self.from.is_some()),
            Some(shard) => published::part(shard, summary.n_images),
        };
        if let Some(sign_of_loss) = source.sign_of_loss()? {
            ctx.progress().warn(sign_of_loss);
        }
        if summary.n_bad > 0 {
            let text = format!("left out: {} that could not be read", counted(summary.n_bad, "picture"));
            differences.differences.push(text);
        }
        if self.shard.is_none()
            && matches!(self.source, Source::Cifar10 { .. } | Source::Svhn { .. } | Source::Mnist { .. })
        {
            let labels = ImageStore::open(ctx.out)?.labels()?;
            let classes: BTreeSet<u32> = labels.into_iter().flatten().collect();
            differences.count("classes among the labels", classes.len(), Count::Exactly(10));
        }
        let mut metrics = json!({"n_images": summary.n_images, "n_bad": summary.n_bad});
        reading.note(&mut metrics);
        if reading.tells_the_rest() {
            data_source::list_passed_over(source, ctx, &mut metrics)?;
            data_source::note_left_out(source, ctx, &mut metrics)?;
        }
        note_empty_classes(&summary.empty_classes, ctx, &mut metrics);
        Ok(Outcome { metrics, differences })
    }
}

/// How many classes a warning names.
const N_LISTED: usize = 5;

/// Notes among the metrics, and warns of, classes of which there is no picture.
pub(crate) fn note_empty_classes(
    empty_classes: &[String],
    ctx: &Context<'_>,
    metrics: &mut serde_json::Value,
) {
    if empty_classes.is_empty() {
        return;
    }
    let listed = empty_classes.iter().take(N_LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = match empty_classes.len().saturating_sub(N_LISTED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let classes = if empty_classes.len() == 1 { "class" } else { "classes" };
    ctx.progress().warn(format_args!(
        "{} {classes} without a picture that could be read: {listed}{more}",
        empty_classes.len()
    ));
    metrics["empty_classes"] = empty_classes.into();
}
