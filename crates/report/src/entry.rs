//! What an evaluating stage hands to the report.

use dcgan_eval::SearchPoint;
use dcgan_eval::paper::{DUPLICATES, PaperTable, TABLE_1, TABLE_2, TABLE_3};
use serde::{Deserialize, Serialize};

use super::plot::Plot;

/// A row for one of the paper's tables, as `result.json` holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The table it belongs to.
    pub table: Table,
    /// Name of the row.
    pub method: String,
    /// One cell a column of the table; none where there is no figure.
    pub cells: Vec<Option<Cell>>,
    /// How the figures came about, a phrase each.
    pub facts: Vec<String>,
    /// Searches for C.
    pub searches: Vec<Search>,
    /// The test error by the number of labels that the machine was trained on.
    #[serde(default)]
    pub by_labels: Vec<ByLabels>,
    /// What it was measured on: the data set and its counts.
    #[serde(default)]
    pub data: String,
    /// For each column what this figure was measured with, such as "30 per class"; empty where nothing is to be said.
    #[serde(default)]
    pub with: Vec<String>,
    /// For each column the 95 % interval of the figure, where there is one.
    #[serde(default)]
    pub intervals: Vec<Option<[f64; 2]>>,
    /// Trials of a random search, once for each parameter that they differ in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trials: Vec<Trials>,
    /// Plots that go with the row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plots: Vec<Plot>,
}

/// Error of the trials of a random search against one of their parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trials {
    /// The parameter.
    pub parameter: String,
    /// True where it is drawn on a logarithmic axis.
    pub is_log: bool,
    /// Its value in the trial that was chosen.
    pub chosen: f64,
    /// Its value and the validation error, a share in 0..=1, of each trial.
    pub points: Vec<[f64; 2]>,
}

/// The test error with so many labels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ByLabels {
    /// Labelled pictures.
    pub n_labels: usize,
    /// Share in 0..=1, of several draws the mean.
    pub error: f64,
    /// What stands after ± in the row's cell, as a share.
    pub deviation: Option<f64>,
}

impl Entry {
    /// Name of the file in the stage's folder.
    pub const FILE: &str = "result.json";

    /// A row that has nothing but its name.
    pub fn new(table: Table, method: String) -> Self {
        Self {
            table,
            method,
            cells: Vec::new(),
            facts: Vec::new(),
            searches: Vec::new(),
            by_labels: Vec::new(),
            data: String::new(),
            with: Vec::new(),
            intervals: Vec::new(),
            trials: Vec::new(),
            plots: Vec::new(),
        }
    }
}

/// A table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// Table 1, CIFAR-10.
    Table1,
    /// Table 2, SVHN.
    Table2,
    /// Table 3, MNIST.
    Table3,
    /// Near-duplicates, section 4.1.1.
    Duplicates,
    /// No table of the paper's: accuracy.
    Other,
    /// No table of the paper's: how good samples are, by [`SAMPLE_COLUMNS`].
    Samples,
}

/// The columns of [`Table::Samples`]. What is called FID and KID is of Inception-v3's features; by others the same measures are called
/// what they are.
pub const SAMPLE_COLUMNS: [&str; 12] = [
    "FID",
    "Fréchet distance",
    "KID × 1000",
    "kernel distance × 1000",
    "Inception Score",
    "precision (%)",
    "recall (%)",
    "density",
    "coverage (%)",
    "near training pictures by pixels (%)",
    "near training pictures by features (%)",
    "near training pictures by code (%)",
];

/// A figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// In the column's unit.
    pub value: f64,
    /// What stands after ±, in the same unit.
    pub deviation: Option<f64>,
}

impl Cell {
    /// A share in 0..=1, as per cent.
    pub fn percent(share: f64, deviation: Option<f64>) -> Self {
        Self { value: 100.0 * share, deviation: deviation.map(|deviation| 100.0 * deviation) }
    }
}

/// Error against C.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Search {
    /// What was measured.
    pub name: String,
    /// The C that was chosen.
    pub chosen: f64,
    /// A point for each C.
    pub points: Vec<Point>,
}

/// Error at one C, shares in 0..=1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The value of C.
    pub c: f64,
    /// Mean error over draws or folds.
    pub mean_error: f64,
    /// Its standard deviation.
    pub std: f64,
}

impl Search {
    /// A search as the protocols give it.
    pub fn new(name: &str, chosen: f64, points: &[SearchPoint]) -> Self {
        let point = |point: &SearchPoint| Point { c: point.c, mean_error: point.mean_error, std: point.std };
        Self { name: name.to_owned(), chosen, points: points.iter().map(point).collect() }
    }
}

impl Table {
    /// The published table; none for figures of our own kind.
    pub fn paper(self) -> Option<&'static PaperTable> {
        match self {
            Self::Table1 => Some(&TABLE_1),
            Self::Table2 => Some(&TABLE_2),
            Self::Table3 => Some(&TABLE_3),
            Self::Duplicates => Some(&DUPLICATES),
            Self::Other | Self::Samples => None,
        }
    }
}
