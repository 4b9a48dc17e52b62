//! The stage kinds: one thin adapter a file, from configuration to library call.

use std::fmt;
use std::path::{Path, PathBuf};

use dcgan_images::Source;
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::known::{Known, KnownOf};
pub use crate::outside::{External, Form};
use crate::stages::info::KindInfo;
use crate::stages::paper::{Comparison, Count};

mod arithmetic;
mod cifar10_protocol;
mod crop_faces;
mod data_source;
mod dedup_eval;
mod drawing;
mod extract_features;
mod fetch;
mod fit_svm;
mod forget;
mod group_duplicates;
mod guided_backprop;
mod hash_images;
mod import_images;
mod import_weights;
pub mod info;
mod lineage;
pub mod paper;
mod published;
mod remove_duplicates;
mod report;
mod sample;
mod seen;
mod svhn_protocol;
mod synthesize;
mod train_autoencoder;
mod train_classifier;
mod train_gan;
mod turn;
mod walk;

/// What a stage's folder holds, as far as other stages can use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Artifact {
    /// A data set in its original distribution's layout.
    Dataset,
    /// An image store: `images.npy`, `index.parquet`, `meta.json`.
    Images,
    /// `generator.safetensors`.
    Generator,
    /// `discriminator.safetensors`.
    Discriminator,
    /// `autoencoder.safetensors`.
    Autoencoder,
    /// `classifier.safetensors`.
    Classifier,
    /// `codes.parquet`, `pictures.npy` and the `autoencoder.safetensors` they come from.
    Codes,
    /// `groups.parquet`.
    Groups,
    /// `features.npy` and `labels.npy`.
    Features,
    /// `result.json`, a row of one of the paper's tables or a figure of our own.
    Result,
    /// `samples.png` and `z.npy`.
    Samples,
    /// `figures.json` and the pictures it lists.
    Figures,
    /// `report.md`, `report.json` and `report.html`.
    Report,
}

impl Artifact {
    /// Files by which a folder that holds it is known, where no stage may have made it.
    pub(crate) fn files(self) -> &'static [&'static str] {
        match self {
            Self::Dataset | Self::Result | Self::Figures | Self::Report => &[],
            Self::Images => &["images.npy", "meta.json"],
            Self::Generator => &["generator.safetensors"],
            Self::Discriminator => &["discriminator.safetensors"],
            Self::Autoencoder => &["autoencoder.safetensors"],
            Self::Classifier => &["classifier.safetensors"],
            Self::Codes => &["codes.parquet"],
            Self::Groups => &["groups.parquet"],
            Self::Features => &["features.npy", "labels.npy"],
            Self::Samples => &["samples.png", "z.npy"],
        }
    }
}

impl fmt::Display for Artifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dataset => "a data set",
            Self::Images => "images",
            Self::Generator => "a generator",
            Self::Discriminator => "a discriminator",
            Self::Autoencoder => "an autoencoder",
            Self::Classifier => "a classifier",
            Self::Codes => "codes",
            Self::Groups => "groups of near-duplicates",
            Self::Features => "features",
            Self::Result => "a result",
            Self::Samples => "samples",
            Self::Figures => "figures",
            Self::Report => "a report",
        })
    }
}

/// An input: in a manifest another stage's id or the path of a finished one's folder, for a stage run alone such a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Input(String);

impl Input {
    /// The id or path as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True for a path. A path has a separator, which an id has not; a manifest's reader puts `./` before a bare name.
    pub fn is_path(&self) -> bool {
        self.0.contains(std::path::is_separator)
    }

    /// The input read as a path.
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }

    /// The folder it names. `run` is the folder in which the folders of ids lie; without one, all inputs are paths.
    pub fn folder(&self, run: Option<&Path>) -> PathBuf {
        match run {
            Some(run) if !self.is_path() => run.join(&self.0),
            _ => self.as_path().to_owned(),
        }
    }
}

/// An input as the checks and the runner see it.
#[derive(Debug, Clone)]
pub struct InputRef<'a> {
    /// Dotted key it is written at.
    pub key: &'static str,
    /// The id or path.
    pub name: &'a Input,
    /// What its folder must hold.
    pub needs: Artifact,
}

/// A value out of range.
#[derive(Debug, Clone)]
pub struct ConfigProblem {
    /// Dotted key.
    pub key: String,
    /// What was expected and found.
    pub message: String,
}

impl ConfigProblem {
    /// The problem of a library's `validate()`, if it found one.
    pub(crate) fn of<E: fmt::Display>(key: &str, checked: Result<impl Sized, E>) -> Vec<Self> {
        let problem = |error: E| Self { key: key.to_owned(), message: error.to_string() };
        checked.err().map(problem).into_iter().collect()
    }
}

/// What a stage that ran says of itself; its files are in its folder.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Figures for `stage.json` and the summary.
    pub metrics: serde_json::Value,
    /// How what the stage read and found compares with the paper; its settings are compared by the runner.
    pub differences: Comparison,
}

/// What only a person can give a stage: samples picked by eye. Without them the stage waits, and a plain run leaves it out.
#[derive(Debug, Clone, Copy)]
pub struct Picks<'a> {
    /// The stage with the samples, on whose page they are picked.
    pub samples: &'a Input,
    /// What is to be picked, such as "three samples of each concept".
    pub what: &'static str,
    /// The keys that take their numbers.
    pub keys: &'static [&'static str],
}

impl Picks<'_> {
    /// Asks for them: `page` is the page's path; `command` what is then to be run, with the keys put behind `before`.
    pub(crate) fn ask(&self, page: &Path, command: &str, before: &str) -> String {
        let keys: Vec<String> = self.keys.iter().map(|key| format!(" {before}{key}=[…]'")).collect();
        format!(
            "nobody has picked {}: open {} (which `sample` writes with `pages=true`), copy the lists, then {command}{}",
            self.what,
            page.display(),
            keys.concat()
        )
    }
}

/// One stage kind's adapter. Implemented by the kind's configuration.
pub trait Stage {
    /// Stages it reads from.
    fn inputs(&self) -> Vec<InputRef<'_>> {
        Vec::new()
    }

    /// What its folder holds when it is complete.
    fn yields(&self) -> Vec<Artifact>;

    /// Files and folders outside the pipeline that it reads; their content is fingerprinted.
    fn external_paths(&self) -> Vec<External> {
        Vec::new()
    }

    /// True for a stage that works in its folder itself, which it shares with what others put there: its files appear one by
    /// one, each whole, and nothing is removed. Else the folder is all the stage's own, and appears as a whole.
    fn shares_folder(&self) -> bool {
        false
    }

    /// Of a folder that is shared, the files that are the stage's.
    ///
    /// # Errors
    /// Where that cannot be told.
    fn own_files(&self, _folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }

    /// The data set it reads, if it reads one from outside the pipeline or from `from`.
    fn source(&self) -> Option<&Source> {
        None
    }

    /// Values out of range.
    fn problems(&self) -> Vec<ConfigProblem> {
        Vec::new()
    }

    /// What is known of its result before it runs, by what is known of its inputs.
    fn known(&self, _of: &KnownOf<'_>) -> Known {
        Known::default()
    }

    /// What cannot fit, by what is known of its inputs.
    fn misfits(&self, _of: &KnownOf<'_>) -> Vec<ConfigProblem> {
        Vec::new()
    }

    /// What a person has to give before it can run, and has not given.
    fn waits_for(&self) -> Option<Picks<'_>> {
        None
    }

    /// The seed of everything random in it.
    fn seed(&self) -> Option<u64> {
        None
    }

    /// How many bytes it will write at least, where that is known before it starts and may be much.
    ///
    /// # Errors
    /// If what it reads cannot be read.
    fn bytes_needed(&self, _ctx: &Context<'_>) -> anyhow::Result<Option<u64>> {
        Ok(None)
    }

    /// Dotted keys that do not decide whether what an interrupted run left serves to go on: how long the stage runs, and what
    /// it writes by the way.
    fn free_keys(&self) -> Vec<String> {
        Vec::new()
    }

    /// How far what lies in a folder of the stage's got, in minibatches of at most `end`; 0 for a stage that is not told so.
    fn reached(&self, _folder: &Path, _end: u64) -> u64 {
        0
    }

    /// At which minibatch it ends at the latest, as far as its settings alone tell.
    fn end(&self) -> u64 {
        u64::MAX
    }

    /// The settings in use, where the configuration leaves some to be resolved; none: as configured.
    ///
    /// # Errors
    /// If a setting is out of range.
    fn settings(&self) -> anyhow::Result<Option<serde_json::Value>> {
        Ok(None)
    }

    /// The paper's values of the keys for which they depend on other settings.
    ///
    /// # Errors
    /// If a setting is out of range.
    fn papers(&self) -> anyhow::Result<serde_json::Value> {
        Ok(serde_json::Value::Null)
    }

    /// Does the work; files go to `ctx.out`.
    ///
    /// # Errors
    /// Whatever the libraries report, and their `Interrupted` when `ctx` was interrupted.
    fn run(&self, ctx: &Context<'_>) -> anyhow::Result<Outcome>;
}

/// The configuration of a stage: in a manifest, the one table beside `id`, named after the kind.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageConfig {
    /// A synthetic data set.
    Synthesize(synthesize::Synthesize),
    /// The public data sets, from the network.
    Fetch(fetch::Fetch),
    /// A data set into an image store.
    ImportImages(import_images::ImportImages),
    /// The faces of photos into an image store.
    CropFaces(crop_faces::CropFaces),
    /// Training the autoencoder of the semantic hash.
    TrainAutoencoder(train_autoencoder::TrainAutoencoder),
    /// Codes of pictures.
    HashImages(hash_images::HashImages),
    /// Groups of near-duplicates.
    GroupDuplicates(group_duplicates::GroupDuplicates),
    /// A set without its near-duplicates.
    RemoveDuplicates(remove_duplicates::RemoveDuplicates),
    /// How many near-duplicates are found.
    DedupEval(dedup_eval::DedupEval),
    /// Training a generator and a discriminator.
    TrainGan(train_gan::TrainGan),
    /// Training a discriminator with labels.
    TrainClassifier(train_classifier::TrainClassifier),
    /// The weights the paper's authors released.
    ImportWeights(import_weights::ImportWeights),
    /// A generator's pictures.
    Sample(sample::Sample),
    /// A walk through z.
    Walk(walk::Walk),
    /// Arithmetic on z.
    Arithmetic(arithmetic::Arithmetic),
    /// A turn vector.
    Turn(turn::Turn),
    /// What a discriminator's features see.
    GuidedBackprop(guided_backprop::GuidedBackprop),
    /// Samples without an object.
    Forget(forget::Forget),
    /// Features of pictures.
    ExtractFeatures(extract_features::ExtractFeatures),
    /// One linear support vector machine.
    FitSvm(fit_svm::FitSvm),
    /// Table 2.
    SvhnProtocol(svhn_protocol::SvhnStage),
    /// Table 1.
    Cifar10Protocol(cifar10_protocol::Cifar10Stage),
    /// The report.
    Report(report::ReportStage),
}

impl StageConfig {
    /// The adapter.
    pub fn stage(&self) -> &dyn Stage {
        match self {
            Self::Synthesize(stage) => stage,
            Self::Fetch(stage) => stage,
            Self::ImportImages(stage) => stage,
            Self::CropFaces(stage) => stage,
            Self::TrainAutoencoder(stage) => stage,
            Self::HashImages(stage) => stage,
            Self::GroupDuplicates(stage) => stage,
            Self::RemoveDuplicates(stage) => stage,
            Self::DedupEval(stage) => stage,
            Self::TrainGan(stage) => stage,
            Self::TrainClassifier(stage) => stage,
            Self::ImportWeights(stage) => stage,
            Self::Sample(stage) => stage,
            Self::Walk(stage) => stage,
            Self::Arithmetic(stage) => stage,
            Self::Turn(stage) => stage,
            Self::GuidedBackprop(stage) => stage,
            Self::Forget(stage) => stage,
            Self::ExtractFeatures(stage) => stage,
            Self::FitSvm(stage) => stage,
            Self::SvhnProtocol(stage) => stage,
            Self::Cifar10Protocol(stage) => stage,
            Self::Report(stage) => stage,
        }
    }

    /// Takes stages out of the lists of those that it reads, where it can do without.
    pub(crate) fn leave_out(&mut self, ids: &[String]) {
        if let Self::Report(report) = self {
            report.leave_out(ids);
        }
    }

    /// The kind.
    pub fn info(&self) -> &'static KindInfo {
        match self {
            Self::Synthesize(_) => &synthesize::INFO,
            Self::Fetch(_) => &fetch::INFO,
            Self::ImportImages(_) => &import_images::INFO,
            Self::CropFaces(_) => &crop_faces::INFO,
            Self::TrainAutoencoder(_) => &train_autoencoder::INFO,
            Self::HashImages(_) => &hash_images::INFO,
            Self::GroupDuplicates(_) => &group_duplicates::INFO,
            Self::RemoveDuplicates(_) => &remove_duplicates::INFO,
            Self::DedupEval(_) => &dedup_eval::INFO,
            Self::TrainGan(_) => &train_gan::INFO,
            Self::TrainClassifier(_) => &train_classifier::INFO,
            Self::ImportWeights(_) => &import_weights::INFO,
            Self::Sample(_) => &sample::INFO,
            Self::Walk(_) => &walk::INFO,
            Self::Arithmetic(_) => &arithmetic::INFO,
            Self::Turn(_) => &turn::INFO,
            Self::GuidedBackprop(_) => &guided_backprop::INFO,
            Self::Forget(_) => &forget::INFO,
            Self::ExtractFeatures(_) => &extract_features::INFO,
            Self::FitSvm(_) => &fit_svm::INFO,
            Self::SvhnProtocol(_) => &svhn_protocol::INFO,
            Self::Cifar10Protocol(_) => &cifar10_protocol::INFO,
            Self::Report(_) => &report::INFO,
        }
    }
}

/// The names of all kinds, in the order in which a pipeline uses them.
pub fn kind_names() -> impl Iterator<Item = &'static str> {
    info::KINDS.iter().map(|info| info.name)
}

/// The inputs of what is trained on one set of features and measured on another.
fn train_and_test<'a>(train: &'a Input, test: &'a Input) -> Vec<InputRef<'a>> {
    vec![
        InputRef { key: "train", name: train, needs: Artifact::Features },
        InputRef { key: "test", name: test, needs: Artifact::Features },
    ]
}

/// Refuses to measure on what was trained on.
fn same_set(train: &Input, test: &Input) -> Option<ConfigProblem> {
    let message = "expected other features than `train`'s: a test set only measures".to_owned();
    (train == test).then(|| ConfigProblem { key: "test".to_owned(), message })
}

/// Compares the sizes of (training, test) sets and the number of classes with the full sets' and their 10 classes.
fn compare_sets(ours: (usize, usize), full: (usize, usize), n_classes: usize) -> Comparison {
    let mut comparison = Comparison::of_settings();
    comparison.count("pictures in the training set", ours.0, Count::Exactly(full.0));
    comparison.count("pictures in the test set", ours.1, Count::Exactly(full.1));
    comparison.count("classes", n_classes, Count::Exactly(10));
    comparison
}
