//! `guided_backprop`: what the features of the discriminator's last conv layer see (section 6.2).

use anyhow::Context as _;
use dcgan_engine::context::Context;
use dcgan_engine::kind::{ConfigType, Kind, Traits};
use dcgan_engine::paper::{Stated, by_stage, no_bearing, says, unstated};
use dcgan_engine::stage::{Artifact, ConfigProblem, FactsOf, Input, InputRef, Outcome, Stage};
use dcgan_gan::guided::{ReceptiveField, Response, guided_gradient, strongest_responses};
use dcgan_gan::train::files::DISCRIMINATOR;
use dcgan_gan::{Discriminator, FeatureExtractor, GanError};
use dcgan_images::{ImageStore, Sheet};
use dcgan_nn::device::Device;
use dcgan_report::figure::Figure;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::artifact;
use crate::drawing::write_figures;
use crate::known::{conditional, known, unlike};
use crate::lineage::{self, LSUN, data_name};

/// Whose features, on which pictures.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GuidedBackprop {
    /// The stage with the discriminator.
    model: Input,
    /// The pictures among which the strongest responses are looked for.
    images: Input,
    /// The pictures over which batch-norm statistics are inferred, best the training set; `images` if left out.
    #[serde(default)]
    statistics: Option<Input>,
    /// How many features, the first ones.
    #[serde(default = "six")]
    #[schemars(range(min = 1, max = 64))]
    n_features: usize,
    /// Pictures for each feature.
    #[serde(default = "six")]
    #[schemars(range(min = 1, max = 64))]
    top_k: usize,
    /// Seed of the random discriminator's weights.
    #[serde(default)]
    seed: u64,
}

fn six() -> usize {
    6
}

/// The kind.
pub(crate) static KIND: Kind = Kind {
    name: "guided_backprop",
    version: 2,
    summary: "show what the discriminator's last conv features respond to, beside random ones (section 6.2)",
    details: "For each of the first features of the last conv layer, finds the pictures in which it responds most, and leads \
              the gradient of each response back to the picture, through ReLUs that pass only what is positive both ways. Writes \
              trained.png and random.png, the latter for a discriminator of the same sizes with random weights, and \
              responses.json. In the figures, a feature has two rows: the part of each picture that the unit sees, and \
              the gradient on it, grey where there is none. Batch norm uses statistics inferred over a data set, as for features.",
    example: &["model=runs/svhn-released/weights", "images=runs/svhn-released/train-images"],
    paper: &PAPER,
    traits: Traits::NONE,
    config: ConfigType::of::<GuidedBackprop>(),
};

/// What the paper says of the keys.
const PAPER: [Stated; 6] = [
    no_bearing("model"),
    no_bearing("images"),
    by_stage("statistics"),
    says("n_features", "6", "section 6.2"),
    unstated("top_k"),
    no_bearing("seed"),
];

impl Stage for GuidedBackprop {
    fn inputs(&self) -> Vec<InputRef<'_>> {
        let mut inputs = vec![
            InputRef { key: "model", name: &self.model, needs: artifact::DISCRIMINATOR },
            InputRef { key: "images", name: &self.images, needs: artifact::IMAGES },
        ];
        inputs.extend(self.statistics.iter().map(|name| InputRef {
            key: "statistics",
            name,
            needs: artifact::IMAGES,
        }));
        inputs
    }

    fn yields(&self) -> Vec<Artifact> {
        vec![artifact::FIGURES]
    }

    fn misfits(&self, of: &FactsOf<'_>) -> Vec<ConfigProblem> {
        let model = known(of, &self.model);
        let network = format!("`{}`", self.model.as_str());
        let wrong = |key: &str, images: &Input| unlike(key, known(of, images), model, &network);
        let statistics = self.statistics.as_ref().and_then(|images| wrong("statistics", images));
        let label = conditional("model", model, "what its features see depends on the label too");
        wrong("images", &self.images).into_iter().chain(statistics).chain(label).collect()
    }

    fn seed(&self) -> Option<u64> {
        Some(self.seed)
    }

    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        let store = ImageStore::open(&ctx.input(&self.images))?;
        let statistics = ImageStore::open(&ctx.input(self.statistics.as_ref().unwrap_or(&self.images)))?;
        // The guided ReLU has a kernel for the CPU alone, and there is little to compute.
        let device = &Device::CPU;
        let trained = Discriminator::load(&ctx.input(&self.model).join(DISCRIMINATOR), device)?;
        let random = Discriminator::random(trained.config().clone(), self.seed, device)?;
        let (mut figures, mut all) = (Vec::new(), serde_json::Map::new());
        for (name, discriminator) in [("trained", trained), ("random", random)] {
            let mut task = ctx.task("inferring statistics", "pictures");
            let extractor =
                FeatureExtractor::infer(&discriminator, &statistics, device, &mut |done, total| {
                    task.observe(done, total)
                })?;
            drop(task);
            let mut task = ctx.task("looking for responses", "pictures");
            let responses =
                strongest_responses(&extractor, &store, self.n_features, self.top_k, &mut |done, total| {
                    task.observe(done, total)
                })?;
            drop(task);
            let field = ReceptiveField::of(discriminator.config());
            let file = format!("{name}.png");
            sheet(ctx, &extractor, &store, field, &responses)?.write(&ctx.out.join(&file))?;
            figures.push(self.figure(name, file, field));
            all.insert(name.to_owned(), as_json(&store, &responses)?);
        }
        ctx.write_json("responses.json", &all)?;
        write_figures(ctx, &figures)?;
        let metrics = json!({"n_images": store.len(), "n_features": self.n_features});
        let mut differences = lineage::of_generator(ctx.input(&self.model))?.drawn(LSUN);
        differences.join(lineage::compare_data(data_name(&ctx.input(&self.images))?.as_deref(), LSUN));
        Ok(Outcome { metrics, differences })
    }
}

impl GuidedBackprop {
    fn figure(&self, name: &str, file: String, field: ReceptiveField) -> Figure {
        let whose = if name == "trained" {
            "trained discriminator".to_owned()
        } else {
            format!("random discriminator (seed {})", self.seed)
        };
        let (n, k) = (self.n_features, self.top_k);
        Figure {
            file,
            title: format!("Guided back-propagation, {whose}"),
            caption: format!(
                "The first {n} features of the last conv layer, two rows each: the {k} pictures with the largest responses, cut to \
                 the {size}×{size} pixels that the unit sees, and the guided gradient there, each scaled to its largest \
                 value.",
                size = field.size
            ),
            alt: format!(
                "{n} pairs of rows of {k} pictures: what a feature of the {whose} responds to, and which pixels matter"
            ),
        }
    }
}

/// Rows from one feature to the next.
const PAIR: f64 = 2.15;

/// Two rows a feature: what the units see, and the gradients.
fn sheet(
    ctx: &Context<'_>,
    extractor: &FeatureExtractor,
    store: &ImageStore,
    field: ReceptiveField,
    responses: &[Vec<Response>],
) -> anyhow::Result<Sheet> {
    let (n_columns, total) = (responses.iter().map(Vec::len).max().unwrap_or(0), responses.len() as u64);
    let mut sheet = Sheet::new(field.size, PAIR * responses.len() as f64 + 2.0 - PAIR, n_columns as f64);
    let mut task = ctx.task("leading gradients back", "features");
    for (feature, responses) in responses.iter().enumerate() {
        if task.observe(feature as u64, total).is_break() {
            return Err(GanError::Interrupted.into());
        }
        for (column, response) in responses.iter().enumerate() {
            let pixels = store.image(response.image_idx);
            let gradient = guided_gradient(extractor, pixels, feature, (response.y, response.x))?;
            let seen = cut(pixels, store.height(), field, response, 127);
            let gradient = cut(&as_grey(&gradient), store.height(), field, response, 127);
            let row = PAIR * feature as f64;
            sheet.place(&seen, row, column as f64);
            sheet.place(&gradient, row + 1.0, column as f64);
        }
    }
    Ok(sheet)
}

/// A gradient as pixels: 127 for none, 0 or 254 for its largest absolute value.
fn as_grey(gradient: &[f32]) -> Vec<u8> {
    let largest = gradient.iter().fold(0.0_f32, |largest, g| largest.max(g.abs())).max(f32::MIN_POSITIVE);
    gradient.iter().map(|g| (127.0 + 127.0 * g / largest).round() as u8).collect()
}

/// The window of a square picture that a unit sees; `beyond` stands for what is not on the picture.
fn cut(pixels: &[u8], side: usize, field: ReceptiveField, response: &Response, beyond: u8) -> Vec<u8> {
    let channels = pixels.len() / (side * side);
    let mut window = vec![beyond; channels * field.size * field.size];
    for (i, value) in window.iter_mut().enumerate() {
        let (channel, y, x) = (i / field.size.pow(2), i / field.size % field.size, i % field.size);
        let on_picture =
            |unit: usize, offset: usize| (unit * field.stride + offset).checked_add_signed(field.first);
        if let (Some(y), Some(x)) = (on_picture(response.y, y), on_picture(response.x, x))
            && y < side
            && x < side
        {
            *value = pixels[(channel * side + y) * side + x];
        }
    }
    window
}

fn as_json(store: &ImageStore, responses: &[Vec<Response>]) -> anyhow::Result<serde_json::Value> {
    let keys = store.keys().context("cannot read the pictures' keys")?;
    let one = |r: &Response| json!({"image": r.image_idx, "key": keys[r.image_idx], "value": r.value, "y": r.y, "x": r.x});
    Ok(responses.iter().map(|feature| feature.iter().map(one).collect::<Vec<_>>()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_beyond_the_picture_are_filled() {
        let field = ReceptiveField { size: 3, stride: 2, first: -1 };
        let pixels: Vec<u8> = (1..=48).collect();
        let response = Response { image_idx: 0, value: 1.0, y: 0, x: 1 };
        // Rows −1 to 1, columns 1 to 3 of the first plane of 4×4.
        assert_eq!(cut(&pixels, 4, field, &response, 0)[..9], [0, 0, 0, 2, 3, 4, 6, 7, 8]);
        let corner = Response { y: 1, x: 2, ..response };
        assert_eq!(cut(&pixels, 4, field, &corner, 0)[..9], [8, 0, 0, 12, 0, 0, 16, 0, 0]);
        assert_eq!(as_grey(&[0.0, 2.0, -1.0, -2.0]), [127, 254, 64, 0]);
        assert_eq!(as_grey(&[0.0; 3]), [127; 3]);
    }
}
