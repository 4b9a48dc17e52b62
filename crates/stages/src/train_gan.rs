//! `train_gan`: a generator and a discriminator against each other.

use std::ops::ControlFlow;
use std::path::Path;

use dcgan_engine::context::Context;
use dcgan_engine::external::{External, Form};
use dcgan_engine::kind::{ConfigType, Kind, Traits};
use dcgan_engine::memory;
use dcgan_engine::paper::{Comparison, Count, Stated, UNSTATED, depends, grouped, no_bearing, says};
use dcgan_engine::stage::{Artifact, ConfigProblem, Facts, FactsOf, Input, InputRef, Outcome, Stage};
use dcgan_gan::train::{Event, FREE_SETTINGS, How, Judge, Start, TrainConfig, files, newest_step, train_as};
use dcgan_gan::{Architecture, ArchitectureName};
use dcgan_images::ImageStore;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::artifact;
use crate::device;
use crate::import_weights::why_no_generator;
use crate::known::{Known, known, more_than_there_are, unlabelled, unlike};
use crate::lineage::{self, FACES, IMAGENET, LSUN, MNIST, SVHN, data_name};
use crate::published::{N_BEDROOMS, N_FACES, N_IMAGENET};

mod judge;
mod parts;

use judge::{FeatureJudge, Score};

pub use parts::follow;

/// What to train on and how.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrainGan {
    /// Pictures of the architecture's size and colour; with labels where it is conditional.
    images: Input,
    /// A stage whose trained networks it begins with: one of train_gan or import_weights. Not in the paper.
    #[serde(default)]
    from: Option<Input>,
    /// both, also where it is left out: of `from` both networks. discriminator: D alone, with a generator drawn anew.
    #[serde(default)]
    from_networks: Option<FromNetworks>,
    /// What ranks the checkpoints, every `score_every_steps`; the built-in score where it is left out.
    #[serde(default)]
    score: Option<Score>,
    /// The networks and their training.
    training: TrainConfig,
}

/// Which networks of another stage a training begins with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum FromNetworks {
    /// Both.
    #[default]
    Both,
    /// The discriminator.
    Discriminator,
}

/// The kind.
pub(crate) static KIND: Kind = Kind {
    name: "train_gan",
    version: 1,
    summary: "train a generator and a discriminator (the paper's networks, at any width)",
    details: "Writes generator.safetensors and discriminator.safetensors, metrics.jsonl (a line every few minibatches: \
              losses, means of D(x) and D(G(z)), D's accuracy, norms of both gradients, pictures a second), samples/ \
              (a grid of the same z after every epoch), both once more as an event file (`tensorboard --logdir runs`), with histograms of \
              the weights where `histograms_every_steps` says so, and checkpoints/ (the newest few and best.safetensors); at the end metrics.parquet, the lines \
              of metrics.jsonl as a table. What is not given is what the authors' code trains the architecture with.\n\n\
              Interrupted or killed, it goes on from its newest checkpoint that can be read and ends with the bits of \
              an uninterrupted run, also if epochs, max_steps, max_minutes or what is only written are changed \
              meanwhile. A finished training whose epochs are raised goes on from its end; neither where the \
              learning rate decays by epochs. A conditional network needs a label for each picture. Where a loss, a gradient or \
              a weight is no longer finite it stops and leaves the checkpoints as they are; where the discriminator \
              is always right for 500 minibatches while a gradient, its own or the generator's, is below a hundredth \
              of what it was on average while the discriminator still erred, it warns.\n\n\
              The score that marks the best checkpoint compares 512 samples with 512 pictures: the unbiased kernel \
              discrepancy (KID's) of the features of a random discriminator, the lower the better. Its generator is \
              generator_best.safetensors. With `score` it is instead a distance by the features of a model of one's own.",
    example: &[
        "images=runs/svhn/train-images",
        "training.architecture=svhn32",
        "training.width=0.25",
        "training.epochs=2",
    ],
    paper: &PAPER,
    traits: Traits {
        is_resumable: true,
        uses_device: true,
        times: &["metrics.jsonl", "metrics.parquet", "events.out.tfevents.0.dcgan", "checkpoints/"],
        ..Traits::NONE
    },
    config: ConfigType::of::<TrainGan>(),
};

/// What the paper says of the keys.
const PAPER: [Stated; 24] = [
    no_bearing("images"),
    says("from", "null", "released code"),
    no_bearing("from_networks"),
    no_bearing("score*"),
    no_bearing("training.architecture*"),
    says("training.width", "1", "released code"),
    says("training.schedule", "\"alternate\"", "released code"),
    depends("training.batch_size", "released code"),
    no_bearing("training.statistics_over"),
    depends("training.learning_rate", "released code"),
    depends("training.beta1", "released code"),
    depends("training.l2", "released code"),
    depends("training.epochs", "released code"),
    depends("training.decay_epochs", "released code"),
    says("training.max_steps", "null", "released code"),
    says("training.max_minutes", "null", "released code"),
    no_bearing("training.ema_decay"),
    no_bearing("training.log_every"),
    no_bearing("training.sample_*"),
    no_bearing("training.histograms_every_steps"),
    no_bearing("training.score_every_steps"),
    no_bearing("training.checkpoint_*"),
    no_bearing("training.keep_checkpoints"),
    no_bearing("training.seed"),
];

impl Stage for TrainGan {
    fn inputs(&self) -> Vec<InputRef<'_>> {
        let mut inputs = vec![InputRef { key: "images", name: &self.images, needs: artifact::IMAGES }];
        let needs = match self.from_networks.unwrap_or_default() {
            FromNetworks::Both => artifact::GENERATOR,
            FromNetworks::Discriminator => artifact::DISCRIMINATOR,
        };
        inputs.extend(self.from.iter().map(|name| InputRef { key: "from", name, needs }));
        let model = self.score.iter().filter_map(|score| score.model.as_ref());
        let needs = artifact::COMPARING_MODEL;
        inputs.extend(model.map(|name| InputRef { key: "score.model", name, needs }));
        inputs
    }

    fn yields(&self) -> Vec<Artifact> {
        vec![artifact::GENERATOR, artifact::DISCRIMINATOR]
    }

    fn facts(&self, _of: &FactsOf<'_>) -> Facts {
        self.networks().into()
    }

    fn misfits(&self, of: &FactsOf<'_>) -> Vec<ConfigProblem> {
        let images = known(of, &self.images);
        let architecture = self.training.architecture;
        let batch_size = self.training.batch_size.unwrap_or(architecture.training_defaults().batch_size);
        let batch = more_than_there_are("training.batch_size", batch_size as u64, images, "pictures");
        let network = self.networks();
        let with_generator = self.from_networks.unwrap_or_default() == FromNetworks::Both;
        let from =
            self.from.as_ref().and_then(|from| other_network(known(of, from), network, with_generator));
        let pictures = unlike("images", images, network, &architecture.to_string());
        let judged = self.score.as_ref().and_then(|score| {
            more_than_there_are("score.n_images", score.n_images as u64, images, "pictures")
        });
        let is_conditional = network.classes.is_some_and(|n| n > 0);
        let labels = is_conditional.then(|| unlabelled("images", images)).flatten();
        pictures.into_iter().chain(from).chain(batch).chain(judged).chain(labels).collect()
    }

    fn external_paths(&self) -> Vec<External> {
        let path = self.score.iter().filter_map(|score| score.inception.clone());
        path.map(|path| External { key: "score.inception", path, is: Form::File }).collect()
    }

    fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = ConfigProblem::of("training", self.training.resolve());
        if let Some(score) = &self.score {
            let wrong = score.inception.is_some() && score.model.is_some();
            let message = "is of use only without `score.model`".to_owned();
            problems.extend(wrong.then(|| ConfigProblem { key: "score.inception".to_owned(), message }));
            let wrong = score.resize.is_some() && score.inception.is_none();
            let message = "is of use only with `score.inception`".to_owned();
            problems.extend(wrong.then(|| ConfigProblem { key: "score.resize".to_owned(), message }));
        }
        if self.from_networks.is_some() && self.from.is_none() {
            let message = "is of use only with `from`".to_owned();
            problems.push(ConfigProblem { key: "from_networks".to_owned(), message });
        }
        problems
    }

    fn seed(&self) -> Option<u64> {
        Some(self.training.seed)
    }

    fn keys_free_to_change(&self) -> Vec<String> {
        // Settings that are refused leave nothing to go on from.
        let free = self.training.free_settings().unwrap_or_else(|_| FREE_SETTINGS.to_vec());
        free.into_iter().map(|key| format!("training.{key}")).collect()
    }

    fn reached(&self, folder: &Path, end: u64) -> u64 {
        newest_step(folder, end)
    }

    fn end(&self) -> u64 {
        self.training.max_steps.unwrap_or(u64::MAX)
    }

    fn settings(&self) -> anyhow::Result<Option<Value>> {
        let mut settings = serde_json::to_value(self.training.resolve()?)?;
        settings["width"] = json!(self.training.width);
        // Left out of checkpoints where it is 0.
        settings["decay_epochs"] = json!(self.training.resolve()?.decay_epochs);
        Ok(Some(json!({"training": settings})))
    }

    fn papers(&self) -> anyhow::Result<Value> {
        let papers = TrainConfig::paper(self.training.architecture).resolve()?;
        let decay_epochs = papers.decay_epochs;
        let mut papers = serde_json::to_value(papers)?;
        papers["decay_epochs"] = json!(decay_epochs);
        let unstated: &[&str] = match self.training.architecture {
            ArchitectureName::Svhn32 => &["beta1", "l2"],
            ArchitectureName::Imagenet32 => &["l2"],
            ArchitectureName::Faces64 | ArchitectureName::Mnist28 | ArchitectureName::Own(_) => &[],
        };
        unstated.iter().for_each(|key| papers[key] = json!(UNSTATED));
        Ok(json!({"training": papers}))
    }

    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        let images = ctx.input(&self.images);
        let store = ImageStore::open(&images)?;
        let mut task = ctx.task("training", "minibatches");
        let mut observe = |event: Event<'_>| match event {
            Event::Minibatch { done, total } => task.observe(done, total),
            Event::Logged { d_loss, g_loss, score } => {
                task.describe(losses(d_loss, g_loss, score));
                ControlFlow::Continue(())
            }
            Event::Warning(message) => {
                ctx.progress().warn(message);
                ControlFlow::Continue(())
            }
        };
        let start = self.start(ctx)?;
        let device = device::open(ctx)?;
        if let (true, Some(most)) = (device.is_cpu(), memory::most()) {
            self.training.resolve()?.check_memory(most)?;
        }
        let judge = match &self.score {
            Some(score) => Some(FeatureJudge::new(ctx, score, &self.images, self.training.seed)?),
            None => None,
        };
        let judge = judge.as_ref().map(|judge| judge as &dyn Judge);
        let others = parts::start(&device::parse(ctx.device()).map_err(anyhow::Error::msg)?.each())?;
        let part = others.as_ref().map(parts::Others::part);
        let how = How { start, judge, part };
        let trained = train_as(&how, &store, &self.training, ctx.out, &device, &mut observe);
        drop(how);
        let summary = match others {
            Some(others) => others.end(trained)?,
            None => trained?,
        };
        drop(task);
        let data = data_name(&images)?;
        let metrics = json!({
            "architecture": self.training.architecture.to_string(),
            "trained_on": data,
            "n_images": store.len(),
            "n_steps": summary.n_steps,
            "steps_per_epoch": summary.steps_per_epoch,
            "d_loss": summary.discriminator.loss,
            "d_real": summary.discriminator.real,
            "d_fake": summary.discriminator.fake,
            "d_accuracy": summary.discriminator.accuracy,
            "g_loss": summary.generator.loss,
            "best_step": summary.best.map(|(step, _)| step),
            "best_score": summary.best.map(|(_, score)| score),
            "collapsed_at": summary.collapsed_at,
            "training_seconds": summary.seconds,
        });
        let differences = self.pictures(&store, data.as_deref());
        Ok(Outcome { metrics, differences })
    }
}

/// The words before the bar: "training, loss D 0.52 G 1.93, score 0.310".
fn losses(d_loss: f64, g_loss: f64, score: Option<f64>) -> String {
    // Before its first update a network has none.
    let told = |network: &str, loss: f64| {
        if loss.is_finite() { format!(" {network} {loss:.2}") } else { String::new() }
    };
    let score = score.map(|score| format!(", score {score:.3}")).unwrap_or_default();
    format!("training, loss{}{}{score}", told("D", d_loss), told("G", g_loss))
}

/// Says so where the networks to begin with are of other pictures, labels or tensors.
fn other_network(from: Known, ours: Known, with_generator: bool) -> Option<ConfigProblem> {
    let told = |known: Known| {
        let grey = if known.depth == Some(1) { "grey " } else { "" };
        let labels = match known.classes {
            Some(n) if n > 0 => format!(", conditional on {n} classes"),
            _ => String::new(),
        };
        known.side.map(|side| format!("networks of {grey}pictures of {side}×{side}{labels}"))
    };
    let problem = |message: String| Some(ConfigProblem { key: "from".to_owned(), message });
    let (expected, found) = (told(ours)?, told(from)?);
    if expected != found {
        return problem(format!("expected {expected}, as `training.architecture` says, found {found}"));
    }
    if let (Some(ours), Some(theirs)) = (ours.kernel, from.kernel)
        && ours != theirs
    {
        return problem(format!(
            "expected networks with kernels of {ours}×{ours}, as `training.architecture` says, found kernels of {theirs}×{theirs}; \
             imported networks of other kernels draw samples, give features and are exported, but are not trained on"
        ));
    }
    let unlike = ours.network?.unlike(&from.network?, with_generator)?;
    problem(format!(
        "expected the networks that `training.architecture` and `training.width` say, found others: {unlike}"
    ))
}

impl TrainGan {
    /// What is known of the networks.
    fn networks(&self) -> Known {
        let (name, width) = (self.training.architecture, self.training.width);
        Known { network: Some(Architecture { name, width }), draws: Some(true), ..Known::of_network(name) }
    }

    /// The files of the networks that it begins with.
    fn start(&self, ctx: &Context<'_>) -> anyhow::Result<Start> {
        let Some(from) = &self.from else { return Ok(Start::default()) };
        let folder = ctx.input(from);
        let is_both = self.from_networks.unwrap_or_default() == FromNetworks::Both;
        if let (true, Some(why)) = (is_both, why_no_generator(&folder)?) {
            anyhow::bail!("`from`: {why}; `from_networks = \"discriminator\"` begins with D alone");
        }
        let generator = is_both.then(|| folder.join(files::GENERATOR));
        Ok(Start { generator, discriminator: Some(folder.join(files::DISCRIMINATOR)) })
    }

    /// Compares the pictures with those that the authors trained this architecture on.
    fn pictures(&self, store: &ImageStore, data: Option<&str>) -> Comparison {
        let n = store.len();
        let mut comparison = Comparison::of_settings();
        match (self.training.architecture, data) {
            (ArchitectureName::Svhn32, _) => {
                comparison.join(lineage::compare_data(data, SVHN));
                let text =
                    "on which of SVHN's pictures the released network was trained is nowhere said; here on";
                comparison.not_checked.push(format!("{text} {} of {}", grouped(n), store.meta().source));
            }
            (ArchitectureName::Imagenet32, _) => {
                comparison.join(lineage::compare_data(data, IMAGENET));
                comparison.count("training pictures", n, N_IMAGENET);
            }
            (ArchitectureName::Mnist28, _) => {
                comparison.join(lineage::compare_data(data, MNIST));
                // The authors' code keeps the last 10,000 of the 60,000 back.
                comparison.count("training pictures", n, Count::Exactly(50_000));
            }
            (ArchitectureName::Own(_), _) => {
                comparison.differences.push("a network of one's own, none of the paper's".to_owned());
            }
            // Two sets of the paper's have this architecture.
            (ArchitectureName::Faces64, Some(FACES)) => comparison.count("training pictures", n, N_FACES),
            (ArchitectureName::Faces64, _) => {
                comparison.join(lineage::compare_data(data, LSUN));
                comparison.count("training pictures", n, N_BEDROOMS);
            }
        }
        comparison
    }
}
