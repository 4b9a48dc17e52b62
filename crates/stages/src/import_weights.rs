//! `import_weights`: the weights that the paper's authors released, or networks that PyTorch trained.

use std::path::{Path, PathBuf};

use dcgan_engine::context::Context;
use dcgan_engine::external::{External, Form};
use dcgan_engine::kind::{ConfigType, Kind, Traits};
use dcgan_engine::paper::{Comparison, Stated, no_bearing};
use dcgan_engine::record::Record;
use dcgan_engine::stage::{Artifact, ConfigProblem, Facts, FactsOf, Outcome, Stage};
use dcgan_gan::pytorch::{import_discriminator, import_generator, states_generator};
use dcgan_gan::released::{ReleasedSet, import};
use dcgan_gan::train::files::{DISCRIMINATOR, GENERATOR};
use dcgan_gan::{ArchitectureName, GanError, ZDistribution};
use dcgan_nn::candle::Device;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::artifact;
use crate::known::Known;
use crate::lineage::{IMAGENET, SVHN};

/// Which weights, and where they are.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImportWeights {
    /// Which of the released networks; or pytorch, for networks that PyTorch trained.
    set: Set,
    /// Of the released networks: the folder with one .npy file for each parameter.
    #[serde(default)]
    #[schemars(extend("format" = "folder"))]
    path: Option<PathBuf>,
    /// Of pytorch: the generator's state dict, .pth or .safetensors.
    #[serde(default)]
    #[schemars(extend("format" = "path"))]
    generator: Option<PathBuf>,
    /// Of pytorch: the discriminator's state dict, .pth or .safetensors.
    #[serde(default)]
    #[schemars(extend("format" = "path"))]
    discriminator: Option<PathBuf>,
    /// Of a .pth that holds several state dicts, such as {"netG": …, "netD": …}: the name of the generator's.
    #[serde(default)]
    generator_entry: Option<String>,
    /// Likewise the name of the discriminator's.
    #[serde(default)]
    discriminator_entry: Option<String>,
    /// Of pytorch: how the generator's z is drawn, where its file does not say so as those of export_networks do. normal, as in
    /// PyTorch's example, where it is left out.
    #[serde(default)]
    z: Option<ZDistribution>,
}

/// Where weights come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Set {
    /// `svhn_unsup_all_conv_dcgan_100z_gaussian_lr_0.0005_64mb`.
    Svhn,
    /// `imagenet_gan_pretrain_128f_relu_lrelu_7l_3x3_256z`.
    Imagenet,
    /// State dicts of `nn.Sequential`s, as PyTorch's example trains them and as `export_networks` writes them.
    Pytorch,
}

impl Set {
    fn released(self) -> Option<ReleasedSet> {
        match self {
            Self::Svhn => Some(ReleasedSet::Svhn),
            Self::Imagenet => Some(ReleasedSet::Imagenet),
            Self::Pytorch => None,
        }
    }
}

/// The kind.
pub(crate) static KIND: Kind = Kind {
    name: "import_weights",
    version: 2,
    summary: "read the weights that the paper's authors released, or networks from PyTorch",
    details: "Writes discriminator.safetensors and generator.safetensors. Of `imagenet` (17 arrays of the discriminator, 19 of \
              the generator) some copies lack the largest files: what is there is imported, the discriminator's layers \
              up to the first that lacks an array, without its last, linear, layer, and the generator only where it is \
              whole. Missing files are named, here and in stage.json under `missing`.\n\n\
              Of `pytorch`: state dicts of an nn.Sequential of (transposed) convolutions without biases, each with batch norm but the \
              generator's last and the discriminator's first and last, ReLU and LeakyReLU of slope 0.2, tanh at the end: PyTorch's own DCGAN example \
              and its like, kernels of any one size. Strides are taken to be 2 and z to be normal, where the file does not say otherwise \
              as those of `export_networks` do. Batch norms add 1e-8 to the variance here, 1e-5 there: channels that hardly vary come out otherwise. Running statistics are left out: `sample` and `extract_features` infer their own.",
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
        if self.set == Set::Pytorch {
            let draws = self.generator.is_some().then_some(true);
            return Known { draws, ..self.maps().unwrap_or_default() }.into();
        }
        // Both of the released networks.
        Known { side: Some(32), depth: Some(3), classes: Some(0), draws: Some(true), ..Known::default() }
            .into()
    }

    fn external_paths(&self) -> Vec<External> {
        let external = |key, path: &Option<PathBuf>, is| path.clone().map(|path| External { key, path, is });
        let files = [("generator", &self.generator), ("discriminator", &self.discriminator)];
        let files = files.into_iter().filter_map(|(key, path)| external(key, path, Form::File));
        external("path", &self.path, Form::Folder).into_iter().chain(files).collect()
    }

    fn problems(&self) -> Vec<ConfigProblem> {
        let problem =
            |key: &str, message: &str| ConfigProblem { key: key.to_owned(), message: message.to_owned() };
        let mut problems = Vec::new();
        let files = [("generator", &self.generator), ("discriminator", &self.discriminator)];
        let is_given = files.iter().any(|(_, path)| path.is_some());
        match (self.set, &self.path) {
            (Set::Pytorch, Some(_)) => {
                problems.push(problem(
                    "path",
                    "of `set = \"pytorch\"` give `generator` and `discriminator`, a file each",
                ));
            }
            (Set::Pytorch, None) if !is_given => {
                problems.push(problem(
                    "set",
                    "of \"pytorch\" needs `generator`, `discriminator` or both, a file each",
                ));
            }
            (Set::Svhn | Set::Imagenet, None) => {
                problems.push(problem("path", "the folder with the released .npy files is missing"));
            }
            _ => {}
        }
        let entries = [
            ("generator_entry", &self.generator_entry, "generator", self.generator.is_some()),
            ("discriminator_entry", &self.discriminator_entry, "discriminator", self.discriminator.is_some()),
        ];
        let alone = entries.into_iter().filter(|(_, entry, _, has_file)| entry.is_some() && !has_file);
        problems
            .extend(alone.map(|(key, _, file, _)| problem(key, &format!("is of use only with `{file}`"))));
        if self.z.is_some() && self.generator.is_none() {
            problems.push(problem("z", "is of use only with `generator`"));
        }
        if self.set != Set::Pytorch {
            let of_no_use = files.iter().filter(|(_, path)| path.is_some());
            problems
                .extend(of_no_use.map(|(key, _)| problem(key, "is of use only with `set = \"pytorch\"`")));
        }
        problems
    }

    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        match (self.set.released(), &self.path) {
            (Some(set), Some(path)) => import_released(ctx, set, path),
            _ => self.import_from_pytorch(ctx),
        }
    }
}

impl ImportWeights {
    /// What PyTorch's networks are, where their files are there; what is wrong with them is said when they are imported.
    fn maps(&self) -> Option<Known> {
        let d = self.discriminator.as_ref().map(|path| {
            let d = import_discriminator(path, self.discriminator_entry.as_deref()).ok()?;
            Some(Known { classes: Some(0), ..Known::of_maps(d.config().picture(), d.config().kernel) })
        });
        let g = || {
            let path = self.generator.as_ref()?;
            let z = self.z.unwrap_or(ZDistribution::Normal);
            let g = import_generator(path, self.generator_entry.as_deref(), z).ok()?;
            Some(Known { classes: Some(0), ..Known::of_maps(g.config().picture(), g.config().kernel) })
        };
        d.flatten().or_else(g)
    }

    fn import_from_pytorch(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        let mut metrics = json!({"architecture": "networks from PyTorch"});
        let z = self.z.unwrap_or(ZDistribution::Normal);
        let generator =
            self.generator.as_ref().map(|path| import_generator(path, self.generator_entry.as_deref(), z));
        let generator = generator.transpose().map_err(|error| with_key("generator", error))?;
        if self.z.is_none() && self.generator.as_ref().is_some_and(|path| !states_generator(path)) {
            ctx.progress().warn(format_args!(
                "z is taken to be normal, which the file does not say; else give `z = \"uniform\"`"
            ));
        }
        let discriminator = self
            .discriminator
            .as_ref()
            .map(|path| import_discriminator(path, self.discriminator_entry.as_deref()));
        let discriminator = discriminator.transpose().map_err(|error| with_key("discriminator", error))?;
        if let Some(generator) = &generator {
            generator.save(&ctx.out.join(GENERATOR))?;
            metrics["generator"] = json!(generator.config());
        }
        if let Some(discriminator) = &discriminator {
            discriminator.save(&ctx.out.join(DISCRIMINATOR))?;
            metrics["discriminator"] = json!(discriminator.config());
            metrics["n_features"] = json!(discriminator.config().n_features());
        }
        let both = generator.as_ref().zip(discriminator.as_ref());
        if let Some((g, d)) = both.filter(|(g, d)| g.config().picture() != d.config().picture()) {
            let (g, d) = (g.config().picture(), d.config().picture());
            anyhow::bail!(
                "`discriminator`: expected a network of pictures as `generator` draws, {g:?}, found one of {d:?}"
            );
        }
        let differences = vec!["networks that PyTorch trained, of which nothing else is known".to_owned()];
        Ok(Outcome { metrics, differences: Comparison::found(differences) })
    }
}

/// Says which key chooses among several state dicts, where a file has such.
fn with_key(file: &str, error: GanError) -> anyhow::Error {
    let is_choice = error.to_string().contains("found several of tensors");
    let error = anyhow::Error::from(error);
    if is_choice { error.context(format!("`{file}_entry` chooses among them")) } else { error }
}

fn import_released(ctx: &Context<'_>, set: ReleasedSet, path: &Path) -> anyhow::Result<Outcome> {
    let (architecture, trained_on) = match set {
        ReleasedSet::Svhn => (ArchitectureName::Svhn32, SVHN),
        ReleasedSet::Imagenet => (ArchitectureName::Imagenet32, IMAGENET),
    };
    let imported = import(set, path, &Device::Cpu)?;
    imported.discriminator.save(&ctx.out.join(DISCRIMINATOR))?;
    if let Some(generator) = &imported.generator {
        generator.save(&ctx.out.join(GENERATOR))?;
    }
    if !imported.missing.is_empty() {
        let (path, missing) = (path.display(), imported.missing.join(", "));
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
