//! The CIFAR-10 protocols: all labels, and 400 a class (Table 1).

use std::time::Instant;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::confusion::Confusion;
use crate::draws::{Draws, stratified_share};
use crate::error::Result;
use crate::features::FeatureSet;
use crate::measure::{measure, measure_all};
use crate::progress::{Observe, Progress};
use crate::search::FoldSearch;
use crate::selection::{SearchPoint, check_count, check_cs, check_gap};
use crate::statistics::{mean, std_dev};
use crate::train::Trainer;
use crate::training_set::{Storage, TrainingSet};

/// Settings of the CIFAR-10 protocols.
///
/// The paper states 400 labels a class and that results are a mean ± deviation; grid, folds and number of draws are
/// unstated and chosen here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cifar10Protocol {
    /// Values of C to choose from.
    pub cs: Vec<f64>,
    /// Folds of the cross-validation that chooses C.
    pub n_folds: usize,
    /// Beyond 8000 rows the search goes up through C and ends where the error was above the lowest for so many values in a
    /// row; larger ones take most of the time.
    pub patience: usize,
    /// Whether to measure with all training labels.
    pub all_labels: bool,
    /// Choose C for all labels on so many training rows instead of all; quicker, and less well chosen.
    pub n_search_rows: Option<usize>,
    /// Labels a class in each draw.
    pub n_per_class: usize,
    /// Draws that are measured; 0 for none.
    pub n_draws: u32,
    /// Duality gap at which an SVM counts as solved; one that only helps to choose C on more than 8000 rows does at 0.01.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub relative_gap: f64,
    /// f32 reads the mapped file. bf16 rounds the training features to 8 significant bits in memory, half the size of the
    /// file. The test features stay f32.
    #[serde(skip_serializing_if = "Storage::is_f32")]
    pub storage: Storage,
    /// Seed of folds and draws.
    pub seed: u64,
}

impl Default for Cifar10Protocol {
    fn default() -> Self {
        Self {
            cs: vec![1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2],
            n_folds: 5,
            patience: 2,
            all_labels: true,
            n_search_rows: None,
            n_per_class: 400,
            n_draws: 10,
            relative_gap: 1e-4,
            storage: Storage::F32,
            seed: 0,
        }
    }
}

impl Cifar10Protocol {
    /// Checks the settings against their ranges.
    ///
    /// # Errors
    /// [`EvalError::Setting`](crate::EvalError::Setting), naming the setting.
    pub fn validate(&self) -> Result<()> {
        check_cs(&self.cs)?;
        check_count("n_folds", self.n_folds, 2)?;
        check_count("patience", self.patience, 1)?;
        check_count("n_per_class", self.n_per_class, self.n_folds)?;
        if let Some(n_search_rows) = self.n_search_rows {
            // Each fold must hold rows to measure and leave rows to train on, of each of ten classes.
            check_count("n_search_rows", n_search_rows, 10 * self.n_folds)?;
        }
        if !self.all_labels {
            check_count("n_draws (or all_labels = true)", self.n_draws as usize, 1)?;
        }
        check_gap(self.relative_gap)
    }

    /// The draws of `n_per_class` labels a class: [`Draws::search`] 0 chooses C, [`Draws::fresh`] are measured.
    ///
    /// # Errors
    /// As [`Draws::new`].
    pub fn draws(&self, train: &FeatureSet) -> Result<Draws> {
        Draws::new(train.labels(), train.n_classes(), 0, self.n_per_class, self.seed)
            .map_err(|error| error.named(train.class_names()))
    }

    fn search(&self) -> FoldSearch<'_> {
        FoldSearch {
            cs: &self.cs,
            n_folds: self.n_folds,
            patience: self.patience,
            relative_gap: self.relative_gap,
            seed: self.seed,
        }
    }
}

/// What the CIFAR-10 protocols measured. Errors are shares in 0..=1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cifar10Result {
    /// The settings.
    pub protocol: Cifar10Protocol,
    /// With all training labels.
    pub all_labels: Option<AllLabels>,
    /// With `n_per_class` labels a class.
    pub few_labels: Option<FewLabels>,
    /// Rows of the training set.
    pub n_train: usize,
    /// Rows of the test set.
    pub n_test: usize,
    /// Features a row.
    pub n_features: usize,
    /// Number of classes.
    pub n_classes: usize,
}

/// One machine trained on all labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AllLabels {
    /// The C chosen by cross-validation.
    pub c: f64,
    /// Whether C is the smallest or largest of the grid.
    pub c_at_edge: bool,
    /// Errors of every C over the folds.
    pub search: Vec<SearchPoint>,
    /// Training rows that were cross-validated on.
    pub n_search_rows: usize,
    /// Test error.
    pub error_rate: f64,
    /// 1 − `error_rate`, what Table 1 gives (in per cent).
    pub accuracy: f64,
    /// Predictions on the test set.
    pub confusion: Confusion,
    /// Largest relative duality gap that a machine trained with all labels was left with.
    pub largest_gap: f64,
    /// The same of the machines that chose C.
    pub search_gap: f64,
    /// Seconds spent choosing C; not among what is written, which the same seed makes the same.
    #[serde(skip)]
    pub search_seconds: f64,
    /// Seconds spent on training with all labels and measuring; not among what is written.
    #[serde(skip)]
    pub final_seconds: f64,
}

/// Machines trained on draws of a few labels a class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FewLabels {
    /// The C chosen by cross-validation within a draw of its own, used for all draws that are measured.
    pub c: f64,
    /// Whether C is the smallest or largest of the grid.
    pub c_at_edge: bool,
    /// Errors of every C over the folds.
    pub search: Vec<SearchPoint>,
    /// Rows each machine was trained on.
    pub n_labels: usize,
    /// Test error of each draw.
    pub errors: Vec<f64>,
    /// Their mean.
    pub mean_error: f64,
    /// 1 − `mean_error`, what Table 1 gives (in per cent).
    pub mean_accuracy: f64,
    /// Sample standard deviation of the test errors, which is that of the accuracies too.
    pub std: f64,
    /// Predictions on the test set summed over the draws.
    pub confusion: Confusion,
    /// Largest relative duality gap that any machine was left with.
    pub largest_gap: f64,
    /// Seconds spent choosing C; not among what is written, which the same seed makes the same.
    #[serde(skip)]
    pub search_seconds: f64,
    /// Seconds spent on the draws; not among what is written.
    #[serde(skip)]
    pub final_seconds: f64,
}

/// Runs the CIFAR-10 protocols: with all labels, and over draws of `n_per_class` labels a class.
///
/// Every C is chosen by k-fold cross-validation on training rows alone: for all labels on the training set (or a share
/// of it), for few labels within one draw that is not measured. `test` is read only when C is fixed. The result is the
/// same for any number of threads. `observe` counts folds, draws and the machine for all
/// labels.
///
/// # Errors
/// A setting out of range; features that are not finite or do not fit together; too few rows to draw from (see
/// [`Draws::new`]); [`EvalError::Interrupted`](crate::EvalError::Interrupted).
pub fn cifar10_protocol(
    train: &FeatureSet,
    test: &FeatureSet,
    protocol: &Cifar10Protocol,
    observe: Observe<'_>,
) -> Result<Cifar10Result> {
    protocol.validate()?;
    let test = &test.in_classes_of(train)?;
    let draws = if protocol.n_draws > 0 { Some(protocol.draws(train)?) } else { None };
    check_count("n_folds rows in the training set", train.n_rows(), protocol.n_folds)?;
    train.check_finite()?;
    test.check_finite()?;
    let n_search = protocol.n_folds as u64;
    let n_few = if draws.is_some() { n_search + u64::from(protocol.n_draws) } else { 0 };
    let n_all = if protocol.all_labels { n_search + 1 } else { 0 };
    let mut progress = Progress::new(observe, n_few + n_all);
    let held = &TrainingSet::new(train, protocol.storage)?;

    let few_labels = match &draws {
        Some(draws) => Some(few_labels(held, test, draws, protocol, &mut progress)?),
        None => None,
    };
    let all_labels =
        if protocol.all_labels { Some(all_labels(held, test, protocol, &mut progress)?) } else { None };
    Ok(Cifar10Result {
        protocol: protocol.clone(),
        all_labels,
        few_labels,
        n_train: train.n_rows(),
        n_test: test.n_rows(),
        n_features: train.n_columns(),
        n_classes: train.n_classes(),
    })
}

fn all_labels(
    held: &TrainingSet<'_>,
    test: &FeatureSet,
    protocol: &Cifar10Protocol,
    progress: &mut Progress<'_>,
) -> Result<AllLabels> {
    let (start, train) = (Instant::now(), held.set());
    let rows: Vec<u32> = match protocol.n_search_rows {
        Some(n_rows) if n_rows < train.n_rows() => {
            stratified_share(train.labels(), train.n_classes(), n_rows, protocol.seed)
        }
        _ => (0..train.n_rows() as u32).collect(),
    };
    let (chosen, search_gap) = protocol.search().choose(held, &rows, progress)?;
    let search_seconds = start.elapsed().as_secs_f64();

    let start = Instant::now();
    let measured = measure_all(held, test, &chosen, protocol.relative_gap, progress)?;
    let confusion = measured.confusion;
    Ok(AllLabels {
        c: chosen.c(),
        c_at_edge: chosen.at_edge(),
        search: chosen.into_points(),
        n_search_rows: rows.len(),
        error_rate: confusion.error_rate(),
        accuracy: 1.0 - confusion.error_rate(),
        confusion: confusion.named(train.class_names()),
        largest_gap: measured.largest_gap,
        search_gap,
        search_seconds,
        final_seconds: start.elapsed().as_secs_f64(),
    })
}

fn few_labels(
    held: &TrainingSet<'_>,
    test: &FeatureSet,
    draws: &Draws,
    protocol: &Cifar10Protocol,
    progress: &mut Progress<'_>,
) -> Result<FewLabels> {
    let (start, train) = (Instant::now(), held.set());
    let (chosen, search_gap) = protocol.search().choose(held, &draws.search(0), progress)?;
    let search_seconds = start.elapsed().as_secs_f64();

    let start = Instant::now();
    let fresh = (0..protocol.n_draws).map(|draw_idx| draws.fresh(draw_idx));
    let trainer = Trainer::new(held, draws, u64::from(protocol.n_draws), protocol.relative_gap, progress)?;
    let measured = measure(&trainer, test, fresh, &chosen, progress)?;
    let mean_error = mean(&measured.errors);
    Ok(FewLabels {
        c: chosen.c(),
        c_at_edge: chosen.at_edge(),
        search: chosen.into_points(),
        n_labels: protocol.n_per_class * train.n_classes(),
        mean_error,
        mean_accuracy: 1.0 - mean_error,
        std: std_dev(&measured.errors),
        errors: measured.errors,
        confusion: measured.confusion.named(train.class_names()),
        largest_gap: measured.largest_gap.max(search_gap),
        search_seconds,
        final_seconds: start.elapsed().as_secs_f64(),
    })
}
