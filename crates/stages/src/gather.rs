//! Collects a report's data from the folders of the stages behind it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use dcgan_engine::inputs::upstream;
use dcgan_engine::record::Record;
use dcgan_report::charts::{self, Distances};
use dcgan_report::curves::curves;
use dcgan_report::data::{Difference, ReportData, Row, StageData};
use dcgan_report::departures::{Said, departures};
use dcgan_report::entry::Entry;
use dcgan_report::figure::Figure;
use dcgan_report::picture::{Picture, name_apart};
use dcgan_report::plot::Plot;
use dcgan_report::rows::{Found, add_means, searches, texts, trials};
use dcgan_report::tables::tables;

use crate::own_pictures::own_pictures;

/// The folders of the stages that a report shows, by what it takes from each.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    /// Those with results.
    pub(crate) results: Vec<PathBuf>,
    /// Those with sample grids.
    pub(crate) samples: Vec<PathBuf>,
    /// Those with other figures.
    pub(crate) figures: Vec<PathBuf>,
    /// Axes of the matrix over which rows of means are added.
    pub(crate) mean_over: Vec<String>,
}

/// Collects what the given stages' folders hold, and the records of all stages before them. Pictures that are made of others are
/// written into `out`.
///
/// # Errors
/// If a record or a result cannot be read, or a picture not be written.
pub(crate) fn gather(title: &str, shown: &Shown, out: &Path) -> anyhow::Result<ReportData> {
    let folders = [&shown.results[..], &shown.samples, &shown.figures].concat();
    let records = upstream(&folders)?;
    let mut found = shown.results.iter().map(|folder| result(folder)).collect::<anyhow::Result<Vec<_>>>()?;
    add_means(&mut found, &shown.mean_over);
    let mut environments = Vec::new();
    for (_, record) in &records {
        let environment = record.environment.line();
        if !environments.contains(&environment) {
            environments.push(environment);
        }
    }
    let mut pictures =
        shown.samples.iter().map(|folder| samples(folder)).collect::<anyhow::Result<Vec<_>>>()?;
    for folder in &shown.figures {
        pictures.extend(figures(folder)?);
    }
    name_apart(&mut pictures);
    let own = match (shown.samples.first(), pictures.first()) {
        (Some(folder), Some(samples)) => own_pictures(samples, folder, &records, out)?,
        _ => None,
    };
    if own.is_some() {
        // It stands at the beginning.
        pictures.remove(0);
    }
    let compares = own.is_none() || found.iter().any(|result| result.entry.table.paper().is_some());
    let tables = tables(&found);
    Ok(ReportData {
        title: title.to_owned(),
        own,
        compares,
        searches: found.iter().flat_map(searches).collect(),
        pictures,
        curves: records.iter().filter_map(|(folder, record)| curves(folder, &record.id)).collect(),
        labels: tables.iter().filter_map(charts::labels).collect(),
        trials: found.iter().flat_map(trials).collect(),
        plots: found.iter().flat_map(|result| result.entry.plots.clone()).collect(),
        distances: distances(&records),
        departures: departures(&said(&records, |record| &record.differences), &tables),
        not_checked: departures(&said(&records, |record| &record.not_checked), &[]),
        equal: departures(&said(&records, |record| &record.equal), &[]),
        tables,
        stages: records.iter().map(|(folder, record)| stage_data(folder, record, &records)).collect(),
        environments,
    })
}

/// The histograms of codes, one for each set of codes: `dedup_eval` groups the same ones again.
fn distances(records: &[(PathBuf, Record)]) -> Vec<Plot> {
    let mut plots: Vec<Plot> = Vec::new();
    for plot in records.iter().filter_map(|(_, record)| charts::distances(&record.id, &counts(record)?)) {
        if plots.iter().all(|other| other.series != plot.series) {
            plots.push(plot);
        }
    }
    plots
}

/// The distances among a stage's metrics: its own, or those of the groups that it made again.
fn counts(record: &Record) -> Option<Distances> {
    let found = ["/distances", "/groups/distances"].into_iter().find_map(|at| record.metrics.pointer(at))?;
    serde_json::from_value(found.clone()).ok()
}

/// What each stage says of how it compares with the paper.
fn said<'a>(records: &'a [(PathBuf, Record)], phrases: fn(&Record) -> &Vec<String>) -> Vec<Said<'a>> {
    let said = |(_, record): &'a (PathBuf, Record)| Said {
        id: &record.id,
        written: record.written(),
        phrases: phrases(record),
    };
    records.iter().map(said).collect()
}

fn result(folder: &Path) -> anyhow::Result<Found> {
    let path = folder.join(Entry::FILE);
    let bytes = fs_err::read(&path)?;
    let mut entry: Entry = serde_json::from_slice(&bytes)
        .with_context(|| format!("{}: expected a stage's result", path.display()))?;
    // A stage need not know of a column that others have a figure for.
    let n_columns = entry.table.paper().map_or(0, |paper| paper.columns.len());
    entry.cells.resize(n_columns.max(entry.cells.len()), None);
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
    Ok(Found { entry, row, written, cell })
}

/// The devices that stages ran on, each once.
fn devices(records: &[(PathBuf, Record)]) -> String {
    let mut devices: Vec<&str> =
        records.iter().map(|(_, record)| record.environment.device.as_str()).collect();
    devices.sort_unstable();
    devices.dedup();
    devices.join(" and ")
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
        cores: cores(record),
        written_bytes: record.outputs.values().map(|output| output.bytes).sum(),
        peak_memory_bytes: record.peak_memory_bytes,
        differences: record.differences.clone(),
    }
}

/// Processors at work on the average, of how many there were.
fn cores(record: &Record) -> Option<[f64; 2]> {
    let used = record.cpu_seconds? / record.seconds.max(1e-9);
    (record.seconds >= 0.1).then_some([used, record.environment.threads as f64])
}
