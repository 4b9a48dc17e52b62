//! `supervised_search`: the supervised CNN of Table 2.

mod row;

use std::ops::ControlFlow;
use std::path::Path;

use dcgan_engine::context::Context;
use dcgan_engine::kind::{ConfigType, Kind, Traits};
use dcgan_engine::paper::{Comparison, Stated, by_stage, grouped, no_bearing, says, unstated};
use dcgan_engine::stage::{Artifact, ConfigProblem, FactsOf, Input, InputRef, Outcome, Stage};
use dcgan_eval::{Confusion, Draws, FeatureSet, SvhnProtocol, labels_of};
use dcgan_gan::ArchitectureName;
use dcgan_gan::supervised::{self, Examples, Fitted, Found, SearchConfig, Trial, search};
use dcgan_images::ImageStore;
use dcgan_report::entry::Entry;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::row::Measured;
use crate::known::{Known, known, too_few_left, unlike};
use crate::lineage::{SVHN, compare_data, data_name};
use crate::svhn_protocol::SVHN_SIZES;
use crate::{artifact, device};

/// Which pictures, which of them have labels, and how the network is sought.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SupervisedSearch {
    /// Training pictures of the architecture's size, with labels.
    train: Input,
    /// Test pictures, with labels; they measure the chosen network, once.
    test: Input,
    /// Which training pictures are learned from and which choose.
    #[serde(default)]
    draws: DrawsConfig,
    /// The network and its trials.
    search: SearchConfig,
}

/// The rows that svhn_protocol draws under the same numbers and seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct DrawsConfig {
    /// Pictures held out of the training set, for early stopping and the choice among trials.
    #[schemars(range(min = 1))]
    n_validation: usize,
    /// Labels a class; left out: all pictures that are not held out.
    #[schemars(range(min = 1))]
    n_per_class: Option<usize>,
    /// Which of the draws that svhn_protocol measures.
    draw: u32,
    /// Seed of the draws.
    seed: u64,
}

impl Default for DrawsConfig {
    fn default() -> Self {
        Self { n_validation: SvhnProtocol::default().n_validation, n_per_class: None, draw: 0, seed: 0 }
    }
}

impl DrawsConfig {
    fn draws(&self, train: &FeatureSet) -> anyhow::Result<Draws> {
        let (n_validation, seed) = (self.n_validation, self.seed);
        let n_per_class = self.n_per_class.unwrap_or(0);
        Ok(SvhnProtocol { n_validation, n_per_class, seed, ..SvhnProtocol::default() }.draws(train)?)
    }

    fn labelled(&self, draws: &Draws) -> Vec<u32> {
        match self.n_per_class {
            Some(_) => draws.fresh(self.draw),
            None => draws.drawable(),
        }
    }
}

/// The kind.
pub(crate) static KIND: Kind = Kind {
    name: "supervised_search",
    version: 1,
    summary: "train the discriminator's architecture with labels alone (Table 2): random search, the best on validation pictures",
    details: "Trains D's convolutions and a linear layer to the classes by the cross-entropy of their softmax, with Adam, dropout \
              before that layer and early stopping, once for each of `n_trials` random draws of the hyper-parameters. The trial of \
              the lowest validation error is trained again and measured on the test set, once; both errors are reported. \
              Labelled and validation pictures are those of svhn_protocol under the same n_validation, n_per_class and seed. Batch \
              norm takes the statistics of the labelled pictures, inferred as for features.\n\n\
              Writes supervised.safetensors (the network), trials.parquet (trial, learning_rate, beta1, l2, dropout, batch_size, \
              seed, n_epochs, best_epoch, validation_error, validation_cross_entropy, training_cross_entropy; a trial that diverged \
              has diverged_at, a minibatch, in place of the latter five, and is passed over), trials/ (a file a trial, with its \
              time), result.json (the row for the report), search.json (the chosen trial, its errors, the confusion matrix) and \
              draws.json. Trials run side by side, one on each processor. Interrupted or killed, a search goes on with the trials \
              that are done and ends with the bits of an uninterrupted one; so does one whose n_trials is raised.",
    example: &[
        "train=runs/svhn-released/train-images",
        "test=runs/svhn-released/test-images",
        "draws.n_validation=2000",
        "draws.n_per_class=100",
        "search.architecture=svhn32",
        "search.n_trials=4",
    ],
    paper: &PAPER,
    traits: Traits {
        is_resumable: true,
        uses_device: true,
        times: &["trials/", "trial_seconds"],
        ..Traits::NONE
    },
    config: ConfigType::of::<SupervisedSearch>(),
};

/// What the paper says of the keys.
const PAPER: [Stated; 18] = [
    no_bearing("train"),
    no_bearing("test"),
    says("draws.n_validation", "10000", "section 5.2"),
    says("draws.n_per_class", "100", "section 5.2"),
    no_bearing("draws.draw"),
    no_bearing("draws.seed"),
    by_stage("search.architecture*"),
    says("search.width", "1", "released code"),
    says("search.n_trials", "64", "section 5.2"),
    unstated("search.learning_rate"),
    unstated("search.beta1"),
    unstated("search.l2"),
    unstated("search.dropout"),
    unstated("search.batch_sizes"),
    unstated("search.epochs"),
    unstated("search.patience"),
    unstated("search.check_every"),
    no_bearing("search.seed"),
];

impl Stage for SupervisedSearch {
    fn inputs(&self) -> Vec<InputRef<'_>> {
        vec![
            InputRef { key: "train", name: &self.train, needs: artifact::IMAGES },
            InputRef { key: "test", name: &self.test, needs: artifact::IMAGES },
        ]
    }

    fn yields(&self) -> Vec<Artifact> {
        vec![artifact::RESULT]
    }

    fn misfits(&self, of: &FactsOf<'_>) -> Vec<ConfigProblem> {
        let architecture = self.search.architecture;
        let network = Known::of_network(architecture);
        let inputs = [("train", &self.train), ("test", &self.test)];
        let unlike = inputs
            .into_iter()
            .filter_map(|(key, images)| unlike(key, known(of, images), network, &architecture.to_string()));
        let DrawsConfig { n_validation, n_per_class, .. } = self.draws;
        let n_per_class = n_per_class.unwrap_or(1);
        unlike
            .chain(crate::without_labels(("train", &self.train), ("test", &self.test), of))
            .chain(too_few_left("draws.n_validation", n_validation, n_per_class, known(of, &self.train)))
            .collect()
    }

    fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = ConfigProblem::of("search", self.search.validate());
        problems.extend(crate::same_set(&self.train, &self.test));
        problems
    }

    fn seed(&self) -> Option<u64> {
        Some(self.search.seed)
    }

    fn keys_free_to_change(&self) -> Vec<String> {
        vec!["search.n_trials".to_owned()]
    }

    fn reached(&self, folder: &Path, end: u64) -> u64 {
        supervised::n_kept(folder, end)
    }

    fn end(&self) -> u64 {
        u64::from(self.search.n_trials)
    }

    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome> {
        let folder = ctx.input(&self.train);
        let store = ImageStore::open(&folder)?;
        crate::check_other_set(&folder, &ctx.input(&self.test))?;
        let train = labels_of(&store, &folder)?;
        let test = Test::open(&ctx.input(&self.test), &train)?;
        let draws = self.draws.draws(&train)?;
        let rows = self.draws.labelled(&draws);
        let classes: Vec<u32> = train.labels().iter().map(|class| *class as u32).collect();
        let examples = Examples {
            store: &store,
            classes: &classes,
            n_classes: train.n_classes(),
            rows: &rows,
            validation: draws.validation(),
        };
        let device = device::open(ctx)?;
        let found = self.search(ctx, &examples, &device)?;
        supervised::write_table(&found.trials, &ctx.out.join(supervised::TABLE))?;
        let mut task = ctx.task("training the best again", "trials");
        let mut observe = || task.observe(0, 1);
        let best = self.search.train_again(&examples, found.best, &device, &mut observe)?;
        drop(task);
        best.network.save(&ctx.out.join(supervised::FILE))?;
        let chosen = found.trials[found.best as usize].trained();
        if chosen.is_some_and(|chosen| chosen.validation.error_rate != best.validation.error_rate) {
            ctx.progress().warn("the chosen trial, trained again, has another validation error: trained on another machine or a GPU");
        }
        let confusion = test.measure(&best)?.named(train.class_names());
        let measured = Measured {
            found: &found,
            best: &best,
            confusion,
            n_labels: rows.len(),
            chance: test.chance(&examples),
        };

        ctx.write_json("draws.json", &json!({"labelled": rows, "validation": draws.validation()}))?;
        let data = data_name(&folder)?;
        let name = data.clone().unwrap_or_else(|| "pictures made elsewhere".to_owned());
        let sizes = (store.len(), test.classes.len());
        let counts = format!("{} training and {} test pictures", grouped(sizes.0), grouped(sizes.1));
        let data_line = format!("{name}, {counts} of {} classes", train.n_classes());
        let per_class = self.draws.n_per_class;
        let entry = measured.entry(&self.search, per_class, &examples, sizes.1, data_line);
        ctx.write_json(Entry::FILE, &entry)?;
        ctx.write_json("search.json", &measured.details())?;
        let mut differences = compare_data(data.as_deref(), SVHN);
        differences.join(crate::compare_sets(sizes, SVHN_SIZES, train.n_classes()));
        differences.join(self.network());
        Ok(Outcome { metrics: measured.metrics(), differences })
    }
}

/// The test set, in the training set's classes.
struct Test {
    store: ImageStore,
    classes: Vec<usize>,
}

impl Test {
    fn open(folder: &Path, train: &FeatureSet) -> anyhow::Result<Self> {
        let store = ImageStore::open(folder)?;
        let classes = labels_of(&store, folder)?.in_classes_of(train)?.labels().to_vec();
        Ok(Self { store, classes })
    }

    fn measure(&self, best: &Fitted) -> anyhow::Result<Confusion> {
        let mut confusion = Confusion::new(best.network.n_classes());
        let predicted = best.network.predict(&self.store)?;
        self.classes.iter().zip(predicted).for_each(|(class, found)| confusion.add(*class, found as usize));
        Ok(confusion)
    }

    /// The error of taking every picture for the class that is commonest among the validation pictures.
    fn chance(&self, examples: &Examples<'_>) -> f64 {
        let mut counts = vec![0; examples.n_classes];
        examples.validation.iter().for_each(|&row| counts[examples.classes[row as usize] as usize] += 1);
        let most = counts.iter().max().copied().unwrap_or_default();
        let commonest = counts.iter().position(|n: &usize| *n == most).unwrap_or_default();
        let n_right = self.classes.iter().filter(|class| **class == commonest).count();
        1.0 - n_right as f64 / self.classes.len() as f64
    }
}

impl SupervisedSearch {
    fn search(
        &self,
        ctx: &Context<'_>,
        examples: &Examples<'_>,
        device: &dcgan_nn::device::Device,
    ) -> anyhow::Result<Found> {
        let mut task = ctx.task("searching", "trials");
        let mut n_seen = 0;
        let mut observe = |trials: &[Trial], n_trials: u64| -> ControlFlow<()> {
            if trials.len() > n_seen {
                n_seen = trials.len();
                let errors = trials.iter().filter_map(|trial| Some(trial.trained()?.validation.error_rate));
                if let Some(lowest) = errors.min_by(f64::total_cmp) {
                    task.describe(format_args!("searching, lowest validation error {:.2} %", 100.0 * lowest));
                }
            }
            task.observe(trials.len() as u64, n_trials)
        };
        Ok(search(examples, &self.search, &ctx.out.join(supervised::FOLDER), device, &mut observe)?)
    }

    /// Compares the network with the one of Table 2.
    fn network(&self) -> Comparison {
        let mut comparison = Comparison::of_settings();
        match self.search.architecture {
            ArchitectureName::Svhn32 => comparison.equal.push("architecture svhn32".to_owned()),
            other => comparison.differences.push(format!("architecture {other}, not svhn32")),
        }
        comparison.not_checked.push(
            "how the paper's supervised network was trained is unstated but for the number of trials: optimiser, \
             regularisation and when it was stopped are chosen here"
                .to_owned(),
        );
        comparison
    }
}
