//! `dcgan doctor`: what this machine has, and what will be slow on it and why.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use dcgan_engine::memory::most;
use dcgan_engine::record::Environment;
use dcgan_engine::space::{bytes, free};
use dcgan_engine::terminal::{print, print_json};
use dcgan_stages::device::{DeviceChoice, NnError, vectors};
use serde::Serialize;

use crate::values::path;

/// What the largest protocol holds: 60,000 × 28,672 features, as two files that are mapped.
const FEATURES_OF_TABLE_1: u64 = 60_000 * 28_672 * 4;
/// What the quickstart takes at most.
const LEAST_MEMORY: u64 = 2_000_000_000;

/// Its options.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Where runs will be written
    #[arg(long, value_name = "FOLDER", default_value = "runs", value_parser = path(), value_hint = ValueHint::DirPath)]
    pub(crate) runs: PathBuf,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What was found.
#[derive(Debug, Serialize)]
struct Findings {
    program: String,
    processor: Option<String>,
    system: String,
    threads: usize,
    /// The instructions that the kernels use.
    vectors: String,
    memory_bytes: Option<u64>,
    /// Where runs are written.
    runs: String,
    free_bytes: Option<u64>,
    gpu: String,
    /// What to know of it.
    advice: Vec<String>,
}

pub(crate) fn doctor(args: &DoctorArgs) -> anyhow::Result<()> {
    let found = look(&args.runs);
    if args.json {
        print_json(&found)?
    } else {
        print(&text(&found))?
    }
    Ok(())
}

fn look(runs: &Path) -> Findings {
    let environment = Environment::here("cpu");
    let existing = runs.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    let mut found = Findings {
        program: format!("dcgan {}", environment.program_version),
        processor: environment.processor,
        system: environment.system,
        threads: environment.threads,
        vectors: vectors(),
        memory_bytes: most(),
        runs: runs.display().to_string(),
        free_bytes: free(existing).ok(),
        gpu: gpu(),
        advice: Vec::new(),
    };
    found.advice = advice(&found);
    found
}

/// The first GPU, or why there is none.
fn gpu() -> String {
    let driver = fs_err::read_to_string("/proc/driver/nvidia/version").ok();
    let driver = driver.as_deref().and_then(|text| text.lines().next()).unwrap_or("no NVIDIA driver");
    match DeviceChoice::Cuda(0, Default::default()).open() {
        Ok(_) => format!("cuda:0 opens; {driver}"),
        Err(error) => {
            // What it says of options is for the stages that have them.
            let reason = match error {
                NnError::Device { reason, .. } => reason,
                other => other.to_string(),
            };
            let reason = reason.split(';').next().unwrap_or_default();
            format!("none that this program can use: {reason}; {driver}")
        }
    }
}

fn advice(found: &Findings) -> Vec<String> {
    let mut advice = Vec::new();
    if !found.vectors.starts_with("AVX") && found.vectors != "NEON" {
        advice.push("no wide vector instructions: every stage that computes will be several times slower than in the README".into());
    }
    if found.threads < 4 && found.gpu.starts_with("none") {
        advice.push(format!(
            "{} threads and no GPU: train at `width` 0.25; the paper's networks at full size on whole data sets take days to weeks here \
             (`dcgan bench train` says how many pictures a second)",
            found.threads
        ));
    }
    if let Some(memory) = found.memory_bytes {
        if memory < LEAST_MEMORY {
            advice.push(format!("{} of memory: the quickstart may not fit", bytes(memory)));
        } else if memory < FEATURES_OF_TABLE_1 {
            advice.push(format!(
                "{} of memory: table-1.toml with six layers reads {} of features again and again, from the disk; `--set limit=10000` \
                 takes fewer pictures",
                bytes(memory),
                bytes(FEATURES_OF_TABLE_1)
            ));
        }
    }
    if let Some(free) = found.free_bytes.filter(|free| *free < 2 * FEATURES_OF_TABLE_1) {
        advice.push(format!(
            "{} free: table-1.toml with six layers writes {}, an untrained control as much again",
            bytes(free),
            bytes(FEATURES_OF_TABLE_1)
        ));
    }
    advice
}

fn text(found: &Findings) -> String {
    let unknown = || "unknown".to_owned();
    let mut text = String::new();
    let rows = [
        ("program", found.program.clone()),
        ("system", found.system.clone()),
        ("processor", found.processor.clone().unwrap_or_else(unknown)),
        ("threads", found.threads.to_string()),
        ("vectors", found.vectors.clone()),
        ("memory", found.memory_bytes.map_or_else(unknown, bytes)),
        ("free disk", format!("{}, at {}", found.free_bytes.map_or_else(unknown, bytes), found.runs)),
        ("GPU", found.gpu.clone()),
    ];
    for (name, value) in rows {
        // A string takes whatever is written to it.
        let _ = writeln!(text, "{name:<10} {value}");
    }
    for line in &found.advice {
        let _ = writeln!(text, "note: {line}");
    }
    text
}
