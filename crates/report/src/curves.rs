//! Training curves, from the `metrics.jsonl` of the stages that train.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::axis::Axis;
use super::plot::{Plot, PlotPoint, Series, Style};

/// Name of the file in a stage's folder: a JSON line every few minibatches.
const FILE: &str = "metrics.jsonl";
/// What can have been trained: the first of which a key was logged.
const TRAININGS: &[(&str, &[Panel])] = &[
    ("generator and discriminator", GAN),
    ("autoencoder of the semantic hash", AUTOENCODER),
    ("samples of each checkpoint", SAMPLES),
];
/// Points of a curve, at most.
const MAX_POINTS: usize = 240;
/// Below this each point is a dot: a single one would not be seen as a line.
const FEW_POINTS: usize = 10;

/// The curves of one training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curves {
    /// The stage.
    pub stage: String,
    /// What was trained, in a word or two.
    pub what: String,
    /// The curves.
    pub plots: Vec<Plot>,
}

/// A plot of some of the keys of `metrics.jsonl`; those that a line does not have are left out.
struct Panel {
    title: &'static str,
    y: &'static str,
    caption: &'static str,
    keys: &'static [(&'static str, &'static str)],
}

const GAN: &[Panel] = &[
    Panel {
        title: "Losses",
        y: "loss",
        caption: "Cross-entropy of both networks.",
        keys: &[("d_loss", "discriminator"), ("g_loss", "generator")],
    },
    Panel {
        title: "D(x) and D(G(z))",
        y: "probability of being real",
        caption: "What the discriminator makes of real and of generated pictures; 0.5 is not knowing.",
        keys: &[("d_real", "D(x), real"), ("d_fake", "D(G(z)), generated")],
    },
    Panel {
        title: "Gradient norms",
        y: "L2 norm",
        caption: "Of all parameters of a network together.",
        keys: &[("d_gradient_norm", "discriminator"), ("g_gradient_norm", "generator")],
    },
    Panel {
        title: "Accuracy of D",
        y: "share",
        caption: "Share of real and generated pictures that the discriminator labels rightly.",
        keys: &[("d_accuracy", "accuracy")],
    },
    Panel {
        title: "Score",
        y: "score",
        caption: "Distance between samples and real pictures; the lower, the better.",
        keys: &[("score", "score")],
    },
    Panel {
        title: "Speed",
        y: "pictures a second",
        caption: "Pictures that went through training.",
        keys: &[("images_per_s", "pictures a second")],
    },
];

const SAMPLES: &[Panel] = &[
    Panel {
        title: "Fréchet distance",
        y: "distance",
        caption: "Between samples and real pictures, by the features that the table names; the lower, the better.",
        keys: &[("frechet_distance", "Fréchet distance")],
    },
    Panel {
        title: "Kernel distance",
        y: "distance × 1000",
        caption: "Between samples and real pictures, by the same features; the lower, the better.",
        keys: &[("kernel_distance_1000", "kernel distance")],
    },
    Panel {
        title: "Precision and recall",
        y: "share",
        caption: "Samples among real pictures, real pictures among samples, and real pictures with a sample near.",
        keys: &[("precision", "precision"), ("recall", "recall"), ("coverage", "coverage")],
    },
    Panel {
        title: "Samples that are alike",
        y: "share of pairs (%)",
        caption: "Pairs of samples of different z whose semantic codes lie within the radius of near-duplicates.",
        keys: &[("alike_percent", "alike by code")],
    },
    Panel {
        title: "Filters that do not depend on z",
        y: "share (%)",
        caption: "Filters of the generator's last hidden layer of whose activation less than 1 % changes with z.",
        keys: &[("still_filters_percent", "filters")],
    },
    Panel {
        title: "Variance of filters over z",
        y: "share of the mean square",
        caption: "How much of each filter's activation changes with z, of the generator's last hidden layer: the mean over filters, and the least.",
        keys: &[("filter_variance", "mean"), ("filter_variance_least", "least")],
    },
];

const AUTOENCODER: &[Panel] = &[
    Panel {
        title: "Reconstruction",
        y: "error",
        caption: "Squared error in units of the inputs: of corrupted training pictures, and of pictures kept out.",
        keys: &[("reconstruction", "training"), ("validation_reconstruction", "kept out")],
    },
    Panel {
        title: "Terms that shape the code",
        y: "value",
        caption: "together holds two copies of a picture to one code; balance keeps each bit set for half of the pictures.",
        keys: &[("together", "together"), ("balance", "balance")],
    },
];

/// The curves of a stage, whose id is `stage`; none for one that has no file of them.
pub fn curves(folder: &Path, stage: &str) -> Option<Curves> {
    let text = fs_err::read_to_string(folder.join(FILE)).ok()?;
    let columns = columns(&text);
    let of = |(what, panels): &(&str, &[Panel])| {
        let plots: Vec<Plot> = panels.iter().filter_map(|panel| plot(panel, &columns)).collect();
        (!plots.is_empty()).then(|| Curves { stage: stage.to_owned(), what: (*what).to_owned(), plots })
    };
    TRAININGS.iter().find_map(of)
}

/// For each key that has numbers its points (step, value). Lines that are no JSON objects are passed over: a killed run
/// may have left half a line.
fn columns(text: &str) -> BTreeMap<String, Vec<(f64, f64)>> {
    let mut columns: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for line in text.lines().filter_map(|line| serde_json::from_str::<Map<String, Value>>(line).ok()) {
        let Some(step) = line.get("step").and_then(Value::as_f64) else { continue };
        for (key, value) in &line {
            if let Some(value) = value.as_f64().filter(|value| value.is_finite()) {
                columns.entry(key.clone()).or_default().push((step, value));
            }
        }
    }
    columns
}

fn plot(panel: &Panel, columns: &BTreeMap<String, Vec<(f64, f64)>>) -> Option<Plot> {
    let mut n_together = 1;
    let mut series = Vec::new();
    for (key, name) in panel.keys {
        let Some(points) = columns.get(*key) else { continue };
        let n = points.len().div_ceil(MAX_POINTS);
        n_together = n_together.max(n);
        let points: Vec<PlotPoint> = points.chunks(n).map(mean).collect();
        let style = if points.len() < FEW_POINTS { Style::Dots } else { Style::Line };
        series.push(Series { name: (*name).to_owned(), style, points });
    }
    let thinned = match n_together {
        1 => String::new(),
        n => format!(" Each point is the mean of {n} logged ones."),
    };
    // A single dot is no curve: a table or the log has the number.
    let has_course = series.iter().any(|series: &Series| series.points.len() > 1);
    has_course.then(|| Plot {
        title: panel.title.to_owned(),
        caption: format!("{}{thinned}", panel.caption),
        x: Axis::linear("minibatch"),
        y: Axis::linear(panel.y),
        series,
        mark: None,
    })
}

fn mean(points: &[(f64, f64)]) -> PlotPoint {
    let n = points.len() as f64;
    let sum = points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
    PlotPoint { x: sum.0 / n, y: sum.1 / n, deviation: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_logged_is_plotted_and_what_is_not_is_left_out() {
        // A score that was taken once is one dot, which is no curve.
        let text = "{\"step\": 10, \"d_loss\": 1.5, \"d_real\": 0.5, \"d_fake\": null, \"new\": \"x\"}\n\
                    {\"step\": 20, \"d_loss\": 0.5, \"d_real\": 0.75, \"score\": 0.1}\n{\"step\": 3";
        let columns = columns(text);
        let plots: Vec<Plot> = GAN.iter().filter_map(|panel| plot(panel, &columns)).collect();
        let titles: Vec<&str> = plots.iter().map(|plot| plot.title.as_str()).collect();
        assert_eq!(titles, ["Losses", "D(x) and D(G(z))"]);
        assert_eq!(plots[0].series.len(), 1);
        let points: Vec<(f64, f64)> = plots[0].series[0].points.iter().map(|p| (p.x, p.y)).collect();
        assert_eq!(points, [(10.0, 1.5), (20.0, 0.5)]);
    }

    #[test]
    fn a_long_curve_is_thinned_to_means() {
        let text: String =
            (0..1000).map(|step| format!("{{\"step\": {step}, \"g_loss\": {step}}}\n")).collect();
        let plot = plot(&GAN[0], &columns(&text)).unwrap();
        let points = &plot.series[0].points;
        assert_eq!((points.len(), points[0].x, points[0].y), (200, 2.0, 2.0));
        assert!(plot.caption.ends_with("Each point is the mean of 5 logged ones."), "{}", plot.caption);
    }
}
