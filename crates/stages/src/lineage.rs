//! Where features come from: what tables need to know of the stages before a result.

use std::path::{Path, PathBuf};

use dcgan_engine::inputs::upstream;
use dcgan_engine::paper::{Comparison, grouped};
use dcgan_engine::record::Record;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{KINDS, artifact};

/// Name of the file in which `extract_features` says what its features are.
pub(crate) const DESCRIPTION: &str = "features.json";

/// What features are, as far as tables tell it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Description {
    /// For people, such as "discriminator features".
    pub(crate) name: String,
    /// Features a picture.
    pub(crate) n_features: usize,
    /// Units of the widest layer, which Table 1 lists; none for raw pixels.
    pub(crate) max_units: Option<usize>,
    /// True if they come from a discriminator with random weights.
    pub(crate) is_untrained: bool,
    /// Which centroids they come from, for features by K-means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) centroids: Option<String>,
}

/// The discriminator that features were made with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lineage {
    /// The architecture's name; none where there is no discriminator.
    architecture: Option<String>,
    /// The data set it was trained on, where that is known.
    trained_on: Option<String>,
    /// The features' own description; none for features of other making.
    pub(crate) description: Option<Description>,
}

/// Looks through the records of a feature stage and of the stages before it.
pub(crate) fn of_features(folder: PathBuf) -> anyhow::Result<Lineage> {
    let mut lineage = Lineage::default();
    if let Ok(bytes) = fs_err::read(folder.join(DESCRIPTION)) {
        lineage.description = serde_json::from_slice(&bytes).ok();
    }
    for (_, record) in upstream(&[folder])? {
        let text = |key: &str| record.metrics.get(key).and_then(Value::as_str).map(str::to_owned);
        let yields = KINDS.recorded(&record.config).map(|config| config.stage().yields()).unwrap_or_default();
        if yields.contains(&artifact::GENERATOR) || yields.contains(&artifact::DISCRIMINATOR) {
            lineage.architecture = text("architecture");
            let begins_with_others = record.inputs.iter().any(|input| input.key == "from");
            lineage.trained_on = text("trained_on").filter(|_| !begins_with_others);
        }
    }
    Ok(lineage)
}

/// The kind of stage that puts parts together.
pub(crate) const MERGE: &str = "merge";

/// The record of the stage that made features, and its folder; of those that were put together, of the first part where it is still
/// there, as all parts are made alike.
pub(crate) fn made_by(features: &Path) -> anyhow::Result<Option<(PathBuf, Record)>> {
    let Some(record) = Record::read(features)? else { return Ok(None) };
    if record.kind != MERGE {
        return Ok(Some((features.to_owned(), record)));
    }
    let Some(part) = record.inputs.first().map(|part| features.join(&part.path)) else { return Ok(None) };
    Ok(Record::read(&part)?.map(|record| (part, record)))
}

/// Refuses features of a training and a test set that were not made alike: by another discriminator, trained or not, or with
/// batch-norm statistics of other pictures. Features that no stage of ours made are taken as they are.
pub(crate) fn check_same_making(train: &Path, test: &Path) -> anyhow::Result<()> {
    crate::check_other_set(train, test)?;
    let (Some((_, ours)), Some((of_test, theirs))) = (made_by(train)?, made_by(test)?) else { return Ok(()) };
    let input = |record: &Record, key: &str| {
        let found = record.inputs.iter().find(|input| input.key == key);
        found.map(|input| (input.name.clone(), input.fingerprint.clone()))
    };
    // The test set may name the training set's features, by whose statistics it is then normalised.
    let by_features = theirs.inputs.iter().any(|input| {
        let named = fs_err::canonicalize(of_test.join(&input.path));
        input.key == "statistics"
            && named.ok().zip(fs_err::canonicalize(train).ok()).is_some_and(|(a, b)| a == b)
    });
    for key in ["model", "statistics"].into_iter().filter(|key| *key == "model" || !by_features) {
        let (ours, theirs) = (input(&ours, key), input(&theirs, key));
        let name =
            |input: &Option<(String, String)>| input.as_ref().map_or("none", |(name, _)| name).to_owned();
        if ours.as_ref().map(|(_, content)| content) != theirs.as_ref().map(|(_, content)| content) {
            anyhow::bail!(
                "the features of the training and the test set were made with different `{key}`: expected `{}`, found `{}` in {}",
                name(&ours),
                name(&theirs),
                test.display()
            );
        }
    }
    let setting = |record: &Record, key: &str| record.config.get(&record.kind)?.get(key).cloned();
    let is_untrained = setting(&ours, "untrained") == Some(Value::Bool(true));
    let keys = ["untrained", "held_out", "seed"];
    let is_compared = |key: &str| (key != "seed" || is_untrained) && (key != "held_out" || !by_features);
    for key in keys.into_iter().filter(|key| is_compared(key)) {
        let (ours, theirs) = (setting(&ours, key), setting(&theirs, key));
        if ours != theirs {
            let text = |value: Option<Value>| value.map_or("nothing".to_owned(), |value| value.to_string());
            anyhow::bail!(
                "the features of the training and the test set were made with different `{key}`: expected {}, found {} in {}",
                text(ours),
                text(theirs),
                test.display()
            );
        }
    }
    Ok(())
}

/// The data set behind an image store, as the records before it tell.
pub(crate) fn data_name(images: &Path) -> anyhow::Result<Option<String>> {
    let records = upstream(&[images.to_owned()])?;
    // The nearest stage that brought data in; made-up data stay such, whatever is read out of them.
    let named = |(_, record): &(PathBuf, Record)| KINDS.recorded(&record.config)?.stage().data_name();
    let names: Vec<String> = records.iter().rev().filter_map(named).collect();
    Ok(names.iter().find(|name| name.starts_with(SYNTHETIC)).or(names.first()).cloned())
}

/// Compares the data set, as [`data_name`] gives it, with the paper's.
pub(crate) fn compare_data(ours: Option<&str>, papers: &str) -> Comparison {
    let mut comparison = Comparison::of_settings();
    match ours {
        Some(ours) if ours == papers => comparison.equal.push(format!("pictures of {papers}")),
        Some(ours) => comparison.differences.push(format!("pictures of {ours}, not of {papers}")),
        None => comparison
            .not_checked
            .push(format!("nothing tells of what the pictures are; the paper's are {papers}")),
    }
    comparison
}

/// The network that a stage trained or read, and its data.
pub(crate) fn of_generator(folder: PathBuf) -> anyhow::Result<Lineage> {
    of_features(folder)
}

/// The data set whose pictures features are of, as [`data_name`] gives it.
pub(crate) fn data_of(features: &Path) -> anyhow::Result<Option<String>> {
    let made_by = made_by(features)?;
    let images =
        made_by.iter().flat_map(|(folder, record)| record.inputs.iter().map(move |input| (folder, input)));
    match images.into_iter().find(|(_, input)| input.key == "images") {
        Some((folder, images)) => data_name(&folder.join(&images.path)),
        None => Ok(None),
    }
}

/// What features are of: the data set, and the counts of (training pictures, test pictures, classes).
pub(crate) fn data_of_features(folder: &Path, counts: (usize, usize, usize)) -> anyhow::Result<String> {
    let name = data_of(folder)?.unwrap_or_else(|| "features made elsewhere".to_owned());
    let (n_train, n_test, n_classes) = counts;
    let counts = format!("{} training and {} test pictures", grouped(n_train), grouped(n_test));
    Ok(format!("{name}, {counts} of {n_classes} classes"))
}

/// What the names of made-up data begin with.
pub(crate) const SYNTHETIC: &str = "synthetic";
/// The name of LSUN's bedrooms as [`data_name`] gives it.
pub(crate) const LSUN: &str = "LSUN";
/// The name of faces cut out of photos as [`data_name`] gives it.
pub(crate) const FACES: &str = "faces of photos";
/// The name of SVHN as [`data_name`] gives it.
pub(crate) const SVHN: &str = "SVHN";
/// Pictures of one's own.
pub(crate) const FOLDER: &str = "a folder of pictures";
/// The name of MNIST as [`data_name`] gives it.
pub(crate) const MNIST: &str = "MNIST";
/// The name of CIFAR-10 as [`data_name`] gives it.
pub(crate) const CIFAR10: &str = "CIFAR-10";
/// The name of ImageNet-1k as [`data_name`] gives it.
pub(crate) const IMAGENET: &str = "ImageNet-1k";

impl Lineage {
    /// The name of a row in a table.
    pub(crate) fn method(&self, classifier: &str) -> String {
        let features = match &self.description {
            Some(description) => description.name.as_str(),
            None => "features",
        };
        format!("{features} + {classifier}, this run")
    }

    fn centroids(&self) -> Option<&str> {
        self.description.as_ref()?.centroids.as_deref()
    }

    /// What the discriminator is, as a fact beside a row.
    pub(crate) fn facts(&self) -> Vec<String> {
        if let Some(centroids) = self.centroids() {
            return vec![centroids.to_owned()];
        }
        let Some(architecture) = &self.architecture else { return Vec::new() };
        let is_untrained = self.description.as_ref().is_some_and(|description| description.is_untrained);
        vec![match &self.trained_on {
            _ if is_untrained => format!("discriminator {architecture}, untrained"),
            Some(data) => format!("discriminator {architecture} trained on {data}"),
            None => format!("discriminator {architecture}"),
        }]
    }

    /// Compares the discriminator with the one the paper used for a table.
    pub(crate) fn differences(&self, architecture: &str, data: &str) -> Comparison {
        if self.centroids().is_some() {
            // The paper's row of K-means, whose settings are compared stage by stage.
            return Comparison::of_settings();
        }
        if self.architecture.is_none() {
            let text = "no discriminator: features of another kind than the paper's";
            return Comparison::found(vec![text.to_owned()]);
        }
        let is_untrained = self.description.as_ref().is_some_and(|description| description.is_untrained);
        self.network("discriminator", architecture, data, is_untrained)
    }

    /// Compares the network with the one that the paper drew its figure with, a `faces64`.
    pub(crate) fn drawn(&self, data: &str) -> Comparison {
        match self.architecture {
            None => Comparison::not_checked("nothing tells which network this is and on what it was trained"),
            Some(_) => self.network("network", "faces64", data, false),
        }
    }

    /// Compares the generator with the one that the paper measured.
    pub(crate) fn trained(&self, architecture: &str, data: &str) -> Comparison {
        match self.architecture {
            Some(_) => self.network("generator", architecture, data, false),
            None => Comparison::not_checked("nothing tells how the generator was trained"),
        }
    }

    fn network(&self, what: &str, architecture: &str, data: &str, is_untrained: bool) -> Comparison {
        let mut comparison = Comparison::of_settings();
        let ours = self.architecture.as_deref().unwrap_or_default();
        match ours == architecture {
            true => comparison.equal.push(format!("{what} of architecture {ours}")),
            false => {
                comparison.differences.push(format!("{what} of architecture {ours}, not {architecture}"));
            }
        }
        match &self.trained_on {
            _ if is_untrained => comparison.differences.push(format!("the {what} is untrained")),
            Some(ours) if ours == data => comparison.equal.push(format!("{what} trained on {data}")),
            Some(ours) => comparison.differences.push(format!("{what} trained on {ours}, not on {data}")),
            None => comparison.not_checked.push(format!("it is not known what the {what} was trained on")),
        }
        comparison
    }
}
