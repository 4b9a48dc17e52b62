//! `import_weights`: the weights that the paper's authors released.

use std::path::PathBuf;

use dcgan_gan::ArchitectureName;
use dcgan_gan::released::{ReleasedSet, import};
use dcgan_gan::train::files::{DISCRIMINATOR, GENERATOR};
use dcgan_nn::candle::Device;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::info::{KindInfo, required};
use super::lineage::{IMAGENET, SVHN};
use super::paper::{Comparison, Stated, no_bearing};
use super::{Artifact, External, Form, Outcome, Stage};
use crate::context::Context;
use crate::known::{Known, KnownOf};

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
    version: 1,
    summary: "read the weights that the paper's authors released",
    details: "Writes discriminator.safetensors, and generator.safetensors for `svhn`. Of the ImageNet network only \
              the discriminator was released, and the copies in circulation lack layers 5 and 6; what is there is \
              imported and gives features, but no generator.",
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
        match self.set {
            ReleasedSet::Svhn => vec![Artifact::Generator, Artifact::Discriminator],
            ReleasedSet::Imagenet => vec![Artifact::Discriminator],
        }
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
        let config = imported.discriminator.config();
        let mut differences = Vec::new();
        if config.layers.len() < imported.n_layers_full {
            differences.push(format!(
                "the authors' discriminator cut to conv layers 1 to {} of {}, as the others are not among the \
                 released weights: {} features",
                config.layers.len(),
                imported.n_layers_full,
                config.n_features()
            ));
        }
        let metrics = json!({
            "architecture": architecture.as_str(),
            "trained_on": trained_on,
            "n_layers": config.layers.len(),
            "n_features": config.n_features(),
        });
        Ok(Outcome { metrics, differences: Comparison::found(differences) })
    }
}
