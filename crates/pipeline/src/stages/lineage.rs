//! Where features come from: what tables need to know of the stages before a result.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::inputs::upstream;
use crate::record::Record;

/// Name of the file in which `extract_features` says what its features are.
pub(super) const DESCRIPTION: &str = "features.json";

/// What features are, as far as tables tell it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Description {
    /// For people, such as "discriminator features".
    pub(super) name: String,
    /// Features a picture.
    pub(super) n_features: usize,
    /// Units of the widest layer, which Table 1 lists; none for raw pixels.
    pub(super) max_units: Option<usize>,
    /// True if they come from a discriminator with random weights.
    pub(super) is_untrained: bool,
}

/// The discriminator that features were made with.
#[derive(Debug, Clone, Default)]
pub(super) struct Lineage {
    /// The architecture's name; none where there is no discriminator.
    architecture: Option<String>,
    /// The data set it was trained on, where that is known.
    trained_on: Option<String>,
    /// The features' own description; none for features of other making.
    pub(super) description: Option<Description>,
}

/// Looks through the records of a feature stage and of the stages before it.
pub(super) fn of_features(folder: PathBuf) -> anyhow::Result<Lineage> {
    let mut lineage = Lineage::default();
    if let Ok(bytes) = fs_err::read(folder.join(DESCRIPTION)) {
        lineage.description = serde_json::from_slice(&bytes).ok();
    }
    for (_, record) in upstream(&[folder])? {
        let text = |key: &str| record.metrics.get(key).and_then(Value::as_str).map(str::to_owned);
        if matches!(record.kind.as_str(), "train_gan" | "import_weights") {
            lineage.architecture = text("architecture");
            lineage.trained_on = text("trained_on");
        }
    }
    Ok(lineage)
}

/// Refuses features of a training and a test set that were not made alike: by another discriminator, or with batch-norm
/// statistics of other pictures. Features that no stage of ours made are taken as they are.
pub(super) fn check_same_making(train: &Path, test: &Path) -> anyhow::Result<()> {
    let (Some(ours), Some(theirs)) = (Record::read(train)?, Record::read(test)?) else { return Ok(()) };
    let input = |record: &Record, key: &str| {
        let found = record.inputs.iter().find(|input| input.key == key);
        found.map(|input| (input.name.clone(), input.fingerprint.clone()))
    };
    for key in ["model", "statistics"] {
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
    Ok(())
}

/// The data set behind an image store, as the records before it tell.
pub(super) fn data_name(images: &Path) -> anyhow::Result<Option<String>> {
    let records = upstream(&[images.to_owned()])?;
    let kind_of = |kind: &str| records.iter().find(|(_, record)| record.kind == kind);
    // The one key of an externally tagged enum.
    let tag =
        |value: Option<&Value>| value.and_then(Value::as_object).and_then(|map| map.keys().next().cloned());
    if let Some((_, made)) = kind_of("synthesize") {
        return Ok(tag(made.config.get("synthesize")).map(|set| format!("synthetic {set}")));
    }
    let source =
        kind_of("import_images").and_then(|(_, import)| tag(import.config.pointer("/import_images/source")));
    Ok(source.map(|source| {
        match source.as_str() {
            "cifar10" => "CIFAR-10",
            "svhn" => "SVHN",
            "mnist" => "MNIST",
            "imagenet_tar" | "imagenet_folder" => IMAGENET,
            "lsun" => "LSUN",
            _ => "a folder of pictures",
        }
        .to_owned()
    }))
}

/// The name of SVHN as [`data_name`] gives it.
pub(super) const SVHN: &str = "SVHN";
/// The name of ImageNet-1k as [`data_name`] gives it.
pub(super) const IMAGENET: &str = "ImageNet-1k";

impl Lineage {
    /// The name of a row in a table.
    pub(super) fn method(&self, classifier: &str) -> String {
        let features = match &self.description {
            Some(description) => description.name.as_str(),
            None => "features",
        };
        format!("{features} + {classifier}, this run")
    }

    /// What the discriminator is, as a fact beside a row.
    pub(super) fn facts(&self) -> Vec<String> {
        let Some(architecture) = &self.architecture else { return Vec::new() };
        let is_untrained = self.description.as_ref().is_some_and(|description| description.is_untrained);
        vec![match &self.trained_on {
            _ if is_untrained => format!("discriminator {architecture}, untrained"),
            Some(data) => format!("discriminator {architecture} trained on {data}"),
            None => format!("discriminator {architecture}"),
        }]
    }

    /// In what the discriminator departs from the one the paper used for a table.
    pub(super) fn differences(&self, architecture: &str, data: &str) -> Vec<String> {
        let Some(ours) = &self.architecture else {
            return vec!["no discriminator: features of another kind than the paper's".to_owned()];
        };
        let mut differences = Vec::new();
        if ours != architecture {
            differences.push(format!("discriminator of architecture {ours}, not {architecture}"));
        }
        let is_untrained = self.description.as_ref().is_some_and(|description| description.is_untrained);
        match &self.trained_on {
            _ if is_untrained => differences.push("the discriminator is untrained".to_owned()),
            Some(trained_on) if trained_on != data => {
                differences.push(format!("discriminator trained on {trained_on}, not on {data}"));
            }
            Some(_) => {}
            None => differences.push("it is not known what the discriminator was trained on".to_owned()),
        }
        differences
    }
}

/// "`key` ours, not theirs" for each of a stage's settings that the paper states and that is another.
pub(super) fn changed_settings(
    ours: &impl Serialize,
    papers: &impl Serialize,
    stated: &[&str],
) -> anyhow::Result<Vec<String>> {
    let (ours, papers) = (serde_json::to_value(ours)?, serde_json::to_value(papers)?);
    let changed = stated.iter().filter(|key| ours.get(**key) != papers.get(**key));
    let show = |settings: &Value, key: &str| settings.get(key).map(Value::to_string).unwrap_or_default();
    Ok(changed.map(|key| format!("{key} {}, not {}", show(&ours, key), show(&papers, key))).collect())
}
