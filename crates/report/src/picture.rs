//! A picture of a report.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// A picture and the stage that made it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Picture {
    /// The stage.
    pub stage: String,
    /// Its heading.
    pub title: String,
    /// What is seen.
    pub caption: String,
    /// A text for readers who cannot see it.
    pub alt: String,
    /// Name of its copy in the report's folder.
    pub file: String,
    /// The original.
    #[serde(skip)]
    pub source: std::path::PathBuf,
}

/// Gives each picture a file of its own: stages of several runs may have one id.
pub fn name_apart(pictures: &mut [Picture]) {
    let mut taken = BTreeSet::new();
    for picture in pictures {
        let (name, ending) = picture.file.rsplit_once('.').unwrap_or((&picture.file, ""));
        let numbered = (2..).map(|n| format!("{name}-{n}.{ending}"));
        let free = std::iter::once(picture.file.clone()).chain(numbered).find(|file| !taken.contains(file));
        picture.file = free.unwrap_or_default();
        taken.insert(picture.file.clone());
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn pictures_of_stages_with_one_id_get_files_of_their_own() {
        let picture = |file: &str| Picture {
            stage: String::new(),
            title: String::new(),
            caption: String::new(),
            alt: String::new(),
            file: file.to_owned(),
            source: PathBuf::new(),
        };
        let mut pictures = ["a.png", "b.png", "a.png", "a-2.png", "a.png"].map(picture);
        name_apart(&mut pictures);
        let files = pictures.map(|picture| picture.file);
        assert_eq!(files, ["a.png", "b.png", "a-2.png", "a-2-2.png", "a-3.png"]);
    }
}
