//! Counts of predicted against true classes.

use serde::{Deserialize, Serialize};

/// How often each class was taken for each other, over all rows and draws that were measured.
///
/// `linfa`'s `ConfusionMatrix` keeps its counts private, so a report could not show them, and its precision and recall
/// over several classes are each other's: so the counts are kept here, and the tests hold the two against each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// `counts[truth][prediction]`, a square of the number of classes.
    pub counts: Vec<Vec<u64>>,
    /// The names of the classes, where they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
}

impl Confusion {
    /// All counts 0, for classes 0..`n_classes`.
    pub fn new(n_classes: usize) -> Self {
        Self { counts: vec![vec![0; n_classes]; n_classes], classes: None }
    }

    /// The same counts with the names of the classes, of which there may be more than classes that were counted.
    pub fn named(self, names: Option<&[String]>) -> Self {
        let classes = names.map(|names| names.iter().take(self.counts.len()).cloned().collect());
        Self { classes, ..self }
    }

    /// Counts one row of class `truth` that was predicted to be `prediction`.
    ///
    /// # Panics
    /// Where either is not below the number of classes.
    pub fn add(&mut self, truth: usize, prediction: usize) {
        self.counts[truth][prediction] += 1;
    }

    /// Adds the counts of `other`, which has as many classes.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().flatten().zip(other.counts.iter().flatten()) {
            *mine += theirs;
        }
    }

    /// Number of rows counted.
    pub fn n_rows(&self) -> u64 {
        self.counts.iter().flatten().sum()
    }

    /// Share of rows predicted wrongly, in 0..=1; 0 where nothing was counted.
    pub fn error_rate(&self) -> f64 {
        let n_rows = self.n_rows();
        if n_rows == 0 {
            return 0.0;
        }
        let n_right: u64 = self.counts.iter().enumerate().map(|(class, row)| row[class]).sum();
        (n_rows - n_right) as f64 / n_rows as f64
    }

    /// Share of each class's rows that were predicted rightly, in 0..=1; `None` for a class without rows.
    pub fn recalls(&self) -> Vec<Option<f64>> {
        self.counts
            .iter()
            .enumerate()
            .map(|(class, row)| {
                let n_rows: u64 = row.iter().sum();
                (n_rows > 0).then(|| row[class] as f64 / n_rows as f64)
            })
            .collect()
    }

    /// Share of each class's predictions that were right, in 0..=1; `None` for a class never predicted.
    pub fn precisions(&self) -> Vec<Option<f64>> {
        (0..self.counts.len())
            .map(|class| {
                let n_predicted: u64 = self.counts.iter().map(|row| row[class]).sum();
                (n_predicted > 0).then(|| self.counts[class][class] as f64 / n_predicted as f64)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use linfa::prelude::ToConfusionMatrix;
    use ndarray::Array1;

    use super::*;

    #[test]
    fn agrees_with_linfa() {
        let truth: Array1<usize> = (0..300).map(|row| row % 4).collect();
        let prediction: Array1<usize> = truth
            .iter()
            .enumerate()
            .map(|(row, class)| if row % 5 == 0 { row % 3 } else { *class })
            .collect();
        let mut confusion = Confusion::new(4);
        truth.iter().zip(&prediction).for_each(|(truth, prediction)| confusion.add(*truth, *prediction));

        let reference = prediction.confusion_matrix(&truth).unwrap();
        assert_eq!(confusion.n_rows(), 300);
        assert!((1.0 - confusion.error_rate() - f64::from(reference.accuracy())).abs() < 1e-6);
        // linfa 0.8.1 mixes the two up over several classes: its "precision" divides by the rows of the true class.
        let macro_mean = |shares: Vec<Option<f64>>| shares.iter().flatten().sum::<f64>() / 4.0;
        let (precision, recall) = (macro_mean(confusion.precisions()), macro_mean(confusion.recalls()));
        assert!((recall - f64::from(reference.precision())).abs() < 1e-6);
        assert!((precision - f64::from(reference.recall())).abs() < 1e-6);
    }

    #[test]
    fn counts_by_truth_then_prediction() {
        let mut confusion = Confusion::new(2);
        confusion.add(0, 1);
        confusion.add(0, 0);
        let mut twice = confusion.clone();
        twice.merge(&confusion);
        assert_eq!(twice.counts, [[2, 2], [0, 0]]);
        assert_eq!(twice.error_rate(), 0.5);
        assert_eq!(twice.recalls(), [Some(0.5), None]);
        assert_eq!(twice.precisions(), [Some(1.0), Some(0.0)]);
        assert_eq!(Confusion::new(3).error_rate(), 0.0);
        let names = ["ant", "bee", "cat"].map(str::to_owned);
        assert_eq!(confusion.named(Some(&names)).classes.unwrap(), ["ant", "bee"]);
    }
}
