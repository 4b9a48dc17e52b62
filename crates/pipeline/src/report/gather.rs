//! Collects a report's data from the folders of the stages behind it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use dcgan_eval::paper::{PaperColumn, PaperRow, PaperTable};

use super::charts;
use super::curves::curves;
use super::data::{Departure, Difference, Picture, ReportData, Row, SearchData, StageData, TableData};
use super::entry::{Cell, Entry, Table};
use super::figure::Figure;
use super::means::{Mean, Measured, means};
use super::plot::Plot;
use crate::inputs::upstream;
use crate::record::Record;

/// Stands where a row has no figure.
const NO_FIGURE: &str = "–";

/// A folder with a result, as the report reads it.
struct Result {
    entry: Entry,
    row: Row,
    /// The stage's id as written.
    written: String,
    /// The cell of the matrix.
    cell: Vec<(String, String)>,
}

/// The folders of the stages that a report shows, by what it takes from each.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Those with results.
    pub results: Vec<PathBuf>,
    /// Those with sample grids.
    pub samples: Vec<PathBuf>,
    /// Those with other figures.
    pub figures: Vec<PathBuf>,
    /// Axes of the matrix over which rows of means are added.
    pub mean_over: Vec<String>,
}

/// Collects what the given stages' folders hold, and the records of all stages before them.
///
/// # Errors
/// If a record or a result cannot be read.
pub fn gather(title: &str, shown: &Shown) -> anyhow::Result<ReportData> {
    let folders = [&shown.results[..], &shown.samples, &shown.figures].concat();
    let records = upstream(&folders)?;
    let mut found = shown.results.iter().map(|folder| result(folder)).collect::<anyhow::Result<Vec<_>>>()?;
    add_means(&mut found, &shown.mean_over);
    let mut environments = Vec::new();
    for (_, record) in &records {
        if !environments.contains(&record.environment) {
            environments.push(record.environment.clone());
        }
    }
    let mut pictures =
        shown.samples.iter().map(|folder| samples(folder)).collect::<anyhow::Result<Vec<_>>>()?;
    for folder in &shown.figures {
        pictures.extend(figures(folder)?);
    }
    name_apart(&mut pictures);
    let tables = tables(&found);
    Ok(ReportData {
        title: title.to_owned(),
        searches: found.iter().flat_map(searches).collect(),
        pictures,
        curves: records.iter().filter_map(|(folder, record)| curves(folder, record)).collect(),
        labels: tables.iter().filter_map(charts::labels).collect(),
        distances: distances(&records),
        departures: departures(&records, &tables, |record| &record.differences),
        not_checked: departures(&records, &[], |record| &record.not_checked),
        equal: departures(&records, &[], |record| &record.equal),
        tables,
        stages: records.iter().map(|(folder, record)| stage_data(folder, record, &records)).collect(),
        environments,
    })
}

/// Stages of several runs may have one id: each of their pictures gets a file of its own.
fn name_apart(pictures: &mut [Picture]) {
    let mut taken = BTreeSet::new();
    for picture in pictures {
        let (name, ending) = picture.file.rsplit_once('.').unwrap_or((&picture.file, ""));
        let numbered = (2..).map(|n| format!("{name}-{n}.{ending}"));
        let free = std::iter::once(picture.file.clone()).chain(numbered).find(|file| !taken.contains(file));
        picture.file = free.unwrap_or_default();
        taken.insert(picture.file.clone());
    }
}

/// The histograms of codes, one for each set of codes: `dedup_eval` groups the same ones again.
fn distances(records: &[(PathBuf, Record)]) -> Vec<Plot> {
    let mut plots: Vec<Plot> = Vec::new();
    for plot in records.iter().filter_map(|(_, record)| charts::distances(record)) {
        if plots.iter().all(|other| other.series != plot.series) {
            plots.push(plot);
        }
    }
    plots
}

/// What the stages say of themselves, each phrase once, with the rows that come after it.
fn departures(
    records: &[(PathBuf, Record)],
    tables: &[TableData],
    phrases: fn(&Record) -> &Vec<String>,
) -> Vec<Departure> {
    let is_shown = |row: &&Row| row.stage.is_some() && !row.is_averaged;
    let rows: Vec<&Row> = tables.iter().flat_map(|table| &table.rows).filter(is_shown).collect();
    let mut found: Vec<(&str, Vec<&Record>)> = Vec::new();
    for (record, text) in records.iter().flat_map(|(_, r)| phrases(r).iter().map(move |text| (r, text))) {
        match found.iter_mut().find(|(known, _)| known == text) {
            Some((_, of)) => of.push(record),
            None => found.push((text, vec![record])),
        }
    }
    let departure = |(text, of): (&str, Vec<&Record>)| Departure {
        text: text.to_owned(),
        stages: names(&of, records),
        rows: concerned(text, &rows),
    };
    found.into_iter().map(departure).collect()
}

/// The ids of stages, in order; where all copies that a matrix makes of a stage are among them, its id as written.
fn names(of: &[&Record], all: &[(PathBuf, Record)]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for record in of {
        let n_among = of.iter().filter(|other| other.written() == record.written()).count();
        let n_copies = all.iter().filter(|(_, other)| other.written() == record.written()).count();
        let name = if n_among == n_copies { record.written() } else { &record.id };
        if names.iter().all(|known| known != name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// The rows that a departure bears on.
fn concerned(text: &str, rows: &[&Row]) -> String {
    let is_concerned = |row: &&&Row| row.differences.iter().any(|difference| difference.text == text);
    let found: Vec<&str> = rows.iter().filter(is_concerned).map(|row| row.method.as_str()).collect();
    if found.len() == rows.len() && found.len() > 1 { "every row".to_owned() } else { found.join(", ") }
}

fn result(folder: &Path) -> anyhow::Result<Result> {
    let path = folder.join(Entry::FILE);
    let bytes = fs_err::read(&path)?;
    let entry: Entry = serde_json::from_slice(&bytes)
        .with_context(|| format!("{}: expected a stage's result", path.display()))?;
    let records = upstream(&[folder.to_owned()])?;
    let last = records.last().map(|(_, record)| record);
    let mut facts = entry.facts.clone();
    if let Some(seed) = last.and_then(|record| record.seed) {
        facts.push(format!("seed {seed}"));
    }
    let devices = devices(&records);
    if !devices.is_empty() {
        facts.push(format!("on {devices}"));
    }
    let differences = records
        .iter()
        .flat_map(|(_, record)| {
            record.differences.iter().map(|text| Difference { stage: record.id.clone(), text: text.clone() })
        })
        .collect();
    let (written, cell) =
        last.map(|record| (record.written().to_owned(), record.cell.clone())).unwrap_or_default();
    let values: Vec<String> = cell.iter().map(|(axis, value)| format!(", {axis}={value}")).collect();
    let row = Row {
        method: format!("{}{}", entry.method, values.concat()),
        stage: Some(last.map(|record| record.id.clone()).unwrap_or_default()),
        texts: texts(&entry),
        cells: entry.cells.clone(),
        note: String::new(),
        facts,
        differences,
        by_labels: entry.by_labels.clone(),
        is_averaged: false,
    };
    Ok(Result { entry, row, written, cell })
}

/// Adds rows of means over the cells of a matrix; plots and lists show them in place of the cells' own.
fn add_means(results: &mut Vec<Result>, over: &[String]) {
    let measured: Vec<Measured<'_>> =
        results.iter().map(|Result { written, cell, entry, .. }| Measured { written, cell, entry }).collect();
    for mean in means(&measured, over) {
        let Some(row) = mean_result(&mean, results) else { continue };
        mean.of.iter().for_each(|idx| results[*idx].row.is_averaged = true);
        results.push(row);
    }
}

fn mean_result(mean: &Mean, results: &[Result]) -> Option<Result> {
    let members: Vec<&Result> = mean.of.iter().map(|idx| &results[*idx]).collect();
    let first = members.first()?;
    let entry = Entry {
        cells: mean.cells.clone(),
        by_labels: mean.by_labels.clone(),
        searches: Vec::new(),
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
    Some(Result { entry, row, written: first.written.clone(), cell: Vec::new() })
}

/// A mean's cell, and in brackets the spread over draws within what was averaged.
fn with_spread((text, within): (String, &Option<f64>)) -> String {
    match within {
        Some(within) => format!("{text} (draws ± {within:.2})"),
        None => text,
    }
}

/// The devices that stages ran on, each once.
fn devices(records: &[(PathBuf, Record)]) -> String {
    let mut devices: Vec<&str> =
        records.iter().map(|(_, record)| record.environment.device.as_str()).collect();
    devices.sort_unstable();
    devices.dedup();
    devices.join(" and ")
}

/// Our cells: shares with two decimals, counts with none.
fn texts(entry: &Entry) -> Vec<String> {
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

fn tables(results: &[Result]) -> Vec<TableData> {
    let mut kinds: Vec<Table> = results.iter().map(|result| result.entry.table).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds.into_iter().map(|kind| table(kind, results)).collect()
}

fn table(kind: Table, results: &[Result]) -> TableData {
    let ours = results.iter().filter(|result| result.entry.table == kind).map(|result| result.row.clone());
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
    let cells: Vec<Cell> =
        row.values.iter().map(|v| Cell { value: v.value, deviation: v.deviation }).collect();
    let text = |(column, cell): (usize, &Cell)| {
        let (papers, before) = (paper.columns[column].with, row.values[column].before);
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
        cells: cells.into_iter().map(Some).collect(),
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
        |idx: usize| paper.rows.iter().filter_map(|row| row.values.get(idx)).map(|v| of(v.value)).max();
    (0..paper.columns.len()).map(|idx| column(idx).unwrap_or(0)).collect()
}

fn searches(result: &Result) -> Vec<SearchData> {
    let stage = result.row.stage.clone().unwrap_or_default();
    result.entry.searches.iter().map(|s| SearchData { stage: stage.clone(), search: s.clone() }).collect()
}

fn samples(folder: &Path) -> anyhow::Result<Picture> {
    let id = id(folder)?;
    Ok(Picture {
        file: format!("{id}.png"),
        title: "Samples".to_owned(),
        caption: "Samples of the generator.".to_owned(),
        alt: format!("A grid of small pictures, samples of the generator, drawn by stage {id}"),
        stage: id,
        source: folder.join("samples.png"),
    })
}

fn figures(folder: &Path) -> anyhow::Result<Vec<Picture>> {
    let id = id(folder)?;
    let picture = |figure: Figure| Picture {
        stage: id.clone(),
        source: folder.join(&figure.file),
        file: format!("{id}-{}", figure.file.replace('/', "-")),
        title: figure.title,
        caption: figure.caption,
        alt: figure.alt,
    };
    Ok(Figure::read_all(folder)?.into_iter().map(picture).collect())
}

/// The id of the stage that made a folder.
fn id(folder: &Path) -> anyhow::Result<String> {
    let record = Record::read(folder)?;
    Ok(record.map(|record| record.id).unwrap_or_else(|| folder.display().to_string()))
}

fn stage_data(folder: &Path, record: &Record, all: &[(PathBuf, Record)]) -> StageData {
    // A stage run alone names its inputs by path, so they are told by their folders.
    let id = |path: &Path| {
        let read = fs_err::canonicalize(folder.join(path)).ok()?;
        all.iter().find(|(folder, _)| *folder == read).map(|(_, record)| record.id.clone())
    };
    let mut reads: Vec<String> =
        record.inputs.iter().filter(|input| input.is_stage).filter_map(|input| id(&input.path)).collect();
    let mut seen = BTreeSet::new();
    reads.retain(|id| seen.insert(id.clone()));
    StageData {
        id: record.id.clone(),
        written: record.written().to_owned(),
        kind: record.kind.clone(),
        started: record.started.clone(),
        seconds: record.seconds,
        seed: record.seed,
        device: record.environment.device.clone(),
        reads,
        peak_memory_bytes: record.peak_memory_bytes,
        differences: record.differences.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_of_stages_with_one_id_get_files_of_their_own() {
        let picture = |file: &str| Picture {
            stage: String::new(),
            title: String::new(),
            caption: String::new(),
            alt: String::new(),
            file: file.to_owned(),
            source: PathBuf::new(),
        };
        let mut pictures = ["a.png", "b.png", "a.png", "a-2.png", "a.png"].map(picture);
        name_apart(&mut pictures);
        let files = pictures.map(|picture| picture.file);
        assert_eq!(files, ["a.png", "b.png", "a-2.png", "a-2-2.png", "a-3.png"]);
    }
}
