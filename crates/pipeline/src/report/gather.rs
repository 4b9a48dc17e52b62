//! Collects a report's data from the folders of the stages behind it.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use dcgan_eval::paper::PaperRow;

use super::data::{Difference, Picture, ReportData, Row, SearchData, StageData, TableData};
use super::entry::{Cell, Entry, Table};
use crate::inputs::upstream;
use crate::record::Record;

/// A folder with a result, as the report reads it.
struct Result {
    entry: Entry,
    row: Row,
}

/// Collects the results and the samples in the given stages' folders, and the records of all stages before them.
///
/// # Errors
/// If a record or a result cannot be read.
pub fn gather(title: &str, results: &[PathBuf], samples: &[PathBuf]) -> anyhow::Result<ReportData> {
    let folders: Vec<PathBuf> = results.iter().chain(samples).cloned().collect();
    let records = upstream(&folders)?;
    let found = results.iter().map(|folder| result(folder)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut environments = Vec::new();
    for (_, record) in &records {
        if !environments.contains(&record.environment) {
            environments.push(record.environment.clone());
        }
    }
    Ok(ReportData {
        title: title.to_owned(),
        tables: tables(&found),
        searches: found.iter().flat_map(searches).collect(),
        pictures: samples.iter().map(|folder| picture(folder)).collect::<anyhow::Result<_>>()?,
        stages: records.into_iter().map(|(_, record)| stage_data(record)).collect(),
        environments,
    })
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
    let row = Row {
        method: entry.method.clone(),
        stage: Some(last.map(|record| record.id.clone()).unwrap_or_default()),
        texts: entry.cells.iter().map(|cell| cell_text(cell.as_ref())).collect(),
        cells: entry.cells.clone(),
        note: String::new(),
        facts,
        differences,
    };
    Ok(Result { entry, row })
}

/// The devices that stages ran on, each once.
fn devices(records: &[(PathBuf, Record)]) -> String {
    let mut devices: Vec<&str> =
        records.iter().map(|(_, record)| record.environment.device.as_str()).collect();
    devices.sort_unstable();
    devices.dedup();
    devices.join(" and ")
}

fn cell_text(cell: Option<&Cell>) -> String {
    cell.map_or_else(|| "–".to_owned(), Cell::text)
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
    let heading = |name: &str, unit: &str| {
        if unit.is_empty() { name.to_owned() } else { format!("{name} ({unit})") }
    };
    TableData {
        name: paper.name.to_owned(),
        caption: paper.caption.to_owned(),
        columns: paper.columns.iter().map(|column| heading(column.name, column.unit)).collect(),
        rows: paper.rows.iter().map(paper_row).chain(ours).collect(),
    }
}

fn paper_row(row: &PaperRow) -> Row {
    let cells: Vec<Option<Cell>> =
        row.values.iter().map(|v| Some(Cell { value: v.value, deviation: v.deviation })).collect();
    Row {
        method: row.method.to_owned(),
        stage: None,
        // As published: one decimal or two, just as it was printed.
        texts: row.values.iter().map(|v| published(v.value, v.deviation)).collect(),
        cells,
        note: row.note.to_owned(),
        facts: Vec::new(),
        differences: Vec::new(),
    }
}

fn published(value: f64, deviation: Option<f64>) -> String {
    match deviation {
        Some(deviation) => format!("{value} ± {deviation}"),
        None => format!("{value}"),
    }
}

fn searches(result: &Result) -> Vec<SearchData> {
    let stage = result.row.stage.clone().unwrap_or_default();
    result.entry.searches.iter().map(|s| SearchData { stage: stage.clone(), search: s.clone() }).collect()
}

fn picture(folder: &Path) -> anyhow::Result<Picture> {
    let record = Record::read(folder)?;
    let id = record.map(|record| record.id).unwrap_or_else(|| folder.display().to_string());
    let caption = format!("Samples of the generator, drawn by stage {id}");
    Ok(Picture { file: format!("{id}.png"), stage: id, caption, source: folder.join("samples.png") })
}

fn stage_data(record: Record) -> StageData {
    StageData {
        id: record.id,
        kind: record.kind,
        started: record.started,
        seconds: record.seconds,
        seed: record.seed,
        device: record.environment.device,
        differences: record.differences,
    }
}
