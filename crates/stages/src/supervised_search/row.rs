//! What a search came to, and its row.

use dcgan_engine::paper::grouped;
use dcgan_eval::Confusion;
use dcgan_gan::Architecture;
use dcgan_gan::supervised::{Examples, Fitted, Found, Parameters, SearchConfig, Trial};
use dcgan_report::entry::{ByLabels, Cell, Entry, Table, Trials};
use serde_json::json;

use crate::lineage::CIFAR10;

/// What the search came to.
pub(super) struct Measured<'a> {
    pub(super) found: &'a Found,
    pub(super) best: &'a Fitted,
    pub(super) confusion: Confusion,
    pub(super) n_labels: usize,
    pub(super) chance: f64,
}

impl Measured<'_> {
    fn trial(&self) -> &Trial {
        &self.found.trials[self.found.best as usize]
    }

    fn n_diverged(&self) -> usize {
        self.found.trials.iter().filter(|trial| trial.trained().is_none()).count()
    }

    pub(super) fn metrics(&self) -> serde_json::Value {
        json!({
            "validation_error": self.best.validation.error_rate,
            "test_error": self.confusion.error_rate(),
            "chance_error": self.chance,
            "best_trial": self.found.best,
            "n_trials": self.found.trials.len(),
            "n_diverged": self.n_diverged(),
            "trial_seconds": self.found.trials.iter().map(|trial| trial.seconds).sum::<f64>(),
        })
    }

    pub(super) fn details(&self) -> serde_json::Value {
        json!({
            "trial": self.found.best,
            "parameters": self.trial().parameters,
            "best_epoch": self.best.best_epoch,
            "validation": self.best.validation,
            "test_error": self.confusion.error_rate(),
            "chance_error": self.chance,
            "confusion": self.confusion,
        })
    }

    /// The row for the report: of `n_test` test pictures, and of `per_class` labels a class where not all are used.
    pub(super) fn entry(
        &self,
        search: &SearchConfig,
        per_class: Option<usize>,
        examples: &Examples<'_>,
        n_test: usize,
        data: String,
    ) -> Entry {
        let (validation, test) = (self.best.validation.error_rate, self.confusion.error_rate());
        let table = match (data.starts_with(CIFAR10), per_class) {
            (true, _) => Table::Table1,
            (false, Some(_)) => Table::Table2,
            (false, None) => Table::Other,
        };
        let accuracy = Some(Cell::percent(1.0 - test, None));
        let architecture = Architecture { name: search.architecture, width: search.width };
        let units = architecture.discriminator().layers.iter().map(|layer| layer.channels).max();
        let labels = format!("{} labels", grouped(self.n_labels));
        let (cells, with) = match (table, per_class) {
            (Table::Table1, _) => (
                vec![
                    accuracy.filter(|_| per_class.is_none()),
                    accuracy.filter(|_| per_class.is_some()),
                    units.map(|units| Cell { value: units as f64, deviation: None }),
                ],
                vec![
                    format!("{labels}, {} held out", grouped(examples.validation.len())),
                    per_class.map(|n| format!("{n} per class")).unwrap_or_default(),
                    String::new(),
                ],
            ),
            (Table::Table2, _) => (
                vec![Some(Cell::percent(test, None)), Some(Cell::percent(validation, None))],
                vec![labels; 2],
            ),
            _ => (vec![accuracy], Vec::new()),
        };
        Entry {
            cells,
            facts: facts(self, examples, n_test),
            by_labels: vec![ByLabels { n_labels: self.n_labels, error: test, deviation: None }],
            data,
            with,
            trials: plotted(self),
            ..Entry::new(table, format!("supervised CNN ({}), this run", search.architecture))
        }
    }
}

fn facts(measured: &Measured<'_>, examples: &Examples<'_>, n_test: usize) -> Vec<String> {
    let Measured { found, best, .. } = measured;
    let Parameters { learning_rate, beta1, l2, dropout, batch_size, .. } = measured.trial().parameters;
    let (n_trials, n_diverged) = (found.trials.len(), measured.n_diverged());
    let diverged = if n_diverged == 0 { String::new() } else { format!(", of which {n_diverged} diverged") };
    vec![
        format!(
            "validation error {:.2} %, which chose among trials and passes",
            100.0 * best.validation.error_rate
        ),
        format!("test error {:.2} %, measured once", 100.0 * measured.confusion.error_rate()),
        format!("the best of {n_trials} random trials{diverged}: number {}", found.best),
        format!(
            "learning rate {learning_rate}, beta1 {beta1}, l2 {l2}, dropout {dropout}, minibatches of {batch_size}, {} passes",
            best.best_epoch
        ),
        format!(
            "one draw of {} labels, {} validation pictures, {} test pictures",
            grouped(measured.n_labels),
            grouped(examples.validation.len()),
            grouped(n_test)
        ),
        format!(
            "taking every test picture for the commonest class: {:.2} % test error",
            100.0 * measured.chance
        ),
    ]
}

/// Validation error against each parameter that the trials differ in.
fn plotted(measured: &Measured<'_>) -> Vec<Trials> {
    let trials = &measured.found.trials;
    let of = |parameter: &str, is_log: bool, value: fn(&Parameters) -> f64| Trials {
        parameter: parameter.to_owned(),
        is_log,
        chosen: value(&measured.trial().parameters),
        points: trials
            .iter()
            .filter_map(|trial| Some([value(&trial.parameters), trial.trained()?.validation.error_rate]))
            .collect(),
    };
    let mut plots = vec![
        of("learning rate", true, |parameters| parameters.learning_rate),
        of("beta1", false, |parameters| parameters.beta1),
        of("l2", true, |parameters| parameters.l2),
        of("dropout", false, |parameters| parameters.dropout),
        of("pictures in a minibatch", true, |parameters| parameters.batch_size as f64),
    ];
    plots.retain(|plot| plot.points.iter().any(|point| point[0] != plot.chosen));
    plots
}
