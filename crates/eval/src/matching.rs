//! Classes of a test set in the numbers of the training set.
//!
//! Labels are numbers that each set gives its classes in an order of its own: a folder without one of the classes numbers the
//! others anew. So where both sets have names, classes are matched by name.

use std::collections::{BTreeSet, HashMap};

use crate::error::{EvalError, Result};
use crate::features::FeatureSet;

impl FeatureSet {
    /// This set, to be measured with what is learned on `train`: its rows with the labels that `train` gives their classes. Where both
    /// sets name their classes, they are matched by name; else the numbers are taken as they are.
    ///
    /// # Errors
    /// [`EvalError::Unlike`] for another number of columns, [`EvalError::UnknownClass`] for a class of which `train` has no row,
    /// [`EvalError::OtherLabels`] where one of the sets has no names and the labels that occur are not the same.
    pub fn in_classes_of(&self, train: &Self) -> Result<Self> {
        if train.n_columns() != self.n_columns() {
            return Err(EvalError::Unlike {
                path: self.path().into(),
                reference: train.path().into(),
                expected: format!("{} columns", train.n_columns()),
                found: self.n_columns().to_string(),
            });
        }
        Ok(self.relabelled(matched(train, self)?, train))
    }
}

/// The labels of `test`, numbered as `train` numbers its classes: by name where both have names, else as they are.
///
/// # Errors
/// [`EvalError::UnknownClass`] for a class of `test` of which `train` has no row; [`EvalError::OtherLabels`] where one of them has
/// no names and the labels that occur are not the same.
fn matched(train: &FeatureSet, test: &FeatureSet) -> Result<Vec<usize>> {
    let counts = train.class_counts();
    let (Some(ours), Some(theirs)) = (train.class_names(), test.class_names()) else {
        let (expected, found) = (occurring(train), occurring(test));
        if expected == found {
            return Ok(test.labels().to_vec());
        }
        return Err(EvalError::OtherLabels {
            path: test.path().into(),
            reference: train.path().into(),
            expected: listed(&expected),
            found: listed(&found),
        });
    };
    let index_of: HashMap<&String, usize> = ours.iter().zip(0..).collect();
    let number = |label: &usize| {
        let name = &theirs[*label];
        index_of
            .get(name)
            .copied()
            .filter(|class| counts.get(*class).is_some_and(|n_rows| *n_rows > 0))
            .ok_or_else(|| EvalError::UnknownClass {
                path: test.path().into(),
                reference: train.path().into(),
                class: name.clone(),
                n_rows: test.labels().iter().filter(|other| *other == label).count(),
            })
    };
    let numbers: HashMap<usize, usize> =
        occurring(test).into_iter().map(|label| Ok((label, number(&label)?))).collect::<Result<_>>()?;
    Ok(test.labels().iter().map(|label| numbers[label]).collect())
}

fn occurring(set: &FeatureSet) -> BTreeSet<usize> {
    set.labels().iter().copied().collect()
}

fn listed(labels: &BTreeSet<usize>) -> String {
    /// Labels in a message.
    const MOST: usize = 20;
    let text: Vec<String> = labels.iter().take(MOST).map(ToString::to_string).collect();
    let more = if labels.len() > MOST { " …" } else { "" };
    format!("{}{more}", text.join(" "))
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    fn set(labels: &[usize], names: Option<&[&str]>) -> FeatureSet {
        let set = FeatureSet::from_arrays(&Array2::zeros((labels.len(), 1)), labels.to_vec()).unwrap();
        match names {
            Some(names) => set.named(names.iter().map(|name| (*name).to_owned()).collect()).unwrap(),
            None => set,
        }
    }

    fn labels(train: &FeatureSet, test: &FeatureSet) -> std::result::Result<Vec<usize>, String> {
        matched(train, test).map_err(|error| error.to_string())
    }

    #[test]
    fn classes_are_matched_by_name() {
        let train = set(&[0, 1, 2], Some(&["ant", "bee", "cat"]));
        // Without the first class, in another order, and with names of which there are no rows.
        assert_eq!(labels(&train, &set(&[0, 1, 1], Some(&["bee", "cat"]))).unwrap(), [1, 2, 2]);
        assert_eq!(labels(&train, &set(&[2, 0], Some(&["cat", "dog", "ant"]))).unwrap(), [0, 2]);
    }

    #[test]
    fn a_class_of_which_nothing_was_learned_is_refused_by_name() {
        let train = set(&[0, 1], Some(&["ant", "bee", "cat"]));
        let message = labels(&train, &set(&[0, 1, 1], Some(&["ant", "dog"]))).unwrap_err();
        assert!(message.contains("2 rows of class `dog`, of which"), "{message}");
        // A name without rows is no better.
        let message = labels(&train, &set(&[0], Some(&["cat"]))).unwrap_err();
        assert!(message.contains("1 rows of class `cat`, of which"), "{message}");
    }

    #[test]
    fn without_names_the_labels_must_be_the_same() {
        let train = set(&[0, 1, 2], None);
        assert_eq!(labels(&train, &set(&[2, 0, 1, 0], None)).unwrap(), [2, 0, 1, 0]);
        let names = Some(&["ant", "bee", "cat"][..]);
        assert_eq!(labels(&train, &set(&[2, 0, 1, 0], names)).unwrap(), [2, 0, 1, 0]);
        for (train, test) in [
            (&train, set(&[0, 1], None)),
            (&train, set(&[0, 1], Some(&["bee", "cat"]))),
            (&set(&[0, 1, 2], names), set(&[0, 1, 3], None)),
        ] {
            let message = labels(train, &test).unwrap_err();
            assert!(message.contains("expected the labels 0 1 2 as in"), "{message}");
            assert!(message.contains("classes.json"), "{message}");
        }
    }
}
