//! The row of the report.

use dcgan_metrics::bootstrap::Interval;
use dcgan_report::entry::{Cell, Entry, SAMPLE_COLUMNS, Table};
use serde_json::{Value, json};

use super::measured::Measured;
use super::sets::Sets;

/// A row of how good samples are.
pub(super) fn row(measured: &Measured, generated: &str, sets: &Sets, name: &str) -> Entry {
    let mut entry = Entry::new(Table::Samples, format!("{generated}, by {name}"));
    entry.cells = vec![None; SAMPLE_COLUMNS.len()];
    entry.intervals = vec![None; SAMPLE_COLUMNS.len()];
    let mut put =
        |column: &str, value: f64, deviation: Option<f64>, interval: Option<Interval>, scale: f64| {
            let Some(at) = SAMPLE_COLUMNS.iter().position(|name| *name == column) else { return };
            let deviation = deviation.map(|deviation| scale * deviation);
            entry.cells[at] = Some(Cell { value: scale * value, deviation });
            entry.intervals[at] = interval.map(|Interval { low, high }| [scale * low, scale * high]);
        };
    let (frechet_name, kernel_name) = match measured.is_inception {
        true => ("FID", "KID × 1000"),
        false => ("Fréchet distance", "kernel distance × 1000"),
    };
    if let Some(score) = &measured.inception_score {
        put("Inception Score", score.mean, Some(score.deviation), None, 1.0);
    }
    if let Some(frechet) = &measured.frechet {
        put(frechet_name, frechet.found.distance, None, frechet.interval, 1.0);
    }
    if let Some(kernel) = &measured.kernel {
        put(kernel_name, kernel.mean, kernel.deviation, None, 1000.0);
    }
    if let Some(prdc) = &measured.prdc {
        let interval = |at: usize| prdc.intervals.map(|intervals| intervals[at]);
        put("precision (%)", prdc.precision, None, interval(0), 100.0);
        put("recall (%)", prdc.recall, None, interval(1), 100.0);
        put("density", prdc.density, None, interval(2), 1.0);
        put("coverage (%)", prdc.coverage, None, interval(3), 100.0);
    }
    entry.facts = facts(measured, sets);
    entry
}

fn facts(measured: &Measured, sets: &Sets) -> Vec<String> {
    let n = |n: Option<u64>| n.map_or("an unknown number of".to_owned(), |n| n.to_string());
    let [real, generated] = measured.n_pictures.map(n);
    let mut facts = vec![
        format!("{generated} {} against {real} real pictures", sets.generated_are()),
        format!("{} features", measured.n_features),
    ];
    if let Some(kernel) = &measured.kernel {
        let [size, _] = kernel.subset_size;
        facts.push(match kernel.deviation {
            Some(_) => format!("kernel distance over {} subsets of {size}", kernel.subsets),
            None => "kernel distance of all pictures".to_owned(),
        });
    }
    if let Some(prdc) = &measured.prdc {
        facts.push(format!("balls to the {}. nearest neighbour", prdc.k));
    }
    if let Some(infinity) = measured.frechet.as_ref().and_then(|frechet| frechet.infinity.as_ref()) {
        facts.push(format!(
            "Fréchet distance extrapolated to infinitely many samples: {:.2}",
            infinity.distance
        ));
    }
    facts.extend(measured.warnings.iter().cloned());
    facts
}

/// For the stage's record.
pub(super) fn summary(measured: &Measured) -> Value {
    json!({
        "n_features": measured.n_features,
        "n_real": measured.n_pictures[0],
        "n_generated": measured.n_pictures[1],
        "frechet_distance": measured.frechet.as_ref().map(|frechet| frechet.found.distance),
        "kernel_distance": measured.kernel.as_ref().map(|kernel| kernel.mean),
        "inception_score": measured.inception_score.map(|score| score.mean),
        "precision": measured.prdc.as_ref().map(|prdc| prdc.precision),
        "recall": measured.prdc.as_ref().map(|prdc| prdc.recall),
        "density": measured.prdc.as_ref().map(|prdc| prdc.density),
        "coverage": measured.prdc.as_ref().map(|prdc| prdc.coverage),
    })
}
