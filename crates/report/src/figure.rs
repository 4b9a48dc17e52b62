//! What a stage that draws hands to the report.

use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// One picture, as `figures.json` in the stage's folder lists them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// PNG or JPEG in the stage's folder.
    pub file: String,
    /// Its heading.
    pub title: String,
    /// What is seen and how it came about.
    pub caption: String,
    /// A text for readers who cannot see it.
    pub alt: String,
}

impl Figure {
    /// Name of the list in the stage's folder.
    pub const FILE: &str = "figures.json";

    /// The list in a stage's folder.
    ///
    /// # Errors
    /// If it cannot be read, or is not such a list.
    pub fn read_all(folder: &Path) -> anyhow::Result<Vec<Self>> {
        let path = folder.join(Self::FILE);
        let bytes = fs_err::read(&path)?;
        serde_json::from_slice(&bytes)
            .with_context(|| format!("{}: expected a list of figures", path.display()))
    }
}
