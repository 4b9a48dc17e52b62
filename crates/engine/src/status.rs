//! How the stages of a manifest stand.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt::{self, Write as _};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use dcgan_files::words::grouped;
use fs_err as fs;
use serde::Serialize;

use crate::folder::Target;
use crate::journal::{self, AtWork, Running};
use crate::kept::{KeptVersion, line, of_stage};
use crate::kind::StageConfig;
use crate::plan::{Planner, State};
use crate::staleness::Reason;

/// What a run that goes on at the moment does about a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Now {
    /// It runs.
    Running {
        /// The process.
        pid: u32,
        /// The machine that this runs on.
        host: String,
        /// Since when, RFC 3339, UTC.
        since: String,
        /// The minibatch that a training was at when it last noted it.
        minibatch: Option<u64>,
    },
    /// Its turn comes.
    Waiting {
        /// The process.
        pid: u32,
        /// The machine that this runs on.
        host: String,
    },
}

impl Now {
    /// What it does about a stage, of which `versions` are half done.
    fn of(stage: &str, work: &AtWork, versions: &[KeptVersion]) -> Option<Self> {
        let (pid, host) = (work.by.pid, work.by.host.clone());
        match work.running.get(stage) {
            Some(running) => {
                let own = versions.iter().find(|version| is_in_work(version, running));
                let minibatch = own.and_then(|own| last_minibatch(&own.path.join("metrics.jsonl")));
                Some(Self::Running { pid, host, since: running.since.clone(), minibatch })
            }
            None if work.waiting.contains(stage) => Some(Self::Waiting { pid, host }),
            None => None,
        }
    }
}

/// Whether a version is the one that a stage which runs is making.
fn is_in_work(version: &KeptVersion, running: &Running) -> bool {
    !version.is_complete && version.path.file_name() == running.version.as_deref().map(OsStr::new)
}

/// The `step` of the last whole line of a training's curves.
fn last_minibatch(curves: &Path) -> Option<u64> {
    let mut file = fs::File::open(curves).ok()?;
    let n_bytes = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(n_bytes.saturating_sub(1 << 14))).ok()?;
    let mut end = Vec::new();
    file.read_to_end(&mut end).ok()?;
    let whole = end.iter().rposition(|byte| *byte == b'\n')?;
    let line = end[..whole].rsplit(|byte| *byte == b'\n').next()?;
    serde_json::from_slice::<serde_json::Value>(line).ok()?.get("step")?.as_u64()
}

impl fmt::Display for Now {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running { pid, host, since, minibatch } => {
                write!(f, "in process {pid} on {host}, since {since}")?;
                minibatch.map_or(Ok(()), |minibatch| write!(f, ", at minibatch {}", grouped(minibatch)))
            }
            Self::Waiting { pid, host } => write!(f, "its turn comes in the run of process {pid} on {host}"),
        }
    }
}

/// How one stage stands.
#[derive(Debug, Clone, Serialize)]
pub struct StageStatus {
    /// Its id.
    pub id: String,
    /// Its kind.
    pub kind: &'static str,
    /// How it stands.
    pub state: State,
    /// What a run that goes on at the moment does about it.
    pub now: Option<Now>,
    /// True if a plain run would run it.
    pub will_run: bool,
    /// Why it would run, as data.
    pub reasons: Vec<Reason>,
    /// Why it would run, in words.
    pub why: Vec<String>,
    /// Its folder.
    pub folder: std::path::PathBuf,
    /// Finished stages of elsewhere that it reads, as their paths are written.
    pub reads: Vec<String>,
    /// Its versions that are not in its place: complete ones that were replaced, and half-done ones, without the one that a run
    /// is making; the newest first.
    pub other_versions: Vec<KeptVersion>,
}

/// The stages of a manifest in the order in which they run; nothing is changed.
///
/// `selected` are those that are asked for, `forced` those to be run in any case.
///
/// # Errors
/// If the run was interrupted.
pub fn status(
    planner: &Planner<'_>,
    selected: &BTreeSet<usize>,
    forced: &BTreeSet<usize>,
) -> anyhow::Result<Vec<StageStatus>> {
    let assessed = planner.assess_all(selected, forced)?;
    planner.cache.save(planner.progress());
    let work = journal::at_work(&planner.run_folder);
    let mut blocked = BTreeSet::new();
    let mut all = Vec::new();
    for (idx, assessment) in assessed {
        let stage = &planner.manifest.stages[idx];
        let is_blocked = planner.graph.parents[idx].iter().any(|parent| blocked.contains(parent));
        if is_blocked || work.as_ref().is_some_and(|work| work.failed.contains_key(&stage.id)) {
            blocked.insert(idx);
        }
        let is_at_work = assessment.state != State::Fresh && !is_blocked;
        let mut other_versions =
            Target::at(&planner.target(idx)).map_or_else(|_| Vec::new(), |target| of_stage(&target));
        let work = work.as_ref().filter(|_| is_at_work);
        let now = work.and_then(|work| Now::of(&stage.id, work, &other_versions));
        if let Some(running) = work.and_then(|work| work.running.get(&stage.id)) {
            other_versions.retain(|version| !is_in_work(version, running));
        }
        let mut reasons = assessment.reasons;
        if now.is_some() {
            // Its folder is half made because it is being made.
            reasons.retain(|reason| !matches!(reason, Reason::NeverRan | Reason::Interrupted { .. }));
        }
        all.push(StageStatus {
            id: stage.id.clone(),
            kind: stage.config.kind().name,
            state: assessment.state,
            now,
            will_run: selected.contains(&idx) && !matches!(assessment.state, State::Fresh | State::Kept),
            why: planner.asks(idx).into_iter().chain(reasons.iter().map(ToString::to_string)).collect(),
            reasons,
            folder: planner.target(idx),
            reads: paths_read(&stage.config),
            other_versions,
        });
    }
    Ok(all)
}

fn paths_read(config: &StageConfig) -> Vec<String> {
    let inputs = config.stage().inputs();
    inputs.iter().filter(|input| input.name.is_path()).map(|input| input.name.as_str().to_owned()).collect()
}

/// The stages a plain run would look at.
pub fn wanted(planner: &Planner<'_>) -> BTreeSet<usize> {
    planner.manifest.wanted()
}

/// A line for each stage, with the reasons beneath those that would run.
pub fn text(stages: &[StageStatus]) -> String {
    let width = stages.iter().map(|stage| stage.id.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for stage in stages {
        let state = match (&stage.now, stage.state) {
            (Some(Now::Running { .. }), _) => "running",
            (Some(Now::Waiting { .. }), _) => "waiting",
            (None, State::Fresh) => "fresh  ",
            (None, State::Kept) => "kept   ",
            (None, State::Stale) => "stale  ",
            (None, State::Missing) => "missing",
        };
        let needs_no_run = matches!(stage.state, State::Fresh | State::Kept);
        let not_asked = if stage.will_run || needs_no_run { "" } else { "  (not asked for)" };
        let _ = writeln!(text, "{state}  {:<width$}  {}{not_asked}", stage.id, stage.kind);
        for path in &stage.reads {
            let _ = writeln!(text, "           reads {path}");
        }
        if let Some(now) = &stage.now {
            let _ = writeln!(text, "           {now}");
        }
        for why in &stage.why {
            let _ = writeln!(text, "           {why}");
        }
        if stage.state == State::Kept && stage.now.is_none() {
            text.push_str("           a version made so is kept: it will be put back, nothing runs\n");
        }
        if let Some(line) = line(&stage.other_versions) {
            let _ = writeln!(text, "           {line}");
        }
    }
    text
}
