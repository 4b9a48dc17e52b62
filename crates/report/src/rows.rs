//! Rows as a report shows them: what was measured, and the means over a matrix's cells.

use super::charts;
use super::data::{Difference, Row, SearchData};
use super::entry::{Cell, Entry};
use super::means::{Mean, Measured, means};
use super::plot::Plot;

/// Stands where a row has no figure.
pub(crate) const NO_FIGURE: &str = "–";

/// A result, as a stage handed it to the report, and its row.
#[derive(Debug, Clone)]
pub struct Found {
    /// The result.
    pub entry: Entry,
    /// The row.
    pub row: Row,
    /// The stage's id as written.
    pub written: String,
    /// The cell of the matrix.
    pub cell: Vec<(String, String)>,
}

/// Adds rows of means over the cells of a matrix; plots and lists show them in place of the cells' own.
pub fn add_means(results: &mut Vec<Found>, over: &[String]) {
    let measured: Vec<Measured<'_>> =
        results.iter().map(|Found { written, cell, entry, .. }| Measured { written, cell, entry }).collect();
    for mean in means(&measured, over) {
        let Some(row) = mean_result(&mean, results) else { continue };
        mean.of.iter().for_each(|idx| results[*idx].row.is_averaged = true);
        results.push(row);
    }
}

fn mean_result(mean: &Mean, results: &[Found]) -> Option<Found> {
    let members: Vec<&Found> = mean.of.iter().map(|idx| &results[*idx]).collect();
    let first = members.first()?;
    let entry = Entry {
        cells: mean.cells.clone(),
        by_labels: mean.by_labels.clone(),
        searches: Vec::new(),
        trials: Vec::new(),
        plots: Vec::new(),
        ..first.entry.clone()
    };
    let mut differences: Vec<Difference> = Vec::new();
    for difference in members.iter().flat_map(|member| &member.row.differences) {
        if !differences.contains(difference) {
            differences.push(difference.clone());
        }
    }
    let shared = |fact: &&String| members.iter().all(|member| member.row.facts.contains(fact));
    let row = Row {
        method: format!("{}, mean of {}{}", entry.method, members.len(), mean.shared),
        stage: Some(first.written.clone()),
        cells: entry.cells.clone(),
        texts: texts(&entry).into_iter().zip(&mean.within).map(with_spread).collect(),
        facts: [mean.label.clone()]
            .into_iter()
            .chain(first.row.facts.iter().filter(shared).cloned())
            .collect(),
        differences,
        by_labels: entry.by_labels.clone(),
        ..first.row.clone()
    };
    Some(Found { entry, row, written: first.written.clone(), cell: Vec::new() })
}

/// A mean's cell, and in brackets the spread over draws within what was averaged.
fn with_spread((text, within): (String, &Option<f64>)) -> String {
    match within {
        Some(within) => format!("{text} (draws ± {within:.2})"),
        None => text,
    }
}

/// The cells of a row of ours: shares with two decimals, counts with none.
pub fn texts(entry: &Entry) -> Vec<String> {
    let is_count = |column: usize| {
        let columns = entry.table.paper().map(|paper| paper.columns);
        columns.and_then(|columns| columns.get(column)).is_some_and(|column| column.unit.is_empty())
    };
    let text = |(column, cell): (usize, &Option<Cell>)| match cell {
        // A count that is the same in all that were averaged.
        Some(Cell { value, deviation: Some(0.0) }) if is_count(column) => format!("{value}"),
        Some(cell) => match entry.intervals.get(column).copied().flatten() {
            Some([low, high]) => format!("{} ({low:.2}–{high:.2})", cell.text(2)),
            None => cell.text(if is_count(column) { 0 } else { 2 }),
        },
        None => NO_FIGURE.to_owned(),
    };
    entry.cells.iter().enumerate().map(text).collect()
}

/// The searches for C behind a result.
pub fn searches(result: &Found) -> Vec<SearchData> {
    let stage = result.row.stage.clone().unwrap_or_default();
    result.entry.searches.iter().map(|s| SearchData { stage: stage.clone(), search: s.clone() }).collect()
}

/// The plots of the random search behind a result.
pub fn trials(result: &Found) -> Vec<Plot> {
    let stage = result.row.stage.clone().unwrap_or_default();
    result.entry.trials.iter().map(|trials| charts::trials(&stage, trials)).collect()
}
