//! `export_networks`: a training's networks for PyTorch.

use anyhow::ensure;
use dcgan_engine::context::Context;
use dcgan_engine::kind::{ConfigType, Kind, Traits};
use dcgan_engine::paper::{Comparison, no_bearing};
use dcgan_engine::record::Record;
use dcgan_engine::stage::{Artifact, ConfigProblem, FactsOf, Input, InputRef, Outcome, Stage};
use dcgan_gan::pytorch::{Exported, export_discriminator, export_generator};
use dcgan_gan::train::files::{DISCRIMINATOR, GENERATOR};
use dcgan_gan::{
    BatchStatistics, Discriminator, FeatureExtractor, Generator, GeneratorConfig, Output, ZDistribution,
};
use dcgan_images::ImageStore;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::drawing::{Weights, load_generator, sampler};
use crate::known::{conditional, known, unlike};
use crate::{artifact, device};

/// Which networks.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportNetworks {
    /// The stage with the networks.
    model: Input,
    /// ema: the exponential moving average of the generator's weights, where the training kept one. best: the generator of the
    /// checkpoint with the lowest score.
    #[serde(default)]
    weights: Weights,
    /// The training pictures, over which the discriminator's running statistics are inferred. Without them the generator alone is
    /// exported, whose statistics are inferred over 6,400 draws.
    #[serde(default)]
    statistics: Option<Input>,
    /// Also write generator.onnx and discriminator.onnx (ONNX, opset 17).
    #[serde(default)]
    onnx: bool,
}

/// The kind.
pub(crate) static KIND: Kind = Kind {
    name: "export_networks",
    version: 1,
    summary: "write networks for PyTorch and ONNX: state dicts, the Python that makes them, a model card",
    details: "Writes generator.safetensors and, with `statistics`, discriminator.safetensors: state dicts with PyTorch's names and \
              layouts, for `load_state_dict`; model.py, in which both networks are a few lines of torch.nn, and which draws a \
              grid of samples where it is run; and README.md, a model card as the Hugging Face hub reads it.\n\n\
              The batch norms' running statistics are inferred: a network in `eval()` then gives what `sample` with \
              `statistics=inferred` and `extract_features` give. Networks that take labels are not exported.",
    example: &["model=runs/svhn/train", "statistics=runs/svhn/train-images"],
    paper: &[no_bearing("*")],
    traits: Traits { uses_device: true, ..Traits::NONE },
    config: ConfigType::of::<ExportNetworks>(),
};

impl Stage for ExportNetworks {
    fn inputs(&self) -> Vec<InputRef<'_>> {
        let needs = artifact::GENERATOR;
        let mut inputs = vec![InputRef { key: "model", name: &self.model, needs }];
        let needs = artifact::IMAGES;
        inputs.extend(self.statistics.iter().map(|name| InputRef { key: "statistics", name, needs }));
        inputs
    }

    fn yields(&self) -> Vec<Artifact> {
        Vec::new()
    }

    fn misfits(&self, of: &FactsOf<'_>) -> Vec<ConfigProblem> {
        let network = known(of, &self.model);
        let named = format!("`{}`", self.model.as_str());
        let statistics = self.statistics.as_ref();
        let unlike = statistics.and_then(|images| unlike("statistics", known(of, images), network, &named));
        let why = "PyTorch's `nn.Sequential` hands no labels to its layers";
        unlike.into_iter().chain(conditional("model", network, why)).collect()
    }

    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        let generator = load_generator(ctx, &self.model, self.weights)?;
        let exported = export_generator(&generator, sampler(ctx, &generator, BatchStatistics::Inferred, 0)?)?;
        self.save(ctx, &exported, GENERATOR)?;
        let mut classes = class("Generator", &exported);
        let discriminator = self.discriminator(ctx)?;
        if let Some(exported) = &discriminator {
            self.save(ctx, exported, DISCRIMINATOR)?;
            classes += &class("Discriminator", exported);
        }
        let python = format!("{HEAD}{classes}{}", draw(generator.config()));
        fs_err::write(ctx.out.join("model.py"), python)?;
        fs_err::write(ctx.out.join("README.md"), self.card(ctx, &generator, discriminator.is_some())?)?;
        let metrics = json!({
            "n_parameters_generator": n_parameters(generator.parameters()),
            "discriminator": discriminator.is_some(),
        });
        Ok(Outcome { metrics, differences: Comparison::of_settings() })
    }
}

fn n_parameters(parameters: &[(String, dcgan_nn::candle::Var)]) -> usize {
    parameters.iter().map(|(_, var)| var.elem_count()).sum()
}

impl ExportNetworks {
    fn save(&self, ctx: &Context<'_>, exported: &Exported, file: &str) -> anyhow::Result<()> {
        let path = ctx.out.join(file);
        exported.save(&path)?;
        if self.onnx {
            exported.save_onnx(&path.with_extension("onnx"))?;
        }
        Ok(())
    }

    fn discriminator(&self, ctx: &Context<'_>) -> anyhow::Result<Option<Exported>> {
        let Some(statistics) = &self.statistics else { return Ok(None) };
        let device = device::open(ctx)?;
        let path = ctx.input(&self.model).join(DISCRIMINATOR);
        ensure!(
            path.exists(),
            "`statistics`: expected a discriminator beside the generator, found no {}",
            path.display()
        );
        let discriminator = Discriminator::load(&path, &device)?;
        let store = ImageStore::open(&ctx.input(statistics))?;
        let mut task = ctx.task("inferring statistics", "pictures");
        let mut observe = |done, total| task.observe(done, total);
        let features = FeatureExtractor::infer(&discriminator, &store, &device, &mut observe)?;
        Ok(Some(export_discriminator(&features)?))
    }

    /// The model card: what it is, what it was trained on and how, how it is loaded.
    fn card(&self, ctx: &Context<'_>, generator: &Generator, with_d: bool) -> anyhow::Result<String> {
        let config = generator.config();
        let [channels, height, width] = config.picture();
        let record = Record::read(&ctx.input(&self.model))?;
        let mut rows = vec![
            format!("| pictures | {height}×{width}, {} |", if channels == 1 { "grey" } else { "colour" }),
            format!("| z | {} numbers, {} |", config.nz, z_of(config)),
            format!("| parameters of the generator | {} |", n_parameters(generator.parameters())),
        ];
        let mut text = |key: &str, value: &serde_json::Value| {
            let value = match value {
                serde_json::Value::String(text) => text.clone(),
                serde_json::Value::Null => return,
                other => other.to_string(),
            };
            rows.push(format!("| {key} | {} |", value.replace('|', "\\|").replace(['\n', '\r'], " ")));
        };
        if let Some(record) = &record {
            for key in ["trained_on", "architecture", "n_images", "n_steps", "best_score"] {
                text(key, &record.metrics[key]);
            }
            if let Some(training) = record.config.pointer("/train_gan/training").and_then(|t| t.as_object()) {
                for key in ["batch_size", "learning_rate", "beta1", "l2", "epochs", "max_steps", "width"] {
                    training.get(key).into_iter().for_each(|value| text(&format!("setting `{key}`"), value));
                }
            }
            text("seed", &json!(record.seed));
            text("program", &json!(format!("dcgan {}", record.environment.program_version)));
        }
        let d = if with_d { CARD_DISCRIMINATOR } else { "" };
        Ok(format!(
            "---\nlibrary_name: pytorch\npipeline_tag: unconditional-image-generation\ntags:\n- dcgan\n- gan\n---\n\n\
             # DCGAN, {height}×{width}\n\n\
             A generator after Radford, Metz and Chintala, *Unsupervised Representation Learning with Deep Convolutional Generative \
             Adversarial Networks* (arXiv:1511.06434).\n\n\
             | | |\n| --- | --- |\n{}\n\n## How to load\n\n```python\n{CARD_LOAD}{d}```\n\n\
             `python model.py` draws 64 pictures into samples.png. Pictures are in {}. The batch norms' running statistics are \
             inferred over draws{}: use the networks in `eval()`.\n",
            rows.join("\n"),
            if config.output == Output::Tanh { "[−1, 1]" } else { "[0, 1]" },
            if with_d { ", the discriminator's over the training pictures" } else { "" },
        ))
    }
}

fn z_of(config: &GeneratorConfig) -> &'static str {
    match config.z {
        ZDistribution::Uniform => "uniform in [−1, 1]",
        ZDistribution::Normal => "standard normal",
    }
}

const CARD_LOAD: &str = "from safetensors.torch import load_file
from model import Generator, draw_z

generator = Generator().eval()
generator.load_state_dict(load_file(\"generator.safetensors\"))
pictures = generator(draw_z(64))  # (64, channels, height, width)
";

const CARD_DISCRIMINATOR: &str = "
from model import Discriminator

discriminator = Discriminator().eval()
discriminator.load_state_dict(load_file(\"discriminator.safetensors\"))
logits = discriminator(pictures)  # above 0: rather real
";

const HEAD: &str =
    "\"\"\"Networks that dcgan trained, for PyTorch. `python model.py` draws samples.png.\"\"\"

import torch
from torch import nn
";

/// A class whose only part is an `nn.Sequential`.
fn class(name: &str, exported: &Exported) -> String {
    let modules: Vec<String> =
        exported.modules().iter().map(|module| format!("            {module},\n")).collect();
    format!(
        "\n\nclass {name}(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.main = nn.Sequential(\n{}        )\n\n    \
         def forward(self, x):\n        return self.main(x)\n",
        modules.concat()
    )
}

/// How z is drawn, and a grid.
fn draw(config: &GeneratorConfig) -> String {
    let draw = match config.z {
        ZDistribution::Uniform => "torch.rand(n, {nz}) * 2 - 1",
        ZDistribution::Normal => "torch.randn(n, {nz})",
    };
    let draw = draw.replace("{nz}", &config.nz.to_string());
    let draw = if config.first_norm_by_channel { format!("({draw})[:, :, None, None]") } else { draw };
    let pixels = if config.output == Output::Tanh { "pictures * 127.5 + 127.5" } else { "pictures * 255" };
    format!(
        "\n\ndef draw_z(n):\n    return {draw}\n\n\nif __name__ == \"__main__\":\n    from PIL import Image\n    from safetensors.torch import load_file\n\n    \
         generator = Generator().eval()\n    generator.load_state_dict(load_file(\"generator.safetensors\"))\n    \
         with torch.no_grad():\n        pictures = generator(draw_z(64))\n    \
         pixels = ({pixels}).round().clamp(0, 255).to(torch.uint8)\n    \
         n, c, h, w = pixels.shape\n    \
         grid = pixels.reshape(8, 8, c, h, w).permute(0, 3, 1, 4, 2).reshape(8 * h, 8 * w, c)\n    \
         Image.fromarray(grid.squeeze(2).numpy() if c == 1 else grid.numpy()).save(\"samples.png\")\n"
    )
}
