//! `dcgan bench pipeline`: where the time of a whole chain of stages goes.

use std::fmt::Write as _;
use std::path::Path;

use dcgan_engine::manifest::Manifest;
use dcgan_engine::parallel::Policy;
use dcgan_engine::progress::Progress;
use dcgan_engine::record::{Environment, Record};
use dcgan_engine::run::{RunOptions, run};
use dcgan_engine::selection::Selection;
use dcgan_engine::space::bytes;
use dcgan_stages::KINDS;
use serde::Serialize;

use crate::args::BenchArgs;
use crate::verbs::{print, print_json};

/// What is run where no manifest is given.
const QUICKSTART: &str = include_str!("../../../pipelines/quickstart.toml");

/// Where the time went.
#[derive(Debug, Serialize)]
struct PipelineResult {
    /// The manifest's name.
    pipeline: String,
    /// Seconds of all stages.
    seconds: f64,
    /// The stages, those that took longest first.
    stages: Vec<StageTime>,
    /// The machine.
    environment: Environment,
}

/// Where a stage's time went.
#[derive(Debug, Serialize)]
struct StageTime {
    id: String,
    kind: String,
    seconds: f64,
    /// Of the seconds of all stages.
    share: f64,
    /// Processors at work on the average, where the system tells.
    cores: Option<f64>,
    written_bytes_per_s: f64,
    peak_memory_bytes: Option<u64>,
}

impl StageTime {
    fn new(record: &Record, all: f64) -> Self {
        let seconds = record.seconds.max(1e-9);
        let written: u64 = record.outputs.values().map(|output| output.bytes).sum();
        Self {
            id: record.id.clone(),
            kind: record.kind.clone(),
            seconds: record.seconds,
            share: record.seconds / all,
            cores: record.cpu_seconds.map(|cpu| cpu / seconds),
            written_bytes_per_s: written as f64 / seconds,
            peak_memory_bytes: record.peak_memory_bytes,
        }
    }

    /// Whether a tenth of the time or more goes here, and half of the cores or more are idle.
    fn is_slow(&self, n_cores: usize) -> bool {
        self.share >= 0.1 && self.cores.is_some_and(|cores| cores < 0.5 * n_cores as f64 + 0.05)
    }
}

pub(crate) fn bench(args: &BenchArgs, progress: &Progress) -> anyhow::Result<()> {
    let manifest = match &args.manifest {
        Some(path) => Manifest::load(path, &[], &KINDS)?,
        None => Manifest::parse(Path::new("quickstart.toml"), QUICKSTART.to_owned(), &[], &KINDS)?,
    };
    let runs = tempfile::tempdir()?;
    let device = args.device.device.unwrap_or_default();
    device.open()?;
    let options = RunOptions {
        selection: Selection::default(),
        device: Some(device.to_string()),
        runs: runs.path().to_owned(),
        verifies: false,
        policy: Policy { jobs: 1, keeps_going: false },
    };
    let done = run(&manifest, &options, progress)?;
    let records: Vec<Record> = done
        .stages
        .iter()
        .filter_map(|stage| Record::read(&stage.folder).transpose())
        .collect::<Result<_, _>>()?;
    let seconds: f64 = records.iter().map(|record| record.seconds).sum();
    let mut stages: Vec<StageTime> =
        records.iter().map(|record| StageTime::new(record, seconds.max(1e-9))).collect();
    stages.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    let environment = Environment::here(&device.to_string());
    let result = PipelineResult { pipeline: manifest.name.clone(), seconds, stages, environment };
    if args.json { print_json(&result) } else { print(&text(&result)) }
}

fn text(result: &PipelineResult) -> String {
    let n_cores = result.environment.threads;
    let mut text = format!("{}, {:.1} s, {}\n\n", result.pipeline, result.seconds, result.environment.line());
    let width = result.stages.iter().map(|stage| stage.id.chars().count()).max().unwrap_or(0).max(5);
    let _ = writeln!(text, "{:width$}  seconds  share  cores   writes a s  most memory  kind", "stage");
    for stage in &result.stages {
        let cores = stage.cores.map_or("–".to_owned(), |cores| format!("{cores:.1}"));
        let memory = stage.peak_memory_bytes.map_or("–".to_owned(), bytes);
        let mark = if stage.is_slow(n_cores) { "  *" } else { "" };
        let _ = writeln!(
            text,
            "{:width$}  {:7.2}  {:4.0} %  {cores:>5}  {:>11}  {memory:>11}  {}{mark}",
            stage.id,
            stage.seconds,
            100.0 * stage.share,
            bytes(stage.written_bytes_per_s as u64),
            stage.kind,
        );
    }
    if result.stages.iter().any(|stage| stage.is_slow(n_cores)) {
        text.push_str("\n* a tenth of the time or more, and half of the cores or more idle\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_on_few_cores_is_marked() {
        let stage = |share: f64, cores| StageTime {
            id: "a".to_owned(),
            kind: "k".to_owned(),
            seconds: 1.0,
            share,
            cores,
            written_bytes_per_s: 2.5e6,
            peak_memory_bytes: None,
        };
        assert!(stage(0.1, Some(1.0)).is_slow(2));
        assert!(!stage(0.09, Some(1.0)).is_slow(2) && !stage(0.5, Some(1.3)).is_slow(2));
        assert!(!stage(0.5, None).is_slow(2));
        let environment = Environment { threads: 2, ..Environment::here("cpu") };
        let stages = vec![stage(0.9, Some(1.0)), stage(0.1, Some(1.9))];
        let text = text(&PipelineResult { pipeline: "p".to_owned(), seconds: 3.0, stages, environment });
        assert!(text.contains("a         1.00    90 %    1.0       2.5 MB            –  k  *\n"), "{text}");
        assert!(text.contains("1.9       2.5 MB            –  k\n"), "{text}");
    }
}
