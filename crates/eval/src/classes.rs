//! Names of classes: `classes.json` beside `labels.npy`, a JSON list in the order of the labels.

use std::collections::HashSet;
use std::path::Path;

use dcgan_files::regular;

use crate::error::{EvalError, Result};

/// Labels must be below this: classes are counted against each other in a square matrix, of 800 MB for so many.
const MAX_CLASSES: usize = 10_000;

/// The label of a row, if it is one; `path` is for the error.
pub(crate) fn label(path: &Path, row: usize, found: i128) -> Result<usize> {
    match usize::try_from(found) {
        Ok(label) if label < MAX_CLASSES => Ok(label),
        _ => Err(EvalError::Label { path: path.into(), row, limit: MAX_CLASSES, found }),
    }
}

/// Name of the class names' file within the features' folder.
pub const CLASSES_FILE: &str = "classes.json";

/// Reads the names, where the file is there.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<String>>> {
    if !path.exists() {
        return Ok(None);
    }
    let text = regular::read_to_string(path)?;
    let names: std::result::Result<Vec<String>, _> = serde_json::from_str(&text);
    let names = names.map_err(|error| EvalError::Classes {
        path: path.into(),
        expected: "a JSON list of class names".into(),
        found: error.to_string(),
    })?;
    Ok(Some(names))
}

/// Checks that every name is there once, and that all labels below `n_classes` have one. `path` is for the error.
pub(crate) fn check(names: &[String], n_classes: usize, path: &Path) -> Result<()> {
    let wrong =
        |expected: String, found: String| Err(EvalError::Classes { path: path.into(), expected, found });
    let mut seen = HashSet::new();
    if let Some(name) = names.iter().find(|name| !seen.insert(*name)) {
        return wrong("each class name once".into(), format!("`{name}` again"));
    }
    if names.len() < n_classes {
        return wrong(
            format!("a class name for each of the labels 0 to {}", n_classes - 1),
            names.len().to_string(),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_beyond_any_number_of_classes_are_refused() {
        let path = Path::new("labels.npy");
        assert_eq!(label(path, 3, 9_999).unwrap(), 9_999);
        for found in [10_000, 4_000_000_000, -1] {
            let message = label(path, 3, found).unwrap_err().to_string();
            assert_eq!(message, format!("labels.npy: row 3: expected a label in 0..10000, found {found}"));
        }
    }

    #[test]
    fn names_must_be_different_and_enough() {
        let message = |names: [&str; 3], n: usize| {
            let names: Vec<String> = names[..n].iter().map(|name| (*name).to_owned()).collect();
            check(&names, 3, Path::new("classes.json")).unwrap_err().to_string()
        };
        assert!(message(["a", "b", "a"], 3).ends_with("expected each class name once, found `a` again"));
        assert!(message(["a", "b", ""], 2).ends_with("a class name for each of the labels 0 to 2, found 2"));
    }
}
