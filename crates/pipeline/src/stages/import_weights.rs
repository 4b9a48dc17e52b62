//! `import_weights`: the weights that the paper's authors released.

use std::path::{Path, PathBuf};

use dcgan_gan::ArchitectureName;
use dcgan_gan::released::{ReleasedSet, import};
use dcgan_gan::train::files::{DISCRIMINATOR, GENERATOR};
use dcgan_nn::candle::Device;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::info::{KindInfo, required};
use super::lineage::{IMAGENET, SVHN};
use super::paper::{Comparison, Stated, no_bearing};
use super::{Artifact, External, Form, Outcome, Stage};
use crate::context::Context;
use crate::known::{Known, KnownOf};
use crate::record::Record;

/// Which released weights, and where they are.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportWeights {
    /// Which set.
    pub set: ReleasedSet,
    /// The folder of its `.npy` files.
    pub path: PathBuf,
}

/// The kind.
pub(super) const INFO: KindInfo = KindInfo {
    name: "import_weights",
    version: 2,
    summary: "read the weights that the paper's authors released",
    details: "Writes discriminator.safetensors and generator.safetensors. Of `imagenet` (17 arrays of the discriminator, 19 of \
              the generator) some copies lack the largest files: what is there is imported, the discriminator's layers \
              up to the first that lacks an array, without its last, linear, layer, and the generator only where it is \
              whole. Missing files are named, here and in stage.json under `missing`.",
    keys: &[
        required("set", "\"svhn\" or \"imagenet\"", "Which of the released networks."),
        required("path", "folder", "The folder with one .npy file for each parameter."),
    ],
    example: &["set=svhn", "path=data/authors/svhn_unsup_all_conv_dcgan_100z_gaussian_lr_0.0005_64mb"],
    is_resumable: false,
    reads_records: false,
    uses_device: false,
    paper: &PAPER,
};

/// What the paper says of the keys.
const PAPER: [Stated; 1] = [no_bearing("*")];

impl Stage for ImportWeights {
    fn yields(&self) -> Vec<Artifact> {
        vec![Artifact::Generator, Artifact::Discriminator]
    }

    fn known(&self, _of: &KnownOf<'_>) -> Known {
        // Both of the released networks.
        Known { side: Some(32), ..Known::default() }
    }

    fn external_paths(&self) -> Vec<External> {
        vec![External { key: "path", path: self.path.clone(), is: Form::Folder }]
    }

    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        let (architecture, trained_on) = match self.set {
            ReleasedSet::Svhn => (ArchitectureName::Svhn32, SVHN),
            ReleasedSet::Imagenet => (ArchitectureName::Imagenet32, IMAGENET),
        };
        let imported = import(self.set, &self.path, &Device::Cpu)?;
        imported.discriminator.save(&ctx.out.join(DISCRIMINATOR))?;
        if let Some(generator) = &imported.generator {
            generator.save(&ctx.out.join(GENERATOR))?;
        }
        if !imported.missing.is_empty() {
            let (path, missing) = (self.path.display(), imported.missing.join(", "));
            ctx.progress().warn(format_args!("{path}: missing {missing}; what is there is imported"));
        }
        let config = imported.discriminator.config();
        let mut differences = Vec::new();
        if config.layers.len() < imported.n_layers_full {
            let names = imported.missing.iter().map(String::as_str);
            let of_discriminator: Vec<&str> = names.filter(|name| name.contains("_discrim_")).collect();
            differences.push(format!(
                "the authors' discriminator cut to conv layers 1 to {} of {}, as files of the others are missing here \
                 ({}): {} features",
                config.layers.len(),
                imported.n_layers_full,
                of_discriminator.join(", "),
                config.n_features()
            ));
        }
        let metrics = json!({
            "architecture": architecture.as_str(),
            "trained_on": trained_on,
            "n_layers": config.layers.len(),
            "n_features": config.n_features(),
            MISSING: imported.missing,
        });
        Ok(Outcome { metrics, differences: Comparison::found(differences) })
    }
}

/// The metric that lists the files that were not there.
const MISSING: &str = "missing";

/// Why a stage's folder has no generator, where it is of imported weights that lack arrays of it.
pub(super) fn why_no_generator(folder: &Path) -> anyhow::Result<Option<String>> {
    let Some(record) = Record::read(folder)? else { return Ok(None) };
    let missing = record.metrics.get(MISSING).and_then(Value::as_array);
    let names: Vec<&str> = missing.into_iter().flatten().filter_map(Value::as_str).collect();
    let names: Vec<&str> = names.into_iter().filter(|name| name.contains("_gen_")).collect();
    let why = || format!("the imported generator is not whole: missing {}", names.join(", "));
    Ok((!names.is_empty() && !folder.join(GENERATOR).exists()).then(why))
}
