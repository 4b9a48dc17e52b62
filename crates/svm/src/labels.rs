//! Labels turned into one-vs-rest targets.

use crate::{Result, SvmError};

/// The classes present among some labels, and for each row the index of its class.
#[derive(Clone, Debug)]
pub(crate) struct OneVsRest {
    /// Distinct labels, ascending.
    pub(crate) classes: Vec<usize>,
    class_of_row: Vec<usize>,
}

impl OneVsRest {
    /// Fails if the number of labels is not `n_rows`, or if there are fewer than two classes.
    pub(crate) fn new(labels: &[usize], n_rows: usize) -> Result<Self> {
        if labels.len() != n_rows {
            return Err(SvmError::LabelCount { n_rows, n_labels: labels.len() });
        }
        let mut classes = labels.to_vec();
        classes.sort_unstable();
        classes.dedup();
        match classes[..] {
            [] => return Err(SvmError::Empty { n_rows, n_columns: 0 }),
            [label] => return Err(SvmError::SingleClass { label }),
            _ => {}
        }
        let class_of_row =
            labels.iter().map(|label| classes.partition_point(|class| class < label)).collect();
        Ok(Self { classes, class_of_row })
    }

    /// Index of the class of a row; the caller vouches for the row.
    pub(crate) fn class_of(&self, row: usize) -> usize {
        self.class_of_row[row]
    }

    /// +1 for the rows of the class with this index, −1 for the rest.
    pub(crate) fn targets(&self, class_idx: usize) -> Vec<f64> {
        self.class_of_row.iter().map(|&own| if own == class_idx { 1.0 } else { -1.0 }).collect()
    }
}

/// Index of the largest value; the first one of equals.
pub(crate) fn argmax(values: impl IntoIterator<Item = f64>) -> usize {
    let mut best = (0, f64::NEG_INFINITY);
    for (idx, value) in values.into_iter().enumerate() {
        if value > best.1 {
            best = (idx, value);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_need_not_be_dense() {
        let targets = OneVsRest::new(&[7, 2, 7, 40], 4).unwrap();
        assert_eq!(targets.classes, [2, 7, 40]);
        assert_eq!(targets.targets(1), [1.0, -1.0, 1.0, -1.0]);
    }

    #[test]
    fn bad_labels_are_named() {
        assert!(matches!(OneVsRest::new(&[1, 2], 3), Err(SvmError::LabelCount { n_rows: 3, n_labels: 2 })));
        assert!(matches!(OneVsRest::new(&[5, 5], 2), Err(SvmError::SingleClass { label: 5 })));
        assert!(matches!(OneVsRest::new(&[], 0), Err(SvmError::Empty { .. })));
    }
}
