//! The SVHN protocol: 1000 labels, C chosen on held-out training rows, error over fresh draws (Table 2).

use std::time::Instant;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::confusion::Confusion;
use crate::draws::Draws;
use crate::error::Result;
use crate::features::FeatureSet;
use crate::measure::measure;
use crate::progress::{Observe, Progress};
use crate::search::DrawSearch;
use crate::selection::{SearchPoint, check_count, check_cs, check_gap};
use crate::statistics::{INTERVAL_DEVIATIONS, mean, std_dev};
use crate::train::Trainer;
use crate::training_set::{Storage, TrainingSet};

/// Settings of the SVHN protocol; the default is the paper's (section 5.2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SvhnProtocol {
    /// Values of C to choose from.
    pub cs: Vec<f64>,
    /// Rows held out of the training set to choose C.
    pub n_validation: usize,
    /// Labels a class in each draw.
    pub n_per_class: usize,
    /// Draws that each C is tried on.
    #[schemars(range(min = 1, max = 100_000))]
    pub n_search_draws: u32,
    /// Fresh draws that are measured.
    #[schemars(range(min = 1, max = 100_000))]
    pub n_final_draws: u32,
    /// Duality gap at which an SVM counts as solved.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub relative_gap: f64,
    /// f32 reads the mapped file. bf16 rounds the training features to 8 significant bits in memory, half the size of the
    /// file; those that are held out, and the test features, stay f32.
    #[serde(skip_serializing_if = "Storage::is_f32")]
    pub storage: Storage,
    /// Seed of all draws.
    pub seed: u64,
}

impl Default for SvhnProtocol {
    fn default() -> Self {
        Self {
            cs: [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0].map(|c| c * 1e-4).to_vec(),
            n_validation: 10_000,
            n_per_class: 100,
            n_search_draws: 10,
            n_final_draws: 100,
            relative_gap: 1e-4,
            storage: Storage::F32,
            seed: 0,
        }
    }
}

impl SvhnProtocol {
    /// Checks the settings against their ranges.
    ///
    /// # Errors
    /// [`EvalError::Setting`](crate::EvalError::Setting), naming the setting.
    pub fn validate(&self) -> Result<()> {
        check_cs(&self.cs)?;
        check_count("n_validation", self.n_validation, 1)?;
        check_count("n_per_class", self.n_per_class, 1)?;
        check_count("n_search_draws", self.n_search_draws as usize, 1)?;
        check_count("n_final_draws", self.n_final_draws as usize, 1)?;
        check_gap(self.relative_gap)
    }

    /// The rows that the protocol holds out and draws from `train`, for example to repeat it elsewhere.
    ///
    /// # Errors
    /// As [`Draws::new`].
    pub fn draws(&self, train: &FeatureSet) -> Result<Draws> {
        Draws::new(train.labels(), train.n_classes(), self.n_validation, self.n_per_class, self.seed)
            .map_err(|error| error.named(train.class_names()))
    }
}

/// What the SVHN protocol measured. Errors are shares in 0..=1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SvhnResult {
    /// The settings.
    pub protocol: SvhnProtocol,
    /// The C chosen: lowest mean validation error, of equal ones the smallest.
    pub c: f64,
    /// Whether C is the smallest or largest of the grid, so that a wider grid might do better.
    pub c_at_edge: bool,
    /// Validation errors of every C over the search draws.
    pub search: Vec<SearchPoint>,
    /// Test error of each fresh draw.
    pub errors: Vec<f64>,
    /// Mean test error.
    pub mean_error: f64,
    /// Sample standard deviation of the test errors.
    pub std: f64,
    /// 1.96·`std`, what the paper's kind of table gives after ±.
    pub deviation: f64,
    /// Predictions on the test set summed over the fresh draws.
    pub confusion: Confusion,
    /// Rows of the training set.
    pub n_train: usize,
    /// Rows each machine was trained on.
    pub n_labels: usize,
    /// Rows held out to choose C.
    pub n_validation: usize,
    /// Rows of the test set.
    pub n_test: usize,
    /// Features a row.
    pub n_features: usize,
    /// Number of classes.
    pub n_classes: usize,
    /// Largest relative duality gap that any machine was left with.
    pub largest_gap: f64,
    /// Seconds spent choosing C; not among what is written, which the same seed makes the same.
    #[serde(skip)]
    pub search_seconds: f64,
    /// Seconds spent on the fresh draws; not among what is written.
    #[serde(skip)]
    pub final_seconds: f64,
}

/// Runs the SVHN protocol: holds out validation rows of `train`, chooses C on draws of the rest, then measures fresh
/// draws on `test`.
///
/// Everything that is learned or chosen comes from `train`; `test` is read only by the last step, when C is fixed.
/// Labels are never drawn from the held-out rows, in the fresh draws neither. The result is the same for any number of
/// threads. `observe` counts draws.
///
/// # Errors
/// A setting out of range; features that are not finite or do not fit together; too few rows to draw from (see
/// [`Draws::new`]); [`EvalError::Interrupted`](crate::EvalError::Interrupted).
pub fn svhn_protocol(
    train: &FeatureSet,
    test: &FeatureSet,
    protocol: &SvhnProtocol,
    observe: Observe<'_>,
) -> Result<SvhnResult> {
    protocol.validate()?;
    let test = &test.in_classes_of(train)?;
    let draws = protocol.draws(train)?;
    train.check_finite()?;
    test.check_finite()?;
    let n_draws = u64::from(protocol.n_search_draws) + u64::from(protocol.n_final_draws);
    let mut progress = Progress::new(observe, n_draws);

    let start = Instant::now();
    let held = TrainingSet::new(train, protocol.storage)?;
    let trainer = Trainer::new(&held, &draws, n_draws, protocol.relative_gap, &mut progress)?;
    let search = DrawSearch { cs: &protocol.cs, n_draws: protocol.n_search_draws };
    let (chosen, search_gap) = search.choose(&trainer, &draws, &mut progress)?;
    let search_seconds = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let fresh = (0..protocol.n_final_draws).map(|draw_idx| draws.fresh(draw_idx));
    let measured = measure(&trainer, test, fresh, &chosen, &mut progress)?;

    Ok(SvhnResult {
        protocol: protocol.clone(),
        c: chosen.c(),
        c_at_edge: chosen.at_edge(),
        search: chosen.into_points(),
        mean_error: mean(&measured.errors),
        std: std_dev(&measured.errors),
        deviation: INTERVAL_DEVIATIONS * std_dev(&measured.errors),
        errors: measured.errors,
        confusion: measured.confusion.named(train.class_names()),
        n_train: train.n_rows(),
        n_labels: protocol.n_per_class * train.n_classes(),
        n_validation: protocol.n_validation,
        n_test: test.n_rows(),
        n_features: train.n_columns(),
        n_classes: train.n_classes(),
        largest_gap: search_gap.max(measured.largest_gap),
        search_seconds,
        final_seconds: start.elapsed().as_secs_f64(),
    })
}
