//! `sample_metrics`: how good samples are, by their features and those of real pictures.

use std::path::PathBuf;

use anyhow::ensure;
use dcgan_engine::context::Context;
use dcgan_engine::external::{External, Form};
use dcgan_engine::kind::{ConfigType, Kind, Traits};
use dcgan_engine::paper::{Comparison, Stated, no_bearing};
use dcgan_engine::stage::{Artifact, ConfigProblem, FactsOf, Input, InputRef, Outcome, Stage};
use dcgan_gan::train::Kept;
use dcgan_images::ImageStore;
use dcgan_metrics::Features;
use dcgan_metrics::frechet::Reference;
use dcgan_report::entry::Entry;

use crate::artifact;
use crate::feature_maker::Maker;
use crate::known::{known, more_than_there_are, nothing_drawn, unlike};

mod config;
pub(crate) mod cost;
mod course;
mod measured;
mod row;
mod same;
pub(crate) mod sets;

use config::Measure;
pub(crate) use config::SampleMetrics;
use measured::{Measured, measure};
use sets::{MadeFeatures, Set, Sets};

/// Name of the file with all figures.
const METRICS: &str = "metrics.json";
/// The kind.
pub(crate) static KIND: Kind = Kind {
    name: "sample_metrics",
    version: 2,
    summary: "measure how good samples are: FID, KID, Inception Score, precision, recall, density, coverage",
    details: "Compares generated with real pictures by their features. The Fréchet distance is that of mean and covariance, \
              summed in f64; the kernel distance is the unbiased one of (x·y/d + 1)³ over torch-fidelity's 100 subsets of 1000; \
              precision, recall, density and coverage are those of the prdc package, exact. Only by Inception-v3's features are \
              they the FID and the KID; features of a discriminator that was trained on the real set favour it, and figures \
              compare only within one feature space and with as many pictures.\n\n\
              Writes result.json (a row of the report), metrics.json (all figures with intervals, counts, seeds and warnings), and, \
              where it is asked for, statistics.npz of the real set. Features are written block by block: killed, it goes on where \
              it stopped. They are removed in the end.\n\n\
              With `each_checkpoint` also metrics.jsonl, which a report shows as curves: the measures of the samples of each checkpoint \
              that the training keeps, the share of pairs of z whose samples are alike by code, and how much of the filters' \
              activations changes with z. The paper's conclusion warns of filters that collapse into one oscillating mode.",
    example: &[
        "real=runs/svhn/train-images",
        "generated=runs/svhn/train",
        "model=runs/svhn/train",
        "n_images=2000",
        "n_real=2000",
    ],
    paper: &PAPER,
    traits: Traits { is_resumable: true, uses_device: true, ..Traits::NONE },
    config: ConfigType::of::<SampleMetrics>(),
};

/// What the paper says of the keys.
const PAPER: [Stated; 1] = [no_bearing("*")];

impl Stage for SampleMetrics {
    fn inputs(&self) -> Vec<InputRef<'_>> {
        let generated = InputRef { key: "generated", name: &self.generated, needs: artifact::SAMPLED };
        let optional = [
            ("real", &self.real, artifact::PICTURES_OR_FEATURES),
            ("model", &self.model, artifact::COMPARING_MODEL),
            ("statistics", &self.statistics, artifact::IMAGES),
            ("autoencoder", &self.autoencoder, artifact::AUTOENCODER),
        ];
        let named = optional
            .into_iter()
            .filter_map(|(key, name, needs)| Some(InputRef { key, name: name.as_ref()?, needs }));
        named.chain([generated]).collect()
    }

    fn yields(&self) -> Vec<Artifact> {
        vec![artifact::RESULT]
    }

    fn external_paths(&self) -> Vec<External> {
        let file = |(key, path): (&'static str, &Option<PathBuf>)| {
            Some(External { key, path: path.clone()?, is: Form::File })
        };
        let files = [("real_statistics", &self.real_statistics), ("inception", &self.inception)];
        files.into_iter().filter_map(file).collect()
    }

    fn misfits(&self, of: &FactsOf<'_>) -> Vec<ConfigProblem> {
        let (generated, real) = (known(of, &self.generated), self.real.as_ref().map(|real| known(of, real)));
        let mut problems: Vec<ConfigProblem> = Vec::new();
        if let Some(model) = &self.model {
            let network = known(of, model);
            let name = format!("`{}`", model.as_str());
            problems.extend(real.and_then(|real| unlike("real", real, network, &name)));
            problems.extend(unlike("generated", generated, network, &name));
        }
        // What a generator draws must be as the real pictures are.
        let drawn = real.and_then(|real| {
            unlike("real", real, generated, &format!("`{}` draws, not", self.generated.as_str()))
        });
        problems.extend(drawn.filter(|_| problems.is_empty()));
        problems.extend(nothing_drawn(generated, &self.generated, &self.drawing_given()));
        let chosen = self.n_real.zip(real);
        problems
            .extend(chosen.and_then(|(n, real)| more_than_there_are("n_real", n as u64, real, "pictures")));
        problems
    }

    fn problems(&self) -> Vec<ConfigProblem> {
        let problem =
            |key: &str, message: &str| ConfigProblem { key: key.to_owned(), message: message.to_owned() };
        let mut problems = Vec::new();
        match (&self.real, &self.real_statistics) {
            (None, None) => {
                problems.push(problem("real", "expected the real pictures, or `real_statistics`"))
            }
            (Some(_), Some(_)) => {
                problems.push(problem("real_statistics", "is of use only without `real`"));
            }
            _ => {}
        }
        let asked =
            |wanted: &[Measure]| self.measures.iter().flatten().any(|measure| wanted.contains(measure));
        if self.inception.is_none() && asked(&[Measure::InceptionScore]) {
            problems.push(problem("measures", "inception_score needs `inception`"));
        }
        if self.inception.is_some() && self.model.is_some() {
            problems.push(problem("inception", "is of use only without `model`"));
        }
        if self.resize.is_some() && self.inception.is_none() {
            problems.push(problem("resize", "is of use only with `inception`"));
        }
        let of_no_use = self.of_no_use().into_iter().filter(|(_, is_given, _)| *is_given);
        problems.extend(of_no_use.map(|(key, _, why)| problem(key, why)));
        let others = asked(&[Measure::Kernel, Measure::Prdc]);
        if self.real_statistics.is_some() && others {
            problems
                .push(problem("measures", "`real_statistics` has no pictures, which kernel and prdc need"));
        }
        if self.real_statistics.is_some() && self.write_statistics {
            problems.push(problem("write_statistics", "`real_statistics` is such a file already"));
        }
        if self.measures.as_ref().is_some_and(Vec::is_empty) {
            problems.push(problem("measures", "expected at least one measure"));
        }
        if self.autoencoder.is_some() && !self.each_checkpoint {
            problems.push(problem("autoencoder", "is of use only with `each_checkpoint`"));
        }
        if self.statistics.is_some() && self.model.is_none() {
            problems.push(problem("statistics", "is of use only with `model`"));
        }
        problems
    }

    fn seed(&self) -> Option<u64> {
        Some(self.seed)
    }

    fn bytes_needed(&self, ctx: &Context<'_>) -> anyhow::Result<Option<u64>> {
        let sets = self.sets(ctx)?;
        let written = if self.write_statistics { cost::written(sets.n_columns(ctx, self.by())?)? } else { 0 };
        Ok(Some(sets.bytes(ctx, self.by())? + written))
    }

    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        let mut sets = self.sets(ctx)?;
        let reference = self.real_statistics.as_deref().map(Reference::read).transpose()?;
        let mut said = self.check_first(ctx, &sets, reference.as_ref())?;
        said.iter().for_each(|warning| ctx.progress().warn(warning));
        let checkpoints = self.checkpoints(ctx)?;
        let made = self.features(ctx, &mut sets)?;
        let maker = made.maker.as_ref();
        ensure!(
            maker.is_some() || (self.model.is_none() && self.inception.is_none()),
            "`{}`: is of use only for pictures; both sets are features already",
            if self.model.is_some() { "model" } else { "inception" }
        );
        let name = maker.map_or("features of files", |maker| &maker.name).to_owned();
        let real = match &made.real {
            Some(real) => Some(Features::new("real", real.values(), real.n_columns())?),
            None => None,
        };
        let generated = Features::new("generated", made.generated.values(), made.generated.n_columns())?;
        let logits = match &made.logits {
            Some(logits) => Some(Features::new("logits of generated", logits.values(), logits.n_columns())?),
            None => None,
        };
        course::Course { config: self, real, reference: reference.as_ref(), maker }
            .write(ctx, &checkpoints)?;
        let is_inception = maker.is_some_and(Maker::is_inception);
        let set = measured::Measuring {
            real,
            reference: reference.as_ref(),
            generated,
            logits,
            name: &name,
            is_inception,
        };
        let mut measured = measure(ctx, self, set)?;
        let is_known = said.iter().any(|warning| warning == same::ITSELF);
        let shared = real.as_ref().filter(|_| !is_known).and_then(|real| same::shared(real, &generated));
        measured.warnings.extend(shared);
        measured.warnings.iter().for_each(|warning| ctx.progress().warn(warning));
        said.append(&mut measured.warnings);
        measured.warnings = said;
        ctx.write_json(METRICS, &self.all(&sets, &measured, &name))?;
        ctx.write_json(Entry::FILE, &row::row(&measured, self.generated.as_str(), &sets, &name))?;
        sets.remove_features(ctx)?;
        Ok(Outcome { metrics: row::summary(&measured), differences: Comparison::of_settings() })
    }
}

impl SampleMetrics {
    /// Opens both sets, and refuses what cannot be compared before anything is computed.
    fn sets(&self, ctx: &Context<'_>) -> anyhow::Result<Sets> {
        let real = match &self.real {
            Some(real) => Some(Set::open(ctx, "real", real, None)?),
            None => None,
        };
        let generated = Set::open(ctx, "generated", &self.generated, Some(self.drawing()))?;
        Sets::new(real, generated, self.n_real.map(|n| (n, self.seed)), self.by())
    }

    /// What is wrong, or has to be said, before features are made: a set beside itself, numbers that are rounded, distances that do not
    /// fit into memory.
    fn check_first(
        &self,
        ctx: &Context<'_>,
        sets: &Sets,
        reference: Option<&Reference>,
    ) -> anyhow::Result<Vec<String>> {
        let n_columns = sets.n_columns(ctx, self.by())?;
        let file = self.real_statistics.as_ref().zip(reference.map(|of| of.statistics().n_columns()));
        if let Some((path, expected)) = file.filter(|(_, expected)| *expected != n_columns) {
            anyhow::bail!(
                "{}: expected mean and covariance of {n_columns} features, as the generated set has, found {expected}",
                path.display()
            );
        }
        let mut said = sets.rounded();
        if let Some(real) = &self.real
            && crate::is_same_set(&ctx.input(real), &ctx.input(&self.generated))?
        {
            said.push(same::ITSELF.to_owned());
        }
        if self.takes(Measure::Frechet) || self.write_statistics {
            let [n_real, n_generated] = sets.lens();
            let (writes, extrapolates) = (self.write_statistics, self.infinity);
            let asked = cost::Asked {
                n_real,
                n_generated: n_generated.unwrap_or_default(),
                n_columns,
                writes,
                extrapolates,
            };
            // How long it takes is for those who watch, not for the record.
            cost::check(asked)?.iter().for_each(|said| ctx.progress().note(format_args!("  {said}")));
        }
        Ok(said)
    }

    /// The features of both sets, and what they are.
    fn features(&self, ctx: &Context<'_>, sets: &mut Sets) -> anyhow::Result<MadeFeatures> {
        let mut statistics = || -> anyhow::Result<ImageStore> {
            let folder = match (&self.statistics, &self.real) {
                (Some(statistics), _) => statistics,
                (None, Some(real)) => real,
                (None, None) => anyhow::bail!(
                    "`statistics`: expected the pictures over which the model's statistics are inferred, as there is no `real`"
                ),
            };
            Ok(ImageStore::open(&ctx.input(folder))?)
        };
        sets.features(ctx, self.by(), &mut statistics)
    }

    /// The checkpoints whose samples are measured.
    fn checkpoints(&self, ctx: &Context<'_>) -> anyhow::Result<Vec<Kept>> {
        if !self.each_checkpoint {
            return Ok(Vec::new());
        }
        let folder = ctx.input(&self.generated);
        let kept = Kept::of(&folder)?;
        ensure!(
            !kept.is_empty(),
            "`each_checkpoint`: expected a training with checkpoints, found none in {}; `keep_checkpoints` and `checkpoint_steps` of \
             train_gan say which are kept",
            folder.display()
        );
        Ok(kept)
    }

    /// What metrics.json holds.
    fn all(&self, sets: &Sets, measured: &Measured, name: &str) -> serde_json::Value {
        serde_json::json!({
            "features": {
                "name": name,
                "n_features": measured.n_features,
                "model": self.model.as_ref().map(Input::as_str),
                "inception": self.inception,
                "resize": self.inception.as_ref().map(|_| self.resize.unwrap_or_default()),
            },
            "real": sets.real_facts(&self.real_statistics),
            "generated": sets.generated_facts(),
            "frechet_distance": measured.frechet,
            "frechet_distance_is_called": measured.frechet.as_ref().map(|_| measured.name_of_frechet(name)),
            "kernel_distance": measured.kernel,
            "prdc": measured.prdc,
            "inception_score": measured.inception_score,
            "bootstrap": {"replicates": self.bootstrap, "seed": self.seed},
            "warnings": measured.warnings,
        })
    }
}
