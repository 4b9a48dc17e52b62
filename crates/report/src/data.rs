//! Everything a report shows; also what `report.json` holds.

use serde::{Deserialize, Serialize};

use super::curves::Curves;
use super::entry::{ByLabels, Cell, Search};
use super::own::Own;
use super::picture::Picture;
use super::plot::Plot;

/// A report.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReportData {
    /// Its heading.
    pub title: String,
    /// What one asks first, where the pictures are one's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own: Option<Own>,
    /// The tables.
    pub tables: Vec<TableData>,
    /// Searches for C behind the tables.
    pub searches: Vec<SearchData>,
    /// Grids of samples and other figures.
    pub pictures: Vec<Picture>,
    /// Training curves of every stage that trained.
    pub curves: Vec<Curves>,
    /// Error against the number of labels, for each table whose rows have several.
    pub labels: Vec<Plot>,
    /// Error against each parameter of a random search, for each stage that made one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trials: Vec<Plot>,
    /// Plots that go with rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plots: Vec<Plot>,
    /// Distances between codes, for each stage that measured them.
    pub distances: Vec<Plot>,
    /// Whether it is said how this differs from the paper: where one of its tables, or what it shows of its own sets, is
    /// reproduced.
    #[serde(default = "compares")]
    pub compares: bool,
    /// Every departure from the paper, each once.
    pub departures: Vec<Departure>,
    /// What was not compared with the paper, and why.
    pub not_checked: Vec<Departure>,
    /// What was compared and is the paper's.
    pub equal: Vec<Departure>,
    /// The stages behind it, those that came first first.
    pub stages: Vec<StageData>,
    /// The machines and programs they ran on, a line each, each once.
    pub environments: Vec<String>,
}

/// Of a report of an earlier program.
fn compares() -> bool {
    true
}

/// A table: the paper's rows, then ours.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TableData {
    /// Its name.
    pub name: String,
    /// What it shows.
    pub caption: String,
    /// Headings of the columns after the first, with units.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Row>,
}

/// A row of a table.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    /// The method.
    pub method: String,
    /// The stage that measured it; none for a row of the paper's.
    pub stage: Option<String>,
    /// One cell a column.
    pub cells: Vec<Option<Cell>>,
    /// The cells as text.
    pub texts: Vec<String>,
    /// What sets the row apart.
    pub note: String,
    /// How our figures came about.
    pub facts: Vec<String>,
    /// In what our run departed from the paper, each with the stage that says so.
    pub differences: Vec<Difference>,
    /// The test error by the number of labels.
    pub by_labels: Vec<ByLabels>,
    /// Whether plots and lists show a row of means instead.
    #[serde(default)]
    pub is_averaged: bool,
}

/// A departure from the paper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The stage that departed.
    pub stage: String,
    /// In what.
    pub text: String,
}

/// A departure from the paper and the rows it affects; likewise something not compared, or found equal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Departure {
    /// In what.
    pub text: String,
    /// The stages that departed; where all copies of a stage did, its id without the matrix's values.
    pub stages: Vec<String>,
    /// The methods of the rows whose figures depend on them: "every row", a list, or nothing where there are no such.
    pub rows: String,
}

/// A search for C and the stage that made it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SearchData {
    /// The stage.
    pub stage: String,
    /// The search.
    pub search: Search,
}

/// A stage behind the report.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StageData {
    /// Its id.
    pub id: String,
    /// Its id without the matrix's values.
    pub written: String,
    /// Its kind.
    pub kind: String,
    /// When it started, RFC 3339.
    pub started: String,
    /// How long it ran.
    pub seconds: f64,
    /// Its seed.
    pub seed: Option<u64>,
    /// The device it ran on.
    pub device: String,
    /// Ids of the stages that it read.
    pub reads: Vec<String>,
    /// Processors that were at work, on the average, and how many there were; none where it is not known.
    pub cores: Option<[f64; 2]>,
    /// Bytes that it wrote.
    pub written_bytes: u64,
    /// Most memory the process held while it ran, in bytes.
    pub peak_memory_bytes: Option<u64>,
    /// In what it departed from the paper.
    pub differences: Vec<String>,
}

impl Cell {
    /// The figure with so many decimals.
    pub fn text(&self, n_decimals: usize) -> String {
        match self.deviation {
            Some(deviation) => format!("{:.n_decimals$} ± {deviation:.n_decimals$}", self.value),
            None => format!("{:.n_decimals$}", self.value),
        }
    }
}
