//! Plots of results: error against C, error against the number of labels, distances of codes.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::axis::Axis;
use super::data::{SearchData, TableData};
use super::entry::Trials;
use super::plot::{Plot, PlotPoint, Series, Style};

/// Error against C.
pub fn search(found: &SearchData) -> Plot {
    let search = &found.search;
    let mut points: Vec<PlotPoint> = search
        .points
        .iter()
        .map(|point| PlotPoint {
            x: point.c,
            y: 100.0 * point.mean_error,
            deviation: Some(100.0 * point.std),
        })
        .collect();
    points.sort_by(|a, b| a.x.total_cmp(&b.x));
    Plot {
        title: format!("{}: {}", found.stage, search.name),
        caption: format!(
            "Mean over draws or folds, ± one standard deviation. The dashed line is the C that was chosen, {}.",
            search.chosen
        ),
        x: Axis::log("C"),
        y: Axis::linear("error (%)"),
        series: vec![Series { name: search.name.clone(), style: Style::Dots, points }],
        mark: Some((search.chosen, "chosen C".to_owned())),
    }
}

/// Error against a parameter of a random search that `stage` made.
pub fn trials(stage: &str, trials: &Trials) -> Plot {
    let point = |[value, error]: &[f64; 2]| PlotPoint { x: *value, y: 100.0 * error, deviation: None };
    let mut points: Vec<PlotPoint> = trials.points.iter().map(point).collect();
    points.sort_by(|a, b| a.x.total_cmp(&b.x));
    let Trials { parameter, chosen, is_log, .. } = trials;
    Plot {
        title: format!("{stage}: {parameter}"),
        caption: format!(
            "Each dot is a trial; all parameters differ between them. The dashed line is the trial that was chosen, {chosen}."
        ),
        x: if *is_log { Axis::log(parameter) } else { Axis::linear(parameter) },
        y: Axis::linear("validation error (%)"),
        series: vec![Series { name: "trials".to_owned(), style: Style::Points, points }],
        mark: Some((*chosen, "chosen".to_owned())),
    }
}

/// Error against the number of labels: one series a method; none where the table's rows have but one number of labels.
pub fn labels(table: &TableData) -> Option<Plot> {
    let rows = || table.rows.iter().filter(|row| !row.is_averaged);
    let mut methods: BTreeMap<String, Vec<PlotPoint>> = BTreeMap::new();
    for row in rows() {
        // Two stages may measure one method: each is a line of its own.
        let name = match &row.stage {
            Some(stage) if rows().any(|other| other.method == row.method && other.stage != row.stage) => {
                format!("{} ({stage})", row.method)
            }
            _ => row.method.clone(),
        };
        for found in &row.by_labels {
            let point = PlotPoint {
                x: found.n_labels as f64,
                y: 100.0 * found.error,
                deviation: found.deviation.map(|deviation| 100.0 * deviation),
            };
            methods.entry(name.clone()).or_default().push(point);
        }
    }
    let numbers: Vec<f64> = methods.values().flatten().map(|point| point.x).collect();
    if numbers.iter().all(|n| Some(n) == numbers.first()) {
        return None;
    }
    let series = methods.into_iter().map(|(name, mut points)| {
        points.sort_by(|a, b| a.x.total_cmp(&b.x));
        Series { name, style: Style::Dots, points }
    });
    Some(Plot {
        title: format!("{}: error against the number of labels", table.name),
        caption: "Test error of this run's rows; bars are the deviation that the table gives.".to_owned(),
        x: Axis::log("labels"),
        y: Axis::linear("test error (%)"),
        series: series.collect(),
        mark: None,
    })
}

/// How many pairs of codes have each distance.
#[derive(Debug, Clone, Deserialize)]
pub struct Distances {
    /// Of pairs drawn at random.
    random: Vec<u64>,
    /// Of near-duplicates.
    alike: Vec<u64>,
    /// Of pairs within the radius that were not alike.
    unlike: Vec<u64>,
    /// The radius.
    radius: u32,
}

/// Histogram of the distances between codes, as stage `id` counted them.
pub fn distances(id: &str, counts: &Distances) -> Option<Plot> {
    let shares = |name: &str, counts: &[u64]| {
        let total: u64 = counts.iter().sum();
        let last = counts.iter().rposition(|count| *count > 0)?;
        let first = counts.iter().position(|count| *count > 0)?;
        let point = |bits: usize| PlotPoint {
            x: bits as f64,
            y: 100.0 * counts[bits] as f64 / total as f64,
            deviation: None,
        };
        let points = (first..=last).map(point).collect();
        Some(Series { name: format!("{name} ({total})"), style: Style::Bars, points })
    };
    let series: Vec<Series> =
        [shares("pairs drawn at random", &counts.random), shares("near-duplicates", &counts.alike)]
            .into_iter()
            .flatten()
            .collect();
    (!series.is_empty()).then(|| Plot {
        title: format!("{id}: how many bits codes differ in"),
        caption: format!(
            "Near-duplicates are pairs within the radius that the second look at the pictures confirmed; {} more within \
             the radius, the dashed line, were not alike. Each kind of pair adds up to 100 %.",
            counts.unlike.iter().sum::<u64>()
        ),
        x: Axis::linear("bits that differ, of 128"),
        y: Axis::linear("share of pairs (%)"),
        series,
        mark: Some((f64::from(counts.radius), "radius".to_owned())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_are_dots_by_their_parameter() {
        let points = vec![[1e-2, 0.5], [1e-4, 0.25], [1e-3, 0.125]];
        let trials = Trials { parameter: "learning rate".to_owned(), is_log: true, chosen: 1e-3, points };
        let plot = super::trials("search", &trials);
        let points: Vec<(f64, f64)> = plot.series[0].points.iter().map(|point| (point.x, point.y)).collect();
        assert_eq!(points, [(1e-4, 25.0), (1e-3, 12.5), (1e-2, 50.0)]);
        let svg = plot.svg().unwrap();
        assert_eq!(svg.matches("<circle").count(), 3);
        // No line joins them: a dashed one marks the chosen trial, others are the axes'.
        let mut joined = plot.clone();
        joined.series[0].style = Style::Dots;
        let n_lines = |svg: &str| svg.matches("<polyline").count();
        assert_eq!(n_lines(&joined.svg().unwrap()), n_lines(&svg) + 1);
        assert!(svg.contains("learning rate") && svg.contains("chosen: 0.001."), "{svg}");
    }
}
