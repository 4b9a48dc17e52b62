//! Which stages will run, and why.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;

use crate::device::DeviceChoice;
use crate::execute::making;
use crate::folder;
use crate::graph::Graph;
use crate::inputs::{Location, gather};
use crate::manifest::{Manifest, Problem, Problems, nearest, quoted};
use crate::memo::Memo;
use crate::progress::Progress;
use crate::record::{InputRecord, Record};
use crate::staleness::{self, Current, Reason};

/// Which stages of a manifest are asked for.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// These and no others; what they read is taken as it is.
    pub only: Vec<String>,
    /// These and all that need them; what they read is taken as it is.
    pub from: Vec<String>,
    /// To be run even if nothing has changed.
    pub force: Vec<String>,
}

/// How a stage stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Complete, and made from what the manifest says now.
    Fresh,
    /// Complete, but made from something else.
    Stale,
    /// Not complete.
    Missing,
}

/// How one stage stands, and why it would run.
#[derive(Debug, Clone)]
pub struct Assessment {
    /// How it stands.
    pub state: State,
    /// Empty if and only if it is fresh.
    pub reasons: Vec<Reason>,
    /// Its inputs, where they could all be read.
    pub inputs: Option<Vec<InputRecord>>,
}

/// A manifest and its folder of runs, looked at together.
#[derive(Debug)]
pub struct Planner<'a> {
    /// The manifest.
    pub manifest: &'a Manifest,
    /// The folder its stages' folders lie in.
    pub run_folder: PathBuf,
    /// Fingerprints known.
    pub memo: Memo,
    progress: &'a Progress,
    /// The device, if one was asked for.
    device: Option<DeviceChoice>,
}

impl<'a> Planner<'a> {
    /// `runs` is the folder of all manifests' runs.
    pub fn new(
        manifest: &'a Manifest,
        runs: &std::path::Path,
        progress: &'a Progress,
        device: Option<DeviceChoice>,
    ) -> Self {
        let run_folder = runs.join(&manifest.name);
        Self { manifest, run_folder, memo: Memo::open(runs), progress, device }
    }

    /// Where things are said.
    pub fn progress(&self) -> &'a Progress {
        self.progress
    }

    /// The folder of a stage.
    pub fn target(&self, idx: usize) -> PathBuf {
        self.run_folder.join(&self.manifest.stages[idx].id)
    }

    /// Looks at one stage. `will_run` are the stages known to run before it.
    ///
    /// # Errors
    /// If the run was interrupted, or a stage's output cannot be read.
    pub fn assess(&self, idx: usize, will_run: &BTreeSet<usize>) -> anyhow::Result<Assessment> {
        let stage = &self.manifest.stages[idx];
        let target = self.target(idx);
        let parents = Graph::new(self.manifest).parents;
        let mut reasons: Vec<Reason> = parents[idx]
            .iter()
            .filter(|parent| will_run.contains(parent))
            .map(|parent| Reason::Upstream { id: self.manifest.stages[*parent].id.clone() })
            .collect();
        let waits = !reasons.is_empty();
        let inputs = if waits { None } else { self.inputs(idx, &mut reasons)? };

        let (state, record) = match Record::read(&target) {
            Ok(Some(record)) => (State::Stale, Some(record)),
            Ok(None) => (State::Missing, None),
            Err(error) => {
                reasons.push(Reason::BadRecord { message: format!("{error:#}") });
                (State::Stale, None)
            }
        };
        if state == State::Missing {
            // That it waits for others goes without saying.
            reasons.retain(|reason| !matches!(reason, Reason::Upstream { .. }));
            reasons.insert(0, self.never_complete(idx, inputs.as_deref())?);
        }
        if let Some(record) = record {
            let now = Current {
                stage_version: stage.config.info().version,
                config: serde_json::to_value(&stage.config)?,
                inputs: inputs.clone().unwrap_or_default(),
                device: self.device.filter(|_| stage.config.info().uses_device).map(|d| d.to_string()),
            };
            reasons.extend(staleness::differences(&record, &now));
            reasons.extend(staleness::damage(&target, &record, &self.memo, self.progress)?);
        }
        let state = if reasons.is_empty() { State::Fresh } else { state };
        Ok(Assessment { state, reasons, inputs })
    }

    /// The stage's inputs; if one cannot be read, that becomes a reason.
    fn inputs(&self, idx: usize, reasons: &mut Vec<Reason>) -> anyhow::Result<Option<Vec<InputRecord>>> {
        let stage = &self.manifest.stages[idx];
        let location = Location::Run(&self.run_folder);
        match gather(&stage.config, location, &self.memo, self.progress) {
            Ok(inputs) => Ok(Some(inputs)),
            Err(error) if self.progress.interrupt().is_requested() => Err(error),
            Err(error) => {
                reasons.push(Reason::Unreadable { message: format!("{error:#}") });
                Ok(None)
            }
        }
    }

    fn never_complete(&self, idx: usize, inputs: Option<&[InputRecord]>) -> anyhow::Result<Reason> {
        let config = &self.manifest.stages[idx].config;
        let target = self.target(idx);
        if !folder::partial(&target).exists() {
            return Ok(Reason::NeverRan);
        }
        let resumes = match inputs {
            Some(inputs) if config.info().is_resumable => folder::is_of(&target, &making(config, inputs)?),
            _ => false,
        };
        Ok(Reason::Interrupted { resumes })
    }

    /// Looks at all stages in the order in which they run. Stages that are not selected count as they stand.
    ///
    /// # Errors
    /// As [`Planner::assess`], and for a manifest with a cycle.
    pub fn assess_all(
        &self,
        selected: &BTreeSet<usize>,
        forced: &BTreeSet<usize>,
    ) -> anyhow::Result<Vec<(usize, Assessment)>> {
        let mut will_run = BTreeSet::new();
        let mut all = Vec::new();
        for idx in order(self.manifest)? {
            let mut assessment = self.assess(idx, &will_run)?;
            if forced.contains(&idx) {
                force(&mut assessment);
            }
            if selected.contains(&idx) && assessment.state != State::Fresh {
                will_run.insert(idx);
            }
            all.push((idx, assessment));
        }
        Ok(all)
    }
}

/// Makes a fresh stage run all the same.
pub fn force(assessment: &mut Assessment) {
    assessment.reasons.push(Reason::Forced);
    if assessment.state == State::Fresh {
        assessment.state = State::Stale;
    }
}

/// The stages in the order in which they run.
///
/// # Errors
/// If they wait for each other; a checked manifest's do not.
pub fn order(manifest: &Manifest) -> anyhow::Result<Vec<usize>> {
    Graph::new(manifest).order().map_err(|_| anyhow::anyhow!("the manifest's stages form a cycle"))
}

/// Indices of the stages a selection asks for; those that are forced always belong to it.
///
/// # Errors
/// [`Problems`] of usage if it names a stage that the manifest has not.
pub fn selected(manifest: &Manifest, selection: &Selection) -> Result<BTreeSet<usize>, Problems> {
    let graph = Graph::new(manifest);
    let forced = indices(manifest, "--force", &selection.force)?;
    if !selection.only.is_empty() {
        let only = indices(manifest, "--only", &selection.only)?;
        return Ok(only.into_iter().chain(forced).collect());
    }
    let wanted = graph.wanted(manifest);
    if selection.from.is_empty() {
        return Ok(wanted.into_iter().chain(graph.with_ancestors(&forced)).collect());
    }
    let from = indices(manifest, "--from", &selection.from)?;
    let below = graph.with_descendants(&from);
    // What hangs below but is not wanted stays out, unless it was named.
    let below = below.into_iter().filter(|idx| wanted.contains(idx) || from.contains(idx));
    Ok(below.chain(forced).collect())
}

/// Indices of the stages named after an option; a stage of the matrix named as written stands for all its cells.
///
/// # Errors
/// [`Problems`] of usage for a name that is no stage's.
pub fn indices(manifest: &Manifest, option: &str, ids: &[String]) -> Result<Vec<usize>, Problems> {
    let mut found = Vec::new();
    for id in ids {
        let is_named = |idx: &usize| {
            let stage = &manifest.stages[*idx];
            stage.id == *id || stage.written == *id
        };
        let named: Vec<usize> = (0..manifest.stages.len()).filter(is_named).collect();
        if named.is_empty() {
            return Err(no_stage(manifest, option, id));
        }
        found.extend(named);
    }
    Ok(found)
}

fn no_stage(manifest: &Manifest, option: &str, id: &str) -> Problems {
    let is_cell = id.contains('@');
    let mut known: Vec<&str> =
        manifest.stages.iter().map(|stage| if is_cell { &*stage.id } else { &*stage.written }).collect();
    known.dedup();
    let location = crate::manifest::Location { source: format!("{option} {id}"), line: None };
    let message = format!("the manifest has no stage `{id}`; it has {}", quoted(known.iter().copied()));
    let problem = Problem::at(location, message, nearest(id, known.iter().copied()));
    Problems { list: vec![problem], is_usage: true }
}
