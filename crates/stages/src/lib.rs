//! The stages: one file a kind, a thin adapter from its configuration to a library call, and a line in [`KINDS`].
//!
//! Keys, types, defaults, ranges and help come from the configuration's type alone: serde's defaults, doc comments, `schemars`.
//! What several kinds share: [`artifact`] (what a stage's folder can hold), `data_source` (the keys `from` and `source`), `drawing`
//! (figures of a generator), `lineage` and `seen` (where data and networks come from), `published` (the paper's numbers).
//!
//! ```
//! use dcgan_engine::manifest::Manifest;
//!
//! let text = r#"
//! name = "demo"
//! [[stage]]
//! id = "shapes"
//! [stage.synthesize.shapes]
//! n_trian = 100
//! "#;
//! let kinds = &dcgan_stages::KINDS;
//! let error = Manifest::parse("demo.toml".as_ref(), text.to_owned(), &[], kinds).unwrap_err();
//! let message = error.to_string();
//! assert!(message.starts_with("demo.toml:6: stage `shapes`, key `shapes.n_trian`: unknown key `n_trian`"));
//! assert!(message.contains("did you mean `n_train`?"));
//! ```

pub mod bench;
pub mod bench_baselines;
pub mod device;
mod digits;
pub mod graph;
pub mod init;

mod arithmetic;
pub mod artifact;
mod cifar10_protocol;
mod crop_faces;
mod data_source;
mod dedup_eval;
mod drawing;
mod export_images;
mod export_networks;
mod extract_features;
mod feature_blocks;
mod feature_maker;
mod features_to_csv;
mod fetch;
mod fit_svm;
mod forget;
mod found_so_far;
mod gather;
mod group_duplicates;
mod guided_backprop;
mod hash_images;
mod import_images;
mod import_weights;
mod kmeans_features;
mod known;
mod lineage;
mod memorisation;
mod merge;
mod mnist_protocol;
mod nearest_neighbours;
mod own_pictures;
pub mod pages;
mod published;
mod remote;
mod remove_duplicates;
mod report;
mod sample;
mod sample_metrics;
mod seen;
mod supervised_search;
mod svhn_protocol;
mod synthesize;
mod train_autoencoder;
mod train_classifier;
pub mod train_gan;
mod train_kmeans;
mod turn;
mod walk;

use std::path::Path;

use dcgan_engine::context::Context;
use dcgan_engine::kind::Registry;
use dcgan_engine::paper::{Comparison, Count};
use dcgan_engine::record::Record;
use dcgan_engine::stage::{ConfigProblem, FactsOf, Input, InputRef};
use dcgan_eval::FeatureSet;

/// The kind whose stages put results together, for those who show them.
pub const REPORT: &str = "report";

/// All kinds, in the order in which a pipeline uses them.
pub static KINDS: Registry = Registry {
    kinds: &[
        &synthesize::KIND,
        &fetch::KIND,
        &import_images::KIND,
        &export_images::KIND,
        &crop_faces::KIND,
        &train_autoencoder::KIND,
        &hash_images::KIND,
        &merge::KIND,
        &group_duplicates::KIND,
        &remove_duplicates::KIND,
        &dedup_eval::KIND,
        &train_gan::KIND,
        &train_kmeans::KIND,
        &train_classifier::KIND,
        &import_weights::KIND,
        &sample::KIND,
        &export_networks::KIND,
        &sample_metrics::KIND,
        &memorisation::KIND,
        &walk::KIND,
        &arithmetic::KIND,
        &turn::KIND,
        &guided_backprop::KIND,
        &forget::KIND,
        &extract_features::KIND,
        &features_to_csv::KIND,
        &fit_svm::KIND,
        &svhn_protocol::KIND,
        &nearest_neighbours::KIND,
        &cifar10_protocol::KIND,
        &supervised_search::KIND,
        &mnist_protocol::KIND,
        &report::KIND,
    ],
    facts: known::facts_of_folder,
};

/// The inputs of what is trained on one set of features and measured on another.
fn train_and_test<'a>(train: &'a Input, test: &'a Input) -> Vec<InputRef<'a>> {
    vec![
        InputRef { key: "train", name: train, needs: artifact::FEATURES },
        InputRef { key: "test", name: test, needs: artifact::FEATURES },
    ]
}

/// Features with labels; says so where its numbers are rounded.
fn labelled_features(ctx: &Context<'_>, input: &Input) -> anyhow::Result<FeatureSet> {
    let set = FeatureSet::open(&ctx.input(input))?;
    set.rounded().iter().for_each(|rounded| ctx.progress().warn(rounded));
    Ok(set)
}

/// Refuses to measure on what was trained on.
fn same_set(train: &Input, test: &Input) -> Option<ConfigProblem> {
    let message = "expected another set than `train`: a test set only measures".to_owned();
    (train == test).then(|| ConfigProblem { key: "test".to_owned(), message })
}

/// Refuses pictures or features without labels where labels are learned from and measured by.
fn without_labels(train: (&str, &Input), test: (&str, &Input), of: &FactsOf<'_>) -> Vec<ConfigProblem> {
    let wrong = |(key, set): (&str, &Input)| known::unlabelled(key, known::known(of, set));
    [train, test].into_iter().filter_map(wrong).collect()
}

/// True of a set and itself under another name, or a copy of it with its record.
fn is_same_set(one: &Path, other: &Path) -> anyhow::Result<bool> {
    let content = |folder: &Path| anyhow::Ok(Record::read(folder)?.map(|record| record.fingerprint()));
    let is_copy = content(one)?.is_some_and(|ours| content(other).is_ok_and(|theirs| theirs == Some(ours)));
    Ok(is_copy || fs_err::canonicalize(one)? == fs_err::canonicalize(other)?)
}

/// Refuses a test set that is the training set under another name, or a copy of it.
fn check_other_set(train: &Path, test: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(
        !is_same_set(train, test)?,
        "expected another set to measure on than what was learned from, found the same in {} and {}",
        train.display(),
        test.display()
    );
    Ok(())
}

/// Compares the sizes of (training, test) sets and the number of classes with the full sets' and their 10 classes.
fn compare_sets(ours: (usize, usize), full: (usize, usize), n_classes: usize) -> Comparison {
    let mut comparison = Comparison::of_settings();
    comparison.count("pictures in the training set", ours.0, Count::Exactly(full.0));
    comparison.count("pictures in the test set", ours.1, Count::Exactly(full.1));
    comparison.count("classes", n_classes, Count::Exactly(10));
    comparison
}
