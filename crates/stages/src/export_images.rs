//! `export_images`: an image store as others share data sets.

use dcgan_engine::context::Context;
use dcgan_engine::kind::{ConfigType, Kind, Traits};
use dcgan_engine::paper::{Comparison, no_bearing};
use dcgan_engine::stage::{Artifact, ConfigProblem, Input, InputRef, Outcome, Stage};
use dcgan_images::{ImageStore, SharedForm, SharedSet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::artifact;

/// What is written, and how.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportImages {
    /// The image store.
    images: Input,
    /// Parquet as on the Hugging Face hub, or the tars of WebDataset.
    #[serde(default)]
    form: SharedForm,
    /// What the files' names begin with.
    #[serde(default = "train")]
    #[schemars(length(min = 1))]
    split: String,
    /// Pictures in a file, at most.
    #[serde(default = "ten_thousand")]
    #[schemars(range(min = 1))]
    per_file: usize,
}

fn train() -> String {
    "train".to_owned()
}

fn ten_thousand() -> usize {
    10_000
}

/// The kind.
pub(crate) static KIND: Kind = Kind {
    name: "export_images",
    version: 1,
    summary: "write an image store as the Parquet of the Hugging Face hub, or as WebDataset",
    details: "Pictures are PNG, which loses nothing. Parquet: train-00000-of-00003.parquet and so on, with columns image (bytes and path, \
              which is the picture's key) and label, whose classes are named as the hub's library does, and README.md, by which the hub \
              knows the split. WebDataset: train-00000.tar and so on, with 00000017.png, .cls (the label) and .json (the key) for each \
              picture. The first is read again by source.parquet, the second by source.tar.",
    example: &["images=runs/quickstart/train-images"],
    paper: &[no_bearing("*")],
    traits: Traits::NONE,
    config: ConfigType::of::<ExportImages>(),
};

impl Stage for ExportImages {
    fn inputs(&self) -> Vec<InputRef<'_>> {
        vec![InputRef { key: "images", name: &self.images, needs: artifact::IMAGES }]
    }

    fn yields(&self) -> Vec<Artifact> {
        vec![artifact::DATASET]
    }

    fn problems(&self) -> Vec<ConfigProblem> {
        let is_fit = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let message =
            format!("expected letters, digits and _ alone, as the hub does, found `{}`", self.split);
        let is_wrong = self.split.is_empty() || !self.split.chars().all(is_fit);
        is_wrong.then(|| ConfigProblem { key: "split".to_owned(), message }).into_iter().collect()
    }

    fn bytes_needed(&self, ctx: &Context<'_>) -> anyhow::Result<Option<u64>> {
        // PNG takes no more than the pixels and a little.
        let store = ImageStore::open(&ctx.input(&self.images))?;
        Ok(Some(store.pixels().len() as u64 + 1024 * store.len() as u64))
    }

    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        let store = ImageStore::open(&ctx.input(&self.images))?;
        let set = SharedSet { form: self.form, split: self.split.clone(), per_file: self.per_file };
        let mut task = ctx.task("writing", "pictures");
        let files = set.write(&store, ctx.out, &mut |done, total| task.observe(done, total))?;
        let metrics = json!({"n_images": store.len(), "n_files": files.len()});
        Ok(Outcome { metrics, differences: Comparison::of_settings() })
    }
}
