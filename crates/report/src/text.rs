//! The tables for a terminal.

use std::fmt::Write as _;

use super::data::{ReportData, TableData};

/// The report's tables as aligned text; our rows are marked with an arrow.
pub fn summary(report: &ReportData) -> String {
    report.tables.iter().map(table).collect::<Vec<_>>().join("\n")
}

fn table(table: &TableData) -> String {
    let heading = std::iter::once("method").chain(table.columns.iter().map(String::as_str));
    let mut lines: Vec<Vec<String>> = vec![heading.map(str::to_owned).collect()];
    for row in &table.rows {
        let mark = if row.stage.is_some() { "→ " } else { "  " };
        let stage = row.stage.as_ref().map(|stage| format!(" [{stage}]")).unwrap_or_default();
        let method = format!("{mark}{}{stage}", row.method);
        lines.push(std::iter::once(method).chain(row.texts.iter().cloned()).collect());
    }
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..=table.columns.len()).map(width).collect();
    let mut text = format!("{}: {}\n\n", table.name, table.caption);
    for (line_idx, line) in lines.iter().enumerate() {
        let mut columns = line.iter().zip(&widths);
        if let Some((method, width)) = columns.next() {
            let _ = write!(text, "{method:<width$}");
        }
        for (cell, width) in columns {
            let _ = write!(text, "  {cell:>width$}");
        }
        text.push('\n');
        if line_idx == 0 {
            let _ = writeln!(text, "{}", "-".repeat(widths.iter().sum::<usize>() + 2 * table.columns.len()));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Row;

    #[test]
    fn columns_are_aligned_and_our_row_is_marked() {
        let row = |method: &str, stage: Option<&str>, text: &str| Row {
            method: method.to_owned(),
            stage: stage.map(str::to_owned),
            cells: Vec::new(),
            texts: vec![text.to_owned()],
            note: String::new(),
            facts: Vec::new(),
            differences: Vec::new(),
            by_labels: Vec::new(),
            is_averaged: false,
        };
        let data = TableData {
            name: "Table 2".to_owned(),
            caption: "digits".to_owned(),
            columns: vec!["error (%)".to_owned()],
            rows: vec![row("KNN", None, "77.93"), row("ours", Some("t2"), "25.10 ± 0.52")],
        };
        assert_eq!(
            table(&data),
            "Table 2: digits\n\n\
             method          error (%)\n\
             -------------------------\n\
             \u{20} KNN               77.93\n\
             → ours [t2]  25.10 ± 0.52\n"
        );
    }
}
