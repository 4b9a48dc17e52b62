//! Rows over several cells of a matrix: mean and standard deviation.

use super::entry::{ByLabels, Cell, Entry};

/// A result and the cell of the matrix it is of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured<'a> {
    /// The stage's id as written.
    pub(super) written: &'a str,
    /// The values of the matrix that it is for.
    pub(super) cell: &'a [(String, String)],
    /// Its row.
    pub(super) entry: &'a Entry,
}

/// The mean of several results.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mean {
    /// The results it is of, by index.
    pub(super) of: Vec<usize>,
    /// The values of the axes that they share: `, c=0.1`.
    pub(super) shared: String,
    /// What they share and over what they were averaged: `mean of seed=1, 2, 3, c=0.1`.
    pub(super) label: String,
    /// For each column the mean, and the standard deviation with n − 1.
    pub(super) cells: Vec<Option<Cell>>,
    /// For each column the mean of the spreads that the results give themselves, over their own draws.
    pub(super) within: Vec<Option<f64>>,
    /// The same for the error with each number of labels that all of them have.
    pub(super) by_labels: Vec<ByLabels>,
}

/// The means over the axes `over`, for each group of two or more results that differ in nothing else.
pub(super) fn means(results: &[Measured<'_>], over: &[String]) -> Vec<Mean> {
    let rest = |measured: &Measured<'_>| -> Vec<(String, String)> {
        measured.cell.iter().filter(|(axis, _)| !over.contains(axis)).cloned().collect()
    };
    let is_averaged = |measured: &Measured<'_>| measured.cell.iter().any(|(axis, _)| over.contains(axis));
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (idx, measured) in results.iter().enumerate().filter(|(_, measured)| is_averaged(measured)) {
        let is_same = |group: &&mut Vec<usize>| {
            let first = &results[group[0]];
            first.written == measured.written
                && first.entry.table == measured.entry.table
                && rest(first) == rest(measured)
        };
        match groups.iter_mut().find(is_same) {
            Some(group) => group.push(idx),
            None => groups.push(vec![idx]),
        }
    }
    groups.into_iter().filter(|group| group.len() > 1).map(|of| mean(of, results, over)).collect()
}

fn mean(of: Vec<usize>, results: &[Measured<'_>], over: &[String]) -> Mean {
    let members: Vec<&Measured<'_>> = of.iter().map(|idx| &results[*idx]).collect();
    let n_columns = members.iter().map(|member| member.entry.cells.len()).min().unwrap_or(0);
    let column = |column: usize| {
        let values: Option<Vec<f64>> =
            members.iter().map(|member| member.entry.cells[column].map(|cell| cell.value)).collect();
        values.map(|values| mean_and_deviation(&values))
    };
    let within = |column: usize| {
        let of = |member: &&Measured<'_>| member.entry.cells[column].and_then(|cell| cell.deviation);
        let spreads: Option<Vec<f64>> = members.iter().map(of).collect();
        spreads.map(|spreads| spreads.iter().sum::<f64>() / spreads.len() as f64)
    };
    let within: Vec<Option<f64>> = (0..n_columns).map(within).collect();
    let values = |axis: &str| {
        let mut values: Vec<&str> = Vec::new();
        for (_, value) in
            members.iter().flat_map(|member| member.cell.iter().filter(|(name, _)| name == axis))
        {
            if !values.contains(&value.as_str()) {
                values.push(value);
            }
        }
        values.join(", ")
    };
    let axes: Vec<&str> = members[0].cell.iter().map(|(axis, _)| axis.as_str()).collect();
    let (averaged, shared): (Vec<&str>, Vec<&str>) =
        axes.into_iter().partition(|axis| over.iter().any(|name| name == axis));
    let part = |axis: &&str| format!("{axis}={}", values(axis));
    let averaged: Vec<String> = averaged.iter().map(part).collect();
    let shared = shared.iter().map(|axis| format!(", {}", part(axis))).collect::<Vec<_>>().concat();
    let mut label = format!("mean ± standard deviation of {}{shared}", averaged.join("; "));
    if within.iter().flatten().next().is_some() {
        label.push_str("; in brackets the spread over draws within each, on average");
    }
    let by_labels = members[0].entry.by_labels.iter().filter_map(|first| {
        let of = |member: &&Measured<'_>| {
            let found = member.entry.by_labels.iter().find(|found| found.n_labels == first.n_labels);
            found.map(|found| found.error)
        };
        let errors: Vec<f64> = members.iter().map(of).collect::<Option<_>>()?;
        let Cell { value, deviation } = mean_and_deviation(&errors);
        Some(ByLabels { n_labels: first.n_labels, error: value, deviation })
    });
    let cells = (0..n_columns).map(column).collect();
    Mean { label, shared, cells, within, by_labels: by_labels.collect(), of }
}

fn mean_and_deviation(values: &[f64]) -> Cell {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    Cell { value: mean, deviation: Some(variance.sqrt()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Table;

    fn entry(value: f64) -> Entry {
        let cells = vec![Some(Cell { value, deviation: None }), None];
        serde_json::from_value(serde_json::json!({
            "table": Table::Other, "method": "m", "cells": cells, "facts": [], "searches": [],
            "by_labels": [{"n_labels": 10, "error": value / 10.0, "deviation": null}]
        }))
        .unwrap()
    }

    #[test]
    fn seeds_are_averaged_for_each_c() {
        // numpy: np.mean([1, 2, 6]), np.std([1, 2, 6], ddof=1) = 3.0, 2.6457513110645907
        let values = [("1", "a", 1.0), ("2", "a", 2.0), ("3", "a", 6.0), ("1", "b", 4.0), ("2", "b", 4.0)];
        let made: Vec<(Vec<(String, String)>, Entry)> = values
            .iter()
            .map(|(seed, c, value)| {
                let cell = [("seed", *seed), ("c", *c)];
                (cell.map(|(axis, value)| (axis.to_owned(), value.to_owned())).to_vec(), entry(*value))
            })
            .collect();
        let measured: Vec<Measured<'_>> =
            made.iter().map(|(cell, entry)| Measured { written: "t", cell, entry }).collect();
        let found = means(&measured, &["seed".to_owned()]);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].of, [0, 1, 2]);
        assert_eq!(found[1].shared, ", c=b");
        assert_eq!(found[0].label, "mean ± standard deviation of seed=1, 2, 3, c=a");
        let cell = found[0].cells[0].unwrap();
        assert!((cell.value - 3.0).abs() < 1e-12 && (cell.deviation.unwrap() - 2.645_751_311).abs() < 1e-9);
        assert_eq!(found[0].cells[1], None);
        let [labels] = found[0].by_labels[..] else { panic!("{:?}", found[0].by_labels) };
        assert!((labels.error - 0.3).abs() < 1e-12 && labels.n_labels == 10);
        assert!((labels.deviation.unwrap() - 0.264_575_131).abs() < 1e-9);
        assert_eq!(found[1].cells[0].unwrap().deviation, Some(0.0));
        assert_eq!(found[0].within, [None, None]);
        assert!(means(&measured[..1], &["seed".to_owned()]).is_empty());
    }

    #[test]
    fn the_spread_over_seeds_stands_apart_from_that_over_draws() {
        let of = |value, deviation| {
            let mut entry = entry(value);
            entry.cells = vec![Some(Cell { value, deviation: Some(deviation) })];
            entry
        };
        let (entries, axis) =
            ([of(20.0, 1.0), of(22.0, 2.0)], |seed: &str| vec![("seed".to_owned(), seed.to_owned())]);
        let cells = [axis("0"), axis("1")];
        let measured: Vec<Measured<'_>> =
            cells.iter().zip(&entries).map(|(cell, entry)| Measured { written: "t", cell, entry }).collect();
        let [mean] = &means(&measured, &["seed".to_owned()])[..] else { panic!() };
        let cell = mean.cells[0].unwrap();
        assert_eq!((cell.value, mean.within[0]), (21.0, Some(1.5)));
        assert!((cell.deviation.unwrap() - 2_f64.sqrt()).abs() < 1e-12);
        assert_eq!(
            mean.label,
            "mean ± standard deviation of seed=0, 1; in brackets the spread over draws within each, on average"
        );
    }
}
