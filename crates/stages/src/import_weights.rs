//! `import_weights`: the weights that the paper's authors released.

use std::path::{Path, PathBuf};

use dcgan_engine::context::Context;
use dcgan_engine::external::{External, Form};
use dcgan_engine::kind::{ConfigType, Kind, Traits};
use dcgan_engine::paper::{Comparison, Stated, no_bearing};
use dcgan_engine::record::Record;
use dcgan_engine::stage::{Artifact, Facts, FactsOf, Outcome, Stage};
use dcgan_gan::ArchitectureName;
use dcgan_gan::released::{ReleasedSet, import};
use dcgan_gan::train::files::{DISCRIMINATOR, GENERATOR};
use dcgan_nn::candle::Device;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::artifact;
use crate::known::Known;
use crate::lineage::{IMAGENET, SVHN};

/// Which released weights, and where they are.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImportWeights {
    /// Which of the released networks.
    set: ReleasedSet,
    /// The folder with one .npy file for each parameter.
    #[schemars(extend("format" = "folder"))]
    path: PathBuf,
}

/// The kind.
pub(crate) static KIND: Kind = Kind {
    name: "import_weights",
    version: 2,
    summary: "read the weights that the paper's authors released",
    details: "Writes discriminator.safetensors and generator.safetensors. Of `imagenet` (17 arrays of the discriminator, 19 of \
              the generator) some copies lack the largest files: what is there is imported, the discriminator's layers \
              up to the first that lacks an array, without its last, linear, layer, and the generator only where it is \
              whole. Missing files are named, here and in stage.json under `missing`.",
    example: &["set=svhn", "path=data/authors/svhn_unsup_all_conv_dcgan_100z_gaussian_lr_0.0005_64mb"],
    paper: &PAPER,
    traits: Traits::NONE,
    config: ConfigType::of::<ImportWeights>(),
};

/// What the paper says of the keys.
const PAPER: [Stated; 1] = [no_bearing("*")];

impl Stage for ImportWeights {
    fn yields(&self) -> Vec<Artifact> {
        vec![artifact::GENERATOR, artifact::DISCRIMINATOR]
    }

    fn facts(&self, _of: &FactsOf<'_>) -> Facts {
        // Both of the released networks.
        Known { side: Some(32), depth: Some(3), classes: Some(0), ..Known::default() }.into()
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
            "architecture": architecture.to_string(),
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
pub(crate) fn why_no_generator(folder: &Path) -> anyhow::Result<Option<String>> {
    let Some(record) = Record::read(folder)? else { return Ok(None) };
    let missing = record.metrics.get(MISSING).and_then(Value::as_array);
    let names: Vec<&str> = missing.into_iter().flatten().filter_map(Value::as_str).collect();
    let names: Vec<&str> = names.into_iter().filter(|name| name.contains("_gen_")).collect();
    let why = || format!("the imported generator is not whole: missing {}", names.join(", "));
    Ok((!names.is_empty() && !folder.join(GENERATOR).exists()).then(why))
}
