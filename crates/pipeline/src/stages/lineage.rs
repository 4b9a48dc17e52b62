//! Where features come from: what the protocols need to know of the stages before them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::inputs::upstream;

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
}

/// The discriminator that features were made with.
#[derive(Debug, Clone, Default)]
pub(super) struct Lineage {
    /// The architecture's name.
    pub(super) architecture: Option<String>,
    /// What it was trained on, as its image store says.
    pub(super) trained_on: Option<String>,
    /// True if it was never trained.
    pub(super) is_untrained: bool,
    /// The features' own description.
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
            lineage.is_untrained = record.metrics.get("n_updates").and_then(Value::as_u64) == Some(0);
        }
    }
    Ok(lineage)
}

impl Lineage {
    /// The name of a row in a table.
    pub(super) fn method(&self, classifier: &str) -> String {
        let features = match (&self.description, self.is_untrained) {
            (Some(description), true) => format!("{} (untrained)", description.name),
            (Some(description), false) => description.name.clone(),
            (None, _) => "features".to_owned(),
        };
        format!("{features} + {classifier}, this run")
    }

    /// In what the discriminator departs from the one the paper used for a table.
    pub(super) fn differences(&self, architecture: &str, is_right_data: &dyn Fn(&str) -> bool, data: &str) -> Vec<String> {
        let mut differences = Vec::new();
        match &self.architecture {
            None => differences.push("no discriminator: other features than the paper's".to_owned()),
            Some(ours) if ours != architecture => {
                differences.push(format!("discriminator of architecture {ours}, not {architecture}"));
            }
            Some(_) => {}
        }
        if self.is_untrained {
            differences.push("the discriminator is untrained".to_owned());
        } else if let Some(trained_on) = &self.trained_on
            && !is_right_data(trained_on)
        {
            differences.push(format!("discriminator trained on {trained_on}, not on {data}"));
        }
        differences
    }
}

/// "`key` ours, not theirs" for each of a protocol's settings that the paper states and that is another.
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
