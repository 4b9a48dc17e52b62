//! Tables: the paper's rows, then ours.

use dcgan_eval::paper::{PaperColumn, PaperRow, PaperTable};

use super::data::{Row, TableData};
use super::entry::{Cell, Entry, SAMPLE_COLUMNS, Table};
use super::rows::{Found, NO_FIGURE};

/// The tables that results belong to, each with the paper's rows before ours.
pub fn tables(results: &[Found]) -> Vec<TableData> {
    let mut kinds: Vec<Table> = results.iter().map(|result| result.entry.table).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds.into_iter().map(|kind| table(kind, results)).collect()
}

fn table(kind: Table, results: &[Found]) -> TableData {
    let ours = results.iter().filter(|result| result.entry.table == kind).map(|result| result.row.clone());
    if kind == Table::Samples {
        return samples(ours.collect());
    }
    let Some(paper) = kind.paper() else {
        return TableData {
            name: "Other results".to_owned(),
            caption: "figures that are in none of the paper's tables".to_owned(),
            columns: vec!["accuracy (%)".to_owned()],
            rows: ours.collect(),
        };
    };
    let entries: Vec<&Entry> =
        results.iter().map(|result| &result.entry).filter(|entry| entry.table == kind).collect();
    let with: Vec<Option<&str>> =
        (0..paper.columns.len()).map(|column| shared_with(&entries, column, paper)).collect();
    let heading = |(column, with): (&PaperColumn, &Option<&str>)| {
        let with = with.filter(|with| !with.is_empty()).map(|with| format!(", {with}")).unwrap_or_default();
        let unit = if column.unit.is_empty() { String::new() } else { format!(" ({})", column.unit) };
        format!("{}{with}{unit}", column.name)
    };
    let mut data: Vec<&str> = Vec::new();
    for entry in &entries {
        if !entry.data.is_empty() && !data.contains(&entry.data.as_str()) {
            data.push(&entry.data);
        }
    }
    let measured = if data.is_empty() { String::new() } else { format!("This run: {}. ", data.join("; ")) };
    let n_decimals = published_decimals(paper);
    let ours = results.iter().filter(|result| result.entry.table == kind).map(|result| {
        let texts = result.row.texts.iter().enumerate();
        let texts = texts.map(|(column, text)| match (with.get(column), result.entry.with.get(column)) {
            (Some(None), Some(own)) if !own.is_empty() && text != NO_FIGURE => format!("{text} ({own})"),
            _ => text.clone(),
        });
        Row { texts: texts.collect(), ..result.row.clone() }
    });
    TableData {
        name: paper.name.to_owned(),
        caption: format!("{measured}The other rows are cited from the paper: {}", paper.caption),
        columns: paper.columns.iter().zip(&with).map(heading).collect(),
        rows: paper.rows.iter().map(|row| paper_row(paper, row, &n_decimals, &with)).chain(ours).collect(),
    }
}

/// How good samples are, without the columns that no row has a figure for.
fn samples(mut rows: Vec<Row>) -> TableData {
    let is_kept = |column: &usize| rows.iter().any(|row| row.cells.get(*column).is_some_and(Option::is_some));
    let kept: Vec<usize> = (0..SAMPLE_COLUMNS.len()).filter(is_kept).collect();
    for row in &mut rows {
        row.texts = kept
            .iter()
            .map(|column| row.texts.get(*column).cloned().unwrap_or_else(|| NO_FIGURE.to_owned()))
            .collect();
        row.cells = kept.iter().map(|column| row.cells.get(*column).copied().flatten()).collect();
    }
    TableData {
        name: "How good samples are".to_owned(),
        caption: "distances between generated and real pictures by their features; the lower a distance and the higher another figure, the \
                  better. ± is the standard deviation over subsets, brackets hold 95 % intervals by bootstrap. Distances compare only within \
                  one feature space, one kind of resizing and one number of pictures. Near training pictures: samples nearer to one than \
                  all but 1 % of held-out pictures are, so that 1 % is what new pictures have"
            .to_owned(),
        columns: kept.iter().map(|column| SAMPLE_COLUMNS[*column].to_owned()).collect(),
        rows,
    }
}

/// What all of our figures in a column were measured with, the paper's where we have none; none where they differ.
fn shared_with<'a>(entries: &[&'a Entry], column: usize, paper: &'a PaperTable) -> Option<&'a str> {
    let is_there = |entry: &&&Entry| entry.cells.get(column).is_some_and(Option::is_some);
    let with = |entry: &&'a Entry| entry.with.get(column).map_or("", String::as_str);
    let mut all = entries.iter().filter(is_there).map(with);
    let Some(first) = all.next() else { return Some(paper.columns[column].with) };
    all.all(|other| other == first).then_some(first)
}

/// A published row; what its figures were measured with stands beside them where the heading says something else.
fn paper_row(paper: &PaperTable, row: &PaperRow, n_decimals: &[usize], with: &[Option<&str>]) -> Row {
    let cells: Vec<Option<Cell>> = row
        .values
        .iter()
        .map(|value| value.map(|value| Cell { value: value.value, deviation: value.deviation }))
        .collect();
    let text = |(column, cell): (usize, &Option<Cell>)| {
        let Some(cell) = cell else { return NO_FIGURE.to_owned() };
        let papers = paper.columns[column].with;
        let before = row.values[column].map_or("", |value| value.before);
        let beside = if papers.is_empty() || with[column] == Some(papers) {
            String::new()
        } else {
            format!(" ({papers})")
        };
        format!("{before}{}{beside}", cell.text(n_decimals[column]))
    };
    Row {
        method: row.method.to_owned(),
        stage: None,
        texts: cells.iter().enumerate().map(text).collect(),
        cells,
        note: row.note.to_owned(),
        facts: Vec::new(),
        differences: Vec::new(),
        by_labels: Vec::new(),
        is_averaged: false,
    }
}

/// For each column as many decimals as the published figures have.
fn published_decimals(paper: &PaperTable) -> Vec<usize> {
    let of = |value: f64| value.to_string().split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let column =
        |idx: usize| paper.rows.iter().filter_map(|row| *row.values.get(idx)?).map(|v| of(v.value)).max();
    (0..paper.columns.len()).map(|idx| column(idx).unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_samples_without_figures_are_left_out() {
        let row = |cells: Vec<Option<f64>>| Row {
            method: "m".to_owned(),
            stage: None,
            texts: cells.iter().map(|cell| cell.map_or(NO_FIGURE.to_owned(), |x| x.to_string())).collect(),
            cells: cells.into_iter().map(|cell| cell.map(|value| Cell { value, deviation: None })).collect(),
            note: String::new(),
            facts: Vec::new(),
            differences: Vec::new(),
            by_labels: Vec::new(),
            is_averaged: false,
        };
        let table = samples(vec![row(vec![None, Some(1.0), None, Some(2.0)]), row(vec![None, Some(3.0)])]);
        assert_eq!(table.columns, ["Fréchet distance", "kernel distance × 1000"]);
        assert_eq!(table.rows[0].texts, ["1", "2"]);
        assert_eq!(table.rows[1].texts, ["3", NO_FIGURE]);
    }

    /// The paper's supervised network has a validation error, the others test errors.
    #[test]
    fn validation_and_test_errors_stand_apart() {
        let table = table(Table::Table2, &[]);
        let texts = |method: &str| {
            let row = table.rows.iter().find(|row| row.method == method);
            row.map(|row| row.texts.clone()).unwrap_or_default()
        };
        assert_eq!(texts("Supervised CNN with the same architecture"), [NO_FIGURE, "28.87"]);
        assert_eq!(texts("DCGAN (ours) + L2-SVM"), ["22.48", NO_FIGURE]);
        assert_eq!(texts("DCGAN (ours) + L2-SVM, as cited later"), ["22.18 ± 1.13", NO_FIGURE]);
        assert_eq!(table.columns, ["test error, 1,000 labels (%)", "validation error, 1,000 labels (%)"]);
    }
}
